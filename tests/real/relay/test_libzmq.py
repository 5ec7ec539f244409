"""A relay between sockets of libzmq, which notice nothing of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from reqrep import ReqrepError
from reqrep.harness.real.relay import Relay

from .stage import DEADLINE_S, A, B


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
