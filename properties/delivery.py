"""Delivery: each op is executed as often as its pattern promises.

What counts is the service: how often it was begun for one op id. A retry carries
the same op id, so a request that was executed twice is seen however often it was
sent. An op that ended as `fail` must not have been executed at all.
"""

from __future__ import annotations

from functools import partial
from sys import maxsize

from reqrep.harness.frames import asker_of
from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property, has_strangers
from reqrep.harness.scenario import Scenario

EARLY_ANSWERS = 100
"""How many answers are kept that came before their execution: more than threads may be late by."""


class DeliveryChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens, *, least: int, most: int | None) -> None:
        super().__init__(scenario, lens)
        self._least = least
        self._most = most
        self._has_strangers = has_strangers(scenario)
        self._began: dict[str, Event] = self.ops.table()
        self._counts: dict[str, int] = self.ops.table()
        # Answered and not yet executed: a request that nobody is answered for is still on
        # its way, and the order of two threads is loose by microseconds.
        self._early: dict[str, Event] = {}
        # Where nobody is answered an op ends when it is sent, however long before it is executed.
        clients = scenario.nodes.clients
        answers_all = all(
            self.pattern.addressee(client, clients) is not None for client in range(clients)
        )
        self._most_early = EARLY_ANSWERS if answers_all else maxsize
        self._given_up: dict[str, bool] = {}  # Whether it was executed: it may be answered yet.
        self._failed: dict[str, Event] = self.ops.table()
        self._answered: Event | None = None  # The first op whose outcome is a reply.

    def on_execute(self, event: Event) -> None:
        op = event.op
        if not op and self._has_strangers:
            return
        if not op:
            self.unknown(f"{event.node} executed a body without an op id")
            return
        count = self._counts[op] = self._counts.get(op, 0) + 1
        self.facts += 1
        if op in self._given_up:
            self._given_up[op] = True
        failed = self._failed.get(op)
        if failed is not None:
            self._executed_though_failed(event, failed)
        if count == 1:
            self._began[op] = event
            self._early.pop(op, None)
        elif self._most is not None and count > self._most:
            self.broken(f"{op} was executed {count} times", self._began[op], event)

    def on_ok(self, event: Event) -> None:
        if self._answered is None and self._is_answered(event.op):
            self._answered = event
        was_executed = self._given_up.pop(event.op, False) or event.op in self._began
        if self._least and not was_executed and len(self._early) < self._most_early:
            self._early.setdefault(event.op, event)

    def on_info(self, event: Event) -> None:
        self._given_up[event.op] = event.op in self._began

    def on_fail(self, event: Event) -> None:
        self._failed[event.op] = event
        began = self._began.get(event.op)
        if began is not None:
            self._executed_though_failed(began, event)

    def _executed_though_failed(self, began: Event, failed: Event) -> None:
        self.broken(f"{began.op} failed for its client and was executed", began, failed)

    def _is_answered(self, op: str) -> bool:
        """Whether the outcome of an op is a reply, not that it was sent to nobody's benefit."""
        return self.pattern.addressee(asker_of(op), self.scenario.nodes.clients) is not None

    def finish(self) -> None:
        never = next(iter(self._early.values()), None)
        if not self.facts and (never or self._answered):
            self.unknown("no worker called its handle, so executions cannot be counted")
        elif never is not None:
            self.broken(f"{never.op} was answered and never executed", never)


def _delivery(least: int, most: int | None) -> partial[DeliveryChecker]:
    return partial(DeliveryChecker, least=least, most=most)


AT_MOST_ONCE = Property("at-most-once", "no op is executed twice", _delivery(0, 1))
AT_LEAST_ONCE = Property(
    "at-least-once", "each op that is answered was executed", _delivery(1, None)
)
EXACTLY_ONCE = Property(
    "exactly-once", "each op that is answered was executed once", _delivery(1, 1)
)
