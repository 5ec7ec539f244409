"""What programs do with any socket: send, receive, ask for events, set options.

**Types** differ in six methods: `_take` and `_put` move a whole message, `has_in` and
`has_out` tell the poller, and `_attach` and `_forget` keep the order of pipes. Programs
that send frame by frame pass through `_open`, which decides where a message goes
by its first frame, and `_commit`, which sends it.

Source: docs/clauses.md, 5.1 and 5.7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import constants as c
from ..constants import SimulatedError
from ..mailbox import COMMAND_TICKS
from ..pipe import Message, Pipe
from ..rotation import FairQueue
from .endpoints import FIRST_DESCRIPTOR as FIRST_DESCRIPTOR, Endpoints

if TYPE_CHECKING:
    from ..context import Context


class Wait(tuple["Socket", str]):
    """Why a task waits for a socket, put into words only when somebody asks: which, and a verb."""

    __slots__ = ()

    def __str__(self) -> str:
        socket, verb = self
        return f"{verb} on {socket}, {socket.waits_for(verb)}"


class Socket(Endpoints):
    """The base of all types.

    Args:
        context: Whose socket it is.

    Attributes:
        rcvmore: Whether the message of the last frame goes on.
    """

    __slots__ = (
        "_is_loss_told", "_out_pipe", "_outgoing", "_parts", "fair_queue", "rcvmore",
    )  # fmt: skip

    tells_loss = True  # Whether a send between two frames says that the peer went.

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.fair_queue = FairQueue()
        self.rcvmore = False
        self._parts: Message = []  # The rest of a message that is received frame by frame, reversed.
        self._outgoing: Message | None = None  # The part of a message that was sent so far.
        self._out_pipe: Pipe | None = None
        self._is_loss_told = False

    def waits_for(self, verb: str) -> str:
        """What would let a blocked call go on, in words."""
        peers = ", ".join(dict.fromkeys(pipe.peer_name for pipe in self.pipes))
        if not peers:
            return "which has no peer"
        return (
            f"awaiting a message from {peers}" if verb == "receive" else f"awaiting room at {peers}"
        )

    # --- what the types define -------------------------------------------------

    def _take(self) -> Message | None:
        """The next whole message for the application; None if there is none."""
        raise NotImplementedError

    def _put(self, message: Sequence[bytes]) -> bool:
        """Send a whole message; False if it has to wait."""
        if not self._open(message[0], len(message) > 1):
            return False
        self._commit(list(message))
        return True

    def _open(self, first: bytes, more: bool) -> bool:
        """Decide where the message with this first frame goes; False if it has to wait."""
        raise NotImplementedError

    def _commit(self, message: Message) -> None:
        """Send the message whose way is decided; the list is the socket's from here on."""
        raise NotImplementedError

    def has_in(self) -> bool:
        """What POLLIN says."""
        raise NotImplementedError

    def has_out(self) -> bool:
        """What POLLOUT says."""
        raise NotImplementedError

    # --- sending --------------------------------------------------------------

    def send_message(self, message: Sequence[bytes], flags: int = 0) -> None:
        """Send a whole message.

        Raises:
            SimulatedError: EAGAIN when it would block and must not, or did too long; EFSM;
                EHOSTUNREACH from a mandatory ROUTER; ETERM; ENOTSOCK; ENOTSUP.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        self.mailbox.drain_before_send()
        if self._outgoing is not None:
            for frame in message[:-1]:
                self.send(frame, flags | c.SNDMORE)
            self.send(message[-1], flags & ~c.SNDMORE)
        elif not self._put(message):
            self._send_later(flags, self._put, message)

    def send(self, frame: bytes, flags: int = 0) -> None:
        """Send one frame; with SNDMORE the message goes on. Raises as `send_message`."""
        if self._outgoing is None and not flags & c.SNDMORE:
            self.send_message((frame,), flags)
            return
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        self.mailbox.drain_before_send()
        if self._outgoing is None:
            if not self._open(frame, True):
                self._send_later(flags, self._open, frame, True)
            self._outgoing = [frame]
            self._is_loss_told = False
            return
        pipe = self._out_pipe
        if (
            self.tells_loss
            and (flags & c.DONTWAIT or not self.options.sndtimeo)
            and not self._is_loss_told
            and pipe is not None
            and not (pipe.is_open or pipe.is_removed)
        ):
            # The peer went between two frames: said once, then the rest is swallowed (5.7.4).
            self._is_loss_told = True
            if not flags & c.SNDMORE:
                self._outgoing = None
            raise SimulatedError(c.EAGAIN, f"send on {self}")
        self._outgoing.append(frame)
        if not flags & c.SNDMORE:
            message, self._outgoing = self._outgoing, None
            self._commit(message)

    def _send_later(self, flags: int, is_sent: Callable[..., bool], *arguments: Any) -> None:
        """There is no room just now: look into the mailbox, then wait for commands."""
        deadline_ns = self._deadline_ns(flags, "send", self.options.sndtimeo)
        reason = Wait((self, "send"))
        in_time = True
        while True:
            if self.refusal:
                raise SimulatedError(self.refusal, str(self))
            if self.mailbox:
                self.mailbox.drain()
                if is_sent(*arguments):
                    return
            if not in_time:
                raise SimulatedError(c.EAGAIN, f"send on {self}")
            in_time = self.mailbox.wait(reason, deadline_ns)

    def _deadline_ns(self, flags: int, verb: str, timeout_ms: int) -> int | None:
        """Until when a call waits; None is for ever, and not at all is EAGAIN."""
        if flags & c.DONTWAIT or timeout_ms == 0:
            self.scheduler.fruitless()
            raise SimulatedError(c.EAGAIN, f"{verb} on {self}")
        return None if timeout_ms < 0 else self.scheduler.now_ns + timeout_ms * c.NS_PER_MS

    # --- receiving ------------------------------------------------------------

    def recv_message(self, flags: int = 0) -> Message:
        """Receive a whole message, or the rest of one that was begun frame by frame.

        Raises:
            SimulatedError: EAGAIN when there is none and it must not block, or did too long;
                EFSM; ETERM; ENOTSOCK; ENOTSUP.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if self._parts:
            message, self._parts = self._parts[::-1], []
            self.rcvmore = False
            self._finish_reading()
            return message
        self._tick(1)
        found = self._take()
        if found is None:
            found = self._take_later(flags)
        if len(found) > 1:
            self._tick(len(found) - 1)  # libzmq counts frames, of each message the others now.
        self.rcvmore = False
        return found

    def _tick(self, frames: int) -> None:
        """So many more frames are received: with each hundredth a look into the mailbox is due."""
        mailbox = self.mailbox
        mailbox.ticks += frames
        if mailbox.ticks >= COMMAND_TICKS:
            mailbox.ticks %= COMMAND_TICKS
            mailbox.drain()

    def _take_later(self, flags: int) -> Message:
        """There is nothing just now: look into the mailbox, then wait for commands."""
        mailbox = self.mailbox
        ticks, mailbox.ticks = mailbox.ticks, 0
        if mailbox:
            mailbox.drain()
            if (found := self._take()) is not None:
                return found
        timeout_ms = self.options.rcvtimeo
        deadline_ns = None
        if flags & c.DONTWAIT or timeout_ms >= 0:
            deadline_ns = self._deadline_ns(flags, "receive", timeout_ms)
        reason = Wait((self, "receive"))
        while True:
            in_time = mailbox.wait(reason, deadline_ns)
            if self.refusal:
                raise SimulatedError(self.refusal, str(self))
            if mailbox:
                mailbox.drain()
                if (found := self._take()) is not None:
                    return found
            if not in_time:
                mailbox.ticks = ticks
                raise SimulatedError(c.EAGAIN, f"receive on {self}")

    def recv(self, flags: int = 0) -> bytes:
        """Receive one frame; `rcvmore` says whether the message goes on. Raises as above."""
        parts = self._parts
        if not parts or self.refusal:
            # Only the last frame makes a message read, for the sender and for the turn.
            queue = self.fair_queue
            queue.is_holding = True
            try:
                message = self.recv_message(flags)
            finally:
                queue.is_holding = False
            if len(message) == 1:
                queue.finish()
                return message[0]
            parts = self._parts = message[::-1]
        frame = parts.pop()
        self.rcvmore = bool(parts)
        if parts:
            self.fair_queue.read_to(len(parts))
        else:
            self._finish_reading()
        return frame

    def _finish_reading(self) -> None:
        """The last frame was read of a message that is read frame by frame."""
        self.fair_queue.finish()

    # --- closing --------------------------------------------------------------

    def close(self, linger_ms: int | None = None) -> None:
        super().close(linger_ms)
        self.fair_queue.close()
        self._out_pipe = None

    # --- events ---------------------------------------------------------------

    def events(self) -> int:
        """What EVENTS says: POLLIN and POLLOUT, after a look into the mailbox (5.11)."""
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if self.mailbox:
            self.mailbox.drain()
        # Room first, as libzmq asks: looking for input may find that a pipe has ended.
        found = c.POLLOUT if self.has_out() else 0
        return found | c.POLLIN if self._parts or self.has_in() else found

    # --- options --------------------------------------------------------------

    def set(self, option: int, value: int | bytes) -> None:
        """Set an option; see `options.py`.

        Raises:
            SimulatedError: EINVAL, ETERM, ENOTSOCK.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if not self._set_own(option, value):
            name = self.options.set(self.type, option, value)
            if name in ("sndhwm", "rcvhwm"):
                for pipe in self.pipes:
                    pipe.update_limits()  # type: ignore[attr-defined]

    def _set_own(self, option: int, value: int | bytes) -> bool:
        """Options that are really verbs, such as SUBSCRIBE; False for all others."""
        return False

    def get(self, option: int) -> int | bytes:
        """What an option is.

        Raises:
            SimulatedError: EINVAL, ETERM, ENOTSOCK.
        """
        if self.refusal:
            raise SimulatedError(self.refusal, str(self))
        if option == c.EVENTS:
            return self.events()
        if option == c.RCVMORE:
            return int(self.rcvmore)
        if option == c.TYPE:
            return self.type
        if option == c.FD:
            return FIRST_DESCRIPTOR + self.number
        if option == c.LAST_ENDPOINT:
            return self.last_endpoint.encode()
        return self.options.get(option)
