"""Whoever looks at messages is shown each before and after it has passed, and may strike upon it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reqrep import HarnessBug
from reqrep.harness.real.zmtp import BEGINNING_BYTES, COMMAND

from ..test_zmtp import GREETING, frame, message
from .stage import DEADLINE_S, A, B, Stage, begin, has_something, is_broken, received


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
