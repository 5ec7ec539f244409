"""`reqrep replay`: are the breaks that were kept still there?"""

from __future__ import annotations

import sys

import click

from ..errors import MisuseError
from .command import blamed

COLOURS = {
    "still broken": "red",
    "fixed": "green",
    "not seen": "yellow",
    "no longer applies": "yellow",
}


@click.command("replay", short_help="Run kept counterexamples again.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option(
    "--world",
    help="simulated, threads or processes: a real one runs the scenario and its faults on real sockets.  [default: simulated]",
)
@click.option("--transport", help="Of a real world: inproc, ipc or tcp.")
@click.option(
    "--tries", type=int, help="How often a real world runs each until it breaks.  [default: 10]"
)
@click.option("--quiet", is_flag=True, help="Only the exit status.")
def command(
    files: tuple[str, ...],
    world: str | None,
    transport: str | None,
    tries: int | None,
    quiet: bool,
) -> None:
    """Run each counterexample again and say whether it is still broken, fixed, or no longer applies.

    In a real world, where nobody decides what happens first, it is still broken or not seen.

    The exit status is 1 when one is still broken, 2 when one could not be replayed, 3 when one no
    longer applies or is not seen, 0 when all are fixed.
    """
    with blamed():
        from ..run import DEFAULT_WORLD, EXIT_BROKEN, EXIT_HOLDS, EXIT_MISUSE, EXIT_UNKNOWN
        from ..search.counterexample import TRIES, replay

        if not files:
            raise MisuseError(
                "give the files that a search has kept, such as reqrep-failures/*.json"
            )
        world = DEFAULT_WORLD if world is None else world
        if world == DEFAULT_WORLD and (transport, tries) != (None, None):
            raise MisuseError(
                "--transport and --tries are for real worlds: the simulated one repeats a "
                "counterexample to the event; add --world threads"
            )
        fates = []
        is_one_refused = False
        for file in files:
            try:
                replayed = replay(file, world, transport, TRIES if tries is None else tries)
            except MisuseError as error:
                if len(files) == 1:
                    raise
                click.echo(f"{file}: {error}", err=True)  # The others are replayed all the same.
                is_one_refused = True
                continue
            fates.append(replayed.fate)
            if not quiet:
                fate = click.style(replayed.fate, fg=COLOURS[replayed.fate], bold=True)
                click.echo(f"{file}: {fate}: {replayed.why}")
                if replayed.fate == "still broken":
                    click.echo(replayed.story)
        if "still broken" in fates:
            sys.exit(EXIT_BROKEN)
        if is_one_refused:
            sys.exit(EXIT_MISUSE)
        sys.exit(EXIT_HOLDS if set(fates) == {"fixed"} else EXIT_UNKNOWN)
