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
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Self, cast

from .conduct import START_TIMEOUT_S, STOP_TIMEOUT_S, TICK_S, Conductor, Progress
from .endpoints import Endpoints
from .errors import NodeFailed
from .history.recorder import Recorder
from .life import Life
from .node import Node
from .pattern import Role
from .scenario import Scenario
from .seam import virtual_chance
from .seam.patches import virtually
from .seam.seat import Seat, seated
from .seam.simulating import SimulatingTap
from .seam.simulating_seat import FIRST_PID, SimulatingSeat
from .simulated_reach import SimulatedReach, able
from .simulation.choices import Choices, SeededChoices
from .simulation.constants import SimulatedError
from .simulation.context import Context
from .simulation.scheduler import Outcome, Scheduler, Task
from .simulation.simulation import Simulation
from .workload import NS_PER_S

TURN_CPU_S = 10.0
"""After how many seconds of the processor's time within one turn a program is stopped."""

BLOCKED_S = 5.0
"""After how many real seconds in which nothing moved, twice, it is stopped as well."""

IPC_FOLDER = Path("/simulated")
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

    def wait(self, timeout: float) -> bool:
        scheduler, task = self._scheduler, self._scheduler.current
        assert task is not None
        self._waiting.append(task)
        try:
            # Up, and never nothing: who waits for the rest of a time would wait for ever.
            return scheduler.park("the conductor", scheduler.now_ns + int(timeout * NS_PER_S) + 1)
        finally:
            self._waiting.remove(task)

    def notify_all(self) -> None:
        for task in self._waiting:
            self._scheduler.wake(task)


class _Flag:
    """Something that is said once."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: dict[Task, None] = {}
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        for task in self._waiting:
            self._scheduler.wake(task)

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set:
            return True
        scheduler, task = self._scheduler, self._scheduler.current
        assert task is not None
        deadline_ns = None if timeout is None else scheduler.now_ns + int(timeout * NS_PER_S)
        self._waiting[task] = None
        try:
            while scheduler.park("the conductor", deadline_ns) and not self._is_set:
                pass
        finally:
            del self._waiting[task]
        return self._is_set


class _Interruption:
    """Ctrl-C ends the whole run, not just the program whose turn it happens to be.

    A program may take it for its own and return, as a server does that is run by hand. Within
    ours nothing is interrupted: the run ends at the next switch.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._before: Any = None
        self.has_come = False

    def __enter__(self) -> _Interruption:
        # Whoever has put a handler of their own there knows what to do.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.has_come = True
        self._scheduler.stop()
        if frame is not None and not frame.f_globals["__name__"].startswith("reqrep.harness."):
            raise KeyboardInterrupt

    def __exit__(self, *exc_info: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class _Watchdog:
    """Looks now and then whether a program gives up its turn, and stops one that does not.

    Where somebody has put the signal to use of their own, nobody watches.
    """

    signal_name: ClassVar[str]
    timer_name: ClassVar[str]
    what: ClassVar[str]

    def __init__(self, scheduler: Scheduler, every_s: float) -> None:
        self._scheduler = scheduler
        self._every_s = every_s
        self._seen = scheduler.progress
        self._number = getattr(signal, self.signal_name, None)
        self._is_set = False
        self.stack = ""

    def __enter__(self) -> Self:
        if (
            self._number is not None
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(self._number) is signal.SIG_DFL
        ):
            signal.signal(self._number, self._look)
            self._set_timer(self._every_s)
            self._is_set = True
        return self

    def _set_timer(self, every_s: float) -> None:
        signal.setitimer(getattr(signal, self.timer_name), every_s, every_s)

    def _look(self, number: int, frame: FrameType | None) -> None:
        has_moved, self._seen = self._seen != self._scheduler.progress, self._scheduler.progress
        is_to_stop = self._judge(has_moved)
        if is_to_stop and frame is not None and self._scheduler.current is not None:
            # Within ours it is stopped at a later look, when we have come to an end.
            if not frame.f_globals["__name__"].startswith("reqrep.harness."):
                self.stack = "".join(traceback.format_stack(frame)[-6:])
                self._scheduler.arrest()

    def _judge(self, has_moved: bool) -> bool:
        """Whether the program is to be stopped."""
        return not has_moved

    def __exit__(self, *exc_info: object) -> None:
        if self._is_set:
            self._set_timer(0)
            signal.signal(cast(int, self._number), signal.SIG_DFL)


class _OfComputing(_Watchdog):
    """What counts is the time of the processor: nobody is stopped because the machine is busy."""

    signal_name = "SIGVTALRM"
    timer_name = "ITIMER_VIRTUAL"
    what = "computes without end"


class _OfBlocking(_Watchdog):
    """A program that waits for something real, such as a lock from before the run, waits for ever.

    It is stopped at the second look at which nothing has moved, also no processor: after the
    first the machine may just have come out of a sleep.
    """

    signal_name = "SIGALRM"
    timer_name = "ITIMER_REAL"
    what = "blocks the one thread that all nodes share"

    def __init__(self, scheduler: Scheduler, every_s: float) -> None:
        super().__init__(scheduler, every_s)
        self._cpu_s = time.process_time()
        self._quiet = 0

    def _judge(self, has_moved: bool) -> bool:
        spent_s, self._cpu_s = time.process_time() - self._cpu_s, time.process_time()
        self._quiet = 0 if has_moved or spent_s > self._every_s / 10 else self._quiet + 1
        return self._quiet > 1


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

        def clock() -> int:
            return scheduler.now_ns

        super().__init__(
            scenario,
            Endpoints(transport, scenario.pattern, IPC_FOLDER if transport == "ipc" else None),
            Recorder(clock),
            progress,
            clock=clock,
            changed=_Change(scheduler),
            make_flag=lambda: _Flag(scheduler),
            start_timeout_s=start_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        # Nobody looks on while hours pass, but each look is a turn.
        self._tick_s = max(TICK_S, scenario.demand.timeout_s / 100)
        self.outcome: Outcome | None = None
        self._shared: Context | None = None
        self._contexts: list[Context] = []
        self._seats: list[SimulatingSeat] = []
        self._tasks: dict[str, Task] = {}
        self._failure: BaseException | None = None
        self._expect_faults("simulated", able, SimulatedReach(self.simulation, self))

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out.
            KeyboardInterrupt: After Ctrl-C, wherever it came.
        """
        # No garbage is collected in between: when a finalizer runs must not depend on it.
        is_collecting = gc.isenabled()
        gc.disable()
        try:
            with virtually(), _Interruption(self._scheduler) as interruption:
                virtual_chance.begin_chance(self.scenario.seed)
                with (
                    _OfComputing(self._scheduler, TURN_CPU_S) as computing,
                    _OfBlocking(self._scheduler, BLOCKED_S) as blocking,
                ):
                    self._run((computing, blocking))
        finally:
            refusals = [seat.refusal for seat in self._seats]
            self._dispose()
            if is_collecting:
                gc.enable()
        if interruption.has_come:
            raise KeyboardInterrupt
        for refusal in refusals:
            if refusal is not None:  # Before all else: it may be the reason why a node failed.
                raise refusal
        if self._failure is not None:
            raise self._failure

    def _run(self, watchdogs: tuple[_Watchdog, ...]) -> None:
        self._scheduler.spawn("conductor", "the harness", self._conduct)
        try:
            self.outcome = self.simulation.run()
            if self.outcome.kind == "spinning":
                stopped = next((each for each in watchdogs if each.stack), None)
                self._blame_spinner(self.outcome, stopped)
        finally:
            self._end()

    def _conduct(self) -> None:
        try:
            self._seat_nodes()
            self._start()
            self._load()
        except BaseException as failure:
            self._failure = self._failure or failure
        finally:
            self._end_faults()
            self._stop()

    # --- how nodes live -------------------------------------------------------

    def _make_seat(self, name: str, role: Role) -> Seat:
        if self._endpoints.transport == "inproc":
            core = self._shared = self._shared or self._new_context("the fleet")
        else:
            core = self._new_context(name)
        seat = SimulatingSeat(name, self.recorder, core, self, FIRST_PID + len(self._seats))
        self._seats.append(seat)
        return seat

    def _new_context(self, node: str) -> Context:
        context = self.simulation.context(node)
        self._contexts.append(context)
        return context

    def _launch(self, node: Node, arguments: list[Any]) -> None:
        seat = self.seat_of(node.name)
        life = Life(self, node, seat, [seat.context, *arguments])
        self._tasks[node.name] = self._scheduler.spawn(node.name, node.name, life.live)

    def _has_ended(self, node: Node) -> bool:
        task = self._tasks.get(node.name)
        return task is not None and task.is_done

    # --- what faults do to nodes ------------------------------------------------

    def is_alive(self, name: str) -> bool:
        return (
            name in self._tasks
            and not self._tasks[name].is_done
            and not self.seat_of(name).stopping
        )

    def crash(self, name: str) -> None:
        """The process of a node dies: its sockets are gone before its tasks know."""
        node = self._nodes[name]
        seat = self.seat_of(name)
        node.is_killed = True
        seat.stop()
        seat.core.crash()
        for tap in seat.taps:
            tap.note_close()
        self._scheduler.kill_node(name)

    def leave(self, name: str) -> None:
        """The context of a node ends, and with it the node, while the others go on."""
        seat = self.seat_of(name)
        seat.stop(is_leaving=True)
        seat.core.shutdown()

    def start(self, name: str, *, renamed: bool) -> None:
        """A node that has died is run anew, as another node under its name."""
        dead = self.seat_of(name)
        self._restart(self._nodes[name], renamed=renamed)
        self.seat_of(name).skew_ns = dead.skew_ns  # The clock is that of its host.

    def seat_of(self, name: str) -> SimulatingSeat:
        seat = self._nodes[name].seat
        assert isinstance(seat, SimulatingSeat)
        return seat

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
        self.recorder.stop(
            {
                name: str(task.reason)
                for name, task in self._tasks.items()
                if task.is_parked
                and (driver := self._nodes[name].driver) is not None
                and driver.open_since_ns is not None
            }
        )
        for name in self._nodes:
            self.seat_of(name).stop()
        for flag in self.stopping, self.go, self.healed, self.finished:
            flag.set()
        for context in self._contexts:
            context.shutdown()
        for node in self._nodes.values():
            self._join(node, self._stop_timeout_s)
            if node.name in self._tasks and not self._has_ended(node):
                node.seat.note("stuck", text=self._stack_of(node))
        self._scheduler.stop()

    def _blame_spinner(self, outcome: Outcome, stopped: _Watchdog | None) -> None:
        spinner = next(
            (node for node in self._nodes.values() if outcome.spinner.endswith(f" of {node.name}")),
            None,
        )
        self.recorder.stop()
        if spinner is not None:
            text = f"{outcome}\n{stopped.stack if stopped else self._stack_of(spinner)}"
            spinner.seat.note("stuck", text=text)
            what = stopped.what if stopped else "calls again and again without ever waiting"
            self._failure = self._failure or NodeFailed(
                spinner.name, f"{what}; it stands at:", text
            )

    def _end(self) -> None:
        """Unwind what is left, so that nothing of the run outlives it."""
        self._end_faults()
        for seat in self._seats:
            seat.stopping = True
        for _ in range(10):
            if not self._scheduler.tasks:
                break
            self._scheduler.kill_all()
            self.simulation.run()
        for seat in self._seats:
            for tap in seat.taps:
                if isinstance(tap, SimulatingTap) and not tap.core.is_closed:
                    with seated(seat):
                        try:
                            tap.core.close(0)
                        except SimulatedError:
                            pass
                        tap.note_close()

    def _dispose(self) -> None:
        """Let go of all that points back here, so that what a run leaves needs no collector."""
        for seat in self._seats:
            seat.dispose()
        self._seats.clear()
        self._nodes.clear()
        self._barrier.dispose()
        self._tasks.clear()
        self._contexts.clear()
        self._shared = None
        self.simulation.dispose()
