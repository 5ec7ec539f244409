"""The worlds of the spec tests: the simulation and libzmq, behind one small face.

A test has a `world` and makes sockets of it. All runs in one task or thread, so nothing
blocks without a limit: a receive waits `LIMIT_MS` and then fails with EAGAIN.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import zmq

from reqrep.harness.simulation import SimulatedError, Simulation, constants as c, poll, proxy

from .quiet import LibzmqThreads

LIMIT_MS = 10_000
SETTLE_MS = 40

_numbers = count(1)


class SpecSocket:
    """What a test does with a socket, whoever made it."""

    world: World

    def send(self, *frames: bytes, flags: int = 0) -> None:
        raise NotImplementedError

    def send_part(self, frame: bytes, flags: int = c.SNDMORE) -> None:
        raise NotImplementedError

    def recv(self, flags: int = 0) -> list[bytes]:
        raise NotImplementedError

    def recv_part(self, flags: int = 0) -> bytes:
        raise NotImplementedError

    def set(self, option: int, value: int | bytes) -> None:
        raise NotImplementedError

    def get(self, option: int) -> Any:
        raise NotImplementedError

    def bind(self, endpoint: str) -> str:
        raise NotImplementedError

    def connect(self, endpoint: str) -> None:
        raise NotImplementedError

    def unbind(self, endpoint: str) -> None:
        raise NotImplementedError

    def disconnect(self, endpoint: str) -> None:
        raise NotImplementedError

    def monitor(self, endpoint: str, events: int = c.EVENT_ALL) -> None:
        raise NotImplementedError

    def close(self, linger_ms: int | None = None) -> None:
        raise NotImplementedError

    # --- made of these ----------------------------------------------------------

    def send_error(self, *frames: bytes, flags: int = c.DONTWAIT) -> int:
        """The error of a send; 0 if it succeeded."""
        return error_of(lambda: self.send(*frames, flags=flags))

    def recv_error(self, flags: int = c.DONTWAIT) -> int:
        """The error of a receive; 0 if it succeeded."""
        return error_of(lambda: self.recv(flags))

    def nothing(self) -> bool:
        """Whether nothing arrives, after a while in which it could have."""
        self.world.settle()
        return self.recv_error() == c.EAGAIN

    def events(self) -> int:
        """POLLIN and POLLOUT, as EVENTS says them."""
        return int(self.get(c.EVENTS))

    def is_readable(self, wait_ms: int = LIMIT_MS) -> bool:
        """Whether POLLIN comes."""
        return bool(self.world.poll([(self, c.POLLIN)], wait_ms)[0])

    def is_writable(self, wait_ms: int = LIMIT_MS) -> bool:
        """Whether POLLOUT comes."""
        return bool(self.world.poll([(self, c.POLLOUT)], wait_ms)[0])

    def send_while_possible(self, body: bytes, limit: int = 20_000) -> int:
        """Send until it would block; how many were taken."""
        for number in range(limit):
            if self.send_error(body):
                return number
        return limit

    def recv_all(self) -> list[list[bytes]]:
        """What is there and what comes while nothing pauses for long."""
        found = []
        while self.is_readable(SETTLE_MS * 3):
            try:
                found.append(self.recv(c.DONTWAIT))
            except (SimulatedError, zmq.ZMQError):
                break
        return found


def error_of(call: Callable[..., object], *arguments: Any) -> int:
    """The error number of a call; 0 if it succeeded."""
    try:
        call(*arguments)
    except (SimulatedError, zmq.ZMQError) as error:
        return int(error.errno or 0)
    return 0


def binds(socket: SpecSocket, endpoint: str) -> bool:
    """Try to bind an endpoint that its last owner may not have left yet."""
    return error_of(lambda: socket.bind(endpoint)) == 0


class World:
    """Where a test runs."""

    transport = ""
    is_simulated = False

    def raw(self, socket_type: int) -> SpecSocket:
        """A socket with nothing set."""
        raise NotImplementedError

    def socket(self, socket_type: int, **options: int | bytes) -> SpecSocket:
        """A socket that waits for nothing for ever; options by their names in small letters."""
        socket = self.raw(socket_type)
        defaults: dict[str, int | bytes] = {"rcvtimeo": LIMIT_MS, "sndtimeo": LIMIT_MS, "linger": 0}
        for name, value in (defaults | options).items():
            socket.set(getattr(c, name.upper()), value)
        return socket

    def poll(self, items: Sequence[tuple[SpecSocket, int]], timeout_ms: int) -> list[int]:
        raise NotImplementedError

    def sleep_ms(self, duration_ms: int) -> None:
        raise NotImplementedError

    def now_ms(self) -> float:
        raise NotImplementedError

    def run_beside(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Run something in a thread or task of its own; call the result to wait for its result."""
        raise NotImplementedError

    def term(self) -> None:
        raise NotImplementedError

    def proxy(self, *sockets: SpecSocket) -> None:
        """Forward between two sockets; a third captures."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close everything."""

    # --- made of these ----------------------------------------------------------

    @property
    def is_network(self) -> bool:
        return self.transport != "inproc"

    def settle(self) -> None:
        """Let happen what is under way."""
        self.sleep_ms(SETTLE_MS)

    def eventually(self, holds: Callable[[], bool], limit_ms: int = LIMIT_MS) -> bool:
        """Whether something comes to hold."""
        until = self.now_ms() + limit_ms
        while not holds():
            if self.now_ms() > until:
                return False
            self.pause()
        return True

    def pause(self) -> None:
        """A moment between two looks."""
        self.sleep_ms(2)

    def endpoint(self) -> str:
        """Where to bind."""
        raise NotImplementedError

    def fixed_endpoint(self) -> str:
        """An endpoint that can be connected to before it is bound."""
        raise NotImplementedError

    def bound(self, socket_type: int, **options: int | bytes) -> tuple[SpecSocket, str]:
        """A bound socket and where to reach it."""
        socket = self.socket(socket_type, **options)
        return socket, socket.bind(self.endpoint())

    def pair(
        self,
        bound_type: int,
        connected_type: int,
        bound_options: dict[str, Any] | None = None,
        **options: int | bytes,
    ) -> tuple[SpecSocket, SpecSocket]:
        """A bound socket and one connected to it, after the handshake."""
        bound, endpoint = self.bound(bound_type, **(bound_options or {}))
        connected = self.socket(connected_type, **options)
        connected.connect(endpoint)
        self.settle()
        bound.events()
        return bound, connected


# --- libzmq -------------------------------------------------------------------


class RealSocket(SpecSocket):
    def __init__(self, world: RealWorld, socket: zmq.Socket[bytes]) -> None:
        self.world = world
        self.zmq = socket

    def send(self, *frames: bytes, flags: int = 0) -> None:
        self.zmq.send_multipart(frames, flags)

    def send_part(self, frame: bytes, flags: int = c.SNDMORE) -> None:
        self.zmq.send(frame, flags)

    def recv(self, flags: int = 0) -> list[bytes]:
        return self.zmq.recv_multipart(flags)

    def recv_part(self, flags: int = 0) -> bytes:
        return self.zmq.recv(flags)

    def set(self, option: int, value: int | bytes) -> None:
        self.zmq.setsockopt(option, value)

    def get(self, option: int) -> Any:
        return self.zmq.getsockopt(option)

    def bind(self, endpoint: str) -> str:
        self.zmq.bind(endpoint)
        return str(self.get(zmq.LAST_ENDPOINT).decode())

    def connect(self, endpoint: str) -> None:
        self.zmq.connect(endpoint)

    def unbind(self, endpoint: str) -> None:
        self.zmq.unbind(endpoint)

    def disconnect(self, endpoint: str) -> None:
        self.zmq.disconnect(endpoint)

    def monitor(self, endpoint: str, events: int = c.EVENT_ALL) -> None:
        self.zmq.monitor(endpoint, events)

    def close(self, linger_ms: int | None = None) -> None:
        self.zmq.close(linger_ms)


class RealWorld(World):
    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.context: zmq.Context[Any] = zmq.Context()
        self.sockets: list[RealSocket] = []
        self.beside: list[Any] = []
        self.threads = LibzmqThreads()
        self.folder = tempfile.mkdtemp(prefix="rr-") if transport == "ipc" else None

    def raw(self, socket_type: int) -> RealSocket:
        socket = RealSocket(self, self.context.socket(socket_type))
        self.sockets.append(socket)
        return socket

    def poll(self, items: Sequence[tuple[SpecSocket, int]], timeout_ms: int) -> list[int]:
        poller = zmq.Poller()
        for socket, flags in items:
            poller.register(socket.zmq, flags)  # type: ignore[attr-defined]
        found = dict(poller.poll(timeout_ms))
        return [int(found.get(socket.zmq, 0)) for socket, _ in items]  # type: ignore[attr-defined]

    def pause(self) -> None:
        time.sleep(0.002)

    def sleep_ms(self, duration_ms: int) -> None:
        # The sleep is for what timers do; that its threads are done is asked, not hoped for.
        time.sleep(duration_ms / 1000)
        assert self.threads.wait_quiet(LIMIT_MS), "libzmq's threads do not come to rest"

    def now_ms(self) -> float:
        return time.monotonic() * 1000

    def run_beside(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(1)
        future = executor.submit(function, *arguments)
        self.beside.append(future)
        executor.shutdown(wait=False)
        return lambda: future.result(10)

    def term(self) -> None:
        self.context.term()

    def proxy(self, *sockets: SpecSocket) -> None:
        zmq.proxy(*(socket.zmq for socket in sockets))  # type: ignore[attr-defined]

    def endpoint(self) -> str:
        return "tcp://127.0.0.1:*" if self.transport == "tcp" else self.fixed_endpoint()

    def fixed_endpoint(self) -> str:
        if self.transport == "tcp":
            import socket

            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        if self.folder is not None:
            return f"ipc://{self.folder}/{next(_numbers)}"
        return f"inproc://spec-{next(_numbers)}"

    def finish(self) -> None:
        import threading

        # A test may have left a call that waits in another thread: the end of the context ends
        # it, and only then may its sockets be closed from here. Else they are closed first:
        # libzmq may abort when a context ends that has full inproc pipes to unbound names.
        if not self.beside:
            for socket in self.sockets:
                socket.close(0)
        ending = threading.Thread(target=self.context.term, daemon=True)
        ending.start()
        for future in self.beside:
            future.exception(2)
        for socket in self.sockets:
            socket.close(0)
        ending.join(2)
        self.threads.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


# --- the simulation -----------------------------------------------------------


class SimulatedSocket(SpecSocket):
    def __init__(self, world: SimulatedWorld, socket: Any) -> None:
        self.world = world
        self.core = socket

    def send(self, *frames: bytes, flags: int = 0) -> None:
        self.core.send_message(list(frames), flags)

    def send_part(self, frame: bytes, flags: int = c.SNDMORE) -> None:
        self.core.send(frame, flags)

    def recv(self, flags: int = 0) -> list[bytes]:
        return self.core.recv_message(flags)  # type: ignore[no-any-return]

    def recv_part(self, flags: int = 0) -> bytes:
        return self.core.recv(flags)  # type: ignore[no-any-return]

    def set(self, option: int, value: int | bytes) -> None:
        self.core.set(option, value)

    def get(self, option: int) -> Any:
        return self.core.get(option)

    def bind(self, endpoint: str) -> str:
        self.core.bind(endpoint)
        return str(self.core.get(c.LAST_ENDPOINT).decode())

    def connect(self, endpoint: str) -> None:
        self.core.connect(endpoint)

    def unbind(self, endpoint: str) -> None:
        self.core.unbind(endpoint)

    def disconnect(self, endpoint: str) -> None:
        self.core.disconnect(endpoint)

    def monitor(self, endpoint: str, events: int = c.EVENT_ALL) -> None:
        self.core.monitor(endpoint, events)

    def close(self, linger_ms: int | None = None) -> None:
        self.core.close(linger_ms)


class SimulatedWorld(World):
    is_simulated = True

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.drops: list[str] = []
        self.simulation = Simulation(observe=self._observe)
        self.scheduler = self.simulation.scheduler
        self.context = self.simulation.context("node")

    def _observe(self, kind: str, socket: Any, fields: dict[str, Any]) -> None:
        if kind == "dropped":
            self.drops.append(fields["reason"])

    def run(self, test: Callable[[], object]) -> None:
        """Run a test as a task; its failure is raised here."""
        task = self.scheduler.spawn("test", "node", test)

        def body() -> None:
            while not task.is_done and self.scheduler.now_ns < 60 * c.NS_PER_S:
                self.scheduler.sleep(c.NS_PER_MS)
            self.scheduler.stop()

        self.scheduler.spawn("watch", "node", body)
        outcome = self.simulation.run()
        if task.error is not None:
            raise task.error
        assert task.is_done, str(outcome)

    def raw(self, socket_type: int) -> SimulatedSocket:
        return SimulatedSocket(self, self.context.socket(socket_type))

    def poll(self, items: Sequence[tuple[SpecSocket, int]], timeout_ms: int) -> list[int]:
        cores = [(socket.core, flags) for socket, flags in items]  # type: ignore[attr-defined]
        return poll(self.scheduler, cores, timeout_ms)

    def sleep_ms(self, duration_ms: int) -> None:
        self.scheduler.sleep(duration_ms * c.NS_PER_MS)

    def now_ms(self) -> float:
        return self.scheduler.now_ns / c.NS_PER_MS

    def run_beside(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        task = self.scheduler.spawn("beside", "node", function, *arguments)

        def result() -> Any:
            while not task.is_done:
                self.scheduler.sleep(c.NS_PER_MS)
            if task.error is not None:
                raise task.error
            return task.result

        return result

    def term(self) -> None:
        self.context.term()

    def proxy(self, *sockets: SpecSocket) -> None:
        proxy(self.scheduler, *(socket.core for socket in sockets))  # type: ignore[attr-defined]

    def endpoint(self) -> str:
        return "tcp://127.0.0.1:*" if self.transport == "tcp" else self.fixed_endpoint()

    def fixed_endpoint(self) -> str:
        number = next(_numbers)
        return f"tcp://127.0.0.1:{9000 + number}" if self.is_network else f"inproc://spec-{number}"


def make_world(name: str) -> World:
    """A fresh world by its name."""
    if name.startswith("simulated-"):
        return SimulatedWorld(name.removeprefix("simulated-"))
    return RealWorld(name)
