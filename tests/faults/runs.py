"""Runs with faults, and what their histories say of these."""

from __future__ import annotations

from typing import Any

import reqrep
from reqrep import ClosedLoop, Event, Fault, Report, Scenario, Workload

from .planted import UNHURRIED

MS = 1_000_000
SLOW = Workload(40, ClosedLoop(think_time_s=0.01))
LEISURELY = UNHURRIED.replace(arrival=ClosedLoop(think_time_s=0.05))
"""Of 0.6 seconds or so, so that what strikes early also strikes early on a busy machine."""


def run(*faults: Fault, pattern: str = "load-balancing", **fields: Any) -> Report:
    scenario = Scenario(reqrep.pattern(pattern), faults=faults, **fields)
    return reqrep.run(scenario, "simulated")


def struck(report: Report, number: int = 0) -> Event:
    event = report.strikes[number].event
    assert event is not None, str(report)
    return event


def healed(report: Report) -> Event:
    (event,) = report.history.of("healed")
    return event


def load_begun_ns(report: Report) -> int:
    """By the first request, which comes after a think time of 10 ms, to the microsecond."""
    return (report.history.of("invoke")[0].time_ns - 10 * MS) // 1000 * 1000
