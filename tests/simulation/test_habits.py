"""What programs do out of habit: process ids, locks from elsewhere, signals, busy waiting, contexts."""

from __future__ import annotations

import io
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from zmq import proxy as early_proxy

import reqrep
from reqrep import Fleet, NodeFailed, Scenario, Workload
from reqrep.harness import simulated
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient, rep_server

EARLY_LOCK = threading.Lock()
EARLY_CONTEXT: zmq.Context[Any]


class Counter:
    """A class with a lock of its own, from before any run."""

    lock = threading.RLock()
    inside = 0


@pytest.fixture(scope="module", autouse=True)
def early_context() -> Iterator[None]:
    """A context at the top of the module; it takes descriptors, so not before the session."""
    global EARLY_CONTEXT
    EARLY_CONTEXT = zmq.Context()
    yield
    EARLY_CONTEXT.destroy(0)


def run(world: str = "simulated", **programs: Callable[..., Any]) -> reqrep.Report:
    pattern = reqrep.pattern("req-rep").with_roles(**programs)
    return reqrep.run(Scenario(pattern, Fleet(3, 1), Workload(9)), world).check()


def client_that(does: Callable[[ReqClient], object]) -> type[ReqClient]:
    """A client that does something before each request."""

    class Client(ReqClient):
        def call(self, body: Body) -> Body:
            does(self)
            return super().call(body)

    return Client


def test_the_calendar_is_that_of_the_clock() -> None:
    moments: list[tuple[time.struct_time, str]] = []

    def look(client: ReqClient) -> None:
        told = time.ctime(), time.asctime(), time.strftime("%a %b %e %H:%M:%S %Y")
        assert len({*told}) == 1
        assert time.gmtime(0).tm_year == 1970
        time.sleep(1.5)
        moments.append((time.gmtime(), time.strftime("%S", time.localtime())))

    run(client=client_that(look))
    assert {moment.tm_year for moment, _ in moments} == {2026}
    assert {moment.tm_sec for moment, _ in moments} == {1, 3, 4}
    assert {second for _, second in moments} == {"01", "03", "04"}


def test_each_node_has_a_process_id_of_its_own() -> None:
    ids: list[int] = []
    run(client=client_that(lambda client: ids.append(os.getpid())))
    assert len(set(ids)) == 3
    assert os.getpid() not in ids
    again = ids.copy()
    ids.clear()
    run(client=client_that(lambda client: ids.append(os.getpid())))
    assert ids == again


def test_a_logger_that_a_program_has_set_up_works_in_the_next_run_and_after_it() -> None:
    log = logging.getLogger("tests.simulation.habits")
    log.propagate = False
    stream = io.StringIO()

    def server(context: Context, endpoint: str, handle: Handle) -> None:
        if not log.handlers:
            log.addHandler(logging.StreamHandler(stream))
        log.warning("up")
        rep_server(context, endpoint, handle)

    try:
        run(server=server)
        run(server=server)
        log.warning("after")
        assert stream.getvalue() == "up\nup\nafter\n"
    finally:
        log.handlers.clear()


@pytest.mark.parametrize("lock", ["EARLY_LOCK", "Counter.lock"])
def test_a_lock_from_before_the_run_is_waited_for_in_virtual_time(lock: str) -> None:
    before = EARLY_LOCK, Counter.lock

    def ask_in_turn(client: ReqClient) -> None:
        with EARLY_LOCK if lock == "EARLY_LOCK" else Counter.lock:
            Counter.inside += 1
            time.sleep(0.01)
            assert Counter.inside == 1, "two are in"
            Counter.inside -= 1

    Counter.inside = 0
    report = run(client=client_that(ask_in_turn))
    assert report.history.events[-1].time_ns > 9 * 10_000_000
    assert (EARLY_LOCK, Counter.lock) == before
    with EARLY_LOCK, Counter.lock:
        pass


def test_a_program_that_waits_for_something_real_is_stopped_where_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulated, "BLOCKED_S", 0.2)
    hidden = [threading.Lock()]  # In a list nobody finds it.
    hidden[0].acquire()

    def server(context: Context, endpoint: str, handle: Handle) -> None:
        with context.socket(zmq.REP) as socket, socket.bind(endpoint):
            handle(socket.recv_multipart())
            hidden[0].acquire()

    with pytest.raises(NodeFailed, match="server-0 blocks the one thread") as caught:
        run(server=server)
    assert "hidden[0].acquire()" in str(caught.value)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_who_looks_at_the_clock_until_it_is_time_goes_on() -> None:
    def spin(client: ReqClient) -> None:
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass

    assert run(client=client_that(spin)).holds


def test_threads_of_a_node_know_who_they_are_and_whom_they_are_with() -> None:
    seen: list[tuple[bool, bool]] = []

    def look(client: ReqClient) -> None:
        here = threading.current_thread()
        assert here is threading.main_thread()
        assert here.ident == here.native_id == threading.get_ident() == threading.get_native_id()
        beside = threading.Thread(target=lambda: seen.append(others()))
        beside.start()
        for thread in threading.enumerate():
            if thread is not here:
                thread.join()
        assert threading.active_count() == 1

    def others() -> tuple[bool, bool]:
        here, main = threading.current_thread(), threading.main_thread()
        return here.ident not in (None, main.ident), threading.enumerate() == [main, here]

    run(client=client_that(look))
    assert seen == [(True, True)] * 9


def test_a_handler_of_a_node_is_its_own() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: Any) -> None:
        raise AssertionError("no signal comes")

    def set_up(client: ReqClient) -> None:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.signal(signal.SIGTERM, handle) in (signal.SIG_DFL, handle)
        assert signal.getsignal(signal.SIGTERM) is handle

    run(client=client_that(set_up))
    assert signal.getsignal(signal.SIGTERM) is before


def test_options_of_a_context_are_those_of_the_node() -> None:
    def server(context: zmq.Context[Any], endpoint: str, handle: Handle) -> None:
        context.set(zmq.MAX_SOCKETS, 5)
        context.io_threads = 2
        assert (context.get(zmq.MAX_SOCKETS), context.io_threads) == (5, 2)
        with pytest.raises(zmq.ZMQError) as caught:
            context.set(zmq.MAX_SOCKETS, -1)
        assert caught.value.errno == zmq.EINVAL
        rep_server(context, endpoint, handle)

    assert run(server=server).holds


def test_a_proxy_that_was_imported_early_is_simulated() -> None:
    def broker(context: zmq.Context[Any], frontend: str, backend: str) -> None:
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        front.bind(frontend)
        back.bind(backend)
        early_proxy(front, back)

    pattern = reqrep.pattern("broker-proxy").with_roles(broker=broker)
    assert reqrep.run(pattern).check().holds


@pytest.mark.parametrize("how", ["term", "destroy"])
def test_a_node_that_ends_a_context_from_before_the_run_ends_only_what_is_its_own(
    how: str, world: str
) -> None:
    def server(_: Context, endpoint: str, handle: Handle) -> None:
        socket = EARLY_CONTEXT.socket(zmq.REP)
        socket.bind(endpoint)
        socket.send_multipart(handle(socket.recv_multipart()))
        if how == "term":
            socket.close(1000)
        EARLY_CONTEXT.destroy(1000) if how == "destroy" else EARLY_CONTEXT.term()
        assert socket.closed

    with EARLY_CONTEXT.socket(zmq.PAIR) as outside:
        outside.bind(f"inproc://outside-{how}-{world}")  # The last one goes a moment after its end.
        for _ in range(2):
            pattern = reqrep.pattern("req-rep").with_roles(server=server)
            report = reqrep.run(Scenario(pattern, Fleet(1, 1), Workload(1)), world, "tcp")
            assert report.statistics.ok == 1, str(report)
        assert not outside.closed
        assert not EARLY_CONTEXT.closed
