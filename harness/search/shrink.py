"""Shrinking: from a trial that breaks to the least one that still breaks in the same way.

What is made smaller, in turns until nothing gets smaller any more:

* the *deviations*: halves, then single ones are taken out (delta debugging, Zeller and
  Hildebrandt 2002), then each choice is lowered;
* the *plan*: fewer clients, workers, requests, faults; plainer bodies, pace and service.

A smaller plan makes other decisions, so the old list may miss. It is tried as it is, then
calm; and when no smaller plan breaks in this way, a few fresh walks look for the break in
each. Everything is tried in a fixed order with fixed seeds, and nothing twice: one break
shrinks to one story.

In the end every deviation is *necessary*: without any one of them the break does not happen.
So is every fault, unless the runs were spent before, which the attempt says (`is_least`). And
together they suffice, since all else is calm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import MisuseError, NodeFailed
from ..faults.draw import simpler, within
from ..fleet import Fleet
from ..property import Property
from ..scenario import Scenario
from ..workload import ClosedLoop, Constant, Sized, Workload
from .deciders import Decider, Deviations, FewDeviations, RandomWalk
from .trial import Attempt, Trial, attempt, breach

ATTEMPTS = 1_500
"""How many runs smaller plans may cost. Deviations are taken out even when they are spent."""

FRESH_WALKS = 12
"""How many fresh schedules are tried in a plan in which the known ones miss."""

FEW = 3
"""Nodes of a role, requests, deviations: what a person can keep in mind."""

SMALL_WALKS = 20
"""How many seeds are tried, with each kind of walk, where all is small at once."""

PLAIN = Sized(bytes=1)
"""The body that a shrunk scenario has where any will do."""

THINK_S = 0.001
"""Virtual seconds: in less all nodes of a small fleet have heard of each other."""

SHORT_TIMEOUT_S = 1.0
"""Virtual seconds: what an op may take in a small run."""


class Shrinker:
    """Makes one break smaller.

    Args:
        found: An attempt in which a property broke.
        properties: Those that were judged.
        on_step: Told after each attempt how many there were and what is the least so far.
        attempts: How many runs smaller plans may cost.

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
        self._is_cut_short = False  # Whether plans are left that nobody tried.
        self._tried: set[Trial] = set()

    def run(self) -> Attempt:
        """Shrink until nothing gets smaller, or the runs are spent."""
        self._accept(self.best.replayable)
        self._deviations()
        while self._plan() or self._small():
            self._deviations()
        least = attempt(self.best.trial, self._all)
        least.is_least = not self._is_cut_short
        return least

    # --- the plan -------------------------------------------------------------

    def _plan(self) -> bool:
        """Whether a smaller plan breaks too; the quick ways first, over all plans."""
        progressed = self._is_cut_short = False
        while self._any_plan(self._find) or self._any_plan(self._find_afresh):
            progressed = True
        return progressed

    def _any_plan(self, find: Callable[[Trial], bool]) -> bool:
        best = self.best.trial
        for smaller in plans(best.scenario):
            if self.spent >= self._attempts:
                self._is_cut_short = True
                return False
            if find(best.replace(scenario=smaller)):
                return True
        return False

    def _find(self, smaller: Trial) -> bool:
        """Whether what is known breaks a smaller plan, or nothing unusual does."""
        return self._accept(smaller) or self._accept(smaller.replace(decider=Deviations()))

    def _find_afresh(self, smaller: Trial) -> bool:
        """Whether one of a few fresh walks breaks a smaller plan."""
        scenario, best = smaller.scenario, self.best.trial.scenario
        if scenario.replace(seed=best.seed) == best:
            return False  # It is smaller by its seed alone, and a walk has a seed of its own.
        decisions = max(10, self.best.decisions)
        for number in range(FRESH_WALKS):
            if number % 2:
                decider: RandomWalk | FewDeviations = FewDeviations(1 + number // 2, decisions)
            else:
                decider = RandomWalk(2 ** (1 + number // 3))
            if self._accept(Trial(scenario.replace(seed=number), smaller.transport, decider)):
                return True
        return False

    def _small(self) -> bool:
        """Whether it breaks where all is small at once.

        A plan may be the least in every one direction, and many deviations may each be needed,
        while a break of the same kind needs far less of everything.
        """
        best = self.best.trial.scenario
        few = [FewDeviations(count, max(10, self.best.decisions)) for count in range(1, FEW + 1)]
        walks: list[Decider] = [RandomWalk(2), RandomWalk(4), *few]
        is_small = best in small(best)
        if is_small and len(best.faults) + len(self.best.taken) <= FEW:
            return False
        return any(
            self._accept(Trial(plan.replace(seed=seed), self.best.trial.transport, decider))
            for plan in small(best)
            for seed in range(SMALL_WALKS)
            # In the same plan a walk of many deviations may be no progress.
            for decider in (few if plan == best else walks)
        )

    # --- the deviations ---------------------------------------------------------

    def _deviations(self) -> None:
        """Leave only those that are needed, each as low as it gets."""
        before = None
        while before != self.best.taken:
            before = self.best.taken
            size = len(before)
            while size:
                self._without(size)
                size //= 2
            for number in list(self.best.taken):
                for lower in range(1, self.best.taken.get(number, 1)):
                    if self._try({**self.best.taken, number: lower}):
                        break

    def _without(self, size: int) -> None:
        """Take out so many neighbours at once, wherever the break survives it."""
        at = 0
        while at < len(self.best.taken):
            numbers = sorted(self.best.taken)
            left = numbers[:at] + numbers[at + size :]
            if not self._try({number: self.best.taken[number] for number in left}):
                at += size

    def _try(self, taken: dict[int, int]) -> bool:
        pairs = tuple(sorted(taken.items()))
        return self._accept(self.best.trial.replace(decider=Deviations(pairs)))

    # --- one attempt -------------------------------------------------------------

    def _accept(self, trial: Trial) -> bool:
        """Try; the break that happens in the same way is the best from now on."""
        if trial in self._tried:
            return False
        self._tried.add(trial)
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
    if scenario.is_disturbed:
        yield undisturbed(scenario)
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
            yield from _valid(scenario, workload=plainer)
    for index, fault in enumerate(scenario.faults):
        for smaller in simpler(fault):
            faults = (*scenario.faults[:index], smaller, *scenario.faults[index + 1 :])
            yield from _valid(scenario, faults=faults)
    for seed in range(min(scenario.seed, FRESH_WALKS)):
        yield scenario.replace(seed=seed)


def undisturbed(scenario: Scenario) -> Scenario:
    """The same without faults, and with what is asked afresh as a part of the load.

    That may be what breaks, and then needs no fault, but who asks it.
    """
    fleet, demand = scenario.nodes, scenario.demand
    greater = fleet.replace(clients=fleet.clients + 1)
    load = demand.replace(requests=demand.requests + greater.clients)
    return scenario.replace(faults=(), fleet=greater, workload=load)


def small(scenario: Scenario) -> list[Scenario]:
    """The plans with no more than a few of everything, the least first."""
    calm = small(undisturbed(scenario)) if scenario.is_disturbed else []
    fleet, demand = scenario.nodes, scenario.demand
    few = demand.replace(requests=min(FEW, demand.requests))
    loads = [few]
    if isinstance(few.arrival, ClosedLoop):
        # Some need a fleet that is ready before it is asked anything, and what many clients have
        # open together one has as well, if it pipelines.
        for arrival in (
            ClosedLoop(few.arrival.window, THINK_S),
            ClosedLoop(FEW, few.arrival.think_time_s),
        ):
            loads.append(few.replace(arrival=arrival, service=(Constant(),)))
    workers = range(1, min(2, fleet.workers) + 1)
    return calm + [
        plan
        for load in loads
        for loaded in _valid(scenario, workload=load)
        for number in (workers if scenario.pattern.is_sizable else [fleet.workers])
        for clients in range(1, min(2, fleet.clients) + 1)
        for plan in _with_fleet(loaded, Fleet(clients, number))
    ]


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
