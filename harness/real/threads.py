"""The world `threads`: each node a thread, on real libzmq over inproc, ipc or tcp.

Brokers, workers and servers have a context each, as they would as processes, and
clients share one, so that a thousand of them need no thousand I/O threads. Over
inproc all share one, because an inproc name lives in its context.

In the end all of them are ended (`resident.py`) and folders removed, also after a failure
and after Ctrl-C.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import zmq

from ..conduct import START_TIMEOUT_S, STOP_TIMEOUT_S, Progress
from ..endpoints import private_folder
from ..errors import MisuseError, NodeFailed
from ..history.recorder import Recorder
from ..life import Life
from ..node import Node
from ..pattern import Role
from ..scenario import Scenario
from ..seam import proxy
from ..seam.monitor import MonitorHub
from ..seam.patches import installed
from ..seam.recording import RecordingSeat
from ..seam.seat import Place, seated
from ..seam.tap import Tap
from .reach import ThreadsReach, able
from .resident import Resident, end, roomy_context, terminate
from .world import RealWorld


class ThreadsWorld(RealWorld):
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
        folder = private_folder() if transport == "ipc" else None
        super().__init__(
            scenario, transport, folder, recorder, progress, start_timeout_s, stop_timeout_s
        )
        self._contexts: list[zmq.Context[Any]] = []
        self._shared: zmq.Context[Any] | None = None
        self._residents: dict[str, Resident] = {}
        self._hub: MonitorHub | None = None
        self._terminators: dict[zmq.Context[Any], threading.Thread] = {}
        self._ending = threading.Lock()  # A context is terminated once, by whoever comes first.
        reach = ThreadsReach(self._is_alive, self._leave, self.visit, self.advanced, self._relay)
        _check_contexts(scenario)
        self._expect_faults("threads", able, reach)

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out, as when its bodies cannot be made.
            KeyboardInterrupt: The user stopped the run; everything was cleaned up.
        """
        with self._premises(), installed():
            try:
                self._hub = MonitorHub(self.heard)
                self._seat_nodes()
                self._start()
                # A history grows by many objects that live long: the collector need not go
                # through all that was there before each time it looks at them.
                gc.freeze()
                self._load()
                proxy.settle(self.recorder, self._stop_timeout_s)
            finally:
                try:
                    self._stop()
                finally:
                    gc.unfreeze()
            self._raise_blamed()

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        """Listen to the connections of a socket."""
        assert self._hub is not None
        self._hub.watch(tap, socket)

    # --- how nodes live -------------------------------------------------------

    def _make_seat(self, name: str, role: Role) -> Place:
        if role.name == "client" or self._endpoints.transport == "inproc":
            owner = self._shared = self._shared or self._new_context()
        else:
            owner = self._new_context()
        seat = RecordingSeat(name, self.recorder, owner, self)
        self._residents[name] = Resident(seat)
        return seat

    def _new_context(self) -> zmq.Context[Any]:
        # A stranger that comes upon a point of a node's is made in that node's thread.
        with seated(None):
            context = roomy_context()
        self._contexts.append(context)
        return context

    def _launch(self, node: Node, arguments: list[Any]) -> None:
        resident = self._residents[node.name]
        seat = resident.seat
        life = Life(self, node, seat, [seat.context, *arguments])
        thread = threading.Thread(target=life.live, name=f"reqrep-{node.name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise NodeFailed(
                node.name,
                f"has no thread to live in: {error}; raise the limit of threads (ulimit -u, or that "
                "of the container) or run fewer nodes",
            ) from error
        resident.thread = thread

    def _is_alive(self, name: str) -> bool:
        resident = self._residents.get(name)
        return (
            resident is not None
            and resident.thread is not None
            and not (resident.has_ended or resident.seat.stopping)
        )

    def _leave(self, name: str) -> None:
        """The context of a node ends, and with it the node, while the others go on."""
        seat = self._residents[name].seat
        with self._ending:
            if not seat.stopping:
                seat.stop(is_leaving=True)
                (context,) = (one for one in self._contexts if one.underlying == seat.address)
                self._terminators[context] = terminate(context)

    def _has_ended(self, node: Node) -> bool:
        return self._residents[node.name].has_ended

    def _join(self, node: Node, timeout_s: float) -> None:
        self._residents[node.name].join(timeout_s)

    def _stack_of(self, node: Node) -> str:
        return self._residents[node.name].stack

    # --- the end --------------------------------------------------------------

    def _stop(self) -> None:
        self.recorder.stop()
        try:
            self._end_faults()
        finally:
            self._end_nodes()

    def _end_nodes(self) -> None:
        residents = list(self._residents.values())
        with self._ending:
            for resident in residents:
                resident.seat.stop()
        for flag in self.stopping, self.go, self.healed, self.finished:
            flag.set()
        terminators = [
            self._terminators.get(context) or terminate(context) for context in self._contexts
        ]
        end(residents, self._contexts, terminators, self._hub, self._stop_timeout_s)


def _check_contexts(scenario: Scenario) -> None:
    """Refuse to end a context that is not of one node alone."""
    for fault in scenario.faults:
        if fault.kind == "leave" and str(fault.where[1]).startswith("client-"):
            raise MisuseError(
                f"{fault!r}: in the world threads all clients share one context, which ends for all "
                "of them at once; use the world processes or simulated, or let another node leave"
            )
