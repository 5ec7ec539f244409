"""Locks of simulated nodes: who waits for one waits in virtual time.

A lock may be older than the run, or outlive it, as those of logging's handlers and those at the
top of a module do. So each is two: a virtual one for whoever is in a simulated node, which
nobody holds when a run begins, and the real one for everybody else. Events, conditions,
semaphores and queues are made of locks and need nothing of their own.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import seat as seats
from .simulating_seat import SimulatingSeat

if TYPE_CHECKING:
    from ..simulation.scheduler import Scheduler, Task

_S = 1_000_000_000

_real_lock = threading.Lock
_real_rlock = threading.RLock
_LOCK, _RLOCK = type(_real_lock()), type(_real_rlock())


def scheduler_here() -> Scheduler | None:
    """That of the simulated node whose turn it is; None outside of one."""
    seat = seats.current()
    return seat.scheduler if isinstance(seat, SimulatingSeat) else None


def _turn() -> Scheduler | None:
    """That of the task whose turn it is: what is in no task cannot wait in virtual time."""
    scheduler = scheduler_here()
    return scheduler if scheduler is not None and scheduler.current is not None else None


class VirtualLock:
    """`threading.Lock` of a simulated node.

    Args:
        real: What it is for everybody else; None makes one.
    """

    def __init__(self, real: Any = None) -> None:
        self._real: Any = _real_lock() if real is None else real
        self._scheduler: Scheduler | None = None
        self._is_locked = False
        self._waiting: deque[Task] = deque()

    def _enter(self, scheduler: Scheduler) -> None:
        if scheduler is not self._scheduler:
            self._scheduler = scheduler
            self._is_locked = False
            self._waiting = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        scheduler = _turn()
        if scheduler is None:
            return bool(self._real.acquire(blocking, timeout))
        self._enter(scheduler)
        if not self._is_locked:
            self._is_locked = True
            return True
        if not blocking or timeout == 0:
            scheduler.fruitless()
            return False
        deadline_ns = None if timeout < 0 else scheduler.now_ns + int(timeout * _S)
        task = scheduler.current
        assert task is not None
        self._waiting.append(task)
        try:
            while self._is_locked:
                if not scheduler.park("acquire a lock", deadline_ns):
                    return False
        finally:
            self._waiting.remove(task)
        self._is_locked = True
        return True

    def release(self) -> None:
        scheduler = _turn()
        if scheduler is None:
            self._real.release()
            return
        self._enter(scheduler)
        if not self._is_locked:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        for task in self._waiting:
            scheduler.wake(task)

    def locked(self) -> bool:
        scheduler = _turn()
        if scheduler is None:
            return bool(self._real.locked())
        return self._is_locked and scheduler is self._scheduler

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()


class VirtualRLock(VirtualLock):
    """`threading.RLock` of a simulated node.

    Args:
        real: What it is for everybody else; None makes one.
    """

    def __init__(self, real: Any = None) -> None:
        super().__init__(_real_rlock() if real is None else real)
        self._owner: Task | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        scheduler = _turn()
        if scheduler is not None and self._is_owned():
            self._depth += 1
            return True
        if not super().acquire(blocking, timeout):
            return False
        if scheduler is not None:
            self._owner, self._depth = scheduler.current, 1
        return True

    def release(self) -> None:
        if _turn() is not None:
            if not self._is_owned():
                raise RuntimeError("cannot release un-acquired lock")
            self._depth -= 1
            if self._depth:
                return
            self._owner = None
        super().release()

    # What `threading.Condition` asks of a lock that may be held several times over.

    def _is_owned(self) -> bool:
        scheduler = _turn()
        if scheduler is None:
            return bool(self._real._is_owned())
        return self._owner is not None and self._owner is scheduler.current

    def _release_save(self) -> Any:
        if _turn() is None:
            return self._real._release_save()
        state = self._depth, self._owner
        self._depth, self._owner = 0, None
        super().release()
        return state

    def _acquire_restore(self, state: Any) -> None:
        if _turn() is None:
            self._real._acquire_restore(state)
            return
        super().acquire()
        self._depth, self._owner = state


def lock() -> Any:
    """What stands for `threading.Lock`."""
    return _real_lock() if scheduler_here() is None else VirtualLock()


def rlock() -> Any:
    """What stands for `threading.RLock`."""
    return _real_rlock() if scheduler_here() is None else VirtualRLock()


ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (threading, "Lock", lock),
    (threading, "_allocate_lock", lock),
    (threading, "RLock", rlock),
)


# --- locks from before the run ------------------------------------------------

_STAND_INS: dict[type, type] = {_LOCK: VirtualLock, _RLOCK: VirtualRLock}
_held_by: dict[str, tuple[Any, list[tuple[Any, str]]]] = {}
"""By the name of a module: the module that was looked through, and where it holds locks."""


def early_locks() -> list[tuple[Any, str, Any]]:
    """Where a module, or a class at its top, holds a lock by a name.

    Each module is looked through once. Those of the standard library are left out: nobody waits
    for anything else while holding one. A lock in an object from before the run stays real.
    """
    stand_ins: dict[int, Any] = {}
    found = []
    for name, module in list(sys.modules.items()):
        known, holders = _held_by.get(name, (None, []))
        if known is not module:
            holders = list(_holders(name, module))
            _held_by[name] = module, holders
        for owner, attribute in holders:
            value = vars(owner).get(attribute)
            stand_in = _STAND_INS.get(type(value))
            if stand_in is not None:
                found.append((owner, attribute, stand_ins.setdefault(id(value), stand_in(value))))
    return found


def _holders(name: str, module: Any) -> Iterator[tuple[Any, str]]:
    package = name.partition(".")[0]
    if module is None or package in sys.stdlib_module_names or package == "reqrep":
        return
    for attribute, value in list(vars(module).items()):
        if type(value) in _STAND_INS:
            yield module, attribute
        elif isinstance(value, type) and value.__module__ == name:
            for inner, each in list(vars(value).items()):
                if type(each) in _STAND_INS:
                    yield value, inner
