"""`reqrep run`: one scenario in one world, with a progress bar and a table."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import MisuseError, PeerError
from ..workload import (
    Bodies,
    ClosedLoop,
    Constant,
    FromFunction,
    OpenLoop,
    Sized,
    UserDirectory,
    Workload,
)
from .command import blamed, check_writable, quiet_programs

if TYPE_CHECKING:
    from ..run import Report
    from ..scenario import Scenario


@click.command("run", short_help="Run a pattern and judge what it promises.")
@click.argument("pattern")
@click.option("--clients", type=int, help="Clients of the fleet.  [default: the pattern's]")
@click.option("--workers", type=int, help="Workers, or servers.  [default: the pattern's]")
@click.option("--requests", type=int, help="Requests of all clients.  [default: the pattern's]")
@click.option("--window", type=int, help="Requests that one client keeps open, at most 500.")
@click.option("--rate", type=float, help="Requests per second of all clients, at planned times.")
@click.option("--body", metavar="SIZE[xFRAMES]|faker|MODULE:NAME", help="What requests carry.")
@click.option("--service-ms", type=float, help="How long the work of a request takes.")
@click.option(
    "--world", default="simulated", show_default=True, help="simulated, threads or processes."
)
@click.option("--transport", help="inproc, ipc or tcp.  [default: the world's]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all that is drawn.")
@click.option(
    "--timeout", type=float, help="Seconds that an op may stay open.  [default: the pattern's]"
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:KEY=VALUE,...]",
    help="What goes wrong; may be given several times.  [`reqrep list faults`: examples, and which world can do what]",
)
@click.option("--verify-determinism", is_flag=True, help="Run twice, simulated, and compare.")
@click.option("--json", "json_to", metavar="FILE|-", help="Write the report as JSON.")
@click.option("--history", metavar="FILE", help="Save the history.")
@click.option("--quiet", is_flag=True, help="No progress bar, no table.")
def command(
    pattern: str,
    clients: int | None,
    workers: int | None,
    requests: int | None,
    window: int | None,
    rate: float | None,
    body: str | None,
    service_ms: float | None,
    world: str,
    transport: str | None,
    seed: int,
    timeout: float | None,
    faults: tuple[str, ...],
    verify_determinism: bool,
    json_to: str | None,
    history: str | None,
    quiet: bool,
) -> None:
    """Run PATTERN, a name from `reqrep list` or module:attribute, and judge it.

    A fleet of clients and workers is started around the pattern's broker, every
    message at every hop is recorded, and each property that the pattern promises is
    judged.
    """
    with blamed():
        from ..catalogue import pattern as find
        from ..faults import KINDS, parse
        from ..run import run
        from ..scenario import Scenario

        found = find(pattern)
        workload = _workload(found.workload, requests, window, rate, body, service_ms, timeout)
        plan = tuple(parse(text, KINDS) for text in faults)
        scenario = Scenario(found, found.fleet_of(clients, workers), workload, seed, plan)
        check_writable(json_to)
        if verify_determinism:
            _verify(scenario, world, transport)
        shown = _progress(workload.requests) if not quiet and json_to != "-" else nullcontext()
        with shown as progress, quiet_programs(json_to):
            report = run(scenario, world, transport, progress=progress, history=history)
        if json_to is not None:
            from ..report.data import report_json

            if json_to == "-":
                click.echo(report_json(report))
            else:
                Path(json_to).write_text(report_json(report) + "\n")
        if not quiet and json_to != "-":
            _print(report)
        sys.exit(report.exit_status)


def _verify(scenario: Scenario, world: str, transport: str | None) -> None:
    """Run twice and compare, before the run that counts."""
    from ..run import TRANSPORT_OF, first_difference

    if world != "simulated":
        raise MisuseError(
            f"--verify-determinism compares simulated runs, and the world is {world!r}; "
            "add --world simulated"
        )
    difference = first_difference(scenario, transport or TRANSPORT_OF[world])
    if difference is not None:
        raise PeerError(
            f"two runs of one scenario are not the same: {difference}\n"
            "a program keeps something from one run to the next, as in a global variable: begin each "
            "run afresh; with programs of reqrep alone this is a bug, please report it"
        )


def _workload(
    workload: Workload,
    requests: int | None,
    window: int | None,
    rate: float | None,
    body: str | None,
    service_ms: float | None,
    timeout: float | None,
) -> Workload:
    changes: dict[str, Any] = {}
    if window is not None and rate is not None:
        raise MisuseError(
            f"--window {window} and --rate {rate:g} exclude each other: "
            "a client waits for replies or for planned times"
        )
    if requests is not None:
        changes["requests"] = requests
    if window is not None:
        changes["arrival"] = ClosedLoop(window=window)
    if rate is not None:
        changes["arrival"] = OpenLoop(rate_per_s=rate)
    if body is not None:
        changes["bodies"] = bodies_of(body)
    if service_ms is not None:
        changes["service"] = (Constant(service_ms / 1000),)
    if timeout is not None:
        changes["timeout_s"] = timeout
    return workload.replace(**changes) if changes else workload


def bodies_of(text: str) -> Bodies:
    if text == "faker":
        return UserDirectory()
    if ":" in text:
        return FromFunction(text)
    size, _, frames = text.partition("x")
    try:
        return Sized(bytes=int(size), frames=int(frames or 1))
    except ValueError:
        raise MisuseError(
            f"--body is {text!r}; write a size as 64, with frames as 64x3, the word faker, "
            "or module:name of a function"
        ) from None


def _progress(requests: int) -> AbstractContextManager[Any]:
    from ..report.terminal import progress_bar

    return progress_bar(requests)


def _print(report: Report) -> None:
    from ..report.terminal import print_report

    print_report(report)
