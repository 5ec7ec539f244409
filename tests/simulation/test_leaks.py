"""What a simulation has taken it gives back, and real sockets live beside it untouched."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import Fleet, Scenario, Workload
from reqrep.patterns.common import Body
from reqrep.patterns.req_rep import ReqClient

WARM_UP = 50
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class RealPair:
    """Two real sockets, one connected to the other over tcp."""

    def __init__(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.one, self.other = self.context.socket(zmq.PAIR), self.context.socket(zmq.PAIR)
        self.other.connect(f"tcp://127.0.0.1:{self.one.bind_to_random_port('tcp://127.0.0.1')}")
        self.one.rcvtimeo = self.other.rcvtimeo = 10_000
        self.passed = 0

    def pass_a_message(self) -> None:
        body = b"real %d" % self.passed
        self.one.send(body)
        assert self.other.recv() == body
        self.other.send_multipart([body, b"back"])
        assert self.one.recv_multipart() == [body, b"back"]
        self.passed += 1


@pytest.fixture
def pair() -> Iterator[RealPair]:
    made = RealPair()
    yield made
    made.context.destroy(linger=0)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def held() -> tuple[list[str], int]:
    """Threads and descriptors."""
    return (
        sorted(thread.name for thread in threading.enumerate()),
        len(os.listdir("/proc/self/fd")),
    )


def assert_nothing_is_left_by(runs: int, pair: RealPair) -> tuple[int, int]:
    # Made once: a class is a cycle of objects, and ten thousand of them would be a leak of the
    # test's own until the collector looks at its oldest generation.
    class Client(ReqClient):
        def call(self, body: Body) -> Body:
            pair.pass_a_message()
            return super().call(body)

    pattern = reqrep.pattern("req-rep").with_roles(client=Client)

    def simulate(seed: int) -> None:
        transport = ("inproc", "ipc", "tcp")[seed % 3]
        scenario = Scenario(pattern, Fleet(1, 1), Workload(2), seed=seed)
        report = reqrep.run(scenario, "simulated", transport)
        assert report.holds, str(report)
        pair.pass_a_message()

    for seed in range(WARM_UP):
        simulate(seed)
    before, bytes_before = held(), resident_bytes()
    patched = time.sleep, zmq.Socket.__bases__, zmq.Context.__bases__
    for seed in range(runs):
        simulate(WARM_UP + seed)
    bytes_after = resident_bytes()
    assert held() == before
    assert (time.sleep, zmq.Socket.__bases__, zmq.Context.__bases__) == patched
    assert pair.passed == 3 * (WARM_UP + runs)
    assert bytes_after < 1.05 * bytes_before, (bytes_before, bytes_after)
    return bytes_before, bytes_after


def test_a_hundred_and_fifty_simulations_leave_nothing(pair: RealPair) -> None:
    assert_nothing_is_left_by(150, pair)


@pytest.mark.slow
def test_ten_thousand_simulations_leave_nothing(
    pair: RealPair, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = assert_nothing_is_left_by(10_000, pair)
    with capsys.disabled():
        sys.stdout.write(f"\nresident: {after // 2**10} KiB, {before // 2**10} before\n")
