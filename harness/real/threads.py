"""The world `threads`: each node a thread, on real libzmq over inproc, ipc or tcp.

Brokers, workers and servers have a context each, as they would as processes, and
clients share one, so that a thousand of them need no thousand I/O threads. Over
inproc all share one, because an inproc name lives in its context.

In the end the contexts are terminated, so that every call of every node returns;
threads are joined, sockets closed, folders removed, also after a failure and after
Ctrl-C. What a node left behind is written down.
"""

from __future__ import annotations

import gc
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import zmq

from ..conduct import START_TIMEOUT_S, STOP_TIMEOUT_S, Conductor, Progress
from ..endpoints import Endpoints, private_folder
from ..errors import MisuseError, ReqrepError
from ..history.recorder import Recorder
from ..node import Node
from ..pattern import Role
from ..scenario import Scenario
from ..seam import proxy
from ..seam.monitor import MonitorHub
from ..seam.patches import installed
from ..seam.recording import RecordingSeat
from ..seam.seat import Seat
from ..seam.tap import Tap
from .reach import ThreadsReach, able, relayed
from .relay import Relay

MAX_SOCKETS = 60_000
"""Of one context; libzmq's own limit of 1,023 is too small for a thousand clients."""


class ThreadsWorld(Conductor):
    """One run in threads.

    Args:
        scenario: What is run.
        transport: `inproc`, `ipc` or `tcp`.
        recorder: Where it is written down.
        progress: Called now and then with the drivers of the clients, while the load runs.
        start_timeout_s, stop_timeout_s: See the constants of `conduct.py`.
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
        self._folder = private_folder() if transport == "ipc" else None
        super().__init__(
            scenario,
            Endpoints(transport, scenario.pattern, self._folder),
            recorder,
            progress,
            clock=recorder.elapsed_ns,
            changed=threading.Condition(),
            make_flag=threading.Event,
            start_timeout_s=start_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        self._contexts: list[zmq.Context[Any]] = []
        self._shared: zmq.Context[Any] | None = None
        self._threads: dict[str, threading.Thread] = {}
        self._hub: MonitorHub | None = None
        self._relay = Relay(relayed(scenario), scenario.seed, self._folder, self._relay_failed)
        reach = ThreadsReach(self._is_alive, self.visit, self._wake, self._relay)
        try:
            self._expect_faults("threads", able, reach)
        except MisuseError:
            self._clear()
            raise

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out, as when its bodies cannot be made.
            KeyboardInterrupt: The user stopped the run; everything was cleaned up.
        """
        try:
            with installed():
                try:
                    self._relay.open()
                    self._hub = MonitorHub(self.heard)
                    self._seat_nodes()
                    self._start()
                    # A history grows by many objects that live long: the collector need not go
                    # through all that was there before each time it looks at them.
                    gc.freeze()
                    self._load()
                finally:
                    self._stop()
                    gc.unfreeze()
        finally:
            self._relay.close()
            self._clear()

    def _clear(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        """Listen to the connections of a socket."""
        assert self._hub is not None
        self._hub.watch(tap, socket)

    def way_in(self, node: str, endpoint: str) -> str:
        """Through the relay, where a fault is to get at the connection."""
        binder = self._endpoints.binder_of(endpoint)
        return endpoint if binder is None else self._relay.way_in(node, binder, endpoint)

    def meant(self, endpoint: str) -> str:
        """See `RecordingListener`."""
        return self._relay.meant(endpoint)

    def _wake(self) -> None:
        """Let the conductor look around."""
        with self._changed:
            self._changed.notify_all()

    def _relay_failed(self, error: ReqrepError) -> None:
        """Nothing gets through any more: the run ends with that."""
        self._error = self._error or error

    # --- how nodes live -------------------------------------------------------

    def _make_seat(self, name: str, role: Role) -> Seat:
        if role.name == "client" or self._endpoints.transport == "inproc":
            owner = self._shared = self._shared or self._new_context()
        else:
            owner = self._new_context()
        return RecordingSeat(name, self.recorder, owner, self)

    def _new_context(self) -> zmq.Context[Any]:
        context: zmq.Context[Any] = zmq.Context()
        context.set(zmq.MAX_SOCKETS, min(MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT)))
        self._contexts.append(context)
        return context

    def _context_of(self, node: Node) -> Any:
        assert isinstance(node.seat, RecordingSeat)
        return node.seat.context

    def _launch(self, node: Node, life: Callable[[], None]) -> None:
        thread = threading.Thread(target=life, name=f"reqrep-{node.name}", daemon=True)
        self._threads[node.name] = thread
        thread.start()

    def _is_alive(self, name: str) -> bool:
        return name in self._threads and self._threads[name].is_alive()

    def _has_ended(self, node: Node) -> bool:
        thread = self._threads.get(node.name)
        return thread is not None and not thread.is_alive()

    def _join(self, node: Node, timeout_s: float) -> None:
        thread = self._threads.get(node.name)
        if thread is not None:
            thread.join(timeout_s)

    def _stack_of(self, node: Node) -> str:
        thread = self._threads.get(node.name)
        frame = sys._current_frames().get(thread.ident or 0) if thread is not None else None
        if frame is None:
            return "(it has ended)"
        return "".join(traceback.format_stack(frame)[-6:])

    # --- the end --------------------------------------------------------------

    def _stop(self) -> None:
        deadline = time.monotonic() + self._stop_timeout_s
        proxy.settle(self.recorder, self._stop_timeout_s)
        self.recorder.stop()
        for node in self._nodes.values():
            node.seat.stop()
        for flag in self.stopping, self._go, self._finished:
            flag.set()
        terminators = [
            threading.Thread(target=context.term, name="reqrep-term", daemon=True)
            for context in self._contexts
        ]
        for terminator in terminators:
            terminator.start()
        for node in self._nodes.values():
            self._join(node, max(0.0, deadline - time.monotonic()))
            if node.name in self._threads and not self._has_ended(node):
                node.seat.note("stuck", text=self._stack_of(node))
        for node in self._nodes.values():
            for tap in node.seat.taps:  # Threads that the program started end as well.
                if tap.thread is not self._threads.get(node.name):
                    tap.thread.join(max(0.0, deadline - time.monotonic()))
            # The sockets of a thread that is stuck are its own.
            node.seat.close_sockets(of=lambda thread: not thread.is_alive())
        if self._hub is not None:
            self._hub.close()
        for terminator, context in zip(terminators, self._contexts, strict=True):
            terminator.join(max(0.5, deadline - time.monotonic()))
            if terminator.is_alive():
                self._blame_for(context)

    def _blame_for(self, context: zmq.Context[Any]) -> None:
        """A context that does not end: a socket is open, or was closed with messages unsent."""
        nodes = [node for node in self._nodes.values() if node.seat.address == context.underlying]
        for node in nodes:
            for tap in node.seat.taps:
                if tap.thread.is_alive() and tap.thread is not self._threads.get(node.name):
                    text = f"its thread {tap.thread.name} did not end and has a socket open"
                    node.seat.note("left", text=text)
                    return
        for node in nodes:
            if self._has_ended(node):
                node.seat.note(
                    "left",
                    text="its context does not end: a socket was closed with LINGER -1 while "
                    "messages to a peer that is gone were unsent",
                )
                return
