"""The world `processes`: each node an operating-system process, on real libzmq over ipc or tcp.

The harness forks nobody itself: a nursery does (`nursery.py`), and hands each child one end of a
socket to the harness (`channel.py`). What a node does in its process stands in `inside.py`; each row
of its history comes here the moment it is written, so a node that is killed loses nothing
but what it had not written. One thread hears all of them (`switchboard.py`).

A crash is SIGKILL, a stall is SIGSTOP. In the end each node ends itself as a thread would
(`resident.py`); one that does not is killed, and so are all when the harness dies.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from .. import errors
from ..conduct import START_TIMEOUT_S, STOP_TIMEOUT_S, Progress
from ..endpoints import private_folder
from ..errors import HarnessBug, MisuseError, NodeFailed
from ..faults import Meddling
from ..history.event import OUTCOMES
from ..history.recorder import Recorder, Row
from ..node import Node
from ..pattern import Role
from ..scenario import Scenario
from ..seam.seat import Place
from . import programs
from .channel import Begin, Tag, decode, row_of
from .process import Process, death_of
from .programs import check_findable, pack
from .signals import ProcessesReach, able
from .switchboard import Switchboard
from .world import RealWorld

ANSWER_S = 1.0
"""How long a process may take to say where it stands, or that it has written all down."""

SILENCE_S = 5.0
"""How long a client may say nothing, which else tells all the time how far it is, before it counts as
stuck: it is in a call that lets no other thread of its process run."""

GRACE_S = 2.0
"""How long a process may take to end after its node was told to, beyond what the node may."""


class _Said:
    """A flag of the run that each process is told of."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def set(self) -> None:
        self._tell()

    def wait(self, timeout: float | None = None) -> Any:
        raise HarnessBug("nobody in the harness waits for what the processes are told")


class ProcessesWorld(RealWorld):
    """One run in processes.

    Args:
        scenario: What is run.
        transport: `ipc` or `tcp`.
        recorder: Where it is written down.
        progress: Called now and then with the drivers of the clients, while the load runs.
        start_timeout_s, stop_timeout_s: See the constants of `conduct.py`.

    Raises:
        MisuseError: It cannot be run in processes.
    """

    def __init__(
        self,
        scenario: Scenario,
        transport: str,
        recorder: Recorder,
        progress: Progress | None = None,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        if transport == "inproc":
            raise MisuseError(
                "the transport is 'inproc', which does not reach from one process to another; use "
                "ipc or tcp, or the world threads"
            )
        if not _can_name_processes():
            raise MisuseError(
                "the world processes needs Linux, whose processes can be named without a mistake "
                "(pidfd_open); use the world threads"
            )
        if programs.is_here_for_them:
            raise MisuseError(
                "this script runs its fleet while it is only loaded for its programs, in an "
                "interpreter that the run has started; put the run under if __name__ == '__main__':"
            )
        check_findable(scenario.pattern)
        super().__init__(
            scenario,
            transport,
            private_folder(),
            recorder,
            progress,
            start_timeout_s,
            stop_timeout_s,
        )
        self._expect_faults("processes", able, ProcessesReach(self, self.advanced, self._relay))
        self.go = _Said(lambda: self._tell(Tag.GO, self.load_begun_ns))
        self.healed = _Said(lambda: self._tell(Tag.HEALED))
        self.finished = _Said(lambda: self._tell(Tag.FINISHED))
        self.stopping = _Said(lambda: self._tell(Tag.STOP))
        self._is_stopping = False
        self._looked_s = self._listens_since_s = 0.0
        self._board: Switchboard | None = None
        self._living: dict[str, Process] = {}  # The last process of each node.
        self._questions = count(1)

    def run(self) -> None:
        """Run the scenario once.

        Raises:
            NodeFailed: A node did not start.
            MisuseError: The plan cannot be carried out, as when its bodies cannot be made.
            KeyboardInterrupt: The user stopped the run; everything was cleaned up.
        """
        assert self._folder is not None
        with self._premises():
            self._board = Switchboard(self, self._folder)
            try:
                self._board.begin(pack(self.scenario))
                self._seat_nodes()
                self._start()
                self._load()
                # What proxies have forwarded is written down a moment later.
                self._ask(self._board.living, Tag.SETTLE, self._stop_timeout_s)
            finally:
                self._stop(self._board)
            self._raise_blamed()

    # --- how nodes live -------------------------------------------------------

    def _make_seat(self, name: str, role: Role) -> Place:
        return Place(name, self.recorder)

    def _launch(self, node: Node, arguments: list[Any]) -> None:
        assert self._board is not None
        process = self._living[node.name] = self._board.bear(node)
        process.say(
            Tag.BEGIN,
            Begin(
                name=node.name,
                role=node.role.name,
                number=node.number,
                arguments=arguments,
                talk=pack(node.role.program) if node.is_visitor else b"",
                begun_ns=self.recorder.begun_ns,
                awaited=self._awaited_at(node),
                asks_afresh=self.asks_afresh,
                has_meddlers=self._chaos is not None and self._chaos.has_meddlers,
                stop_timeout_s=self._stop_timeout_s,
                hwm_limit=node.seat.hwm_limit,
                known_as=node.known_as,
            ),
        )
        if node.is_client and self.load_begun_ns:  # A newcomer.
            process.say(Tag.GO, self.load_begun_ns)
            process.say(Tag.HEALED)

    def _awaited_at(self, node: Node) -> frozenset[str]:
        return self._chaos.awaited_at(node.name) if self._chaos is not None else frozenset()

    def _has_ended(self, node: Node) -> bool:
        process = self._living.get(node.name)
        return process is not None and (process.has_ended or process.has_exited)

    def _join(self, node: Node, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._has_ended(node) and node.name in self._living:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(left_s)

    def _is_at_work(self, node: Node) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s > ANSWER_S:  # It begins to look, or has stood still itself.
            self._listens_since_s = now_s
        self._looked_s = now_s
        if not super()._is_at_work(node):
            return False
        patience_s = max(SILENCE_S, self.scenario.demand.timeout_s)
        return now_s - max(self._living[node.name].heard_s, self._listens_since_s) <= patience_s

    def _stack_of(self, node: Node) -> str:
        process = self._living.get(node.name)
        if process is None or process.has_exited:
            return "(it has ended)"
        if process.pid is None:
            return "(it is not born yet: its programs are still being imported)"
        (stack,) = self._ask([process], Tag.STACK, ANSWER_S)
        return stack or (
            "(it does not answer: it is in a call that lets no other thread of its process run)"
        )

    def _ask(self, processes: list[Process], tag: Tag, timeout_s: float) -> list[Any]:
        """Ask processes something; None for those that do not answer in time."""
        number = next(self._questions)
        for process in processes:
            process.say(tag, None, number)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while any(number not in one.replies and not one.has_exited for one in processes):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
            return [process.replies.get(number) for process in processes]

    def _tell(self, tag: Tag, content: Any = None) -> None:
        for process in self._board.processes if self._board is not None else ():
            if not process.has_exited:
                process.say(tag, content)

    # --- what faults do to nodes; see `signals.Lives` ---------------------------

    def is_alive(self, name: str) -> bool:
        return name in self._living and self._living[name].is_alive

    def crash(self, name: str) -> None:
        self._living[name].kill()

    def leave(self, name: str) -> None:
        self._living[name].leave()

    def start(self, name: str, *, renamed: bool) -> None:
        self._restart(self._nodes[name], renamed=renamed)

    def stall(self, name: str) -> None:
        self._living[name].stall()

    def resume(self, name: str) -> None:
        self._living[name].resume()

    # --- what processes say; see `switchboard.Hearer` ---------------------------

    def said(self, process: Process, tag: Tag, number: int, content: bytes) -> None:
        process.heard_s = time.monotonic()
        if tag is Tag.ROW:  # As most are.
            self._write(process, row_of(content))
            return
        node = process.node
        answer = partial(process.say, Tag.ANSWER, number=number)
        if tag is Tag.POINT:
            self._write(process, row_of(content))
            answer(self._awaited_at(node))
        elif tag is Tag.BOUND:
            tap, requested, endpoint = decode(content)
            self.bound(node.seat, process.tap(tap), requested, endpoint)
        elif tag is Tag.CONNECTING:
            tap, endpoint = decode(content)
            self.connecting(node.seat, process.tap(tap), endpoint)
            answer([process.tap(tap).serves_link, self._way_of(node, endpoint)])
        elif tag is Tag.UNWATCHED:
            self.unwatched(process.tap(decode(content)))
        elif tag is Tag.MADE:
            node.driver = process.driver
            self.made(node)
        elif tag is Tag.PROGRESS:
            process.driver.tells(*decode(content))
            self.advanced()
        elif tag is Tag.BLAME:
            kind, text = decode(content)
            self.blame(getattr(errors, kind)(text))
        elif tag is Tag.MEDDLE:
            answer(self._meddle(node))
        elif tag is Tag.CLOCK:
            answer(self.recorder.clock())
        elif tag is Tag.REPLY:
            process.replies[number] = decode(content)
            self.advanced()

    def _way_of(self, node: Node, endpoint: str) -> str:
        try:
            return self.way_in(node.name, endpoint)
        except OSError as error:
            what = f"cannot be led through the relay: {error.strerror}; raise the limit (ulimit -n)"
            self.blame(NodeFailed(node.name, what))
            return endpoint

    def _write(self, process: Process, row: Row) -> None:
        """A row of the history, and what it means for the run."""
        node, kind = process.node, row[2]
        if kind == "crash":
            node.crash = process.tail + row[6]
            row = (*row[:6], node.crash, row[7])
        self.recorder.append(row)
        if kind == "invoke":
            process.driver.asked(row[4], row[7])
        elif kind in OUTCOMES:
            now_ns = row[0] - self.recorder.begun_ns
            process.driver.ended(row[4], now_ns, is_ok=kind == "ok")
        elif kind == "executed" and self._has_one_way_ops:
            self._executed(row[4])
        elif kind == "connected":
            self._barrier.connected(process.tap(row[3]), row[6])
        elif kind == "crash":
            self.advanced()
        elif kind == "stuck":
            process.is_stuck = True
        elif kind == "end":
            process.has_ended = True
            self.advanced()

    def _meddle(self, node: Node) -> tuple[Meddling, str | None]:
        assert self._chaos is not None
        try:
            return self._chaos.meddle(node.name), None
        except RuntimeError as error:
            return Meddling(), str(error)

    def gone(self, process: Process, status: int | None) -> None:
        node = process.node
        was_told = (
            (self._is_stopping or process.is_leaving)
            and status is not None
            and not os.WIFSIGNALED(status)
        )
        if status is not None and not node.is_killed and not was_told:
            node.crash = process.tail + death_of(status)
            node.seat.note("crash", text=node.crash)
        if not process.has_ended:
            node.seat.note("end")

    # --- the end --------------------------------------------------------------

    def _stop(self, board: Switchboard) -> None:
        try:
            self._end_faults()
            self.recorder.stop()
            self._is_stopping = True
            left = board.living
            self.stopping.set()
            self._await_exits(left)
        finally:
            board.close()

    def _await_exits(self, processes: list[Process]) -> None:
        deadline = time.monotonic() + self._stop_timeout_s + GRACE_S
        with self._changed:
            while not all(process.has_exited for process in processes):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                self._changed.wait(left_s)
        for process in processes:
            if not process.has_exited and not process.is_stuck:
                process.node.seat.note("stuck", text="it does not answer, and is killed")


def _can_name_processes() -> bool:
    """Whether the kernel has `pidfd_open`, and lets us call it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
