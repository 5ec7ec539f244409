"""Programs for processes: each stands at the top of a module, where another process finds it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import zmq

from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.load_balancing import req_worker
from reqrep.patterns.req_rep import ReqClient, rep_server


def _serve_two(context: Context, endpoint: str, handle: Handle) -> None:
    """Answers two requests, and receives the third."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    for _ in range(2):
        socket.send_multipart(handle(socket.recv_multipart()))
    socket.recv_multipart()


def tells_its_process(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        body = handle(socket.recv_multipart())
        socket.send_multipart([*body, b"%d %d" % (os.getpid(), os.getppid())])


def opens_many_sockets(context: Context, endpoint: str, handle: Handle) -> None:
    kept = [context.socket(zmq.DEALER) for _ in range(400)]
    rep_server(context, endpoint, handle)
    del kept


def raises_at_start(context: Context, endpoint: str, handle: Handle) -> None:
    sys.stdout.write("reading the configuration\n")
    raise RuntimeError("no configuration")


def dies_at_start(context: Context, endpoint: str, handle: Handle) -> None:
    sys.stderr.write("leaving\n")
    os._exit(3)


def raises_in_mid_run(context: Context, endpoint: str, handle: Handle) -> None:
    _serve_two(context, endpoint, handle)
    raise RuntimeError("enough")


def exits_in_mid_run(context: Context, endpoint: str, handle: Handle) -> None:
    _serve_two(context, endpoint, handle)
    os._exit(0)


def dies_of_a_signal(context: Context, endpoint: str, handle: Handle) -> None:
    _serve_two(context, endpoint, handle)
    sys.stdout.write("it hurts\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def ignores_signals(context: Context, endpoint: str, handle: Handle) -> None:
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    rep_server(context, endpoint, handle)


def never_returns(context: Context, endpoint: str, handle: Handle) -> None:
    try:
        rep_server(context, endpoint, handle)
    except zmq.ContextTerminated:
        time.sleep(60)


def never_lets_go(context: Context, endpoint: str, handle: Handle) -> None:
    """Sleeps in C with the interpreter in its hand, so that no thread of its process can run."""
    try:
        rep_server(context, endpoint, handle)
    except zmq.ContextTerminated:
        ctypes.PyDLL(None).sleep(60)


def keeps_the_interpreter(context: Context, endpoint: str, handle: Handle, name: str) -> None:
    """Does so after two requests, in one node of two; the other is for a fault to stall."""
    if name == "server-0":
        _serve_two(context, endpoint, handle)
        ctypes.PyDLL(None).sleep(1000)
    rep_server(context, endpoint, handle)


def prints_a_lot(context: Context, endpoint: str, handle: Handle) -> None:
    for _ in range(20_000):
        sys.stdout.write("blah " * 20 + "\n")
    rep_server(context, endpoint, handle)


def starts_a_process_of_its_own(context: Context, endpoint: str, handle: Handle) -> None:
    subprocess.Popen(["sleep", "1000"])
    rep_server(context, endpoint, handle)


def waits_for_ever(context: Context, endpoint: str, handle: Handle) -> None:
    while True:
        time.sleep(60)


def comes_late(context: Context, backend: str, handle: Handle) -> None:
    """A worker that others wait for, longer than a client may be silent in the test."""
    time.sleep(4)
    req_worker(context, backend, handle)


class NeverLetsGo(ReqClient):
    """Computes in C with the interpreter in its hand, from its third request on."""

    asked = 0

    def call(self, body: Body) -> Body:
        self.asked += 1
        if self.asked > 2:
            ctypes.PyDLL(None).sleep(1000)
        return super().call(body)


class Giant(ReqClient):
    """Asks with what no pipe between two processes holds at once."""

    def call(self, body: Body) -> Body:
        self.socket.send_multipart([*body, *[bytes(4000)] * 500])
        return self.socket.recv_multipart()
