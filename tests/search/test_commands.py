"""`reqrep search` and `reqrep replay`, as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reqrep.harness.cli.command import EXIT_INTERRUPTED, reqrep
from reqrep.harness.run import EXIT_BROKEN, EXIT_HOLDS, EXIT_MISUSE, EXIT_UNKNOWN
from reqrep.harness.search.story import LINES

ROOT = Path(__file__).parents[2]
BROKEN = "tests.planted.searched:SAME_NAME"
FAILING = "tests.harness.test_cli:FAILING_PATTERN"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(reqrep, list(arguments))


def search(*arguments: str) -> Result:
    return call("search", "--jobs", "1", *arguments)


class TestSearch:
    def test_what_breaks_nothing_ends_with_what_that_is_worth(self, tmp_path: Path) -> None:
        result = search("req-rep", "--scenarios", "30", "--out", str(tmp_path / "none"))
        assert result.exit_code == EXIT_HOLDS, result.output
        assert "nothing broke: with 95% confidence fewer than" in result.stdout
        assert not (tmp_path / "none").exists()

    def test_a_break_is_told_and_kept(self, tmp_path: Path) -> None:
        result = search(BROKEN, "--out", str(tmp_path))
        assert result.exit_code == EXIT_BROKEN, result.output
        (path,) = tmp_path.iterdir()
        assert f"replay: reqrep replay {path}" in result.stdout
        assert "same-name promises progress" in result.stdout
        assert len(result.stdout.split("\n\n")[0].splitlines()) <= LINES

    def test_workers_for_a_pattern_that_has_none_to_multiply_are_refused(self) -> None:
        result = search("tests.harness.test_cli:ONE_SERVER", "--workers", "3")
        assert result.exit_code == EXIT_MISUSE
        assert "has one server, whatever the fleet" in result.stderr

    def test_quiet_says_it_by_the_status_alone(self, tmp_path: Path) -> None:
        result = search(BROKEN, "--out", str(tmp_path), "--quiet")
        assert (result.exit_code, result.output) == (EXIT_BROKEN, "")

    def test_json_on_standard_output_is_json_and_nothing_else(self, tmp_path: Path) -> None:
        result = search(BROKEN, "--out", str(tmp_path), "--seed", "3", "--json", "-")
        assert result.exit_code == EXIT_BROKEN
        told = json.loads(result.stdout)
        assert told["pattern"] == "same-name"
        assert told["seed"] == 3
        assert told["scenarios"] > 0
        (found,) = told["breaks"]
        assert found["property"] == "progress"
        assert found["file"] == str(next(tmp_path.iterdir()))
        assert found["story"].splitlines()[0].startswith("same-name promises progress")

    def test_two_processes_tell_what_one_tells(self, tmp_path: Path) -> None:
        told = [
            call("search", BROKEN, "--jobs", jobs, "--out", str(tmp_path), "--json", "-").stdout
            for jobs in ("1", "2")
        ]
        one, two = ([each["story"] for each in json.loads(text)["breaks"]] for text in told)
        assert one == two

    def test_every_schedule_of_a_tiny_scenario_is_counted(self, tmp_path: Path) -> None:
        tiny = ("--exhaustive", "--clients", "1", "--workers", "1", "--deviations", "1")
        result = call("search", "req-rep", *tiny, "--out", str(tmp_path))
        assert result.exit_code == EXIT_HOLDS, result.output
        assert "runs breaks it: every schedule with at most 1 deviations" in result.stdout
        for out in str(tmp_path), "/proc/nowhere":
            broken = call("search", BROKEN, *tiny, "--out", out)
            assert broken.exit_code == EXIT_BROKEN
        assert "not kept: the folder /proc/nowhere cannot be made" in broken.stdout

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["load-balancin"], "did you mean load-balancing"),
            (["req-rep", "--scenarios", "3", "--minutes", "1"], "exclude each other"),
            (["req-rep", "--property", "envelop"], "did you mean envelope"),
            (["req-rep", "--clients", "0"], "Fleet.clients is 0"),
            (["req-rep", "--requests", "0"], "Limits.requests is 0"),
            (["req-rep", "--transport", "udp"], "the transport is 'udp'"),
            (["req-rep", "--seed", "-1"], "Limits.seed is -1"),
            (["req-rep", "--scenarios", "many"], "not a valid integer"),
            (["req-rep", "--scenarios", "0"], "the number of scenarios is 0"),
            (["req-rep", "--scenarios", "-5"], "the number of scenarios is -5"),
            (["req-rep", "--minutes", "-1"], "the time of a search is -60"),
            (["req-rep", "--jobs", "0"], "the number of jobs is 0"),
            (["req-rep", "--json", "/nowhere/result.json"], "--json cannot write"),
            (["req-rep", "--exhaustive"], "--jobs was given, which means nothing with --exh"),
            (["req-rep", "--deviations", "1"], "--deviations was given, which is only for --exh"),
        ],
    )
    def test_wrong_use_is_told_with_the_value_and_status_2(
        self, arguments: list[str], says: str
    ) -> None:
        result = search(*arguments)
        assert result.exit_code == EXIT_MISUSE, result.output
        assert says in result.stderr
        assert "Traceback" not in result.output

    def test_a_node_that_does_not_start_leaves_nothing_to_judge(self) -> None:
        result = search(FAILING, "--scenarios", "3")
        assert result.exit_code == EXIT_UNKNOWN
        assert "RuntimeError: no configuration" in result.stderr

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_ctrl_c_ends_a_search_and_its_processes(self, tmp_path: Path, jobs: str) -> None:
        with _searching(tmp_path, jobs) as process:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == EXIT_INTERRUPTED, err
        assert "stopped by Ctrl-C" in err
        assert "Traceback" not in err
        assert soon(lambda: not _is_anybody_left(process.pid))

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_no_process_of_a_search_outlives_it(self, tmp_path: Path, how: signal.Signals) -> None:
        with _searching(tmp_path, "2") as process:
            process.send_signal(how)
            process.wait(timeout=30)
        assert soon(lambda: not _is_anybody_left(process.pid))


@contextmanager
def _searching(folder: Path, jobs: str) -> Iterator[subprocess.Popen[str]]:
    """A search in a session of its own, whose first scenario has begun."""
    (folder / "marking.py").write_text(
        "from pathlib import Path\n"
        "def body(client, number):\n"
        f"    Path({str(folder / 'mark')!r}).touch()\n"
        "    return b'x'\n"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "reqrep", "search", "load-balancing", "--minutes", "10",
         "--jobs", jobs, "--body", "marking:body", "--out", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([f"{ROOT}/src", str(folder)])},
    ) as process:  # fmt: skip
        try:
            assert soon((folder / "mark").exists)
            yield process
        finally:
            process.kill()


def soon(holds: Callable[[], bool], timeout_s: float = 30) -> bool:
    """Whether something comes to hold."""
    pause = threading.Event()
    return any(holds() or pause.wait(0.01) for _ in range(int(timeout_s / 0.01)))


def _is_anybody_left(session: int) -> bool:
    """Whether a process of a session lives."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # It has just ended.
        if int(group) == session and state != "Z":
            return True
    return False


class TestReplay:
    @pytest.fixture
    def kept(self, tmp_path: Path) -> Path:
        assert search(BROKEN, "--out", str(tmp_path), "--quiet").exit_code == EXIT_BROKEN
        return next(tmp_path.iterdir())

    def test_what_is_still_broken_is_told_again(self, kept: Path) -> None:
        result = call("replay", str(kept))
        assert result.exit_code == EXIT_BROKEN, result.output
        assert f"{kept}: still broken: progress" in result.stdout
        assert "same-name promises progress" in result.stdout

    def test_what_is_mended_is_fixed(self, kept: Path) -> None:
        kept.write_text(kept.read_text().replace(":SAME_NAME", ":OTHER_NAME"))
        result = call("replay", str(kept))
        assert result.exit_code == EXIT_HOLDS, result.output
        assert "fixed: progress holds where it was broken" in result.stdout

    def test_what_no_longer_applies_has_a_status_of_its_own(self, kept: Path) -> None:
        other = kept.with_name("other.json")
        other.write_text(kept.read_text().replace(":SAME_NAME", ":NO_NAME"))
        assert call("replay", str(other)).exit_code == EXIT_UNKNOWN
        both = call("replay", str(other), str(kept))
        assert both.exit_code == EXIT_BROKEN
        assert "no longer applies" in both.stdout

    def test_what_breaks_on_real_sockets_too_is_told_with_the_run(self) -> None:
        late = ROOT / "tests" / "replays" / "late.json"
        result = call("replay", str(late), "--world", "threads", "--transport", "tcp")
        assert result.exit_code == EXIT_BROKEN, result.output
        assert re.search(r"still broken: in run \d+ in threads, correlation:", result.stdout)
        assert "late-subject in threads over tcp" in result.stdout

    def test_what_does_not_break_on_real_sockets_is_not_called_fixed(self, kept: Path) -> None:
        kept.write_text(kept.read_text().replace(":SAME_NAME", ":OTHER_NAME"))
        result = call("replay", str(kept), "--world", "threads", "--tries", "2")
        assert result.exit_code == EXIT_UNKNOWN, result.output
        assert "not seen: progress is not broken in 2 runs in threads" in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--tries", "2"], "add --world threads"),
            (["--world", "thraeds"], "did you mean threads"),
            (["--world", "threads", "--tries", "0"], "the number of tries is 0"),
            (["--world", "threads", "--transport", "udp"], "the transport is 'udp'"),
        ],
    )
    def test_what_a_world_cannot_do_is_wrong_use(
        self, kept: Path, arguments: list[str], says: str
    ) -> None:
        result = call("replay", str(kept), *arguments)
        assert result.exit_code == EXIT_MISUSE, result.output
        assert says in result.stderr

    def test_a_file_that_cannot_be_replayed_hides_no_other(self, kept: Path) -> None:
        damaged = kept.with_name("damaged.json")
        damaged.write_text("{")
        both = call("replay", str(damaged), str(kept))
        assert both.exit_code == EXIT_BROKEN
        assert f"{damaged}: " in both.stderr
        kept.write_text(kept.read_text().replace(":SAME_NAME", ":OTHER_NAME"))
        assert call("replay", str(damaged), str(kept)).exit_code == EXIT_MISUSE

    def test_wrong_use_is_told_with_status_2(self, tmp_path: Path) -> None:
        assert call("replay").exit_code == EXIT_MISUSE
        result = call("replay", str(tmp_path / "nowhere.json"))
        assert result.exit_code == EXIT_MISUSE
        assert "cannot be read" in result.stderr

    def test_quiet_says_it_by_the_status_alone(self, kept: Path) -> None:
        result = call("replay", "--quiet", str(kept))
        assert (result.exit_code, result.output) == (EXIT_BROKEN, "")
