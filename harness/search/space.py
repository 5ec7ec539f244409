"""What a search draws its scenarios from.

Swarm testing (Groce et al., ISSTA 2012): each scenario leaves out most of what could be in it. A
random subset of the kinds of fault, one way to decide, one size of fleet, one pace: features that
are always on hide what only their absence shows. Scenario number i of a seed is the same
whoever runs it, so it matters not how many processes share a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

from ..errors import MisuseError
from ..faults import KINDS, Fault
from ..faults.draw import drawn, is_fit
from ..fleet import Fleet
from ..pattern import Pattern, no_such
from ..scenario import Scenario
from ..simulated_reach import able
from ..values import Value, require_count
from ..workload import (
    Bodies,
    ClosedLoop,
    Constant,
    Occasional,
    ServiceTime,
    Sized,
    Uniform,
    Workload,
)
from .deciders import Decider, FewDeviations, Overtaking, RandomWalk
from .trial import Trial

SERVICES: tuple[ServiceTime, ...] = (
    Constant(0.0),
    Constant(0.001),
    Uniform(0.0, 0.005),
    Occasional(slow_s=0.3, one_in=4),
)
"""How long work takes: no time, some, of uneven length, and now and then very long."""


class Limits(Value, frozen=True):
    """How far a search goes.

    Args:
        fleet: Fleets are drawn up to this size.
        requests: Up to how many requests of the whole fleet, 1 or more.
        bodies: What they carry; None draws it.
        service: How long the work takes; None draws it.
        timeout_s: How long an op may stay open, in virtual seconds.
        transport: `inproc`, `ipc` or `tcp`: whose rules the simulation follows.
        faults: The kinds of fault that may be in a plan; None for those under which the
            pattern promises all that it promises, an empty tuple for none.
        most_faults: How many faults one plan may have, 1 or more.
        seed: The master seed, 0 or more: the same one tries the same scenarios.
    """

    fleet: Fleet = Fleet(clients=3, workers=3)
    requests: int = 12
    bodies: Bodies | None = None
    service: tuple[ServiceTime, ...] | None = None
    timeout_s: float = 5.0
    transport: str = "tcp"
    faults: tuple[str, ...] | None = None
    most_faults: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        require_count("Limits.requests", self.requests)
        require_count("Limits.most_faults", self.most_faults)
        require_count("Limits.seed", self.seed, least=0)
        for kind in self.faults or ():
            if kind not in KINDS:
                raise MisuseError(no_such("kind of fault", kind, list(KINDS)))


@dataclass(frozen=True)
class Space:
    """Where scenarios are drawn from.

    Args:
        pattern: Its scenarios.
        limits: How far they go.
    """

    pattern: Pattern
    limits: Limits = Limits()

    @property
    def is_lockstep(self) -> bool:
        """Whether a client keeps one request open."""
        return hasattr(self.pattern.role("client").program, "call")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of fault that may be in a plan."""
        if self.limits.faults is not None:
            return self.limits.faults
        here = able(self.limits.transport)
        promises = self.pattern.promises
        return tuple(
            kind
            for kind in KINDS
            if kind in here and kind != "noop" and all(kind in p.under for p in promises)
        )

    @property
    def plain(self) -> Scenario:
        """The scenario at the limits, with nothing drawn."""
        limits = self.limits
        workload = Workload(
            requests=limits.requests,
            bodies=limits.bodies or Sized(1),
            service=limits.service or (Constant(),),
            timeout_s=limits.timeout_s,
        )
        return Scenario(self.pattern, limits.fleet, workload, limits.seed)

    def trial(self, number: int) -> Trial:
        """Scenario `number` of this space."""
        random = Random(f"space/{self.limits.seed}/{number}")
        clients = random.randint(1, self.limits.fleet.clients)
        workers = random.randint(1, self.limits.fleet.workers)
        fleet = Fleet(clients, workers if self.pattern.is_sizable else self.pattern.fleet.workers)
        workload = self._workload(random)
        seed = random.getrandbits(32)
        faults = self._faults(random, fleet, workload)
        scenario = Scenario(self.pattern, fleet, workload, seed, faults)
        return Trial(scenario, self.limits.transport, _decider(random))

    def _workload(self, random: Random) -> Workload:
        window = 1 if self.is_lockstep else random.choice((1, 2, 4))
        think_s = random.choice((0.0, 0.0, 0.001))
        return Workload(
            requests=random.randint(1, self.limits.requests),
            arrival=ClosedLoop(window, think_s),
            bodies=self.limits.bodies
            or Sized(random.choice((0, 1, 16)), random.choice((1, 1, 2, 3))),
            service=self.limits.service or (random.choice(SERVICES),),
            timeout_s=self.limits.timeout_s,
        )

    def _faults(self, random: Random, fleet: Fleet, workload: Workload) -> tuple[Fault, ...]:
        """A plan of some of the kinds, and more often than not of few faults."""
        kinds = [kind for kind in self.kinds if random.random() < 0.5]
        if not kinds:
            return ()
        plan: tuple[Fault, ...] = ()
        for _ in range(random.randint(0, self.limits.most_faults)):
            fault = drawn(
                KINDS[random.choice(kinds)],
                random,
                self.pattern,
                fleet,
                workload,
                has_network=self.limits.transport != "inproc",
            )
            # Together they may not fit: one strikes who is dead by then.
            if fault is not None and is_fit((*plan, fault), self.pattern, fleet, workload):
                plan = (*plan, fault)
        return plan


def _decider(random: Random) -> Decider:
    match random.randrange(4):
        case 0:
            return FewDeviations(random.randint(1, 4), random.choice((30, 100, 300)))
        case 1:
            return Overtaking(random.randint(1, 3), random.choice((10, 40)))
        case _:
            return RandomWalk(random.choice((2, 4, 16)))
