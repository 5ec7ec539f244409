"""A history is on disk while the run goes on, and complete and in order when it is over."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import reqrep
from reqrep import Constant, Event, Fleet, History, HistoryDamaged, MisuseError, Scenario, Workload
from reqrep.harness.history import journal, store
from reqrep.harness.history.journal import HORIZON_NS, Journal
from reqrep.harness.history.recorder import Recorder


class Clock:
    now_ns = HORIZON_NS

    def __call__(self) -> int:
        return self.now_ns


def read_so_far(path: Path) -> list[Event]:
    found = []
    with pytest.raises(HistoryDamaged):
        for item in store.read(path):
            if isinstance(item, Event):
                found.append(item)
    return found


@given(
    st.lists(
        st.tuples(st.integers(0, 3 * HORIZON_NS), st.integers(0, HORIZON_NS), st.booleans()),
        max_size=30,
    )
)
def test_a_finished_file_is_the_history_however_late_its_rows_came(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, bool]]
) -> None:
    """Each row is `late_ns` old when it comes, and after some the journal is flushed."""
    path = tmp_path_factory.getbasetemp() / "journal"
    clock = Clock()
    recorder = Recorder(clock)
    kept = Journal(store.Writer(path, {}), recorder)
    for number, (late_ns, step_ns, is_flushed) in enumerate(rows):
        clock.now_ns += step_ns
        time_ns = max(recorder.begun_ns, clock.now_ns - late_ns)
        recorder.append((time_ns, "client-0", "option", 0, "", (), "", number))
        if is_flushed:
            kept.flush()
    history = recorder.history({})
    kept.finish(history)
    assert History.load(path).events == history.events


def test_what_is_older_than_the_horizon_is_on_disk_and_the_rest_is_not(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(clock)
    kept = Journal(store.Writer(tmp_path / "history", {}), recorder)
    recorder.note("client-0", "invoke")
    clock.now_ns += HORIZON_NS
    recorder.note("client-0", "ok")
    kept.flush()
    assert [event.kind for event in read_so_far(tmp_path / "history")] == ["invoke"]
    kept.finish(recorder.history({}))
    assert len(History.load(tmp_path / "history")) == 2


def test_a_file_in_whose_midst_ctrl_c_came_is_the_history_all_the_same(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(clock)
    writer = store.Writer(tmp_path / "history", {})
    kept = Journal(writer, recorder)
    for number in range(3 * store.BATCH_EVENTS):
        recorder.note("client-0", "option", number=number)
    clock.now_ns += 2 * HORIZON_NS
    batches = count()

    def interrupted(content: object) -> None:
        if next(batches) == 1:
            raise KeyboardInterrupt
        store.Writer._batch(writer, content)

    writer._batch = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        kept.flush()
    history = recorder.history({})
    kept.finish(history)
    assert History.load(tmp_path / "history").events == history.events


@pytest.mark.parametrize("world", ["threads", "processes"])
def test_a_history_is_on_disk_while_the_load_runs(
    world: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "FLUSH_S", 0.05)
    path = tmp_path / "history"
    seen: list[list[Event]] = []

    def look(drivers: list[object]) -> None:
        if not seen or not seen[-1]:
            seen.append(read_so_far(path))

    workload = Workload(12, service=(Constant(0.05),))
    scenario = Scenario(reqrep.pattern("req-rep"), Fleet(1, 1), workload)
    report = reqrep.run(scenario, world, "ipc", progress=look, history=path)
    assert seen[-1]
    assert seen[-1] == list(report.history.events[: len(seen[-1])])
    assert History.load(path).events == report.history.events


FULL = """
import resource, sys, reqrep
from reqrep.harness.history import journal, store
if __name__ == "__main__":
    journal.FLUSH_S = 0.05
    store.BATCH_EVENTS = 20  # However late the first flush comes, its first batch fits.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    workload = reqrep.Workload(2000, service=(reqrep.Constant(0.005),))
    scenario = reqrep.Scenario(reqrep.pattern("req-rep"), reqrep.Fleet(1, 1), workload)
    try:
        reqrep.run(scenario, sys.argv[1], "ipc", history=sys.argv[2])
    except reqrep.MisuseError as error:
        print(error)
"""


@pytest.mark.parametrize("world", ["threads", "processes"])
def test_a_file_that_takes_no_more_ends_the_run_with_its_name_and_the_reason(
    world: str, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(FULL)
    path = tmp_path / "history"
    done = subprocess.run(
        [sys.executable, script, world, path],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == (
        f"the history cannot be written to {str(path)!r}: File too large; what was written before "
        "is readable\n"
    )
    assert done.stderr == ""
    assert read_so_far(path)


def test_a_full_disk_is_named_before_anything_runs() -> None:
    with pytest.raises(MisuseError, match="'/dev/full': No space left on device"):
        reqrep.run("req-rep", "processes", history="/dev/full")
