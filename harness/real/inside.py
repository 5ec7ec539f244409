"""What a node's process does: it lives the node's life, and tells the harness all of it.

The program runs in the main thread, as it would if a person had started it. A second thread
hears the harness: it answers, says go and stop, and ends the process when the harness has
gone. Each row of the history is written to the harness at once.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import count
from select import POLLIN, poll
from socket import socket
from typing import Any, NoReturn

import zmq

from ..errors import HarnessBug, ReqrepError
from ..faults import Meddling
from ..frames import find_op
from ..history.recorder import Recorder, Row
from ..life import Life
from ..node import Node
from ..pattern import Role
from ..scenario import Scenario
from ..seam import proxy
from ..seam.monitor import MonitorHub
from ..seam.patches import installed
from ..seam.recording import RecordingSeat
from ..seam.seat import Seat
from ..seam.tap import Tap
from ..service import Notes
from .channel import Begin, Channel, Tag, begin_of, decode
from .programs import unpack
from .resident import Resident, end, roomy_context, terminate

TICK_S = 0.05
"""How often a client that pipelines tells how far it is."""

BEAT_S = 1.0
"""How often a client tells how far it is although it is no further, since it says so only as long
as its program lets the thread that hears the harness run."""

NUMBERS_APART = 10_000
"""The numbers of a process's sockets are its own number, and so on in steps of this."""

CLOCK_QUESTIONS = 50
"""How often clocks that differ are compared; the answer that came soonest counts."""

_CROSSINGS = frozenset({"send", "recv"})
"""Rows that pass a point only when they carry an op."""

EXIT_DONE, EXIT_ORPHANED = 0, 1


def begin(connection: socket, scenario: Scenario, number: int) -> NoReturn:
    """Be a node from now on.

    Args:
        connection: To the harness.
        scenario: What is run.
        number: Of this process in the run, from 1.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable(all_threads=False)
    Inside(Channel(connection), scenario, number).run()


class Outbox(Recorder):
    """Writes a history to the harness instead of keeping it.

    Args:
        inside: The process.
        clock: The clock of the harness.
        number: Of this process.
        awaited: The kinds of rows upon which a fault may strike.
    """

    def __init__(
        self, inside: Inside, clock: Callable[[], int], number: int, awaited: frozenset[str]
    ) -> None:
        super().__init__(clock)
        self.next_socket = count(number, NUMBERS_APART).__next__
        self._say = inside.say
        self._ask = inside.ask
        self._awaited = awaited
        self._has_invoked = False
        self.append = self._write

    def _write(self, row: Row) -> None:
        kind = row[2]
        if kind == "invoke":
            self._has_invoked = True
            self._rows.clear()
        if self._has_invoked:
            self._rows.append(row)  # As far back as `has_sent` looks.
        if kind in self._awaited and (kind not in _CROSSINGS or find_op(row[5]) is not None):
            # The harness says when the fault has struck, and what else it waits for.
            self._awaited = frozenset(self._ask(Tag.POINT, row))
        else:
            self._say(Tag.ROW, row)


class _MainResident(Resident):
    """The node, whose program runs in the main thread, which goes on after it."""

    def __init__(self, seat: RecordingSeat) -> None:
        super().__init__(seat)
        self.thread = threading.main_thread()
        self.over = threading.Event()

    @property
    def has_ended(self) -> bool:
        return self.over.is_set()

    def join(self, timeout_s: float) -> None:
        self.over.wait(timeout_s)


class Inside:
    """The run, as its one node sees it, and who listens to the node; see `life.Run`.

    Args:
        channel: To the harness.
        scenario: What is run.
        number: Of this process.
    """

    def __init__(self, channel: Channel, scenario: Scenario, number: int) -> None:
        self.scenario = scenario
        self.go = threading.Event()
        self.healed = threading.Event()
        self.finished = threading.Event()
        self.stopping = threading.Event()
        self.load_begun_ns = 0
        self.asks_afresh = False
        self._channel = channel
        self._number = number
        self._news = poll()
        self._news.register(channel.connection, POLLIN)
        self._questions = count(1)
        self._answers: dict[int, Any] = {}
        self._answered = threading.Condition()
        self._begin = Begin()
        self._begun = threading.Event()
        self._ways_in: dict[str, str] = {}  # Endpoint -> where it is really connected to.
        self._meant: dict[str, str] = {}  # The other way round.
        self._resident: _MainResident | None = None
        self._node: Node | None = None
        self._is_ending = False

    def run(self) -> NoReturn:
        """Live the node's life, and wait to be told that all is over."""
        threading.Thread(target=self._hear, name="reqrep-harness", daemon=True).start()
        self._begun.wait()
        begin = self._begin
        self.asks_afresh = begin.asks_afresh
        recorder = Outbox(self, self._clock_of_the_harness(), self._number, begin.awaited)
        recorder.begun_ns = begin.begun_ns
        self.clock = recorder.elapsed_ns
        role = (
            self.scenario.pattern.role(begin.role)
            if not begin.talk
            else Role(begin.role, unpack(begin.talk))
        )
        with installed():
            self._context = roomy_context()
            self._hub = MonitorHub(self._heard)
            seat = RecordingSeat(begin.name, recorder, self._context, self)
            seat.hwm_limit = begin.hwm_limit
            resident = self._resident = _MainResident(seat)
            node = self._node = Node(begin.name, role, begin.number, seat)
            node.is_visitor = bool(begin.talk)
            node.known_as = begin.known_as
            Life(self, node, seat, [seat.context, *begin.arguments]).live()
            resident.over.set()
            while True:
                signal.pause()  # Until the process is ended, when the run is over.

    def _clock_of_the_harness(self) -> Callable[[], int]:
        """The clock that all histories of the run are written by.

        The clock that never goes back is one on one machine, so what seems to be between theirs
        and ours is as a rule no more than the question itself explains, and is none.
        """
        offset_ns = doubt_ns = 0
        for turn in range(CLOCK_QUESTIONS):
            asked_ns = time.monotonic_ns()
            theirs_ns = self.ask(Tag.CLOCK)
            half_ns = (time.monotonic_ns() - asked_ns) // 2 + 1
            if not turn or half_ns < doubt_ns:
                offset_ns, doubt_ns = theirs_ns - asked_ns - half_ns, half_ns
            if abs(offset_ns) <= doubt_ns:
                return time.monotonic_ns

        def clock() -> int:
            return time.monotonic_ns() + offset_ns

        return clock

    # --- to the harness ---------------------------------------------------------

    def say(self, tag: Tag, content: Any = None, number: int = 0) -> None:
        """Tell the harness something."""
        try:
            self._channel.send(tag, content, number)
        except OSError:
            os._exit(EXIT_ORPHANED)

    def ask(self, tag: Tag, content: Any = None) -> Any:
        """Ask the harness something, and wait for the answer."""
        number = next(self._questions)
        self.say(tag, content, number)
        with self._answered:
            while number not in self._answers:
                self._answered.wait()
            return self._answers.pop(number)

    # --- from the harness -------------------------------------------------------

    def _hear(self) -> None:
        while self._has_news() and self._channel.read():
            for tag, number, data in self._channel.messages():
                self._take(Tag(tag), number, data)
        os._exit(EXIT_ORPHANED)

    def _has_news(self) -> bool:
        """Wait for the harness; a client tells meanwhile how far it is."""
        told, told_s = None, 0.0
        while self._node is not None and self._node.driver is not None:
            if self._news.poll(TICK_S * 1000):
                break
            progress, now_s = self._progress(), time.monotonic()
            if progress != told or now_s - told_s >= BEAT_S:
                told, told_s = progress, now_s
                self.say(Tag.PROGRESS, told)
        return True

    def _take(self, tag: Tag, number: int, data: bytes) -> None:
        if tag is Tag.ANSWER:
            with self._answered:
                self._answers[number] = decode(data)
                self._answered.notify_all()
        elif tag is Tag.BEGIN:
            self._begin = begin_of(data)
            self._begun.set()
        elif tag is Tag.GO:
            self.load_begun_ns = decode(data)
            self.go.set()
        elif tag is Tag.HEALED:
            self.healed.set()
        elif tag is Tag.FINISHED:
            self.finished.set()
        elif tag is Tag.STACK:
            stack = self._resident.stack if self._resident is not None else "(it begins)"
            self.say(Tag.REPLY, stack, number)
        elif tag is Tag.SETTLE:
            self._apart(self._settle, number)
        elif tag in (Tag.STOP, Tag.LEAVE) and not self._is_ending:
            self._is_ending = True
            self._apart(self._stop, tag is Tag.LEAVE)

    def _apart(self, work: Callable[..., None], *arguments: Any) -> None:
        """In a thread, since who hears the harness must not wait for what needs its answers."""
        threading.Thread(target=work, args=arguments, name="reqrep-end", daemon=True).start()

    def _settle(self, number: int) -> None:
        if self._resident is not None:
            proxy.settle(self._resident.seat.recorder, self._begin.stop_timeout_s)
        self.say(Tag.REPLY, None, number)

    def _stop(self, is_leaving: bool) -> None:
        """End the node, and this process."""
        try:
            resident, timeout_s = self._resident, self._begin.stop_timeout_s
            if resident is not None:
                if is_leaving:  # After a whole load the harness has asked for this before.
                    proxy.settle(resident.seat.recorder, timeout_s)
                resident.seat.stop(is_leaving=is_leaving)
                for flag in self.stopping, self.go, self.healed, self.finished:
                    flag.set()
                terminators = [terminate(self._context)]
                end([resident], [self._context], terminators, self._hub, timeout_s)
        except Exception:
            self.blame(HarnessBug(f"please report this:\n{traceback.format_exc()}"))
        finally:
            os._exit(EXIT_DONE)

    # --- what the node asks and tells -------------------------------------------

    def note_of(self, node: Node) -> Notes:
        return node.seat.note

    def meddle_of(self, node: Node) -> Callable[[], Meddling] | None:
        return self._meddle if self._begin.has_meddlers else None

    def _meddle(self) -> Meddling:
        meddling, raised = self.ask(Tag.MEDDLE)
        if raised is not None:
            raise RuntimeError(raised)
        return Meddling(*meddling)

    def made(self, node: Node) -> None:
        self.say(Tag.MADE)

    def advanced(self) -> None:
        if self._node is not None and self._node.driver is not None:
            self.say(Tag.PROGRESS, self._progress())

    def blame(self, error: ReqrepError) -> None:
        self.say(Tag.BLAME, [type(error).__name__, str(error)])

    def _progress(self) -> tuple[int, int | None, bool, bool]:
        assert self._node is not None and self._node.driver is not None
        driver = self._node.driver
        return driver.answered, driver.open_since_ns, driver.is_done, driver.is_through

    # --- what the seam tells; see `RecordingListener` ------------------------------

    def is_known(self, endpoint: str) -> bool:
        return True  # The names of inproc are the process's own.

    def bound(self, seat: Seat, tap: Tap, requested: str, endpoint: str) -> None:
        self.say(Tag.BOUND, [tap.number, requested, endpoint])

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None:
        # Answered: a handshake can be over at the other end before connect() has returned here.
        tap.serves_link, way_in = self.ask(Tag.CONNECTING, [tap.number, endpoint])
        if way_in != endpoint:
            self._ways_in[endpoint] = way_in
            self._meant[way_in] = endpoint

    def way_in(self, node: str, endpoint: str) -> str:
        return self._ways_in.get(endpoint, endpoint)

    def meant(self, endpoint: str) -> str:
        return self._meant.get(endpoint, endpoint)

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        self._hub.watch(tap, socket)

    def unwatched(self, tap: Tap) -> None:
        self.say(Tag.UNWATCHED, tap.number)

    def _heard(self, tap: Tap, kind: str, endpoint: str) -> None:
        tap.note(kind, endpoint)
