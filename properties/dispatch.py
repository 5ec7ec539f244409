"""Dispatch: which worker gets the next request, and who waits behind whom."""

from __future__ import annotations

from collections import deque

from reqrep.harness.frames import is_shortened, show_frame
from reqrep.harness.history import Event
from reqrep.harness.history.event import NS_PER_MS
from reqrep.harness.lens import End, Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario
from reqrep.harness.workload import NS_PER_S

HELD_UP_MS = 250
"""A request that lies unread for longer, while its server works on another, is held up.

A busy machine was seen to let a thread wait for 189 ms; real work that blocks takes longer."""

UNSEEN_MS = 1000
"""A request that lies unread for longer, while no work of its server was seen, leaves a doubt."""

PAUSES = 64
"""How many pauses of the machine are kept; those before matter to no request that is open."""


class MachinePauses:
    """When the machine stood still, as a real world notes it: for that nobody is to blame."""

    def __init__(self) -> None:
        self._paused_ns: deque[tuple[int, int]] = deque(maxlen=PAUSES)

    def paused(self, event: Event) -> None:
        """Take in a pause."""
        self._paused_ns.append((event.time_ns, event.time_ns + event.number))

    def without(self, begun_ns: int, until_ns: int) -> int:
        """How long a time was, pauses left out."""
        paused_ns = sum(
            max(0, min(until_ns, paused[1]) - max(begun_ns, paused[0]))
            for paused in self._paused_ns
        )
        return until_ns - begun_ns - paused_ns


class _BrokerChecker(Checker):
    """Watches the one role that hands requests to workers, by their routing ids."""

    def wants(self, end: End) -> bool:
        hop = end.hop
        return end.shows_peer and hop is not None and "client" not in (hop.sender, hop.receiver)

    def on_reply_received(self, event: Event, end: End, op: str | None) -> None:
        self.freed(event)

    def on_control_received(self, event: Event, end: End, op: str | None) -> None:
        membership = self.pattern.membership
        if membership is None or event.frames[-1] == membership.joins:
            self.freed(event)  # Anything else, such as a heartbeat, comes from the busy as well.

    def freed(self, event: Event) -> None:
        """A worker says that it can take a request."""


class OneAtATimeChecker(_BrokerChecker):
    """A worker holds what it was given until it has replied to it, and to nothing else.

    A worker that says that it is free while it holds something may have come anew, and then it
    will never reply to that; or it has said so before it got it. So it is free for now, but its
    reply to the first, once it was given another, shows that it held two.
    """

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._busy: dict[bytes, Event] = {}
        self._doubtful: dict[bytes, Event] = {}  # What those held who then said that they are free.

    def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
        worker = event.frames[0]
        before = self._busy.get(worker)
        self.facts += 1
        if before is not None:
            self._held_two(before, event)
        self._busy[worker] = event
        doubtful = self._doubtful.get(worker)
        if doubtful is not None and doubtful.op_in_frames == op:
            del self._doubtful[worker]  # It was given the same again.

    def on_reply_received(self, event: Event, end: End, op: str | None) -> None:
        worker = event.frames[0]
        held, doubtful = self._busy.get(worker), self._doubtful.get(worker)
        if held is not None and op in (None, held.op_in_frames):
            del self._busy[worker]
        if doubtful is not None and op == doubtful.op_in_frames:
            del self._doubtful[worker]
            if held is not None:
                self._held_two(doubtful, held, event)

    def freed(self, event: Event) -> None:
        worker = event.frames[0]
        held = self._busy.pop(worker, None)
        if held is not None:
            self._doubtful[worker] = held

    def _held_two(self, before: Event, event: Event, *more: Event) -> None:
        self.broken(
            f"{event.node} gave {event.op_in_frames} to worker {show_frame(event.frames[0])}, "
            f"which still holds {before.op_in_frames}",
            before,
            event,
            *more,
        )


class OldestReadyFirstChecker(_BrokerChecker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ready: dict[bytes, Event] = {}  # Longest first.

    def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
        worker = event.frames[0]
        oldest = next(iter(self._ready), None)
        self.facts += 1
        if oldest is not None and worker != oldest:
            self.broken(
                f"{event.node} gave {op} to worker {show_frame(worker)} while worker "
                f"{show_frame(oldest)} was ready for longer",
                self._ready[oldest],
                self._ready.get(worker),
                event,
            )
        self._ready.pop(worker, None)

    def freed(self, event: Event) -> None:
        self._ready.setdefault(event.frames[0], event)


class MembershipChecker(_BrokerChecker):
    """Work goes to workers that have joined, at this socket, and were heard of lately.

    Whether a worker that was silent for too long and then sends something is one again, each
    protocol decides for itself: it is judged when it is given work. Another socket of a
    broker, as after a restart, knows nobody yet.
    """

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        silence_s = None if self.pattern.membership is None else self.pattern.membership.silence_s
        self._silence_ns = None if silence_s is None else int(silence_s * NS_PER_S)
        self._heard: dict[tuple[int, bytes], Event] = {}  # The last of each member.
        self._machine = MachinePauses()

    def on_paused(self, event: Event) -> None:
        self._machine.paused(event)

    def freed(self, event: Event) -> None:
        self._heard[event.socket, event.frames[0]] = event

    def on_reply_received(self, event: Event, end: End, op: str | None) -> None:
        self._again(event)

    def on_control_received(self, event: Event, end: End, op: str | None) -> None:
        super().on_control_received(event, end, op)
        self._again(event)

    def _again(self, event: Event) -> None:
        member = event.socket, event.frames[0]
        if member in self._heard:
            self._heard[member] = event

    def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
        worker = event.frames[0]
        heard = self._heard.get((event.socket, worker))
        self.facts += 1
        if heard is None:
            self.broken(
                f"{event.node} gave {op} to worker {show_frame(worker)}, which never joined", event
            )
            return
        silent_ns = self._machine.without(heard.time_ns, event.time_ns)
        if self._silence_ns is not None and silent_ns > self._silence_ns:
            self.broken(
                f"{event.node} gave {op} to worker {show_frame(worker)}, of which it had heard "
                f"nothing for {silent_ns / NS_PER_MS:.0f} ms; after {self._silence_ns / NS_PER_MS:.0f} it is dead",
                heard,
                event,
            )


class HeadOfLineChecker(Checker):
    """A server that works where it reads leaves everybody unread while it works on one.

    Looked for: a request that lay unread, after it was sent and after its server had read
    the request before it, while the server worked. Work is what lies between the beginning
    and the end of its service; of a server that calls none it is all that time. Who leaves
    a request unread for long, and works on nothing that can be seen, may sleep beside its
    service: unknown. A body so large that its transfer takes long is left out.

    A time in which the machine stood still, as a real world notes it, counts for nothing.

    A fact is a piece of work that took so long that it could have held somebody up.
    """

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._sent: dict[str, Event] = self.ops.table()
        self._last_read: dict[str, Event] = {}
        self._answered: dict[str, Event] = {}
        self._working: dict[str, dict[str, int]] = {}  # node -> op -> since when
        self._worked_ns: dict[str, tuple[int, int]] = {}  # node -> its last long work
        self._machine = MachinePauses()

    def on_paused(self, event: Event) -> None:
        self._machine.paused(event)

    def on_execute(self, event: Event) -> None:
        self._working.setdefault(event.node, {})[event.op] = event.time_ns

    def on_executed(self, event: Event) -> None:
        since_ns = self._working.get(event.node, {}).pop(event.op, event.time_ns)
        if event.time_ns - since_ns > HELD_UP_MS * NS_PER_MS:
            self._worked_ns[event.node] = since_ns, event.time_ns
            self.facts += 1

    def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
        if end.role == "client" and op is not None:
            self._sent[op] = event  # The last time, if it was asked again.

    def on_reply_sent(self, event: Event, end: End, op: str | None) -> None:
        self._answered[event.node] = event

    def on_request_received(self, event: Event, end: End, op: str | None) -> None:
        before = self._last_read.get(event.node)
        self._last_read[event.node] = event
        sent = self._sent.get(op) if op is not None else None
        if before is None or sent is None or any(map(is_shortened, event.frames)):
            return
        begun_ns = max(sent.time_ns, before.time_ns)
        unread_ns = self._unread_ns(event, begun_ns)
        if unread_ns > HELD_UP_MS * NS_PER_MS:
            answered = self._answered.get(event.node)
            self.facts += 1
            self.broken(
                f"head-of-line blocking: {op} lay unread at {event.node} for "
                f"{unread_ns / NS_PER_MS:.0f} ms while it worked on the request before",
                before,
                sent,
                answered if answered is not None and answered.time_ns > before.time_ns else None,
                event,
            )
            return
        unseen_ns = self._machine.without(begun_ns, event.time_ns) - max(0, unread_ns)
        if unseen_ns > UNSEEN_MS * NS_PER_MS:
            self.unknown(
                f"{op} lay unread at {event.node} for {unseen_ns / NS_PER_MS:.0f} ms in which it called no "
                "service: what it does beside that cannot be seen"
            )

    def _unread_ns(self, event: Event, begun_ns: int) -> int:
        """How long the message lay unread while its server worked."""
        until_ns = event.time_ns
        if event.node in self._working:  # Otherwise its work cannot be seen, and all time counts.
            worked_ns = self._worked_ns.get(event.node, (0, 0))
            begun_ns, until_ns = max(begun_ns, worked_ns[0]), min(until_ns, worked_ns[1])
        return self._machine.without(begun_ns, until_ns)


ONE_AT_A_TIME = Property("one-at-a-time", "a worker holds at most one request", OneAtATimeChecker)
OLDEST_READY_FIRST = Property(
    "oldest-ready-first", "work goes to the worker that is ready longest", OldestReadyFirstChecker
)
MEMBERSHIP = Property(
    "membership", "work goes to workers that have joined and are not silent", MembershipChecker
)
HEAD_OF_LINE = Property(
    "head-of-line", "a slow request holds up no other that its server could read", HeadOfLineChecker
)
