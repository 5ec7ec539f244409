"""The clauses that the spec tests prove: what each says, and on which worlds it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

WORLDS = ("simulated-inproc", "simulated-tcp", "inproc", "ipc", "tcp")
NETWORK = ("simulated-tcp", "ipc", "tcp")
INPROC = ("simulated-inproc", "inproc")

CLAUSES: dict[str, str] = {}
"""All clauses by id, in the order in which the files were read."""

Test = TypeVar("Test", bound=Callable[..., Any])


def clause(name: str, text: str, on: tuple[str, ...] = WORLDS) -> Callable[[Test], Test]:
    """Mark a test as the proof of a clause.

    Args:
        name: Its id, such as `REQ-2` (RFC 28) or `5.4.2` (section 5 of the catalogue).
        text: What it says, paraphrased.
        on: The worlds on which it holds.
    """

    def mark(test: Test) -> Test:
        assert name not in CLAUSES, f"clause {name} has two tests"
        CLAUSES[name] = text
        test.clause = name  # type: ignore[attr-defined]
        test.worlds = on  # type: ignore[attr-defined]
        return test

    return mark
