"""Outcomes: each op that was asked has exactly one, and as long as nothing goes wrong it is `ok`."""

from __future__ import annotations

from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

from .state import OpTable


class _Life:
    __slots__ = ("invoke", "last", "outcome")

    def __init__(self) -> None:
        self.invoke: Event | None = None
        self.last: Event | None = None
        self.outcome: Event | None = None


class OneOutcomeChecker(Checker):
    """An `info` may be settled later by one `ok`: the reply came after it was given up."""

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ops = OpTable(_Life)
        self._open: dict[str, Event] = {}

    def on_invoke(self, event: Event) -> None:
        life = self._ops[event.op]
        if life.invoke is not None:
            self.broken(f"{event.op} was asked twice under one id", life.invoke, event)
        life.invoke = event
        self._open[event.op] = event

    def on_ok(self, event: Event) -> None:
        life = self._ops[event.op]
        self._open.pop(event.op, None)
        if event.kind != "info":  # That may be settled however late.
            self._ops.end(event.op)
        self.facts += 1
        before = life.outcome
        if life.invoke is None:
            self.broken(f"{event.op} has the outcome {event.kind} and was never asked", event)
        elif before is not None and not (before.kind == "info" and event.kind == "ok"):
            self.broken(
                f"{event.op} has two outcomes, {before.kind} and {event.kind}",
                life.invoke,
                before,
                event,
            )
        life.outcome = event

    on_fail = on_info = on_ok

    def finish(self) -> None:
        for op, invoke in self._open.items():
            self.broken(f"{op} was asked and has no outcome", invoke)


class ProgressChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ops = OpTable(_Life)
        self._crash: Event | None = None
        self._given_up: dict[str, tuple[_Life, Event]] = {}

    def on_invoke(self, event: Event) -> None:
        self._ops[event.op].invoke = event

    def on_crash(self, event: Event) -> None:
        self._crash = self._crash or event

    def on_send(self, event: Event) -> None:
        crossing = self.lens.crossing(event)
        if crossing is not None and crossing.op is not None:
            self._ops[crossing.op].last = event

    on_recv = on_send

    def on_ok(self, event: Event) -> None:
        self.facts += 1
        self._given_up.pop(event.op, None)
        self._ops.end(event.op)

    def on_info(self, event: Event) -> None:
        """While something is wrong a reply may be late: it counts if it comes at all."""
        if self.scenario.faults:
            self._given_up[event.op] = self._ops[event.op], event
        else:
            self.on_fail(event)

    def finish(self) -> None:
        for life, event in self._given_up.values():
            self._unanswered(life, event)

    def on_fail(self, event: Event) -> None:
        self._unanswered(self._ops[event.op], event)

    def _unanswered(self, life: _Life, event: Event) -> None:
        self.facts += 1
        where = f"; it was last seen at {life.last.node}" if life.last is not None else ""
        why = event.text.strip().splitlines()[-1] if event.text else event.kind
        self.broken(
            f"{event.op} was not answered: {why}{where}", life.invoke, life.last, self._crash, event
        )


ONE_OUTCOME = Property(
    "one-outcome", "each op that is asked has exactly one outcome", OneOutcomeChecker
)
PROGRESS = Property(
    "progress", "every op ends, and is answered as long as nothing goes wrong", ProgressChecker
)
