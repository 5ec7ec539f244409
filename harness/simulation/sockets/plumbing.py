"""A socket's side of its pipes: what it hears of them, and how it loses them.

Source: docs/clauses.md, 5.1 to 5.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .. import constants as c
from ..connection import IO_THREAD_NS
from ..mailbox import Mailbox
from ..options import Options
from ..pipe import InprocPipe, Message, NetworkPipe, Pipe

if TYPE_CHECKING:
    from ..context import Context

T = TypeVar("T")


class Plumbing:
    """The lowest part of a socket; `Endpoints` and `Socket` stand on it.

    Attributes:
        node, number: Whose it is, and which of the run.
        mailbox: Commands that the owner has not seen.
        waiters: The tasks that a command wakes.
        pipes: Those that it has, in the order in which it learned of them.
        tap: For whoever simulates a library on top of this, what it knows of the socket.
    """

    __slots__ = (
        "context", "is_closed", "mailbox", "network", "node", "number", "options", "pipes",
        "scheduler", "simulation", "tap", "waiters",
    )  # fmt: skip

    type = -1

    def __init__(self, context: Context) -> None:
        simulation = context.simulation
        self.context = context
        self.simulation = simulation
        self.scheduler = simulation.scheduler
        self.network = simulation.network
        self.node = context.node
        self.number = simulation.next_socket_number()
        self.options = Options(self.type)
        self.mailbox = Mailbox(simulation.scheduler, simulation.choices)
        self.waiters = self.mailbox.waiters
        self.pipes: dict[Pipe, None] = {}
        self.is_closed = False

    def __str__(self) -> str:
        return f"{c.TYPE_NAMES[self.type]} {self.number} of {self.node}"

    def _later(self, delay_ns: int, callback: Callable[[T], object], argument: T) -> None:
        """Something happens on libzmq's side of the socket, a while from now."""
        self.scheduler.push(self.scheduler.now_ns + delay_ns, callback, argument)

    # --- what the types define -------------------------------------------------

    def _attach(self, pipe: Pipe) -> None:
        """A new pipe takes its place."""
        raise NotImplementedError

    def _forget(self, pipe: Pipe) -> None:
        """A pipe loses its place."""
        raise NotImplementedError

    def _hear(self, pipe: Pipe) -> None:
        """A pipe that slept has something, or has ended."""
        raise NotImplementedError

    def _regain(self, pipe: Pipe) -> None:
        """A pipe that was full has room."""
        raise NotImplementedError

    def _introduce(self, pipe: Pipe) -> None:
        """The handshake of a connecting pipe has told who the peer is."""

    def _resume(self, pipe: Pipe) -> None:
        """A connecting pipe has a connection again, perhaps to somebody else."""

    # --- commands -------------------------------------------------------------

    def command_attach(self, pipe: Pipe) -> None:
        """There is a new pipe."""
        if self.is_closed:
            return
        self.pipes[pipe] = None
        self._attach(pipe)

    def command_read(self, pipe: Pipe) -> None:
        """A pipe that slept has something."""
        if not (pipe.is_removed or pipe.is_leaving):
            self._hear(pipe)

    def command_ended(self, pipe: Pipe) -> None:
        """The peer has gone: nothing can be sent to it, what it sent can still be read."""
        if pipe.is_removed:
            return
        if pipe.is_leaving:
            self._agree(pipe)
            return
        pipe.is_ended = True
        # The other side hears of this only when this one has read to the end.
        pipe.is_open = False
        pipe.full_at = 0
        if isinstance(pipe, NetworkPipe):
            self.drop_all("peer lost", pipe.backlog)
        if pipe.is_end_read:
            self.acknowledge_end(pipe)
        else:
            self._hear(pipe)

    def command_broken(self, pipe: NetworkPipe) -> None:
        """With IMMEDIATE=1 a connection has broken: what was not read or sent goes with it."""
        self.drop_all("peer lost", pipe.backlog)
        if pipe in self.pipes:
            self.drop_all("peer lost", pipe.inbound)
            pipe.close_out()
            self._later(IO_THREAD_NS, self._command_forget, pipe)

    def command_credit(self, report: tuple[Pipe, int]) -> None:
        """The reader of a pipe has reported."""
        pipe, read = report
        if pipe.count(read) and not pipe.is_removed:
            self._regain(pipe)

    def command_limits(self, change: tuple[InprocPipe, int, int]) -> None:
        """The other side of an inproc connection has changed SNDHWM or RCVHWM."""
        pipe, outbound, inbound = change
        pipe.set_limits(outbound, inbound)

    def command_identify(self, pipe: Pipe) -> None:
        """The peer of a connecting pipe has introduced itself."""
        if not pipe.is_removed:
            self._introduce(pipe)

    def command_resume(self, pipe: NetworkPipe) -> None:
        """A connecting pipe has a connection again."""
        if not pipe.is_removed:
            self._resume(pipe)

    def command_terminate(self, pipe: NetworkPipe) -> None:
        """The I/O thread gives up a connection for good.

        It asks its socket first, and the pipe ends only with the answer; so one more send
        succeeds and is lost (1.11, 5.4.4).
        """
        if not pipe.is_removed:
            self._later(IO_THREAD_NS, NetworkPipe.put_end, pipe)

    def acknowledge_end(self, pipe: Pipe) -> None:
        """A pipe was read to its end.

        The other side is asked and answers through the mailbox; until the owner has seen
        that, the pipe keeps its place and its routing id (5.3.5).
        """
        if pipe.is_acknowledged or (isinstance(pipe, InprocPipe) and not pipe.is_bound):
            return  # Or there is nobody yet who could answer.
        pipe.is_acknowledged = True
        if isinstance(pipe, InprocPipe) and not pipe.peer.socket.is_closed:
            # After a disconnect() it is the owner of the other end who answers, at its next call.
            pipe.peer.mailbox.post(pipe.peer.socket.command_agreed, pipe.peer)
        else:
            self._later(IO_THREAD_NS, self._command_forget, pipe)

    def command_agreed(self, pipe: InprocPipe) -> None:
        """The other side has read a pipe to the end at which this one had left it."""
        self.forget(pipe)
        pipe.peer.mailbox.post(pipe.peer.socket.forget, pipe.peer)

    def _agree(self, pipe: Pipe) -> None:
        """Both ends gave up a connection: each keeps its place until the other has answered."""
        if isinstance(pipe, InprocPipe) and not pipe.peer.socket.is_closed:
            pipe.peer.mailbox.post(pipe.peer.socket.forget, pipe.peer)
        else:
            self.forget(pipe)

    def _command_forget(self, pipe: Pipe) -> None:
        self.mailbox.post(self.forget, pipe)

    def leave(self, pipe: InprocPipe) -> None:
        """Give up an end of an inproc connection while the socket lives on.

        Nothing passes it any more, but it keeps its place and its routing id until the other
        side has read to the end (measured).
        """
        pipe.is_leaving = True
        self.drop_all(pipe.gone_because, pipe.inbound)
        pipe.close_out()
        if not pipe.is_bound:
            self.mailbox.post(self.command_left_unbound, pipe)

    def command_left_unbound(self, pipe: InprocPipe) -> None:
        """A pipe to a name that nobody had bound ends: its far end is in our hands until then."""
        pipe.is_ended = True
        if pipe.is_bound:
            pipe.peer.socket.command_ended(pipe.peer)

    def forget(self, pipe: Pipe) -> None:
        """Take a pipe out of the socket."""
        if pipe.is_removed:
            return
        pipe.is_removed = pipe.is_watched = True
        self.pipes.pop(pipe, None)
        self._forget(pipe)

    # --- what the observer is told --------------------------------------------

    def note(self, kind: str, peer: object, endpoint: str) -> None:
        """Tell the observer of the run of a connection."""
        observe = self.simulation.observe
        if observe is not None:
            observe(kind, self, {"peer": str(peer), "endpoint": endpoint})

    def drop(self, reason: str, message: Message) -> None:
        """A message ends here, for a reason with a name."""
        observe = self.simulation.observe
        if observe is not None and message:
            observe("dropped", self, {"reason": reason, "message": message})

    def drop_all(self, reason: str, messages: deque[Message]) -> None:
        """All of a queue ends here."""
        if messages:
            for message in messages:
                self.drop(reason, message)
            messages.clear()
