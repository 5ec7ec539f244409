"""PAIR: one peer at a time, both ways; a second one is turned away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import constants as c
from ..pipe import Message, Pipe
from .base import Socket

if TYPE_CHECKING:
    from ..context import Context


class Pair(Socket):
    """See the top of this file."""

    __slots__ = ("_pipe",)

    type = c.PAIR

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pipe: Pipe | None = None

    def _take(self) -> Message | None:
        pipe = self._pipe
        if pipe is None or not self.has_in():
            return None
        pipe.read += 1
        if pipe.read == pipe.report_at:
            pipe.report()
        return pipe.inbound.popleft()

    def _open(self, first: bytes, more: bool) -> bool:
        if not self.has_out():
            return False
        self._out_pipe = self._pipe
        return True

    def _commit(self, message: Message) -> None:
        pipe = self._out_pipe
        if pipe is None or not pipe.is_open:
            self.drop("peer lost", message)
        else:
            pipe.write(message)

    def has_in(self) -> bool:
        pipe = self._pipe
        if pipe is None:
            return False
        if pipe.inbound:
            return True
        if pipe.is_ended:
            self.forget(pipe)
        else:
            pipe.is_asleep = True
        return False

    def has_out(self) -> bool:
        return self._pipe is not None and self._pipe.is_writable()

    def _attach(self, pipe: Pipe) -> None:
        if self._pipe is None:
            self._pipe = pipe
        else:
            self._let_go(pipe)

    def _forget(self, pipe: Pipe) -> None:
        if pipe is self._pipe:
            self._pipe = None

    def _hear(self, pipe: Pipe) -> None:
        self.has_in()

    def _regain(self, pipe: Pipe) -> None:
        pass
