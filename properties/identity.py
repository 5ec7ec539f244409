"""Reply to the correct identity: each reply goes to the client that it is for.

Judged twice: where a ROUTER puts a routing id in front of a reply, which must be an
id that the request came with; and where a client receives it.
"""

from __future__ import annotations

from reqrep.harness.frames import asker_of, show_frame
from reqrep.harness.history import Event
from reqrep.harness.lens import Crossing, Lens
from reqrep.harness.pattern import asker
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

from .state import OpTable

Ids = dict[str, dict[bytes, Event]]  # name in the layout -> routing id -> where it came in


class IdentityChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ops: OpTable[Ids] = OpTable(dict)
        self._goes_to_asker = scenario.pattern.addressee is asker

    def on_recv(self, event: Event) -> None:
        crossing = self.lens.crossing(event)
        if crossing is None or crossing.hop is None or crossing.hop.carries == "control":
            return
        if crossing.op is None:
            if crossing.role == "client":
                self.unknown("a reply came without an op id, so nobody can say whom it was for")
            return
        if crossing.hop.carries == "request":
            self._came_in(event, crossing)
        elif crossing.role == "client":
            self._judge_receiver(event, crossing.op)

    def on_send(self, event: Event) -> None:
        crossing = self.lens.crossing(event)
        if crossing is not None and crossing.hop is not None and crossing.op is not None:
            if crossing.hop.carries == "reply" and self._goes_to_asker:
                self._judge_address(event, crossing, crossing.op)

    def on_ok(self, event: Event) -> None:
        self._ops.end(event.op)

    on_fail = on_info = on_ok

    def _came_in(self, event: Event, crossing: Crossing) -> None:
        """Remember the ids that a request came with."""
        assert crossing.reading is not None and crossing.op is not None
        known = self._ops[crossing.op]
        for name, value in crossing.reading.names.items():
            if name[0].isupper():
                known.setdefault(name, {}).setdefault(value, event)

    def _judge_address(self, event: Event, crossing: Crossing, op: str) -> None:
        assert crossing.reading is not None
        known = self._ops[op]
        for name, value in crossing.reading.names.items():
            came = known.get(name)
            if came is None:
                continue
            self.facts += 1
            if value not in came:
                original, first = next(iter(came.items()))
                self.broken(
                    f"{event.node} sent the reply to {op} to the routing id {show_frame(value)}; "
                    f"the request came from {show_frame(original)}",
                    first,
                    event,
                )

    def _judge_receiver(self, event: Event, op: str) -> None:
        self.facts += 1
        clients = self.scenario.nodes.clients
        addressee = self.pattern.addressee(asker_of(op), clients)
        expected = f"client-{addressee}" if addressee is not None else "nobody"
        if event.node != expected:
            came = next((e for ids in self._ops[op].values() for e in ids.values()), None)
            self.broken(
                f"the reply to {op} reached {event.node}; it was for {expected}", came, event
            )


IDENTITY = Property(
    "reply-identity", "each reply reaches the client that it is for, and no other", IdentityChecker
)
