"""REP: takes a request, keeps its envelope aside, sends the reply back along it.

What happens when is the table `rules.REP`. It is a ROUTER underneath, so a reply goes
to whoever has the routing id now, and is dropped if that peer is full or gone.

Source: RFC 28 REP-1 to REP-12, zeromq.md 5.4.8 to 5.4.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import constants as c
from ..constants import EFSM, SimulatedError
from ..pipe import Message
from .router import Router
from .rules import MALFORMED, OWING, RECEIVE, RECEIVING, REP, REQUEST, SEND

if TYPE_CHECKING:
    from ..context import Context


class Rep(Router):
    """See the top of this file.

    Attributes:
        state: `rules.RECEIVING` or `rules.OWING`.
    """

    __slots__ = ("_asker", "_envelope", "state")

    type = c.REP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.state = RECEIVING
        self._asker = b""
        self._envelope: Message = []

    def _misuse(self, event: str) -> SimulatedError:
        return SimulatedError(EFSM, f"{event} on {self}, which is {self.state}")

    def _take(self) -> Message | None:
        state = self.state
        if (state, RECEIVE) not in REP:
            raise self._misuse(RECEIVE)
        while (message := super()._take()) is not None:
            asker = message.pop(0)
            # The envelope ends at the first empty frame, which must have more behind it (5.4.8).
            end = message.index(b"") + 1 if b"" in message else len(message)
            event = REQUEST if end < len(message) else MALFORMED
            self.state = REP[state, event].next
            if event is REQUEST:
                self._asker = asker
                self._envelope = message[:end]
                del message[:end]
                return message
            self.drop("malformed", message)
        return None

    def _put(self, message: Sequence[bytes]) -> bool:
        row = REP.get((self.state, SEND))
        if row is None or self._parts:
            raise self._misuse(SEND)
        self.state = row.next
        self._reply(list(message))
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        if (self.state, SEND) not in REP or self._parts:
            raise self._misuse(SEND)
        return True

    def _commit(self, message: Message) -> None:
        self.state = REP[self.state, SEND].next
        self._reply(message)

    def _reply(self, body: Message) -> None:
        """Never waits: a reply for a full or vanished peer is dropped (REP-11, REP-12)."""
        pipe = self.peers.get(self._asker)
        message = self._envelope + body
        if pipe is not None and pipe.is_writable():
            pipe.write(message)
        else:
            is_full = pipe is not None and pipe.is_open
            self.drop("full" if is_full else "peer lost", message)

    def has_in(self) -> bool:
        return self.state is RECEIVING and super().has_in()

    def has_out(self) -> bool:
        return self.state is OWING and not self._parts
