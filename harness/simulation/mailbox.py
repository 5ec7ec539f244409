"""Mailboxes: what a socket is told, and when it looks.

A socket learns of new pipes, ended pipes, freed room and sleeping pipes that have
something again from commands, and looks at them only when its owner calls: before a
send, when a receive finds nothing (else every hundredth), in `events`, `bind`, `connect`.
So its view may be stale, as libzmq's is.

Source: libzmq, socket_base.cpp, process_commands; max_command_delay in config.hpp.
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
"""Receives that find something look into the mailbox only so often."""


class Mailbox(deque[tuple[Callable[[Any], object], Any]]):
    """The commands that the owner of a socket has not seen, each a function and its argument.

    While there are any, the descriptor of the socket is readable.

    Attributes:
        waiters: The tasks that a command wakes.
        ticks: How many receives there were since the last look.
        is_closed: The socket has closed: nobody will ever look.
    """

    __slots__ = ("_choices", "_drained_ns", "_scheduler", "is_closed", "ticks", "waiters")

    def __init__(self, scheduler: Scheduler, choices: Choices) -> None:
        self._scheduler = scheduler
        self._choices = choices
        self._drained_ns = 0
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
        self.ticks = 0
        self._drained_ns = self._scheduler.now_ns
        while self:
            command, argument = self.popleft()
            command(argument)

    def drain_before_send(self) -> None:
        """Do what the commands say, or not yet.

        libzmq looks at most about once per millisecond here, so that a send may act on what
        was true before. Calm is to look.
        """
        scheduler, choices = self._scheduler, self._choices
        if scheduler.now_ns - self._drained_ns < NS_PER_MS and choices.choose(2, "stale view"):
            choices.tell(f"{scheduler.whose_turn} sends before it looks at what has come")
        else:
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
