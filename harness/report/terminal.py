"""A report and a progress bar on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .text import remarks, strike_text

if TYPE_CHECKING:
    from ..drive import Driver
    from ..property import Verdict
    from ..run import Report
    from ..search.hunt import Search
    from ..search.trial import Attempt

COLOURS = {"holds": "green", "broken": "bold red", "unknown": "yellow"}
RECENT_LATENCIES = 20
"""How many of each client's latest latencies the progress bar looks at."""


class _Terminal(Console):
    """A console that leaves it to the command what a reader who has gone means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@contextmanager
def progress_bar(requests: int) -> Iterator[Callable[[list[Driver]], None]]:
    """A bar with rate and latency while the load runs; nothing where there is no terminal."""
    console = Console(stderr=True)
    begun = time.monotonic()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("ops", total=requests, figures="starting")

        def show(drivers: list[Driver]) -> None:
            answered = sum(driver.answered for driver in drivers)
            recent = sorted(
                latency for driver in drivers for latency in driver.latencies_ns[-RECENT_LATENCIES:]
            )
            rate = answered / max(1e-9, time.monotonic() - begun)
            figures = f"{rate:,.0f}/s"
            if recent:
                figures += f"  p50 {recent[len(recent) // 2] / 1e6:.1f} ms"
            progress.update(task, completed=answered, figures=figures)

        yield show


@contextmanager
def search_bar(
    scenarios: int | None, minutes: float | None
) -> Iterator[tuple[Callable[[Search], None], Callable[[int, Attempt], None]]]:
    """A bar for a search and for a shrinking; nothing where there is no terminal.

    Args:
        scenarios, minutes: The budget; None where it has no such end.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        total = scenarios if minutes is None else minutes * 60
        task = progress.add_task("searching", total=total, figures="starting")

        def searched(search: Search) -> None:
            tally = search.tally
            figures = (
                f"{tally.scenarios:,} scenarios, {tally.scenarios / search.elapsed_s:,.0f}/s, "
                f"{len(tally.behaviours):,} behaviours, {sum(tally.struck.values()):,} faults"
            )
            done = tally.scenarios if minutes is None else search.elapsed_s
            progress.update(task, completed=done, figures=figures)

        def stepped(runs: int, least: Attempt) -> None:
            scenario = least.trial.scenario
            figures = (
                f"{runs:,} runs; {scenario.nodes.clients} clients, {scenario.demand.requests} "
                f"requests, {len(least.taken)} deviations"
            )
            what = "shrinking" if least.broken is not None else "every schedule"
            progress.update(task, description=what, total=None, figures=figures)

        yield searched, stepped


def print_report(report: Report) -> None:
    """The verdicts as a table, the figures below it, and each witness in full."""
    console = _Terminal()
    figures = report.statistics
    title = (
        f"{report.scenario.pattern.name} in {report.world} over {report.transport}, "
        f"{report.scenario.nodes.clients} clients, seed {report.scenario.seed}"
    )
    console.print(title, style="italic")
    table = Table()
    table.add_column("property")
    table.add_column("verdict")
    table.add_column("facts", justify="right")
    for verdict in report.verdicts:
        facts = f"{verdict.facts:,}" if verdict.facts else "none"
        table.add_row(verdict.property, _coloured(verdict), facts)
    console.print(table)
    console.print(
        f"{figures.ok:,} ok, {figures.fail:,} fail, {figures.info:,} info "
        f"in {figures.seconds:.3f} {report.unit}: {figures.ops_per_second:,.0f} ops/s",
        highlight=False,
    )
    latency = figures.latency_ms
    if latency.p50 is not None:
        console.print(
            f"latency p50 {latency.p50:.2f} ms, p99 {latency.p99:.2f} ms, max {latency.max:.2f} ms",
            highlight=False,
        )
    simulated = report.simulated
    if simulated is not None:
        console.print(
            f"{simulated.virtual_seconds:.3f} virtual s, {simulated.decisions:,} decisions, "
            f"digest {simulated.digest}",
            highlight=False,
        )
    hops = Table(box=None, pad_edge=False)
    hops.add_column("hop")
    hops.add_column("sent", justify="right")
    hops.add_column("received", justify="right")
    for title, count in figures.messages.items():
        hops.add_row(escape(title), f"{count.sent:,}", f"{count.received:,}")
    console.print(hops)
    for remark in remarks(report):
        console.print(escape(remark), highlight=False)
    for strike in report.strikes:
        console.print(escape(strike_text(strike)), highlight=False, soft_wrap=True)
    for sentence in report.not_promised:
        console.print(escape(sentence), highlight=False)
    for verdict in report.verdicts:
        if not verdict:
            _print_finding(console, verdict)


def _coloured(verdict: Verdict) -> str:
    return f"[{COLOURS[verdict.outcome]}]{verdict.outcome}[/]"


def _print_finding(console: Any, verdict: Verdict) -> None:
    console.print(
        f"\n{_coloured(verdict)} [bold]{verdict.property}[/]: {escape(verdict.reason)}",
        highlight=False,
    )
    for event in verdict.witness:
        console.print(f"  {escape(str(event))}", highlight=False, soft_wrap=True)
