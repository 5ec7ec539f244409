"""What is said of faults: by the report, the history, the command."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from click.testing import CliRunner

import reqrep
from reqrep import Crash, Cut, Fleet, History, Late, Noop, Promise, Reset, Scenario, Stall, Upon
from reqrep.harness.cli.command import reqrep as command
from reqrep.harness.report.data import report_data

from .runs import MS, SLOW, run, struck


def test_a_fault_that_never_struck_makes_unknown_what_would_hold() -> None:
    report = run(Noop(at=0.001), Noop(at=4))
    assert report.exit_status == 3
    for verdict in report.verdicts:
        assert verdict.outcome == "unknown"
        assert verdict.reason.startswith(
            "not exercised: Noop(at=4.0) never struck in a load of 0.00"
        )
    assert "fault never struck: Noop(at=4.0)" in str(report)
    assert re.search(r"fault struck at 1\.\d+ ms: Noop\(at=0\.001\)", str(report))


def test_a_finding_stays_a_finding_when_another_fault_never_struck() -> None:
    pattern = reqrep.pattern("req-rep")
    pattern = dataclasses.replace(
        pattern, promises=(Promise("progress", frozenset({"crash", "noop"})),)
    )
    plan = Crash("server-0"), Noop(at=Upon("taken", count=1000))
    report = reqrep.run(Scenario(pattern, Fleet(1, 1), faults=plan), "simulated")
    assert report.exit_status == 1


def test_what_strikes_the_dead_has_not_struck() -> None:
    plan = Crash("worker-0", at=Upon("taken", "worker-0")), Stall("worker-0", at=0.3)
    report = run(*plan, workload=SLOW)
    assert [strike.event is not None for strike in report.strikes] == [True, False]


def test_what_is_not_promised_under_a_kind_is_not_judged_and_named() -> None:
    report = run(Cut("backend", at=0.002, lasts=0.1))
    assert "progress" not in {verdict.property for verdict in report.verdicts}
    assert report.not_promised == (
        "not promised under cut: progress, recovery, membership, oldest-ready-first",
    )
    assert report.not_promised[0] in str(report)
    assert report.exit_status == 0


def test_a_plan_under_which_nothing_is_promised_is_no_pass() -> None:
    pattern = dataclasses.replace(reqrep.pattern("broker"), promises=(Promise("progress"),))
    report = reqrep.run(Scenario(pattern, faults=(Reset(at=0.001),)), "simulated")
    assert not report.holds
    assert report.exit_status == 3


def test_the_report_as_data_lists_the_faults() -> None:
    report = run(Reset(at=0.002), Noop(at=Upon("taken", count=1000)))
    data = report_data(report)
    at_ms = struck(report).time_ns / MS
    never = "Noop(at=Upon(point='taken', count=1000))"
    assert data["faults"] == [
        {"kind": "reset", "fault": "Reset(at=0.002)", "struck": True, "struck_at_ms": at_ms},
        {"kind": "noop", "fault": never, "struck": False, "struck_at_ms": None},
    ]
    assert data["not_promised"] == [
        "not promised under reset: progress, recovery, membership, oldest-ready-first"
    ]


def test_faults_stand_in_a_saved_history(tmp_path: Any) -> None:
    scenario = Scenario(reqrep.pattern("broker"), faults=(Noop(at=0.001, lasts=0.001),))
    reqrep.run(scenario, "simulated", history=tmp_path / "history")
    events = History.load(tmp_path / "history").of("fault", "healed")
    assert [event.kind for event in events] == ["fault", "healed"]


def test_faults_are_given_on_the_command_line() -> None:
    arguments = ["run", "broker", "--world", "simulated", "--fault", "noop:at=0.001"]
    arguments += ["--fault", "late:by_s=0.1,nth=3", "--json", "-"]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    assert [entry["kind"] for entry in json.loads(result.output)["faults"]] == ["noop", "late"]


def test_the_table_of_the_command_is_followed_by_what_became_of_the_faults() -> None:
    arguments = ["run", "broker", "--world", "simulated", "--fault", "reset:at=0.001"]
    result = CliRunner().invoke(command, arguments)
    assert re.search(r"fault struck at 1\.\d+ ms: Reset\(at=0\.001\)", result.output)
    assert "not promised under reset: progress" in result.output


def test_a_bad_fault_on_the_command_line_is_wrong_use() -> None:
    result = CliRunner().invoke(command, ["run", "broker", "--fault", "crash:node=worker-9"])
    assert result.exit_code == 2
    assert "there is no node 'worker-9' in 'broker'; did you mean worker-2" in result.output


def test_the_kinds_are_listed_with_an_example_each() -> None:
    result = CliRunner().invoke(command, ["list", "faults"])
    assert result.exit_code == 0
    for kind in reqrep.harness.faults.KINDS.values():
        assert f"--fault {kind.example}" in result.output
    for name, places in (
        ("cut", "over ipc and tcp: simulated, threads; processes"),
        ("stall", "simulated, processes"),
        ("late", "simulated, threads, processes"),
        ("skew", "simulated"),
    ):
        assert re.search(rf"{name}:.* \({places}\)$", result.output, re.M), name


def test_a_promise_is_listed_with_the_faults_that_it_covers() -> None:
    result = CliRunner().invoke(command, ["list", "dealer-router"])
    assert "promises under late, noop, skew: head-of-line" in result.output


def test_the_fixture_takes_faults(run_fleet: Any) -> None:
    report = run_fleet("broker", world="simulated", faults=[Late(0.1, nth=2)])
    assert struck(report).kind == "fault"
