"""What the search has found stays found: kept counterexamples, one for each kind of fault.

Each was found by `reqrep.search` from a cold start in `tests.faults.planted`, with its own kind
of fault, and shrunk. Two more, found by resets, strike upon a message on its way. They are run
again here, in every world that can do the fault. A file is named after the kind or the point, and
behind a dot after what is particular about it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import reqrep
from reqrep.harness.faults import KINDS, WAY_POINTS

REPLAYS = sorted((Path(__file__).parents[1] / "replays").glob("*.json"))
kept = pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)


def test_each_kind_of_fault_has_a_kept_counterexample_and_so_has_each_point_of_a_way() -> None:
    kinds = {path.name.partition(".")[0] for path in REPLAYS}
    assert kinds == {*KINDS, *WAY_POINTS} - {"noop"}
    for point in WAY_POINTS:
        (path,) = (path for path in REPLAYS if path.stem == point)
        assert f'"point": "{point}"' in path.read_text()


@kept
def test_what_was_found_is_still_broken(path: Path) -> None:
    seen = reqrep.replay(path)
    assert seen.fate == "still broken"
    assert "another one" not in seen.why, "the simulation is not what it was"


@kept
def test_the_mended_program_is_said_to_be_fixed(path: Path, tmp_path: Path) -> None:
    mended = tmp_path / path.name
    mended.write_text(path.read_text().replace(".subject", ".mended"))
    seen = reqrep.replay(mended)
    assert seen.fate == "fixed", seen.why


REAL = {
    "threads": (
        "blank",
        "cut",
        "delay",
        "hold",
        "late",
        "leave",
        "partition",
        "pressure",
        "raises",
        "reset",
        "reset.half-open",
        "stranger",
        "throttle",
        *WAY_POINTS,
    ),
    "processes": tuple(sorted({*KINDS, *WAY_POINTS} - {"noop", "skew"})),
}
"""The kinds that each real world can do over tcp."""

QUICK = {
    "threads": REAL["threads"],
    "processes": ("crash", "reset", "restart", "stall", "passing"),
}


@pytest.mark.parametrize(
    ("kind", "world"),
    [
        pytest.param(kind, world, marks=() if kind in QUICK[world] else pytest.mark.slow)
        for world, kinds in REAL.items()
        for kind in kinds
    ],
)
def test_what_was_found_breaks_on_real_sockets_too(kind: str, world: str) -> None:
    (path,) = (path for path in REPLAYS if path.stem == kind)
    seen = reqrep.replay(path, world, "tcp")
    assert seen.fate == "still broken", seen.why
