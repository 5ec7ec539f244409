"""Time of a simulated node: that of the scheduler, from an epoch of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from . import seat as seats
from .simulating_seat import SimulatingSeat
from .virtual_locks import scheduler_here

EPOCH_S = 1_767_225_600
"""What `time.time()` says when a simulation begins: the first second of 2026."""

UPTIME_S = 1_000
"""What `time.monotonic()` says then: not zero, which real programs never see."""

_S = 1_000_000_000


def _clock(real: Callable[[], Any], offset_s: int, *, in_ns: bool) -> Callable[[], Any]:
    is_wall = offset_s == EPOCH_S

    def virtual() -> Any:
        seat = seats.current()
        if not isinstance(seat, SimulatingSeat):
            return real()
        seat.looks_at_clock()
        now_ns = seat.scheduler.now_ns + offset_s * _S
        if is_wall:
            now_ns += seat.skew_ns
        return now_ns if in_ns else now_ns / _S

    return virtual


_real_sleep = time.sleep


def _sleep(seconds: float) -> None:
    scheduler = scheduler_here()
    if scheduler is None:
        _real_sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    scheduler.sleep(int(seconds * _S))


def _wall_s() -> float | None:
    """What `time.time()` says in a simulated node; None outside of one."""
    seat = seats.current()
    return time.time() if isinstance(seat, SimulatingSeat) else None


def _of_now(real: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a moment, in seconds, that is now where none is given."""

    def virtual(seconds: float | None = None) -> Any:
        return real(_wall_s() if seconds is None else seconds)

    return virtual


_real_localtime, _real_asctime, _real_strftime = time.localtime, time.asctime, time.strftime


def _asctime(*moment: Any) -> str:
    return _real_asctime(*moment or _fields_of_now())


def _strftime(form: str, *moment: Any) -> str:
    return _real_strftime(form, *moment or _fields_of_now())


def _fields_of_now() -> tuple[Any, ...]:
    now_s = _wall_s()
    return () if now_s is None else (_real_localtime(now_s),)


ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (time, "sleep", _sleep),
    (time, "time", _clock(time.time, EPOCH_S, in_ns=False)),
    (time, "time_ns", _clock(time.time_ns, EPOCH_S, in_ns=True)),
    (time, "monotonic", _clock(time.monotonic, UPTIME_S, in_ns=False)),
    (time, "monotonic_ns", _clock(time.monotonic_ns, UPTIME_S, in_ns=True)),
    (time, "perf_counter", _clock(time.perf_counter, UPTIME_S, in_ns=False)),
    (time, "perf_counter_ns", _clock(time.perf_counter_ns, UPTIME_S, in_ns=True)),
    (time, "localtime", _of_now(time.localtime)),
    (time, "gmtime", _of_now(time.gmtime)),
    (time, "ctime", _of_now(time.ctime)),
    (time, "asctime", _asctime),
    (time, "strftime", _strftime),
)
