"""Mailboxes: what a socket is told, and when it looks.

A socket learns of new pipes, ended pipes, freed room and sleeping pipes that have
something again from commands, and looks at them only when its owner calls: before a send,
unless a send before it has looked just now; when a receive finds nothing, else with every
hundredth frame; in `events`, `bind`, `connect`. So its view may be stale, as libzmq's is.

Source: libzmq, socket_base.cpp, process_commands and recv; config.hpp, max_command_delay and
inbound_poll_rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .constants import NS_PER_MS

if TYPE_CHECKING:
    from .choices import Choices
    from .scheduler import Scheduler, Task

COMMAND_TICKS = 100
"""With so many frames received while there always was one, a receive looks into the mailbox."""


class Mailbox(deque[tuple[Callable[[Any], object], Any]]):
    """The commands that the owner of a socket has not seen, each a function and its argument.

    While there are any, the descriptor of the socket is readable.

    Attributes:
        waiters: The tasks that a command wakes.
        ticks: How many frames were received since a receive looked last.
        is_closed: The socket has closed: nobody will ever look.
    """

    __slots__ = ("_choices", "_looked_ns", "_scheduler", "is_closed", "ticks", "waiters")

    def __init__(self, scheduler: Scheduler, choices: Choices) -> None:
        self._scheduler = scheduler
        self._choices = choices
        self._looked_ns = -NS_PER_MS  # When a send looked last.
        self.waiters: list[Task] = []
        self.ticks = 0
        self.is_closed = False

    def post(self, command: Callable[[Any], object], argument: object) -> None:
        """Put a command here and wake who waits for it."""
        if self.is_closed:
            return
        self.append((command, argument))
        for task in self.waiters:
            if task.is_parked:  # As `Scheduler.wake` does: every message comes this way.
                task.is_parked = False
                self._scheduler.ready.append(task)

    def drain(self) -> None:
        """Do what the commands say."""
        while self:
            command, argument = self.popleft()
            command(argument)

    def drain_before_send(self) -> None:
        """Do what the commands say, or not yet.

        libzmq looks at most about once per millisecond here, so that a send may act on what
        was true before; the looks of other calls do not count. Calm is to look.
        """
        scheduler, choices = self._scheduler, self._choices
        now_ns = scheduler.now_ns
        if now_ns - self._looked_ns < NS_PER_MS:
            if not self:
                return
            if choices.choose(2, "stale view"):
                choices.tell(f"{scheduler.whose_turn} sends before it looks at what has come")
                return
        self._looked_ns = now_ns
        self.drain()

    def wait(self, reason: object, deadline_ns: int | None) -> bool:
        """Wait until a command comes or the deadline has come; False if it has."""
        scheduler = self._scheduler
        task = scheduler.current
        assert task is not None, f"{reason}, outside of any task"
        self.waiters.append(task)
        try:
            return scheduler.park(reason, deadline_ns)
        finally:
            self.waiters.remove(task)

    def wake(self) -> None:
        """Let those who wait look, though there is no command."""
        for task in self.waiters:
            self._scheduler.wake(task)

    def close(self) -> None:
        """Nobody looks any more."""
        self.is_closed = True
        self.clear()
        self.wake()
