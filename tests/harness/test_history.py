from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from reqrep import Event, History, HistoryDamaged, MisuseError
from reqrep.harness.history import store
from reqrep.harness.history.event import KINDS
from reqrep.harness.history.recorder import Recorder

events = st.builds(
    Event,
    time_ns=st.integers(0, 2**62),
    node=st.sampled_from(["client-0", "broker-0"]),
    kind=st.sampled_from(KINDS),
    socket=st.integers(0, 1000),
    op=st.sampled_from(["", "c0.1"]),
    frames=st.lists(st.binary(max_size=40), max_size=4).map(tuple),
    text=st.text(max_size=20),
    number=st.integers(-(2**62), 2**62),
)


def many(count: int) -> list[Event]:
    return [Event(n, "client-0", "send", 1, "", (b"frame", b"%d" % n)) for n in range(count)]


@given(st.lists(events, max_size=20))
def test_a_history_comes_back_from_a_file_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, listed: list[Event]
) -> None:
    path = tmp_path_factory.getbasetemp() / "history"
    History(listed, {"world": "threads"}).save(path)
    again = History.load(path)
    assert again.events == tuple(listed)
    assert again.about == {"world": "threads"}


def test_a_history_that_was_cut_off_anywhere_gives_its_whole_batches(tmp_path: Path) -> None:
    written = many(2 * store.BATCH_EVENTS + 10)
    path = tmp_path / "history"
    History(written).save(path)
    data = path.read_bytes()
    for size in range(len(store.MAGIC) + 20, len(data), len(data) // 50):
        path.write_bytes(data[:size])
        got: list[Event] = []
        with pytest.raises(HistoryDamaged) as caught:
            for item in store.read(path):
                if isinstance(item, Event):
                    got.append(item)
        assert len(got) == caught.value.events_read
        assert len(got) % store.BATCH_EVENTS in (0, 10)
        assert got == written[: len(got)]
        assert str(caught.value.events_read) in str(caught.value)


def test_a_history_whose_saving_is_interrupted_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with pytest.raises(KeyboardInterrupt), store.Writer(path, {}) as writer:
        writer.write(many(10))
        raise KeyboardInterrupt
    with pytest.raises(HistoryDamaged) as caught:
        History.load(path)
    assert caught.value.events_read == 10


def test_a_changed_byte_is_damage_and_no_event(tmp_path: Path) -> None:
    path = tmp_path / "history"
    History(many(100)).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(HistoryDamaged):
        History.load(path)


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text("something else entirely")
    with pytest.raises(HistoryDamaged, match="is not a history"):
        History.load(path)


@pytest.mark.parametrize("target", ["missing/history", "."])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, target: str) -> None:
    with pytest.raises(MisuseError, match="cannot be written"):
        History(()).save(tmp_path / target)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot be read"):
        History.load(tmp_path / "missing")


def test_a_full_disk_is_told_and_what_was_written_before_stays_readable() -> None:
    with pytest.raises(MisuseError, match="No space left"):
        History(many(100_000)).save("/dev/full")


class TestRecorder:
    def test_events_come_in_order_of_time_whoever_wrote_first(self) -> None:
        recorder = Recorder()
        now = recorder.clock()
        recorder.append((now + 20, "broker-0", "recv", 2))
        recorder.append((now + 10, "client-0", "send", 1))
        recorder.append((now + 20, "worker-0", "recv", 3))
        while recorder.clock() <= now + 20:
            pass  # Twenty nanoseconds.
        nodes = [event.node for event in recorder.history({})]
        assert nodes == ["client-0", "broker-0", "worker-0"]

    def test_an_op_that_nobody_ended_is_info(self) -> None:
        recorder = Recorder()
        recorder.note("client-0", "invoke", op="c0.0")
        recorder.stop()
        history = recorder.history({})
        assert history.ops["c0.0"].outcome == "info"
        assert history.events[-1].text == "open when the run ended"

    def test_after_the_stop_only_endings_count(self) -> None:
        recorder = Recorder()
        recorder.stop()
        recorder.note("worker-0", "again")
        recorder.note("worker-0", "end")
        assert [event.kind for event in recorder.history({})] == ["end"]

    def test_an_op_that_was_open_at_the_stop_is_info_before_its_node_ends(self) -> None:
        times = iter(range(10))
        recorder = Recorder(lambda: next(times))
        recorder.note("client-0", "invoke", op="c0.0")
        recorder.stop()
        recorder.note("client-0", "ok", op="c0.0")
        recorder.note("client-0", "end")
        events = [(event.time_ns, event.kind) for event in recorder.history({})]
        assert events == [(1, "invoke"), (2, "info"), (4, "end")]

    def test_times_count_from_the_beginning_of_the_run(self) -> None:
        times = iter(range(100, 110))
        recorder = Recorder(lambda: next(times))
        recorder.note("client-0", "start")
        assert [event.time_ns for event in recorder.history({})] == [1]


def test_a_history_tells_the_story_of_one_op() -> None:
    history = History(
        [
            Event(0, "client-0", "socket", 1, text="REQ"),
            Event(1, "client-0", "invoke", 0, "c0.0", (b"@c0.0 x",)),
            Event(2, "client-0", "send", 1, "", (b"@c0.0 x",)),
            Event(3, "client-1", "send", 2, "", (b"@c1.0 x",)),
            Event(4, "client-0", "ok", 0, "c0.0", (b"@c0.0 x",)),
        ]
    )
    assert [event.time_ns for event in history.story("c0.0")] == [1, 2, 4]
    assert history.ops["c0.0"].latency_ns == 4
    assert history.sockets[1].type == "REQ"
    assert len(history.of("send", node="client-1")) == 1


def test_a_digest_does_not_depend_on_how_a_python_prints_a_traceback() -> None:
    def crashed(text: str) -> History:
        return History([Event(1, "worker-0", "crash", text=text)])

    one = crashed('Traceback:\n  File "a.py", line 3\n    f()\n    ^^^\nValueError: no')
    other = crashed('Traceback:\n  File "/b/a.py", line 3\n    f()\nValueError: no\n')
    assert one.digest == other.digest
    assert one.digest != crashed("Traceback:\nValueError: yes").digest
