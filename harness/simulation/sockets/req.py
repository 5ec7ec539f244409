"""REQ: asks one peer, then hears that peer until it has answered.

On the wire a delimiter stands before the body, and with REQ_CORRELATE four bytes
that name the request before that. What happens when is the table `rules.REQ`.

Source: RFC 28 REQ-1 to REQ-9, docs/clauses.md, 5.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import constants as c
from ..constants import EFSM, SimulatedError
from ..pipe import Message, Pipe
from . import rules
from .dealer import Dealer
from .rules import (
    ASKED_LOST,
    AWAITING,
    FROM_ASKED,
    FROM_OTHER,
    IDLE,
    MALFORMED,
    RECEIVE,
    SEND,
    UNCORRELATED,
)

if TYPE_CHECKING:
    from ..context import Context

_DROP_REASONS = {FROM_OTHER: "not asked", UNCORRELATED: "uncorrelated", MALFORMED: "malformed"}


class Req(Dealer):
    """See the top of this file.

    Attributes:
        state: `rules.IDLE` or `rules.AWAITING`.
        asked: The pipe of the peer that was asked; None when it has gone.
    """

    __slots__ = ("_request_number", "_table", "asked", "state")

    type = c.REQ

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.state = IDLE
        self.asked: Pipe | None = None
        # libzmq starts at random; any start will do that differs from socket to socket.
        self._request_number = (self.number + 1) * 2654435761 & 0xFFFFFFFF
        self._table = rules.REQ

    def waits_for(self, verb: str) -> str:
        if verb == "receive" and self.asked is not None:
            return f"awaiting a reply from {self.asked.peer_name}"
        return super().waits_for(verb)

    def _set_own(self, option: int, value: int | bytes) -> bool:
        if option == c.REQ_RELAXED and isinstance(value, int) and value >= 0:
            self._table = rules.REQ_RELAXED if value else rules.REQ
        return False

    def _misuse(self, event: str) -> SimulatedError:
        return SimulatedError(EFSM, f"{event} on {self}, which is {self.state}")

    # --- sending --------------------------------------------------------------

    def _put(self, message: Sequence[bytes]) -> bool:
        row = self._table.get((self.state, SEND))
        if row is None or self._is_amid_reply():
            raise self._misuse(SEND)
        balancer = self.load_balancer
        pipe = balancer.next()
        if pipe is None:
            self._give_up()
            return False
        self._begin(pipe)
        if self.options.req_correlate:
            pipe.write([self._request_id(), b"", *message])
        else:
            pipe.write([b"", *message])
        balancer.advance()
        self.state = row.next
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        if (self.state, SEND) not in self._table or self._is_amid_reply():
            raise self._misuse(SEND)
        pipe = self._out_pipe = self.load_balancer.next()
        if pipe is None:
            self._give_up()
            return False
        self._begin(pipe)
        self.state = IDLE  # A relaxed REQ gives up the old request with the first frame.
        return True

    def _commit(self, message: Message) -> None:
        message.insert(0, b"")
        if self.options.req_correlate:
            message.insert(0, self._request_id())
        super()._commit(message)
        self.state = AWAITING

    def _begin(self, pipe: Pipe) -> None:
        """A request begins: it is for this peer, and what all peers have sent is void (5.4.1)."""
        self.asked = pipe
        self._parts = []  # Of a reply that a relaxed REQ does not read to its end.
        take = self.fair_queue.take
        while (old := take()) is not None:
            self.drop("abandoned", old)

    def _is_amid_reply(self) -> bool:
        """Whether frames of a reply are left that must be read before the next request."""
        return bool(self._parts) and self._table is not rules.REQ_RELAXED

    def _give_up(self) -> None:
        # A relaxed send that finds no room has already forgotten the old request, and what is left
        # of its reply.
        self.state = IDLE
        self.asked = None
        self._parts = []

    def _request_id(self) -> bytes:
        self._request_number = number = self._request_number + 1 & 0xFFFFFFFF
        return number.to_bytes(4, "little")

    # --- receiving ------------------------------------------------------------

    def _take(self) -> Message | None:
        table = self._table
        if (self.state, RECEIVE) not in table:
            raise self._misuse(RECEIVE)
        queue = self.fair_queue
        while (message := queue.take()) is not None:
            event = self._classify(message, queue.last)
            row = table[self.state, event]
            self.state = row.next
            if event is FROM_ASKED:
                return message
            self.drop(_DROP_REASONS[event], message)
        return None

    def _classify(self, message: Message, pipe: Pipe | None) -> str:
        """Which event a message is; a reply loses its delimiter and request id by that."""
        if self.asked is not None and pipe is not self.asked:
            return FROM_OTHER
        if self.options.req_correlate:
            if len(message) < 2 or message[0] != self._request_number.to_bytes(4, "little"):
                return UNCORRELATED
            del message[0]
        if message[0] or len(message) < 2:
            return MALFORMED
        del message[0]
        return FROM_ASKED

    def has_in(self) -> bool:
        # Only that something is there: it may be a message that a receive skips (5.4.3).
        return self.state is AWAITING and self.fair_queue.has_any()

    def has_out(self) -> bool:
        return (self.state, SEND) in self._table and not self._is_amid_reply() and super().has_out()

    def _forget(self, pipe: Pipe) -> None:
        if pipe is self.asked:
            self.state = self._table[self.state, ASKED_LOST].next
            self.asked = None
        super()._forget(pipe)
