"""PUSH and PULL: deal out in turn, hear in turn, one direction only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .. import constants as c
from ..constants import SimulatedError
from ..pipe import Pipe
from .dealer import Dealer


class Push(Dealer):
    """Sends as DEALER does; what its peers send is not read."""

    __slots__ = ()

    type = c.PUSH

    def _take(self) -> NoReturn:
        raise SimulatedError(c.ENOTSUP, f"receive on {self}")

    def has_in(self) -> bool:
        return False

    def _hear(self, pipe: Pipe) -> None:
        # Nobody reads here, so the end of a pipe is found at once.
        self.drop_all("closed", pipe.inbound)
        if pipe.is_ended:
            self.forget(pipe)
        else:
            pipe.is_asleep = True

    def _attach(self, pipe: Pipe) -> None:
        super()._attach(pipe)
        pipe.is_asleep = True


class Pull(Dealer):
    """Hears as DEALER does; sends nothing."""

    __slots__ = ()

    type = c.PULL

    def _put(self, message: Sequence[bytes]) -> NoReturn:
        raise SimulatedError(c.ENOTSUP, f"send on {self}")

    def _open(self, first: bytes, more: bool) -> NoReturn:
        raise SimulatedError(c.ENOTSUP, f"send on {self}")

    def has_out(self) -> bool:
        return False
