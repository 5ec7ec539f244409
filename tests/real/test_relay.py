"""The relay by itself, between plain sockets and between libzmq's."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from reqrep import HarnessBug, NodeFailed, ReqrepError
from reqrep.harness.endpoints import private_folder
from reqrep.harness.real.relay import Relay
from reqrep.harness.real.wire import KEPT_BYTES, PACE_S, Way, Wire
from reqrep.harness.real.zmtp import BEGINNING_BYTES, COMMAND

from .test_zmtp import GREETING, frame, message

A, B = "client-0", "server-0"
DEADLINE_S = 20.0


class Stage:
    """A relay between two nodes, and a plain socket that the second of them has bound."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.failures: list[ReqrepError] = []
        self.relay = Relay([(A, B)], 0, folder, self.failures.append)
        self.relay.open()
        self.family = socket.AF_INET if transport == "tcp" else socket.AF_UNIX
        self.server = socket.socket(self.family)
        self.server.settimeout(DEADLINE_S)
        self.server.bind(("127.0.0.1", 0) if transport == "tcp" else f"{folder}/server")
        name = self.server.getsockname()
        self.bound = "tcp://{}:{}".format(*name) if transport == "tcp" else f"ipc://{name}"
        self.server.listen()
        self.endpoint = self.relay.way_in(A, B, self.bound)
        self._open: list[socket.socket] = [self.server]

    def knock(self) -> socket.socket:
        """Connect where the client is led."""
        _, _, place = self.endpoint.partition("://")
        host, _, port = place.rpartition(":")
        near = socket.socket(self.family)
        self._open.append(near)
        near.settimeout(DEADLINE_S)
        near.connect((host, int(port)) if host else place)
        return near

    def let_in(self) -> socket.socket:
        """Who was led to the server."""
        far, _ = self.server.accept()
        self._open.append(far)
        far.settimeout(DEADLINE_S)
        return far

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """A connection, by its two ends."""
        near = self.knock()
        far = self.let_in()
        # It stands when something has come through.
        far.sendall(b"!")
        assert near.recv(1) == b"!"
        return near, far

    def rest(self) -> None:
        """What was sent before has been taken, and passed on if it may be, after this.

        What the relay is asked to do is done between two looks at its sockets, and one look
        finds all that is there.
        """
        for _ in range(3):
            self.relay.is_connected(A, B)

    def close(self) -> None:
        for end in self._open:
            end.close()
        self.relay.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    made = private_folder()
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir() if path.name.startswith("relay")] == []
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


@pytest.fixture(params=["tcp", "ipc"])
def stage(request: pytest.FixtureRequest, folder: Path) -> Iterator[Stage]:
    made = Stage(request.param, folder)
    yield made
    made.close()
    assert made.failures == []


@pytest.fixture
def tcp(folder: Path) -> Iterator[Stage]:
    made = Stage("tcp", folder)
    yield made
    made.close()


def received(end: socket.socket, size: int) -> bytes:
    """So many bytes."""
    got = bytearray()
    while len(got) < size:
        data = end.recv(min(size - len(got), 1 << 20))
        assert data, f"closed after {len(got)} of {size} bytes"
        got += data
    return bytes(got)


def has_something(end: socket.socket) -> bool:
    """Whether something has come, or the end."""
    end.setblocking(False)
    try:
        end.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        end.settimeout(DEADLINE_S)
    return True


def is_broken(end: socket.socket) -> bool:
    """Whether the connection ends, by a reset if the transport has it."""
    try:
        return end.recv(1) == b"" and end.family == socket.AF_UNIX
    except ConnectionResetError:
        return True


# --- passing on -------------------------------------------------------------------


def test_bytes_pass_both_ways_unchanged_whatever_they_are(stage: Stage) -> None:
    near, far = stage.connect()
    out, back = random.Random(1).randbytes(3_000_000), random.Random(2).randbytes(3_000_000)
    senders = [
        threading.Thread(target=near.sendall, args=(out,)),
        threading.Thread(target=far.sendall, args=(back,)),
    ]
    for sender in senders:
        sender.start()
    assert received(far, len(out)) == out
    assert received(near, len(back)) == back
    for sender in senders:
        sender.join()


def test_who_reads_nothing_makes_the_sender_wait(stage: Stage) -> None:
    near, far = stage.connect()
    near.setblocking(False)
    sent = blocked = 0
    while blocked < 3:
        try:
            sent += near.send(bytes(65536))
            blocked = 0
        except BlockingIOError:
            stage.rest()
            blocked += 1
        assert sent < 100_000_000
    assert received(far, sent) == bytes(sent)


def test_what_was_sent_before_a_close_arrives_and_then_the_close(stage: Stage) -> None:
    near, far = stage.connect()
    near.sendall(bytes(100_000))
    near.close()
    assert received(far, 100_000) == bytes(100_000)
    assert far.recv(1) == b""
    far.close()
    stage.rest()
    assert not stage.relay.is_connected(A, B)


def test_messages_are_counted_by_their_way(stage: Stage) -> None:
    near, _ = stage.connect()
    near.sendall(GREETING + frame(b"\x05READY", 4) + message(b"a", b"b") + message(b"c")[:2])
    stage.rest()
    assert stage.relay.messages(A, B) == 1
    near.sendall(b"c")
    stage.rest()
    assert stage.relay.messages(A, B) == 2
    assert stage.relay.messages(B, A) == 0


def test_only_the_pairs_of_the_plan_are_relayed(stage: Stage) -> None:
    assert stage.relay.way_in("client-1", B, stage.bound) == stage.bound
    assert stage.relay.way_in(B, A, stage.bound) != stage.bound
    assert stage.relay.way_in(A, B, stage.bound) == stage.endpoint
    assert stage.relay.meant(stage.endpoint) == stage.bound
    assert stage.relay.meant("tcp://127.0.0.1:1") == "tcp://127.0.0.1:1"


# --- hold and release ---------------------------------------------------------------


def test_what_is_held_comes_in_order_when_it_is_released_and_the_other_way_goes_on(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    data = random.Random(3).randbytes(100_000)
    for begin in range(0, len(data), 10_000):
        near.sendall(data[begin : begin + 10_000])
        stage.rest()
    far.sendall(b"still here")
    assert received(near, 10) == b"still here"
    assert not has_something(far)
    stage.relay.release(A, B)
    assert received(far, len(data)) == data


def test_nothing_passes_any_more_once_hold_has_returned_not_even_the_rest_of_a_message(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    whole = message(b"x" * 1000)
    near.sendall(GREETING + whole[:500])
    received(far, len(GREETING) + 500)
    stage.relay.hold(A, B)
    near.sendall(whole[500:])
    stage.rest()
    assert not has_something(far)
    stage.relay.release(A, B)
    assert received(far, len(whole) - 500) == whole[500:]


def test_a_held_way_takes_no_more_than_a_bounded_amount(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    near.setblocking(False)
    sent = blocked = 0
    while blocked < 3:
        try:
            sent += near.send(bytes(65536))
            blocked = 0
        except BlockingIOError:
            stage.rest()
            blocked += 1
        assert sent < 100_000_000
    assert sent > KEPT_BYTES
    assert not has_something(far)
    stage.relay.release(A, B)
    assert received(far, sent) == bytes(sent)


def test_who_closes_behind_a_held_way_is_not_missed_before_it_is_released(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    near.sendall(b"last words")
    near.close()
    stage.rest()
    assert not has_something(far)
    assert stage.relay.is_connected(A, B)
    far.sendall(b"are you there?")
    stage.relay.release(A, B)
    assert received(far, 10) == b"last words"
    assert far.recv(1) == b""


def test_connections_that_are_made_while_a_way_is_held_are_held_too(stage: Stage) -> None:
    stage.relay.hold(A, B)
    near, far = stage.connect()
    near.sendall(b"a")
    stage.rest()
    assert not has_something(far)
    stage.relay.release(A, B)
    assert far.recv(1) == b"a"


# --- cut, mend, reset ---------------------------------------------------------------


def test_a_cut_breaks_connections_and_refuses_new_ones_until_it_is_mended(stage: Stage) -> None:
    near, far = stage.connect()
    assert stage.relay.is_connected(A, B)
    stage.relay.cut(A, B)
    assert not stage.relay.is_connected(A, B)
    assert is_broken(near)
    assert is_broken(far)
    for _ in range(3):
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            stage.knock()
    stage.relay.mend(A, B)
    near, far = stage.connect()
    near.sendall(b"a")
    assert far.recv(1) == b"a"


def test_the_order_in_which_a_pair_is_named_does_not_matter(stage: Stage) -> None:
    stage.relay.cut(B, A)
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        stage.knock()
    stage.relay.mend(B, A)
    near, far = stage.connect()
    stage.relay.reset(B, A)
    assert is_broken(near)
    assert is_broken(far)


def test_who_has_knocked_and_was_not_let_in_is_cut_off_too(tcp: Stage) -> None:
    # The kernel takes them in: the relay may or may not have been told.
    knocking = [tcp.knock() for _ in range(5)]
    tcp.relay.cut(A, B)
    assert all(map(is_broken, knocking))


def test_a_door_that_is_asked_for_while_its_pair_is_cut_opens_when_it_is_mended(
    stage: Stage, folder: Path
) -> None:
    stage.relay.cut(B, A)
    # The two nodes may meet a second time, the other way round.
    back = stage.relay.way_in(B, A, stage.bound)
    stage.endpoint = back
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        stage.knock()
    stage.relay.mend(A, B)
    stage.connect()


def test_a_reset_breaks_once_and_what_was_held_is_lost(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    near.sendall(b"lost")
    stage.rest()
    stage.relay.reset(A, B)
    stage.relay.release(A, B)
    assert is_broken(near)
    assert is_broken(far)
    near, far = stage.connect()
    near.sendall(b"anew")
    assert received(far, 4) == b"anew"


# --- what one side alone sees ---------------------------------------------------------


@pytest.fixture(params=["connector", "binder"])
def half(request: pytest.FixtureRequest, stage: Stage) -> tuple[str, socket.socket, socket.socket]:
    """A reset that one side sees: the other side, the end that broke, and the end that is left."""
    near, far = stage.connect()
    stage.relay.reset(A, B, request.param)
    return ("binder", near, far) if request.param == "connector" else ("connector", far, near)


Half = tuple[str, socket.socket, socket.socket]


def test_who_does_not_see_a_reset_keeps_what_leads_nowhere(stage: Stage, half: Half) -> None:
    _, broken, left = half
    assert is_broken(broken)
    left.sendall(bytes(10_000_000))  # More than lies between the two.
    stage.rest()
    assert not has_something(left)
    assert stage.relay.is_connected(A, B)


def test_new_connections_are_made_beside_one_that_is_half_open(stage: Stage, half: Half) -> None:
    _, _, left = half
    near, far = stage.connect()
    near.sendall(b"out")
    far.sendall(b"back")
    assert received(far, 3) == b"out"
    assert received(near, 4) == b"back"
    left.sendall(b"lost")
    stage.rest()
    assert not any(map(has_something, (left, near, far)))


def test_a_later_reset_breaks_what_is_half_open_if_its_side_sees_it(
    stage: Stage, half: Half
) -> None:
    keeps, _, left = half
    stage.relay.reset(A, B, "binder" if keeps == "connector" else "connector")
    stage.rest()
    assert not has_something(left)
    stage.relay.reset(A, B, keeps)
    assert is_broken(left)
    assert not stage.relay.is_connected(A, B)


def test_a_cut_breaks_what_is_half_open(stage: Stage, half: Half) -> None:
    _, _, left = half
    stage.relay.cut(A, B)
    assert is_broken(left)


def test_who_keeps_what_is_half_open_may_close_it(stage: Stage, half: Half) -> None:
    _, _, left = half
    left.sendall(b"lost")
    left.close()
    stage.rest()
    assert not stage.relay.is_connected(A, B)


def test_closing_ends_what_is_half_open(stage: Stage, half: Half) -> None:
    _, _, left = half
    stage.relay.close()
    assert has_something(left)


def test_what_was_held_back_is_lost_with_a_connection_that_one_side_sees_break(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    near.sendall(b"lost")
    stage.rest()
    stage.relay.reset(A, B, "connector")
    stage.relay.release(A, B)
    stage.rest()
    assert is_broken(near)
    assert not has_something(far)


# --- looking at messages ------------------------------------------------------------


class Looks:
    """Remembers what is shown, and upon the n-th has something done."""

    def __init__(self, stage: Stage, number: int, strike: Callable[[], object]) -> None:
        self.seen: list[tuple[list[bytes], bool]] = []
        self.was_struck = threading.Event()
        self._stage = stage
        self._number = number
        self._strike = strike

    def __call__(self, frames: Sequence[bytes], has_passed: bool) -> Callable[[], None] | None:
        self.seen.append((list(frames), has_passed))
        return self._done if len(self.seen) == self._number else None

    def _done(self) -> None:
        # As a fault does, which asks first, and then acts in the name of somebody else.
        assert self._stage.relay.is_connected(A, B)
        self._strike()
        self.was_struck.set()


def begin(stage: Stage) -> tuple[socket.socket, socket.socket]:
    """A connection on which messages may come."""
    near, far = stage.connect()
    near.sendall(GREETING + frame(b"\x05READY", COMMAND))
    received(far, len(GREETING) + len(frame(b"\x05READY", COMMAND)))
    return near, far


def test_each_message_is_shown_before_and_after_it_has_passed_and_nothing_else_is(
    stage: Stage,
) -> None:
    looks = Looks(stage, 0, lambda: None)
    stage.relay.look_at(A, B, looks)
    near, far = begin(stage)
    stream = message(b"", b"one") + frame(b"\x04PING", COMMAND) + message(b"two" * 9000)
    for at in range(0, len(stream), 1000):
        near.sendall(stream[at : at + 1000])
        stage.rest()
    far.sendall(message(b"back"))
    assert received(far, len(stream)) == stream
    assert received(near, len(message(b"back"))) == message(b"back")
    stage.rest()
    two = (b"two" * 9000)[:BEGINNING_BYTES]
    assert looks.seen == [
        ([b"", b"one"], False),
        ([b"", b"one"], True),
        ([two], False),
        ([two], True),
    ]
    stage.relay.look_at(A, B, None)
    near.sendall(message(b"three"))
    assert received(far, len(message(b"three"))) == message(b"three")
    assert len(looks.seen) == 4


def test_a_hold_upon_a_message_lets_those_before_it_pass_and_shows_it_once(stage: Stage) -> None:
    looks = Looks(stage, 3, lambda: stage.relay.hold(A, B))
    stage.relay.look_at(A, B, looks)
    near, far = begin(stage)
    near.sendall(message(b"one") + message(b"two") + message(b"three"))
    assert looks.was_struck.wait(DEADLINE_S)
    assert received(far, len(message(b"one"))) == message(b"one")
    stage.rest()
    assert not has_something(far)
    stage.relay.release(A, B)
    rest = message(b"two") + message(b"three")
    assert received(far, len(rest)) == rest
    stage.rest()
    assert [frames for frames, has_passed in looks.seen if not has_passed] == [
        [b"one"],
        [b"two"],
        [b"three"],
    ]


def test_a_message_of_which_most_has_come_does_not_end_when_a_hold_strikes_upon_it(
    stage: Stage,
) -> None:
    looks = Looks(stage, 1, lambda: stage.relay.hold(A, B))
    stage.relay.look_at(A, B, looks)
    near, far = begin(stage)
    whole = message(b"x" * 1000)
    near.sendall(whole[:900])
    received(far, 900)
    near.sendall(whole[900:])
    assert looks.was_struck.wait(DEADLINE_S)
    stage.rest()
    assert not has_something(far)


@pytest.mark.parametrize(("number", "passes"), [(3, [b"one"]), (4, [b"one", b"two"])])
def test_a_reset_upon_a_message_loses_it_or_what_is_behind_it(
    stage: Stage, number: int, passes: list[bytes]
) -> None:
    looks = Looks(stage, number, lambda: stage.relay.reset(A, B))
    stage.relay.look_at(A, B, looks)
    near, far = begin(stage)
    near.sendall(message(b"one") + message(b"two") + message(b"three"))
    assert looks.was_struck.wait(DEADLINE_S)
    expected = b"".join(map(message, passes))
    assert received(far, len(expected)) == expected
    assert is_broken(near)
    assert is_broken(far)
    assert len(looks.seen) == number
    begin(stage)


def test_nothing_passes_while_something_is_done_upon_a_message_but_what_is_asked_is_done(
    stage: Stage,
) -> None:
    lock = threading.Lock()
    is_asked = threading.Event()
    has_come: list[bool] = []

    def strike() -> None:
        is_asked.set()
        with lock:  # Of somebody who waits for the relay.
            has_come.append(has_something(near))

    looks = Looks(stage, 2, strike)
    stage.relay.look_at(A, B, looks)
    near, far = begin(stage)
    with lock:
        near.sendall(message(b"one"))
        assert is_asked.wait(DEADLINE_S)
        assert received(far, len(message(b"one"))) == message(b"one")
        far.sendall(b"at once")
        stage.rest()
    assert received(near, 7) == b"at once"
    assert has_come == [False]


def test_what_a_strike_releases_may_be_a_message_upon_which_another_strikes(stage: Stage) -> None:
    lock = threading.Lock()  # As faults have one, to count what they hold.

    def locked(act: Callable[[str, str], None]) -> None:
        with lock:
            act(A, B)

    first = Looks(stage, 1, lambda: locked(stage.relay.release))
    second = Looks(stage, 1, lambda: locked(stage.relay.reset))
    stage.relay.look_at(B, A, first)
    stage.relay.look_at(A, B, second)
    near = stage.knock()
    far = stage.let_in()
    stage.relay.hold(A, B)
    near.sendall(GREETING + message(b"held"))
    stage.rest()
    far.sendall(GREETING + message(b"back"))
    assert first.was_struck.wait(DEADLINE_S)
    assert second.was_struck.wait(DEADLINE_S)
    assert received(far, len(GREETING)) == GREETING
    assert is_broken(far)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_goes_wrong_in_a_strike_ends_the_relay_and_is_told(folder: Path) -> None:
    stage = Stage("tcp", folder)
    stage.relay.look_at(A, B, Looks(stage, 1, lambda: 1 // 0))
    near, far = begin(stage)
    near.sendall(message(b"lost"))
    assert far.recv(1) == b""
    (failure,) = stage.failures
    assert isinstance(failure, HarnessBug)
    assert "ZeroDivisionError" in str(failure)
    stage.close()


# --- latencies ----------------------------------------------------------------------


def test_a_message_takes_as_long_as_was_drawn_and_the_next_does_not_overtake_it(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    near.sendall(GREETING)
    received(far, len(GREETING))
    stage.relay.slow(A, B, 0.05, 0.05)
    begun = time.monotonic()
    near.sendall(message(b"one"))
    stage.rest()
    stage.relay.slow(A, B, 0.0, 0.0)
    near.sendall(message(b"two"))
    stage.relay.unslow(A, B)
    near.sendall(message(b"three"))
    far.sendall(b"at once")
    assert received(near, 7) == b"at once"
    assert not has_something(far) or time.monotonic() - begun >= 0.05
    expected = message(b"one") + message(b"two") + message(b"three")
    assert received(far, len(expected)) == expected
    assert time.monotonic() - begun >= 0.05


def test_many_messages_are_under_way_at_a_time(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.slow(A, B, 0.05, 0.1)
    begun = time.monotonic()
    stream = GREETING + b"".join(message(b"%d" % number) for number in range(500))
    near.sendall(stream)
    assert received(far, len(stream)) == stream
    assert 0.05 <= time.monotonic() - begun < DEADLINE_S  # One after the other took 25 s or more.


def test_one_message_has_one_latency_however_many_pieces_it_comes_in(stage: Stage) -> None:
    near, far = stage.connect()
    whole = message(b"x" * 1000)
    near.sendall(GREETING)
    received(far, len(GREETING))
    stage.relay.slow(A, B, 0.02, 0.02)
    begun = time.monotonic()
    near.sendall(whole[:-1])
    received(far, len(whole) - 1)
    assert time.monotonic() - begun >= 0.02
    stage.relay.slow(A, B, 10 * DEADLINE_S, 10 * DEADLINE_S)
    near.sendall(whole[-1:])
    assert received(far, 1) == b"x"  # Before the deadline.


def test_latencies_are_drawn_from_the_seed_for_each_way_by_itself() -> None:
    def draws(source: str, target: str, seed: int) -> list[float]:
        way = Way(source, target, seed)
        way.latency_s = 0.01, 0.02
        return [way.draw_s() for _ in range(50)]

    assert draws(A, B, 7) == draws(A, B, 7)
    assert all(0.01 <= drawn <= 0.02 for drawn in draws(A, B, 7))
    assert len({tuple(draws(*way)) for way in ((A, B, 7), (B, A, 7), (A, B, 8))}) == 3


# --- bandwidths -----------------------------------------------------------------------


def test_bytes_cross_as_quickly_as_the_bandwidth_lets_them_and_the_other_way_at_once(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    stage.relay.throttle(A, B, 50_000)
    data = random.Random(4).randbytes(5_000)
    begun = time.monotonic()
    near.sendall(data[:4_990])
    near.sendall(data[4_990:])
    far.sendall(b"at once")
    assert received(near, 7) == b"at once"
    assert received(far, 2_500) == data[:2_500]
    assert time.monotonic() - begun >= 0.05
    assert received(far, 2_500) == data[2_500:]
    assert time.monotonic() - begun >= 0.1


def test_nobody_waits_in_the_relay_for_bytes_to_cross() -> None:
    source, near = socket.socketpair()
    far, target = socket.socketpair()
    with source, near, far, target:
        way = Way(A, B, 0)
        way.bytes_per_s = 1_000_000
        near.setblocking(False)
        far.setblocking(False)
        wire = Wire(way, near, far)
        source.sendall(bytes(100_000))
        begun = time.monotonic()
        wire.read(memoryview(bytearray(100_000)))
        due = wire.due_s
        assert due is not None  # What has not yet crossed is for later, and then for a good deal.
        assert due > begun + PACE_S / 2


def test_a_line_that_was_idle_makes_up_for_nothing(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.throttle(A, B, 10_000)
    near.sendall(b"a")
    assert received(far, 1) == b"a"
    stage.relay.hold(A, B)
    near.sendall(bytes(500))
    time.sleep(0.1)  # In which all of it would have crossed.
    begun = time.monotonic()
    stage.relay.release(A, B)
    near.sendall(bytes(500))
    assert received(far, 1_000) == bytes(1_000)
    assert time.monotonic() - begun >= 0.1 - 2 * PACE_S


def test_what_waits_to_cross_does_at_once_when_the_bandwidth_is_the_usual_again(
    stage: Stage,
) -> None:
    near, far = stage.connect()
    stage.relay.throttle(A, B, 1)
    data = random.Random(5).randbytes(100_000)
    near.sendall(data)
    near.close()
    stage.rest()
    stage.relay.unthrottle(A, B)
    assert received(far, len(data)) == data
    assert far.recv(1) == b""


def test_where_bytes_cross_slowly_the_sender_has_to_wait(stage: Stage) -> None:
    near, far = stage.connect()
    stage.relay.throttle(A, B, 1)
    near.setblocking(False)
    sent = blocked = 0
    while blocked < 3:
        try:
            sent += near.send(bytes(65536))
            blocked = 0
        except BlockingIOError:
            stage.rest()
            blocked += 1
        assert sent < 100_000_000
    stage.relay.throttle(A, B, 10**12)
    assert received(far, sent) == bytes(sent)


# --- what is not there ----------------------------------------------------------------


def test_who_is_led_to_nobody_is_reset_and_may_come_again(stage: Stage) -> None:
    stage.server.close()
    for _ in range(3):
        try:
            assert is_broken(stage.knock())
        except ConnectionResetError:
            pass  # While it connected, or just after.
        assert not stage.relay.is_connected(A, B)
        stage.relay.reset(A, B)


def test_an_end_that_has_died_is_taken_leave_of_at_the_other(tcp: Stage) -> None:
    near, far = tcp.connect()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    near.close()
    assert far.recv(1) == b""


def test_without_pairs_there_is_nothing_to_begin_and_nothing_to_end() -> None:
    threads = threading.enumerate()
    relay = Relay([], 0, None, lambda error: None)
    relay.open()
    assert threading.enumerate() == threads
    assert relay.way_in(A, B, "tcp://127.0.0.1:5555") == "tcp://127.0.0.1:5555"
    relay.close()


def test_closing_ends_all_that_there_was_and_later_faults_change_nothing(
    stage: Stage, folder: Path
) -> None:
    near, far = stage.connect()
    stage.relay.hold(A, B)
    stage.relay.slow(B, A, 5.0, 5.0)
    near.sendall(b"held")
    far.sendall(b"slow")
    stage.rest()
    stage.relay.close()
    assert has_something(near)
    assert has_something(far)
    assert "reqrep-relay" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        stage.knock()
    stage.relay.cut(A, B)
    stage.relay.mend(A, B)
    stage.relay.release(A, B)
    assert not stage.relay.is_connected(A, B)
    assert stage.relay.messages(A, B) == 0
    stage.relay.close()


def test_faults_from_many_threads_at_once_all_take_effect(tcp: Stage) -> None:
    def meddle() -> None:
        for _ in range(30):
            tcp.relay.hold(A, B)
            tcp.relay.release(A, B)
            tcp.relay.cut(A, B)
            tcp.relay.mend(A, B)
            tcp.relay.reset(A, B)

    threads = [threading.Thread(target=meddle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    near, far = tcp.connect()
    near.sendall(b"a")
    assert far.recv(1) == b"a"
    assert tcp.failures == []


def test_a_relay_without_descriptors_says_so_and_hangs_nobody(tcp: Stage) -> None:
    near = socket.socket()
    near.settimeout(DEADLINE_S)
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        host, _, port = tcp.endpoint.removeprefix("tcp://").rpartition(":")
        near.connect((host, int(port)))
        assert near.recv(1) == b""
    except ConnectionResetError:
        pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        near.close()
    tcp.relay.hold(A, B)
    (failure,) = tcp.failures
    assert isinstance(failure, NodeFailed)
    assert "the relay could not go on" in str(failure)
    assert "ulimit -n" in str(failure)


# --- libzmq -------------------------------------------------------------------------------


@pytest.fixture
def dealers() -> Iterator[tuple[Any, Any]]:
    """Two DEALERs; whatever they wait for, they wait so long."""
    with zmq.Context() as context:
        pair = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
        for end in pair:
            end.linger = 0
            end.rcvtimeo = end.sndtimeo = int(DEADLINE_S * 1000)
            end.set(zmq.RECONNECT_IVL, 10)
        yield pair
        for end in pair:
            end.close()


@pytest.fixture
def relay(folder: Path) -> Iterator[Relay]:
    failures: list[ReqrepError] = []
    made = Relay([(A, B)], 0, folder, failures.append)
    made.open()
    yield made
    made.close()
    assert failures == []


@pytest.fixture
def pair(dealers: tuple[Any, Any], relay: Relay) -> tuple[Any, Any]:
    """The same, the first led to the second."""
    near, far = dealers
    far.bind("tcp://127.0.0.1:*")
    near.connect(relay.way_in(A, B, far.get(zmq.LAST_ENDPOINT).decode()))
    return near, far


def test_a_message_of_ten_megabytes_passes_whole_and_counts_as_one(
    pair: tuple[Any, Any], relay: Relay
) -> None:
    near, far = pair
    parts = [b"", random.Random(4).randbytes(10_000_000), b"end"]
    near.send_multipart(parts)
    assert far.recv_multipart() == parts
    far.send_multipart(parts)
    assert near.recv_multipart() == parts
    assert relay.messages(A, B) == relay.messages(B, A) == 1


def test_a_hold_loses_nothing_that_libzmq_sends(pair: tuple[Any, Any], relay: Relay) -> None:
    near, far = pair
    near.send(b"before")
    assert far.recv() == b"before"
    relay.hold(A, B)
    for number in range(1000):
        near.send(b"%d" % number)
    far.send(b"the other way")
    assert near.recv() == b"the other way"
    assert not far.poll(0)
    relay.release(A, B)
    assert [far.recv() for _ in range(1000)] == [b"%d" % number for number in range(1000)]


def test_a_monitor_hears_of_a_reset_and_the_connection_is_made_anew(
    pair: tuple[Any, Any], relay: Relay
) -> None:
    near, far = pair
    events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
    with monitor_of(near, events) as near_monitor, monitor_of(far, events) as far_monitor:
        near.send(b"before")
        assert far.recv() == b"before"
        relay.reset(A, B)
        for monitor in near_monitor, far_monitor:
            assert heard(monitor, zmq.EVENT_HANDSHAKE_SUCCEEDED, after=zmq.EVENT_DISCONNECTED)
    near.send(b"after")
    assert far.recv() == b"after"


@contextmanager
def monitor_of(end: Any, events: int) -> Iterator[Any]:
    with end.get_monitor_socket(events) as monitor:
        yield monitor
        end.disable_monitor()


def heard(monitor: Any, event: int, after: int) -> bool:
    """Whether one event comes some time after another."""
    has_come = False
    while monitor.poll(DEADLINE_S * 1000):
        came = recv_monitor_message(monitor)["event"]
        if came == after:
            has_come = True
        elif came == event and has_come:
            return True
    return False


def test_a_connector_whose_pair_was_cut_finds_its_peer_when_it_is_mended(
    pair: tuple[Any, Any], relay: Relay
) -> None:
    near, far = pair
    near.send(b"before")
    assert far.recv() == b"before"
    with monitor_of(near, zmq.EVENT_CONNECT_RETRIED) as monitor:
        relay.cut(A, B)
        for _ in range(3):
            assert monitor.poll(DEADLINE_S * 1000)
            recv_monitor_message(monitor)
    near.send(b"after")
    assert not far.poll(0)
    relay.mend(A, B)
    assert far.recv() == b"after"


def test_a_connector_is_led_to_a_binder_that_comes_late(
    dealers: tuple[Any, Any], relay: Relay, folder: Path
) -> None:
    near, far = dealers
    with monitor_of(near, zmq.EVENT_CONNECT_RETRIED) as monitor:
        near.connect(relay.way_in(A, B, f"ipc://{folder}/late"))
        near.send(b"hello")
        for _ in range(3):
            assert monitor.poll(DEADLINE_S * 1000)
            recv_monitor_message(monitor)
    far.bind(f"ipc://{folder}/late")
    assert far.recv() == b"hello"
