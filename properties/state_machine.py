"""The state machines of REQ and REP: two states each, as tables.

RFC 28 asks a REQ to send then receive, and a REP to receive then send, one message
at a time. The rows below are all that is allowed; a pair that is missing is misuse,
which libzmq answers with EFSM and does not let through. What was refused is recorded
like what went through, so this property finds the program that tried.

REQ_RELAXED adds one row: a REQ may send again while it waits, and gives up the
request before. It is safe only together with REQ_CORRELATE, without which a late
reply is taken for the answer to the new request (that is for `correlation` to say).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reqrep.harness.history import Event
from reqrep.harness.lens import End, Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario

State = Literal["IDLE", "AWAITING", "OWING"]
Call = Literal["send", "recv"]


@dataclass(frozen=True)
class Row:
    """One allowed step.

    Args:
        then: The next state.
        clause: Where it is written.
    """

    then: State
    clause: str


Table = dict[tuple[State, Call], Row]

REQ: Table = {
    ("IDLE", "send"): Row("AWAITING", "RFC 28, REQ: SHALL send and then receive exactly one"),
    ("AWAITING", "recv"): Row("IDLE", "RFC 28, REQ: SHALL send and then receive exactly one"),
}
REQ_RELAXED: Table = {
    **REQ,
    ("AWAITING", "send"): Row("AWAITING", "zmq_setsockopt, ZMQ_REQ_RELAXED"),
}
REP: Table = {
    ("IDLE", "recv"): Row("OWING", "RFC 28, REP: SHALL receive and then send exactly one"),
    ("OWING", "send"): Row("IDLE", "RFC 28, REP: SHALL receive and then send exactly one"),
}

MEANING: dict[tuple[State, Call], str] = {
    ("AWAITING", "send"): "it still waits for the reply to its last request",
    ("IDLE", "recv"): "it has asked nothing",
    ("OWING", "recv"): "it owes a reply to its last request",
    ("IDLE", "send"): "it has received no request",
}
"""What each missing row means to whoever made the call."""


class _Machine:
    """One socket: its table, its state, and the call that brought it there."""

    __slots__ = ("last", "state", "table", "type")

    def __init__(self, kind: str) -> None:
        self.type = kind
        self.table = REQ if kind == "REQ" else REP
        self.state: State = "IDLE"
        self.last: Event | None = None


class StateMachineChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._machines: dict[int, _Machine] = {}

    def on_socket(self, event: Event) -> None:
        if event.text in ("REQ", "REP"):
            self._machines[event.socket] = _Machine(event.text)

    def on_close(self, event: Event) -> None:
        self._machines.pop(event.socket, None)

    def on_option(self, event: Event) -> None:
        machine = self._machines.get(event.socket)
        if machine is not None and event.text == "REQ_RELAXED":
            machine.table = REQ_RELAXED if event.number else REQ

    def wants(self, end: End) -> bool:
        return end.type in ("REQ", "REP", "")  # No type is told with the messages of strangers.

    def on_send(self, event: Event, end: End, op: str | None) -> None:
        machine = self._machines.get(event.socket)
        if machine is None:
            return
        self.facts += 1
        call: Call = "send" if event.kind == "send" else "recv"
        row = machine.table.get((machine.state, call))
        if row is None:
            self.broken(_told(event, machine, call, "let through"), machine.last, event)
            return
        machine.state = row.then
        machine.last = event

    on_recv = on_send

    def on_efsm(self, event: Event) -> None:
        machine = self._machines.get(event.socket)
        if machine is None:
            self.broken(f"{event.node} was refused a {event.text} on its socket (EFSM)", event)
            return
        call: Call = "send" if event.text == "send" else "recv"
        self.broken(_told(event, machine, call, "refused with EFSM"), machine.last, event)


def _told(event: Event, machine: _Machine, call: Call, what: str) -> str:
    meaning = MEANING.get((machine.state, call), "its last call is not over")
    return (
        f"{event.node} called {call} on a {machine.type} that is {machine.state} "
        f"and was {what}: {meaning}"
    )


STATE_MACHINE = Property(
    "state-machine", "REQ sends then receives, REP receives then sends", StateMachineChecker
)
