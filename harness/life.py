"""The life of a node, from its first note to its last: what its program is given, and how it ends.

Where a node lives, in a task, a thread or a process, its world decides. What it does there
is the same everywhere and stands here; what it must know of its run it asks `Run`.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, Protocol

import zmq

from .drive import Driver
from .errors import NodeStopped, ReqrepError, told
from .faults import Meddling
from .history.event import UNASKED
from .node import Node
from .scenario import Scenario
from .seam.seat import Seat, seated
from .service import Notes, Service
from .stage import ClientStage


class Flag(Protocol):
    """Something that is said once."""

    def set(self) -> None: ...

    def wait(self, timeout: float | None = None) -> Any: ...


class Run(Protocol):
    """The run, as a node sees it.

    Attributes:
        scenario: What is run.
        go, finished, stopping: Said when the load begins, when it is over, and when all end.
        healed: Said after the load when no fault is left, if clients are to ask afresh.
        asks_afresh: Whether clients make requests when the load is over and all is healed.
        load_begun_ns: When the load began, once that was said.
        clock: Nanoseconds since the run began.
    """

    @property
    def scenario(self) -> Scenario: ...

    @property
    def go(self) -> Flag: ...

    @property
    def healed(self) -> Flag: ...

    @property
    def finished(self) -> Flag: ...

    @property
    def stopping(self) -> Flag: ...

    @property
    def asks_afresh(self) -> bool: ...

    @property
    def load_begun_ns(self) -> int: ...

    @property
    def clock(self) -> Callable[[], int]: ...

    def note_of(self, node: Node) -> Notes:
        """Writes down what the service of a node does."""

    def meddle_of(self, node: Node) -> Callable[[], Meddling] | None:
        """What faults do to the service of a node; None if there are none that do."""

    def made(self, node: Node) -> None:
        """A client was made, with its driver."""

    def advanced(self) -> None:
        """A driver is done, or a node has ended."""

    def blame(self, error: ReqrepError) -> None:
        """An error of the plan or of ours came up in a node."""


class Life:
    """See the top of this file.

    Args:
        run: What it is part of.
        node: Whose life it is.
        seat: How the seam knows the node.
        arguments: What its program is given by position.
    """

    def __init__(self, run: Run, node: Node, seat: Seat, arguments: list[Any]) -> None:
        self._run = run
        self._node = node
        self._seat = seat
        self._arguments = arguments

    def live(self) -> None:
        """The whole life, in whatever the world runs it in."""
        node, seat = self._node, self._seat
        thread = seat.caller()
        seat.note("start")
        end = ""
        try:
            with seated(seat):
                self._run_program()
            if not (node.is_client or node.is_visitor or seat.stopping or node.is_killed):
                end = UNASKED
        except ReqrepError as error:
            self._run.blame(error)  # Of the plan or of ours, not of the node.
        except BaseException as error:
            if not node.is_killed and not (seat.stopping and _is_of_the_end(error)):
                self._crashed(error)
        finally:
            seat.close_sockets(of=lambda owner: owner is thread)
            # Threads that it has left behind may go on for it.
            seat.note("end", text="" if seat.open_sockets() else end)
            self._run.advanced()

    def _crashed(self, error: BaseException) -> None:
        self._seat.stop()
        self._node.crash = told(error)
        self._seat.note("crash", text=self._node.crash)

    def _run_program(self) -> None:
        node, scenario = self._node, self._run.scenario
        if node.is_client:
            self._run_client()
        elif node.is_visitor:
            node.role.program(*self._arguments)
        else:
            service = Service(
                scenario.demand.service_of(node.number),
                scenario.seed,
                self._run.note_of(node),
                self._run.stopping.wait,
                self._run.meddle_of(node),
            )
            offers = {"handle": service, "name": node.known_as}
            node.role.program(*self._arguments, **node.role.taken(offers))

    def _run_client(self) -> None:
        node, run = self._node, self._run
        client = node.role.program(*self._arguments, **node.role.taken({"name": node.name}))
        stage = ClientStage(self._seat, run.clock, run.stopping.wait)
        driver = node.driver = Driver(run.scenario, node.number, client, stage)
        run.made(node)
        run.go.wait()
        if not self._seat.stopping:
            driver.run(run.load_begun_ns)
            run.advanced()
        if run.asks_afresh and not self._seat.stopping:
            run.healed.wait()
            driver.ask_afresh()
            run.advanced()
        if not self._seat.stopping:
            run.finished.wait()
            driver.drain()
        close = getattr(client, "close", None)
        if close is not None:
            close()


def _is_of_the_end(error: BaseException | None) -> bool:
    """Whether an exception is what the end of a run does to a program, however wrapped."""
    if error is None:
        return False
    if isinstance(error, zmq.ZMQError | NodeStopped | SystemExit | CancelledError):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_of_the_end, error.exceptions))
    return _is_of_the_end(error.__cause__ or error.__context__)
