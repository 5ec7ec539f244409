"""A trial: one scenario in the simulated world with one way to decide, run and judged.

Everything that a run depends on is in the trial, so the same trial ends the same in every
process and on every Python. What a search keeps of it is an `Attempt`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from ..catalogue import claim
from ..errors import HarnessBug, MisuseError, PropertyBroken
from ..exercised import promised_under
from ..history import History
from ..pattern import Pattern
from ..property import Property, Verdict, judge
from ..scenario import Scenario
from ..seam.patches import virtually
from ..simulated import SimulatedWorld
from ..simulation.choices import Choices
from ..values import Value
from .deciders import Decider, Deviations, RandomWalk

laboratory = virtually
"""Hold this open over many trials: what a simulation patches is then put in place once."""

_PARTICULARS = re.compile(r"\[[^\]]*\]|0x[0-9a-fA-F]+|\d+|(?<= waits: )[^;]*")
"""Frames, addresses, numbers, and whom somebody waits for: one break has these, the next others."""


class Trial(Value, frozen=True):
    """What is tried.

    Args:
        scenario: Pattern, fleet, workload, faults, seed.
        transport: Whose rules hold: `inproc`, `ipc` or `tcp`.
        decider: How the simulation decides.
    """

    scenario: Scenario
    transport: str = "tcp"
    decider: Decider = RandomWalk()

    def check(self) -> Attempt:
        """Run it, and judge all that its pattern promises.

        Raises:
            PropertyBroken: Something is broken, and the message is the story; or it is unknown.
            MisuseError: Nothing is promised that it could break; or as `attempt`.
            NodeFailed, HarnessBug: As `attempt`.
        """
        properties = promised(self.scenario)
        if not properties:
            raise nothing_to_judge(self.scenario.pattern)
        with laboratory():
            tried = attempt(self, properties)
        if tried.broken is not None:
            from .story import story

            raise PropertyBroken(story(tried))
        for verdict in tried.verdicts:
            if not verdict:
                raise PropertyBroken(f"{verdict.property} is unknown: {verdict.reason}")
        return tried


@dataclass
class Attempt:
    """What came of a trial.

    Args:
        trial: What was tried.
        history: What happened.
        verdicts: Of the properties that were judged.
        taken: The deviations from calm that the run took, by the number of the decision.
        labels: What each came to, in words.
        decisions: How many decisions there were.
        is_least: Whether it was shrunk, so that all that is left in it is necessary.
    """

    trial: Trial
    history: History
    verdicts: tuple[Verdict, ...]
    taken: dict[int, int]
    labels: dict[int, str]
    decisions: int
    is_least: bool = False

    @cached_property
    def broken(self) -> Verdict | None:
        """The first property that broke, in the order of the promises."""
        return next((v for v in self.verdicts if v.outcome == "broken"), None)

    @property
    def replayable(self) -> Trial:
        """The same run as a trial that lists its decisions."""
        return self.trial.replace(decider=Deviations(tuple(sorted(self.taken.items()))))

    @cached_property
    def behaviour(self) -> bytes:
        """What happened in which order, without the times: two runs that differ only in how long
        things took have the same."""
        seen = "\n".join(
            f"{event.node} {event.kind} {event.socket} {event.op or event.op_in_frames}"
            for event in self.history
        )
        return blake2b(seen.encode(), digest_size=8).digest()


def breach(verdict: Verdict) -> str:
    """What breaks and how, without who and when: two breaks of one kind have the same."""
    return f"{verdict.property}: {_PARTICULARS.sub('..', verdict.reason)}"


def promised(scenario: Scenario, names: Sequence[str] = ()) -> list[Property]:
    """The properties that a trial of a scenario judges, of those that its run can tell.

    Args:
        scenario: What is tried.
        names: Of properties; empty takes all that its pattern promises under its faults.

    Raises:
        MisuseError: There is no property of that name.
    """
    names = names or [promise.property for promise in promised_under(scenario)[0]]
    return [each for each in map(claim, names) if each.is_told(scenario, "simulated")]


def nothing_to_judge(pattern: Pattern) -> MisuseError:
    """The error where no property would be judged: that nothing breaks then says nothing."""
    return MisuseError(
        f"{pattern.name} promises nothing that such a simulated run could break; give its Pattern "
        "promises, or name properties"
    )


def attempt(
    trial: Trial, properties: Sequence[Property], choices: Choices | None = None
) -> Attempt:
    """Run a trial and judge it.

    Args:
        trial: What is tried.
        properties: What is judged.
        choices: Decides in place of the trial's decider; None for the decider.

    Raises:
        MisuseError: A program calls what is not simulated.
        NodeFailed: A node did not start.
        HarnessBug: A checker raised.
    """
    scenario = trial.scenario
    choices = choices or trial.decider.choices(scenario.seed)
    world = SimulatedWorld(scenario, trial.transport, choices)
    # As in any run of this scenario, whatever is judged this time: a replay is the same run.
    world.asks_afresh = scenario.is_disturbed and any(
        each.asks_afresh for each in (*properties, *promised(scenario))
    )
    world.run()
    history = world.recorder.history({})
    verdicts = judge(properties, scenario, history)
    for verdict in verdicts:
        if verdict.bug:
            raise HarnessBug(f"a checker of reqrep raised; please report this:\n{verdict.bug}")
    return Attempt(trial, history, verdicts, choices.taken, choices.labels, choices.count)
