"""A report as JSON, for a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..run import Report


def report_data(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    figures = report.statistics
    data = {
        "pattern": report.scenario.pattern.name,
        "world": report.world,
        "transport": report.transport,
        "seed": report.scenario.seed,
        "ops": {"ok": figures.ok, "fail": figures.fail, "info": figures.info},
        "verdicts": [
            {
                "property": verdict.property,
                "verdict": verdict.outcome,
                "reason": verdict.reason,
                "facts": verdict.facts,
                "witness": [str(event) for event in verdict.witness],
            }
            for verdict in report.verdicts
        ],
        "not_promised": list(report.not_promised),
        "faults": [
            {
                "kind": strike.fault.kind,
                "fault": repr(strike.fault),
                "struck": strike.event is not None,
                "struck_at_ms": strike.event and strike.event.time_ns / 1e6,
            }
            for strike in report.strikes
        ],
        "seconds": figures.seconds,
        "ops_per_second": figures.ops_per_second,
        "latency_ms": asdict(figures.latency_ms),
        "messages": {hop: asdict(count) for hop, count in figures.messages.items()},
        "scenario": repr(report.scenario),
    }
    if report.simulated is not None:
        data["virtual_seconds"] = report.simulated.virtual_seconds
        data["digest"] = report.simulated.digest
        data["decisions"] = report.simulated.decisions
        data["deviations"] = report.simulated.deviations
    return data


def report_json(report: Report) -> str:
    """The report as JSON text."""
    return json.dumps(report_data(report), indent=2)
