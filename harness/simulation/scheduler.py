"""Tasks under virtual time: one thread, one greenlet per task, nobody runs beside another.

**Turns.** A task runs until it waits. It then picks who runs next and switches
there directly; the hub, the greenlet that called `run()`, only starts the first,
takes back those that have ended, and notices the end.

**Time** is a whole number of nanoseconds and passes only when nobody can run: the
clock jumps to the next timer, whose callback runs in the greenlet that looked. A
callback may wake tasks and set timers but never waits. One thing else costs time:
a call that did not wait and came back with nothing takes `FRUITLESS_NS`, so that a
program which asks again and again meets its answer.

**Ends.** No task is left; or nobody can run and no timer is left, a deadlock,
reported with what each task waits for; or a task spins: `step_limit` turns without
a timer. All three are an `Outcome`, none is a hang.

A task that has ended returns to the hub: to throw its greenlet away while it hangs in a
switch would cost as much as thirty turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

from greenlet import GreenletExit, getcurrent, greenlet

from ..errors import HarnessBug
from .choices import Choices

FRUITLESS_NS: Final = 1_000
"""What a call costs that did not wait and found nothing: about what it takes libzmq."""

STEP_LIMIT: Final = 1_000_000
"""Turns without a timer before a node counts as spinning."""

SUSPECT_TURNS: Final = 1_000
"""For how many more turns the suspects are counted, to name the one that spins."""


class TaskKilled(GreenletExit):
    """Ends a task from outside. Not an `Exception`, so programs do not swallow it."""


class Task:
    """One thread of a node.

    Attributes:
        name: Its own name; node: whose it is; number: by which ties are broken.
        reason: What it waits for, as an object whose `str` a person understands.
        error: What it ended with, traceback and all; None if it returned.
        result: What it returned.
        is_done: Whether it has ended.
    """

    __slots__ = (
        "alarm_ns", "arguments", "deadline_ns", "error", "function", "greenlet", "is_done",
        "is_parked", "is_timed_out", "local", "name", "node", "number", "reason", "result",
        "throwing",
    )  # fmt: skip

    def __init__(
        self, name: str, node: str, number: int, function: Callable[..., Any], arguments: Any
    ) -> None:
        self.name = name
        self.node = node
        self.number = number
        self.function = function
        self.arguments = arguments
        self.greenlet: greenlet | None = None
        self.reason: object = ""
        self.is_parked = False
        self.is_done = False
        self.is_timed_out = False
        self.deadline_ns: int | None = None
        # The earliest alarm of this task in the heap. Alarms are not taken out when a wait
        # ends early; one that rings too soon is set again, so each task has about one.
        self.alarm_ns: int | None = None
        self.throwing: BaseException | None = None
        self.error: BaseException | None = None
        self.result: Any = None
        self.local: dict[str, Any] = {}  # For whoever needs storage of a task, such as asyncio.

    @property
    def title(self) -> str:
        """What a person calls it; the first thread of a node is called as the node."""
        return self.name if self.name == self.node else f"{self.name} of {self.node}"

    def __repr__(self) -> str:
        state = "done" if self.is_done else f"waits: {self.reason}" if self.is_parked else "runs"
        return f"<task {self.title}, {state}>"


class Timer:
    """A callback at a time; it can be cancelled."""

    __slots__ = ("callback", "time_ns")

    def __init__(self, time_ns: int, callback: Callable[[], object]) -> None:
        self.time_ns = time_ns
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Never call back; nothing happens if it has."""
        self.callback = None

    def ring(self) -> None:
        """Call back, once."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


@dataclass(frozen=True)
class Waiting:
    """What one parked task waits for."""

    task: str
    node: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        kind: `finished` (no task is left), `deadlock`, `spinning`, or `stopped` (`stop()`).
        time_ns: The virtual time of the end.
        waiting: What each task that was left waits for, in the order in which they were made.
        spinner: Who spins, if somebody does.
    """

    kind: str
    time_ns: int
    waiting: tuple[Waiting, ...] = ()
    spinner: str = ""

    def __str__(self) -> str:
        lines = [f"{self.kind} at {self.time_ns / 1e9:.6f} s"]
        if self.spinner:
            lines[0] += f": {self.spinner} goes on and on without waiting"
        lines += [f"  {wait.node}: {wait.task} waits: {wait.reason}" for wait in self.waiting]
        return "\n".join(lines)


class Scheduler:
    """Runs tasks; see the top of this file.

    Args:
        choices: Decides which of several tasks that can run does; 0 is first in, first out.
        step_limit: After so many turns without a timer a task counts as spinning.

    Attributes:
        now_ns: The virtual time, from 0.
        current: The task whose turn it is; None in the hub.
        ready: Those that can run, first in first out. To put one there, use `wake`.
    """

    def __init__(self, choices: Choices, step_limit: int = STEP_LIMIT) -> None:
        self.now_ns = 0
        self.current: Task | None = None
        self.tasks: list[Task] = []
        self._choices = choices
        self._choose = choices.choose
        self._step_limit = step_limit
        self._fresh_steps = step_limit  # Those after a timer; none once the run shall end.
        self._steps_left = step_limit
        self.ready: deque[Task] = deque()
        self._timers: list[tuple[int, int, Callable[[Any], object] | None, Any]] = []
        self._timer_numbers = count()
        self._task_number = 0
        self._hub: greenlet | None = None
        self._ended: list[Task] = []
        self._is_stopping = False
        self._suspects: dict[int, int] = {}
        self._spinner: Task | None = None
        self._failure: BaseException | None = None
        self._stalled: dict[str, list[Task]] = {}  # By node: those that would run or wait.

    # --- tasks ----------------------------------------------------------------

    def spawn(self, name: str, node: str, function: Callable[..., Any], *arguments: Any) -> Task:
        """A new task, which gets its turn after those that can run already."""
        task = Task(name, node, self._task_number, function, arguments)
        self._task_number += 1
        task.greenlet = greenlet(self._body)
        self.tasks.append(task)
        self.ready.append(task)
        return task

    def _body(self) -> None:
        task = self.current
        assert task is not None
        try:
            if task.throwing is None:
                task.result = task.function(*task.arguments)
        except TaskKilled:
            pass
        except BaseException as error:
            task.error = error
        task.throwing = None
        task.is_done = True
        self._ended.append(task)
        self.current = None
        assert self._hub is not None
        getcurrent().parent = self._hub  # Who goes on when this returns.

    def kill(self, task: Task) -> None:
        """Throw `TaskKilled` where the task waits, at its next turn; its `finally` blocks run."""
        if task.is_done:
            return
        task.throwing = TaskKilled(f"{task.name} was killed")
        if task is self.current:
            error, task.throwing = task.throwing, None
            raise error
        self.wake(task)

    def kill_all(self) -> None:
        """Kill each task that is left."""
        for task in [task for task in self.tasks if task is not self.current]:
            self.kill(task)

    # --- nodes that are struck ------------------------------------------------

    def kill_node(self, node: str) -> None:
        """Kill the tasks of a node; the one whose turn it is dies when it calls `obey`."""
        for task in self.tasks:
            if task.node == node and not task.is_done:
                task.throwing = TaskKilled(f"{node} was killed")
                self.wake(task)

    def stall(self, node: str) -> None:
        """Let no task of a node run until `resume`; the one whose turn it is stops at `obey`."""
        stalled = self._stalled[node] = []
        for task in self.tasks:
            if task.node == node and not task.is_done:
                if task.is_parked:
                    task.is_parked = False  # So that nobody can wake it.
                elif task in self.ready:
                    self.ready.remove(task)
                else:
                    continue
                stalled.append(task)

    def resume(self, node: str) -> None:
        """Let the tasks of a node run again; each looks anew for what it waits for."""
        self.ready.extend(self._stalled.pop(node, ()))

    def obey(self) -> None:
        """The task whose turn it is suffers what was done to its node.

        Only to be called where a program makes a call, not from a timer: a timer's callback
        runs in the greenlet of some task that has nothing to do with it.
        """
        task = self.current
        if task is None:
            return
        if task.throwing is not None:
            error, task.throwing = task.throwing, None
            raise error
        while task.node in self._stalled:
            self._stalled[task.node].append(task)
            self._switch(task)

    # --- turns ----------------------------------------------------------------

    def park(self, reason: object, deadline_ns: int | None = None) -> bool:
        """Wait until somebody wakes this task or the deadline has come; False if it has."""
        task = self.current
        if task is None:
            raise HarnessBug("only a task can wait, and this is none")
        task.reason = reason
        task.is_parked = True
        if deadline_ns is None:
            self._switch(task)
            return True
        task.deadline_ns = deadline_ns
        task.is_timed_out = False
        if task.alarm_ns is None or deadline_ns < task.alarm_ns:
            self._set_alarm(task, deadline_ns)
        try:
            self._switch(task)
        finally:
            task.deadline_ns = None
        return not task.is_timed_out

    def wake(self, task: Task) -> None:
        """Let a parked task run again; nothing happens to one that is not parked."""
        if task.is_parked:
            task.is_parked = False
            self.ready.append(task)

    def yield_turn(self) -> None:
        """Let all others run that can, then go on."""
        task = self.current
        if task is None:
            raise HarnessBug("only a task has a turn, and this is none")
        self.ready.append(task)
        self._switch(task)

    def sleep(self, duration_ns: int) -> None:
        """Wait in virtual time; not at all is a turn for the others."""
        if duration_ns <= 0:
            self.fruitless()
            return
        until_ns = self.now_ns + duration_ns
        while self.now_ns < until_ns and self.park("sleep", until_ns):
            pass

    def fruitless(self) -> None:
        """A call that did not wait has found nothing: time passes, and the others have a turn."""
        until_ns = self.now_ns + FRUITLESS_NS
        timers = self._timers
        while timers and timers[0][0] <= until_ns and self._fresh_steps:
            self._ring()
        if self.now_ns < until_ns:
            self.now_ns = until_ns
        if self.current is not None:
            self.yield_turn()

    @property
    def whose_turn(self) -> str:
        """The title of the task whose turn it is."""
        return "nobody" if self.current is None else self.current.title

    def _switch(self, task: Task | None) -> None:
        """Give up the turn; back when it comes again. The hub, which is no task, has it last.

        Whoever gives it up finds out who is next: the first of those that can run, or another
        by choice; if nobody can, timers ring until somebody does.
        """
        ready, timers = self.ready, self._timers
        self._steps_left -= 1
        while not ready and timers and self._fresh_steps:
            self._ring()
        if not ready or (self._steps_left <= 0 and not self._may_go_on(task)):
            chosen = None
        elif len(ready) == 1 or not (index := self._choose(len(ready), "who runs next")):
            chosen = ready.popleft()
        else:
            chosen = ready[index]
            del ready[index]
            self._choices.tell(f"{chosen.title} runs before {ready[0].title}")
        if chosen is not task:
            self.current = chosen
            next_greenlet = self._hub if chosen is None else chosen.greenlet
            # A greenlet begins as deep in the stack as whoever starts it: so the hub starts all.
            (next_greenlet or self._hub).switch()  # type: ignore[union-attr]
        if task is not None and task.throwing is not None:
            error, task.throwing = task.throwing, None
            raise error

    def _may_go_on(self, task: Task | None) -> bool:
        """No steps are left: whether that is neither an end of the run nor somebody spinning.

        For some more turns it is counted who takes them; whoever took most of them spins.
        """
        if not self._fresh_steps:
            return False
        if self._steps_left == 0:
            self._suspects.clear()
        if task is not None:
            self._suspects[task.number] = self._suspects.get(task.number, 0) + 1
        if self._steps_left > -SUSPECT_TURNS:
            return True
        number = max(self._suspects, key=self._suspects.__getitem__)
        self._spinner = next(task for task in self.tasks if task.number == number)
        return False

    def _end_run(self) -> None:
        self._fresh_steps = self._steps_left = 0  # So that the next switch looks.

    @property
    def progress(self) -> tuple[int, int]:
        """Another with each turn and with each timer."""
        return self._steps_left, self.now_ns

    def arrest(self) -> None:
        """End the run in the midst of a turn: the task whose turn it is spins.

        It only comes back to be killed.
        """
        self._spinner = self.current
        self._end_run()
        self.park("nothing: it was stopped")

    # --- timers ---------------------------------------------------------------

    def call_at(self, time_ns: int, callback: Callable[[], object]) -> Timer:
        """Call back at a time, or as soon as nobody can run if it has passed."""
        timer = Timer(time_ns, callback)
        heappush(self._timers, (time_ns, next(self._timer_numbers), None, timer))
        return timer

    def call_later(self, delay_ns: int, callback: Callable[[], object]) -> Timer:
        """Call back after a while."""
        return self.call_at(self.now_ns + delay_ns, callback)

    def push(self, time_ns: int, callback: Callable[[Any], object], argument: Any) -> None:
        """As `call_at`, cheaper, for a callback that need not be cancelled."""
        heappush(self._timers, (time_ns, next(self._timer_numbers), callback, argument))

    def _ring(self) -> None:
        """Take the next timer; the clock moves unless it was cancelled or rang too soon."""
        time_ns, _, callback, argument = heappop(self._timers)
        if callback is None and (callback := self._callback_of(argument, time_ns)) is None:
            return
        if time_ns > self.now_ns:
            self.now_ns = time_ns
        self._steps_left = self._fresh_steps
        try:
            callback(argument)
        except BaseException as error:
            # The task in whose greenlet this happens has nothing to do with it.
            self._failure = error
            self._end_run()

    def _callback_of(self, what: Task | Timer, time_ns: int) -> Callable[[Any], object] | None:
        """What happens at the alarm of a task, or at a timer; None if nothing does any more."""
        if type(what) is Timer:
            return Timer.ring if what.callback is not None else None
        assert type(what) is Task
        if what.alarm_ns != time_ns:
            return None
        what.alarm_ns = None
        deadline_ns = what.deadline_ns
        if deadline_ns is None or not what.is_parked:
            return None
        if deadline_ns > time_ns:
            self._set_alarm(what, deadline_ns)
            return None
        return self._time_out

    def _set_alarm(self, task: Task, deadline_ns: int) -> None:
        task.alarm_ns = deadline_ns
        heappush(self._timers, (deadline_ns, next(self._timer_numbers), None, task))

    def _time_out(self, task: Task) -> None:
        task.is_timed_out = True
        self.wake(task)

    # --- the hub --------------------------------------------------------------

    def stop(self) -> None:
        """Let `run()` return; it can be called again to go on."""
        self._is_stopping = True
        self._end_run()

    def run(self) -> Outcome:
        """Run until nobody can; see `Outcome`.

        Raises:
            HarnessBug: A timer's callback raised, or this is called inside a task.
            KeyboardInterrupt: Ctrl-C came while a timer rang.
        """
        if self.current is not None:
            raise HarnessBug("run() was called by a task; it belongs to the hub")
        self._hub = getcurrent()
        self._is_stopping = False
        self._spinner = None
        self._fresh_steps = self._steps_left = self._step_limit
        while True:
            self._switch(None)
            while self.current is not None:  # It has not begun.
                self.current.greenlet.switch()
            if self._failure is not None:
                failure, self._failure = self._failure, None
                if isinstance(failure, KeyboardInterrupt):
                    raise failure
                raise HarnessBug(f"a timer failed at {self.now_ns} ns: {failure!r}") from failure
            if not self._ended:
                return self._outcome()  # Whoever had the turn last found nobody to give it to.
            for task in self._ended:
                task.greenlet = None
                self.tasks.remove(task)
            self._ended.clear()

    def dispose(self) -> None:
        """No timer rings any more."""
        self._timers.clear()
        self._hub = None

    def _outcome(self) -> Outcome:
        waiting = tuple(
            Waiting(task.name, task.node, str(task.reason)) for task in self.tasks if task.is_parked
        )
        if self._spinner is not None:
            name = f"{self._spinner.name} of {self._spinner.node}"
            return Outcome("spinning", self.now_ns, waiting, name)
        if self._is_stopping:
            return Outcome("stopped", self.now_ns, waiting)
        return Outcome("deadlock" if waiting else "finished", self.now_ns, waiting)
