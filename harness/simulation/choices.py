"""The one place where a simulated run decides anything.

Whoever has to decide asks `choose(n, label)` and gets a number below n. Zero
always means *calm*: first come first served, the least latency, no fault. So a
run is its scenario and a sparse list of deviations from calm, `{number of the
decision: choice}`, which replays it, shrinks well, and can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from ..errors import HarnessBug


class Choices:
    """Calm: always 0. The other sources derive from it.

    Attributes:
        count: How many decisions there were. A decision between one thing is none.
        taken: The deviations from calm so far, by the number of the decision, from 0.
        labels: What each deviation was about.
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

    def _deviate(self, number: int, choice: int, label: str) -> int:
        self.taken[number] = choice
        self.labels[number] = label
        return choice


class SeededChoices(Choices):
    """Decides by a random source of its own.

    Args:
        seed: The same seed decides the same.
        calm_in: One decision in so many deviates from calm, in the mean. With 1 all are drawn.
    """

    __slots__ = ("_calm_in", "_random")

    def __init__(self, seed: int, calm_in: int = 4) -> None:
        super().__init__()
        self._random = Random(seed).random
        self._calm_in = calm_in

    def choose(self, n: int, label: str) -> int:
        if n < 2:
            return 0
        number = self.count
        self.count = number + 1
        # One draw serves both questions, whether to deviate and whereto: randrange costs four.
        drawn = self._random() * self._calm_in
        if drawn >= 1.0:
            return 0
        choice = int(drawn * n)
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
