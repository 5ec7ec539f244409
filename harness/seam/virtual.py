"""What the standard library gives a simulated node instead of the real thing.

    virtual_time.py     clocks, sleep, the calendar
    virtual_threads.py  threads, their values, queues
    virtual_locks.py    locks, of which events, conditions and queues are made
    virtual_chance.py   what is random
    virtual_process.py  the process: its number, its signals, and what is refused

Each stand-in asks whose turn it is. In a simulated node it answers from the run; for
everybody else it is the function that it stands for. Names that were imported early are
found by identity in all modules and re-pointed too.
"""

from __future__ import annotations

from typing import Any

from . import (
    virtual_chance,
    virtual_locks,
    virtual_process,
    virtual_threads,
    virtual_time,
)

ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    *virtual_time.ATTRIBUTES,
    *virtual_locks.ATTRIBUTES,
    *virtual_threads.ATTRIBUTES,
    *virtual_chance.ATTRIBUTES,
    *virtual_process.ATTRIBUTES,
)
"""Whose attribute becomes what, as long as a run is on."""
