"""A report as plain text, for a failing test and for a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..exercised import Strike
    from ..property import Verdict
    from ..run import Report


def verdict_text(verdict: Verdict) -> str:
    """A verdict with its reason and its witness, a line for each event."""
    lines = [f"{verdict.property}: {verdict.outcome}"]
    if verdict.reason:
        lines[0] += f", {verdict.reason}"
    lines += [f"    {event}" for event in verdict.witness]
    return "\n".join(lines)


def strike_text(strike: Strike) -> str:
    """What became of a fault."""
    if strike.event is None:
        return f"fault never struck: {strike.fault!r}"
    return f"fault struck at {strike.event.time_ns / 1e6:.3f} ms: {strike.fault!r}"


def remarks(report: Report) -> list[str]:
    """What is worth knowing of the properties that hold."""
    return [
        f"{verdict.property}: {verdict.reason}"
        for verdict in report.verdicts
        if verdict and verdict.facts and verdict.reason
    ]


def report_text(report: Report) -> str:
    """The whole report; what does not hold comes last, next to where a reader looks."""
    figures = report.statistics
    latency = figures.latency_ms
    lines = [
        f"{report.scenario.pattern.name} in {report.world} over {report.transport}, "
        f"seed {report.scenario.seed}: "
        f"{figures.ok} ok, {figures.fail} fail, {figures.info} info "
        f"in {figures.seconds:.3f} {report.unit}",
    ]
    if latency.p50 is not None:
        lines.append(
            f"latency p50 {latency.p50:.2f} ms, p99 {latency.p99:.2f} ms, max {latency.max:.2f} ms"
        )
    holding = [
        verdict.property if verdict.facts else f"{verdict.property} (nothing to judge)"
        for verdict in report.verdicts
        if verdict
    ]
    if holding:
        lines.append("holds: " + ", ".join(holding))
    lines += remarks(report)
    lines += map(strike_text, report.strikes)
    lines += report.not_promised
    lines += [verdict_text(verdict) for verdict in report.verdicts if not verdict]
    if report.simulated is not None:
        lines.append(f"digest: {report.simulated.digest}")
    lines.append(f"scenario: {report.scenario!r}")
    return "\n".join(lines)
