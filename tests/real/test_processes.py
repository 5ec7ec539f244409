"""The world of processes: nodes that really are, that die and stand still, and leave nothing."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import reqrep
from reqrep import (
    Constant,
    Crash,
    Fleet,
    History,
    HistoryDamaged,
    Late,
    MisuseError,
    NodeFailed,
    Raises,
    Report,
    Restart,
    Scenario,
    Skew,
    Stall,
    Stranger,
    Upon,
    Workload,
)
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.history import store
from reqrep.harness.history.recorder import Recorder
from reqrep.harness.real.processes import ProcessesWorld
from reqrep.harness.real.programs import pack
from tests.faults import programs as recovering
from tests.planted import programs as planted

from . import programs

run = partial(reqrep.run, world="processes")

slow = pytest.mark.slow

OFF_NS = 20_000_000
"""By how much two clocks may seem to differ on a busy machine, in nanoseconds."""

TIMEOUT_S = 20
"""How long what must happen may take on a busy machine."""


def scenario(
    *faults: reqrep.Fault, requests: int = 6, clients: int = 1, timeout_s: float = 2, **roles: Any
) -> Scenario:
    pattern = reqrep.pattern("req-rep").with_roles(**roles)
    return Scenario(
        pattern, Fleet(clients, 1), Workload(requests, timeout_s=timeout_s), faults=faults
    )


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def processes_with(word: str) -> list[int]:
    """The processes that have a word among their arguments, as a nursery and its nodes have
    the folder of their run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass  # It has ended meanwhile.
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the runs of a test have their folders; nothing is left in it, and no process of it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors()
    yield tmp_path
    assert processes_with(str(tmp_path)) == []
    assert list(tmp_path.glob("reqrep-*")) == []
    assert descriptors() == before
    assert not [t.name for t in threading.enumerate() if t.name.startswith("reqrep-")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def struck(report: Report, number: int = 0) -> reqrep.Event:
    event = report.strikes[number].event
    assert event is not None, str(report)
    return event


class TestRuns:
    @pytest.mark.parametrize(("name", "transport"), [("broker-proxy", "ipc"), ("broker", "tcp")])
    def test_a_pattern_keeps_its_promises_and_each_step_is_told_in_order(
        self, name: str, transport: str, folder: Path
    ) -> None:
        report = run(Scenario(reqrep.pattern(name), workload=Workload(20)), transport=transport)
        assert report.holds, str(report)
        assert report.statistics.ok == 20
        made = report.history.of("socket")
        assert len({event.socket for event in made}) == len(made) == 9
        if name == "broker":  # What a proxy does is heard a moment later.
            for op in report.history.ops:
                kinds = [e.kind for e in report.history.story(op) if e.kind in ("send", "recv")]
                assert kinds == ["send", "recv"] * 4

    def test_a_node_may_have_as_many_sockets_as_in_threads(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # What Python does not look at in its path is none of ours either.
        monkeypatch.setattr(sys, "path", [folder, *sys.path])
        report = run(scenario(requests=2, server=programs.opens_many_sockets))
        assert report.holds, str(report)

    @pytest.mark.slow
    @pytest.mark.parametrize("transport", ["ipc", "tcp"])
    @pytest.mark.parametrize("name", pattern_names())
    def test_every_pattern_keeps_its_promises(self, name: str, transport: str) -> None:
        report = run(name, transport=transport)
        assert report.holds, str(report)

    def test_each_node_is_a_process_and_a_child_of_one_nursery(self, folder: Path) -> None:
        pattern = reqrep.pattern("req-rep").with_roles(server=programs.tells_its_process)
        report = run(Scenario(pattern, Fleet(2, 2), Workload(8)))
        told = {tuple(map(int, e.frames[-1].split())) for e in report.history.of("ok")}
        assert len({pid for pid, _ in told}) == 2
        assert len({parent for _, parent in told}) == 1
        assert os.getpid() not in {number for pair in told for number in pair}

    def test_clocks_that_differ_are_aligned(self) -> None:
        """As on a machine whose processes do not share one clock."""
        recorder = Recorder(lambda: time.monotonic_ns() + 10**15)
        ProcessesWorld(scenario(), "ipc", recorder).run()
        history = recorder.history({})
        assert 0 < history.events[0].time_ns < history.events[-1].time_ns < TIMEOUT_S * 10**9
        for op in history.ops:
            asked, *_, answered = (e for e in history.story(op) if e.node == "client-0")
            for event in history.story(op):
                assert asked.time_ns - OFF_NS < event.time_ns < answered.time_ns + OFF_NS

    def test_a_message_longer_than_any_buffer_between_processes_is_told_whole(self) -> None:
        report = run(scenario(requests=2, client=programs.Giant, timeout_s=10))
        assert [len(e.frames) for e in report.history.of("recv", node="server-0")] == [501, 501]
        assert report.statistics.ok == 2

    def test_a_broker_with_a_defect_is_caught_as_in_every_world(self) -> None:
        pattern = reqrep.pattern("load-balancing")
        wrong = pattern.with_roles(broker=planted.m26_broker_that_unpacks_three_frames)
        workload = Workload(8, bodies=reqrep.Sized(16, frames=2), timeout_s=0.3)
        report = run(Scenario(wrong, Fleet(1, 1), workload))
        (verdict,) = (v for v in report.verdicts if v.property == "robustness")
        assert verdict.outcome == "broken"
        assert "broker-0 raised ValueError: too many values" in verdict.reason

    def test_the_progress_of_the_drivers_is_seen_from_the_harness(self) -> None:
        seen: list[int] = []
        recent: list[int] = []

        def look(drivers: list[Any]) -> None:
            seen.append(sum(driver.answered for driver in drivers))
            recent[:] = [latency for driver in drivers for latency in driver.latencies_ns]

        workload = Workload(20, service=(Constant(0.02),))
        run(Scenario(reqrep.pattern("req-rep"), Fleet(1, 1), workload), progress=look)
        assert seen == sorted(seen)
        assert any(0 < answered < 20 for answered in seen)
        assert min(recent) > 20_000_000


class TestFaults:
    def test_a_crash_strikes_between_two_steps_of_the_node(self, folder: Path) -> None:
        report = run(scenario(Crash("server-0", at=Upon("taken", "server-0", 3)), requests=9))
        work = report.history.of("execute", "executed", node="server-0")
        assert [event.kind for event in work] == ["execute", "executed"] * 2 + ["execute"]
        assert report.statistics.ok == 2
        assert not report.history.of("crash")  # That would be a program that failed.
        after = [e for e in report.history if e.time_ns > struck(report).time_ns]
        assert {e.kind for e in after if e.node == "server-0"} <= {"end", "disconnected"}

    @pytest.mark.parametrize(
        "point", ["arriving", *(pytest.param(p, marks=slow) for p in ("worked", "replied"))]
    )
    def test_a_crash_strikes_at_each_other_point(self, point: str) -> None:
        report = run(scenario(Crash("server-0", at=Upon(point, "server-0", 2)), requests=9))
        kinds = [
            e.kind
            for e in report.history.of("recv", "execute", "executed", "send")
            if e.node == "server-0"
        ]
        last = {"arriving": "recv", "worked": "executed", "replied": "send"}[point]
        assert kinds[-1] == last
        assert kinds.count(last) == 2

    @pytest.mark.parametrize("transport", ["ipc", pytest.param("tcp", marks=slow)])
    def test_a_binder_that_is_restarted_has_its_endpoint_again_and_is_found_there(
        self, transport: str
    ) -> None:
        plan = scenario(
            Restart("server-0", 0.05, at=Upon("worked", "server-0", 2)),
            requests=9,
            timeout_s=5,
            client=recovering.Reopening,
        )
        report = run(plan, transport=transport)
        first, second = report.history.of("bind", node="server-0")
        assert first.text == second.text
        assert report.statistics.ok == 9

    def test_a_node_that_stands_still_makes_no_step_and_goes_on(self) -> None:
        fault = Stall("server-0", at=Upon("taken", "server-0", 3), lasts=0.3)
        report = run(scenario(fault, requests=9, timeout_s=5))
        (healed,) = report.history.of("healed")
        during = [
            e
            for e in report.history
            if struck(report).time_ns < e.time_ns < healed.time_ns and e.node == "server-0"
        ]
        assert during == []
        assert healed.time_ns - struck(report).time_ns >= 300_000_000
        assert report.holds, str(report)

    def test_what_stands_still_to_the_end_is_healed_and_the_rest_of_the_load_goes_on(self) -> None:
        report = run(scenario(Stall("server-0", at=Upon("taken", "server-0", 3)), requests=9))
        assert report.statistics.ok == 9
        assert report.holds, str(report)

    def test_faults_at_a_time_strike_then(self) -> None:
        workload = Workload(60, service=(Constant(0.01),))
        plan = Scenario(
            reqrep.pattern("req-rep"),
            Fleet(1, 1),
            workload,
            faults=(Stall("server-0", at=0.3, lasts=0.2),),
        )
        report = run(plan)
        connected_ns = report.history.of("connected")[0].time_ns  # Of before the load begins.
        (healed,) = report.history.of("healed")
        assert struck(report).time_ns - connected_ns >= 300_000_000
        assert healed.time_ns - struck(report).time_ns >= 200_000_000
        assert report.holds, str(report)

    def test_the_service_is_late_and_raises_as_planned(self) -> None:
        report = run(scenario(Late(0.2, nth=2), Raises(nth=4), requests=6))
        begun = report.history.of("execute")
        done = report.history.of("executed")
        took = [(b.time_ns - a.time_ns) / 1e9 for a, b in zip(begun, done, strict=False)]
        assert [seconds >= 0.2 for seconds in took] == [False, True, False]
        (crash,) = report.history.of("crash")
        assert "RuntimeError: the service raises, as planned: Raises(nth=4)" in crash.text

    def test_a_stranger_comes_and_is_answered(self) -> None:
        report = run(Scenario(reqrep.pattern("broker"), faults=(Stranger("frontend"),)))
        assert report.holds, str(report)
        assert struck(report).node.startswith(("broker", "worker"))  # Whoever tells it first.
        assert report.history.of("recv", node="stranger-0")

    def test_a_defect_is_caught_because_of_a_crash(self) -> None:
        pattern = reqrep.pattern("req-rep").with_roles(
            client=planted.M04ClientThatRetriesOnTheSameReq
        )
        fault = Crash("server-0", at=Upon("taken", "server-0", 2))
        workload = Workload(4, timeout_s=1)
        report = run(Scenario(pattern, Fleet(1, 1), workload, faults=(fault,)))
        (verdict,) = (v for v in report.verdicts if v.property == "state-machine")
        assert verdict.outcome == "broken", str(report)
        right = scenario(fault, requests=4, timeout_s=1, client=recovering.ReopeningOnce)
        (verdict,) = (v for v in run(right).verdicts if v.property == "state-machine")
        assert verdict.outcome == "holds"

    def test_a_system_whose_processes_cannot_be_named_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        monkeypatch.delattr(os, "pidfd_open")
        with pytest.raises(MisuseError, match="needs Linux"):
            run(scenario())

    def test_a_connection_for_which_no_descriptor_is_left_ends_the_run_with_the_way_out(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path
    ) -> None:
        def way_in(world: ProcessesWorld, node: str, endpoint: str) -> str:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr(ProcessesWorld, "way_in", way_in)
        with pytest.raises(NodeFailed, match=r"client-0 cannot be led .* raise the limit"):
            run(scenario(reqrep.Reset("service", at=0.1)))

    def test_a_fault_that_no_process_can_do_is_refused_by_name(self, folder: Path) -> None:
        with pytest.raises(MisuseError, match="the world processes over ipc cannot do 'skew'"):
            run(scenario(Skew("client-0", 60)))


class TestBadPrograms:
    def test_a_node_that_raises_at_start_is_named_with_its_traceback_and_its_output(
        self, folder: Path
    ) -> None:
        with pytest.raises(NodeFailed) as caught:
            run(scenario(server=programs.raises_at_start))
        assert caught.value.node == "server-0"
        assert "it has printed at last:\nreading the configuration" in str(caught.value)
        assert str(caught.value).endswith("RuntimeError: no configuration")

    def test_a_node_whose_process_ends_at_start_is_named_with_its_status(
        self, folder: Path
    ) -> None:
        with pytest.raises(NodeFailed) as caught:
            run(scenario(server=programs.dies_at_start))
        assert "it has printed at last:\nleaving" in str(caught.value)
        assert "its process ended with status 3 before it was told to" in str(caught.value)

    @pytest.mark.parametrize(
        ("program", "says"),
        [
            (programs.raises_in_mid_run, "server-0 raised RuntimeError: enough"),
            (programs.exits_in_mid_run, "server-0 died: its process ended with status 0"),
            (
                programs.dies_of_a_signal,
                "server-0 died: its process was ended by signal 11 (SIGSEGV)",
            ),
        ],
    )
    def test_a_node_that_dies_in_mid_run_is_a_finding(
        self, program: Callable[..., None], says: str, folder: Path
    ) -> None:
        report = run(scenario(server=program))
        (verdict,) = (v for v in report.verdicts if v.property == "robustness")
        assert verdict.outcome == "broken"
        assert says in verdict.reason
        assert report.statistics.ok == 2
        if program is programs.dies_of_a_signal:
            (crash,) = report.history.of("crash")
            assert "it hurts" in crash.text
            assert "dies_of_a_signal" in crash.text  # Where it stood.

    @pytest.mark.slow  # So does the one of the harness that is stopped by Ctrl-C.
    def test_a_node_that_ignores_signals_ends_all_the_same(self, folder: Path) -> None:
        report = run(scenario(server=programs.ignores_signals))
        assert report.holds, str(report)

    @pytest.mark.parametrize(
        ("program", "says"),
        [(programs.never_returns, "time.sleep(60)"), (programs.never_lets_go, "does not answer")],
    )
    def test_a_node_that_never_returns_is_a_finding_and_its_process_is_ended(
        self, program: Callable[..., None], says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reqrep.harness.real.processes.GRACE_S", 2)
        recorder = Recorder()
        ProcessesWorld(scenario(server=program), "ipc", recorder, stop_timeout_s=0.3).run()
        (stuck,) = recorder.history({}).of("stuck", node="server-0")
        assert says in stuck.text

    @pytest.mark.slow
    def test_nobody_is_silent_who_waits_for_others_to_begin(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reqrep.harness.real.processes.SILENCE_S", 3)
        pattern = reqrep.pattern("load-balancing").with_roles(worker=programs.comes_late)
        report = run(Scenario(pattern, Fleet(2, 1), Workload(6, timeout_s=1)))
        assert report.statistics.ok == 6

    def test_a_client_that_lets_no_thread_of_its_process_run_ends_no_run(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("reqrep.harness.real.processes.SILENCE_S", 3)
        monkeypatch.setattr("reqrep.harness.real.processes.GRACE_S", 0.5)
        recorder = Recorder()
        plan = scenario(requests=9, client=programs.NeverLetsGo, timeout_s=0.2)
        ProcessesWorld(plan, "ipc", recorder, stop_timeout_s=0.3).run()
        history = recorder.history({})
        assert [op.outcome for op in history.ops.values()] == ["ok", "ok", "info"]
        (stuck,) = history.of("stuck", node="client-0")
        assert "does not answer" in stuck.text

    @pytest.mark.parametrize(
        ("name", "starts"),
        [
            ("starts_another", 'subprocess.Popen(["sleep", "1000"], close_fds=False).pid'),
            ("starts_itself", "os.fork() or time.sleep(1000)"),
        ],
    )
    def test_what_a_module_has_started_when_it_was_imported_keeps_no_run_from_its_end(
        self,
        name: str,
        starts: str,
        folder: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (tmp_path / f"{name}.py").write_text(STARTING.format(starts))
        monkeypatch.syspath_prepend(str(tmp_path))
        module = importlib.import_module(name)
        try:
            report = run(scenario(server=module.server))
        finally:
            started = int((tmp_path / "started").read_text())
            os.kill(started, signal.SIGKILL)
        assert report.holds, str(report)
        wait_until(lambda: started not in processes_with(str(tmp_path)), "it does not end")

    def test_a_node_that_does_not_bind_is_named_with_where_it_stands(self, folder: Path) -> None:
        for start_timeout_s in 2, 10, 60:  # On a busy machine it is born later.
            world = ProcessesWorld(
                scenario(server=programs.waits_for_ever),
                "ipc",
                Recorder(),
                start_timeout_s=start_timeout_s,
                stop_timeout_s=0.1,
            )
            with pytest.raises(NodeFailed) as caught:
                world.run()
            if "time.sleep(60)" in str(caught.value):
                break
        assert "did not bind" in str(caught.value)
        assert "time.sleep(60)" in str(caught.value)

    def test_what_a_node_prints_spoils_nothing(self, folder: Path, capfd: Any) -> None:
        report = run(scenario(server=programs.prints_a_lot))
        assert report.holds, str(report)
        assert capfd.readouterr() == ("", "")

    def test_what_a_node_has_started_ends_with_it(self, folder: Path) -> None:
        before = set(processes_with("sleep\x001000"))
        run(scenario(server=programs.starts_a_process_of_its_own))
        wait_until(
            lambda: set(processes_with("sleep\x001000")) <= before, "what it has started is left"
        )

    @pytest.mark.slow
    def test_a_call_that_never_returns_is_given_up_after_the_timeout(self) -> None:
        report = run(scenario(Crash("server-0", at=Upon("taken", "server-0")), requests=3))
        (op,) = report.history.ops.values()
        assert op.outcome == "info"


class TestPrograms:
    def test_a_program_without_a_name_is_refused_with_the_way_out(self, folder: Path) -> None:
        def local(context: Any, endpoint: str, handle: Any) -> None:
            pass

        with pytest.raises(MisuseError) as caught:
            run(scenario(server=local))
        assert "the program of role 'server' of 'req-rep' is <function" in str(caught.value)
        assert "define it at the top of a module, or run it in the world threads" in str(
            caught.value
        )

    def test_inproc_is_refused(self, folder: Path) -> None:
        with pytest.raises(MisuseError, match="use ipc or tcp, or the world threads"):
            run("req-rep", transport="inproc")

    SCRIPT = """
import os, sys, reqrep
from reqrep.patterns.req_rep import rep_server
{top}
def server(context, endpoint, handle):
    rep_server(context, endpoint, handle)
scenario = reqrep.Scenario(reqrep.pattern("req-rep").with_roles(server=server), reqrep.Fleet(1, 1), reqrep.Workload(3))
{guard}
    print(reqrep.run(scenario, "processes").exit_status)
"""

    @pytest.mark.parametrize(
        ("top", "guard", "says"),
        [
            ("", "if __name__ == '__main__':", "0\n"),
            ("", "if True:", "if __name__ == '__main__'"),
            (
                "if __name__ != '__main__': raise KeyError('only here')",
                "if True:",
                "KeyError: 'only here'",
            ),
            ("if __name__ != '__main__': print('bye', flush=True); os._exit(7)", "if True:", "bye"),
        ],
    )
    def test_the_programs_of_a_script_are_found(
        self, top: str, guard: str, says: str, tmp_path: Path
    ) -> None:
        script = tmp_path / "script.py"
        script.write_text(self.SCRIPT.format(top=top, guard=guard))
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
        )
        assert says in done.stdout + done.stderr
        assert not processes_with(str(script))

    def test_a_program_of_a_module_that_is_in_no_path_is_found_by_its_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As pytest imports test modules under `--import-mode=importlib`."""
        (tmp_path / "__init__.py").write_text("word = 'server'")
        (tmp_path / "mine.py").write_text(
            "from . import word\n\ndef server(context, endpoint, handle): ...\n"
        )
        for name, file in ("nowhere", "__init__.py"), ("nowhere.mine", "mine.py"):
            spec = spec_from_file_location(name, tmp_path / file)
            assert spec is not None and spec.loader is not None
            module = module_from_spec(spec)
            monkeypatch.setitem(sys.modules, name, module)
            spec.loader.exec_module(module)
        there = "import sys; from reqrep.harness.real.programs import unpack; "
        there += "sys.stdout.write(unpack(sys.stdin.buffer.read()).__name__)"
        done = subprocess.run(
            [sys.executable, "-c", there],
            input=pack(module.server),
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"server"


STARTING = """
import os, subprocess, time
from pathlib import Path
from reqrep.harness.real import programs
from reqrep.patterns.req_rep import rep_server
if programs.is_here_for_them:
    started = {}
    Path(__file__).with_name("started").write_text(str(started))
def server(context, endpoint, handle):
    rep_server(context, endpoint, handle)
"""
"""A module that starts a process in the nursery, which inherits what can be inherited of it."""

LOAD = """
import sys, tempfile, reqrep
from reqrep.harness.history import journal
from tests.real import programs
if __name__ == "__main__":
    journal.FLUSH_S = 0.05
    tempfile.tempdir = sys.argv[1]
    pattern = reqrep.pattern("req-rep").with_roles(server=getattr(programs, sys.argv[3]))
    stall = reqrep.Stall("server-1", at=reqrep.Upon("taken", "server-1", 2))
    workload = reqrep.Workload(100_000, service=(reqrep.Constant(0.005),), timeout_s=60)
    scenario = reqrep.Scenario(pattern, reqrep.Fleet(3, 2), workload, faults=(stall,))
    try:
        reqrep.run(scenario, "processes", "tcp", history=sys.argv[2])
    except KeyboardInterrupt:
        sys.stdout.write("stopped")
"""


class TestTheEndOfTheHarness:
    @pytest.fixture
    def harness(
        self, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
    ) -> Iterator[subprocess.Popen[str]]:
        """A harness in a process of its own, in the midst of a run in which a node stands still."""
        program = getattr(request, "param", "ignores_signals")
        script = tmp_path / "script.py"
        script.write_text(LOAD)
        path = tmp_path / "history"
        with subprocess.Popen(
            [sys.executable, script, tmp_path, path, program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            try:
                wait_until(lambda: "fault" in kinds_in(path), "the run does not begin")
                yield process
            finally:
                process.kill()

    @pytest.mark.parametrize("harness", ["keeps_the_interpreter"], indirect=True)
    def test_when_it_is_killed_no_process_is_left_and_the_history_is_readable(
        self, harness: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        assert len(processes_with(str(tmp_path))) == 7  # It, the nursery, and five nodes.
        harness.kill()
        killed_s = time.monotonic()
        wait_until(lambda: not processes_with(str(tmp_path)), "a process is left")
        assert time.monotonic() - killed_s < 5
        wait_until(lambda: not list(tmp_path.glob("reqrep-*")), "a folder is left")
        assert {"invoke", "ok", "execute", "fault"} <= set(kinds_in(tmp_path / "history"))

    @pytest.mark.slow
    def test_when_its_whole_group_is_killed_no_process_is_left(
        self, harness: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        os.killpg(harness.pid, signal.SIGKILL)
        wait_until(lambda: not processes_with(str(tmp_path)), "a process is left")
        wait_until(lambda: not list(tmp_path.glob("reqrep-*")), "a folder is left")

    def test_after_ctrl_c_all_is_closed_and_the_history_is_complete(
        self, harness: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        os.killpg(harness.pid, signal.SIGINT)
        assert harness.wait(TIMEOUT_S) == 0
        assert harness.stdout is not None
        assert harness.stdout.read() == "stopped"
        history = History.load(tmp_path / "history")
        assert not history.of("crash", "stuck", "left")
        assert len(history.of("end")) == 5

    @pytest.mark.slow
    def test_when_the_nursery_is_killed_the_run_ends_and_says_so(
        self, harness: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        nursery = min(set(processes_with(str(tmp_path))) - {harness.pid})
        os.kill(nursery, signal.SIGKILL)
        harness.wait(TIMEOUT_S)
        assert harness.stdout is not None
        assert "NodeFailed: the fleet is lost" in harness.stdout.read()
        wait_until(lambda: not processes_with(str(tmp_path)), "a process is left")


def kinds_in(path: Path) -> list[str]:
    """The kinds of events that a file holds so far."""
    found = []
    try:
        for item in store.read(path):
            if isinstance(item, reqrep.Event):
                found.append(item.kind)
    except (MisuseError, HistoryDamaged):
        pass  # It is not there yet, or not finished.
    return found


class TestLeftovers:
    def runs(self, count: int) -> None:
        fault = Restart("server-0", 0.01, at=Upon("taken", "server-0", 2))
        plan = scenario(fault, requests=4, timeout_s=5, client=recovering.Reopening)
        for number in range(count):
            report = run(plan, transport=("ipc", "tcp")[number % 2])
            assert struck(report).node == "server-0"
            assert report.statistics.ok == 4

    def test_a_row_of_runs_leaves_no_process_no_file_no_descriptor_and_no_thread(
        self, folder: Path
    ) -> None:
        self.runs(2)

    @pytest.mark.slow
    def test_a_hundred_runs_leave_none_either(self, folder: Path) -> None:
        self.runs(100)
