"""The command, as a person types it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reqrep import History
from reqrep.harness.cli.command import blamed, reqrep
from reqrep.harness.run import (
    EXIT_BROKEN,
    EXIT_BUG,
    EXIT_HOLDS,
    EXIT_MISUSE,
    EXIT_UNKNOWN,
    TRANSPORT_OF,
)

BROKEN = "tests.harness.test_cli:BROKEN_PATTERN"
FAILING = "tests.harness.test_cli:FAILING_PATTERN"
MUTE = "tests.harness.test_cli:MUTE_PATTERN"


served: list[str] = []
"""What a program keeps from one run to the next."""


def __getattr__(name: str) -> Any:
    """Patterns that are made when the command asks for them."""
    import reqrep as package
    from reqrep.patterns.common import Context, Handle
    from tests.planted.programs import chapter_sleeper, m09_server_without_the_delimiter

    def fails(context: Context, endpoint: str, handle: Handle) -> None:
        raise RuntimeError("no configuration")

    def mute(context: Context, endpoint: str) -> None:
        chapter_sleeper(context, endpoint, seconds=0)

    def remembering(context: Context, endpoint: str) -> None:
        served.append(endpoint)
        chapter_sleeper(context, endpoint, seconds=len(served) / 1000)

    def printing(context: Context, endpoint: str) -> None:
        sys.stdout.write("I have been asked to serve\n")
        chapter_sleeper(context, endpoint, seconds=0)

    servers: dict[str, Callable[..., None]] = {
        "BROKEN_PATTERN": m09_server_without_the_delimiter,
        "FAILING_PATTERN": fails,
        "MUTE_PATTERN": mute,
        "REMEMBERING": remembering,
        "PRINTING": printing,
    }
    if name == "ONE_SERVER":
        roles = (package.Role("server", mute), package.pattern("dealer-router").role("client"))
        return dataclasses.replace(package.pattern("dealer-router"), roles=roles)
    if name not in servers:
        raise AttributeError(name)
    return package.pattern("dealer-router").with_roles(server=servers[name])


def call(*arguments: str) -> Result:
    return CliRunner().invoke(reqrep, list(arguments))


INTERRUPTIBLE = """
from pathlib import Path
import reqrep, zmq

def server(context, endpoint, handle):
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    try:
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))
            Path("on").touch()
    except KeyboardInterrupt:
        pass

PATTERN = reqrep.pattern("req-rep").with_roles(server=server)
"""


class TestRun:
    def test_a_run_that_holds_ends_with_a_table_of_verdicts_and_figures(self) -> None:
        result = call("run", "load-balancing", "--requests", "20", "--transport", "tcp")
        assert result.exit_code == EXIT_HOLDS, result.output
        assert "oldest-ready-first" in result.stdout
        assert "holds" in result.stdout
        assert "20 ok, 0 fail, 0 info" in result.stdout
        assert "latency p50" in result.stdout
        assert "request client -> broker" in result.stdout

    def test_a_broken_property_is_told_with_its_witness(self) -> None:
        result = call("run", BROKEN, "--clients", "1", "--requests", "1", "--timeout", "0.3")
        assert result.exit_code == EXIT_BROKEN, result.output
        assert "broken" in result.stdout
        assert "the empty delimiter is missing" in result.stdout
        assert "server-0" in result.stdout

    def test_what_is_unknown_has_a_status_of_its_own(self) -> None:
        result = call("run", MUTE, "--clients", "1", "--requests", "3", "--window", "1")
        assert result.exit_code == EXIT_UNKNOWN, result.output
        assert "no op id" in result.stdout

    def test_a_node_that_does_not_start_is_named_and_nothing_is_judged(self) -> None:
        result = call("run", FAILING, "--requests", "1")
        assert result.exit_code == EXIT_UNKNOWN
        assert "RuntimeError: no configuration" in result.stderr
        assert result.stdout == ""

    def test_a_bug_of_ours_has_a_status_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from reqrep.properties.correlation import CorrelationChecker

        def raises(self: object, event: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(CorrelationChecker, "on_ok", raises)
        result = call("run", "req-rep", "--requests", "2")
        assert result.exit_code == EXIT_BUG
        assert "the checker raised ZeroDivisionError" in result.stdout

    def test_json_on_standard_output_is_json_and_nothing_else(self, world: str) -> None:
        result = call(
            *("run", "req-rep", "--world", world, "--requests", "10"),
            *("--seed", "7", "--json", "-"),
        )
        report = json.loads(result.stdout)
        assert report["pattern"] == "req-rep"
        assert report["world"] == world
        assert report["transport"] == TRANSPORT_OF[world]
        assert report["seed"] == 7
        assert report["ops"] == {"ok": 10, "fail": 0, "info": 0}
        assert {verdict["verdict"] for verdict in report["verdicts"]} == {"holds"}
        assert {"property", "verdict", "witness"} <= set(report["verdicts"][0])
        assert report["seconds"] > 0
        told = report.get("virtual_seconds"), report.get("digest"), report.get("decisions")
        assert all(told) if world == "simulated" else not any(told)
        assert report["ops_per_second"] > 0
        assert set(report["latency_ms"]) == {"p50", "p99", "max"}

    def test_what_programs_print_is_no_part_of_the_json(self) -> None:
        result = call("run", "tests.harness.test_cli:PRINTING", "--requests", "1", "--json", "-")
        assert json.loads(result.stdout)["ops"]["ok"] == 1
        assert "I have been asked" in result.stderr

    def test_json_and_history_go_to_files(self, tmp_path: Path) -> None:
        target, history = tmp_path / "report.json", tmp_path / "history"
        result = call("run", "req-rep", "--quiet", "--json", str(target), "--history", str(history))
        assert result.exit_code == EXIT_HOLDS, result.output
        assert result.output == ""
        assert json.loads(target.read_text())["ops"]["ok"] == 100
        assert len(History.load(history).ops) == 100

    def test_every_option_reaches_the_scenario(self) -> None:
        result = call(
            *("run", "dealer-router", "--clients", "3", "--workers", "2", "--requests", "9"),
            *("--rate", "500", "--body", "8x2", "--service-ms", "1", "--timeout", "2"),
            *("--seed", "5", "--transport", "ipc", "--json", "-"),
        )
        scenario = json.loads(result.stdout)["scenario"]
        for part in (
            "Fleet(clients=3)",
            "requests=9",
            "OpenLoop(rate_per_s=500.0)",
            "Sized(bytes=8, frames=2)",
            "Constant(seconds=0.001)",
            "timeout_s=2.0",
            "seed=5",
        ):
            assert part in scenario

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["load-balancin"], "did you mean load-balancing"),
            (["json:loads"], "is not a Pattern"),
            (["nowhere.at:all"], "there is no module 'nowhere'"),
            (["req-rep", "--clients", "0"], "Fleet.clients is 0"),
            (["req-rep", "--workers", "-1"], "Fleet.workers is -1"),
            (["req-rep", "--requests", "0"], "Workload.requests is 0"),
            (["req-rep", "--timeout", "-1"], "Workload.timeout_s is -1"),
            (["req-rep", "--window", "2"], "keeps one request open"),
            (["dealer-router", "--window", "2", "--rate", "3"], "exclude each other"),
            (["dealer-router", "--rate", "0"], "OpenLoop.rate_per_s is 0"),
            (["req-rep", "--seed", "-1"], "Scenario.seed is -1"),
            (["req-rep", "--transport", "udp"], "the transport is 'udp'"),
            (["req-rep", "--world", "simulatd"], "there is no world 'simulatd'"),
            (["req-rep", "--body", "big"], "--body is 'big'"),
            (["req-rep", "--body", "nowhere:f"], "does not name a function"),
            (["req-rep", "--history", "/nowhere/h"], "cannot be written"),
            (["req-rep", "--json", "/nowhere/j"], "cannot write to"),
            (["custom-router-chosen", "--service-ms", "-1"], "Constant.seconds is -0.001"),
            (["req-rep", "--clients", "many"], "not a valid integer"),
            ([], "Missing argument"),
        ],
    )
    def test_wrong_use_is_told_with_the_value_and_status_2(
        self, arguments: list[str], says: str
    ) -> None:
        result = call("run", *arguments)
        assert result.exit_code == EXIT_MISUSE, result.output
        assert says in result.stderr
        assert "Traceback" not in result.output

    def test_workers_for_a_pattern_that_has_none_to_multiply_are_refused(self) -> None:
        result = call("run", "tests.harness.test_cli:ONE_SERVER", "--workers", "3")
        assert result.exit_code == EXIT_MISUSE
        assert "has one server, whatever the fleet" in result.stderr

    def test_two_runs_that_differ_are_told_to_keep_nothing_between_them(self) -> None:
        result = call("run", "tests.harness.test_cli:REMEMBERING", "--verify-determinism")
        assert result.exit_code == EXIT_UNKNOWN
        assert re.search(
            r"two runs of one scenario are not the same: event \d+ differs:", result.stderr
        )
        assert "keeps something from one run to the next" in result.stderr

    def test_on_a_terminal_a_bar_shows_rate_and_latency(self) -> None:
        terminal, end = os.openpty()
        command = ["run", "req-rep", "--world", "threads", "--requests", "400", "--service-ms", "5"]
        process = subprocess.Popen(
            [sys.executable, "-m", "reqrep", *command],
            stderr=end,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
        )
        os.close(end)
        seen = b""
        try:
            while chunk := os.read(terminal, 1 << 16):
                seen += chunk
        except OSError:
            pass  # Nobody writes to it any more.
        finally:
            os.close(terminal)
        assert process.wait() == EXIT_HOLDS
        assert re.search(rb"\d/s  p50 \d+\.\d ms", seen), seen

    @pytest.mark.parametrize(
        ("number", "status", "says"),
        [(signal.SIGINT, 130, "stopped by Ctrl-C"), (signal.SIGTERM, -signal.SIGTERM, "")],
    )
    def test_a_run_that_is_stopped_ends_cleanly(
        self, number: signal.Signals, status: int, says: str, tmp_path: Path
    ) -> None:
        history = tmp_path / "history"
        command = [sys.executable, "-m", "reqrep", "run", "req-rep", "--world", "threads"]
        command += ["--service-ms", "20"]
        command += ["--requests", "100000", "--transport", "ipc", "--history", str(history)]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            # The run is on when its ipc folder has a socket in it.
            _await(lambda: any(tmp_path.glob("reqrep-*/service.*")))
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == status, err
        assert says in err
        assert "Traceback" not in err
        assert not list(tmp_path.glob("reqrep-*"))
        if number == signal.SIGINT:  # What is killed has its history cut off.
            assert History.load(history).of("stuck", "left") == []

    def test_ctrl_c_that_comes_twice_is_not_told_as_if_all_was_closed(self) -> None:
        with pytest.raises(KeyboardInterrupt), blamed():
            try:
                raise KeyboardInterrupt
            finally:
                try:
                    raise OSError("a socket that is closed already")
                except OSError:
                    raise KeyboardInterrupt  # noqa: B904

    def test_ctrl_c_ends_a_simulation_even_if_a_program_takes_it_for_its_own(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.py").write_text(INTERRUPTIBLE)
        command = [sys.executable, "-m", "reqrep", "run", "mine:PATTERN"]
        command += ["--requests", "10000000", "--history", "history"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        try:
            _await((tmp_path / "on").exists)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 130, err
        assert "stopped by Ctrl-C" in err
        assert "Traceback" not in err
        assert History.load(tmp_path / "history").of("execute")


def _await(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise TimeoutError


class TestList:
    def test_everything_is_listed_with_a_line(self) -> None:
        result = call("list")
        assert result.exit_code == 0
        for word in ("load-balancing", "envelope", "threads", "faults"):
            assert word in result.stdout

    def test_one_kind_can_be_asked_for(self) -> None:
        assert "envelope" not in call("list", "patterns").stdout

    def test_a_pattern_is_shown_with_its_frames_and_promises(self) -> None:
        result = call("list", "load-balancing")
        assert "[W][][C][][body..]" in result.stdout
        assert re.search(r"^promises under crash, cut, .*: envelope, ", result.stdout, re.MULTILINE)
        assert "does not survive" in result.stdout

    def test_what_is_not_there_is_refused(self) -> None:
        assert call("list", "brokers").exit_code == EXIT_MISUSE


def test_help_names_the_commands_and_the_exit_statuses() -> None:
    result = call("--help")
    assert "run " in result.stdout
    assert "list " in result.stdout
    assert "0 when all properties hold" in result.stdout
