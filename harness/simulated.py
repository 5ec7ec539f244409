"""The world `simulated`: all nodes in one thread, under virtual time, every decision ours.

Each node is a task of the simulated scheduler, and so is the conductor that starts them,
drives the clients and ends the run. Nobody waits for real: when no task can run the clock
jumps to the next timer. What the scheduler decides comes from the seed of the scenario, so
a run is the same in every process.
"""

from __future__ import annotations

import gc
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .conduct import START_TIMEOUT_S, STOP_TIMEOUT_S, Conductor, Node, Progress
from .endpoints import Endpoints
from .errors import NodeFailed
from .history.recorder import Recorder
from .pattern import Role
from .scenario import Scenario
from .seam import virtual
from .seam.patches import virtually
from .seam.seat import Seat, seated
from .seam.simulating import SimulatingSeat, SimulatingTap
from .simulation.choices import Choices, SeededChoices
from .simulation.constants import SimulatedError
from .simulation.context import Context
from .simulation.scheduler import Outcome, Scheduler, Task
from .simulation.simulation import Simulation
from .workload import NS_PER_S

IPC_FOLDER = "/simulated"
"""Where the ipc sockets of a simulation seem to lie."""


class _Change:
    """Wakes whoever waits for a change; no lock is needed where one task runs at a time."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: list[Task] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass

    def wait(self, timeout: float | None) -> bool:
        task = self._scheduler.current
        assert task is not None
        deadline_ns = None
        if timeout is not None:
            deadline_ns = self._scheduler.now_ns + int(timeout * NS_PER_S)
        self._waiting.append(task)
        try:
            return self._scheduler.park("the conductor", deadline_ns)
        finally:
            self._waiting.remove(task)

    def notify_all(self) -> None:
        for task in self._waiting:
            self._scheduler.wake(task)


class _Flag:
    """Something that is said once."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._change = _Change(scheduler)
        self._scheduler = scheduler
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self._change.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        end_ns = None
        if timeout is not None:
            end_ns = self._scheduler.now_ns + int(timeout * NS_PER_S)
        while not self._is_set:
            left_s = None if end_ns is None else (end_ns - self._scheduler.now_ns) / NS_PER_S
            if left_s is not None and left_s <= 0:
                break
            self._change.wait(left_s)
        return self._is_set


class SimulatedWorld(Conductor):
    """One simulated run.

    Args:
        scenario: What is run.
        transport: Whose rules hold: `inproc`, `ipc` or `tcp`.
        choices: Where decisions come from; None draws them from the seed of the scenario.
        progress: Called now and then with the drivers of the clients, while the load runs.

    Attributes:
        outcome: How the simulation ended.
    """

    def __init__(
        self,
        scenario: Scenario,
        transport: str,
        choices: Choices | None = None,
        progress: Progress | None = None,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self.choices = choices or SeededChoices(scenario.seed)
        self.simulation = Simulation(self.choices, observe=self._observe)
        scheduler = self._scheduler = self.simulation.scheduler
        super().__init__(
            scenario,
            Endpoints(
                transport, scenario.pattern, Path(IPC_FOLDER) if transport == "ipc" else None
            ),
            Recorder(lambda: scheduler.now_ns),
            progress,
            changed=_Change(scheduler),
            make_flag=lambda: _Flag(scheduler),
            start_timeout_s=start_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        self.outcome: Outcome | None = None
        self._shared: Context | None = None
        self._contexts: list[Context] = []
        self._tasks: dict[str, Task] = {}
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out.
            KeyboardInterrupt: Ctrl-C was pressed; everything is unwound.
        """
        with (
            _interrupts_held(self._scheduler.stop),
            virtually(),
            virtual.chance(self.scenario.seed),
            _uncollected(),
        ):
            self._scheduler.spawn("conductor", "the harness", self._conduct)
            try:
                self.outcome = self.simulation.run()
                if self.outcome.kind == "spinning":
                    self._blame_spinner(self.outcome)
            finally:
                self._end()
        for node in self._nodes.values():
            # Before all else: it may be the reason why a node failed.
            if isinstance(node.seat, SimulatingSeat) and node.seat.refusal is not None:
                raise node.seat.refusal
        if self._failure is not None:
            raise self._failure

    def _conduct(self) -> None:
        try:
            self._seat_nodes()
            self._start()
            self._load()
        except BaseException as failure:
            self._failure = failure
        finally:
            self._stop()

    # --- how nodes live -------------------------------------------------------

    def _make_seat(self, name: str, role: Role) -> Seat:
        if self._endpoints.transport == "inproc":
            core = self._shared = self._shared or self._new_context("the fleet")
        else:
            core = self._new_context(name)
        return SimulatingSeat(name, self.recorder, core, self)

    def _new_context(self, node: str) -> Context:
        context = self.simulation.context(node)
        self._contexts.append(context)
        return context

    def _context_of(self, node: Node) -> Any:
        assert isinstance(node.seat, SimulatingSeat)
        return node.seat.context

    def _launch(self, node: Node, life: Callable[[], None]) -> None:
        self._tasks[node.name] = self._scheduler.spawn(node.name, node.name, life)

    def _has_ended(self, node: Node) -> bool:
        task = self._tasks.get(node.name)
        return task is not None and task.is_done

    def _join(self, node: Node, timeout_s: float) -> None:
        deadline_s = self._now_s() + timeout_s
        while node.name in self._tasks and not self._has_ended(node):
            left_s = deadline_s - self._now_s()
            if left_s <= 0:
                return
            self._changed.wait(left_s)

    def _stack_of(self, node: Node) -> str:
        task = self._tasks.get(node.name)
        frame = task.greenlet.gr_frame if task is not None and task.greenlet is not None else None
        if task is None or frame is None:
            return "(it has ended)"
        stack = "".join(traceback.format_stack(frame)[-6:])
        return f"{stack}it waits: {task.reason}" if task.is_parked else stack

    def _observe(self, kind: str, socket: Any, fields: dict[str, Any]) -> None:
        """What the network tells of a socket: connections, and messages that end on their way."""
        tap: SimulatingTap | None = getattr(socket, "tap", None)
        if tap is None:
            return
        if kind == "dropped":
            self.recorder.append(
                (
                    self._scheduler.now_ns,
                    tap.seat.node,
                    "dropped",
                    tap.number,
                    "",
                    tuple(fields["message"]),
                    fields["reason"],
                )
            )
        else:
            self.heard(tap, kind, fields["endpoint"])

    # --- the end --------------------------------------------------------------

    def _stop(self) -> None:
        self.recorder.stop()
        for node in self._nodes.values():
            node.seat.stop()
        for flag in self.stopping, self._go, self._finished:
            flag.set()
        for context in self._contexts:
            context.shutdown()
        for node in self._nodes.values():
            self._join(node, self._stop_timeout_s)
            if node.name in self._tasks and not self._has_ended(node):
                self.recorder.note(node.name, "stuck", text=self._stack_of(node))
        self._scheduler.stop()

    def _blame_spinner(self, outcome: Outcome) -> None:
        spinner = next(
            (node for node in self._nodes.values() if outcome.spinner.endswith(f" of {node.name}")),
            None,
        )
        self.recorder.stop()
        if spinner is not None:
            text = f"{outcome}\n{self._stack_of(spinner)}"
            self.recorder.note(spinner.name, "stuck", text=text)
            self._failure = self._failure or NodeFailed(
                spinner.name, "calls again and again without ever waiting; it stands at:", text
            )

    def _end(self) -> None:
        """Unwind what is left, so that nothing of the run outlives it."""
        for node in self._nodes.values():
            node.seat.stopping = True
        for _ in range(10):
            if not self._scheduler.tasks:
                break
            self._scheduler.kill_all()
            self.simulation.run()
        for node in self._nodes.values():
            with seated(node.seat):
                for tap in node.seat.taps:
                    if isinstance(tap, SimulatingTap) and not tap.core.is_closed:
                        try:
                            tap.core.close(0)
                        except SimulatedError:
                            pass
                        tap.note_close()


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is collected in between: when a finalizer runs must not depend on it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _interrupts_held(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C stops the simulation, and is raised when that is unwound.

    Raised where it happens, it would end whichever node has its turn, and look like a crash of
    that. Handlers of others, and other threads, which get no signals, are left alone.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def hold(number: int, frame: object) -> None:
        nonlocal pressed
        pressed = True
        stop()

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            raise KeyboardInterrupt
