"""Programs that know nothing of a simulation, each written as its kind usually is."""

from __future__ import annotations

import asyncio
import os
import queue
import random
import secrets
import selectors
import threading
import uuid
from time import monotonic, perf_counter, sleep, time as wall_time
from typing import Any

import zmq
import zmq.asyncio
import zmq.devices
from zmq import Context as EarlyContext
from zmq.utils.monitor import recv_monitor_message

from reqrep.patterns.common import Body, Context, Handle
from reqrep.patterns.req_rep import ReqClient

# --- coroutines ----------------------------------------------------------------


def asyncio_server(context: Context, endpoint: str, handle: Handle) -> None:
    """One coroutine; the work is done in a thread, as blocking work should be."""

    async def serve() -> None:
        socket = zmq.asyncio.Context.instance().socket(zmq.REP)
        socket.bind(endpoint)
        while True:
            body = await asyncio.to_thread(handle, await socket.recv_multipart())
            await asyncio.sleep(0.001)
            await socket.send_multipart(body)

    asyncio.run(serve())


def concurrent_server(context: Context, endpoint: str, handle: Handle) -> None:
    """A ROUTER that answers each request by a task of its own."""

    async def serve() -> None:
        socket = zmq.asyncio.Context().socket(zmq.ROUTER)
        socket.bind(endpoint)
        tasks: set[asyncio.Task[None]] = set()

        async def answer(client: bytes, body: Body) -> None:
            await asyncio.sleep(0.003 - 0.001 * (len(tasks) % 3))
            await socket.send_multipart([client, b"", *handle(body)])

        while True:
            client, _, *body = await socket.recv_multipart()
            task = asyncio.create_task(answer(client, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    asyncio.run(serve())


class LoopForEachCallClient:
    """`asyncio.run` for each request, and so a loop, a context and a socket for each."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.endpoints = endpoints
        # The socket that the connections of the pattern are seen on.
        self.first: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        for endpoint in endpoints:
            self.first.connect(endpoint)

    def call(self, body: Body) -> Body:
        return asyncio.run(self.ask(body))

    async def ask(self, body: Body) -> Body:
        with zmq.asyncio.Context() as context, context.socket(zmq.REQ) as socket:
            for endpoint in self.endpoints:
                socket.connect(endpoint)
            await socket.send_multipart(body)
            return await asyncio.wait_for(socket.recv_multipart(), 5)

    def close(self) -> None:
        self.first.close()


class KeptLoopClient:
    """A loop and a socket that are kept; the reply is awaited with a poller."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self.connect(endpoints))

    async def connect(self, endpoints: list[str]) -> None:
        self.socket = zmq.asyncio.Context.instance().socket(zmq.REQ)
        self.socket.rcvtimeo = 5000
        for endpoint in endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body:
        return self.loop.run_until_complete(self.ask(body))

    async def ask(self, body: Body) -> Body:
        poller = zmq.asyncio.Poller()
        poller.register(self.socket, zmq.POLLIN)
        ticks = asyncio.create_task(self.tick())
        await self.socket.send_multipart(body)
        events, _ = await asyncio.gather(poller.poll(5000), asyncio.sleep(0.0001))
        assert dict(events) == {self.socket: zmq.POLLIN}
        ticks.cancel()
        return await self.socket.recv_multipart()

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0.0005)

    def close(self) -> None:
        self.socket.close()
        self.loop.close()


class ImpatientClient(ReqClient):
    """First waits in vain, in four ways, and notes how long it took by its own clock."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        super().__init__(context, endpoints)
        self.waited: list[str] = asyncio.run(self.wait_in_vain())

    async def wait_in_vain(self) -> list[str]:
        loop = asyncio.get_running_loop()
        socket = zmq.asyncio.Context.instance().socket(zmq.PULL)
        socket.bind("inproc://nobody")
        waited = []

        async def timed(what: str, awaitable: Any, expected: type[BaseException] | None) -> None:
            begun = loop.time()
            try:
                await awaitable
            except BaseException as error:
                if expected is None or not isinstance(error, expected):
                    raise
            waited.append(f"{what} {loop.time() - begun:.3f}")

        await timed("wait_for", asyncio.wait_for(socket.recv(), 0.25), TimeoutError)
        socket.rcvtimeo = 500
        await timed("rcvtimeo", socket.recv(), zmq.Again)
        await timed("poll", socket.poll(125), None)
        task = asyncio.ensure_future(socket.recv())
        loop.call_later(0.1, task.cancel)
        await timed("cancel", task, asyncio.CancelledError)
        socket.close()
        return waited

    def call(self, body: Body) -> Body:
        return super().call([*body, *(word.encode() for word in self.waited)])[: len(body)]


# --- threads -------------------------------------------------------------------


def _rep_thread(context: zmq.Context[Any], backend: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.connect(backend)
    try:
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))
    except zmq.ContextTerminated:
        pass
    finally:
        socket.close(linger=0)


def threaded_server(context: Context, endpoint: str, handle: Handle) -> None:
    """A ROUTER and a DEALER with a proxy between them, and five threads behind."""
    own = zmq.Context()
    frontend = own.socket(zmq.ROUTER)
    frontend.bind(endpoint)
    backend = own.socket(zmq.DEALER)
    backend.bind("inproc://workers")
    for _ in range(5):
        threading.Thread(target=_rep_thread, args=(own, "inproc://workers", handle)).start()
    zmq.proxy(frontend, backend)


class SocketForEachThreadClient:
    """`threading.local` holds a socket for each thread that asks; here each call is in a new one."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.context = context
        self.endpoints = endpoints
        self.local = self.make_local()
        self.first = self.socket()

    def make_local(self) -> threading.local:
        return threading.local()

    def socket(self) -> zmq.Socket[bytes]:
        if not hasattr(self.local, "socket"):
            self.local.socket = self.context.socket(zmq.REQ)
            for endpoint in self.endpoints:
                self.local.socket.connect(endpoint)
        found: zmq.Socket[bytes] = self.local.socket
        return found

    def call(self, body: Body) -> Body:
        replies: list[Body] = []
        thread = threading.Thread(target=self.ask, args=(body, replies))
        thread.start()
        thread.join()
        return replies[0]

    def ask(self, body: Body, replies: list[Body]) -> None:
        with self.socket() as socket:
            assert socket is not self.first
            socket.send_multipart(body)
            replies.append(socket.recv_multipart())

    def close(self) -> None:
        assert self.socket() is self.first
        self.first.close(0)


EARLY_LOCAL = threading.local()


class ModuleLocalClient(SocketForEachThreadClient):
    """The same, and all clients share a `threading.local` at the top of a module."""

    def make_local(self) -> threading.local:
        return EARLY_LOCAL


def device_broker(context: Context, frontend: str, backend: str) -> None:
    """`ThreadDevice`: it makes its sockets in a thread, of a context that it finds itself."""
    device = zmq.devices.ThreadDevice(zmq.QUEUE, zmq.ROUTER, zmq.DEALER)
    device.bind_in(frontend)
    device.bind_out(backend)
    device.start()
    while not device.done:
        device.join(0.05)


def worker_with_a_queue(context: Context, endpoint: str, handle: Handle) -> None:
    """A thread that works, and is fed through queues, with an event and a condition beside."""
    requests: queue.Queue[Body] = queue.Queue()
    replies: queue.SimpleQueue[Body] = queue.SimpleQueue()
    is_ready = threading.Event()
    answered = threading.Condition()
    count = 0

    def work() -> None:
        nonlocal count
        is_ready.set()
        while True:
            try:
                body = requests.get(timeout=0.01)
            except queue.Empty:
                continue
            replies.put(handle(body))
            with answered:
                count += 1
                answered.notify_all()

    threading.Thread(target=work, daemon=True).start()
    assert is_ready.wait(1)
    assert not threading.Event().wait(0.001)
    late: list[float] = []
    begun = monotonic()
    timer = threading.Timer(0.002, lambda: late.append(monotonic() - begun))
    timer.start()
    timer.join()
    assert 0.002 <= late[0] < 0.003, late
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    done = 0
    while True:
        requests.put(socket.recv_multipart())
        done += 1
        with answered:
            while count < done:
                assert answered.wait(timeout=5)
        socket.send_multipart(replies.get(timeout=1))


# --- the many faces of pyzmq -------------------------------------------------------


class LoudSocket(zmq.Socket[bytes]):
    """A user's own kind of socket, with an attribute and a method of its own."""

    frames_ever = 0

    def send_body(self, body: Body) -> None:
        self.frames_ever += len(body)
        for frame in body[:-1]:
            self.send(frame, zmq.SNDMORE)
        self.send(body[-1])


class LoudContext(zmq.Context[LoudSocket]):
    _socket_class = LoudSocket


class SubclassClient:
    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = LoudContext().socket(zmq.REQ)
        assert type(self.socket) is LoudSocket
        for endpoint in endpoints:
            self.socket.connect(endpoint)

    def call(self, body: Body) -> Body:
        self.socket.send_body(body)
        reply = [self.socket.recv()]
        while self.socket.rcvmore:
            reply.append(self.socket.recv())
        return reply

    def close(self) -> None:
        self.socket.close(0)


def early_context_server(context: Context, endpoint: str, handle: Handle) -> None:
    """A context of its own, by a name that was imported early, and a `with` for each."""
    with EarlyContext() as own, own.socket(zmq.REP) as socket, socket.bind(endpoint):
        while True:
            socket.send_multipart(handle(socket.recv_multipart()))


def polling_server(context: Context, endpoint: str, handle: Handle) -> None:
    """A REP and a PULL in one poller; something is to be done between messages."""
    own: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    assert zmq.Context.instance() is own
    socket = own.socket(zmq.REP)
    socket.bind(endpoint)
    control = own.socket(zmq.PULL)
    control.bind("inproc://control")
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(control, zmq.POLLIN)
    idle = 0
    while True:
        events = dict(poller.poll(1))
        if socket in events:
            socket.send_multipart(handle(socket.recv_multipart()))
        elif not events:
            idle += 1


def selecting_server(context: Context, endpoint: str, handle: Handle) -> None:
    """`zmq.select`, which keeps sockets in sets."""
    own: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    socket = own.socket(zmq.REP)
    socket.bind(endpoint)
    others = [own.socket(zmq.PULL) for _ in range(4)]
    for number, other in enumerate(others):
        other.bind(f"inproc://other-{number}")
    while True:
        readable, _, _ = zmq.select([socket, *others], [], [], 0.5)
        if socket in readable:
            socket.send_multipart(handle(socket.recv_multipart()))


def selectors_server(context: Context, endpoint: str, handle: Handle) -> None:
    """The descriptor of a socket in a selector; it tells of changes, not of what there is."""
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    selector = selectors.DefaultSelector()
    selector.register(socket, selectors.EVENT_READ)
    while True:
        selector.select(0.5)
        while int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
            socket.send_multipart(handle(socket.recv_multipart()))


def timeout_server(context: Context, endpoint: str, handle: Handle) -> None:
    """RCVTIMEO, so that the loop can look around."""
    socket = context.socket(zmq.REP)
    socket.rcvtimeo = 1
    socket.bind(endpoint)
    while not context.closed:
        try:
            body = socket.recv_multipart()
        except zmq.Again:
            continue
        socket.send_multipart(handle(body))


class MonitoringClient(ReqClient):
    """Awaits its own handshakes, by the monitor of its socket."""

    def __init__(self, context: Context, endpoints: list[str]) -> None:
        self.socket = context.socket(zmq.REQ)
        monitor = self.socket.get_monitor_socket()
        for endpoint in endpoints:
            self.socket.connect(endpoint)
        left = len(endpoints)
        while left:
            event = recv_monitor_message(monitor)
            left -= event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        self.socket.disable_monitor()
        monitor.close()


# --- time and chance ---------------------------------------------------------------


class ClockAndChanceClient(ReqClient):
    """Puts into each request what no two real runs have in common."""

    def call(self, body: Body) -> Body:
        begun = perf_counter()
        sleep(random.uniform(0.0001, 0.001))
        words = [
            f"{wall_time():.6f} {monotonic():.6f} {perf_counter() - begun:.9f}",
            str(uuid.uuid4()),
            str(uuid.uuid1()),
            f"{uuid.getnode():x}",
            os.urandom(8).hex(),
            secrets.token_hex(8),
            str(random.Random().random()),
            str(random.SystemRandom().randrange(10**9)),
            threading.current_thread().name,
            threading.Thread().name,
        ]
        return super().call([*body, *(word.encode() for word in words)])[: len(body)]
