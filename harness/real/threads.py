"""The world `threads`: each node a thread, on real libzmq over inproc, ipc or tcp.

A run goes through five steps, each with a deadline:

1. *bind*: the nodes that bind begin; the seam tells what they bound;
2. *connect*: the others begin; handshakes are awaited, on both ends, not slept for;
3. *load*: the clients are driven, until each is done or stuck;
4. *stop*: the contexts are terminated, so that every call of every node returns;
5. *clean up*: threads are joined, sockets closed, folders removed, also after a
   failure and after Ctrl-C. What a node left behind is written down.

Brokers, workers and servers have a context each, as they would as processes, and
clients share one, so that a thousand of them need no thousand I/O threads. Over
inproc all share one, because an inproc name lives in its context.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import zmq

from ..drive import Driver
from ..errors import NodeFailed, PeerError, ReqrepError
from ..frames import asker_of
from ..history.recorder import Recorder
from ..pattern import Link, Pattern, Role, taken
from ..scenario import Scenario
from ..seam import proxy
from ..seam.monitor import MonitorHub
from ..seam.patches import installed
from ..seam.recording import RecordingSeat
from ..seam.seat import NodeStopped, Seat, seated
from ..seam.tap import Tap
from ..service import Service
from ..workload import NS_PER_S
from .endpoints import Endpoints

Progress = Callable[[list[Driver]], None]

START_TIMEOUT_S = 30.0
"""How long nodes may take to bind, to connect and to shake hands, all together."""

STOP_TIMEOUT_S = 5.0
"""How long a node may take to return once its context was terminated."""

TICK_S = 0.05
"""How often a waiting world looks around."""

MAX_SOCKETS = 60_000
"""Of one context; libzmq's own limit of 1,023 is too small for a thousand clients."""


class Node:
    """One thread of the fleet.

    Args:
        name: Such as `broker-0`.
        role: Its role.
        number: Which of its role, from 0.
        seat: How the seam knows it.
    """

    def __init__(self, name: str, role: Role, number: int, seat: RecordingSeat) -> None:
        self.name = name
        self.role = role
        self.number = number
        self.seat = seat
        self.driver: Driver | None = None
        self.crash = ""
        self.to_bind: dict[Link, str] = {}
        self.links_to_connect = 0
        self.connected: set[str] = set()
        self.is_made = False
        self.thread: threading.Thread | None = None


class _ClientStage:
    """What the driver of a client gets in this world."""

    def __init__(self, world: ThreadsWorld, seat: Seat) -> None:
        self._world = world
        self._seat = seat
        self._recorder = world.recorder
        self.note = _notes(world.recorder, seat.node)
        self.clock = world.recorder.elapsed_ns

    @property
    def stopping(self) -> bool:
        return self._seat.stopping

    def begun_ns(self) -> int:
        return self._world.load_begun_ns

    def sleep_until(self, time_ns: int) -> None:
        remaining_ns = time_ns - self.clock()
        if remaining_ns > 0:
            self._world.stopping.wait(remaining_ns / NS_PER_S)

    def poll(self, until_ns: int) -> bool:
        sockets = [(socket, zmq.POLLIN) for socket in self._seat.open_sockets()]
        if not sockets:
            raise PeerError(
                f"the client of {self._seat.node} has send() and recv() but no open socket that "
                "its input could be awaited on; give it call(body) -> body"
            )
        remaining_ms = max(0, -((self.clock() - until_ns) // 1_000_000))
        return bool(zmq.zmq_poll(sockets, remaining_ms))

    def has_sent(self, op: str) -> bool:
        return self._recorder.has_sent(self._seat.node, op)


def _notes(recorder: Recorder, node: str) -> Callable[..., None]:
    def note(kind: str, **fields: Any) -> None:
        recorder.note(node, kind, **fields)

    return note


class ThreadsWorld:
    """One run in threads.

    Args:
        scenario: What is run.
        transport: `inproc`, `ipc` or `tcp`.
        recorder: Where it is written down.
        progress: Called now and then with the drivers of the clients, while the load runs.
        start_timeout_s, stop_timeout_s: See the constants of this module.
    """

    def __init__(
        self,
        scenario: Scenario,
        transport: str,
        recorder: Recorder,
        progress: Progress | None = None,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.scenario = scenario
        self.pattern: Pattern = scenario.pattern
        self.recorder = recorder
        self.stopping = threading.Event()
        self.load_begun_ns = 0
        self._progress = progress
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._endpoints = Endpoints(transport, self.pattern)
        self._contexts: list[zmq.Context[Any]] = []
        self._nodes: dict[str, Node] = {}
        self._changed = threading.Condition()
        self._due: Counter[tuple[int, str]] = Counter()  # (socket or 0 for the binder, endpoint)
        self._go = threading.Event()
        self._hub: MonitorHub | None = None
        self._error: ReqrepError | None = None
        self._finished = threading.Event()
        clients = scenario.nodes.clients
        self._has_one_way_ops = any(
            self.pattern.addressee(client, clients) is None for client in range(clients)
        )
        self._one_way_executed: set[str] = set()

    # --- the five steps -----------------------------------------------------

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out, as when its bodies cannot be made.
            KeyboardInterrupt: The user stopped the run; everything was cleaned up.
        """
        try:
            with installed(), self._cleaned_up():
                self._hub = MonitorHub(self._heard)
                self._seat_nodes()
                self._start()
                self._load()
        finally:
            self._endpoints.close()

    def _start(self) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        binders = {link.binds for link in self.pattern.links}
        first = [node for node in self._nodes.values() if node.role.name in binders]
        rest = [node for node in self._nodes.values() if node.role.name not in binders]
        # A role that binds one link and connects to another waits for the binders of that one.
        waiting = first
        while waiting:
            able = [node for node in waiting if self._can_begin(node)] or waiting
            for node in able:
                self._begin(node)
            self._await(deadline, partial(self._have_bound, able), able)
            waiting = [node for node in waiting if node not in able]
        for node in rest:
            self._begin(node)
        self._await(deadline, lambda: self._all_ready() and not self._due.total(), [*first, *rest])

    def _can_begin(self, node: Node) -> bool:
        role = node.role.name
        return all(
            self._endpoints.is_found(link, binder.name)
            for link in self.pattern.links
            if role in link.connects
            for binder in self._nodes.values()
            if binder.role.name == link.binds and binder is not node
        )

    def _load(self) -> None:
        self.load_begun_ns = self.recorder.elapsed_ns()
        self._go.set()
        clients = [node for node in self._nodes.values() if node.role.name == "client"]
        with self._changed:
            while any(map(self._is_at_work, clients)):
                if self._error is not None:
                    raise self._error
                if self._progress is not None:
                    self._progress([node.driver for node in clients if node.driver is not None])
                self._changed.wait(TICK_S)
            self._await_one_way_ops()
        # The clients leave while the others are still there to be taken leave of.
        self._finished.set()
        deadline = time.monotonic() + self._stop_timeout_s
        for node in clients:
            if node.thread is not None and (node.driver is None or node.driver.is_done):
                node.thread.join(max(0.0, deadline - time.monotonic()))
        if self._error is not None:
            raise self._error

    def _is_at_work(self, node: Node) -> bool:
        """Whether a client has requests to make, and is not stuck in one."""
        driver = node.driver
        if driver is None or driver.is_done or _has_ended(node):
            return False
        since_ns = driver.open_since_ns
        timeout_ns = self.scenario.demand.timeout_s * NS_PER_S
        return since_ns is None or self.recorder.elapsed_ns() - since_ns <= timeout_ns

    def _await_one_way_ops(self) -> None:
        """Requests that nobody is answered for are on their way when their client is done."""
        demand, clients = self.scenario.demand, self.scenario.nodes.clients
        due = sum(
            demand.share_of(client, clients)
            for client in range(clients)
            if self.pattern.addressee(client, clients) is None
        )
        deadline = time.monotonic() + demand.timeout_s
        while len(self._one_way_executed) < due and time.monotonic() < deadline:
            self._changed.wait(TICK_S)

    def _note_of(self, node: Node) -> Callable[..., None]:
        """Writes down what the service of a worker does."""
        clients = self.scenario.nodes.clients

        def note(kind: str, *, op: str = "", text: str = "") -> None:
            self.recorder.note(node.name, kind, op=op, text=text)
            if kind == "executed" and op and self._has_one_way_ops:
                if self.pattern.addressee(asker_of(op), clients) is None:
                    with self._changed:
                        self._one_way_executed.add(op)
                        self._changed.notify_all()

        return note

    @contextmanager
    def _cleaned_up(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        deadline = time.monotonic() + self._stop_timeout_s
        proxy.settle(self.recorder, self._stop_timeout_s)
        self.recorder.stop()
        for node in self._nodes.values():
            node.seat.stop()
        self.stopping.set()
        self._go.set()
        self._finished.set()
        terminators = [
            threading.Thread(target=context.term, name="reqrep-term", daemon=True)
            for context in self._contexts
        ]
        for terminator in terminators:
            terminator.start()
        for node in self._nodes.values():
            if node.thread is not None:
                node.thread.join(max(0.0, deadline - time.monotonic()))
                if node.thread.is_alive():
                    self.recorder.note(node.name, "stuck", text=_stack_of(node.thread))
        for node in self._nodes.values():
            for tap in node.seat.taps:  # Threads that the program started end as well.
                if tap.thread is not node.thread:
                    tap.thread.join(max(0.0, deadline - time.monotonic()))
            node.seat.close_sockets(of=lambda thread: not thread.is_alive())
        if self._hub is not None:
            self._hub.close()
        for terminator, context in zip(terminators, self._contexts, strict=True):
            terminator.join(max(0.5, deadline - time.monotonic()))
            if terminator.is_alive():
                self._blame_for(context)

    def _blame_for(self, context: zmq.Context[Any]) -> None:
        """A context that does not end: a socket is open, or was closed with messages unsent."""
        for node in self._nodes.values():
            owns = node.seat.address == context.underlying
            if owns and (node.thread is None or not node.thread.is_alive()):
                self.recorder.note(
                    node.name,
                    "left",
                    text="its context does not end: a socket was closed with LINGER -1 while "
                    "messages to a peer that is gone were unsent",
                )
                return

    # --- nodes --------------------------------------------------------------

    def _seat_nodes(self) -> None:
        shared = self._new_context() if self._endpoints.transport == "inproc" else None
        of_clients = shared or self._new_context()
        for role in self.pattern.roles:
            for number in range(self.pattern.count(role.name, self.scenario.nodes)):
                name = f"{role.name}-{number}"
                owner = of_clients if role.name == "client" else shared or self._new_context()
                seat = RecordingSeat(name, self.recorder, owner, self)
                node = self._nodes[name] = Node(name, role, number, seat)
                for link in self.pattern.links_of(role.name):
                    if link.binds == role.name:
                        node.to_bind[link] = self._endpoints.to_bind(link, name)

    def _new_context(self) -> zmq.Context[Any]:
        context: zmq.Context[Any] = zmq.Context()
        context.set(zmq.MAX_SOCKETS, min(MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT)))
        self._contexts.append(context)
        return context

    def _begin(self, node: Node) -> None:
        arguments: list[Any] = [node.seat.context]
        for link in self.pattern.links_of(node.role.name):
            if link in node.to_bind:
                arguments.append(node.to_bind[link])
            else:
                node.links_to_connect += 1
                many = self.pattern.role(link.binds).many
                arguments.append(self._endpoints.to_connect(link, many=many))
        target = self._run_client if node.role.name == "client" else self._run_program
        node.thread = threading.Thread(
            target=self._live,
            args=(node, target, arguments),
            name=f"reqrep-{node.name}",
            daemon=True,
        )
        node.thread.start()

    def _live(self, node: Node, target: Callable[..., None], arguments: list[Any]) -> None:
        """The whole life of a node, in its thread."""
        self.recorder.note(node.name, "start")
        try:
            with seated(node.seat):
                target(node, arguments)
        except (zmq.ZMQError, NodeStopped) as error:
            if not node.seat.stopping:
                self._crashed(node, error)
        except ReqrepError as error:
            self._error = self._error or error  # Of the plan or of ours, not of the node.
        except BaseException as error:
            self._crashed(node, error)
        finally:
            node.seat.close_sockets(of=lambda thread: thread is threading.current_thread())
            self.recorder.note(node.name, "end")
            with self._changed:
                self._changed.notify_all()

    def _crashed(self, node: Node, error: BaseException) -> None:
        node.seat.stop()
        node.crash = "".join(traceback.format_exception(error))
        self.recorder.note(node.name, "crash", text=node.crash)

    def _run_program(self, node: Node, arguments: list[Any]) -> None:
        service_time = self.scenario.demand.service_of(node.number)
        service = Service(service_time, self.scenario.seed, self._note_of(node))
        offers = {"handle": service, "name": node.name}
        node.role.program(*arguments, **taken(node.role.program, offers))

    def _run_client(self, node: Node, arguments: list[Any]) -> None:
        program = node.role.program
        client = program(*arguments, **taken(program, {"name": node.name}))
        node.driver = Driver(self.scenario, node.number, client, _ClientStage(self, node.seat))
        with self._changed:
            node.is_made = True
            self._changed.notify_all()
        self._go.wait()
        if not node.seat.stopping:
            node.driver.run()
            with self._changed:
                self._changed.notify_all()
            self._finished.wait()
            node.driver.drain()
        close = getattr(client, "close", None)
        if close is not None:
            close()

    # --- what the seam tells ------------------------------------------------

    def bound(self, seat: Seat, requested: str, endpoint: str) -> None:
        node = self._nodes[seat.node]
        for link, given in node.to_bind.items():
            if given == requested and not self._endpoints.is_found(link, node.name):
                self._endpoints.found(link, node.name, endpoint)
                self.recorder.note(node.name, "link", text=link.name, frames=(endpoint.encode(),))
                break
        with self._changed:
            self._changed.notify_all()

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None:
        node = self._nodes[seat.node]
        with self._changed:
            # A second connect() to one endpoint is ignored by most sockets: await the first.
            if self._endpoints.is_known(endpoint) and endpoint not in node.connected:
                node.connected.add(endpoint)
                if not endpoint.startswith("inproc:"):
                    self._due[tap.number, endpoint] += 1
                    self._due[0, endpoint] += 1
            self._changed.notify_all()

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        assert self._hub is not None
        self._hub.watch(tap, socket)

    def _heard(self, tap: Tap, kind: str, endpoint: str) -> None:
        tap.note(kind, endpoint)
        if kind == "connected":
            with self._changed:
                # The two ends of a connection tell of it in no certain order.
                key = (tap.number, endpoint)
                if not self._due[key]:
                    key = (0, endpoint)
                self._due[key] = max(0, self._due[key] - 1)
                self._changed.notify_all()

    # --- the barrier --------------------------------------------------------

    def _await(self, deadline: float, condition: Callable[[], bool], nodes: list[Node]) -> None:
        """Wait for a condition of the start-up.

        Raises:
            NodeFailed: A node crashed or ended, or the deadline passed.
        """
        with self._changed:
            while not condition():
                for node in self._nodes.values():
                    if node.crash:
                        raise NodeFailed(
                            node.name, f"raised while it started{_hint(node.crash)}:", node.crash
                        )
                    if not self._is_ready(node) and _has_ended(node):
                        raise NodeFailed(node.name, "returned before it had bound and connected")
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise self._late(nodes)
                self._changed.wait(min(remaining, TICK_S))

    def _late(self, nodes: list[Node]) -> NodeFailed:
        for node in nodes:
            for link in node.to_bind:
                if not self._endpoints.is_found(link, node.name):
                    return NodeFailed(
                        node.name,
                        f"did not bind {node.to_bind[link]!r}, its end of the link {link.name!r}, "
                        f"within {self._start_timeout_s:g} s; it stands at:",
                        _stack_of(node.thread),
                    )
        for node in nodes:
            if not self._is_ready(node):
                return NodeFailed(
                    node.name,
                    f"was not ready within {self._start_timeout_s:g} s; it stands at:",
                    _stack_of(node.thread),
                )
        return NodeFailed(
            "the fleet",
            f"has {self._due.total()} handshakes missing after {self._start_timeout_s:g} s; "
            "a program connects to an endpoint that it was not given, or to a socket of a type "
            "that libzmq does not let it talk to",
        )

    def _have_bound(self, nodes: list[Node]) -> bool:
        return all(map(self._has_bound, nodes))

    def _has_bound(self, node: Node) -> bool:
        return all(self._endpoints.is_found(link, node.name) for link in node.to_bind)

    def _all_ready(self) -> bool:
        return all(map(self._is_ready, self._nodes.values()))

    def _is_ready(self, node: Node) -> bool:
        """A client is ready when it was made; any other node when it has bound and connected."""
        if node.role.name == "client":
            return node.is_made
        return self._has_bound(node) and len(node.connected) >= node.links_to_connect


def _has_ended(node: Node) -> bool:
    return node.thread is not None and not node.thread.is_alive()


def _stack_of(thread: threading.Thread | None) -> str:
    """Where a thread stands, innermost call last."""
    frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
    if frame is None:
        return "(it has ended)"
    return "".join(traceback.format_stack(frame)[-6:])


def _hint(crash: str) -> str:
    """What to try, for the failures that have one cause."""
    if "Address already in use" in crash:
        return (
            "; the endpoint is in use: bind the address that the program is given, which is "
            "free, or end what holds it"
        )
    return ""
