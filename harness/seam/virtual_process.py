"""The process of a simulated node: its number, its signals, and what it is refused.

What would block the one real thread that there is, or strike the process in which all nodes are
simulated, is refused by name.
"""

from __future__ import annotations

import _thread
import builtins
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any

import zmq
import zmq.devices

from . import seat as seats
from .simulating_seat import SimulatingSeat

_real_getpid = os.getpid
_real_signal = signal.signal
_real_getsignal = signal.getsignal


def _getpid() -> int:
    """Each node is a process of its own, as it would be."""
    seat = seats.current()
    return seat.pid if isinstance(seat, SimulatingSeat) else _real_getpid()


def _signal(signalnum: int, handler: Any) -> Any:
    """A handler of a node: it is remembered, and no signal ever comes."""
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        return _real_signal(signalnum, handler)
    before = _getsignal(signalnum)
    seat.signal_handlers[int(signalnum)] = handler
    return before


def _getsignal(signalnum: int) -> Any:
    seat = seats.current()
    if not isinstance(seat, SimulatingSeat):
        return _real_getsignal(signalnum)
    is_int = signalnum == signal.SIGINT
    usual = signal.default_int_handler if is_int else signal.SIG_DFL
    return seat.signal_handlers.get(int(signalnum), usual)


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
_ITSELF = "it would strike the process in which all nodes are simulated"


def _refused(owner: Any, names: Iterable[str], what: str, why: str) -> list[tuple[Any, str, Any]]:
    """Patches that refuse those of some functions that there are."""
    return [
        (owner, name, _refusing(vars(owner)[name], f"{what}.{name}()", why))
        for name in names
        if name in vars(owner)
    ]


ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (os, "getpid", _getpid),
    (signal, "signal", _signal),
    (signal, "getsignal", _getsignal),
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
    *_refused(os, ("kill", "killpg", "abort", "_exit"), "os", _ITSELF),
    *_refused(signal, ("pause", "sigwait", "sigwaitinfo", "sigtimedwait"), "signal", _BLOCKS),
    *_refused(signal, ("alarm", "setitimer"), "signal", _ITSELF),
    *_refused(builtins, ("input",), "builtins", _BLOCKS),
    *_refused(zmq, ("proxy_steerable",), "zmq", "a proxy with a control socket is not modelled"),
    *_refused(zmq.devices, ("monitored_queue",), "zmq.devices",
              "it forwards in compiled code; zmq.proxy is modelled"),
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
