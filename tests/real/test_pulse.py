"""A machine that stands still: noted, and nobody blamed for it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import pytest
import zmq

import reqrep
from reqrep import ClosedLoop, Fleet, Scenario, Workload
from reqrep.patterns.common import Context

STANDS_US = 500_000

_of_the_c_library = ctypes.PyDLL(None)


def hold_everybody_up() -> None:
    """Keep the interpreter, and with it all threads of the process."""
    _of_the_c_library.usleep(STANDS_US)


def hold_itself_up() -> None:
    time.sleep(STANDS_US / 1e6)


def server(pause: Callable[[], None]) -> Callable[..., None]:
    """Works where it reads, in a way that the harness cannot see."""

    def answer(context: Context, endpoint: str) -> None:
        with context.socket(zmq.ROUTER) as socket:
            socket.bind(endpoint)
            for number in range(4):
                message = socket.recv_multipart()
                if number == 1:
                    pause()
                socket.send_multipart(message)
            socket.recv_multipart()

    return answer


@pytest.mark.parametrize(
    ("pause", "outcome"), [(hold_everybody_up, "holds"), (hold_itself_up, "broken")]
)
def test_a_server_is_blamed_for_its_own_pauses_only(
    pause: Callable[[], None], outcome: str
) -> None:
    pattern = reqrep.pattern("dealer-router").with_roles(server=server(pause))
    workload = Workload(4, arrival=ClosedLoop(window=2))
    report = reqrep.run(Scenario(pattern, Fleet(2, 1), workload), "threads", "inproc")
    verdicts = {verdict.property: verdict.outcome for verdict in report.verdicts}
    assert verdicts["head-of-line"] == outcome, str(report)
    longest_ns = max(
        (event.number for event in report.history.events if event.kind == "paused"), default=0
    )
    assert (longest_ns > 300_000_000) == (outcome == "holds")
