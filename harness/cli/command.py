"""The command and what all its parts share: errors and exit statuses."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import click

from ..errors import HarnessBug, MisuseError, PeerError
from ..run import EXIT_BUG, EXIT_MISUSE, EXIT_UNKNOWN

EXIT_INTERRUPTED = 130
"""What a shell expects of a command that was stopped by Ctrl-C."""

EXIT_BROKEN_PIPE = 141
"""What a shell sees of a command whose reader has gone."""

COMMANDS = ("list", "run", "search", "replay")


@contextmanager
def blamed() -> Iterator[None]:
    """Turn errors into a message and the exit status of whoever is to blame."""
    try:
        yield
    except MisuseError as error:
        fail(str(error), EXIT_MISUSE)
    except PeerError as error:
        fail(str(error), EXIT_UNKNOWN)
    except KeyboardInterrupt as error:
        if _came_before(error):  # It came again while all was being closed.
            raise
        notes = getattr(error, "__notes__", ())
        fail("\n".join(["stopped by Ctrl-C; everything is closed", *notes]), EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough; what is left of it must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except HarnessBug as error:
        fail(str(error), EXIT_BUG)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception:
        fail(f"this is a bug of reqrep, please report it:\n{traceback.format_exc()}", EXIT_BUG)


def _came_before(error: BaseException) -> bool:
    """Whether Ctrl-C has come while another was being dealt with."""
    context = error.__context__
    while context is not None and not isinstance(context, KeyboardInterrupt):
        context = context.__context__
    return context is not None


def fail(message: str, status: int) -> None:
    """Say what went wrong, where a pipe does not take it for output, and exit."""
    click.echo(f"reqrep: {message}", err=True)
    sys.exit(status)


def check_writable(target: str | None) -> None:
    """Before the run: a file that cannot be written costs no run, and no file that was there."""
    if target is None or target == "-":
        return
    path = Path(target)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MisuseError(f"--json cannot write to {target!r}: no such folder, or not allowed")


def quiet_programs(json_to: str | None) -> AbstractContextManager[object]:
    """What programs print goes beside the output where that is to be JSON and nothing else."""
    return redirect_stdout(sys.stderr) if json_to == "-" else nullcontext()


class Commands(click.Group):
    """Loads each command when it is called, so that none pays for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        from importlib import import_module

        module = import_module(f".{name}_command", __package__)
        command: click.Command = module.command
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("reqrep"), prog_name="reqrep")
def reqrep() -> None:
    """Find the bugs in ZeroMQ request-reply code before a network does.

    Every command exits with 0 when all properties hold, 1 when one is broken, 2 on
    wrong use, 3 when a verdict is unknown, and 4 on a bug of reqrep.
    """
