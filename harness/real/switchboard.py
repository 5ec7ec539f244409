"""Where the harness meets its processes: the nursery that bears them, and a thread that hears all."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import threading
import traceback
from itertools import count
from pathlib import Path
from typing import Protocol

from ..errors import HarnessBug, NodeFailed, ReqrepError
from ..node import Node
from .channel import Tag, decode, encode
from .nursery import BOOT
from .process import Process, tail_of

NURSERY_BYTES = 1 << 16
"""How long a message of the nursery may be."""

LEAVE_S = 5.0
"""How long the nursery may take to end all that is left, and itself."""


class Hearer(Protocol):
    """Who wants to know what processes say; all in the thread of the switchboard."""

    def said(self, process: Process, tag: Tag, number: int, content: bytes) -> None:
        """A process has said something."""

    def gone(self, process: Process, status: int | None) -> None:
        """A process is no more; None if nobody knows how it ended."""

    def advanced(self) -> None:
        """Whoever waits for one of them shall look."""

    def blame(self, error: ReqrepError) -> None:
        """Something went wrong that ends the run."""


class Switchboard:
    """See the top of this file.

    Args:
        hearer: Who wants to know.
        folder: Of the run.
    """

    def __init__(self, hearer: Hearer, folder: Path) -> None:
        self._hearer = hearer
        self._folder = folder
        self._numbers = count(1)
        self._processes: dict[int, Process] = {}
        self._failure = ""
        self._has_borne = False
        self._is_closing = False
        self._is_over = False
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._nursery, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._selector.register(self._nursery, selectors.EVENT_READ)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="reqrep-switchboard", daemon=True)

    def begin(self, scenario: bytes) -> None:
        """Start the nursery, without waiting for it.

        Args:
            scenario: What it unpacks.
        """
        entries: list[object] = [*sys.path]  # Python looks past those that are no text.
        path = [entry or os.getcwd() for entry in entries if isinstance(entry, str)]
        with self._theirs as theirs, (self._folder / "nursery").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, repr(path), str(theirs.fileno()), str(self._folder)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._thread.start()
        assert self._process.stdin is not None
        try:
            with self._process.stdin as plan:
                plan.write(scenario)
        except BrokenPipeError:
            pass  # It has ended; that it has is heard.

    @property
    def processes(self) -> list[Process]:
        """All that are, and were."""
        return list(self._processes.values())

    @property
    def living(self) -> list[Process]:
        """Those that were born and are not known to have ended."""
        return [one for one in self.processes if one.pid is not None and not one.has_exited]

    def bear(self, node: Node) -> Process:
        """Have a process forked for a node.

        Raises:
            NodeFailed: The harness has no descriptors left for it.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            what = f"cannot be started: {error.strerror}; raise the limit (ulimit -n), or run fewer nodes"
            raise NodeFailed(node.name, what) from error
        process = Process(next(self._numbers), node, ours, self._folder)
        with theirs:
            with self._lock:
                if self._is_over:
                    process.close()  # The run is over, for a reason that its hearer has.
                    return process
                self._processes[process.number] = process
                self._selector.register(ours, selectors.EVENT_READ, process)
            try:
                request = encode([process.number, node.name])
                socket.send_fds(self._nursery, [request], [theirs.fileno()])
            except OSError:
                pass  # The nursery has ended; that it has is heard.
        return process

    def close(self) -> None:
        """End all processes that are left, and the nursery."""
        self._is_closing = True
        self._theirs.close()
        self._nursery.shutdown(socket.SHUT_WR)
        if self._process is not None:
            try:
                self._process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # Whoever has inherited its end holds it open; what it has said can still be read.
        self._nursery.shutdown(socket.SHUT_RD)
        if self._thread.ident is not None:
            self._thread.join()
        self._nursery.close()
        self._selector.close()

    # --- the thread ---------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is None:
                        if not self._hear_nursery():
                            return
                    elif not key.data.has_exited and not key.data.channel.read():
                        self._selector.unregister(key.fileobj)  # It ends, which the nursery tells.
                    else:
                        self._pass_on(key.data)
        except ReqrepError as error:
            self._hearer.blame(error)
        except Exception:
            self._hearer.blame(HarnessBug(f"please report this:\n{traceback.format_exc()}"))
        finally:
            with self._lock:
                self._is_over = True
            for process in self._processes.values():
                if not process.has_exited:
                    process.kill()
                    self._bury(process, None)

    def _pass_on(self, process: Process) -> None:
        for tag, number, content in process.channel.messages():
            self._hearer.said(process, Tag(tag), number, content)

    def _hear_nursery(self) -> bool:
        """What the nursery says; False when it has ended."""
        try:
            data, descriptors, *_ = socket.recv_fds(self._nursery, NURSERY_BYTES, 1)
        except ConnectionResetError:
            return True  # It has ended before it read all; what it said first is still there.
        if not data:
            if not self._is_closing:
                self._hearer.blame(self._nursery_failed())
            return False
        match decode(data):
            case ["born", number, pid]:
                self._has_borne = True
                process = self._processes[number]
                if descriptors:
                    process.is_born(pid, descriptors[0])
                else:  # The kernel had no room for it.
                    why = "the limit of open files is reached; raise it (ulimit -n)"
                    self._hearer.blame(NodeFailed(process.node.name, f"cannot be watched: {why}"))
            case ["ended", number, status]:
                self._bury(self._processes[number], status)
            case ["unborn", number, reason]:
                process = self._processes[number]
                self._hearer.blame(NodeFailed(process.node.name, f"cannot be forked: {reason}"))
                self._bury(process, None)
            case ["failed", text]:
                self._failure = text
        return True

    def _nursery_failed(self) -> NodeFailed:
        text = self._failure or tail_of(self._folder / "nursery")
        what = "cannot be loaded by an interpreter of its own" if not self._has_borne else "is lost"
        return NodeFailed("the fleet", f"{what}:", text or "the interpreter was ended from outside")

    def _bury(self, process: Process, status: int | None) -> None:
        """A process is no more: what it had still to say, its kernel has."""
        try:
            while process.channel.read(socket.MSG_DONTWAIT):
                self._pass_on(process)
        except BlockingIOError:
            pass  # Somebody whom it has started holds its end.
        try:
            self._selector.unregister(process.channel.connection)
        except KeyError:
            pass  # Its end was heard before.
        self._hearer.gone(process, status)
        process.close()
        self._hearer.advanced()
