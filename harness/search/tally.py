"""The tally of a search: what was tried, what was seen, and what a clean result is worth.

*The bound.* When N independent scenarios were clean, the chance that one more breaks is below
1 - 0.05 ** (1 / N) with 95 % confidence (Clopper and Pearson 1934; for large N it is 3 / N, the
rule of three). It speaks of scenarios as this search draws them, and of no others.

*What was not seen yet.* Of the behaviours seen so far f were seen once. Then about f / N is the
chance that the next scenario shows a new one (Good 1953, after Turing).

*What was not looked at.* A fault that never struck, and a property that had nothing to judge in
any scenario in which it struck, were not exercised, however many scenarios there were.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from .trial import Attempt, breach

CONFIDENCE = 0.95
"""Of the bound."""

CALM = "no fault"
"""What stands where no fault struck."""


class Tally(msgspec.Struct):
    """What some attempts amount to; tallies of several processes add up.

    Args:
        scenarios: How many were run.
        behaviours: How often each behaviour was seen.
        struck: In how many scenarios each kind of fault struck.
        judged: In how many each property had something to judge, by what struck.
        unknown: How often the history did not tell, by what it did not tell.
        events: Of all histories.
    """

    scenarios: int = 0
    behaviours: dict[bytes, int] = msgspec.field(default_factory=dict)
    struck: dict[str, int] = msgspec.field(default_factory=dict)
    judged: dict[tuple[str, str], int] = msgspec.field(default_factory=dict)
    unknown: dict[str, int] = msgspec.field(default_factory=dict)
    events: int = 0

    def take(self, tried: Attempt) -> None:
        """Count one attempt."""
        self.scenarios += 1
        self.events += len(tried.history)
        _add(self.behaviours, [tried.behaviour])
        plan = tried.trial.scenario.faults
        struck = {plan[event.number].kind for event in tried.history.of("fault")} if plan else set()
        _add(self.struck, struck)
        _add(
            self.judged,
            [
                (verdict.property, fault)
                for verdict in tried.verdicts
                if verdict.facts
                for fault in struck or {CALM}
            ],
        )

        _add(
            self.unknown,
            [breach(verdict) for verdict in tried.verdicts if verdict.outcome == "unknown"],
        )

    def merge(self, other: Tally) -> None:
        """Add what another process has counted."""
        self.scenarios += other.scenarios
        self.events += other.events
        for name in ("behaviours", "struck", "judged", "unknown"):
            mine = getattr(self, name)
            for key, number in getattr(other, name).items():
                mine[key] = mine.get(key, 0) + number

    @property
    def bound(self) -> float:
        """Below this is, with 95 % confidence, the chance that one more scenario breaks."""
        return 1.0 if not self.scenarios else 1 - (1 - CONFIDENCE) ** (1 / self.scenarios)

    @property
    def unseen(self) -> float:
        """About the chance that one more scenario shows a behaviour that was not seen yet."""
        if not self.scenarios:
            return 1.0
        return Counter(self.behaviours.values())[1] / self.scenarios

    def never(self, properties: Iterable[str], kinds: Iterable[str]) -> list[str]:
        """What was never exercised, in words."""
        kinds = list(kinds) or [CALM]
        return [f"{kind} never struck" for kind in kinds if kind not in (*self.struck, CALM)] + [
            f"{name} had nothing to judge under {kind}"
            for kind in kinds
            if kind in self.struck or kind == CALM
            for name in properties
            if (name, kind) not in self.judged
        ]


def _add(counts: dict, keys: Iterable) -> None:  # type: ignore[type-arg]
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
