"""Reply to the correct identity: each reply goes to the client that it is for.

Judged twice: where a ROUTER puts a routing id in front of a reply, which must be an
id that the request came with; and where a client receives it. A request comes with the ids
that stand where its client's message was received; what the next node is told of them must be the same.
"""

from __future__ import annotations

from reqrep.harness.frames import asker_of, show_frame
from reqrep.harness.history import Event
from reqrep.harness.lens import End, Lens
from reqrep.harness.pattern import asker
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

Id = tuple[str, bytes]  # its name in the layout, and its value

DOUBTED = 100
"""How many requests are kept that seem to be passed on as another's; one is enough."""


class IdentityChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._came: dict[str, dict[Id, Event]] = self.ops.table()  # where each came in first
        # What was passed on as another's. Two threads may have written that down too early.
        self._doubted: dict[tuple[str, str, bytes], tuple[bytes, Event, Event]] = {}
        self._goes_to_asker = scenario.pattern.addressee is asker
        self._addressees: dict[str, str] = {}
        # Which names stand for clients: the same everywhere. Any other is the hop's own.
        self._names_of_clients = {
            name
            for hop in self.pattern.hops
            if hop.carries == "request" and hop.sender == "client"
            for name, _ in hop.received_layout.names
            if name[0].isupper()
        }

    def on_request_received(self, event: Event, end: End, op: str | None) -> None:
        """Remember the ids that a request came with."""
        if op is None:
            self._judge_untagged(end)
            return
        came = self._came.get(op)
        if came is None:
            came = self._came[op] = {}
        is_first = end.hop is not None and end.hop.sender == "client"
        for name, at in end.ids:
            value = event.frames[at]
            if is_first:
                self._doubted.pop((op, name, value), None)
            elif (name, value) not in came and name in self._names_of_clients:
                others = self._known(came, name)
                if others and len(self._doubted) < DOUBTED:
                    self._doubted[op, name, value] = *others[0], event
            came.setdefault((name, value), event)

    def finish(self) -> None:
        for (op, _, value), (original, first, event) in self._doubted.items():
            self.broken(
                f"{event.node} was given {op} as from the routing id {show_frame(value)}; "
                f"the request came from {show_frame(original)}",
                first,
                event,
            )

    @staticmethod
    def _known(came: dict[Id, Event], name: str) -> list[tuple[bytes, Event]]:
        return [(value, first) for (known, value), first in came.items() if known == name]

    def on_reply_sent(self, event: Event, end: End, op: str | None) -> None:
        if op is None or not self._goes_to_asker:
            return
        came = self._came.get(op)
        if came is None:
            return
        for name, at in end.ids:
            value = event.frames[at]
            if (name, value) in came:
                self.facts += 1
                continue
            others = self._known(came, name)
            if others:
                self.facts += 1
                original, first = others[0]
                self.broken(
                    f"{event.node} sent the reply to {op} to the routing id {show_frame(value)}; "
                    f"the request came from {show_frame(original)}",
                    first,
                    event,
                )

    def on_reply_received(self, event: Event, end: End, op: str | None) -> None:
        if end.role != "client":
            return
        if op is None:
            self._judge_untagged(end)
            return
        self.facts += 1
        client = op.partition(".")[0]
        expected = self._addressees.get(client) or self._addressee(client, op)
        if event.node != expected:
            came = next(iter(self._came.get(op, {}).values()), None)
            self.broken(
                f"the reply to {op} reached {event.node}; it was for {expected}", came, event
            )

    def _judge_untagged(self, end: End) -> None:
        if end.role == "client":
            self.unknown("a reply came without an op id, so nobody can say whom it was for")

    def _addressee(self, client: str, op: str) -> str:
        """The node that is to get the replies to a client's requests."""
        number = self.pattern.addressee(asker_of(op), self.scenario.nodes.clients)
        node = self._addressees[client] = f"client-{number}" if number is not None else "nobody"
        return node


IDENTITY = Property(
    "reply-identity", "each reply reaches the client that it is for, and no other", IdentityChecker
)
