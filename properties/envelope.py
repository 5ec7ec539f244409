"""Envelope integrity: each message has the frames that its hop lays out, at either end.

The layout says where the routing ids and the delimiter stand. So the address stack
grows by one id where a ROUTER receives and shrinks by one where it sends, or the
layout does not fit. Beyond one hop, what a message carries must be the same at each:
the body of a request as its client sent it, the body of a reply as its worker did,
to the byte and to the frame. Nothing is merged, split, cut or invented.
"""

from __future__ import annotations

from reqrep.harness.frames import show
from reqrep.harness.history import Event
from reqrep.harness.lens import Crossing, Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

from .state import OpTable

Body = tuple[bytes, ...]


class _Seen:
    """The bodies that an op was sent with, and the last event that carried it, each way."""

    __slots__ = ("last", "reply", "request")

    def __init__(self) -> None:
        self.request: dict[Body, Event] = {}
        self.reply: dict[Body, Event] = {}
        self.last: Event | None = None


class EnvelopeChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._ops = OpTable(_Seen)
        self._has_tagged_replies = False
        # Where a body begins its way: sent by the client, and by whoever works.
        self._origins = {"request": "client", "reply": _serving_role(scenario)}

    def on_send(self, event: Event) -> None:
        self._judge(event)

    def on_recv(self, event: Event) -> None:
        self._judge(event)

    def on_ok(self, event: Event) -> None:
        self._ops.end(event.op)

    on_fail = on_info = on_ok

    def _judge(self, event: Event) -> None:
        crossing = self.lens.crossing(event)
        if crossing is None:
            return
        self.facts += 1
        seen = self._ops[crossing.op] if crossing.op is not None else None
        if crossing.hop is None:
            self.broken(_misfit(event, crossing), seen.last if seen else None, event)
        elif seen is not None:
            self._judge_body(event, crossing, seen)
        elif crossing.hop.carries != "control":
            self._judge_untagged(event, crossing)
        if seen is not None:
            seen.last = event

    def _judge_body(self, event: Event, crossing: Crossing, seen: _Seen) -> None:
        assert crossing.hop is not None and crossing.reading is not None
        carries = crossing.hop.carries
        bodies = seen.request if carries == "request" else seen.reply
        body = crossing.reading.body
        if event.kind == "send" and crossing.role == self._origins.get(carries):
            bodies.setdefault(body, event)
            self._has_tagged_replies |= carries == "reply"
        elif bodies and body not in bodies:
            original = next(iter(bodies.values()))
            self.broken(
                f"the body of the {carries} {crossing.op} was changed on its way: {show(body)} "
                f"at {event.node} is not {show(next(iter(bodies)))}",
                original,
                event,
            )

    def _judge_untagged(self, event: Event, crossing: Crossing) -> None:
        """A body without an op id: its service gave it none, or somebody cut or replaced it."""
        assert crossing.hop is not None
        carries = crossing.hop.carries
        if carries == "request" or self._has_tagged_replies:
            self.broken(
                f"{event.node} {'sent' if event.kind == 'send' else 'received'} a {carries} whose "
                f"body has lost its beginning: {show(event.frames)}",
                event,
            )
        else:
            self.unknown("replies carry no op id, so their bodies cannot be followed")


def _misfit(event: Event, crossing: Crossing) -> str:
    verb = "received" if event.kind == "recv" else "sent"
    wanted = f"; the layout is {crossing.layout}" if crossing.layout is not None else ""
    return (
        f"{event.node} {verb} {show(event.frames)} on {crossing.link}: {crossing.problem}{wanted}"
    )


def _serving_role(scenario: Scenario) -> str:
    """The role whose replies begin at it: it sends replies and receives none."""
    receives = {hop.receiver for hop in scenario.pattern.hops if hop.carries == "reply"}
    for hop in scenario.pattern.hops:
        if hop.carries == "reply" and hop.sender not in receives:
            return hop.sender
    return ""


ENVELOPE = Property(
    "envelope",
    "each hop has the frames that are laid out for it, and bodies arrive byte for byte",
    EnvelopeChecker,
)
