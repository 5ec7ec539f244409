"""What a relay passes on, holds back, and breaks, and what becomes of those who are led through it."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
from pathlib import Path

import pytest

from reqrep import NodeFailed
from reqrep.harness.real.relay import Relay
from reqrep.harness.real.wire import KEPT_BYTES

from ..test_zmtp import GREETING, frame, message
from .stage import DEADLINE_S, A, B, Stage, has_something, is_broken, received

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
