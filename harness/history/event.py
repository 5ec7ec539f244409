"""One event of a history, and the kinds there are.

| kind | node | what the other fields say |
| --- | --- | --- |
| `start`, `end` | the node | its program began; it returned or was told to stop; `text` says if it was not told |
| `crash` | the node | its program raised, `text` is the traceback; or its process died, `text` says how |
| `stuck` | the node | it did not stop when told: `text` is where it stands |
| `left` | the node | it left something behind: `text` says what |
| `invoke` | a client | `op` was asked, with the body `frames`; `number` is the planned time in ns |
| `ok` | a client | `op` was answered with the body `frames` |
| `fail` | a client | `op` certainly was not executed: `text` says why |
| `info` | a client | nobody knows of `op`: `text` says why |
| `execute`, `executed` | a worker | its service began `op`, and was done with it |
| `socket` | the owner | `socket` was made; `text` is its type |
| `option` | the owner | the option `text` of `socket` was set to `number` or `frames` |
| `bind`, `connect`, `unbind`, `disconnect` | the owner | `text` is the endpoint |
| `link` | the binder | the link `text` is at the endpoint that `frames` holds |
| `connected`, `disconnected` | the owner | a peer of `socket` came or went at the endpoint `text` |
| `close` | the owner | `socket` was closed |
| `send`, `recv` | the owner | one whole message crossed `socket`: `frames` |
| `dropped` | the owner | a message ended on its way, in a simulation: `text` says why |
| `efsm` | the owner | the call `text` on `socket` was not allowed in its state |
| `again` | the owner | the call `text` on `socket` gave up; `number` counts the repeats not listed |
| `unreachable` | the owner | a ROUTER with ROUTER_MANDATORY had no peer of that routing id |
| `fault` | what it strikes | the fault `text`, the `number`-th of the plan from 0, strikes: a node, a link, or `network` |
| `healed` | the same | what it broke is good again |
| `paused` | `machine` | a real world stood still from here on for `number` ns, all nodes alike |
| `ownership` | the owner | two threads were in calls on `socket` at once, in a simulation: `text` |

A `send` carries the time just before the call and a `recv` the time just after
it, so that in order of time each message is sent before it is received.
"""

from __future__ import annotations

import msgspec

from ..frames import find_op, show

NS_PER_MS = 1_000_000

KINDS = (
    "start", "end", "crash", "stuck", "left",
    "invoke", "ok", "fail", "info", "execute", "executed",
    "socket", "option", "bind", "connect", "unbind", "disconnect", "link",
    "connected", "disconnected", "close",
    "send", "recv", "dropped", "efsm", "again", "unreachable", "ownership",
    "fault", "healed", "paused",
)  # fmt: skip

MACHINE = "machine"
"""The node of events that are nobody's doing."""

DIED = "its process "
"""What the last line of a `crash` begins with where no exception was raised."""

UNASKED = "returned before it was told to"
"""The text of the `end` of a node whose program went on for nobody."""

OUTCOMES = ("ok", "fail", "info")
"""The kinds that end an op."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened; the table at the top of this file says what the fields mean.

    Args:
        time_ns: Nanoseconds since the run began.
        node: Whose event it is, such as `client-0`.
        kind: One of `KINDS`.
        socket: The number of the socket, from 1; 0 where none is concerned.
        op: The id of the op; empty where none is concerned, or where it stands in the frames.
        frames: Frames, whole or, when long, as `frames.kept` keeps them.
        text: Words.
        number: A number.
    """

    time_ns: int
    node: str
    kind: str
    socket: int = 0
    op: str = ""
    frames: tuple[bytes, ...] = ()
    text: str = ""
    number: int = 0

    @property
    def op_in_frames(self) -> str | None:
        """The op id that the frames carry."""
        return find_op(self.frames)

    def __str__(self) -> str:
        """The event as a line for a person."""
        parts = [f"{self.time_ns / NS_PER_MS:10.3f} ms  {self.node:<10} {self.kind:<8}"]
        if self.op:
            parts.append(self.op)
        if self.frames:
            parts.append(show(self.frames))
        if self.text:
            parts.append(self.text.strip().splitlines()[-1])
        if self.number and self.kind in ("option", "again"):
            parts.append(str(self.number))
        return " ".join(parts).rstrip()
