"""Time, threads and chance of a simulated node: what the standard library gives it instead.

Each stand-in asks whose turn it is. In a simulated node it answers from the run; for
everybody else it is the function that it stands for. Names that were imported early are
found by identity in all modules and re-pointed too.

*Time* is the scheduler's. A *thread* is a task of its node; locks, and so events,
conditions and queues, which are made of them, wait in virtual time. *Chance* comes from
the seed of the run. What would block the one real thread there is, is refused by name.
"""

from __future__ import annotations

import _thread
import os
import queue
import random
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from . import mixins, seat as seats
from .simulating import SimulatingSeat

if TYPE_CHECKING:
    from ..simulation.scheduler import Scheduler, Task

EPOCH_S = 1_767_225_600
"""What `time.time()` says when a simulation begins: the first second of 2026."""

UPTIME_S = 1_000
"""What `time.monotonic()` says then: not zero, which real programs never see."""

_S = 1_000_000_000


def _scheduler() -> Scheduler | None:
    seat = seats.current()
    return seat.scheduler if isinstance(seat, SimulatingSeat) else None


# --- time -------------------------------------------------------------------


def _clock(real: Callable[[], Any], offset_s: int, *, in_ns: bool) -> Callable[[], Any]:
    is_wall = offset_s == EPOCH_S

    def virtual() -> Any:
        seat = seats.current()
        if not isinstance(seat, SimulatingSeat):
            return real()
        now_ns = seat.scheduler.now_ns + offset_s * _S
        if is_wall:
            now_ns += seat.skew_ns
        return now_ns if in_ns else now_ns / _S

    return virtual


_real_sleep = time.sleep


def _sleep(seconds: float) -> None:
    scheduler = _scheduler()
    if scheduler is None:
        _real_sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    scheduler.sleep(int(seconds * _S))


# --- locks ------------------------------------------------------------------


class VirtualLock:
    """`threading.Lock` of a simulated node."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._is_locked = False
        self._waiting: deque[Task] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._is_locked:
            self._is_locked = True
            return True
        if not blocking or timeout == 0:
            self._scheduler.fruitless()
            return False
        scheduler = self._scheduler
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
        if not self._is_locked:
            raise RuntimeError("release unlocked lock")
        self._is_locked = False
        for task in self._waiting:
            self._scheduler.wake(task)

    def locked(self) -> bool:
        return self._is_locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class VirtualRLock:
    """`threading.RLock` of a simulated node."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._lock = VirtualLock(scheduler)
        self._scheduler = scheduler
        self._owner: Task | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._owner is not None and self._owner is self._scheduler.current:
            self._depth += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner = self._scheduler.current
        self._depth = 1
        return True

    def release(self) -> None:
        if not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock")
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    # What `threading.Condition` asks of a lock that may be held several times over.

    def _is_owned(self) -> bool:
        return self._owner is not None and self._owner is self._scheduler.current

    def _release_save(self) -> tuple[int, Task | None]:
        state = self._depth, self._owner
        self._depth, self._owner = 0, None
        self._lock.release()
        return state

    def _acquire_restore(self, state: tuple[int, Task | None]) -> None:
        self._lock.acquire()
        self._depth, self._owner = state


_real_lock = threading.Lock
_real_rlock = threading.RLock
_real_simple_queue: Any = queue.SimpleQueue
_python_simple_queue: Any = queue._PySimpleQueue  # type: ignore[attr-defined]


def _lock() -> Any:
    scheduler = _scheduler()
    return _real_lock() if scheduler is None else VirtualLock(scheduler)


def _rlock() -> Any:
    scheduler = _scheduler()
    return _real_rlock() if scheduler is None else VirtualRLock(scheduler)


def _simple_queue() -> Any:
    return _real_simple_queue() if _scheduler() is None else _python_simple_queue()


# --- threads ----------------------------------------------------------------

_real_start: Any = mixins.start
_real_join: Any = threading.Thread.join
_real_is_alive: Any = threading.Thread.is_alive
_real_current_thread = threading.current_thread
_real_get_ident = threading.get_ident


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
            task = seat.scheduler.current
            assert task is not None
            task.local["thread"] = self
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
    seat.tasks.append(seat.scheduler.spawn(self.name, seat.node, body))


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


def _current_thread() -> threading.Thread:
    scheduler = _scheduler()
    task = scheduler.current if scheduler is not None else None
    if task is None:
        return _real_current_thread()
    thread = task.local.get("thread")
    if thread is None:
        thread = task.local["thread"] = threading.Thread(name=task.name, daemon=True)
        thread._started.set()  # type: ignore[attr-defined]
        thread._reqrep_done = threading.Event()  # type: ignore[attr-defined]
    found: threading.Thread = thread
    return found


_real_newname: Any = threading._newname  # type: ignore[attr-defined]


def _newname(template: str = "Thread-%d") -> Any:
    """The names of threads count within their node: what ran before must not show in them."""
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        return _real_newname(template)
    return template % next(seat.thread_numbers)


def _get_ident() -> int:
    scheduler = _scheduler()
    task = scheduler.current if scheduler is not None else None
    return _real_get_ident() if task is None else 1 + task.number


_real_local: Any = threading.local


class VirtualLocal:
    """`threading.local` of a simulated node: each task has values of its own.

    One that was made before the run is found where it stands at the top of a module, see
    `early_locals`. Elsewhere, as in the attribute of an object from before the run, it stays a
    real one, which all tasks share; so does a class that was derived from it then.
    """

    __slots__ = ("_values",)

    def __new__(cls) -> Any:
        if cls is VirtualLocal and _scheduler() is None:
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
        if _scheduler() is None:
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


# --- chance -----------------------------------------------------------------

_real_urandom = os.urandom
_real_seed: Any = random.Random.seed
_entropy: random.Random | None = None  # Made when it is asked.
_entropy_seed = 0


def _chance() -> random.Random:
    global _entropy
    if _entropy is None:
        _entropy = random.Random(f"entropy/{_entropy_seed}")
    return _entropy


def _urandom(size: int) -> bytes:
    return _real_urandom(size) if _scheduler() is None else _chance().randbytes(size)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and _scheduler() is not None:
        a = _chance().getrandbits(64)
    _real_seed(self, a, version)


HARDWARE_ADDRESS = 0x02_00_00_00_00_01
"""What `uuid.getnode()` says: one that no manufacturer gives out."""

_real_getnode = uuid.getnode
_real_uuid1 = uuid.uuid1
# The times of the last ids that were made of a time, by which `uuid` never gives one twice.
_LAST_TIMES = [name for name in vars(uuid) if name.startswith("_last_timestamp")]


def _getnode() -> int:
    return _real_getnode() if _scheduler() is None else HARDWARE_ADDRESS


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    if _scheduler() is not None:
        # With both given, the system's own generator is not asked.
        node = HARDWARE_ADDRESS if node is None else node
        clock_seq = _chance().getrandbits(14) if clock_seq is None else clock_seq
    return _real_uuid1(node, clock_seq)


def begin_chance(seed: int) -> None:
    """From now on all chance comes from a seed."""
    global _entropy, _entropy_seed
    _entropy, _entropy_seed = None, seed
    random.seed(seed)
    vars(uuid).update(dict.fromkeys(_LAST_TIMES))


def keep_chance() -> Callable[[], None]:
    """Keep where the global generator is; returns what lets it go on there."""
    state = random.getstate()
    times = {name: vars(uuid)[name] for name in _LAST_TIMES}

    def restore() -> None:
        random.setstate(state)
        vars(uuid).update(times)

    return restore


# --- what is refused --------------------------------------------------------


def _refusing(real: Any, what: str, why: str) -> Any:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        seat = seats.current()
        if isinstance(seat, SimulatingSeat):
            seat.refuse(what, why)
        return real(*arguments, **keywords)

    return refuse


_BLOCKS = "it would block the one thread that all nodes share"
_PROCESS = "a process has a time of its own"
_THREAD = "its threads are real ones"


def _refused(owner: Any, names: Iterable[str], what: str, why: str) -> list[tuple[Any, str, Any]]:
    """Patches that refuse those of some functions that there are."""
    return [
        (owner, name, _refusing(vars(owner)[name], f"{what}.{name}()", why))
        for name in names
        if name in vars(owner)
    ]


# --- the list ---------------------------------------------------------------

ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (time, "sleep", _sleep),
    (time, "time", _clock(time.time, EPOCH_S, in_ns=False)),
    (time, "time_ns", _clock(time.time_ns, EPOCH_S, in_ns=True)),
    (time, "monotonic", _clock(time.monotonic, UPTIME_S, in_ns=False)),
    (time, "monotonic_ns", _clock(time.monotonic_ns, UPTIME_S, in_ns=True)),
    (time, "perf_counter", _clock(time.perf_counter, UPTIME_S, in_ns=False)),
    (time, "perf_counter_ns", _clock(time.perf_counter_ns, UPTIME_S, in_ns=True)),
    (threading, "Lock", _lock),
    (threading, "_allocate_lock", _lock),
    (threading, "RLock", _rlock),
    (threading, "local", VirtualLocal),
    (threading, "current_thread", _current_thread),
    (threading, "_newname", _newname),
    (threading, "get_ident", _get_ident),
    (threading.Thread, "start", _start),
    (threading.Thread, "join", _join),
    (threading.Thread, "is_alive", _is_alive),
    (queue, "SimpleQueue", _simple_queue),
    (os, "urandom", _urandom),
    (random, "_urandom", _urandom),
    (random.Random, "seed", _seed),
    (uuid, "getnode", _getnode),
    (uuid, "uuid1", _uuid1),
    (socket.socket, "__init__", _refusing(socket.socket.__init__, "socket.socket()", _BLOCKS)),
    (select, "select", _refusing(select.select, "select.select()", _BLOCKS)),
    (select, "poll", _refusing(getattr(select, "poll", None), "select.poll()", _BLOCKS)),
    (select, "epoll", _refusing(getattr(select, "epoll", None), "select.epoll()", _BLOCKS)),
    (
        selectors.SelectSelector,
        "select",
        _refusing(selectors.SelectSelector.select, "SelectSelector.select()", _BLOCKS),
    ),
    (
        selectors._PollLikeSelector,
        "select",
        _refusing(selectors._PollLikeSelector.select, "PollSelector.select()", _BLOCKS),
    ),
    (subprocess.Popen, "__init__",
     _refusing(subprocess.Popen.__init__, "subprocess.Popen()", _PROCESS)),
    (BaseProcess, "start", _refusing(BaseProcess.start, "multiprocessing", _PROCESS)),
    *_refused(os, ("fork", "forkpty", "posix_spawn", "posix_spawnp", "execv", "execve"),
              "os", _PROCESS),
    *_refused(os, ("system",), "os", _BLOCKS),
    *_refused(_thread, ("start_new_thread", "start_new", "start_joinable_thread"),
              "_thread", _THREAD),
    (ThreadPoolExecutor, "submit",
     _refusing(ThreadPoolExecutor.submit, "ThreadPoolExecutor", _THREAD)),
)  # fmt: skip


def foreign_loops() -> list[tuple[Any, str, Any]]:
    """uvloop, where it is imported: it waits on real descriptors, and has a clock of its own."""
    uvloop = sys.modules.get("uvloop")
    if uvloop is None:
        return []
    why = "its event loop waits on real descriptors; use that of asyncio"
    return [
        *_refused(uvloop, ("new_event_loop", "install", "run"), "uvloop", why),
        *_refused(uvloop.EventLoopPolicy, ("_loop_factory",), "uvloop.EventLoopPolicy", why),
    ]


_OURS = "reqrep.harness."


def early_names(originals: dict[int, Any]) -> list[tuple[Any, str, Any]]:
    """Where modules hold what is patched under a name of their own: `from time import sleep`."""
    found = []
    for name, module in list(sys.modules.items()):
        if name.startswith(_OURS) or module is None:
            continue
        for attribute, value in list(vars(module).items()):
            stand_in = originals.get(id(value))
            if stand_in is not None:
                found.append((module, attribute, stand_in))
    return found
