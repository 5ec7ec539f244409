"""ROUTER: knows each peer by a routing id, sends to the one that is named.

What goes in has the id of its sender in front; of what goes out the first frame is
taken off and says to whom. A message for nobody is dropped, or refused with
ROUTER_MANDATORY.

Source: RFC 28 ROUTER-1 to ROUTER-14, docs/clauses.md, 5.3 and 5.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import MisuseError
from .. import constants as c
from ..constants import EHOSTUNREACH, SimulatedError
from ..pipe import InprocPipe, Message, Pipe
from ..rotation import NOWHERE
from .base import Socket

if TYPE_CHECKING:
    from ..context import Context


class Router(Socket):
    """See the top of this file.

    Attributes:
        peers: The pipe of each peer that can be named.
    """

    __slots__ = ("_anonymous", "_handed_over", "_looked_ahead", "peers")

    type = c.ROUTER
    tells_loss = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._looked_ahead: Message | None = None
        # A pipe that lost its name, but of which a message is being read, or was looked ahead to.
        self._handed_over: InprocPipe | None = None
        self.peers: dict[bytes, Pipe] = {}
        # libzmq starts at random; any start will do that differs from socket to socket (5.3.1).
        self._anonymous = (self.number + 1) * 2246822519 & 0xFFFFFFFF

    # --- receiving ------------------------------------------------------------

    def _take(self) -> Message | None:
        message = self._looked_ahead
        if message is None:
            return self._next()
        self._looked_ahead = None
        if not self.fair_queue.is_holding:
            self._finish_reading()
        return message

    def _next(self) -> Message | None:
        """The next message from the pipes, with the routing id of its sender in front."""
        queue = self.fair_queue
        while (message := queue.take()) is not None:
            if message:
                if queue.is_holding and len(message) == 1:
                    queue.finish()  # With the id its only frame was read.
                message.insert(0, queue.last.routing_id)  # type: ignore[union-attr,arg-type]
                break
            queue.finish(counted=0)  # An ANNOUNCEMENT.
        return message

    def _finish_reading(self) -> None:
        super()._finish_reading()
        pipe, self._handed_over = self._handed_over, None
        if pipe is not None:
            self.leave(pipe)

    def has_in(self) -> bool:
        # To tell whether there is a message libzmq takes its first frame: from then on it is
        # delivered whatever becomes of its sender, and a message of one frame counts as read.
        if self._looked_ahead is not None:
            return True
        queue = self.fair_queue
        if not queue.active:
            return False
        queue.is_holding = True
        self._looked_ahead = self._next()
        queue.is_holding = False
        return self._looked_ahead is not None

    # --- sending --------------------------------------------------------------

    def _put(self, message: Sequence[bytes]) -> bool:
        if len(message) == 1:
            # Only an id: swallowed in every mode (5.7.2).
            self.drop("unroutable", list(message))
            return True
        pipe = self.peers.get(message[0])
        if pipe is not None and pipe.is_writable():
            pipe.write(list(message[1:]))
            return True
        return self._cannot_send(message[0], pipe, message)

    def _open(self, first: bytes, more: bool) -> bool:
        pipe = self.peers.get(first)
        if pipe is not None and pipe.is_writable():
            self._out_pipe = pipe
            return True
        self._out_pipe = None
        return self._cannot_send(first, pipe, None)

    def _cannot_send(
        self, routing_id: bytes, pipe: Pipe | None, message: Sequence[bytes] | None
    ) -> bool:
        """A message for nobody or for a full pipe: True drops it, False lets it wait."""
        if self.options.router_mandatory:
            # Only the limit counts here, also of a peer that has gone (5.7.6).
            if pipe is not None and not pipe.has_room():
                return False
            raise SimulatedError(EHOSTUNREACH, f"{routing_id!r} on {self}")
        if message is not None:
            reason = "unroutable" if pipe is None else "full" if pipe.is_open else "peer lost"
            self.drop(reason, list(message))
        return True

    def _commit(self, message: Message) -> None:
        pipe = self._out_pipe
        if pipe is None:
            self.drop("unroutable", message)
        elif not pipe.is_open:
            self.drop("peer lost", message)  # Between two frames: no part is sent (5.7.3).
        else:
            pipe.write(message[1:])

    def has_out(self) -> bool:
        if not self.options.router_mandatory:
            return True
        # Only the limits count here: a peer that has gone is room until its pipe is read to the
        # end (measured), although a send to it is refused.
        return any(pipe.has_room() for pipe in self.peers.values())

    # --- peers ----------------------------------------------------------------

    def _attach(self, pipe: Pipe) -> None:
        if self.options.probe_router and pipe.is_writable():
            pipe.write([b""])
        if pipe.wanted_id or pipe.is_introduced:
            self._name(pipe)
        # Else its messages wait until the handshake has told who it is (1.10).

    def _introduce(self, pipe: Pipe) -> None:
        if pipe.routing_id is None:
            if pipe.is_misread:
                pipe.announced_id = b""
                pipe.inbound.popleft()
                pipe.read += 1
                if pipe.read == pipe.report_at:
                    pipe.report()
            self._name(pipe)
        # Else it keeps the name that it got first, whoever is there now (5.3.9).

    def _name(self, pipe: Pipe) -> None:
        """Give a pipe its routing id, or none if that is taken."""
        if not pipe.wanted_id and pipe.read == pipe.told_at:
            pipe.report_again()  # For it reads how the peer calls itself.
        name = pipe.wanted_id or pipe.announced_id or self._next_anonymous()
        held = self.peers.get(name)
        if held is not None:
            if pipe.wanted_id or not pipe.announced_id:
                raise MisuseError(
                    f"{self} would give two peers the routing id {name!r}: libzmq aborts the "
                    "process here. Set each CONNECT_ROUTING_ID once, and no ROUTING_ID that "
                    "begins with a zero byte"
                )
            if not self.options.router_handover:
                # The newcomer is connected and mute, for ever (5.3.4).
                pipe.is_asleep = True
                pipe.gone_because = "duplicate id"
                self._report_mute(pipe)
                return
            self._hand_over(held)
        pipe.routing_id = name
        self.peers[name] = pipe
        self.fair_queue.attach(pipe)

    def _next_anonymous(self) -> bytes:
        name = b"\0" + self._anonymous.to_bytes(4, "big")
        self._anonymous = self._anonymous + 1 & 0xFFFFFFFF
        return name

    def _hand_over(self, old: Pipe) -> None:
        """The name goes to a newcomer. Over tcp the old peer stays connected, a zombie (5.3.6)."""
        old.gone_because = "handover"
        # Until both sides agree that it ends it lives on under a name that nobody knows.
        if old.is_ended:  # What a peer sent before it went is still heard.
            old.routing_id = self._next_anonymous()
            self.peers[old.routing_id] = old
            return
        if isinstance(old, InprocPipe):
            old.routing_id = self._next_anonymous()
            self.peers[old.routing_id] = old
            is_reading = self._looked_ahead is not None or self._parts
            if is_reading and old is self.fair_queue.last:
                self._handed_over = old
            elif not old.is_leaving:
                self.leave(old)
        else:
            self.drop_all("handover", old.inbound)
            self.forget(old)
            old.is_open = False
            old.full_at = 0

    def _report_mute(self, pipe: Pipe) -> None:
        for message in list(pipe.inbound)[pipe.read :]:
            self.drop("duplicate id", message)
        # Nobody reads them, so they fill the pipe; `read` serves to report each once.
        pipe.read = len(pipe.inbound)

    def _hear(self, pipe: Pipe) -> None:
        if pipe.in_slot != NOWHERE:
            self.fair_queue.activate(pipe)
        elif pipe.gone_because == "duplicate id":
            # Nobody reads to its end, so that it keeps its place for ever (measured).
            pipe.is_asleep = True
            self._report_mute(pipe)
        elif pipe.is_ended:
            self.forget(pipe)

    def _regain(self, pipe: Pipe) -> None:
        pass  # Whether a peer has room is asked when something is for it.

    def _forget(self, pipe: Pipe) -> None:
        if pipe.in_slot != NOWHERE:
            self.fair_queue.remove(pipe)
        if pipe.routing_id is not None and self.peers.get(pipe.routing_id) is pipe:
            del self.peers[pipe.routing_id]
