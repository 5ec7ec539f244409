"""DEALER: sends to its peers in turn, hears them in turn, changes no frame.

Source: RFC 28 DEALER-1 to DEALER-13, docs/clauses.md, 5.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import constants as c
from ..pipe import Message, Pipe
from ..rotation import LoadBalancer
from .base import Socket

if TYPE_CHECKING:
    from ..context import Context


class Dealer(Socket):
    """See the top of this file."""

    __slots__ = ("load_balancer",)

    type = c.DEALER

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.load_balancer = LoadBalancer()

    def _take(self) -> Message | None:
        return self.fair_queue.take()

    def _put(self, message: Sequence[bytes]) -> bool:
        pipe = self.load_balancer.next()
        if pipe is None:
            return False
        pipe.write(list(message))
        self.load_balancer.advance()
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        self._out_pipe = self.load_balancer.next()
        return self._out_pipe is not None

    def _commit(self, message: Message) -> None:
        pipe = self._out_pipe
        if pipe is None or not pipe.is_open:
            # The peer went between two frames: no part of the message is sent (5.7.4).
            self.drop("peer lost", message)
            return
        pipe.write(message)
        self.load_balancer.advance()

    def has_in(self) -> bool:
        return self.fair_queue.has_any()

    def has_out(self) -> bool:
        if self._outgoing is not None and not self._is_loss_told:
            return True  # The rest of a begun message is always taken, if only to be dropped.
        return self.load_balancer.next() is not None

    def _attach(self, pipe: Pipe) -> None:
        if self.options.probe_router and pipe.is_writable():
            pipe.write([b""])
        self.fair_queue.attach(pipe)
        self.load_balancer.attach(pipe)

    def _forget(self, pipe: Pipe) -> None:
        self.fair_queue.remove(pipe)
        self.load_balancer.remove(pipe)

    def _hear(self, pipe: Pipe) -> None:
        self.fair_queue.activate(pipe)

    def _regain(self, pipe: Pipe) -> None:
        self.load_balancer.activate(pipe)
