"""Correlation: a reply is taken only for the request that it answers, and once."""

from __future__ import annotations

from reqrep.harness.frames import find_op
from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

from .state import OpTable


class _Asked:
    __slots__ = ("answer", "invoke")

    def __init__(self) -> None:
        self.invoke: Event | None = None
        self.answer: Event | None = None


class CorrelationChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ops = OpTable(_Asked)

    def on_invoke(self, event: Event) -> None:
        self._ops[event.op].invoke = event

    def on_ok(self, event: Event) -> None:
        asked = self._ops[event.op]
        self._ops.end(event.op)
        if not event.frames:
            return  # Nobody was to be answered.
        found = find_op(event.frames)
        self.facts += 1
        if found is None:
            self.unknown("replies carry no op id, so they are matched by their order alone")
        elif found != event.op:
            other = self._ops[found]
            self.broken(
                f"{event.node} took the reply to {found} for the reply to {event.op}",
                other.invoke,
                asked.invoke,
                event,
            )
        elif asked.answer is not None:
            self.broken(
                f"{event.node} took two replies to {event.op}", asked.invoke, asked.answer, event
            )
        elif asked.invoke is None:
            self.broken(f"{event.node} took a reply to {event.op}, which nobody asked", event)
        asked.answer = asked.answer or event


CORRELATION = Property(
    "correlation",
    "a reply is taken only for the request that it answers, and at most once",
    CorrelationChecker,
)
