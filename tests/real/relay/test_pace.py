"""Latencies and bandwidths of what a relay passes on."""

from __future__ import annotations

import random
import socket
import time

from reqrep.harness.real.wire import PACE_S, Way, Wire

from ..test_zmtp import GREETING, message
from .stage import DEADLINE_S, A, B, Stage, has_something, received

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
