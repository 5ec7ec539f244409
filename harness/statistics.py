"""The figures of a run: ops, throughput, latency, messages per hop."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from .history import History
from .lens import Lens
from .property import has_strangers
from .scenario import Scenario


@dataclass(frozen=True)
class Latency:
    """Latencies in milliseconds, from the planned time of each answered op; None without any."""

    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True)
class HopCount:
    """Messages at the two ends of a hop."""

    sent: int
    received: int


@dataclass(frozen=True)
class Statistics:
    """The figures of a run.

    Args:
        ok, fail, info: Ops by outcome.
        seconds: From the first invocation to the last outcome.
        ops_per_second: Answered ops in that time.
        latency_ms: See `Latency`.
        messages: How many messages went into each hop, and how many came out.
    """

    ok: int
    fail: int
    info: int
    seconds: float
    ops_per_second: float
    latency_ms: Latency
    messages: dict[str, HopCount]


def percentile(ordered: list[int], share: float) -> int:
    """The smallest value that at least `share` of the values do not exceed."""
    rank = -(-len(ordered) * share // 1)  # Rounded up, so that p99 of ten values is the tenth.
    return ordered[max(0, int(rank) - 1)]


def statistics_of(history: History, scenario: Scenario) -> Statistics:
    """The figures of the load of a history: fresh requests, made when it was over, are none of it."""
    ops = [op for op in history.ops.values() if not scenario.is_fresh(op.id)]
    outcomes = Counter(op.outcome for op in ops)
    latencies = sorted(latency for op in ops if (latency := op.latency_ns) is not None)
    begins = [op.invoke.time_ns for op in ops]
    ends = [op.outcomes[0].time_ns for op in ops if op.outcomes]
    seconds = (max(ends) - min(begins)) / 1e9 if begins and ends else 0.0
    in_ms = [
        percentile(latencies, share) / 1e6 if latencies else None for share in (0.5, 0.99, 1.0)
    ]
    return Statistics(
        ok=outcomes["ok"],
        fail=outcomes["fail"],
        info=outcomes["info"],
        seconds=seconds,
        ops_per_second=outcomes["ok"] / seconds if seconds else 0.0,
        latency_ms=Latency(*in_ms),
        messages=_messages(history, scenario),
    )


def _messages(history: History, scenario: Scenario) -> dict[str, HopCount]:
    """Messages at either end of each hop, in the order in which the pattern declares them."""
    sent: Counter[str] = Counter()
    received: Counter[str] = Counter()
    pattern = scenario.pattern
    lens = Lens(pattern, strangers=has_strangers(scenario))
    for event, end, op in lens.readings(history):
        is_of_the_load = op is None or not scenario.is_fresh(op)
        if end is not None and end.hop is not None and is_of_the_load:
            (sent if event.kind == "send" else received)[end.hop.title] += 1
    return {hop.title: HopCount(sent[hop.title], received[hop.title]) for hop in pattern.hops}
