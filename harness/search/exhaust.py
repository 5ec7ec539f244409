"""Every schedule of a tiny scenario with at most so many deviations from calm.

Stateless model checking with a bound (Musuvathi and Qadeer, PLDI 2007): the calm run is the root;
its children deviate in one decision, theirs in one later decision more. Each run tells how wide
its decisions were, so nothing is tried twice and nothing is left out. The number of runs
makes "none of these breaks it" a statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..property import Property, Verdict
from ..simulation.choices import SparseChoices
from .deciders import Deviations
from .shrink import Shrinker
from .space import Space
from .trial import Attempt, Trial, attempt, laboratory, nothing_to_judge, promised


class _Widths(SparseChoices):
    """Remembers how many ways each decision had."""

    __slots__ = ("widths",)

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        super().__init__(dict(pairs))
        self.widths: list[int] = []

    def choose(self, n: int, label: str) -> int:
        if n > 1:
            self.widths.append(n)
        return super().choose(n, label)


def schedules(trial: Trial, properties: Sequence[Property], deviations: int) -> Iterator[Attempt]:
    """Run every schedule with at most so many deviations, the calm one first.

    Args:
        trial: The scenario; its decider has no part in it.
        properties: What is judged.
        deviations: How many decisions of one run may deviate, 0 or more.
    """
    waiting: list[tuple[tuple[int, int], ...]] = [()]
    while waiting:
        pairs = waiting.pop()
        choices = _Widths(pairs)
        yield attempt(trial.replace(decider=Deviations(pairs)), properties, choices)
        if len(pairs) < deviations:
            first = pairs[-1][0] + 1 if pairs else 0
            waiting += [
                (*pairs, (number, choice))
                for number in range(len(choices.widths) - 1, first - 1, -1)
                for choice in range(choices.widths[number] - 1, 0, -1)
            ]


def exhaust(
    space: Space,
    names: Sequence[str] = (),
    deviations: int = 2,
    on_step: Callable[[int, Attempt], None] | None = None,
) -> tuple[int, Attempt | None, Verdict | None]:
    """Run every schedule of the plain scenario of a space.

    Args:
        space: Where it is from.
        names: Of properties; empty takes all that the pattern promises.
        deviations: How many decisions of one run may deviate.
        on_step: Called after each run with the number of runs so far.

    Returns:
        How many runs there were; the least attempt that breaks, None if none does; and the first
        verdict that is unknown, None if all are certain.
    """
    scenario = space.plain
    properties = promised(scenario, names)
    if not properties:
        raise nothing_to_judge(space.pattern)
    runs = 0
    unknown: Verdict | None = None
    with laboratory():
        for tried in schedules(Trial(scenario, space.limits.transport), properties, deviations):
            runs += 1
            if on_step is not None:
                on_step(runs, tried)
            if tried.broken is not None:
                return runs, Shrinker(tried, properties).run(), unknown
            if unknown is None:
                unknown = next((v for v in tried.verdicts if v.outcome == "unknown"), None)
    return runs, None, unknown
