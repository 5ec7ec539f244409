"""What a property and a verdict are.

A property is a named claim about histories with one checker. A checker is fed the
events of one history in order, in bounded memory, and answers in the end:

* `holds`: nothing in the history speaks against the claim;
* `broken`: something does, and these few events show it;
* `unknown`: the history does not say.

Broken beats unknown beats holds. A checker that raises is `unknown` and a bug of
ours, never a pass. It also counts the facts it looked at, so that a verdict on
nothing can be told from a verdict on something.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .lens import LEARNED, Lens

if TYPE_CHECKING:
    from .history import Event
    from .scenario import Scenario

Outcome = Literal["holds", "broken", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What a property says of one history.

    Args:
        property: Its name.
        outcome: `holds`, `broken` or `unknown`.
        reason: Why, in a sentence; where it holds, whether there was nothing to judge.
        witness: The fewest events that show it, in order.
        facts: How many facts were looked at.
        bug: The traceback of a checker that raised; empty otherwise.
    """

    property: str
    outcome: Outcome
    reason: str = ""
    witness: tuple[Event, ...] = ()
    facts: int = 0
    bug: str = ""

    def __bool__(self) -> bool:
        return self.outcome == "holds"


class Checker:
    """The base of all checkers; a subclass has a method `on_<kind>` for each kind of event it wants.

    Args:
        scenario: What was run.
        lens: Reads messages by the layouts of the pattern.
    """

    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        self.scenario = scenario
        self.pattern = scenario.pattern
        self.lens = lens
        self.facts = 0
        self._broken: tuple[str, tuple[Event, ...]] | None = None
        self._unknown: str | None = None

    def broken(self, reason: str, *witness: Event | None) -> None:
        """Say that the claim fails. The first time counts: what follows may be its consequence."""
        if self._broken is None:
            events: list[Event] = []
            for event in witness:
                if event is not None and not any(event is seen for seen in events):
                    events.append(event)
            events.sort(key=lambda event: event.time_ns)
            self._broken = reason, tuple(events)

    def unknown(self, reason: str) -> None:
        """Say that the history does not tell."""
        if self._unknown is None:
            self._unknown = reason

    def finish(self) -> None:
        """Called once after the last event, for claims about what never came."""

    def verdict(self, name: str) -> Verdict:
        if self._broken is not None:
            return Verdict(name, "broken", self._broken[0], self._broken[1], self.facts)
        if self._unknown is not None:
            return Verdict(name, "unknown", self._unknown, (), self.facts)
        reason = "" if self.facts else "nothing happened that could have broken it"
        return Verdict(name, "holds", reason, facts=self.facts)


@dataclass(frozen=True)
class Property:
    """A named claim about histories.

    Args:
        name: What a person types: `reply-identity`.
        summary: The claim in one line.
        checker: Makes a checker for one scenario.
        only_in: The one world whose histories tell; a run in another does not judge it, since
            `holds` would say nothing there. Empty if all do.
    """

    name: str
    summary: str
    checker: Callable[[Scenario, Lens], Checker] = field(compare=False)
    only_in: str = ""


def judge(
    properties: Sequence[Property], scenario: Scenario, events: Iterable[Event]
) -> tuple[Verdict, ...]:
    """Feed one history to the checkers of some properties, in one pass."""
    lens = Lens(scenario.pattern)
    checkers: list[tuple[Property, Checker]] = []
    handlers: dict[str, list[tuple[int, Callable[[Event], None]]]] = {}
    bugs: dict[int, str] = {}
    for index, claim in enumerate(properties):
        checker = claim.checker(scenario, lens)
        checkers.append((claim, checker))
        for name in dir(checker):
            if name.startswith("on_"):
                handlers.setdefault(name[3:], []).append((index, getattr(checker, name)))
    for event in events:
        if event.kind in LEARNED:
            lens.learn(event)
        for index, handler in handlers.get(event.kind, ()):
            if index not in bugs:
                try:
                    handler(event)
                except Exception:
                    bugs[index] = traceback.format_exc()
    verdicts = []
    for index, (claim, checker) in enumerate(checkers):
        if index not in bugs:
            try:
                checker.finish()
            except Exception:
                bugs[index] = traceback.format_exc()
        verdict = checker.verdict(claim.name)
        if index in bugs and verdict.outcome != "broken":
            last = bugs[index].strip().splitlines()[-1]
            verdict = Verdict(
                claim.name, "unknown", f"the checker raised {last}", (), checker.facts, bugs[index]
            )
        verdicts.append(verdict)
    return tuple(verdicts)
