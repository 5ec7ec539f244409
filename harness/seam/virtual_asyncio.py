"""Coroutines of a simulated node run in virtual time: asyncio's event loop, and what it waits on.

A loop that a simulated node makes, whoever makes it and however (`asyncio.run`, `Runner`,
`new_event_loop`, a policy, `SelectorEventLoop()` itself), becomes a virtual one when it is
initialized. That one place is the same in all versions of Python; loops of everybody else
stay as they are. A virtual loop waits in a `VirtualSelector`: its task parks until a command
comes in for one of the simulated sockets behind the registered descriptors, or until the
next timer of the loop, on the clock of the run.

**Running loops.** asyncio keeps the running loop, and in new versions its current task, for
each thread of the operating system, and here all nodes share one. Any call of a coroutine may
switch to another task: the loop's own select, but also a blocking receive, or a receive that
does not block and finds nothing. So the scheduler of a run in which there is a loop sets what
is running aside around each switch, and takes it up again. A run without loops pays nothing.

**Order.** asyncio keeps tasks in sets, whose order is that of their hashes, which would be
addresses. Tasks and futures of a virtual loop have running numbers for hashes.

Not here: real descriptors, signals, name resolution and child processes, which are refused by
name; loops that are not asyncio's own, such as uvloop's, which nobody can tell the time.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from asyncio import events as asyncio_events, selector_events, tasks as asyncio_tasks
from collections.abc import Callable
from functools import cache
from itertools import count
from math import ceil
from selectors import EVENT_READ, SelectorKey, _BaseSelectorImpl
from typing import TYPE_CHECKING, Any

from ..simulation.constants import ETERM
from ..simulation.scheduler import TaskKilled
from ..simulation.sockets.base import FIRST_DESCRIPTOR
from . import seat as seats
from .simulating import SimulatingTap
from .simulating_seat import SimulatingSeat
from .virtual_time import UPTIME_S

if TYPE_CHECKING:
    from ..simulation.scheduler import Scheduler, Task
    from ..simulation.sockets.base import Socket

_S = 1_000_000_000


def _seat() -> SimulatingSeat | None:
    seat = seats.current()
    return seat if isinstance(seat, SimulatingSeat) else None


# --- waiting ------------------------------------------------------------------


class VirtualSelector(_BaseSelectorImpl):
    """Waits, in virtual time, for the simulated sockets of one node.

    A descriptor is readable while its socket has commands that its owner has not seen: that
    is libzmq's rule, and makes it an edge (5.1.4). Programs that use `selectors` without
    asyncio get one too.
    """

    def __init__(self, seat: SimulatingSeat) -> None:
        super().__init__()
        self._seat = seat
        self._scheduler = seat.scheduler
        self._watched: dict[int, tuple[SelectorKey, Socket]] = {}
        # Whose end was told. Once: libzmq's descriptor stays readable then, and a loop that
        # waits for it turns as fast as it can, which tells nobody more.
        self._told: set[int] = set()
        self._sleeper: Task | None = None
        self._is_woken = False

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        key = super().register(fileobj, events, data)
        socket = self._find(key.fd)
        if socket is None:
            super().unregister(fileobj)
            self._seat.refuse(
                f"a selector waiting for the descriptor {key.fd}",
                "a real descriptor would not know the time",
            )
        self._watched[key.fd] = key, socket
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        key = super().unregister(fileobj)
        del self._watched[key.fd]
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        scheduler = self._scheduler
        is_woken, self._is_woken = self._is_woken, False
        if is_woken or self._look() or (timeout is not None and timeout <= 0):
            # Even so the others have a turn and a little time passes: a loop that has always
            # something to do, like any busy loop, must not stop the world.
            scheduler.fruitless()
            return self._look()
        # Rounded up, so that the loop does not wake a nanosecond early and turn once more.
        deadline_ns = None if timeout is None else scheduler.now_ns + ceil(timeout * _S)
        task = scheduler.current
        assert task is not None, "an event loop that waits, outside of any task"
        sockets = [socket for _, socket in self._watched.values()]
        for socket in sockets:
            socket.waiters.append(task)
        self._sleeper = task
        try:
            while True:
                in_time = scheduler.park(self, deadline_ns)
                found = self._look()
                if found or self._is_woken or not in_time:
                    return found
        finally:
            self._sleeper = None
            self._is_woken = False
            for socket in sockets:
                socket.waiters.remove(task)

    def wake(self) -> None:
        """Let the loop look at what it has to do: somebody else has given it something."""
        self._is_woken = True
        if self._sleeper is not None:
            self._scheduler.wake(self._sleeper)

    def _look(self) -> list[tuple[SelectorKey, int]]:
        found = []
        for key, socket in self._watched.values():
            is_readable = bool(socket.mailbox)
            if socket.refusal == ETERM and not self._seat.stopping and key.fd not in self._told:
                self._told.add(key.fd)
                is_readable = True
            if is_readable and key.events & EVENT_READ:
                found.append((key, EVENT_READ))
        return found

    def _find(self, fd: int) -> Socket | None:
        """The socket behind a descriptor of this node; the newest, where there are several."""
        for tap in reversed(self._seat.taps):
            if isinstance(tap, SimulatingTap) and FIRST_DESCRIPTOR + tap.core.number == fd:
                return tap.core
        return None

    def __str__(self) -> str:
        """Why the task of the loop waits, in words."""
        sockets = ", ".join(str(socket) for _, socket in self._watched.values())
        return f"a selector, for {sockets or 'its timers'}"


_real_selector: Any = selectors.DefaultSelector


def _default_selector() -> Any:
    seat = _seat()
    return _real_selector() if seat is None else VirtualSelector(seat)


# --- the loop -----------------------------------------------------------------


class _Numbered:
    """What has a running number for a hash; equal it is only to itself, as ever."""

    _serial: int

    def __hash__(self) -> int:
        return self._serial


class VirtualTask(_Numbered, asyncio.Task):  # type: ignore[type-arg]
    """A task of a virtual loop."""

    def __init__(self, coro: Any, *, loop: VirtualLoop, **keywords: Any) -> None:
        self._serial = next(loop.numbers)
        super().__init__(coro, loop=loop, **keywords)


class VirtualFuture(_Numbered, asyncio.Future):  # type: ignore[type-arg]
    """A future of a virtual loop; of any other it is an ordinary one."""

    def __init__(self, *, loop: Any = None) -> None:
        super().__init__(loop=loop)
        numbers = getattr(self.get_loop(), "numbers", None)
        self._serial = id(self) if numbers is None else next(numbers)


if TYPE_CHECKING:
    _Loop = asyncio.SelectorEventLoop
else:
    _Loop = object


class VirtualLoop(_Loop):
    """What makes an event loop of asyncio a virtual one; stands in front of its class.

    Attributes:
        numbers: The running numbers of its tasks and futures.
    """

    numbers: count[int]
    _selector: VirtualSelector
    _seat: SimulatingSeat

    def time(self) -> float:
        return UPTIME_S + self._seat.scheduler.now_ns / _S

    # --- what others give it --------------------------------------------------

    # The pipe through which a loop is woken is a pair of real sockets. The virtual selector
    # can be woken by name.

    def _make_self_pipe(self) -> None:
        pass

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        if not self.is_closed():
            self._selector.wake()

    def cancel_all(self) -> None:
        """Cancel all that runs here: a future of zmq.asyncio does not hear of the end of its
        context, so nothing else would end it."""
        if not self.is_closed():
            self.call_soon_threadsafe(self._cancel_all)

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self):
            task.cancel()

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        # A look that zmq.asyncio takes at a new socket comes too late when the node is told to end.
        seat = _seat()
        error = context.get("exception")
        if seat is None or not seat.stopping or getattr(error, "errno", None) != ETERM:
            super().default_exception_handler(context)

    # --- what it makes --------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return VirtualFuture(loop=self)

    def create_task(self, coro: Any, **keywords: Any) -> Any:
        if self.get_task_factory() is not None:
            return super().create_task(coro, **keywords)
        self._check_closed()  # type: ignore[attr-defined]
        if keywords.get("name") is None:
            keywords["name"] = f"Task-{next(self._seat.task_numbers)}"
        return VirtualTask(coro, loop=self, **keywords)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        """Each call gets a virtual thread, at once.

        asyncio has as many threads as the machine has cores, and a few; on that no run may
        depend, so there is no limit.
        """
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        self._check_closed()  # type: ignore[attr-defined]
        self._check_default_executor()  # type: ignore[attr-defined]
        future = self.create_future()

        def work() -> None:
            result, error = None, None
            try:
                result = func(*args)
            except TaskKilled:
                raise
            except BaseException as raised:
                error = raised
            if not self.is_closed():
                self.call_soon_threadsafe(_settle, future, result, error)

        name = f"asyncio_{next(self._seat.executor_numbers)}"
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._at_work()[future] = None
        future.add_done_callback(lambda done: self._at_work().pop(done, None))
        thread.start()
        return future

    def _at_work(self) -> dict[asyncio.Future[Any], None]:
        """The calls that are in threads, in order."""
        found: dict[asyncio.Future[Any], None] = vars(self).setdefault("_virtual_calls", {})
        return found

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._executor_shutdown_called = True
        if self._at_work():
            await asyncio.wait(list(self._at_work()), timeout=timeout)

    # --- what is refused --------------------------------------------------------

    def add_signal_handler(self, *args: Any) -> None:  # type: ignore[override]
        self._seat.refuse("loop.add_signal_handler()", "nobody sends a simulated node signals")

    async def getaddrinfo(self, *args: Any, **keywords: Any) -> Any:
        self._seat.refuse("loop.getaddrinfo()", "there are no names but those of ZeroMQ")

    async def getnameinfo(self, *args: Any, **keywords: Any) -> Any:
        self._seat.refuse("loop.getnameinfo()", "there are no names but those of ZeroMQ")

    async def subprocess_exec(self, *args: Any, **keywords: Any) -> Any:
        self._seat.refuse("loop.subprocess_exec()", "a process has a time of its own")

    async def subprocess_shell(self, *args: Any, **keywords: Any) -> Any:
        self._seat.refuse("loop.subprocess_shell()", "a process has a time of its own")


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


@cache
def _virtual(kind: type) -> type:
    """The virtual form of a class of loops."""
    return type(kind.__name__, (VirtualLoop, kind), {})


_real_init: Any = selector_events.BaseSelectorEventLoop.__init__


def _init(self: Any, selector: Any = None) -> None:
    """`BaseSelectorEventLoop.__init__`: a loop that a simulated node makes becomes virtual."""
    seat = _seat()
    if seat is None:
        _real_init(self, selector)
        return
    if selector is not None:
        selector.close()  # It is the loop's to close, and which one it is changes nothing.
    kind: Any = type(self)
    self.__class__ = _virtual(kind)
    self._seat = seat
    self.numbers = count(1)
    seat.event_loops.append(self)
    _keep_apart(seat.scheduler)
    _real_init(self, VirtualSelector(seat))


# --- whose loop it is -----------------------------------------------------------

_IS_TASK_OF_THREAD: bool = sys.version_info >= (3, 14)
"""Whether asyncio keeps the current task for each thread; before, it does for each loop."""


def _keep_apart(scheduler: Scheduler) -> None:
    """From now on the tasks of this run each have a running loop of their own."""
    if "_switch" in vars(scheduler):
        return
    switch = scheduler._switch

    def switch_aside(turn_of: Task | None) -> None:
        loop = asyncio._get_running_loop()
        if loop is None:
            switch(turn_of)
            return
        aside = _set_aside(loop)
        try:
            switch(turn_of)
        finally:
            _take_up(loop, *aside)

    vars(scheduler)["_switch"] = switch_aside


_swap_current_task: Any = getattr(asyncio_tasks, "_swap_current_task", None)


def _set_aside(loop: asyncio.AbstractEventLoop) -> tuple[Any, Any]:
    task = asyncio.current_task(loop) if _IS_TASK_OF_THREAD else None
    if task is not None:
        _swap_current_task(loop, None)
    asyncio._set_running_loop(None)
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    return task, hooks


def _take_up(loop: asyncio.AbstractEventLoop, task: Any, hooks: Any) -> None:
    asyncio._set_running_loop(loop)
    if task is not None:
        _swap_current_task(loop, task)
    sys.set_asyncgen_hooks(*hooks)


_MAKES_LOOPS: bool = sys.version_info < (3, 14)

_Policy: Any = getattr(
    asyncio_events, "BaseDefaultEventLoopPolicy" if _MAKES_LOOPS else "_BaseDefaultEventLoopPolicy"
)
_real_get: Any = _Policy.get_event_loop
_real_set: Any = _Policy.set_event_loop
_LOOP = "event loop"
"""Under which a task keeps the loop that `set_event_loop` gave it."""


def _get_event_loop(self: Any) -> Any:
    """The loop of this task, and not of the thread that all tasks share."""
    seat = _seat()
    task = None if seat is None else seat.scheduler.current
    if task is None:
        return _real_get(self)
    if _LOOP not in task.local and _MAKES_LOOPS and task.name == task.node:
        task.local[_LOOP] = self.new_event_loop()  # As in the main thread of a process.
    if task.local.get(_LOOP) is None:
        name = threading.current_thread().name
        raise RuntimeError(f"There is no current event loop in thread {name!r}.")
    return task.local[_LOOP]


def _set_event_loop(self: Any, loop: Any) -> None:
    seat = _seat()
    task = None if seat is None else seat.scheduler.current
    if task is None:
        _real_set(self, loop)
    else:
        task.local[_LOOP] = loop


ATTRIBUTES: list[tuple[Any, str, Any]] = [
    (selector_events.BaseSelectorEventLoop, "__init__", _init),
    (selectors, "DefaultSelector", _default_selector),
    (_Policy, "get_event_loop", _get_event_loop),
    (_Policy, "set_event_loop", _set_event_loop),
]


def attributes() -> list[tuple[Any, str, Any]]:
    """What is patched; the futures of zmq.asyncio too, where it is used."""
    zmq_asyncio = sys.modules.get("zmq.asyncio")
    if zmq_asyncio is None:
        return ATTRIBUTES
    return [*ATTRIBUTES, (zmq_asyncio._AsyncIO, "_Future", VirtualFuture)]
