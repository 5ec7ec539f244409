"""Random programs of socket calls, and what each call gives, in the simulation and on libzmq.

A program is a plain value: some sockets, then calls on them. `Machine` runs it call by call
on one of two sides, and both sides must answer alike: results, error numbers, poll masks.
Nothing in it blocks, and each call is followed by a moment in which the side comes to rest.

What libzmq draws at random is replaced by the order of its first appearance: the ids that a
ROUTER gives to peers without a name, and the request ids of a REQ.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import zmq

from reqrep.harness.simulation import SimulatedError, Simulation, constants as c, poll

from .quiet import THREADS, LibzmqThreads

KINDS = (c.REQ, c.REP, c.DEALER, c.ROUTER)
ENDPOINTS = 3
FRAMES = (b"", b"A", b"B", b"C", b"x", b"1234", b"@0", b"@1")
"""What frames are drawn from: names of peers, envelopes, what looks like a request id. `@1` is
the second id that a ROUTER made up."""

VERBS = {
    "send": 10, "reply": 6, "recv": 12, "part": 1.5, "recv_part": 1.5, "poll": 6, "bind": 3,
    "connect": 5, "disconnect": 0.8, "unbind": 0.6, "reconnect": 0.6, "close": 0.8, "open": 1.2,
    "limit": 0.6,
}  # fmt: skip
"""How often each verb is drawn."""

LIMITS: tuple[dict[str, int], ...] = (
    {}, {}, {"sndhwm": 2, "rcvhwm": 1}, {"sndhwm": 1, "rcvhwm": 3}, {"sndhwm": 0, "rcvhwm": 1},
)  # fmt: skip
FLAGS: dict[int, tuple[dict[str, int], ...]] = {
    c.REQ: ({}, {"req_relaxed": 1}, {"req_relaxed": 1, "req_correlate": 1}, {"probe_router": 1}),
    c.REP: ({},),
    c.DEALER: ({}, {}, {"probe_router": 1}),
    c.ROUTER: ({}, {"router_mandatory": 1}, {"router_handover": 1}, {"probe_router": 1},
               {"router_mandatory": 1, "router_handover": 1}),
}  # fmt: skip


class Plan(NamedTuple):
    """A socket of a program.

    Attributes:
        kind: Its type.
        name: Its routing id; empty for none.
        options: What else is set.
    """

    kind: int
    name: bytes = b""
    options: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"{c.TYPE_NAMES[self.kind]}{name}{dict(self.options) or ''}"


class Call(NamedTuple):
    """A call of a program.

    Attributes:
        verb: One of `VERBS`.
        socket: The number of its socket.
        endpoint: The number of its endpoint, of verbs that have one.
        frames: What is sent; of `connect`, a CONNECT_ROUTING_ID if there is any.
        wanted: What a poll asks for; of `limit`, the new RCVHWM, and SNDHWM is one less.
    """

    verb: str
    socket: int
    endpoint: int = 0
    frames: tuple[bytes, ...] = ()
    wanted: int = 0


class Program(NamedTuple):
    """Sockets, and calls on them."""

    plans: tuple[Plan, ...]
    calls: tuple[Call, ...]

    def __str__(self) -> str:
        used = {call.socket for call in self.calls}
        return "\n".join([
            *(f"socket {number}: {plan}" for number, plan in enumerate(self.plans)
              if number in used),
            *map(str, self.calls),
        ])  # fmt: skip


def draw_plan(draw: Random) -> Plan:
    """A socket. Names may collide: a duplicate id is a rule too."""
    kind = draw.choice(KINDS)
    options = draw.choice(LIMITS) | draw.choice(FLAGS[kind])
    return Plan(kind, draw.choice((b"", b"A", b"B", b"C")), tuple(options.items()))


def draw_call(draw: Random, sockets: int, number: int) -> Call:
    """A call; `number` is its place in the program."""
    [verb] = draw.choices(tuple(VERBS), tuple(VERBS.values()))
    index = draw.randrange(sockets)
    if verb in ("send", "reply", "part"):
        return Call(verb, index, frames=tuple(draw.choices(FRAMES, k=draw.randint(1, 4))))
    if verb in ("poll", "limit"):
        return Call(verb, index, wanted=draw.randint(1, 3))
    if verb == "connect" and draw.random() < 0.15:
        # libzmq aborts on the second use of a name.
        return Call(verb, index, draw.randrange(ENDPOINTS), (b"K%d" % number,))
    return Call(verb, index, draw.randrange(ENDPOINTS))


def draw_program(seed: int) -> Program:
    """The program of a seed."""
    draw = Random(seed)
    plans = tuple(draw_plan(draw) for _ in range(draw.choice((1, 2, 2, 3, 3, 4, 5))))
    # Most programs begin with connections, since without them little happens.
    calls = []
    for index in range(len(plans)):
        if draw.random() < 0.8:
            calls.append(Call(draw.choice(("bind", "connect")), index, draw.randrange(2)))
    draw.shuffle(calls)
    size = draw.randint(15, 25)
    calls += [draw_call(draw, len(plans), number) for number in range(len(calls), size)]
    return Program(plans, tuple(calls))


class Side:
    """Where a program runs: makes sockets and comes to rest; one program at a time."""

    def open(self, plan: Plan) -> Any:
        """A socket, which has the methods of pyzmq's."""
        raise NotImplementedError

    def poll(self, items: list[tuple[Any, int]]) -> list[int]:
        """The events of sockets, now."""
        raise NotImplementedError

    def send(self, socket: Any, frames: list[bytes], flags: int) -> None:
        """Send a message, or a part of one."""
        raise NotImplementedError

    def recv(self, socket: Any) -> list[bytes]:
        """Receive a message."""
        raise NotImplementedError

    def rest(self) -> None:
        """Nothing is under way any more."""
        raise NotImplementedError

    def finish(self) -> None:
        """The program is over."""


class Machine:
    """Runs a program on a side, call by call.

    Args:
        side: Where.
        plans: The sockets, which are all open at first.
        run: Tells the endpoints of one program from those of another.
    """

    def __init__(self, side: Side, plans: tuple[Plan, ...], run: int = 0) -> None:
        self.side = side
        self.plans = plans
        self.run = run
        self._sockets: list[Any] = [side.open(plan) for plan in plans]
        self._addresses: dict[int, list[bytes]] = {}  # Of the last message that a socket got.
        self._made_up: list[bytes] = []
        self._request_ids: list[bytes] = []
        self._bound: dict[int, int] = {}  # Which socket has an endpoint.
        self._early: set[tuple[int, int]] = set()  # Who connected to an endpoint before its bind.
        self._receiving: set[int] = set()  # Who is between two frames of a message.
        self._sending: set[int] = set()
        self._torn: set[int] = set()  # REQs that could not send the last frame of a request.
        self._looking: set[int] = set()  # Who was polled since it received.
        # Whether any connection may have; a handover ends them too.
        self._has_ended = any("router_handover" in dict(plan.options) for plan in plans)

    def step(self, call: Call) -> object:
        """What a call gives: an error number that is not 0, or a result."""
        socket = self._sockets[call.socket]
        if call.verb == "open":
            if socket is not None:
                return None
            self._sockets[call.socket] = self.side.open(self.plans[call.socket])
            return 0
        if socket is None or self._is_left_out(call):
            return None
        if call.verb in ("send", "reply", "part"):
            # Before it sends libzmq looks into the mailbox about once per millisecond; before it
            # says that an endpoint is unknown it looks always.
            self._error(socket.unbind, "inproc://unknown")
        result = getattr(self, f"_{call.verb}")(socket, call)
        self.side.rest()
        return result

    def _is_left_out(self, call: Call) -> bool:
        """Whether libzmq cannot be asked for this; see `nondeterminism.py`."""
        index, endpoint = call.socket, call.endpoint
        if call.verb in ("send", "reply", "part"):
            return index in self._torn
        if call.verb == "limit":
            return self._has_ended or bool(self._sending)
        is_early = (index, endpoint) in self._early
        if call.verb == "bind":
            return is_early  # It would connect to itself.
        if call.verb in ("connect", "reconnect") and self._bound.get(endpoint) == index:
            return True
        if call.verb not in ("disconnect", "unbind", "reconnect"):
            return False
        is_naming = self.plans[index].kind in (c.ROUTER, c.REP)
        return (
            index in self._receiving | self._sending
            or is_early
            or (is_naming and index in self._looking)
        )

    def close(self) -> None:
        """Close what is open."""
        for number, socket in enumerate(self._sockets):
            if socket is not None:
                socket.close(0)
                self._sockets[number] = None
        self.side.finish()

    # --- verbs ----------------------------------------------------------------

    def _endpoint(self, call: Call) -> str:
        return f"inproc://{self.run}-{call.endpoint}"

    def _error(self, call: Callable[..., object], *arguments: object) -> int:
        try:
            call(*arguments)
        except (SimulatedError, zmq.ZMQError) as error:
            return error.errno or 0
        return 0

    def _send(self, socket: Any, call: Call) -> object:
        return self._send_all(socket, call, self._meant(call.frames))

    def _send_all(self, socket: Any, call: Call, frames: list[bytes]) -> int:
        code = self._error(self.side.send, socket, frames, c.DONTWAIT)
        if not code:
            self._sending.discard(call.socket)
        elif call.socket in self._sending and self.plans[call.socket].kind == c.REQ:
            self._torn.add(call.socket)
        return code

    def _reply(self, socket: Any, call: Call) -> object:
        address = self._addresses.get(call.socket, [])
        return self._send_all(socket, call, address + self._meant(call.frames))

    def _part(self, socket: Any, call: Call) -> object:
        [frame, *_] = self._meant(call.frames)
        code = self._error(self.side.send, socket, [frame], c.DONTWAIT | c.SNDMORE)
        if not code:
            self._sending.add(call.socket)
        return code

    def _recv(self, socket: Any, call: Call) -> object:
        got: list[bytes] = []
        code = self._error(lambda: got.extend(self.side.recv(socket)))
        self._receiving.discard(call.socket)
        if code in (0, c.EAGAIN):
            self._looking.discard(call.socket)
        if code:
            return code
        end = got.index(b"") if b"" in got else 0
        self._addresses[call.socket] = got[: end + 1]
        return self._shown(got)

    def _recv_part(self, socket: Any, call: Call) -> object:
        got: list[bytes] = []
        code = self._error(lambda: got.append(socket.recv(c.DONTWAIT)))
        if code:
            return code
        if goes_on := socket.get(c.RCVMORE):
            self._receiving.add(call.socket)
        else:
            self._receiving.discard(call.socket)
        return self._shown(got), goes_on

    def _poll(self, socket: Any, call: Call) -> object:
        items = [(each, call.wanted) for each in self._sockets if each is not None]
        if call.wanted == 3:
            items = [(socket, 3)]
        self._looking |= {
            number
            for number, each in enumerate(self._sockets)
            if any(each is polled for polled, _ in items)
        }
        return self.side.poll(items)

    def _limit(self, socket: Any, call: Call) -> object:
        socket.set(c.RCVHWM, call.wanted)
        socket.set(c.SNDHWM, call.wanted - 1)
        return 0

    def _bind(self, socket: Any, call: Call) -> object:
        code = self._error(socket.bind, self._endpoint(call))
        if not code:
            self._bound[call.endpoint] = call.socket
            self._early = {early for early in self._early if early[1] != call.endpoint}
        return code

    def _connect(self, socket: Any, call: Call) -> object:
        if call.frames and self.plans[call.socket].kind == c.ROUTER:
            socket.set(c.CONNECT_ROUTING_ID, call.frames[0])
        if call.endpoint not in self._bound:
            self._early.add((call.socket, call.endpoint))
        return self._error(socket.connect, self._endpoint(call))

    def _disconnect(self, socket: Any, call: Call) -> object:
        return self._release(socket.disconnect, call)

    def _unbind(self, socket: Any, call: Call) -> object:
        return self._release(socket.unbind, call)

    def _release(self, release: Callable[..., object], call: Call) -> int:
        # Over inproc each of the two frees the name of a socket that has bound it.
        self._has_ended = True
        code = self._error(release, self._endpoint(call))
        if not code and self._bound.get(call.endpoint) == call.socket:
            del self._bound[call.endpoint]
        return code

    def _reconnect(self, socket: Any, call: Call) -> object:
        return self._disconnect(socket, call), self._connect(socket, call)

    def _close(self, socket: Any, call: Call) -> object:
        socket.close(0)
        self._has_ended = True
        self._sockets[call.socket] = None
        self._looking.discard(call.socket)
        self._sending.discard(call.socket)
        self._torn.discard(call.socket)
        self._receiving.discard(call.socket)
        self._bound = {key: own for key, own in self._bound.items() if own != call.socket}
        self._early = {early for early in self._early if early[0] != call.socket}
        return 0

    # --- what is random -------------------------------------------------------

    def _shown(self, frames: list[bytes]) -> list[bytes]:
        """What was received, with places instead of random ids."""
        return [self._place(frame) for frame in frames]

    def _place(self, frame: bytes) -> bytes:
        if len(frame) == 5 and frame[0] == 0:
            return b"@%d" % _place_in(self._made_up, frame)
        if len(frame) == 4 and frame != b"1234":
            return b"#%d" % _place_in(self._request_ids, frame)
        return frame

    def _meant(self, frames: tuple[bytes, ...]) -> list[bytes]:
        """What a program sends: `@1` is the second id that a ROUTER made up, if it did."""
        return [
            self._made_up[int(frame[1:])]
            if frame[:1] == b"@" and int(frame[1:]) < len(self._made_up)
            else frame
            for frame in frames
        ]


def _place_in(seen: list[bytes], frame: bytes) -> int:
    if frame not in seen:
        seen.append(frame)
    return seen.index(frame)


class RealSide(Side):
    """libzmq; one context for many programs."""

    def __init__(self) -> None:
        # Those of another test's context may sleep while ours, not yet named, still works.
        self.threads = LibzmqThreads(besides=os.listdir(THREADS))
        self.context: zmq.Context[Any] = zmq.Context()
        self.context.socket(zmq.PAIR).close(0)  # The first socket starts the threads.
        while len(self.threads) < 2:  # A reaper and an I/O thread; they name themselves.
            self.threads.look()

    def open(self, plan: Plan) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self.context.socket(plan.kind)
        if plan.name:
            socket.set(c.ROUTING_ID, plan.name)
        for name, value in plan.options:
            socket.set(getattr(c, name.upper()), value)
        return socket

    def poll(self, items: list[tuple[Any, int]]) -> list[int]:
        found = dict(zmq.zmq_poll(items, 0))
        return [found.get(socket, 0) for socket, _ in items]

    def send(self, socket: Any, frames: list[bytes], flags: int) -> None:
        socket.send_multipart(frames, flags)

    def recv(self, socket: Any) -> list[bytes]:
        return list(socket.recv_multipart(c.DONTWAIT))

    def rest(self) -> None:
        seen = 0
        while seen < 2:  # Twice, for a thread may sleep for a lock on its way.
            seen = seen + 1 if self.threads.are_asleep() else 0

    def finish(self) -> None:
        self.rest()

    def end(self) -> None:
        """Close the context."""
        self.threads.close()
        self.context.term()


class SimulatedSide(Side):
    """The simulation; a fresh one for each program."""

    def __init__(self) -> None:
        self.simulation = Simulation()
        self.context = self.simulation.context("node")

    def open(self, plan: Plan) -> Any:
        socket = self.context.socket(plan.kind)
        if plan.name:
            socket.set(c.ROUTING_ID, plan.name)
        for name, value in plan.options:
            socket.set(getattr(c, name.upper()), value)
        return socket

    def poll(self, items: list[tuple[Any, int]]) -> list[int]:
        return poll(self.simulation.scheduler, items, 0)

    def send(self, socket: Any, frames: list[bytes], flags: int) -> None:
        if flags & c.SNDMORE:
            socket.send(frames[0], flags)
        else:
            socket.send_message(frames, flags)

    def recv(self, socket: Any) -> list[bytes]:
        return list(socket.recv_message(c.DONTWAIT))

    def rest(self) -> None:
        self.simulation.run()
