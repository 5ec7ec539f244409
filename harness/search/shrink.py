"""Shrinking: from a trial that breaks to the least one that still breaks in the same way.

What is made smaller, in turns until nothing gets smaller any more:

* the *plan*: fewer clients, workers, requests, faults; plainer bodies, pace and service;
* the *deviations*: halves, then single ones are taken out (delta debugging, Zeller and
  Hildebrandt 2002), then each choice is lowered.

A smaller plan makes other decisions, so the old list may miss. It is tried as it is, then
calm, then a few fresh random walks look for the break in the smaller plan. Everything is tried
in a fixed order with fixed seeds: one break shrinks to one story.

In the end every fault and every deviation is *necessary*: without any one of them the
break does not happen. And together they suffice, since all else is calm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import MisuseError, NodeFailed
from ..faults.draw import simpler, within
from ..fleet import Fleet
from ..property import Property
from ..scenario import Scenario
from ..workload import ClosedLoop, Constant, Sized, Workload
from .deciders import Deviations, FewDeviations, RandomWalk
from .trial import Attempt, Trial, attempt, breach

ATTEMPTS = 1_500
"""How many runs a shrinking may cost."""

FRESH_WALKS = 12
"""How many fresh schedules are tried in a plan in which the known ones miss."""

PLAIN = Sized(bytes=1)
"""The body that a shrunk scenario has where any will do."""

SHORT_TIMEOUT_S = 1.0
"""Virtual seconds: what an op may take in a small run."""


class Shrinker:
    """Makes one break smaller.

    Args:
        found: An attempt in which a property broke.
        properties: Those that were judged.
        on_step: Told after each attempt how many there were and what is the least so far.
        attempts: How many runs it may cost.

    Attributes:
        best: The least attempt so far that breaks in the same way.
        spent: How many runs were made.
    """

    def __init__(
        self,
        found: Attempt,
        properties: Sequence[Property],
        on_step: Callable[[int, Attempt], None] | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        assert found.broken is not None
        self.best = found
        self.spent = 0
        self._breach = breach(found.broken)
        # What is judged is what broke: the others would only cost time.
        self._properties = [p for p in properties if p.name == found.broken.property]
        self._all = properties
        self._on_step = on_step
        self._attempts = attempts

    def run(self) -> Attempt:
        """Shrink until nothing gets smaller, or the runs are spent."""
        self._accept(self.best.replayable)
        while self._plan() | self._deviations():
            pass
        return attempt(self.best.trial, self._all)

    # --- the plan -------------------------------------------------------------

    def _plan(self) -> bool:
        progressed = False
        while self._spendable and any(
            self._find(smaller) for smaller in plans(self.best.trial.scenario)
        ):
            progressed = True
        return progressed

    def _find(self, scenario: Scenario) -> bool:
        """Whether the break is found in a smaller plan, which then is the best."""
        here = self.best.replayable.replace(scenario=scenario)
        if self._accept(here) or self._accept(here.replace(decider=Deviations())):
            return True
        decisions = max(10, self.best.decisions)
        for number in range(FRESH_WALKS):
            if number % 2:
                decider: RandomWalk | FewDeviations = FewDeviations(1 + number // 2, decisions)
            else:
                decider = RandomWalk(2 ** (1 + number // 3))
            fresh = here.replace(decider=decider, scenario=scenario.replace(seed=number))
            if self._accept(fresh):
                return True
        return False

    # --- the deviations ---------------------------------------------------------

    def _deviations(self) -> bool:
        before = self.best.taken
        size = max(1, len(self.best.taken) // 2)
        while self._spendable and self.best.taken:
            if not self._without(size):
                if size == 1:
                    break
                size = max(1, size // 2)
        for number in list(self.best.taken):
            for lower in range(1, self.best.taken.get(number, 1)):
                if self._spendable and self._try({**self.best.taken, number: lower}):
                    break
        return self.best.taken != before

    def _without(self, size: int) -> bool:
        """Take out so many neighbours at once, wherever the break survives it."""
        progressed = False
        at = 0
        while at < len(self.best.taken) and self._spendable:
            numbers = sorted(self.best.taken)
            left = numbers[:at] + numbers[at + size :]
            if self._try({number: self.best.taken[number] for number in left}):
                progressed = True
            else:
                at += size
        return progressed

    def _try(self, taken: dict[int, int]) -> bool:
        pairs = tuple(sorted(taken.items()))
        return self._accept(self.best.trial.replace(decider=Deviations(pairs)))

    # --- one attempt -------------------------------------------------------------

    @property
    def _spendable(self) -> bool:
        return self.spent < self._attempts

    def _accept(self, trial: Trial) -> bool:
        """Try; the break that happens in the same way is the best from now on."""
        if not self._spendable:
            return False
        self.spent += 1
        try:
            tried = attempt(trial, self._properties)
        except (MisuseError, NodeFailed):
            return False  # What is left of the plan does not fit together any more.
        same = tried.broken is not None and breach(tried.broken) == self._breach
        if same:
            # As a list of what it decided it is the same run, and smaller than any walk.
            tried.trial = tried.replayable
            self.best = tried
        if self._on_step is not None:
            self._on_step(self.spent, self.best)
        return same


def plans(scenario: Scenario) -> Iterator[Scenario]:
    """Smaller plans, the greatest steps first."""
    fleet, demand = scenario.nodes, scenario.demand
    for index in range(len(scenario.faults)):
        yield scenario.replace(faults=scenario.faults[:index] + scenario.faults[index + 1 :])
    for clients in _fewer(fleet.clients):
        yield from _with_fleet(scenario, fleet.replace(clients=clients))
    if scenario.pattern.is_sizable:
        for workers in _fewer(fleet.workers):
            yield from _with_fleet(scenario, fleet.replace(workers=workers))
    for requests in _fewer(demand.requests):
        yield scenario.replace(workload=demand.replace(requests=requests))
    for plainer in _plainer(demand):
        if plainer != demand:
            yield scenario.replace(workload=plainer)
    for index, fault in enumerate(scenario.faults):
        for smaller in simpler(fault):
            faults = (*scenario.faults[:index], smaller, *scenario.faults[index + 1 :])
            yield from _valid(scenario, faults=faults)
    if scenario.seed:
        yield scenario.replace(seed=0)


def _with_fleet(scenario: Scenario, fleet: Fleet) -> Iterator[Scenario]:
    return _valid(scenario, fleet=fleet, faults=within(scenario.faults, scenario.pattern, fleet))


def _fewer(number: int) -> list[int]:
    """Smaller numbers from 1, the least first: each is tried until one will do."""
    return sorted({1, 2, number // 2, number - 1} - {0, number}) if number > 1 else []


def _plainer(demand: Workload) -> Iterator[Workload]:
    yield demand.replace(arrival=ClosedLoop())
    if isinstance(demand.arrival, ClosedLoop):
        yield demand.replace(arrival=ClosedLoop(window=demand.arrival.window))
        for window in _fewer(demand.arrival.window):
            yield demand.replace(arrival=demand.arrival.replace(window=window))
    yield demand.replace(bodies=PLAIN)
    if isinstance(demand.bodies, Sized):
        yield demand.replace(bodies=demand.bodies.replace(bytes=PLAIN.bytes))
        for frames in _fewer(demand.bodies.frames):
            yield demand.replace(bodies=demand.bodies.replace(frames=frames))
    yield demand.replace(service=(Constant(),))
    for service in demand.service if len(demand.service) > 1 else ():
        yield demand.replace(service=(service,))
    if demand.timeout_s > SHORT_TIMEOUT_S:
        yield demand.replace(timeout_s=SHORT_TIMEOUT_S)


def _valid(scenario: Scenario, **changes: object) -> Iterator[Scenario]:
    """The changed scenario, unless its parts do not fit together."""
    try:
        yield scenario.replace(**changes)
    except MisuseError:
        pass
