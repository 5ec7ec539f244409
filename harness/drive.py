"""Drives one client: pace, op ids, windows, timeouts and bookkeeping.

A client of a pattern knows how to send a body and how to get one back, and nothing
else. Everything that makes it a load is here, the same in every world.

What a client's own code does decides how an op ends:

* it returns a body: `ok`, even when the body answers another op, which is then a
  finding of the property `correlation`;
* its `call` gives up, by `zmq.Again`, `TimeoutError` or `None`: `info`, since the request
  may have been executed all the same;
* it raises anything else: `fail` if no message of the op had left the client,
  otherwise `info`;
* it does not return: `info` when the harness ends the run.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any, Protocol

import zmq

from .errors import MisuseError
from .frames import asker_of, find_op, op_id, tag
from .scenario import Scenario
from .workload import NS_PER_S, ClosedLoop, is_body, planned_times

FULL_NS = 1_000_000
"""How long a driver reads before it asks again whether there is room to send, in nanoseconds."""

FRUITLESS_AT_MOST = 10_000
"""How often in a row a client may find nothing for itself in a socket that stays readable."""

OPEN_AT_MOST = 500
"""How many requests a pipelining client has open at a time, whatever its window or its pace.

As many replies find room however long the machine lets the client wait: a pipe takes 1000 messages
by default, and who fills it may have learnt nothing of the last 499 that were read (`compute_lwm`
in libzmq's pipe.cpp). With more open a ROUTER throws replies away, by no fault of those judged."""

FRESH_TIMEOUTS = 3
"""How many time-outs of an op long a client asks afresh before it is given up for lost."""


class Stage(Protocol):
    """What a world gives the driver of one client."""

    @property
    def stopping(self) -> bool:
        """Whether the run is over."""

    def clock(self) -> int:
        """Nanoseconds since the run began, as the history counts them."""

    def sleep_until(self, time_ns: int) -> None:
        """Wait, but not past the end of the run."""

    def poll(self, until_ns: int) -> bool:
        """Wait until a socket of the client has input, or the time has come."""

    def can_send(self) -> bool:
        """Whether a request could be sent now without waiting, as far as is known."""

    def note(
        self,
        kind: str,
        op: str = "",
        frames: Sequence[bytes] = (),
        text: str = "",
        number: int = 0,
    ) -> None:
        """Write down an event of the client."""

    def has_sent(self, op: str) -> bool:
        """Whether a message of that op has left the client."""


class Progressing(Protocol):
    """A driver, as those see it who wait for it; see the attributes of `Driver`."""

    answered: int
    latencies_ns: list[int]
    is_done: bool
    is_through: bool
    open_since_ns: int | None


class Driver:
    """The load of one client.

    Args:
        scenario: The plan.
        number: The number of the client, from 0.
        client: The client, as its pattern made it.
        stage: What the world gives.

    Attributes:
        answered: How many replies it has had.
        latencies_ns: Of all of them, from the planned time.
        is_done: Whether all its ops have ended.
        is_through: Whether the fresh one has, too, that comes after faults.
        open_since_ns: Since when a call of the client has been blocking, or would be, since there
            is no room to send; None between calls.
    """

    def __init__(self, scenario: Scenario, number: int, client: Any, stage: Stage) -> None:
        self._number = number
        self._client = client
        self._stage = stage
        self._workload = scenario.demand
        self._clients = scenario.nodes.clients
        self._count = self._workload.share_of(number, self._clients)
        self._timeout_ns = int(self._workload.timeout_s * NS_PER_S)
        self._bodies = self._workload.bodies.bodies(number, scenario.seed)
        self._seed = scenario.seed
        self._planned: Iterator[int] | None = None
        self._addressee = scenario.pattern.addressee
        self._is_lockstep = hasattr(client, "call")
        self.is_done = False
        self.is_through = False
        self.answered = 0
        self.latencies_ns: list[int] = []
        self.open_since_ns: int | None = None
        self._fruitless = 0

    def run(self, begun_ns: int) -> None:
        """Make all requests of this client and see how they end.

        Args:
            begun_ns: When the load began.
        """
        arrival = self._workload.arrival
        if not isinstance(arrival, ClosedLoop):
            times = planned_times(arrival, self._number, self._clients, self._seed)
            self._planned = (begun_ns + time_ns for time_ns in times)
        self._until_ended(self._run_lockstep if self._is_lockstep else self._run_pipelined)
        self.is_done = True

    def ask_afresh(self) -> None:
        """Make requests until one is answered, after the load and when all is whole again.

        A client may give up for reasons of its own, such as a slow service, so one request tells
        little. None is made by a client whose replies go to another.
        """
        if self._addressee(self._number, self._clients) == self._number:
            self._until_ended(self._ask_until_answered)
        self.is_through = True

    def _ask_until_answered(self) -> None:
        stage, answered = self._stage, self.answered
        ask = self._call_afresh if self._is_lockstep else self._send_afresh
        end_ns = stage.clock() + FRESH_TIMEOUTS * self._timeout_ns
        for number in count(self._count):
            if stage.stopping:
                return
            ask(number)
            if self.answered > answered or stage.clock() >= end_ns:
                return
            stage.sleep_until(stage.clock() + self._timeout_ns // 10)

    def _until_ended(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except zmq.ContextTerminated:
            if not self._stage.stopping:
                raise

    def drain(self) -> None:
        """Receive what nobody waits for any more, late or double: the properties want to see it."""
        if not self._is_lockstep:
            while not self._stage.stopping and self._stage.poll(self._stage.clock()):
                self._receive({})

    # --- lock-step ----------------------------------------------------------

    def _run_lockstep(self) -> None:
        stage, clock = self._stage, self._stage.clock
        planned = self._planned
        think_ns = self._think_ns()
        for number, body in enumerate(islice(self._bodies, self._count)):
            planned_ns = next(planned) if planned else clock() + think_ns
            if planned or think_ns:
                stage.sleep_until(planned_ns)
            if stage.stopping:
                return
            self._call(number, body, planned_ns)

    def _call_afresh(self, number: int) -> None:
        self._call(number, next(self._bodies), self._stage.clock())

    def _call(self, number: int, body: Sequence[bytes], planned_ns: int) -> None:
        note = self._stage.note
        op = op_id(self._number, number)
        request = tag(op, body)
        note("invoke", op, request, "", planned_ns)
        self.open_since_ns = self._stage.clock()
        try:
            reply = self._client.call(request)
        except (zmq.Again, TimeoutError) as error:
            note("info", op, text=f"the client gave up: {error!r}")
        except zmq.ContextTerminated:
            raise
        except Exception:
            self._raised(op)
        else:
            if reply is None:
                note("info", op, text="the client gave up")
            else:
                self._require_body(reply, "call")
                note("ok", op, reply)
                self._count_answer(planned_ns)
        self.open_since_ns = None

    def _raised(self, op: str) -> None:
        kind = "info" if self._stage.has_sent(op) else "fail"
        self._stage.note(kind, op=op, text=traceback.format_exc())

    # --- pipelined ----------------------------------------------------------

    def _run_pipelined(self) -> None:
        stage = self._stage
        arrival = self._workload.arrival
        window = arrival.window if isinstance(arrival, ClosedLoop) else self._count
        window = min(window, OPEN_AT_MOST)
        think_ns = self._think_ns()
        bodies = islice(self._bodies, self._count)
        addressee = self._addressee(self._number, self._clients)
        expected = sum(
            self._workload.share_of(client, self._clients)
            for client in range(self._clients)
            if self._addressee(client, self._clients) == self._number
        )
        outstanding: dict[str, tuple[int, int]] = {}  # op -> planned, deadline; oldest first
        asked = given_up = 0
        due_ns = next(self._planned) if self._planned else stage.clock() + think_ns
        heard_ns = stage.clock()
        full_since_ns: int | None = None
        while not stage.stopping:
            now_ns = stage.clock()
            has_room = asked - self.answered - given_up < window
            is_due = asked < self._count and has_room and due_ns <= now_ns
            # A client that waited for room to send would not read meanwhile, and lose replies
            # at its high-water mark by its own fault.
            can_send = is_due and stage.can_send()
            full_since_ns = (full_since_ns or now_ns) if is_due and not can_send else None
            self.open_since_ns = full_since_ns  # As long as a send would block.
            if can_send:
                op = op_id(self._number, asked)
                planned_ns = due_ns if self._planned else now_ns
                asked += 1
                if not self._send(op, next(bodies), planned_ns):
                    given_up += 1
                elif addressee == self._number:
                    outstanding[op] = planned_ns, now_ns + self._timeout_ns
                elif addressee is None:
                    stage.note("ok", op=op, text="sent; nobody is to be answered")
                    given_up += 1
                if self._planned and asked < self._count:
                    due_ns = next(self._planned)
                heard_ns = now_ns
                for _ in range(OPEN_AT_MOST):  # A peer may send without end.
                    if not self._has_input(stage.clock()):
                        break
                    self._receive(outstanding)
                continue
            if asked == self._count and self.answered + given_up >= expected:
                break
            deadline_ns = self._deadline(outstanding, heard_ns)
            if now_ns >= deadline_ns:
                if not outstanding:
                    if asked == self._count:
                        break  # The replies that are for this client do not come.
                    # At a pace slower than the time-out there may be none to give up.
                    given_up += asked > self.answered + given_up
                else:
                    op = next(iter(outstanding))
                    del outstanding[op]
                    given_up += 1
                    self._give_up(op)
                heard_ns = now_ns
                continue
            until_ns = deadline_ns
            if is_due:
                until_ns = min(until_ns, now_ns + FULL_NS)
            elif asked < self._count and has_room:
                until_ns = min(until_ns, due_ns)
            if self._has_input(until_ns):
                self._receive(outstanding)
                heard_ns = stage.clock()
                due_ns = due_ns if self._planned else heard_ns + think_ns
        self.open_since_ns = None
        until_ns = stage.clock() + self._timeout_ns
        while not stage.stopping and stage.clock() < until_ns and self._has_input(stage.clock()):
            # What nobody asked for any more: the properties want to see it.
            self._receive(outstanding)

    def _send_afresh(self, number: int) -> None:
        stage = self._stage
        asked_ns = stage.clock()
        deadline_ns = asked_ns + self._timeout_ns
        while not stage.can_send() and stage.clock() < deadline_ns:
            if self._has_input(min(deadline_ns, stage.clock() + FULL_NS)):
                self._receive({})
            if stage.stopping:
                return
        op = op_id(self._number, number)
        outstanding = {op: (asked_ns, deadline_ns)}
        if not self._send(op, next(self._bodies), asked_ns):
            return
        while outstanding and not stage.stopping:
            if self._has_input(deadline_ns):
                self._receive(outstanding)
            elif stage.clock() >= deadline_ns:
                self._give_up(op)
                return

    def _send(self, op: str, body: Sequence[bytes], planned_ns: int) -> bool:
        """Ask; whether the client did not refuse to."""
        request = tag(op, body)
        self._stage.note("invoke", op, request, "", planned_ns)
        self.open_since_ns = self._stage.clock()
        try:
            self._client.send(request)
        except zmq.ContextTerminated:
            raise
        except Exception:
            self._raised(op)
            return False
        finally:
            self.open_since_ns = None
        return True

    def _give_up(self, op: str) -> None:
        self._stage.note("info", op=op, text=f"no reply within {self._workload.timeout_s:g} s")

    def _deadline(self, outstanding: dict[str, tuple[int, int]], heard_ns: int) -> int:
        """When the oldest request is given up; a client that gets the replies of others
        gives up when nothing has come for as long."""
        if outstanding:
            return next(iter(outstanding.values()))[1]
        return heard_ns + self._timeout_ns

    def _has_input(self, until_ns: int) -> bool:
        """Wait until something has come for the client, or the time has."""
        has_come = self._stage.poll(until_ns)
        if not has_come:
            self._fruitless = 0
        return has_come

    def _receive(self, outstanding: dict[str, tuple[int, int]]) -> None:
        self.open_since_ns = self._stage.clock()
        try:
            reply = self._client.recv()
        except zmq.Again:
            reply = None  # What made the socket readable was no message for the client.
        finally:
            self.open_since_ns = None
        if reply is None:
            self._fruitless += 1
            if self._fruitless == FRUITLESS_AT_MOST:
                raise MisuseError(
                    f"recv() of the client {type(self._client).__name__} was called "
                    f"{FRUITLESS_AT_MOST:,} times while a socket of its own was readable, and "
                    "returned no reply; it must read what has come, even if it is for nobody"
                )
            return
        self._fruitless = 0
        self._require_body(reply, "recv")
        op = find_op(reply)
        if op is None:  # The service lost the op id: all that is left is the order.
            op = next(iter(outstanding), op_id(self._number, 0))
        self._stage.note("ok", op, reply)
        planned_ns, _ = outstanding.pop(op, (None, 0))
        if planned_ns is not None:
            self._count_answer(planned_ns)
        elif asker_of(op) != self._number:
            self.answered += 1

    def _require_body(self, reply: object, method: str) -> None:
        # An empty list is what is left of a malformed reply: the peer's doing, not the client's.
        if not is_body(reply):
            raise MisuseError(
                f"{method}() of the client {type(self._client).__name__} returned {reply!r}; it "
                "must return the body of the reply, a list of frames such as recv_multipart() does"
            )

    # --- both ---------------------------------------------------------------

    def _think_ns(self) -> int:
        arrival = self._workload.arrival
        return int(arrival.think_time_s * NS_PER_S) if isinstance(arrival, ClosedLoop) else 0

    def _count_answer(self, planned_ns: int) -> None:
        self.answered += 1
        self.latencies_ns.append(self._stage.clock() - planned_ns)
