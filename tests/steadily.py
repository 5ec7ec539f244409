"""Runs on real sockets whose outcome hangs on time: one in which the machine stood still tells nothing."""

from __future__ import annotations

from collections.abc import Callable

from reqrep import Report

ATTEMPTS = 5


def steadily(attempt: Callable[[], Report]) -> Report:
    """The report of the first of some runs in which the machine went on, else of the last."""
    for _ in range(ATTEMPTS):
        report = attempt()
        if not report.history.of("paused"):
            break
    return report
