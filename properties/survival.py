"""Survival: no peer can end a node, and every node ends when it is told to."""

from __future__ import annotations

from reqrep.harness.history import Event
from reqrep.harness.history.event import DIED, UNASKED
from reqrep.harness.lens import End, Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario


class RobustnessChecker(Checker):
    """No bytes from a peer end a loop. A node that raised is broken whatever made it raise; one
    that returned though nobody told it to may have meant to, or has swallowed what it should say."""

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._last: dict[str, Event] = {}
        self._misfits: dict[str, tuple[Event, End]] = {}  # The last of each node.

    def on_recv(self, event: Event, end: End, op: str | None) -> None:
        self._last[event.node] = event
        self.facts += 1

    def on_misfit(self, event: Event, end: End, op: str | None) -> None:
        self._misfits[event.node] = event, end

    def on_crash(self, event: Event) -> None:
        last = self._last.get(event.node)
        error = event.text.strip().splitlines()[-1]
        reason = f"{event.node} {'died:' if error.startswith(DIED) else 'raised'} {error}"
        if last is not None:
            reason += " after the message below"
            misfit, end = self._misfits.get(event.node, (None, None))
            if misfit is last and end is not None:
                reason += f" ({end.problem(last.frames)})"
        self.broken(reason, last, event)

    def on_end(self, event: Event) -> None:
        if event.text == UNASKED:
            self.unknown(
                f"{event.node} {UNASKED}; whether it meant to, or a message has ended it, "
                "nobody can say"
            )


class ShutdownChecker(Checker):
    def on_end(self, event: Event) -> None:
        self.facts += 1

    def on_stuck(self, event: Event) -> None:
        self.broken(
            f"{event.node} did not return after its context was terminated; "
            "the event says where it stands",
            event,
        )

    def on_left(self, event: Event) -> None:
        self.broken(f"{event.node} left something behind: {event.text}", event)


ROBUSTNESS = Property("robustness", "no message from a peer ends a node", RobustnessChecker)
SHUTDOWN = Property(
    "shutdown",
    "every node returns when its context is terminated, and leaves nothing behind",
    ShutdownChecker,
)
