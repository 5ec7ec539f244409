"""The nursery: one fresh interpreter with one thread, which imports all once and forks each node.

To fork a process that has threads, or a context of libzmq, is forbidden, and the harness
has both; to start an interpreter for each node would take a quarter of a second each. So
the harness starts this one, and it makes no context and no thread.

It is a session of its own: neither Ctrl-C in a terminal nor a signal to the harness's group
reaches it. When its connection to the harness ends, however that came, it kills all nodes,
those that stand still too, and what they have started, and removes the folder of the run.
"""

from __future__ import annotations

import gc
import os
import selectors
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

from .channel import decode, encode
from .programs import unpack

BOOT = "import sys; sys.path[:] = eval(sys.argv[1]); from reqrep.harness.real import nursery; nursery.main()"
"""What the interpreter runs; its arguments are the path to import from, a descriptor, and a folder."""

MESSAGE_BYTES = 4096
_TOLD_BYTES = 60_000
"""How much of a failure goes into one message."""


def main() -> None:
    """The life of the nursery."""
    _, _, descriptor, folder = sys.argv
    connection = socket.socket(fileno=int(descriptor))
    connection.set_inheritable(False)  # What programs start when they are imported has none of it.
    try:
        Nursery(connection, Path(folder)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Nursery:
    """See the top of this file.

    Args:
        connection: To the harness; each message is a packet.
        folder: Where the output of the nodes goes.
    """

    def __init__(self, connection: socket.socket, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._pids: dict[int, tuple[int, int]] = {}  # process descriptor -> number, process

    def run(self) -> None:
        try:
            self._prepare()
            while self._serve():
                pass
        except ConnectionError:
            pass  # The harness has gone in the midst of it.
        except BaseException:
            text = traceback.format_exc()[-_TOLD_BYTES:]
            self._connection.send(encode(["failed", text]))
        finally:
            for descriptor, (_, pid) in self._pids.items():
                _kill_group(pid)
                os.waitpid(pid, 0)
                os.close(descriptor)

    def _prepare(self) -> None:
        """Import all that nodes need, the programs of the run too."""
        from . import inside

        self._begin = inside.begin
        self._scenario = unpack(sys.stdin.buffer.read())
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        gc.freeze()  # What is here now all nodes share; a collector that visits it would copy it.

    def _serve(self) -> bool:
        """Do what there is to do; False when the harness has gone."""
        for key, _ in self._selector.select():
            if key.fileobj is not self._connection:
                self._bury(key.fd)
                continue
            data, descriptors, *_ = socket.recv_fds(self._connection, MESSAGE_BYTES, 1)
            if not data:
                return False
            number, name = decode(data)
            self._bear(number, name, descriptors[0])
        return True

    def _bear(self, number: int, name: str, channel: int) -> None:
        """Fork a node."""
        try:
            pid = os.fork()
        except OSError as error:
            os.close(channel)
            self._connection.send(encode(["unborn", number, error.strerror]))
            return
        if not pid:
            self._become(number, name, channel)
        os.close(channel)
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as error:
            _kill_group(pid)
            os.waitpid(pid, 0)
            self._connection.send(encode(["unborn", number, error.strerror]))
            return
        self._pids[descriptor] = number, pid
        self._selector.register(descriptor, selectors.EVENT_READ)
        socket.send_fds(self._connection, [encode(["born", number, pid])], [descriptor])

    def _become(self, number: int, name: str, channel: int) -> None:
        """What the child does; it never returns."""
        try:
            os.setpgid(0, 0)
            self._selector.close()
            self._connection.close()
            for descriptor in self._pids:
                os.close(descriptor)
            with output_of(self._folder, number, name).open("wb") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            self._begin(socket.socket(fileno=channel), self._scenario, number)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)

    def _bury(self, descriptor: int) -> None:
        """A node has ended."""
        number, pid = self._pids.pop(descriptor)
        self._selector.unregister(descriptor)
        _kill_group(pid)  # What it has started ends with it. Its number is its own until the wait.
        _, status = os.waitpid(pid, 0)
        os.close(descriptor)
        self._connection.send(encode(["ended", number, status]))


def output_of(folder: Path, number: int, name: str) -> Path:
    """The file that holds what a node has printed."""
    return folder / f"output.{number}.{name}"


def _kill_group(pid: int) -> None:
    for kill in os.killpg, os.kill:
        try:
            kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # It has no group of its own yet, or nothing is left.
