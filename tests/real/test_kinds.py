"""Each kind of fault that processes can do brings out its planted defect there too."""

from __future__ import annotations

import pytest

from reqrep.harness.real.signals import able
from tests.faults.planted import PLANTED, Planted

DONE = [planted for planted in PLANTED if planted.fault.kind in able("tcp")]

TRIES = 3
"""The programs wait 50 ms for a reply, which a busy machine may not keep."""

pytestmark = pytest.mark.slow
each = pytest.mark.parametrize("planted", DONE, ids=lambda planted: planted.fault.kind)


def test_every_kind_that_processes_can_do_is_here() -> None:
    assert {planted.fault.kind for planted in DONE} == able("tcp") - {"noop"}


@each
def test_a_defect_is_caught_because_of_the_fault(planted: Planted) -> None:
    report = planted.run(planted.wrong, planted.fault, world="processes")
    (verdict,) = report.verdicts
    assert verdict.outcome == "broken", str(report)
    assert planted.says in verdict.reason
    assert report.strikes[0].event is not None


@each
def test_without_the_fault_the_same_program_holds(planted: Planted) -> None:
    reports = (planted.run(planted.wrong, world="processes") for _ in range(TRIES))
    assert any(report.holds for report in reports)


@each
def test_the_correct_program_is_not_flagged_under_the_fault(planted: Planted) -> None:
    faults = planted.correct, planted.fault
    reports = (planted.run(*faults, world="processes") for _ in range(TRIES))
    assert any(report.holds for report in reports)
