"""Where libzmq is not asked: it is nondeterministic there, or it aborts the process.

Some entries say `not modelled`: there libzmq is deterministic, and the simulation does not
follow it.

The one list of what is not compared with libzmq, each with its reason. A clause that is proven
in the simulation only says which of these it is about (`only`); the random programs
of the differential test leave a call out by them (`Machine.step`).
"""

from __future__ import annotations

from typing import NamedTuple


class Divergence(NamedTuple):
    """Something that is not compared.

    Attributes:
        what: What happens, in a sentence.
        why: Why libzmq does not always do the same, or cannot be asked.
    """

    what: str
    why: str


DIVERGENCES: dict[str, Divergence] = {
    "reaper": Divergence(
        "when a closed socket has answered that it knows of the end of a connection",
        "a closed socket belongs to the reaper thread, which answers whenever it gets a turn",
    ),
    "handshake": Divergence(
        "whether a peer that connected over the network can be reached by the next call",
        "the I/O thread shakes hands beside the program; on a loaded machine it may be done "
        "before the next line of Python",
    ),
    "stale view": Divergence(
        "whether a send sees what happened within the last millisecond",
        "libzmq looks into the mailbox before a send only if the time stamp counter has moved on "
        "enough",
    ),
    "oracle": Divergence(
        "tables of options and endpoints are compared with libzmq inside the test",
        "the test asks libzmq itself, call by call, so that it does not run there once more",
    ),
    "random ids": Divergence(
        "the ids that a ROUTER gives to peers without a name, and the request ids of a REQ",
        "both counters start at random; they are compared by the order of their appearance",
    ),
    "reconnect jitter": Divergence(
        "when a connector tries again",
        "a random part is added to RECONNECT_IVL unless RECONNECT_IVL_MAX is set",
    ),
    "kernel buffers": Divergence(
        "how many messages a network connection holds beyond both high-water marks",
        "the kernels decide how large their buffers are, and change them while a connection lives",
    ),
    "abort: late bind after disconnect": Divergence(
        "a disconnect() from an inproc name that nobody has bound yet, and a later bind()",
        "of a ROUTER or REP the process aborts, since the binder announces its id to a pipe that "
        "has ended; of the others the binder may begin a message that it cannot end, depending on "
        "whether the connector has called since, which is not modelled",
    ),
    "abort: id taken": Divergence(
        "a CONNECT_ROUTING_ID that is in use, and a ROUTING_ID that equals a made-up one",
        "the process aborts; the simulation refuses by `MisuseError`",
    ),
    "abort: limit after an end": Divergence(
        "SNDHWM or RCVHWM that is set while an inproc connection of the socket is ending",
        "libzmq tells the other end of it, which may be freed already: the process dies",
    ),
    "self-connection": Divergence(
        "what a socket sees that is connected to itself over inproc",
        "both ends answer through the one mailbox of the socket, in the middle of its own calls, "
        "and the name is both bound and connected; no pattern does it, and it is not modelled",
    ),
    "disconnect while sending": Divergence(
        "a disconnect() between two frames of a message that is being sent, and what a REQ sends "
        "after its peer went before the last frame and that was answered with EAGAIN",
        "a REQ then sends the rest, or its next request, without a delimiter to another peer; this "
        "is not modelled",
    ),
    "limit while sending": Divergence(
        "SNDHWM or RCVHWM that is lowered on either side between two frames of a message",
        "libzmq then takes a begun message for one too many and tears it, which is not modelled",
    ),
    "disconnect while receiving": Divergence(
        "a disconnect() between two frames of a message that is being received",
        "the connection that the frames come from may be the one that goes, and libzmq asserts "
        "that a begun message can be read to its end; a ROUTER or REP begins to read when it is "
        "polled, so that poll(), disconnect(), recv() abort the process",
    ),
}
