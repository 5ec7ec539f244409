"""Recovery: when all that was broken is whole again, whoever asks is answered."""

from __future__ import annotations

from collections import defaultdict

from reqrep.harness.frames import asker_of
from reqrep.harness.history import Event
from reqrep.harness.history.event import NS_PER_MS
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

OLD, NEW = "an old connection", "a new connection"


class RecoveryChecker(Checker):
    """Judges the fresh requests that the harness lets clients make when faults are healed.

    A client of the fleet makes its own on the connections that it has had all the time, a newcomer
    on new ones; each goes on until it is answered, or given up for lost. A client that is still
    stuck in a request of the load makes none: `progress` is about that one.
    """

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._asked: defaultdict[str, list[Event]] = defaultdict(list)  # By client.
        self._slowest_ns: dict[str, int] = {}  # connection -> its slowest answer
        self._has_newcomer = self.pattern.welcomes(scenario.nodes.clients)

    def on_invoke(self, event: Event) -> None:
        if self.scenario.is_fresh(event.op):
            self._asked[event.node].append(event)

    def on_ok(self, event: Event) -> None:
        asked = self._asked.get(event.node)
        if asked and any(event.op == each.op for each in asked):
            self.facts += 1
            connection = self._connection(event.op)
            took_ns = event.time_ns - asked[0].time_ns
            self._slowest_ns[connection] = max(took_ns, self._slowest_ns.get(connection, 0))
            asked.clear()

    def finish(self) -> None:
        for asked in self._asked.values():
            if asked:
                first, op = asked[0], asked[0].op
                others = f", nor any of the {len(asked) - 1} after it" if asked[1:] else ""
                self.broken(
                    f"{op}, asked on {self._connection(op)} after all faults were healed, was not "
                    f"answered{others}",
                    first,
                    self.ops.seen.get(op),
                )
        if self._has_newcomer and NEW not in self._slowest_ns:
            self.unknown("the newcomer never came to ask")
        told = [
            f"on {connection} within {slowest_ns / NS_PER_MS:.3g} ms"
            for connection, slowest_ns in self._slowest_ns.items()
        ]
        if OLD not in self._slowest_ns:
            told.append(f"nobody was left who could ask on {OLD}")
        self.remark = "; ".join(told)

    def _connection(self, op: str) -> str:
        is_new = asker_of(op) >= self.scenario.nodes.clients
        return NEW if is_new else OLD


RECOVERY = Property(
    "recovery",
    "when faults are healed, a fresh request is answered on an old and on a new connection",
    RecoveryChecker,
    asks_afresh=True,
)
