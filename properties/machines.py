"""State machines for Hypothesis that drive one socket against peers and compare it with the rules.

    from reqrep.properties.machines import req_machine

    class TestMySocket(req_machine(lambda context: MySocket(context, zmq.REQ)).TestCase):
        pass

The socket under test is bound; two DEALERs are connected to it, so that every frame it sends
can be seen, and any can be sent to it: replies of whom it did not ask, without a delimiter, with
another request id. After each call the model says what must have come of it: for REQ and REP
by the tables that the simulation runs on, `harness/simulation/sockets/rules.py`; DEALER and
ROUTER have no states, and their rules are few sentences.

All goes over inproc and nothing is waited for, with simulated sockets as with libzmq's. Left out
are peers that go away: when a real socket hears of that is for libzmq's threads to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import zmq

from reqrep.harness.frames import EMPTY, show
from reqrep.harness.ground import Ground
from reqrep.harness.simulation.sockets import rules
from reqrep.harness.simulation.sockets.rules import (
    DELIVER,
    FROM_ASKED,
    IDLE,
    MALFORMED,
    OWING,
    RECEIVE,
    RECEIVING,
    REQUEST,
    SEND,
    UNCORRELATED,
)

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
except ModuleNotFoundError as error:
    raise ImportError(
        f'{__name__} needs Hypothesis, which is not installed: pip install "reqrep[hypothesis]"'
    ) from error

from .strategies import bodies, routing_ids

Message = list[bytes]
MakeSocket = Callable[[zmq.Context[Any]], Any]
"""Makes the socket under test, with nothing bound and no option of the machine's set."""

ENDPOINT = "inproc://subject"
PEERS = 2

_bodies = bodies(max_frames=3, max_bytes=8)
_peers = st.integers(0, PEERS - 1)


class SocketMachine(RuleBasedStateMachine):
    """One socket under test and its peers; what all kinds have in common."""

    kind: ClassVar[int]
    make_socket: ClassVar[MakeSocket | None] = None
    simulated: ClassVar[bool] = False
    options: ClassVar[dict[int, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.ground = Ground(simulated=self.simulated)
        try:
            make = type(self).make_socket or (lambda context: context.socket(self.kind))
            self.subject = self.ground.keep(make(self.ground.context))
            for option, value in self.options.items():
                self.subject.setsockopt(option, value)
            self.subject.bind(ENDPOINT)
            self.peers = [self._connect(number) for number in range(PEERS)]
        except BaseException:
            self.ground.close()
            raise
        self.ground.rest()

    def _connect(self, number: int) -> Any:
        peer = self.ground.keep(self.ground.context.socket(zmq.DEALER))
        peer.setsockopt(zmq.ROUTING_ID, self.name_of(number))
        peer.connect(ENDPOINT)
        return peer

    def name_of(self, number: int) -> bytes:
        """The routing id of a peer."""
        return b"peer-%d" % number

    def teardown(self) -> None:
        self.ground.close()

    # --- calls ------------------------------------------------------------------

    def send(self, message: Message) -> int:
        """The error of sending a message from the socket under test; 0 if it was taken."""
        try:
            self.subject.send_multipart(message, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error.errno or 0
        finally:
            self.ground.rest()
        return 0

    def recv(self) -> Message | int:
        """What the socket under test receives, or the error."""
        try:
            return list(self.subject.recv_multipart(zmq.NOBLOCK))
        except zmq.ZMQError as error:
            return error.errno or 0
        finally:
            self.ground.rest()

    def peer_sends(self, number: int, message: Message) -> None:
        """A peer sends a message to the socket under test."""
        self.peers[number].send_multipart(message, zmq.NOBLOCK)
        self.ground.rest()

    def heard(self) -> list[tuple[int, Message]]:
        """What the peers have received since they were asked last."""
        found: list[tuple[int, Message]] = []
        for number, peer in enumerate(self.peers):
            try:
                while True:
                    found.append((number, peer.recv_multipart(zmq.NOBLOCK)))
            except zmq.Again:
                continue
        return found

    # --- claims -----------------------------------------------------------------

    def require_refused(self, got: Message | int, call: str, state: str) -> None:
        """EFSM, and nothing was sent."""
        assert got == zmq.EFSM, f"{call} of a socket that is {state} gave {_said(got)}, not EFSM"
        self.require_heard([])

    def require_polled(self, event: zmq.PollEvent, wanted: bool, state: str = "") -> None:
        """Whether the socket says that it can be read, or written."""
        got = bool(self.subject.getsockopt(zmq.EVENTS) & event)
        said, must = (f"{'' if word else 'no '}{event.name}" for word in (got, wanted))
        which = f"a socket that is {state}" if state else "the socket"
        assert got == wanted, f"{which} has {said}; it must have {must}"

    def require_heard(self, wanted: list[tuple[int, Message]]) -> None:
        heard = self.heard()
        assert heard == wanted, f"the peers heard {_told(heard)}; they must hear {_told(wanted)}"

    def require_received(self, got: Message | int, wanted: list[Message]) -> None:
        """One of these, or that there is nothing, if there are none."""
        if wanted:
            told = " or ".join(map(show, wanted))
            assert got in wanted, f"receive gave {_said(got)}, not {told}"
        else:
            assert got == zmq.EAGAIN, f"receive gave {_said(got)} where there is nothing to receive"


def _said(got: Message | int) -> str:
    if isinstance(got, int):
        return zmq.Errno(got).name if got else "no error"
    return show(got)


def _told(heard: list[tuple[int, Message]]) -> str:
    return ", ".join(f"{show(message)} at peer {number}" for number, message in heard) or "nothing"


# --- REQ --------------------------------------------------------------------------


class ReqMachine(SocketMachine):
    """REQ: asks one peer, then hears that peer until it has answered."""

    kind = zmq.REQ

    def __init__(self) -> None:
        super().__init__()
        self.table = rules.REQ_RELAXED if self.options.get(zmq.REQ_RELAXED) else rules.REQ
        self.is_correlated = bool(self.options.get(zmq.REQ_CORRELATE))
        self.state = IDLE
        self.asked: int | None = None
        self.request_id: Message = []
        self.unread: list[tuple[str, Message]] = []  # Of the peer that was asked, since then.

    @rule(body=_bodies)
    def asks(self, body: Message) -> None:
        row = self.table.get((self.state, SEND))
        got = self.send(body)
        if row is None:
            self.require_refused(got, "send", self.state)
            return
        assert got == 0, f"send of a socket that is {self.state} gave {_said(got)}"
        heard = self.heard()
        assert len(heard) == 1, f"one request was sent, and the peers heard {_told(heard)}"
        self.asked, message = heard[0]
        self.request_id = message[:1] if self.is_correlated else []
        assert all(len(frame) == 4 for frame in self.request_id), (
            f"a correlated request is {show(message)}, without a request id of four bytes"
        )
        wanted = [*self.request_id, EMPTY, *body]
        assert message == wanted, f"the peer heard {show(message)}, not {show(wanted)}"
        self.state = row.next
        self.unread = []  # What was sent before is void (5.4.1).

    @rule(number=_peers, body=_bodies, what=st.sampled_from((FROM_ASKED, MALFORMED, UNCORRELATED)))
    def a_peer_sends(self, number: int, body: Message, what: str) -> None:
        if what == UNCORRELATED and not self.is_correlated:
            what = FROM_ASKED
        request_id = [b"\xff\x00\xff\x00"] if what == UNCORRELATED else self.request_id
        self.peer_sends(
            number, [*request_id, b"no delimiter" if what == MALFORMED else EMPTY, *body]
        )
        if number == self.asked:
            self.unread.append((what, body))

    @rule()
    def receives(self) -> None:
        got = self.recv()
        if (self.state, RECEIVE) not in self.table:
            self.require_refused(got, "receive", self.state)
            return
        unread, self.unread = self.unread, []
        for number, (what, body) in enumerate(unread):
            row = self.table[self.state, what]
            self.state = row.next
            if row.effect == DELIVER:
                self.require_received(got, [body])
                self.unread = unread[number + 1 :]
                return
        self.require_received(got, [])

    @invariant()
    def says_what_it_can_do(self) -> None:
        self.require_polled(zmq.POLLOUT, (self.state, SEND) in self.table, self.state)
        if self.state == IDLE:
            self.require_polled(zmq.POLLIN, False, self.state)
        elif any(what == FROM_ASKED for what, _ in self.unread):
            self.require_polled(zmq.POLLIN, True, self.state)


# --- REP --------------------------------------------------------------------------


class _Sent(NamedTuple):
    """What a peer has sent to a REP."""

    event: str
    envelope: Message
    body: Message


class RepMachine(SocketMachine):
    """REP: takes a request, keeps its envelope aside, sends the reply back along it."""

    kind = zmq.REP

    def __init__(self) -> None:
        super().__init__()
        self.state = RECEIVING
        self.unread: list[list[_Sent]] = [[] for _ in range(PEERS)]
        self.asker = 0
        self.envelope: Message = []
        self.sent = 0

    @rule(number=_peers, envelope=st.lists(routing_ids(), max_size=2), body=_bodies)
    def a_peer_asks(self, number: int, envelope: Message, body: Message) -> None:
        self.sent += 1
        body = [*body, b"request %d" % self.sent]  # So that no two are alike.
        self.peer_sends(number, [*envelope, EMPTY, *body])
        self.unread[number].append(_Sent(REQUEST, envelope, body))

    @rule(number=_peers, frames=st.lists(routing_ids(), min_size=1, max_size=3))
    def a_peer_sends_no_delimiter(self, number: int, frames: Message) -> None:
        self.peer_sends(number, frames)
        self.unread[number].append(_Sent(MALFORMED, [], frames))

    @rule()
    def receives(self) -> None:
        got = self.recv()
        if (self.state, RECEIVE) not in rules.REP:
            self.require_refused(got, "receive", self.state)
            return
        # The first request of each peer; who comes first is not the table's to say.
        first = {
            number: next((sent for sent in unread if sent.event == REQUEST), None)
            for number, unread in enumerate(self.unread)
        }
        self.require_received(got, [sent.body for sent in first.values() if sent is not None])
        for number, sent in first.items():
            if sent is not None and sent.body == got:
                self.asker, self.envelope = number, sent.envelope
                del self.unread[number][: self.unread[number].index(sent) + 1]
                self.state = rules.REP[self.state, REQUEST].next

    @rule(body=_bodies)
    def replies(self, body: Message) -> None:
        row = rules.REP.get((self.state, SEND))
        got = self.send(body)
        if row is None:
            self.require_refused(got, "send", self.state)
            return
        assert got == 0, f"send of a socket that is {self.state} gave {_said(got)}"
        self.require_heard([(self.asker, [*self.envelope, EMPTY, *body])])
        self.state = row.next

    @invariant()
    def says_what_it_can_do(self) -> None:
        self.require_polled(zmq.POLLOUT, self.state == OWING, self.state)
        if self.state == OWING:
            self.require_polled(zmq.POLLIN, False, self.state)
        elif any(sent.event == REQUEST for unread in self.unread for sent in unread):
            self.require_polled(zmq.POLLIN, True, self.state)


# --- DEALER -----------------------------------------------------------------------


class DealerMachine(SocketMachine):
    """DEALER: sends to its peers in turn, receives from all, and changes nothing."""

    kind = zmq.DEALER

    def __init__(self) -> None:
        super().__init__()
        self.unread: list[list[Message]] = [[] for _ in range(PEERS)]
        self.sent = 0
        self.last: int | None = None  # Who got the message before.

    @rule(number=_peers, message=_bodies)
    def a_peer_sends(self, number: int, message: Message) -> None:
        self.sent += 1
        message = [*message, b"message %d" % self.sent]  # So that no two are alike.
        self.peer_sends(number, message)
        self.unread[number].append(message)

    @rule()
    def receives(self) -> None:
        got = self.recv()
        self.require_received(got, [unread[0] for unread in self.unread if unread])
        for unread in self.unread:
            if unread and unread[0] == got:
                del unread[0]

    @rule(message=_bodies)
    def sends(self, message: Message) -> None:
        got = self.send(message)
        assert got == 0, f"send gave {_said(got)}"
        heard = self.heard()
        assert [each for _, each in heard] == [message], (
            f"{show(message)} was sent, and the peers heard {_told(heard)}"
        )
        number = heard[0][0]
        assert number != self.last, f"peer {number} got two messages in a row, and the other none"
        self.last = number

    @invariant()
    def says_what_it_can_do(self) -> None:
        self.require_polled(zmq.POLLOUT, True)
        self.require_polled(zmq.POLLIN, any(self.unread))


# --- ROUTER -----------------------------------------------------------------------


class RouterMachine(SocketMachine):
    """ROUTER: puts the routing id of the sender in front; sends by the first frame."""

    kind = zmq.ROUTER

    def __init__(self) -> None:
        super().__init__()
        self.is_mandatory = bool(self.options.get(zmq.ROUTER_MANDATORY))
        self.unread: list[list[Message]] = [[] for _ in range(PEERS)]

    @rule(number=_peers, message=_bodies)
    def a_peer_sends(self, number: int, message: Message) -> None:
        self.peer_sends(number, message)
        self.unread[number].append([self.name_of(number), *message])

    @rule()
    def receives(self) -> None:
        got = self.recv()
        self.require_received(got, [unread[0] for unread in self.unread if unread])
        for unread in self.unread:
            if unread and unread[0] == got:  # Of one peer alone, by the routing id.
                del unread[0]

    @rule(number=_peers, message=_bodies)
    def sends(self, number: int, message: Message) -> None:
        got = self.send([self.name_of(number), *message])
        assert got == 0, f"send gave {_said(got)}"
        self.require_heard([(number, message)])

    @rule(name=routing_ids(), message=_bodies)
    def sends_to_nobody(self, name: bytes, message: Message) -> None:
        wanted = zmq.EHOSTUNREACH if self.is_mandatory else 0
        got = self.send([name, *message])
        assert got == wanted, (
            f"send to an unknown routing id gave {_said(got)}, not {_said(wanted)}"
        )
        self.require_heard([])

    @invariant()
    def says_what_it_can_do(self) -> None:
        self.require_polled(zmq.POLLIN, any(self.unread))


# --- for users --------------------------------------------------------------------


def _machine(
    base: type[SocketMachine],
    make_socket: MakeSocket | None,
    simulated: bool,
    options: dict[int, int],
) -> type[SocketMachine]:
    members = {
        "make_socket": None if make_socket is None else staticmethod(make_socket),
        "simulated": simulated,
        "options": options,
        "__module__": __name__,
        "__doc__": base.__doc__,
    }
    return type(base.__name__, (base,), members)


def req_machine(
    make_socket: MakeSocket | None = None,
    *,
    relaxed: bool = False,
    correlate: bool = False,
    simulated: bool = False,
) -> type[SocketMachine]:
    """A state machine for REQ sockets; its `TestCase` is a test.

    Args:
        make_socket: Makes the socket under test from a context; None makes a plain one.
        relaxed, correlate: The options REQ_RELAXED and REQ_CORRELATE, which the machine sets.
        simulated: Whether all sockets are simulated; otherwise they are libzmq's.
    """
    options = {zmq.REQ_RELAXED: relaxed, zmq.REQ_CORRELATE: correlate}
    return _machine(
        ReqMachine, make_socket, simulated, {name: 1 for name, on in options.items() if on}
    )


def rep_machine(
    make_socket: MakeSocket | None = None, *, simulated: bool = False
) -> type[SocketMachine]:
    """A state machine for REP sockets; see `req_machine`."""
    return _machine(RepMachine, make_socket, simulated, {})


def dealer_machine(
    make_socket: MakeSocket | None = None, *, simulated: bool = False
) -> type[SocketMachine]:
    """A state machine for DEALER sockets; see `req_machine`."""
    return _machine(DealerMachine, make_socket, simulated, {})


def router_machine(
    make_socket: MakeSocket | None = None, *, mandatory: bool = False, simulated: bool = False
) -> type[SocketMachine]:
    """A state machine for ROUTER sockets; see `req_machine`.

    Args:
        make_socket, simulated: As of `req_machine`.
        mandatory: The option ROUTER_MANDATORY, which the machine sets.
    """
    return _machine(
        RouterMachine, make_socket, simulated, {zmq.ROUTER_MANDATORY: 1} if mandatory else {}
    )
