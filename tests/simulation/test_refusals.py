"""What the simulated world does not have is refused, by the name of the call and of the node."""

from __future__ import annotations

import _thread
import asyncio
import importlib
import multiprocessing
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio
from zmq.devices import monitored_queue

import reqrep
from reqrep import Fleet, MisuseError, Scenario, Workload
from reqrep.harness.simulated import SimulatedWorld
from reqrep.patterns.common import Body, Context
from reqrep.patterns.req_rep import ReqClient

Attempt = Callable[[Context], object]


class GreenSocket(zmq.Socket[bytes]):
    """As `zmq.green` has it, which cannot be imported without gevent."""


GreenSocket.__module__ = "zmq.green.core"


def run_in_client(attempt: Attempt) -> SimulatedWorld:
    class Client(ReqClient):
        def __init__(self, context: Context, endpoints: list[str]) -> None:
            super().__init__(context, endpoints)
            self.context = context

        def call(self, body: Body) -> Body:
            attempt(self.context)
            return super().call(body)

    pattern = reqrep.pattern("req-rep").with_roles(client=Client)
    world = SimulatedWorld(Scenario(pattern, Fleet(1, 1), Workload(2)), "tcp")
    world.run()
    return world


def in_loop(make: Callable[[], Any]) -> Attempt:
    async def attempt() -> None:
        found = make()
        if asyncio.iscoroutine(found):
            await found

    return lambda context: asyncio.run(attempt())


def poll_stdin(context: Context) -> None:
    poller = zmq.Poller()
    poller.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, zmq.POLLIN)
    poller.poll(10)


def wait_for_a_descriptor() -> None:
    asyncio.get_running_loop().add_reader(0, print)


def use_an_executor() -> Any:
    return asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), print)


def handle_a_signal() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)


def setting(kind: int, name: str, value: Any) -> Attempt:
    return lambda context: context.socket(kind).setsockopt(getattr(zmq, name), value)


def reaching(call: str, endpoint: str) -> Attempt:
    return lambda context: getattr(context.socket(zmq.DEALER), call)(endpoint)


def opening(name: str) -> Attempt:
    return lambda context: context.socket(getattr(zmq, name))


def select_descriptor(context: Context) -> None:
    with context.socket(zmq.REP) as socket:
        select.select([int(socket.get(zmq.FD))], [], [], 0)


def steer_a_proxy(context: Context) -> None:
    sockets = [context.socket(zmq.PAIR) for _ in range(3)]
    zmq.proxy_steerable(sockets[0], sockets[1], None, sockets[2])


def monitor_a_queue(context: Context) -> None:
    sockets = [context.socket(kind) for kind in (zmq.ROUTER, zmq.DEALER, zmq.PUB)]
    monitored_queue(*sockets)


REFUSED: dict[str, tuple[Attempt, str]] = {
    "socket": (lambda context: socket.socket(), "socket.socket()"),
    "subprocess": (lambda context: subprocess.run(["true"]), "subprocess.Popen()"),
    "select": (lambda context: select.select([0], [], [], 0), "select.select()"),
    "poll": (lambda context: select.poll(), "select.poll()"),
    "epoll": (lambda context: select.epoll(), "select.epoll"),
    "selector": (lambda context: selectors.SelectSelector().select(0), "SelectSelector.select()"),
    "PollSelector": (lambda context: selectors.PollSelector().select(0), "PollSelector.select()"),
    "descriptor in a selector": (
        lambda context: selectors.DefaultSelector().register(0, selectors.EVENT_READ),
        "waiting for the descriptor 0",
    ),
    "executor": (lambda context: ThreadPoolExecutor(1).submit(print), "ThreadPoolExecutor"),
    "fork": (lambda context: os.fork(), "os.fork()"),
    "multiprocessing": (
        lambda context: multiprocessing.get_context("spawn").Process(target=print).start(),
        "multiprocessing",
    ),
    "ProcessPoolExecutor": (
        lambda context: ProcessPoolExecutor(1).submit(print),
        "multiprocessing",
    ),
    "spawn": (lambda context: os.posix_spawn("/bin/true", ["true"], {}), "os.posix_spawn()"),
    "system": (lambda context: os.system("true"), "os.system()"),
    "real thread": (
        lambda context: _thread.start_new_thread(print, ()),
        "_thread.start_new_thread()",
    ),
    "FD in select": (select_descriptor, "select.select()"),
    "green": (lambda context: GreenSocket(context, zmq.REQ), "zmq.green"),
    "curve": (
        lambda context: context.socket(zmq.REQ).setsockopt(zmq.CURVE_SERVERKEY, b"k" * 40),
        "set(zmq.CURVE_SERVERKEY, ...)",
    ),
    "curve attribute": (
        lambda context: setattr(context.socket(zmq.REP), "curve_server", True),
        "set(zmq.CURVE_SERVER, ...)",
    ),
    "conflate": (
        lambda context: context.socket(zmq.PULL).setsockopt(zmq.CONFLATE, 1),
        "set(zmq.CONFLATE, ...)",
    ),
    **{
        name: (setting(kind, name, value), f"set(zmq.{name}, ...)")
        for name, kind, value in (
            ("PLAIN_USERNAME", zmq.REQ, b"me"),
            ("PLAIN_SERVER", zmq.REP, 1),
            ("GSSAPI_PRINCIPAL", zmq.REQ, b"me"),
            ("GSSAPI_SERVER", zmq.REP, 1),
            ("ZAP_DOMAIN", zmq.REP, b"global"),
            ("SOCKS_PROXY", zmq.REQ, b"127.0.0.1:1080"),
            ("ROUTER_RAW", zmq.ROUTER, 1),
            ("XPUB_MANUAL", zmq.XPUB, 1),
            ("USE_FD", zmq.REP, 3),
        )
    },
    **{
        f"{call} {endpoint}": (reaching(call, endpoint), f"{call}({endpoint!r})")
        for call, endpoint in (
            ("connect", "udp://127.0.0.1:5555"),
            ("bind", "udp://*:5555"),
            ("connect", "pgm://eth0;239.0.0.1:5555"),
            ("bind", "epgm://eth0;239.0.0.1:5555"),
            ("connect", "norm://127.0.0.1:5555"),
            ("connect", "tipc://{5560,0}"),
            ("connect", "vmci://1:5555"),
            ("bind", "ws://127.0.0.1:5555"),
        )
    },
    "kill": (lambda context: os.kill(os.getpid(), signal.SIGTERM), "os.kill()"),
    "_exit": (lambda context: os._exit(1), "os._exit()"),
    "pause": (lambda context: signal.pause(), "signal.pause()"),
    "alarm": (lambda context: signal.alarm(1), "signal.alarm()"),
    "input": (lambda context: input(), "builtins.input()"),
    "steerable proxy": (steer_a_proxy, "zmq.proxy_steerable()"),
    "monitored queue": (monitor_a_queue, "zmq.devices.monitored_queue()"),
    "stream": (lambda context: context.socket(zmq.STREAM), "socket(zmq.STREAM)"),
    **{
        name.lower(): (opening(name), f"socket(zmq.{name})")
        for name in ("SERVER", "CLIENT", "GATHER", "SCATTER", "PEER", "CHANNEL")
    },
    "dish": (lambda context: context.socket(zmq.DISH), "socket(zmq.DISH)"),
    "radio": (lambda context: context.socket(zmq.RADIO), "socket(zmq.RADIO)"),
    "descriptor in a Poller": (poll_stdin, "poll() for 0"),
    "descriptor in a loop": (in_loop(wait_for_a_descriptor), "waiting for the descriptor 0"),
    "executor in a loop": (in_loop(use_an_executor), "ThreadPoolExecutor"),
    "signal in a loop": (in_loop(handle_a_signal), "loop.add_signal_handler()"),
    "connection in a loop": (
        in_loop(lambda: asyncio.open_connection("127.0.0.1", 1)),
        "socket.socket()",
    ),
    "name in a loop": (in_loop(lambda: asyncio.open_connection("host.test", 1)), "getaddrinfo()"),
    "process in a loop": (in_loop(lambda: asyncio.create_subprocess_exec("true")), "subprocess"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_simulated_is_refused_by_name(name: str) -> None:
    attempt, call = REFUSED[name]
    with pytest.raises(MisuseError) as refused:
        run_in_client(attempt)
    assert call in str(refused.value)
    assert str(refused.value).startswith("client-0 calls ")
    assert "world 'threads'" in str(refused.value)


@pytest.mark.parametrize("name", ["fork", "curve"])
def test_a_refusal_that_is_swallowed_in_a_thread_ends_the_run_all_the_same(name: str) -> None:
    def attempt(context: Context) -> None:
        def swallow() -> None:
            try:
                REFUSED[name][0](context)
            except Exception:
                pass

        thread = threading.Thread(target=swallow)
        thread.start()
        thread.join()

    with pytest.raises(MisuseError, match="client-0 calls"):
        run_in_client(attempt)


def test_uvloop_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module of its name and shape: it is no dependency of ours."""
    tmp_path.joinpath("uvloop.py").write_text(
        "import asyncio\n"
        "class EventLoopPolicy:\n"
        "    def _loop_factory(self): return asyncio.new_event_loop()\n"
        "def new_event_loop(): return asyncio.new_event_loop()\n"
        "def install(): pass\n"
        "def run(main, **kwargs): asyncio.run(main)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    uvloop: Any = importlib.import_module("uvloop")
    monkeypatch.setitem(sys.modules, "uvloop", uvloop)
    real = uvloop.run
    for attempt, call in (
        (lambda context: uvloop.run(None), "uvloop.run()"),
        (lambda context: uvloop.install(), "uvloop.install()"),
        (lambda context: uvloop.new_event_loop(), "uvloop.new_event_loop()"),
        (lambda context: uvloop.EventLoopPolicy()._loop_factory(), "uvloop.EventLoopPolicy"),
    ):
        with pytest.raises(MisuseError, match="use that of asyncio") as refused:
            run_in_client(attempt)
        assert call in str(refused.value)
    assert uvloop.run is real


def test_outside_of_a_node_nothing_is_refused() -> None:
    ran = threading.Event()
    _thread.start_new_thread(ran.set, ())
    assert ran.wait(10)
    socket.socket().close()
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(lambda: 1).result() == 1
    assert select.select([], [], [], 0) == ([], [], [])


# --- the socket itself -----------------------------------------------------------


def errno_of(call: Callable[[], object]) -> int | None:
    with pytest.raises(zmq.ZMQError) as refused:
        call()
    return refused.value.errno


def test_a_socket_after_its_close_says_so() -> None:
    def attempt(context: Context) -> None:
        used = context.socket(zmq.REQ)
        used.close()
        assert used.closed
        for call in (
            lambda: used.send(b""),
            lambda: used.recv(),
            lambda: used.bind("tcp://127.0.0.1:*"),
            lambda: used.get(zmq.TYPE),
        ):
            assert errno_of(call) == zmq.ENOTSOCK
        assert errno_of(lambda: used.poll(0)) == zmq.ENOTSUP

    world = run_in_client(attempt)
    assert not [str(event) for event in world.recorder.history({}) if event.kind == "fail"]


def test_a_context_that_was_ended_opens_no_socket() -> None:
    def attempt(context: Context) -> None:
        own: zmq.Context[Any] = zmq.Context()
        own.socket(zmq.REQ).close()
        own.term()
        assert own.closed
        assert errno_of(lambda: own.socket(zmq.REQ)) == zmq.ENOTSUP

    world = run_in_client(attempt)
    assert not [str(event) for event in world.recorder.history({}) if event.kind == "fail"]
