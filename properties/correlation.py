"""Correlation: a reply is taken only for the request that it answers, and once."""

from __future__ import annotations

from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario


class CorrelationChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._answers: dict[str, Event] = self.ops.table()
        self._given_up: set[str] = set()  # May be answered however late.

    def on_info(self, event: Event) -> None:
        if event.op in self.ops.asked:
            self._given_up.add(event.op)

    def on_ok(self, event: Event) -> None:
        if not event.frames:
            return  # Nobody was to be answered.
        found = self.ops.carried_by(event.frames)
        invoke = self.ops.asked.get(event.op)
        answer = self._answers.get(event.op)
        self.facts += 1
        if found is None:
            self.unknown("replies carry no op id, so they are matched by their order alone")
        elif found != event.op:
            self.broken(
                f"{event.node} took the reply to {found} for the reply to {event.op}",
                self.ops.asked.get(found),
                invoke,
                event,
            )
        elif answer is not None:
            self.broken(f"{event.node} took two replies to {event.op}", invoke, answer, event)
        elif invoke is None and event.op not in self._given_up:
            self.broken(f"{event.node} took a reply to {event.op}, which nobody asked", event)
        self._answers[event.op] = answer or event
        self._given_up.discard(event.op)


CORRELATION = Property(
    "correlation",
    "a reply is taken only for the request that it answers, and at most once",
    CorrelationChecker,
)
