"""Outcomes: each op that was asked has exactly one, and it is `ok`, be it late."""

from __future__ import annotations

from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario


class OneOutcomeChecker(Checker):
    """An `info` may be settled later by one `ok`: the reply came after it was given up."""

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._open: dict[str, Event] = {}
        self._given_up: dict[str, Event] = {}  # May be settled however late.
        self._asked: dict[str, Event] = self.ops.table()
        self._ended: dict[str, Event] = self.ops.table()

    def on_invoke(self, event: Event) -> None:
        op = event.op
        before = self._asked.get(op)
        if before is not None:
            self.broken(f"{op} was asked twice under one id", before, event)
        self._asked[op] = self._open[op] = event

    def on_ok(self, event: Event) -> None:
        op = event.op
        self.facts += 1
        invoke = self._asked.get(op)
        given_up = self._given_up.pop(op, None)
        before = self._ended.get(op) or given_up
        if before is None:
            if invoke is None:
                self.broken(f"{op} has the outcome {event.kind} and was never asked", event)
        elif not (before.kind == "info" and event.kind == "ok"):
            self.broken(
                f"{op} has two outcomes, {before.kind} and {event.kind}", invoke, before, event
            )
        self._open.pop(op, None)
        self._ended[op] = event
        if event.kind == "info":
            self._given_up[op] = event

    on_fail = on_info = on_ok

    def finish(self) -> None:
        for op, invoke in self._open.items():
            self.broken(f"{op} was asked and has no outcome", invoke)


class ProgressChecker(Checker):
    """Judges the load; fresh requests, which come after it, are for `recovery`."""

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._crash: Event | None = None
        self._given_up: dict[str, Event] = {}

    def on_crash(self, event: Event) -> None:
        self._crash = self._crash or event

    def on_ok(self, event: Event) -> None:
        self.facts += 1
        self._given_up.pop(event.op, None)

    def on_info(self, event: Event) -> None:
        """While something is wrong a reply may be late: it counts if it comes at all."""
        if self.scenario.faults:
            self._given_up[event.op] = event
        else:
            self.on_fail(event)

    def finish(self) -> None:
        for event in self._given_up.values():
            self.on_fail(event)

    def on_fail(self, event: Event) -> None:
        if self.scenario.is_fresh(event.op):
            return
        self.facts += 1
        invoke = self.ops.asked.get(event.op)
        last = self.ops.seen.get(event.op)
        where = f"; it was last seen at {last.node}" if last is not None else ""
        why = event.text.strip().splitlines()[-1] if event.text else event.kind
        self.broken(f"{event.op} was not answered: {why}{where}", invoke, last, self._crash, event)


ONE_OUTCOME = Property(
    "one-outcome", "each op that is asked has exactly one outcome", OneOutcomeChecker
)
PROGRESS = Property(
    "progress",
    "every op ends, and is answered, if late where something goes wrong",
    ProgressChecker,
)
