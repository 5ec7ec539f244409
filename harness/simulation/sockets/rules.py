"""The state machines of REQ and REP, as tables.

A row says: in this state, on this event, the next state, what is done, and the clause
it comes from. A pair that is missing is misuse, EFSM, and changes nothing (INV-X-12).
Both sockets change state on the last frame of a message only (5.4.10).

Events that a program causes are `send` and `receive`; the others are what a receive
finds. `receive` itself keeps the state: it only asks whether one may look.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# --- states -------------------------------------------------------------------
IDLE: Final = "idle"
AWAITING: Final = "awaiting a reply"
RECEIVING: Final = "receiving"
OWING: Final = "owing a reply"

# --- events -------------------------------------------------------------------
SEND: Final = "send"
RECEIVE: Final = "receive"
FROM_ASKED: Final = "message of the peer that was asked"
FROM_OTHER: Final = "message of another peer"
UNCORRELATED: Final = "message with another request id"
MALFORMED: Final = "message without delimiter or body"
ASKED_LOST: Final = "loss of the peer that was asked"
REQUEST: Final = "request"

# --- effects ------------------------------------------------------------------
ROUTE: Final = "route"
LOOK: Final = "look"
DELIVER: Final = "deliver"
DISCARD: Final = "discard"
ABANDON: Final = "abandon the old request, then route"
ACCEPT_ANY: Final = "accept a reply of any peer"
REPLY: Final = "send envelope and reply, or drop them"


class Row(NamedTuple):
    """What happens on an event.

    Attributes:
        next: The next state.
        effect: What is done.
        clause: Where that is written: RFC 28, or a rule of libzmq, numbered as in docs/clauses.md.
    """

    next: str
    effect: str
    clause: str


Table = dict[tuple[str, str], Row]

REQ: Table = {
    (IDLE, SEND): Row(AWAITING, ROUTE, "RFC 28 REQ-2"),
    (AWAITING, RECEIVE): Row(AWAITING, LOOK, "RFC 28 REQ-2"),
    (AWAITING, FROM_ASKED): Row(IDLE, DELIVER, "RFC 28 REQ-8"),
    (AWAITING, FROM_OTHER): Row(AWAITING, DISCARD, "RFC 28 REQ-9"),
    (AWAITING, UNCORRELATED): Row(AWAITING, DISCARD, "5.4.6"),
    # Over tcp and ipc such a message does not get so far: the connection closes (5.4.4).
    (AWAITING, MALFORMED): Row(AWAITING, DISCARD, "5.4.4"),
    # Here libzmq departs from REQ-8: it forgets whom it asked.
    (AWAITING, ASKED_LOST): Row(AWAITING, ACCEPT_ANY, "5.4.2"),
    (IDLE, ASKED_LOST): Row(IDLE, ACCEPT_ANY, "5.4.2"),
}

# With REQ_RELAXED a request may be given up; it goes to the next peer.
REQ_RELAXED: Table = {
    **REQ,
    (AWAITING, SEND): Row(AWAITING, ABANDON, "2.5 REQ_RELAXED"),
}

REP: Table = {
    (RECEIVING, RECEIVE): Row(RECEIVING, LOOK, "RFC 28 REP-3"),
    (RECEIVING, REQUEST): Row(OWING, DELIVER, "RFC 28 REP-3, REP-6, REP-7"),
    (RECEIVING, MALFORMED): Row(RECEIVING, DISCARD, "5.4.8"),
    (OWING, SEND): Row(RECEIVING, REPLY, "RFC 28 REP-9 to REP-12"),
}
