"""`reqrep replay`: are the breaks that were kept still there?"""

from __future__ import annotations

import sys

import click

from ..errors import MisuseError
from .command import blamed

COLOURS = {"still broken": "red", "fixed": "green", "no longer applies": "yellow"}


@click.command("replay", short_help="Run kept counterexamples again.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--quiet", is_flag=True, help="Only the exit status.")
def command(files: tuple[str, ...], quiet: bool) -> None:
    """Run each counterexample again and say whether it is still broken, fixed, or no longer applies.

    The exit status is 1 when one is still broken, 3 when one no longer applies, 0 when all are
    fixed.
    """
    with blamed():
        from ..run import EXIT_BROKEN, EXIT_HOLDS, EXIT_UNKNOWN
        from ..search.counterexample import replay

        if not files:
            raise MisuseError(
                "give the files that a search has kept, such as reqrep-failures/*.json"
            )
        fates = []
        for file in files:
            replayed = replay(file)
            fates.append(replayed.fate)
            if not quiet:
                fate = click.style(replayed.fate, fg=COLOURS[replayed.fate], bold=True)
                click.echo(f"{file}: {fate}: {replayed.why}")
                if replayed.fate == "still broken":
                    click.echo(replayed.story)
        if "still broken" in fates:
            sys.exit(EXIT_BROKEN)
        sys.exit(EXIT_UNKNOWN if "no longer applies" in fates else EXIT_HOLDS)
