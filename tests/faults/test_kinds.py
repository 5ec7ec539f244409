"""Each kind of fault brings out a defect that does not show without it, and flags nothing correct."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import reqrep
from reqrep import (
    Noop,
    Scenario,
    Upon,
)
from reqrep.harness.faults import KINDS

from .planted import PLANTED, Planted

all_planted = pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.fault.kind)


def test_every_kind_has_a_planted_defect_but_the_one_that_does_nothing() -> None:
    assert {planted.fault.kind for planted in PLANTED} == set(KINDS) - {"noop"}


@all_planted
def test_a_defect_is_caught_because_of_the_fault(planted: Planted) -> None:
    report = planted.run(planted.wrong, planted.fault)
    (verdict,) = report.verdicts
    assert verdict.outcome == "broken", str(report)
    assert planted.says in verdict.reason
    assert report.strikes[0].event is not None


@all_planted
def test_without_the_fault_the_same_program_holds(planted: Planted) -> None:
    report = planted.run(planted.wrong)
    assert report.holds, str(report)


@all_planted
def test_the_correct_program_is_not_flagged_under_the_fault(planted: Planted) -> None:
    for seed in range(5):
        report = planted.run(planted.correct, planted.fault, seed=seed)
        assert report.holds, str(report)


@all_planted
def test_a_run_with_a_fault_is_the_same_every_time(planted: Planted) -> None:
    digests = [
        simulated.digest
        for _ in range(2)
        if (simulated := planted.run(planted.wrong, planted.fault, seed=7).simulated) is not None
    ]
    assert digests[0] == digests[1]


def test_a_noop_changes_nothing_but_the_history_that_tells_of_it() -> None:
    plan = (Noop(at=0.001, lasts=0.002), Noop(at=Upon("replied", "broker-0", 3)))
    with_it = reqrep.run(Scenario(reqrep.pattern("broker"), faults=plan), "simulated")
    without = reqrep.run(Scenario(reqrep.pattern("broker")), "simulated")
    told = with_it.history.of("fault", "healed")
    assert [event.kind for event in told] == ["fault", "fault", "healed", "healed"]
    rest = [event for event in with_it.history if event not in told]
    assert rest == list(without.history)
    assert with_it.holds, str(with_it)


DIGESTS = """
import reqrep
from reqrep.harness.faults import KINDS, parse
for kind in KINDS.values():
    plan = (parse(kind.example.replace("at=0.1", "at=0.001").replace("at=0.5", "at=0.002"), KINDS),)
    scenario = reqrep.Scenario(reqrep.pattern("load-balancing"), seed=5, faults=plan)
    print(reqrep.run(scenario, "simulated").simulated.digest)
"""


def test_digests_are_the_same_in_other_processes_under_other_hash_seeds() -> None:
    outputs = []
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        outputs.append(done.stdout.split())
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0])) == len(KINDS)
