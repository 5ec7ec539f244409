"""Who decides in a trial: strategies that explore, and the list that replays.

A **random walk** deviates from calm again and again and finds what many schedules show.
**Few deviations** is calm but for a handful of decisions drawn over the whole run: what
needs exactly d decisions to go wrong is hit with a chance that falls only with the power d,
which is the argument of PCT (Burckhardt et al., ASPLOS 2010), here for messages and turns
rather than threads. **Overtaking** lets a few messages take as long as they may, so that of
two that are sent to one receiver the later arrives first.

Whatever decided, what it decided is a sparse list; `Deviations` takes it and does the same.
"""

from __future__ import annotations

from random import Random

from ..simulation.choices import Choices, SeededChoices, SparseChoices
from ..values import Value, require, require_count


class RandomWalk(Value, frozen=True, tag="random-walk"):
    """One decision in so many deviates from calm.

    Args:
        calm_in: 1 or more; with 1 each decision is drawn.
    """

    calm_in: int = 4

    def __post_init__(self) -> None:
        require_count("RandomWalk.calm_in", self.calm_in)

    def choices(self, seed: int) -> Choices:
        """A source of decisions for one run."""
        return SeededChoices(seed, self.calm_in)


class _Few(Value, frozen=True):
    count: int = 2
    within: int = 100

    def __post_init__(self) -> None:
        name = type(self).__name__
        require_count(f"{name}.count", self.count, least=0)
        require_count(f"{name}.within", self.within)


class FewDeviations(_Few, frozen=True, tag="few-deviations"):
    """Calm but for a few decisions, drawn over the run.

    Args:
        count: How many, 0 or more.
        within: Among how many first decisions of the run they are drawn.
    """

    def choices(self, seed: int) -> Choices:
        """A source of decisions for one run."""
        random = Random(f"few/{seed}")
        return SparseChoices(
            {random.randrange(self.within): 1 + random.randrange(4) for _ in range(self.count)}
        )


class Overtaking(_Few, frozen=True, tag="overtaking"):
    """Calm but for a few messages, which take as long as their link lets them.

    Args:
        count: How many, 0 or more.
        within: Among how many first messages of the run they are drawn.
    """

    def choices(self, seed: int) -> Choices:
        """A source of decisions for one run."""
        random = Random(f"overtaking/{seed}")
        return _SlowMessages({random.randrange(self.within) for _ in range(self.count)})


class Deviations(Value, frozen=True, tag="deviations"):
    """Calm but for the listed decisions: what replays a run.

    Args:
        pairs: Pairs of the number of a decision, from 0 and rising, and the choice.
    """

    pairs: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        numbers = [number for number, _ in self.pairs]
        require(
            numbers == sorted(set(numbers)) and all(min(pair) >= 0 for pair in self.pairs),
            "Deviations.pairs",
            self.pairs,
            "it must be pairs of numbers from 0, the first of each rising",
        )

    def choices(self, seed: int) -> Choices:
        """A source of decisions for one run; the seed has no part in it."""
        return SparseChoices(dict(self.pairs))


Decider = RandomWalk | FewDeviations | Overtaking | Deviations


class _SlowMessages(Choices):
    """Calm, but the latencies of some messages are the greatest."""

    __slots__ = ("_latencies", "_slow")

    def __init__(self, slow: set[int]) -> None:
        super().__init__()
        self._slow = slow
        self._latencies = 0

    def choose(self, n: int, label: str) -> int:
        if n < 2:
            return 0
        number = self.count
        self.count = number + 1
        if label != "latency":
            return 0
        message = self._latencies
        self._latencies = message + 1
        return self._deviate(number, n - 1, label) if message in self._slow else 0
