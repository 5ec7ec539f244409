"""What a plan of faults means for the verdicts: what is promised under it, and whether it struck."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from .faults import Fault
from .history import Event, History
from .pattern import Promise
from .property import Verdict
from .scenario import Scenario


@dataclass(frozen=True)
class Strike:
    """What became of one fault of a plan.

    Args:
        fault: The fault.
        event: When it struck; None if it never did.
    """

    fault: Fault
    event: Event | None


def strikes(scenario: Scenario, history: History) -> tuple[Strike, ...]:
    """What became of each fault of a plan, in its order."""
    if not scenario.faults:
        return ()
    struck = {event.number: event for event in history.of("fault")}
    return tuple(Strike(fault, struck.get(number)) for number, fault in enumerate(scenario.faults))


def promised_under(scenario: Scenario) -> tuple[list[Promise], list[str]]:
    """The promises that cover all faults of a plan, and about the others a sentence or more."""
    kinds = dict.fromkeys(fault.kind for fault in scenario.faults)
    covering: list[Promise] = []
    others: dict[str, list[str]] = {}
    for promise in scenario.pattern.promises:
        missing = [kind for kind in kinds if kind not in promise.under]
        if missing:
            others.setdefault(" and ".join(missing), []).append(promise.property)
        else:
            covering.append(promise)
    return covering, [
        f"not promised under {missing}: {', '.join(names)}" for missing, names in others.items()
    ]


def exercised(
    verdicts: Sequence[Verdict], scenario: Scenario, history: History
) -> tuple[Verdict, ...]:
    """Verdicts on a plan: one whose fault never struck was not exercised, and is no pass."""
    missed = [strike.fault for strike in strikes(scenario, history) if strike.event is None]
    if not missed:
        return tuple(verdicts)
    reason = f"not exercised: {' and '.join(map(repr, missed))} never struck"
    ops = history.of("invoke", "ok", "info", "fail")
    if ops:
        reason += f" in a load of {(ops[-1].time_ns - ops[0].time_ns) / 1e9:.3f} s"
    return tuple(
        dataclasses.replace(verdict, outcome="unknown", reason=reason) if verdict else verdict
        for verdict in verdicts
    )
