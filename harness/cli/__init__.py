"""The command `reqrep`: one file for each of its commands."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command and exit with its status."""
    from .command import reqrep

    # As `python -m` does it: patterns of the user's own lie where the user stands.
    if "" not in sys.path:
        sys.path.insert(0, "")
    reqrep(prog_name="reqrep")
