"""The command `reqrep`: one file for each of its commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit with its status."""
    import click

    from .command import EXIT_INTERRUPTED, blamed, fail, reqrep

    # As `python -m` does it: patterns of the user's own lie where the user stands.
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        with blamed():
            status = reqrep(prog_name="reqrep", standalone_mode=False)
            sys.stdout.flush()
            sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("stopped by Ctrl-C, twice; something may be left behind", EXIT_INTERRUPTED)
