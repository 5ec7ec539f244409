"""The failure story: what was promised, what happened, what it takes, and how to see it again.

At most 25 lines, for somebody who has not read a line of ours. The messages that matter
are drawn as a sequence diagram in text: a lane for each node, and an arrow for each message
from who sent it to who received it, or to an `x` if nobody did, at the virtual time of its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from ..catalogue import claim
from ..frames import show
from ..history import Event, History
from ..property import Verdict
from .trial import Attempt

LINES = 25
"""How long a story may be."""

WIDTH = 110
"""How wide a line of it may be."""

LANE = 11
"""How far apart two lanes of the diagram are."""

_SAYS = {
    "invoke": "asks",
    "ok": "has its answer",
    "fail": "fails",
    "info": "gives up",
    "efsm": "is refused (EFSM):",
    "unreachable": "is refused (EHOSTUNREACH):",
    "execute": "works on",
}
"""The kinds of event that are told beside messages, in the words of a story."""

_TOLD = ("fault", "crash", "stuck", "efsm", "unreachable", "recv", "send", "invoke", "ok", "fail",
         "info", "healed")  # fmt: skip
"""The kinds that may be told; when there is no room for all, the first come first."""


@dataclass(frozen=True)
class _Step:
    """One line of the diagram.

    Args:
        event: Its end: where the message was received, or what happened.
        sender: Where the message came from, if it was one that arrived.
    """

    event: Event
    sender: str = ""


def story(attempt: Attempt, replay: Sequence[str] = ()) -> str:
    """The story of a break.

    Args:
        attempt: The attempt in which it happens.
        replay: Lines that say how to replay it.
    """
    verdict = attempt.broken
    assert verdict is not None
    scenario = attempt.trial.scenario
    head = [
        *_wrapped(
            f"{scenario.pattern.name} promises {verdict.property}: "
            f"{claim(verdict.property).summary}"
        ),
        *_wrapped(f"broken: {verdict.reason}"),
        _plan(attempt),
    ]
    needed = _needed(attempt)
    room = LINES - len(head) - len(needed) - len(replay) - 1
    diagram = _diagram(attempt.history, verdict, room)
    told = [line[:WIDTH].rstrip() for line in [*head, *diagram, *needed]]
    return "\n".join([*told, *replay])


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ", max_lines=3)


def _plan(attempt: Attempt) -> str:
    scenario = attempt.trial.scenario
    fleet, demand = scenario.nodes, scenario.demand
    parts = [many(fleet.clients, "client")]
    if scenario.pattern.is_sizable:
        parts.append(many(fleet.workers, "worker"))
    parts.append(many(demand.requests, "request"))
    return f"with {', '.join(parts)} over {attempt.trial.transport}, seed {scenario.seed}:"


def many(number: int, what: str) -> str:
    """A number of things, in words that fit the number."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _needed(attempt: Attempt) -> list[str]:
    """Faults and deviations; of the least attempt none can be left out."""
    every = [f"fault {fault}" for fault in attempt.trial.scenario.faults]
    every += [f"decision {number}: {attempt.labels[number]}" for number in sorted(attempt.taken)]
    if not every:
        return ["it needs no fault and no unusual schedule: it happens in the calmest run"]
    shown = every if len(every) <= 5 else [*every[:4], f"and {len(every) - 4} more"]
    if not attempt.is_least:
        head = "it happened with this, of which some may not be needed:"
    elif len(every) == 1:
        head = "without this it does not happen, and nothing else is needed:"
    else:
        head = "without any one of these it does not happen, and together they suffice:"
    return [head, *(f"  {line}" for line in shown)]


# --- the diagram --------------------------------------------------------------


def _diagram(history: History, verdict: Verdict, room: int) -> list[str]:
    steps = _steps(history, verdict, room)
    nodes = sorted(
        {step.event.node for step in steps} | {step.sender for step in steps} - {""}, key=_place
    )
    lane = {node: LANE * number for number, node in enumerate(nodes)}
    names = "".join(f"{node:<{LANE}}" for node in nodes)
    return [f"{'ms':>10}  {names}", *(_line(step, lane) for step in steps)]


def _steps(history: History, verdict: Verdict, room: int) -> list[_Step]:
    """The witness, and as much of the ops in it as there is room for."""
    ops = {_op(event) for event in verdict.witness} - {""}
    witness = {id(event) for event in verdict.witness}
    last_send: dict[tuple[str, str], Event] = {}  # (op, node) -> what it sent of it last
    steps: dict[int, _Step] = {}  # by the identity of the event that it is drawn for
    for event in history:
        op = _op(event)
        if event.kind not in _TOLD or not (op in ops or id(event) in witness or not op):
            continue
        if not op and id(event) not in witness and event.kind not in ("fault", "healed", "crash"):
            continue
        steps[id(event)] = _Step(event)
        if event.kind == "send":
            last_send[op, event.node] = event
        elif event.kind == "recv" and op:
            sent = [e for (o, node), e in last_send.items() if o == op and node != event.node]
            if sent:
                sender = max(sent, key=lambda e: e.time_ns)
                del last_send[op, sender.node]
                steps[id(event)] = _Step(event, sender.node)
                del steps[id(sender)]  # The arrow says it.
                if id(sender) in witness:
                    witness.add(id(event))
    kept = sorted(
        steps.values(), key=lambda s: (id(s.event) not in witness, _TOLD.index(s.event.kind))
    )[:room]
    chosen = {id(step.event) for step in kept}
    return [step for key, step in steps.items() if key in chosen]


def _op(event: Event) -> str:
    return event.op or event.op_in_frames or ""


def _place(node: str) -> tuple[int, str]:
    """Clients stand on the left, whoever works on the right."""
    return {"client": 0, "broker": 1}.get(node.rpartition("-")[0], 2), node


def _line(step: _Step, lane: dict[str, int]) -> str:
    event = step.event
    at = lane[event.node]
    drawn = [" "] * (LANE * len(lane))
    for column in lane.values():
        drawn[column] = "|"
    if step.sender:
        low, high = sorted((lane[step.sender], at))
        drawn[low + 1 : high] = "-" * (high - low - 1)
        drawn[at - 1 if at == high else at + 1] = ">" if at == high else "<"
    elif event.kind == "send":
        drawn[at + 1 : at + 4] = "--x"
    else:
        drawn[at] = "*"
    return f"{event.time_ns / 1e6:10.3f}  {''.join(drawn)}{_said(event)}"


def _said(event: Event) -> str:
    if event.kind in ("send", "recv"):
        # An arrow says who sends and who receives.
        return (
            show(event.frames) if _op(event) else f"{event.node} {event.kind} {show(event.frames)}"
        )
    last = event.text.strip().splitlines()[-1] if event.text else ""
    words = (event.node, _SAYS.get(event.kind, event.kind), _op(event), last)
    return " ".join(filter(None, words))
