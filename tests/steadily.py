"""Runs on real sockets whose outcome hangs on time: one in which the machine stood still tells
nothing, and one that fails by the time it took is told from a defect by the next."""

from __future__ import annotations

from collections.abc import Callable

from reqrep import Report

ATTEMPTS = 5


def steadily(
    attempt: Callable[[], Report], until: Callable[[Report], bool] = lambda report: True
) -> Report:
    """The report of the first of some runs in which the machine went on and that is as
    `until` says, else of the last.

    A stall too short to be told as `paused` may still be longer than the timeout of a call:
    where nothing may be flagged, `until` is that nothing is, since a defect that is there
    flags each attempt.
    """
    for _ in range(ATTEMPTS):
        report = attempt()
        if not report.history.of("paused") and until(report):
            break
    return report
