"""The search: many trials, on all cores, until one breaks or the budget is spent.

Trials are handed out in batches, in order. When one breaks, the batches before it are still
waited for, and the break with the lowest number counts: so a search finds the same whether
one process makes it or eight.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context, parent_process

import msgspec

from ..catalogue import claim
from ..errors import MisuseError, NodeFailed, PeerError
from ..scenario import PatternName
from ..values import require_count, require_more_than_0
from .shrink import Shrinker
from .space import Limits, Space
from .tally import Tally
from .trial import Attempt, attempt, breach, laboratory, nothing_to_judge, promised

BATCH_S = 0.5
"""How long a batch should take, in real seconds: often enough for a progress bar."""

Progress = Callable[["Search"], None]


class Found(msgspec.Struct):
    """A break of a search.

    Args:
        number: Of the trial, from 0.
        breach: What breaks and how; breaks of one kind have the same.
        times: How often it was met.
    """

    number: int
    breach: str
    times: int = 1


class Failed(msgspec.Struct):
    """A trial that could not be run to its end, where the search ends, too.

    Args:
        number: Of the trial, from 0.
        node, what, details: As of `NodeFailed`.
    """

    number: int
    node: str
    what: str
    details: str


class Batch(msgspec.Struct):
    """What came of some trials in a row: a tally, the first of each kind of break, and the trial
    that failed."""

    tally: Tally
    found: list[Found]
    seconds: float
    failed: Failed | None = None


def run_batch(space: Space, names: tuple[str, ...], numbers: range, *, keep_going: bool) -> Batch:
    """Run the trials of these numbers; without `keep_going` up to the first break."""
    begun = time.perf_counter()
    tally, found = Tally(), dict[str, Found]()
    failed = None
    with laboratory():
        for number in numbers:
            trial = space.trial(number)
            try:
                tried = attempt(trial, promised(trial.scenario, names))
            except NodeFailed as error:
                failed = Failed(number, error.node, error.what, error.details)
                break
            tally.take(tried)
            if tried.broken is not None:
                kind = breach(tried.broken)
                if kind in found:
                    found[kind].times += 1
                else:
                    found[kind] = Found(number, kind)
                if not keep_going:
                    break
    return Batch(tally, list(found.values()), time.perf_counter() - begun, failed)


class Search:
    """A search in progress, and what came of it.

    Args:
        space: Where trials are drawn from.
        properties: Names of what is judged; empty takes what the pattern promises.
        scenarios: How many trials, at most; None for no limit but the time.
        seconds: How long, in real time; None for no limit but the number.
        jobs: How many processes.
        keep_going: Go on after a break, and group those that are the same.
        share: Which of how many shares of the trials are this search's.

    Attributes:
        tally: Of all batches that are done.
        found: The breaks, the lowest number first.
        failed: The first trial that could not be run to its end; None if all could.
        elapsed_s: How long it took, shrinking left out.
    """

    def __init__(
        self,
        space: Space,
        properties: tuple[str, ...] = (),
        *,
        scenarios: int | None = 1000,
        seconds: float | None = None,
        jobs: int = 1,
        keep_going: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if scenarios is None and seconds is None:
            raise MisuseError("a search needs an end: give a number of scenarios, or a time")
        if scenarios is not None:
            require_count("the number of scenarios", scenarios)
        if seconds is not None:
            require_more_than_0("the time of a search", seconds)
        require_count("the number of jobs", jobs)
        self.space = space
        self.names = properties
        self.scenarios = scenarios
        self.seconds = seconds
        self.jobs = jobs
        self.keep_going = keep_going
        self.properties = promised(space.plain, properties)
        # Some are only judged where something goes wrong, which it does not in the plain scenario.
        names = properties or tuple(promise.property for promise in space.pattern.promises)
        if not self.properties and not any(claim(name).asks_afresh for name in names):
            raise nothing_to_judge(space.pattern)
        self.tally = Tally()
        self.found: list[Found] = []
        self.failed: Failed | None = None
        self.elapsed_s = 0.0
        self._numbers = range(share[0], scenarios or sys.maxsize, share[1])
        self._begun = 0.0
        self._rate = 20.0  # Trials a second of one process, as measured so far.

    def run(self, progress: Progress | None = None) -> Search:
        """Search until something breaks or the budget is spent.

        Raises:
            NodeFailed: A node did not start, or computes without end, and no trial before it broke.
        """
        self._begun = time.monotonic()
        batches = self._in_processes() if self.jobs > 1 else self._here()
        for batch in batches:
            self._fail(batch.failed)
            self.add(batch.tally, batch.found)
            self._rate = max(1.0, batch.tally.scenarios / max(batch.seconds, 1e-6))
            self.elapsed_s = time.monotonic() - self._begun
            if progress is not None:
                progress(self)
        failed = self.failed
        if failed is not None and not (self.found and self.found[0].number < failed.number):
            what = f"{failed.what.removesuffix(':')} (in scenario {failed.number:,} of the search):"
            raise NodeFailed(failed.node, what, failed.details)
        if not self.keep_going:
            self.failed = None  # Another process met it, after the break that ends the search.
        return self

    def _fail(self, failed: Failed | None) -> None:
        """The trial with the lowest number counts, as of breaks."""
        if failed is not None and (self.failed is None or failed.number < self.failed.number):
            self.failed = failed

    def add(self, tally: Tally, found: list[Found]) -> None:
        """Add what was seen elsewhere."""
        self.tally.merge(tally)
        known = {each.breach: each for each in self.found}
        for each in found:
            if each.breach in known:
                known[each.breach].times += each.times
                known[each.breach].number = min(known[each.breach].number, each.number)
            else:
                self.found.append(each)
        self.found.sort(key=lambda each: each.number)
        if not self.keep_going:
            del self.found[1:]  # Another process may have met another, later one.

    # --- handing out ------------------------------------------------------------

    def _batches(self) -> Iterator[range]:
        """The numbers of each batch, until the budget is spent or something broke."""
        while self._numbers and not self.failed and (self.keep_going or not self.found):
            if self.seconds is not None and time.monotonic() - self._begun >= self.seconds:
                return
            count = max(1, int(self._rate * BATCH_S))
            batch, self._numbers = self._numbers[:count], self._numbers[count:]
            yield batch

    def _here(self) -> Iterator[Batch]:
        with laboratory():
            for numbers in self._batches():
                yield run_batch(self.space, self.names, numbers, keep_going=self.keep_going)

    def _in_processes(self) -> Iterator[Batch]:
        pool = ProcessPoolExecutor(
            self.jobs,
            get_context("spawn"),
            _prepare,
            (list(sys.path), PatternName.of(self.space.pattern), self.space.limits, self.names),
        )
        running: set[Future[Batch]] = set()
        try:
            batches = self._batches()
            while True:
                while len(running) < 2 * self.jobs and (batch := next(batches, None)) is not None:
                    running.add(pool.submit(_run_prepared, batch, self.keep_going))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise PeerError(
                "a process of the search ended without a word: a program of yours ends its process, or "
                "the system did, for want of memory; with one job (--jobs 1) it is this one that ends"
            ) from error
        finally:
            # After Ctrl-C, too: what has not begun is dropped, what has is soon over.
            pool.shutdown(wait=True, cancel_futures=True)

    def shrunk(
        self, found: Found, on_step: Callable[[int, Attempt], None] | None = None
    ) -> Attempt:
        """The least attempt that breaks in the way of a break that was found.

        Raises:
            PeerError: It does not break again.
        """
        with laboratory():
            trial = self.space.trial(found.number)
            properties = promised(trial.scenario, self.names)
            again = attempt(trial, properties)
            if again.broken is None:
                raise PeerError(
                    f"scenario {found.number} broke ({found.breach}), and does not when it is run "
                    "again: a program keeps something from one run to the next, as in a global "
                    "variable; begin each run afresh"
                )
            return Shrinker(again, properties, on_step).run()


# --- in another process ---------------------------------------------------------

_searched: tuple[PatternName, Limits, tuple[str, ...]]


def _prepare(path: list[str], name: PatternName, limits: Limits, names: tuple[str, ...]) -> None:
    """A new process learns what it is to search; what is not there is said by the first batch."""
    global _searched
    sys.path[:] = path
    sys.stdout = sys.stderr  # What programs print is no result of the search.
    # Ctrl-C is for the process that the user sees; it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="reqrep-parent", daemon=True).start()
    _searched = name, limits, names


def _end_with_parent() -> None:
    """Nobody waits for what a search finds that was killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@cache
def _space() -> Space:
    name, limits, _ = _searched
    return Space(name.find(), limits)


def _run_prepared(numbers: range, keep_going: bool) -> Batch:
    return run_batch(_space(), _searched[2], numbers, keep_going=keep_going)
