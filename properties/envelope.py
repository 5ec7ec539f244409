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
from reqrep.harness.lens import End, Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

Body = bytes | tuple[bytes, ...]
"""One frame, as nearly all bodies are, or several: a frame is compared by itself."""


class EnvelopeChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        # By what they carry, by op: the body that it was sent with first, and any other.
        self._first: dict[str, dict[str, tuple[Body, Event]]] = {
            "request": self.ops.table(),
            "reply": self.ops.table(),
        }
        self._others: dict[str, dict[str, set[Body]]] = {
            "request": self.ops.table(),
            "reply": self.ops.table(),
        }
        # Where a body begins its way: sent by the client, and by whoever works.
        self._origins = {"request": "client", "reply": _serving_role(scenario)}
        self._has_tagged_replies = self._has_untagged_replies = False

    def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
        if end.role != self._origins[end.carries]:
            self.on_request_received(event, end, op)
            return
        self.facts += 1
        if op is None:
            self._judge_untagged(event, end)
            self._has_untagged_replies |= end.carries == "reply"
            return
        body = _body(event, end)
        first = self._first[end.carries].setdefault(op, (body, event))
        if first[0] != body:
            self._others[end.carries].setdefault(op, set()).add(body)
        self._has_tagged_replies |= end.carries == "reply"

    on_reply_sent = on_request_sent

    def on_request_received(self, event: Event, end: End, op: str | None) -> None:
        self.facts += 1
        if op is None:
            self._judge_untagged(event, end)
            return
        first = self._first[end.carries].get(op)
        if first is None:
            return
        body = _body(event, end)
        if first[0] != body and body not in self._others[end.carries].get(op, ()):
            self.broken(
                f"the body of the {end.carries} {op} was changed on its way: "
                f"{show(event.frames[end.body_at :])} at {event.node} is not "
                f"{show((first[0],) if isinstance(first[0], bytes) else first[0])}",
                first[1],
                event,
            )

    on_reply_received = on_request_received

    def on_control_sent(self, event: Event, end: End, op: str | None) -> None:
        self.facts += 1

    on_control_received = on_control_sent

    def on_misfit(self, event: Event, end: End, op: str | None) -> None:
        self.facts += 1
        verb = "received" if event.kind == "recv" else "sent"
        wanted = f"; the layout is {end.layout}" if end.layout is not None else ""
        self.broken(
            f"{event.node} {verb} {show(event.frames)} on {end.link}: "
            f"{end.problem(event.frames)}{wanted}",
            self.ops.seen.get(op) if op is not None else None,
            event,
        )

    def _judge_untagged(self, event: Event, end: End) -> None:
        """A body without an op id: whoever works gave it none, as for an error, or somebody on
        its way cut or replaced it."""
        is_origin = end.role == self._origins[end.carries]
        if end.carries == "request" or (
            self._has_tagged_replies and not (is_origin or self._has_untagged_replies)
        ):
            self.broken(
                f"{event.node} {'sent' if event.kind == 'send' else 'received'} a {end.carries} "
                f"whose body has lost its beginning: {show(event.frames)}",
                event,
            )
        else:
            self.unknown("a reply carries no op id, so its body cannot be followed")


def _body(event: Event, end: End) -> Body:
    frames, at = event.frames, end.body_at
    return frames[at] if len(frames) == at + 1 else frames[at:]


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
