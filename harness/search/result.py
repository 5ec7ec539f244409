"""What came of a search, for a person, for a test, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MisuseError, PeerError, PropertyBroken
from ..pattern import Pattern
from ..property import Verdict
from ..references import home_of
from ..run import EXIT_BROKEN, EXIT_HOLDS, EXIT_UNKNOWN
from ..scenario import PatternName
from .counterexample import Counterexample
from .hunt import Found, Progress, Search
from .space import Limits, Space
from .story import many, story
from .tally import CONFIDENCE, Tally
from .trial import Attempt

Step = Callable[[int, Attempt], None]


@dataclass(frozen=True)
class Break:
    """One way in which a promise breaks.

    Args:
        found: Which trial broke first, and how often it happened.
        attempt: The least one that breaks in this way.
        path: Where the counterexample is kept; None if it is not.
        unkept: Why it could not be; empty where nobody asked.
    """

    found: Found
    attempt: Attempt
    path: Path | None = None
    unkept: str = ""

    @property
    def breach(self) -> Verdict:
        """What broke."""
        assert self.attempt.broken is not None
        return self.attempt.broken

    @property
    def story(self) -> str:
        """What was promised, what happened, what it takes, and how to see it again."""
        return story(self.attempt, replay_lines(self.attempt, self.path, self.unkept))


def replay_lines(broken: Attempt, path: Path | None, unkept: str) -> Sequence[str]:
    """A command and a test that replay a counterexample; or why it could not be kept."""
    if path is None:
        return [f"not kept: {unkept}"] if unkept else ()
    name = path.stem.replace("-", "_").replace(".", "_")
    folders = ":".join(_folders_to_name(broken.trial.scenario.pattern))
    return (
        f"replay: {f'PYTHONPATH={folders} ' if folders else ''}reqrep replay {path}",
        f'test:   def test_{name}(): reqrep.replay("{path}").check()',
    )


def _folders_to_name(pattern: Pattern) -> list[str]:
    """Where a command would not find the programs of a pattern that was kept: below the current
    folder, such as in `tests`, which pytest makes known to itself."""
    here = Path.cwd()
    named = PatternName.of(pattern)
    homes = dict.fromkeys(map(home_of, (named.name, *named.roles.values())))
    return [
        str(home.relative_to(here))
        for home in homes
        if home is not None and here in home.parents and "site-packages" not in home.parts
    ]


@dataclass(frozen=True)
class Searched:
    """What came of a search.

    Args:
        space: What was searched.
        tally: What was tried and seen.
        breaks: What broke, each as small as it gets.
        seconds: How long it took, shrinking left out.
        properties: The names of those that were judged.
        lost: What broke once and not again, and what ended the search early, in sentences.
    """

    space: Space
    tally: Tally
    breaks: tuple[Break, ...]
    seconds: float
    properties: tuple[str, ...]
    lost: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing broke, and every verdict was certain."""
        return not (self.breaks or self.lost or self.tally.unknown)

    @property
    def exit_status(self) -> int:
        """0 nothing broke, 1 something did, 3 some verdicts are unknown, or a break was lost."""
        if self.breaks:
            return EXIT_BROKEN
        return EXIT_HOLDS if self.holds else EXIT_UNKNOWN

    def check(self) -> Searched:
        """Itself, if nothing broke and every verdict was certain.

        Raises:
            PropertyBroken: Something did, or some were not; the message has the stories.
        """
        if not self.holds:
            raise PropertyBroken(str(self))
        return self

    @property
    def never(self) -> list[str]:
        """What was never exercised, in words."""
        return self.tally.never(self.properties, self.space.kinds)

    def __str__(self) -> str:
        told = [each.story for each in self.breaks]
        return "\n\n".join([*told, self.summary])

    @property
    def summary(self) -> str:
        """How much was tried, and what it is worth."""
        tally = self.tally
        lines = [
            f"{self.space.pattern.name}: {many(tally.scenarios, 'scenario')} in {self.seconds:.1f} s, "
            f"{tally.scenarios / max(self.seconds, 1e-9):,.0f} a second; "
            f"{many(len(tally.behaviours), 'distinct behaviour')}"
        ]
        if tally.struck:
            struck = ", ".join(f"{kind} in {n:,}" for kind, n in sorted(tally.struck.items()))
            lines.append(f"faults that struck: {struck}")
        if self.breaks:
            for each in self.breaks:
                times = "once" if each.found.times == 1 else f"{each.found.times:,} times"
                lines.append(
                    f"broken {times}, first in scenario {each.found.number:,}: {each.found.breach}"
                )
        elif not self.lost:
            lines.append(
                f"nothing broke: with {CONFIDENCE:.0%} confidence fewer than {tally.bound:.2%} of such "
                f"scenarios do; about {tally.unseen:.0%} of further ones would show a behaviour not seen yet"
            )
        lines += self.lost
        for what, number in sorted(self.tally.unknown.items()):
            lines.append(f"unknown in {many(number, 'scenario')}: {what}")
        if self.never:
            lines.append("never exercised: " + "; ".join(self.never))
        return "\n".join(lines)

    def to_data(self) -> dict[str, Any]:
        """The result as plain data, for JSON."""
        tally = self.tally
        return {
            "pattern": self.space.pattern.name,
            "transport": self.space.limits.transport,
            "seed": self.space.limits.seed,
            "scenarios": tally.scenarios,
            "seconds": self.seconds,
            "scenarios_per_second": tally.scenarios / max(self.seconds, 1e-9),
            "behaviours": len(tally.behaviours),
            "bound": tally.bound,
            "unseen": tally.unseen,
            "struck": tally.struck,
            "never": self.never,
            "unknown": tally.unknown,
            "lost": list(self.lost),
            "breaks": [
                {
                    "property": each.breach.property,
                    "breach": each.found.breach,
                    "scenario": each.found.number,
                    "times": each.found.times,
                    "file": str(each.path) if each.path is not None else None,
                    "story": each.story,
                }
                for each in self.breaks
            ],
        }


def search(
    what: Pattern | str,
    limits: Limits | None = None,
    *,
    scenarios: int | None = None,
    minutes: float | None = None,
    jobs: int = 1,
    properties: tuple[str, ...] = (),
    keep_going: bool = False,
    out: str | Path | None = None,
    progress: Progress | None = None,
    on_step: Step | None = None,
) -> Searched:
    """Look for a scenario in the simulated world that breaks what a pattern promises.

        >>> reqrep.search("req-rep", scenarios=50).holds
        True

    Args:
        what: A pattern, or its name.
        limits: How far the scenarios go, and the master seed; None for the usual ones.
        scenarios: How many to try, at most; None for 1,000, unless there is a time.
        minutes: How long to try, in real time; None for no limit.
        jobs: How many processes, 1 or more. With more than one the pattern must be found by name in
            them, and a script must call this under `if __name__ == "__main__":`.
        properties: Names of what is judged; empty takes all that the pattern promises.
        keep_going: Go on after a break, and group those that are the same.
        out: A folder for the counterexamples; None keeps none.
        progress: Called after each batch.
        on_step: Called after each attempt of a shrinking.

    Raises:
        MisuseError: A program calls what is not simulated, or something is not there.
        NodeFailed: A node did not start, or computes without end, and no scenario before it broke.
    """
    from ..catalogue import pattern as find

    space = Space(find(what) if isinstance(what, str) else what, limits or Limits())
    if scenarios is None and minutes is None:
        scenarios = 1000
    seconds = None if minutes is None else minutes * 60
    hunt = Search(
        space, properties, scenarios=scenarios, seconds=seconds, jobs=jobs, keep_going=keep_going
    )
    try:
        return result_of(hunt.run(progress), out, on_step)
    except KeyboardInterrupt as stop:
        for each in hunt.found:
            stop.add_note(f"found before, in scenario {each.number:,}: {each.breach}")
        raise


def result_of(hunt: Search, out: str | Path | None = None, on_step: Step | None = None) -> Searched:
    """Shrink what a search found, and keep it.

    Args:
        hunt: A search that is done.
        out, on_step: As for `search`.
    """
    folder = None if out is None else Path(out)
    breaks, lost = [], []
    for found in hunt.found:
        try:
            least = hunt.shrunk(found, on_step)
        except PeerError as error:
            lost.append(str(error))  # The others are told all the same.
            continue
        breaks.append(Break(found, least, *kept(least, folder)))
    if hunt.failed is not None:
        failed = hunt.failed
        lost.append(
            f"scenario {failed.number:,} was the last: {failed.node} {failed.what}\n{failed.details}"
        )
    names = hunt.names or tuple(each.name for each in hunt.properties)
    return Searched(hunt.space, hunt.tally, tuple(breaks), hunt.elapsed_s, names, tuple(lost))


def kept(broken: Attempt, folder: Path | None) -> tuple[Path | None, str]:
    """Where a counterexample is, or why it is nowhere: the break is worth more than the file."""
    if folder is None:
        return None, ""
    try:
        return keep(broken, folder), ""
    except MisuseError as error:
        return None, str(error)


def keep(broken: Attempt, folder: Path) -> Path:
    """Save a counterexample under a name of its own.

    Raises:
        MisuseError: It cannot be written.
    """
    example = Counterexample.of(broken)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MisuseError(f"the folder {folder} cannot be made: {error}") from error
    text = example.to_json()
    stem = f"{broken.trial.scenario.pattern.name}-{example.broken}"
    number = 1
    while (path := folder / f"{stem}-{number}.json").exists():
        if path.read_bytes() == text:
            return path  # The same break as an earlier search found.
        number += 1
    example.save(path)
    return path
