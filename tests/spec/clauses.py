"""The clauses that the spec tests prove: what each says, and on which worlds it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

WORLDS = ("simulated-inproc", "simulated-tcp", "inproc", "ipc", "tcp")
NETWORK = ("simulated-tcp", "ipc", "tcp")
INPROC = ("simulated-inproc", "inproc")

RFC_28 = ("REQ", "REP", "DEALER", "ROUTER")
OPTIONS = ("REQ_RELAXED", "REQ_CORRELATE", "PROBE_ROUTER", "RCVMORE")
OTHER_TYPES = ("PUSH-PULL", "PUB-SUB", "PAIR")


class Clause(NamedTuple):
    """A rule of libzmq, and where a test proves it.

    Attributes:
        text: What it says, paraphrased.
        worlds: On which it holds.
        test: The test, as `file::function`.
        only: Why it is proven in the simulation only: a name of `nondeterminism.DIVERGENCES`.
    """

    text: str
    worlds: tuple[str, ...]
    test: str
    only: str = ""


CLAUSES: dict[str, Clause] = {}
"""All clauses by id, in the order in which the files were read."""

Test = TypeVar("Test", bound=Callable[..., Any])


def clause(
    name: str, text: str, on: tuple[str, ...] = WORLDS, *, only: str = ""
) -> Callable[[Test], Test]:
    """Mark a test as the proof of a clause.

    Args:
        name: Its id, such as `REQ-2` (RFC 28) or `5.4.2` (section 5 of the catalogue).
        text: What it says, paraphrased.
        on: The worlds on which it holds.
        only: Why no world of libzmq proves it; see `Clause`.
    """

    def mark(test: Test) -> Test:
        assert name not in CLAUSES, f"clause {name} has two tests"
        CLAUSES[name] = Clause(text, on, f"{test.__module__.rpartition('.')[2]}.py", only)
        test.clause = name  # type: ignore[attr-defined]
        test.worlds = on  # type: ignore[attr-defined]
        return test

    return mark


def source_of(name: str) -> str:
    """Where the rule of an id comes from."""
    head = name.partition("-")[0]
    if head in RFC_28:
        return "RFC 28"
    if head in OPTIONS or name.startswith("2.5"):
        return "libzmq, socket options"
    if name.startswith("2.6"):
        return "libzmq, error codes"
    if head == "INV":
        return "the guide, an invariant of a pattern"
    if name.startswith(OTHER_TYPES):
        return "RFC 29 to 31"
    return "libzmq 4.3.5, measured"
