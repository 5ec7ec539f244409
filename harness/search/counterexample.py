"""Counterexamples: the file that keeps a break, and what becomes of it later.

A file is small JSON with a version: the scenario by the names of its programs, the
transport, the deviations from calm, and what broke. It says nothing of the machine, the process or the
Python that found it, and depends on none of them. What this version does not know it refuses, so
that nothing is replayed by half.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ..catalogue import claim
from ..errors import MisuseError, NodeFailed, PropertyBroken
from ..exercised import exercised
from ..property import judge
from ..run import DEFAULT_WORLD, run
from ..scenario import Scenario
from ..values import Value, require_count
from .deciders import Deviations
from .story import story
from .trial import Attempt, Trial, attempt, laboratory, promised

if TYPE_CHECKING:
    from ..run import Report

VERSION = 1
"""Of the file. A reader refuses one that is newer."""

Fate = Literal["still broken", "fixed", "not seen", "no longer applies"]

TRIES = 10
"""How often a real world runs a scenario, since nobody decides there what happens first."""


class Outdated(MisuseError):
    """A counterexample is of a program, a role or a fault that is not there any more."""


class _File(Value, frozen=True):
    """What stands in the file, in this order."""

    reqrep: int
    property: str
    reason: str
    scenario: msgspec.Raw
    transport: str
    deviations: tuple[tuple[int, int], ...]
    digest: str


class Counterexample:
    """A break that can be seen again.

    Args:
        trial: What breaks, its decisions listed.
        broken: The name of the property that broke.
        reason: How, as the checker said it.
        digest: Of the history.
    """

    def __init__(self, trial: Trial, broken: str, reason: str, digest: str) -> None:
        self.trial = trial
        self.broken = broken
        self.reason = reason
        self.digest = digest

    @classmethod
    def of(cls, broken: Attempt) -> Counterexample:
        """The counterexample that an attempt is."""
        verdict = broken.broken
        assert verdict is not None
        return cls(broken.replayable, verdict.property, verdict.reason, broken.history.digest)

    def save(self, path: str | Path) -> None:
        """Write the file.

        Raises:
            MisuseError: It cannot be written, or a program cannot be named in it.
        """
        text = self.to_json()
        try:
            Path(path).write_bytes(text)
        except OSError as error:
            raise MisuseError(f"the counterexample cannot be written to {path}: {error}") from error

    def to_json(self) -> bytes:
        """What the file holds.

        Raises:
            MisuseError: A program cannot be named in it.
        """
        decider = self.trial.decider
        assert isinstance(decider, Deviations)
        written = _File(
            VERSION,
            self.broken,
            self.reason,
            msgspec.Raw(self.trial.scenario.to_json().encode()),
            self.trial.transport,
            decider.pairs,
            self.digest,
        )
        return msgspec.json.format(msgspec.json.encode(written), indent=1) + b"\n"

    @classmethod
    def load(cls, path: str | Path) -> Counterexample:
        """Read a file that `save` wrote.

        Raises:
            MisuseError: It cannot be read, is none, is cut off, or is of a newer version.
            Outdated: The scenario in it cannot be made any more.
        """
        try:
            text = Path(path).read_bytes()
        except OSError as error:
            raise MisuseError(f"{path} cannot be read: {error}") from error
        try:
            version = msgspec.json.decode(text, type=_Version).reqrep
        except msgspec.DecodeError as error:
            raise MisuseError(f"{path} is no counterexample of reqrep: {error}") from error
        if version > VERSION:
            raise MisuseError(
                f"{path} is of version {version}, and this reqrep reads versions up to {VERSION}; "
                "install a newer one"
            )
        try:
            written = msgspec.json.decode(text, type=_File)
        except msgspec.DecodeError as error:
            raise MisuseError(f"{path} is damaged: {error}") from error
        try:
            scenario = Scenario.from_json(bytes(written.scenario))
        except MisuseError as error:
            raise Outdated(str(error)) from error
        try:
            deviations = Deviations(written.deviations)
        except MisuseError as error:
            raise MisuseError(f"{path} is damaged: {error}") from error
        trial = Trial(scenario, written.transport, deviations)
        return cls(trial, written.property, written.reason, written.digest)

    def again(self) -> Replayed:
        """Run it again.

        What is judged is the property that broke, and all else that the pattern promises.
        """
        try:
            names = dict.fromkeys([self.broken, *(p.name for p in promised(self.trial.scenario))])
            with laboratory():
                seen = attempt(self.trial, promised(self.trial.scenario, list(names)))
        except (MisuseError, NodeFailed) as error:
            return Replayed("no longer applies", str(error))
        verdicts = exercised(seen.verdicts, self.trial.scenario, seen.history)
        broken = {verdict.property: verdict for verdict in verdicts if verdict.outcome == "broken"}
        same = broken.get(self.broken)
        if same is not None:
            # As small as when it was kept, if it is the same run.
            exactly = seen.is_least = seen.history.digest == self.digest
            why = "" if exactly else "; the run is another one than when it was found"
            return Replayed("still broken", f"{same.property}: {same.reason}{why}", seen)
        if broken:
            other = next(iter(broken.values()))
            return Replayed(
                "no longer applies",
                f"{self.broken} holds, and something else is broken, {other.property}: "
                f"{other.reason}",
                seen,
            )
        unknown = next((v for v in verdicts if v.property == self.broken and not v), None)
        if unknown is not None:
            return Replayed(
                "no longer applies", f"{self.broken} is unknown: {unknown.reason}", seen
            )
        return Replayed("fixed", f"{self.broken} holds where it was broken: {self.reason}", seen)

    def really(self, world: str, transport: str | None = None, tries: int = TRIES) -> Replayed:
        """Run its scenario in a real world, up to so many times, until it breaks there too.

        The faults strike there as they did. The deviations have no part in it: what a real
        network does first nobody decides, so that a break may take several tries, each with
        another seed; one that does not show in all of them is not seen, which is less than fixed.
        """
        require_count("the number of tries", tries)
        found = claim(self.broken)
        if found.only_in not in ("", world):
            raise MisuseError(f"{self.broken} can be judged in the world {found.only_in} only")
        scenario = self.trial.scenario
        for number in range(1, tries + 1):
            try:
                report = run(
                    scenario.replace(seed=scenario.seed + number - 1),
                    world,
                    transport,
                    asks_afresh=found.asks_afresh,
                )
            except NodeFailed as error:
                return Replayed("no longer applies", str(error))
            (verdict,) = judge([found], scenario, report.history)
            if verdict.outcome == "broken":
                why = f"in run {number} in {world}, {verdict.property}: {verdict.reason}"
                return Replayed("still broken", why, report=report)
        return Replayed("not seen", f"{self.broken} is not broken in {tries} runs in {world}")


class Replayed:
    """What became of a counterexample.

    Args:
        fate: `still broken`, `fixed`, `no longer applies`, or in a real world `not seen`.
        why: A sentence.
        attempt: The simulated run; None if there was none.
        report: The real run in which it broke.
    """

    def __init__(
        self,
        fate: Fate,
        why: str,
        attempt: Attempt | None = None,
        report: Report | None = None,
    ) -> None:
        self.fate = fate
        self.why = why
        self.attempt = attempt
        self.report = report

    def check(self) -> Replayed:
        """Itself, if the break is fixed, which only the simulated world can tell.

        Raises:
            PropertyBroken: It is still broken, with the story; or it no longer applies; or it was
                not seen in a real world.
        """
        if self.fate != "fixed":
            raise PropertyBroken(f"{self.fate}: {self.why}\n{self.story}")
        return self

    @property
    def story(self) -> str:
        """What happens, if something is broken."""
        if self.report is not None:
            return str(self.report)
        told = self.attempt is not None and self.attempt.broken is not None
        return story(self.attempt) if told else ""  # type: ignore[arg-type]


class _Version(msgspec.Struct):
    reqrep: int


def replay(
    path: str | Path,
    world: str = DEFAULT_WORLD,
    transport: str | None = None,
    tries: int = TRIES,
) -> Replayed:
    """Run a saved counterexample again.

        def test_no_reply_goes_astray():
            reqrep.replay("reqrep-failures/load-balancing-reply-identity-1.json").check()

    Args:
        path: Where it was saved.
        world: Where to run it; the simulated world repeats it to the event, a real one runs its
            scenario and faults on real sockets.
        transport, tries: Of a real world; see `run` and `Counterexample.really`.

    Raises:
        MisuseError: The file cannot be read; see `Counterexample.load`. Or the world cannot do
            what is in it.
    """
    try:
        kept = Counterexample.load(path)
        return kept.again() if world == DEFAULT_WORLD else kept.really(world, transport, tries)
    except Outdated as error:
        return Replayed("no longer applies", str(error))
