"""The world of threads: bad programs end in clear errors, and nothing outlives a run."""

from __future__ import annotations

import _thread
import dataclasses
import threading
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import (
    Bursts,
    ClosedLoop,
    Fleet,
    History,
    MisuseError,
    NodeFailed,
    OpenLoop,
    Pattern,
    Scenario,
    Workload,
)
from reqrep.harness.history.recorder import Recorder
from reqrep.harness.real.threads import ThreadsWorld
from reqrep.harness.run import EXIT_UNKNOWN, WORLDS
from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient, rep_server

run = partial(reqrep.run, world="threads")


def pattern(**programs: Any) -> Pattern:
    return reqrep.pattern("req-rep").with_roles(**programs)


def scenario(requests: int = 4, timeout_s: float = 0.5, **programs: Any) -> Scenario:
    return Scenario(pattern(**programs), Fleet(1, 1), Workload(requests, timeout_s=timeout_s))


# --- programs that do not do their part ---------------------------------------


def raises_at_start(context: Context, endpoint: str, handle: Handle) -> None:
    raise RuntimeError("no configuration")


def raises_in_mid_run(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    for _ in range(2):
        socket.send_multipart(handle(socket.recv_multipart()))
    raise RuntimeError("enough")


def binds_elsewhere(context: Context, endpoint: str, handle: Handle) -> None:
    rep_server(context, "inproc://elsewhere", handle)


def returns_at_once(context: Context, endpoint: str, handle: Handle) -> None:
    context.socket(zmq.REP).close()


class ConnectsNowhere(ReqClient):
    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, [])


class TakesWhatComes:
    """A client that raises on its second request."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self._asks = ReqClient(context, endpoints)
        self._asked = 0

    def call(self, body: Body) -> Body:
        self._asked += 1
        if self._asked == 2:
            raise KeyError("the second")
        return self._asks.call(body)

    def close(self) -> None:
        self._asks.close()


class IgnoresWhatHasCome:
    """A client that pipelines and reads nothing."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self._socket = context.socket(zmq.DEALER)
        for endpoint in endpoints:
            self._socket.connect(endpoint)

    def send(self, body: Body) -> None:
        self._socket.send_multipart([b"", *body])

    def recv(self) -> Body | None:
        return None

    def close(self) -> None:
        self._socket.close()


class GivesUp(TakesWhatComes):
    def call(self, body: Body) -> Body | None:  # type: ignore[override]
        self._asks.call(body)
        return None


def raises_at_the_first_request(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    socket.recv_multipart()
    raise RuntimeError("enough")


class AsksADeadServer:
    """Gives up its first request, and waits for ever for the reply to its second."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self._context, self._endpoints = context, endpoints
        self._asks = ReqClient(context, endpoints)
        self._asks.socket.rcvtimeo = 200

    def call(self, body: Body) -> Body:
        try:
            return self._asks.call(body)
        except zmq.Again:
            self._asks.close()
            self._asks = ReqClient(self._context, self._endpoints)
            raise


stubborn_ends = threading.Event()


def stubborn(context: Context, endpoint: str, handle: Handle) -> None:
    """Works on after its context was terminated."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    try:
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))
    except zmq.ContextTerminated:
        stubborn_ends.wait(20)


def swallows_everything(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        try:
            socket.send_multipart(handle(socket.recv_multipart()))
        except Exception:
            continue


def raises_in_a_thread_of_its_own(context: Context, endpoint: str, handle: Handle) -> None:
    def raises() -> None:
        raise ValueError("beside the loop")

    def work(body: Body) -> Body:
        thread = threading.Thread(target=raises)
        thread.start()
        thread.join()
        return handle(body)

    rep_server(context, endpoint, work)


def stops_at_the_third(context: Context, endpoint: str, handle: Handle) -> None:
    with context.socket(zmq.REP) as socket:
        socket.bind(endpoint)
        for _ in range(3):
            socket.send_multipart(handle(socket.recv_multipart()))


def proxies_to_who_may_have_gone(context: Context, frontend: str, backend: str) -> None:
    front = context.socket(zmq.ROUTER)
    front.router_mandatory = 1
    front.bind(frontend)
    back = context.socket(zmq.DEALER)
    back.bind(backend)
    zmq.proxy(front, back)


class Impatient(ReqClient):
    """Leaves before the reply to its first request comes, and comes back."""

    def __init__(self, context: Context, endpoints: str | list[str]) -> None:
        super().__init__(context, endpoints)
        self.socket.linger = 0
        self.socket.rcvtimeo = 50
        self._again = partial(ReqClient, context, endpoints)

    def call(self, body: Body) -> Body:
        try:
            return super().call(body)
        except zmq.Again:
            self.socket.close()
            self.socket = self._again().socket
            raise


class AsksAnew:
    """Pipelines, on a new socket for each request, which closes when it is answered."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self._open = partial(context.socket, zmq.DEALER)
        (self._endpoint,) = endpoints
        self.sockets: list[Any] = []
        self._has_asked = False
        self._connect()

    def _connect(self) -> None:
        self.sockets.append(self._open())
        self.sockets[-1].connect(self._endpoint)

    def send(self, body: Body) -> None:
        if self._has_asked:
            self._connect()
        self._has_asked = True  # On the socket that was there to be counted at the start.
        self.sockets[-1].send_multipart([b"", *body])

    def recv(self) -> Body | None:
        for socket in self.sockets:
            if socket.poll(0):
                _, *body = socket.recv_multipart()
                self.sockets.remove(socket)
                socket.close()
                return list(body)
        return None

    def close(self) -> None:
        for socket in self.sockets:
            socket.close(0)


def answers_without_end(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.ROUTER)
    socket.bind(endpoint)
    client, empty, *body = socket.recv_multipart()
    reply = [client, empty, *handle(body)]
    while True:
        socket.send_multipart(reply)


def begins_anew_on_every_error(context: Context, endpoint: str, handle: Handle) -> None:
    own: Context = zmq.Context()
    while True:
        try:
            with own.socket(zmq.REP) as socket:
                socket.bind(endpoint)
                while True:
                    socket.send_multipart(handle(socket.recv_multipart()))
        except zmq.ZMQError:
            continue


def opens_in_a_bare_thread(context: Context, endpoint: str, handle: Handle) -> None:
    opened = threading.Event()

    def opens() -> None:
        with context.socket(zmq.PAIR):
            opened.set()

    _thread.start_new_thread(opens, ())
    opened.wait()
    rep_server(context, endpoint, handle)


class TestBadPrograms:
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_thread_of_its_own_that_raises_is_a_finding_in_every_world(self) -> None:
        for world in WORLDS:
            report = reqrep.run(scenario(server=raises_in_a_thread_of_its_own), world)
            (broken,) = report.of("broken")
            assert broken.property == "robustness", world
            assert "server-0 raised ValueError: beside the loop" in broken.reason

    def test_a_program_that_returns_in_mid_run_is_not_known_to_be_robust(self) -> None:
        report = run(scenario(server=stops_at_the_third, requests=4))
        (unknown,) = report.of("unknown")
        assert "server-0 returned before it was told to" in unknown.reason

    def test_a_proxy_that_fails_is_a_finding(self) -> None:
        broker = reqrep.pattern("broker").with_roles(
            broker=proxies_to_who_may_have_gone, client=Impatient
        )
        slow = Workload(4, service=(reqrep.Constant(0.15),), timeout_s=1)
        report = run(Scenario(broker, Fleet(2, 1), slow), transport="tcp")
        broken = {verdict.property: verdict.reason for verdict in report.of("broken")}
        assert "broker-0 raised zmq.error.ZMQError: Host unreachable" in broken["robustness"]

    def test_a_client_may_open_a_socket_for_each_request(self) -> None:
        client = reqrep.pattern("dealer-router").with_roles(client=AsksAnew)
        for arrival in ClosedLoop(window=2), OpenLoop(100):
            workload = Workload(6, arrival, timeout_s=2)
            report = run(Scenario(client, Fleet(1, 1), workload), transport="tcp")
            assert len(report.history.of("ok")) == 6, str(report)

    def test_a_socket_of_a_thread_that_python_did_not_begin_ends_no_run(self) -> None:
        report = run(scenario(server=opens_in_a_bare_thread))
        assert len(report.history.of("ok")) == 4
        assert not report.of("broken"), str(report)

    def test_roles_that_wait_for_each_other_to_bind_are_refused(self) -> None:
        crossed = dataclasses.replace(
            reqrep.pattern("broker"),
            links=(
                reqrep.Link("frontend", "broker", ("client", "worker")),
                reqrep.Link("backend", "worker", ("broker",)),
            ),
        )
        with pytest.raises(MisuseError, match="nobody has bound the link 'backend' when broker"):
            run(crossed)

    def test_a_node_that_raises_at_start_is_named_with_its_traceback(self) -> None:
        with pytest.raises(NodeFailed) as caught:
            run(scenario(server=raises_at_start))
        assert caught.value.node == "server-0"
        assert "RuntimeError: no configuration" in str(caught.value)
        assert "raises_at_start" in str(caught.value)

    def test_the_history_of_a_node_that_raised_at_start_is_kept(self, tmp_path: Path) -> None:
        with pytest.raises(NodeFailed):
            run(scenario(server=raises_at_start), history=tmp_path / "history")
        kept = History.load(tmp_path / "history")
        assert [event.kind for event in kept.of("start", "crash", node="server-0")] == [
            "start",
            "crash",
        ]

    def test_a_node_that_raises_in_mid_run_is_a_finding_and_the_history_goes_on(self) -> None:
        report = run(scenario(server=raises_in_mid_run))
        verdicts = {verdict.property: verdict for verdict in report.verdicts}
        assert verdicts["robustness"].outcome == "broken"
        assert "server-0 raised RuntimeError: enough" in verdicts["robustness"].reason
        assert report.statistics.ok == 2
        assert verdicts["progress"].outcome == "broken"
        assert any("enough" in event.text for event in verdicts["progress"].witness)

    def test_a_node_that_does_not_bind_is_named_with_its_endpoint_and_where_it_stands(
        self,
    ) -> None:
        world = ThreadsWorld(
            scenario(server=binds_elsewhere), "inproc", Recorder(), start_timeout_s=0.2
        )
        with pytest.raises(NodeFailed) as caught:
            world.run()
        assert "did not bind 'inproc://service.server-0'" in str(caught.value)
        assert "recv_multipart" in str(caught.value)

    def test_a_node_that_returns_before_it_did_its_part_is_named(self) -> None:
        with pytest.raises(NodeFailed, match="server-0 returned before it had bound"):
            run(scenario(server=returns_at_once))

    def test_an_endpoint_in_use_is_named(self) -> None:
        with zmq.Context() as context, context.socket(zmq.REP) as taken:
            port = taken.bind_to_random_port("tcp://127.0.0.1")

            def binds_what_is_taken(ctx: Context, endpoint: str, handle: Handle) -> None:
                ctx.socket(zmq.REP).bind(f"tcp://127.0.0.1:{port}")

            with pytest.raises(NodeFailed) as caught:
                run(scenario(server=binds_what_is_taken), transport="tcp")
        assert "Address already in use" in str(caught.value)
        assert f"tcp://127.0.0.1:{port}" in str(caught.value)
        assert "bind the address that the program is given" in str(caught.value)

    def test_a_client_that_raises_fails_the_op_that_it_did_not_send(self) -> None:
        report = run(scenario(client=TakesWhatComes))
        outcomes = [op.outcome for op in report.history.ops.values()]
        assert outcomes == ["ok", "fail", "ok", "ok"]
        assert "KeyError" in report.history.of("fail")[0].text

    def test_a_client_that_gives_up_ends_its_op_as_info(self) -> None:
        report = run(scenario(client=GivesUp))
        assert {op.outcome for op in report.history.ops.values()} == {"info"}
        assert report.exit_status == 1

    def test_a_call_that_never_returns_is_ended_as_info_after_the_timeout(self) -> None:
        begun = time.monotonic()
        report = run(scenario(client=ConnectsNowhere, timeout_s=0.2))
        assert time.monotonic() - begun < 5
        assert report.statistics.info == 1
        (verdict,) = (v for v in report.verdicts if v.property == "progress")
        assert "c0.0 was not answered" in verdict.reason

    @pytest.mark.parametrize("world", WORLDS)
    def test_a_client_that_does_not_read_what_has_come_is_told_so(self, world: str) -> None:
        with pytest.raises(MisuseError, match=r"recv\(\) of the client IgnoresWhatHasCome was"):
            reqrep.run(scenario(client=IgnoresWhatHasCome), world)

    def test_a_node_that_never_returns_is_a_finding_with_where_it_stands(self) -> None:
        stubborn_ends.clear()
        recorder = Recorder()
        try:
            ThreadsWorld(scenario(server=stubborn), "inproc", recorder, stop_timeout_s=0.2).run()
        finally:
            stubborn_ends.set()
        (stuck,) = recorder.history({}).of("stuck")
        assert stuck.node == "server-0"
        assert "stubborn_ends.wait" in stuck.text
        _wait_for_threads()

    def test_a_loop_that_swallows_every_error_still_ends(self) -> None:
        report = run(scenario(server=swallows_everything))
        assert report.holds, str(report)

    def test_a_loop_that_begins_anew_in_a_context_of_its_own_still_ends(self, world: str) -> None:
        report = reqrep.run(scenario(server=begins_anew_on_every_error), world)
        assert report.holds, str(report)

    def test_a_flood_of_replies_ends_no_run_and_is_a_finding(self) -> None:
        pattern = reqrep.pattern("dealer-router").with_roles(server=answers_without_end)
        flooded = Scenario(pattern, Fleet(1, 1), Workload(4, timeout_s=0.2))
        begun_s = time.monotonic()
        report = run(flooded)
        assert time.monotonic() - begun_s < 30
        assert report.of("broken"), str(report)

    def test_a_node_that_no_thread_can_be_started_for_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = _thread.start_new_thread

        def refuse(live: Any, arguments: tuple[()]) -> int:
            if live.__self__.name == "reqrep-client-0":
                raise RuntimeError("can't start new thread")
            return start(live, arguments)

        monkeypatch.setattr(threading, "_start_new_thread", refuse)
        with pytest.raises(NodeFailed, match="client-0 has no thread to live in: can't start"):
            run(scenario())

    def test_a_message_that_was_unsent_when_the_run_ended_does_not_linger(self) -> None:
        plan = scenario(2, 0.5, server=raises_at_the_first_request, client=AsksADeadServer)
        report = run(plan, transport="tcp")
        assert report.statistics.info == 2
        assert report.history.of("left", "stuck") == []

    def test_a_message_left_to_linger_for_ever_is_a_finding(self, tmp_path: Path) -> None:
        nobody = f"ipc://{tmp_path}/nobody"

        def lingers(context: Context, endpoint: str, handle: Handle) -> None:
            ghost = context.socket(zmq.DEALER)
            ghost.connect(nobody)
            ghost.send(b"to nobody")
            ghost.close()
            rep_server(context, endpoint, handle)

        recorder = Recorder()
        ThreadsWorld(scenario(server=lingers), "tcp", recorder, stop_timeout_s=0.2).run()
        (left,) = recorder.history({}).of("left")
        assert "LINGER -1" in left.text
        # Take the message, so that this test leaves nothing behind either.
        with zmq.Context() as context, context.socket(zmq.DEALER) as sink:
            sink.bind(nobody)
            _wait_for_threads()


def _wait_for_threads() -> None:
    """Wait until the threads of a run that was given up have ended."""
    deadline = time.monotonic() + 20
    for thread in threading.enumerate():
        if thread.name.startswith("reqrep-"):
            thread.join(max(0, deadline - time.monotonic()))
            assert not thread.is_alive(), thread.name


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"scenario": "req-rap"}, "did you mean req-rep"),
            ({"world": "thread"}, "did you mean threads"),
            ({"transport": "udp"}, "the transport is 'udp'"),
            ({"history": "/nowhere/history"}, "cannot be written"),
        ],
    )
    def test_what_cannot_be_run_is_refused_before_anything_starts(
        self, arguments: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(MisuseError) as caught:
            run(**{"scenario": "req-rep", **arguments})
        assert says in str(caught.value)

    def test_where_nothing_was_judged_nothing_holds(self) -> None:
        for promises in (), (reqrep.Promise("ownership"),), (reqrep.Promise("recovery"),):
            report = run(dataclasses.replace(pattern(), promises=promises))
            assert not report.holds
            assert report.exit_status == EXIT_UNKNOWN

    def test_a_promise_that_nobody_can_judge_is_refused(self) -> None:
        promising = dataclasses.replace(
            pattern(), promises=(*pattern().promises, reqrep.Promise("punctuality"))
        )
        with pytest.raises(MisuseError, match="no property 'punctuality'"):
            run(promising)


class TestInterruption:
    def test_ctrl_c_closes_everything_and_keeps_the_history(self, tmp_path: Path) -> None:
        before = sorted(thread.name for thread in threading.enumerate())
        interrupted = False

        def interrupt(drivers: list[Any]) -> None:
            nonlocal interrupted
            if not interrupted and sum(driver.answered for driver in drivers) > 3:
                interrupted = True
                _thread.interrupt_main()

        slow = Workload(requests=1000, service=(reqrep.Constant(0.01),))
        with pytest.raises(KeyboardInterrupt):
            run(
                Scenario(pattern(), Fleet(2, 1), slow),
                transport="ipc",
                progress=interrupt,
                history=tmp_path / "history",
            )
        assert sorted(thread.name for thread in threading.enumerate()) == before
        kept = History.load(tmp_path / "history")
        assert 3 < len(kept.of("ok")) < 1000

    def test_ctrl_c_waits_for_no_proxy_that_always_has_something_to_do(self) -> None:
        def interrupt(drivers: list[Any]) -> None:
            if sum(driver.answered for driver in drivers) > 10:
                _thread.interrupt_main()

        busy = Scenario(reqrep.pattern("broker-proxy"), Fleet(4, 4), Workload(1_000_000))
        world = ThreadsWorld(busy, "inproc", Recorder(), interrupt, stop_timeout_s=60)
        begun_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            world.run()
        assert time.monotonic() - begun_s < 30  # Its clients go on to ask until they are stopped.


class TestDriving:
    """What the driver makes of a workload, on real sockets."""

    def test_an_open_loop_counts_latency_from_the_planned_time(self) -> None:
        # Each request takes 20 ms and one is due every 10: the last waits for all before it.
        workload = Workload(
            requests=20, arrival=OpenLoop(rate_per_s=100), service=(reqrep.Constant(0.02),)
        )
        report = run(Scenario(pattern(), Fleet(1, 1), workload))
        latencies = [op.latency_ns or 0 for op in report.history.ops.values()]
        assert report.holds, str(report)
        assert latencies[-1] > 150_000_000
        planned = [op.invoke.number for op in report.history.ops.values()]
        gaps = {b - a for a, b in pairwise(planned)}
        assert gaps == {10_000_000}

    def test_think_time_keeps_a_client_from_asking(self) -> None:
        workload = Workload(requests=5, arrival=ClosedLoop(think_time_s=0.03))
        report = run(Scenario(pattern(), Fleet(1, 1), workload))
        asked = [op.invoke.time_ns for op in report.history.ops.values()]
        answered = [op.outcomes[0].time_ns for op in report.history.ops.values()]
        pauses = [b - a for a, b in zip(answered, asked[1:], strict=False)]
        assert min(pauses) >= 30_000_000

    def test_a_window_is_kept_full_and_never_passed(self) -> None:
        workload = Workload(requests=60, arrival=ClosedLoop(window=6))
        report = run(Scenario(reqrep.pattern("dealer-router"), Fleet(2), workload))
        still_open: dict[str, int] = {}
        widest: dict[str, int] = {}
        for event in report.history.of("invoke", "ok"):
            step = 1 if event.kind == "invoke" else -1
            still_open[event.node] = still_open.get(event.node, 0) + step
            widest[event.node] = max(widest.get(event.node, 0), still_open[event.node])
        assert widest == {"client-0": 6, "client-1": 6}

    def test_a_burst_is_asked_at_once(self) -> None:
        workload = Workload(requests=20, arrival=Bursts(size=5, pause_s=0.1))
        report = run(Scenario(reqrep.pattern("dealer-router"), Fleet(1), workload))
        planned = sorted({op.invoke.number for op in report.history.ops.values()})
        assert len(planned) == 4
        assert report.holds, str(report)

    def test_a_user_directory_goes_through_a_pattern(self) -> None:
        workload = Workload(requests=10, bodies=reqrep.UserDirectory())
        report = run(Scenario(reqrep.pattern("broker"), workload=workload))
        assert report.holds, str(report)
        assert report.history.of("ok")[0].frames[0].partition(b" ")[2].startswith(b"META:userid=")
