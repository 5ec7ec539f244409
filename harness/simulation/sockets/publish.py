"""PUB, SUB, XPUB, XSUB: to all who asked for it, as long as they keep up.

A subscription is a message that travels upwards, `0x01 topic`, and `0x00 topic` takes
it back. PUB and XPUB filter at the sending side; whoever is full misses the message.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NoReturn

from .. import constants as c
from ..constants import SimulatedError
from ..pipe import Message, Pipe
from ..rotation import NOWHERE
from .base import Socket

if TYPE_CHECKING:
    from ..context import Context

SUBSCRIBE = b"\x01"
UNSUBSCRIBE = b"\x00"


class XPub(Socket):
    """Publishes, and hands the subscriptions of its peers to the application."""

    __slots__ = ("_counts", "_told")

    type = c.XPUB
    tells_subscriptions = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._told: deque[Message] = deque()
        self._counts: dict[bytes, int] = {}  # How many peers have each topic.

    def _take(self) -> Message | None:
        if not self.tells_subscriptions:
            raise SimulatedError(c.ENOTSUP, f"receive on {self}")
        return self._told.popleft() if self._told else None

    def has_in(self) -> bool:
        return bool(self._told)

    def has_out(self) -> bool:
        return True

    def _wanting(self, first: bytes) -> list[Pipe]:
        """Whose subscriptions let a message with this first frame through."""
        is_inverted = bool(self.options.invert_matching)
        return [
            pipe
            for pipe in self.pipes
            if is_inverted != any(map(first.startswith, pipe.subscriptions))
        ]

    def _open(self, first: bytes, more: bool) -> bool:
        # With XPUB_NODROP all hear a message, or it waits and nobody does.
        return not self.options.xpub_nodrop or all(
            pipe.has_room() or not pipe.is_open for pipe in self._wanting(first)
        )

    def _commit(self, message: Message) -> None:
        wanting = self._wanting(message[0])
        for pipe in wanting:
            if pipe.is_writable():
                pipe.write(list(message))
            else:
                self.drop("full", list(message))
        if not wanting:
            self.drop("no subscriber", message)

    def _attach(self, pipe: Pipe) -> None:
        self._hear(pipe)

    def _hear(self, pipe: Pipe) -> None:
        while pipe.inbound:
            self._read(pipe, pipe.inbound.popleft())
            pipe.read += 1
            if pipe.read == pipe.report_at:
                pipe.report()
        if pipe.is_ended:
            self.forget(pipe)
        else:
            pipe.is_asleep = True

    def _read(self, pipe: Pipe, message: Message) -> None:
        kind, topic = message[0][:1], message[0][1:]
        if kind == SUBSCRIBE:
            is_new = topic not in self._counts
            if topic not in pipe.subscriptions:
                pipe.subscriptions[topic] = None
                self._counts[topic] = self._counts.get(topic, 0) + 1
            if is_new or self.options.xpub_verbose or self.options.xpub_verboser:
                self._tell(message)
        elif kind == UNSUBSCRIBE:
            if topic in pipe.subscriptions:
                self._take_back(pipe, topic)
        else:
            self._tell(message)

    def _take_back(self, pipe: Pipe, topic: bytes) -> None:
        del pipe.subscriptions[topic]
        self._counts[topic] -= 1
        is_last = not self._counts[topic]
        if is_last:
            del self._counts[topic]
        if is_last or self.options.xpub_verboser:
            self._tell([UNSUBSCRIBE + topic])

    def _tell(self, message: Message) -> None:
        if self.tells_subscriptions:
            self._told.append(message)

    def _regain(self, pipe: Pipe) -> None:
        pass

    def _forget(self, pipe: Pipe) -> None:
        for topic in list(pipe.subscriptions):
            self._take_back(pipe, topic)


class Pub(XPub):
    """Publishes; subscriptions are its own affair."""

    __slots__ = ()

    type = c.PUB
    tells_subscriptions = False


class XSub(Socket):
    """Hears what its peers publish; subscriptions are messages that it sends."""

    __slots__ = ("_topics",)

    type = c.XSUB
    filters = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._topics: dict[bytes, int] = {}

    def _take(self) -> Message | None:
        while (message := self.fair_queue.take()) is not None:
            if self._wants(message):
                return message
            self.drop("no subscriber", message)
        return None

    def _wants(self, message: Message) -> bool:
        matches = any(map(message[0].startswith, self._topics))
        return not self.filters or matches != bool(self.options.invert_matching)

    def has_in(self) -> bool:
        queue = self.fair_queue
        while queue.has_any():
            message = queue.pipes[queue.current].inbound[0]
            if self._wants(message):
                return True
            queue.take()
            self.drop("no subscriber", message)
        return False

    def has_out(self) -> bool:
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        return True

    def _commit(self, message: Message) -> None:
        kind, topic = message[0][:1], message[0][1:]
        if kind == SUBSCRIBE:
            self._topics[topic] = self._topics.get(topic, 0) + 1
        elif kind == UNSUBSCRIBE:
            if topic not in self._topics:
                return
            self._topics[topic] -= 1
            if self._topics[topic]:
                return
            del self._topics[topic]
        for pipe in self.pipes:
            if pipe.is_writable():
                pipe.write(list(message))

    def _attach(self, pipe: Pipe) -> None:
        self.fair_queue.attach(pipe)
        self._resume(pipe)

    def _resume(self, pipe: Pipe) -> None:
        # The peer of a new connection knows nothing of what was asked before.
        for topic in self._topics:
            if pipe.is_writable():
                pipe.write([SUBSCRIBE + topic])

    def _hear(self, pipe: Pipe) -> None:
        if pipe.in_slot != NOWHERE:
            self.fair_queue.activate(pipe)

    def _regain(self, pipe: Pipe) -> None:
        pass

    def _forget(self, pipe: Pipe) -> None:
        self.fair_queue.remove(pipe)


class Sub(XSub):
    """Hears what it subscribed to, by option."""

    __slots__ = ()

    type = c.SUB
    filters = True

    def _open(self, first: bytes, more: bool) -> NoReturn:
        raise SimulatedError(c.ENOTSUP, f"send on {self}")

    def _set_own(self, option: int, value: int | bytes) -> bool:
        if option not in (c.SUBSCRIBE, c.UNSUBSCRIBE):
            return False
        if not isinstance(value, bytes):
            raise SimulatedError(c.EINVAL, f"subscription {value!r}")
        self._commit([(SUBSCRIBE if option == c.SUBSCRIBE else UNSUBSCRIBE) + value])
        return True

    def has_out(self) -> bool:
        return False
