"""Programs that know nothing of us run in the simulated world, and the same way twice."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any
from uuid import UUID

import pytest

import reqrep
from reqrep import Fleet, History, Pattern, Scenario, Workload
from reqrep.harness.pattern import Hop, Link, Role
from reqrep.harness.seam.virtual_chance import HARDWARE_ADDRESS
from reqrep.harness.seam.virtual_time import EPOCH_S
from reqrep.harness.simulated import SimulatedWorld
from reqrep.patterns.broker import rep_worker
from reqrep.patterns.common import PROMISED_BY_MOST
from reqrep.patterns.req_rep import ReqClient

from . import programs

ROUTING_SERVER = Pattern(
    name="routing-server",
    summary="REQ clients and one server with a ROUTER in front",
    roles=(Role("server", programs.threaded_server, many=True), Role("client", ReqClient)),
    links=(Link("service", binds="server", connects=("client",)),),
    hops=(
        Hop("request", "service", "client", "[body..]", "server", "[C][][body..]"),
        Hop("reply", "service", "server", "[C][][body..]", "client", "[body..]"),
    ),
    promises=PROMISED_BY_MOST,
)

FLEET = Fleet(clients=3, workers=2)


def history_of(pattern: Pattern, transport: str = "tcp", requests: int = 30) -> History:
    """What happens in the simulated world; all that is promised must hold."""
    scenario = Scenario(pattern, FLEET, Workload(requests), seed=7)
    history = reqrep.run(scenario, "simulated", transport).check().history
    assert sum(event.kind == "ok" for event in history) == requests
    assert not [str(event) for event in history if event.kind == "ownership"]
    return history


def assert_runs_the_same_twice(pattern: Pattern, transport: str) -> None:
    one, other = history_of(pattern, transport), history_of(pattern, transport)
    assert list(map(str, one)) == list(map(str, other))
    assert list(one) == list(other)


def req_rep(**changed: Any) -> Pattern:
    return reqrep.pattern("req-rep").with_roles(**changed)


UNMODIFIED = {
    "zmq.asyncio REP": req_rep(server=programs.asyncio_server),
    "zmq.asyncio REQ and REP, a loop for each call": req_rep(
        server=programs.asyncio_server, client=programs.LoopForEachCallClient
    ),
    "zmq.asyncio REQ and REP, a kept loop": req_rep(
        server=programs.asyncio_server, client=programs.KeptLoopClient
    ),
    "asyncio server, a task for each request": ROUTING_SERVER.with_roles(
        server=programs.concurrent_server, client=programs.KeptLoopClient
    ),
    "asyncio client that waits in vain": req_rep(client=programs.ImpatientClient),
    "zmq.proxy over inproc and five worker threads": ROUTING_SERVER,
    "zmq.devices.ThreadDevice": reqrep.pattern("broker-proxy").with_roles(
        broker=programs.device_broker, worker=rep_worker
    ),
    "queues, events, timers": req_rep(server=programs.worker_with_a_queue),
    "threading.local": req_rep(client=programs.SocketForEachThreadClient),
    "threading.local at the top of a module": req_rep(client=programs.ModuleLocalClient),
    "a subclass of zmq.Socket": req_rep(client=programs.SubclassClient),
    "from zmq import Context, taken early": req_rep(server=programs.early_context_server),
    "Poller": req_rep(server=programs.polling_server),
    "select": req_rep(server=programs.selecting_server),
    "selectors": req_rep(server=programs.selectors_server),
    "RCVTIMEO": req_rep(server=programs.timeout_server),
    "time and chance": req_rep(client=programs.ClockAndChanceClient),
}


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
@pytest.mark.parametrize("name", UNMODIFIED)
def test_an_unmodified_program_runs_simulated_and_the_same_twice(name: str, transport: str) -> None:
    assert_runs_the_same_twice(UNMODIFIED[name], transport)


def test_a_socket_monitor_tells_of_handshakes() -> None:
    assert_runs_the_same_twice(req_rep(client=programs.MonitoringClient), "tcp")


def sent_words(history: History, start: bytes) -> set[bytes]:
    frames = (frame for event in history if event.kind == "send" for frame in event.frames)
    return {frame for frame in frames if frame.startswith(start)}


def test_a_coroutine_waits_as_long_as_it_said_on_the_clock_of_the_run() -> None:
    history = history_of(UNMODIFIED["asyncio client that waits in vain"])
    assert sent_words(history, b"wait_for") == {b"wait_for 0.250"}
    assert sent_words(history, b"rcvtimeo") == {b"rcvtimeo 0.500"}
    assert sent_words(history, b"poll") == {b"poll 0.125"}
    assert sent_words(history, b"cancel") == {b"cancel 0.100"}


def test_an_early_threading_local_is_afterwards_what_it_was() -> None:
    before = programs.EARLY_LOCAL
    programs.EARLY_LOCAL.mine = "kept"
    history_of(UNMODIFIED["threading.local at the top of a module"])
    assert programs.EARLY_LOCAL is before
    assert vars(before) == {"mine": "kept"}
    del before.mine


def test_ids_made_of_the_time_have_the_time_and_the_address_of_the_run() -> None:
    words = [
        str(word, "ascii")
        for word in sent_words(history_of(UNMODIFIED["time and chance"]), b"")
        if len(word) == 36
    ]
    made = [UUID(word) for word in words]
    of_time = [each for each in made if each.version == 1]
    assert len(of_time) == 30
    assert {each.node for each in of_time} == {HARDWARE_ADDRESS}
    begun = (EPOCH_S * 10**7) + 0x01B21DD213814000  # Since 1582, in 100 ns.
    assert all(begun <= each.time < begun + 10**7 for each in of_time)


def test_names_of_threads_count_within_their_node() -> None:
    history = history_of(UNMODIFIED["time and chance"])
    assert sent_words(history, b"Thread-") == {b"Thread-%d" % n for n in range(1, 11)}


def test_hours_pass_in_no_time() -> None:
    class Patient(ReqClient):
        def call(self, body: list[bytes]) -> list[bytes]:
            asyncio.run(asyncio.sleep(3600))
            return super().call(body)

    begun = time.monotonic()
    scenario = Scenario(req_rep(client=Patient), Fleet(1, 1), Workload(3, timeout_s=20_000))
    world = SimulatedWorld(scenario, "tcp")
    world.run()
    assert world.simulation.scheduler.now_ns > 3 * 3600 * 10**9
    assert time.monotonic() - begun < 10


def test_afterwards_asyncio_is_what_it_was() -> None:
    hooks = sys.get_asyncgen_hooks()
    init = asyncio.SelectorEventLoop.__init__
    history_of(UNMODIFIED["zmq.asyncio REQ and REP, a kept loop"])

    async def loop_time() -> float:
        return asyncio.get_running_loop().time()

    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == hooks
    assert asyncio.SelectorEventLoop.__init__ is init
    assert abs(asyncio.run(loop_time()) - time.monotonic()) < 60


def test_asynchronous_generators_end_with_their_own_loop() -> None:
    class Generates(ReqClient):
        ended: list[str] = []  # noqa: RUF012

        def call(self, body: list[bytes]) -> list[bytes]:
            asyncio.run(self.take_one())
            return super().call(body)

        async def take_one(self) -> None:
            async def numbers() -> Any:
                try:
                    for number in range(10):
                        yield number
                        await asyncio.sleep(0.001)
                finally:
                    await asyncio.sleep(0.001)
                    self.ended.append("ended")

            async for _ in numbers():
                time.sleep(0.01)  # Blocks its loop, while those of others go on.
                break
            await asyncio.sleep(0.002)

    history_of(req_rep(client=Generates), requests=6)
    assert Generates.ended == ["ended"] * 6
