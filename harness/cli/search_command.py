"""`reqrep search`: many simulated scenarios, until one breaks or the budget is spent."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..errors import MisuseError
from .command import blamed, check_writable, quiet_programs
from .run_command import bodies_of

if TYPE_CHECKING:
    from ..search.space import Space

FOLDER = "reqrep-failures"

OF_SEARCHES = ("scenarios", "minutes", "jobs", "faults", "keep_going", "json_to")
"""Options that mean nothing to `--exhaustive`, which runs schedules of one scenario without faults."""


@click.command("search", short_help="Look for a scenario that breaks what a pattern promises.")
@click.argument("pattern")
@click.option("--scenarios", type=int, help="How many to try, at most.  [default: 1000]")
@click.option("--minutes", type=float, help="How long to try.")
@click.option("--jobs", type=int, help="Processes.  [default: one for each core]")
@click.option("--property", "names", multiple=True, help="Judge this one; may be repeated.")
@click.option(
    "--faults",
    default="promised",
    show_default=True,
    metavar="none|promised|random|KIND,...",
    help="Kinds that may be in a plan: those under which all is promised, or all, or these.",
)
@click.option("--clients", type=int, help="Fleets of up to so many.  [default: 3; 1 if exhaustive]")
@click.option("--workers", type=int, help="Likewise.  [default: 3; 2 if exhaustive]")
@click.option(
    "--requests", type=int, help="Up to so many requests in all.  [default: 12; 2 if exhaustive]"
)
@click.option(
    "--body",
    metavar="SIZE[xFRAMES]|faker|MODULE:NAME",
    help="What requests carry.  [default: drawn, whatever the pattern says]",
)
@click.option("--timeout", type=float, help="Virtual seconds that an op may stay open.")
@click.option(
    "--transport",
    default="tcp",
    show_default=True,
    help="inproc, ipc or tcp: whose rules the simulation follows.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed tries the same scenarios."
)
@click.option("--keep-going", is_flag=True, help="Go on after a break; group the same ones.")
@click.option(
    "--exhaustive",
    is_flag=True,
    help="Instead, every schedule of one tiny scenario that differs from the calm one in at most "
    "--deviations decisions.",
)
@click.option("--deviations", type=int, help="Of --exhaustive.  [default: 2]")
@click.option("--out", default=FOLDER, show_default=True, help="Where counterexamples are kept.")
@click.option("--json", "json_to", metavar="FILE|-", help="Write the result as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar, no text.")
def command(
    pattern: str,
    scenarios: int | None,
    minutes: float | None,
    jobs: int | None,
    names: tuple[str, ...],
    faults: str,
    clients: int | None,
    workers: int | None,
    requests: int | None,
    body: str | None,
    timeout: float | None,
    transport: str,
    seed: int,
    keep_going: bool,
    exhaustive: bool,
    deviations: int | None,
    out: str,
    json_to: str | None,
    quiet: bool,
) -> None:
    """Try many scenarios of PATTERN in the simulated world, each a little different.

    Fleet, load, pace, faults and every decision of the network are drawn anew for each. What
    breaks is made as small as it gets, told as a story of a few lines, and kept in a file that
    `reqrep replay` runs again. When nothing breaks, a figure says what that is worth.
    """
    with blamed():
        from ..catalogue import pattern as find
        from ..fleet import Fleet
        from ..search.space import Limits, Space

        if scenarios is not None and minutes is not None:
            raise MisuseError(
                f"--scenarios {scenarios} and --minutes {minutes:g} exclude each other: "
                "a search ends by number or by time"
            )
        if exhaustive:
            _refuse_given(OF_SEARCHES, "which means nothing with --exhaustive: leave it out")
        else:
            _refuse_given(("deviations",), "which is only for --exhaustive")
        least = Limits()
        tiny = Fleet(clients=1, workers=2) if exhaustive else least.fleet
        found = find(pattern)
        found.fleet_of(clients, workers)  # Refuses workers where there are none to multiply.
        space = Space(
            found,
            Limits(
                fleet=Fleet(
                    tiny.clients if clients is None else clients,
                    tiny.workers if workers is None else workers,
                ),
                requests=(2 if exhaustive else least.requests) if requests is None else requests,
                bodies=None if body is None else bodies_of(body),
                timeout_s=least.timeout_s if timeout is None else timeout,
                transport=transport,
                faults=() if exhaustive else _kinds(faults, transport),
                seed=seed,
            ),
        )
        check_writable(json_to)
        show = not quiet and json_to != "-"
        if exhaustive:
            status = _exhaust(
                space, names, 2 if deviations is None else deviations, Path(out), show
            )
        else:
            status = _search(
                space, names, scenarios, minutes, jobs, keep_going, Path(out), json_to, show
            )
        sys.exit(status)


def _refuse_given(names: tuple[str, ...], why: str) -> None:
    """Refuse options that would have no effect."""
    context = click.get_current_context()
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in names and source is ParameterSource.COMMANDLINE:
            raise MisuseError(f"{option.opts[0]} was given, {why}")


def _kinds(text: str, transport: str) -> tuple[str, ...] | None:
    """The kinds of fault that a word or a list stands for."""
    from ..simulated_reach import able

    match text:
        case "promised":
            return None
        case "none":
            return ()
        case "random":
            return tuple(sorted(able(transport)))
        case _:
            return tuple(text.split(","))


def _search(
    space: Space,
    names: tuple[str, ...],
    scenarios: int | None,
    minutes: float | None,
    jobs: int | None,
    keep_going: bool,
    out: Path,
    json_to: str | None,
    show: bool,
) -> int:
    from ..report.terminal import search_bar
    from ..search.result import search

    total = (1000 if scenarios is None else scenarios) if minutes is None else None
    shown = search_bar(total, minutes) if show else nullcontext((None, None))
    with shown as (progress, on_step), quiet_programs(json_to):
        result = search(
            space.pattern,
            space.limits,
            scenarios=scenarios,
            minutes=minutes,
            jobs=os.cpu_count() or 1 if jobs is None else jobs,
            properties=names,
            keep_going=keep_going,
            out=out,
            progress=progress,
            on_step=on_step,
        )
    if json_to is not None:
        import msgspec

        text = msgspec.json.format(msgspec.json.encode(result.to_data()), indent=2).decode()
        if json_to == "-":
            click.echo(text)
        else:
            Path(json_to).write_text(text + "\n")
    if show:
        click.echo(str(result))
    return result.exit_status


def _exhaust(space: Space, names: tuple[str, ...], deviations: int, out: Path, show: bool) -> int:
    from ..report.terminal import search_bar
    from ..run import EXIT_BROKEN, EXIT_HOLDS, EXIT_UNKNOWN
    from ..search.exhaust import exhaust
    from ..search.result import kept, replay_lines
    from ..search.story import story

    shown = search_bar(None, None) if show else nullcontext((None, None))
    with shown as (_, on_step):
        runs, broken, unknown = exhaust(space, names, deviations, on_step)
    if broken is not None:
        replay = replay_lines(broken, *kept(broken, out))
        if show:
            click.echo(story(broken, replay))
        return EXIT_BROKEN
    if unknown is not None:
        if show:
            click.echo(f"{unknown.property} is unknown: {unknown.reason}")
        return EXIT_UNKNOWN
    if show:
        click.echo(
            f"none of these {runs:,} runs breaks it: every schedule with at most {deviations} "
            f"deviations of {space.plain!r}"
        )
    return EXIT_HOLDS
