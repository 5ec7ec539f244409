"""REP: takes a request, keeps its envelope aside, sends the reply back along it.

What happens when is the table `rules.REP`. It is a ROUTER underneath, to which the envelope of
the reply is sent while the request is taken: so it is then that the reply has a pipe, or finds it
full, and is dropped in the end, however much room there is by then (measured). Junk for whose
envelope there was no pipe leaves that message open: the next reply ends it, and goes nowhere.

Source: RFC 28 REP-1 to REP-12, docs/clauses.md, 5.4.8 to 5.4.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import constants as c
from ..constants import EFSM, SimulatedError
from ..pipe import Message, Pipe
from .router import Router
from .rules import MALFORMED, OWING, RECEIVE, RECEIVING, REP, REQUEST, SEND

if TYPE_CHECKING:
    from ..context import Context


class Rep(Router):
    """See the top of this file.

    Attributes:
        state: `rules.RECEIVING` or `rules.OWING`.
    """

    __slots__ = ("_envelope", "_obstacle", "_swallows", "_way_back", "state")

    type = c.REP

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.state = RECEIVING
        self._envelope: Message = []
        self._way_back: Pipe | None = None  # Where the reply goes; None if there was no room.
        self._obstacle = ""
        self._swallows = False  # A message to nobody is open, of which the next reply is the end.

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
                self._way_back = self._find_way_back(asker)
                self._envelope = message[:end]
                del message[:end]
                return message
            self._swallows = self._find_way_back(asker) is None
            self.drop("malformed", message)
        return None

    def _find_way_back(self, asker: bytes) -> Pipe | None:
        """The pipe that an envelope is sent to; None if it leads nowhere, as `_obstacle` says."""
        if self._swallows:
            self._obstacle = "unroutable"
            return None
        pipe = self.peers.get(asker)
        self._obstacle = "full" if pipe is not None and pipe.is_open else "peer lost"
        return pipe if pipe is not None and pipe.is_writable() else None

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
        pipe, self._way_back = self._way_back, None
        self._swallows = False
        message = self._envelope + body
        if pipe is None:
            self.drop(self._obstacle, message)
        elif pipe.is_open:
            pipe.write(message)
        else:
            self.drop("peer lost", message)

    def close(self, linger_ms: int | None = None) -> None:
        super().close(linger_ms)
        self._way_back = None

    def has_in(self) -> bool:
        return self.state is RECEIVING and super().has_in()

    def has_out(self) -> bool:
        return self.state is OWING and not self._parts
