"""The one place where a simulated run decides anything.

Whoever has to decide asks `choose(n, label)` and gets a number below n. Zero
always means *calm*: first come first served, the least latency, no fault. So a
run is its scenario and a sparse list of deviations from calm, `{number of the
decision: choice}`, which replays it, shrinks well, and can be read.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping
from functools import cache
from random import Random

from ..errors import HarnessBug


class Choices:
    """Calm: always 0. The other sources derive from it.

    Attributes:
        count: How many decisions there were. A decision between one thing is none.
        taken: The deviations from calm so far, by the number of the decision, from 0.
        labels: What each deviation was about, or came to.
    """

    __slots__ = ("count", "labels", "taken")

    def __init__(self) -> None:
        self.count = 0
        self.taken: dict[int, int] = {}
        self.labels: dict[int, str] = {}

    def choose(self, n: int, label: str) -> int:
        """Decide between n things; `label` says to a person what about."""
        if n > 1:
            self.count += 1
        return 0

    def tell(self, words: str) -> None:
        """Say to a person what the last decision, which was a deviation, came to."""
        self.labels[self.count - 1] = words

    def _deviate(self, number: int, choice: int, label: str) -> int:
        self.taken[number] = choice
        self.labels[number] = label
        return choice


@cache
def _gaps(calm_in: int) -> list[float]:
    """How likely it is that at most 0, 1, 2 .. calm decisions stand before one that is drawn.

    Multiplied, not taken from a logarithm, whose last digit differs between machines.
    """
    gaps, calm = [], 1.0
    for _ in range(64):
        calm *= 1 - 1 / calm_in
        gaps.append(1 - calm)
    return gaps


class SeededChoices(Choices):
    """Decides by a random source of its own.

    Args:
        seed: The same seed decides the same.
        calm_in: One decision in so many deviates from calm, in the mean. With 1 all are drawn.
    """

    __slots__ = ("_gaps", "_next", "_random")

    def __init__(self, seed: int, calm_in: int = 4) -> None:
        super().__init__()
        self._random = Random(seed).random
        self._gaps = _gaps(calm_in)
        self._next = -1  # The number of the next decision that is drawn.
        self._look_ahead()

    def _look_ahead(self) -> None:
        # To know which decision is drawn next makes all others as cheap as calm ones.
        gaps = self._gaps
        while (gap := bisect(gaps, self._random())) == len(gaps):
            self._next += gap
        self._next += gap + 1

    def choose(self, n: int, label: str) -> int:
        if n < 2:
            return 0
        number = self.count
        self.count = number + 1
        if number < self._next:
            return 0
        self._look_ahead()
        choice = int(self._random() * n)
        return self._deviate(number, choice, label) if choice else 0


class SparseChoices(Choices):
    """Calm but for the listed decisions.

    Args:
        deviations: The choice, by the number of the decision. One that is too large for its
            decision is cut down to the last that there is, so that a list stays useful while
            it shrinks.
    """

    __slots__ = ("_deviations",)

    def __init__(self, deviations: Mapping[int, int]) -> None:
        super().__init__()
        if any(number < 0 or choice < 0 for number, choice in deviations.items()):
            raise HarnessBug(f"deviations must be numbers from 0: {dict(deviations)}")
        self._deviations = dict(deviations)

    def choose(self, n: int, label: str) -> int:
        if n < 2:
            return 0
        number = self.count
        self.count = number + 1
        choice = self._deviations.get(number)
        if not choice:
            return 0
        return self._deviate(number, choice if choice < n else n - 1, label)
