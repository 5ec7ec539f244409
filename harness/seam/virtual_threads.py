"""Threads of a simulated node: each is a task of its, and has values of its own."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import mixins, seat as seats
from .simulating_seat import SimulatingSeat
from .virtual_locks import scheduler_here

if TYPE_CHECKING:
    from ..simulation.scheduler import Task

_real_start: Any = mixins.start
_real_join: Any = threading.Thread.join
_real_is_alive: Any = threading.Thread.is_alive
_real_current_thread = threading.current_thread
_real_get_ident = threading.get_ident
_real_get_native_id = threading.get_native_id
_real_enumerate = threading.enumerate
_real_main_thread = threading.main_thread


def _start(self: threading.Thread) -> None:
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        _real_start(self)
        return
    if self._started.is_set():  # type: ignore[attr-defined]
        raise RuntimeError("threads can only be started once")
    done = threading.Event()

    def body() -> None:
        with seats.seated(seat):
            try:
                self.run()
            except SystemExit:
                pass
            except Exception as error:
                if not seat.stopping:
                    seat.crashed(error)
            finally:
                done.set()

    self._started.set()  # type: ignore[attr-defined]
    self._reqrep_done = done  # type: ignore[attr-defined]
    task = seat.scheduler.spawn(self.name, seat.node, body)
    _lend(self, task)
    seat.tasks.append(task)


def _join(self: threading.Thread, timeout: float | None = None) -> None:
    done = getattr(self, "_reqrep_done", None)
    if done is None:
        _real_join(self, timeout)
    else:
        done.wait(timeout)


def _is_alive(self: threading.Thread) -> bool:
    done = getattr(self, "_reqrep_done", None)
    if done is None:
        alive: bool = _real_is_alive(self)
        return alive
    return not done.is_set()


def _lend(thread: threading.Thread, task: Task) -> None:
    """Let a thread be that of a task, and know it, as a real one does when it begins."""
    task.local["thread"] = thread
    thread._ident = thread._native_id = _ident_of(task)  # type: ignore[attr-defined]


def _thread_of(task: Task) -> threading.Thread:
    thread = task.local.get("thread")
    if thread is None:
        thread = threading.Thread(name=task.name, daemon=True)
        thread._started.set()  # type: ignore[attr-defined]
        thread._reqrep_done = threading.Event()  # type: ignore[attr-defined]
        _lend(thread, task)
    found: threading.Thread = thread
    return found


def _current_thread() -> threading.Thread:
    scheduler = scheduler_here()
    task = scheduler.current if scheduler is not None else None
    return _real_current_thread() if task is None else _thread_of(task)


def _tasks_here() -> list[Task] | None:
    """Those of the simulated node whose turn it is, its main one first; None outside of one."""
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        return None
    return [task for task in seat.scheduler.tasks if task.node == seat.node and not task.is_done]


def _enumerate() -> list[threading.Thread]:
    tasks = _tasks_here()
    if tasks is None:
        return _real_enumerate()
    return [thread for thread in map(_thread_of, tasks) if thread.is_alive()]


def _active_count() -> int:
    return len(_enumerate())


def _main_thread() -> threading.Thread:
    tasks = _tasks_here()
    return _thread_of(tasks[0]) if tasks else _real_main_thread()


_real_newname: Any = threading._newname  # type: ignore[attr-defined]


def _newname(template: str = "Thread-%d") -> Any:
    """The names of threads count within their node: what ran before must not show in them."""
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        return _real_newname(template)
    return template % next(seat.thread_numbers)


def _ident_of(task: Task) -> int:
    return 1 + task.number


def _identity(real: Callable[[], int]) -> Callable[[], int]:
    def virtual() -> int:
        scheduler = scheduler_here()
        task = scheduler.current if scheduler is not None else None
        return real() if task is None else _ident_of(task)

    return virtual


_get_ident = _identity(_real_get_ident)


_real_local: Any = threading.local


class VirtualLocal:
    """`threading.local` of a simulated node: each task has values of its own.

    One that was made before the run is found where it stands at the top of a module, see
    `early_locals`. Elsewhere, as in the attribute of an object from before the run, it stays a
    real one, which all tasks share; so does a class that was derived from it then.
    """

    __slots__ = ("_values",)

    def __new__(cls) -> Any:
        if cls is VirtualLocal and scheduler_here() is None:
            return _real_local()
        self = super().__new__(cls)
        object.__setattr__(self, "_values", {})
        return self

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return self._own()

    def _own(self) -> dict[str, Any]:
        values: dict[int, dict[str, Any]] = object.__getattribute__(self, "_values")
        return values.setdefault(_get_ident(), {})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._own()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._own()[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self._own()[name]
        except KeyError:
            raise AttributeError(name) from None


class EarlyLocal(VirtualLocal):
    """Stands for a `threading.local` from before the run, which it is for everybody else."""

    __slots__ = ("_real",)

    def __init__(self, real: threading.local) -> None:
        object.__setattr__(self, "_real", real)

    def __new__(cls, real: threading.local) -> Any:
        return super().__new__(cls)

    def _own(self) -> dict[str, Any]:
        if scheduler_here() is None:
            real: threading.local = object.__getattribute__(self, "_real")
            return real.__dict__
        return super()._own()


_locals_of: dict[str, list[str]] = {}


def early_locals() -> list[tuple[Any, str, Any]]:
    """Where a module holds a `threading.local` by a name; each module is looked through once."""
    found = []
    stand_ins: dict[int, EarlyLocal] = {}
    for name, module in list(sys.modules.items()):
        if module is None:
            continue
        attributes = _locals_of.get(name)
        if attributes is None:
            attributes = _locals_of[name] = [
                attribute
                for attribute, value in list(vars(module).items())
                if type(value) is _real_local
            ]
        for attribute in attributes:
            value: Any = vars(module).get(attribute)
            if type(value) is _real_local:
                stand_in = stand_ins.setdefault(id(value), EarlyLocal(value))
                found.append((module, attribute, stand_in))
    return found


# --- queues -----------------------------------------------------------------

_real_simple_queue: Any = queue.SimpleQueue
_python_simple_queue: Any = queue._PySimpleQueue  # type: ignore[attr-defined]


def _simple_queue() -> Any:
    return _real_simple_queue() if scheduler_here() is None else _python_simple_queue()


ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (threading, "local", VirtualLocal),
    (threading, "current_thread", _current_thread),
    (threading, "_newname", _newname),
    (threading, "get_ident", _get_ident),
    (threading, "get_native_id", _identity(_real_get_native_id)),
    (threading, "enumerate", _enumerate),
    (threading, "active_count", _active_count),
    (threading, "main_thread", _main_thread),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
    (threading.Thread, "is_alive", _is_alive),
    (queue, "SimpleQueue", _simple_queue),
)
