"""Connections and disconnections, heard through libzmq's socket monitors.

One thread of the run reads the monitors of all sockets. It writes down when a
handshake succeeded and when a connection went, and tells the world, which waits
for handshakes in place of sleeping.
"""

from __future__ import annotations

import os
import queue
import selectors
import struct
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import zmq
from zmq.backend import Socket as RawSocket

from .seat import seated
from .tap import Tap

_EVENTS = int(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED)
_KIND_OF = {
    int(zmq.EVENT_HANDSHAKE_SUCCEEDED): "connected",
    int(zmq.EVENT_DISCONNECTED): "disconnected",
}
_HEAD = struct.Struct("=HI")
_names = count(1)


class MonitorHub:
    """Reads the monitors of all sockets of a run.

    Args:
        heard: Called, in the thread of the hub, with each tap, kind and endpoint.
    """

    def __init__(self, heard: Callable[[Tap, str, str], None]) -> None:
        self._heard = heard
        self._new: queue.SimpleQueue[tuple[Tap, zmq.Socket[Any]] | None] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="reqrep-monitors", daemon=True)
        self._thread.start()

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        """Listen to a socket from now on; called in the thread that owns it."""
        address = f"inproc://reqrep-monitor-{next(_names)}"
        with seated(None):  # The listening end is ours, not the node's.
            context: zmq.Context[Any] = zmq.Context(shadow=tap.seat.address)
            RawSocket.monitor(socket, address, _EVENTS)
            reader = context.socket(zmq.PAIR)
            # Without a limit: a full monitor would stop libzmq's own thread.
            reader.set(zmq.RCVHWM, 0)
            reader.set(zmq.LINGER, 0)
            reader.connect(address)
        self._new.put((tap, reader))
        os.write(self._wake_write, b"w")

    def close(self) -> None:
        """Stop listening and close every monitor."""
        self._new.put(None)
        os.write(self._wake_write, b"w")
        self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake_read, 4096)
                    if not self._take_new():
                        return
                else:
                    self._drain(*key.data)

    def _take_new(self) -> bool:
        """Register what was handed over; False when the hub is closed."""
        while not self._new.empty():
            item = self._new.get()
            if item is None:
                for key in list(self._selector.get_map().values()):
                    if key.data is not None:
                        self._drop(key.data[1])
                return False
            self._selector.register(item[1].fileno(), selectors.EVENT_READ, item)
            self._drain(*item)  # What came before does not show on the descriptor again.
        return True

    def _drain(self, tap: Tap, reader: zmq.Socket[Any]) -> None:
        try:
            while True:
                head, endpoint = reader.recv_multipart(zmq.NOBLOCK)
                event, _ = _HEAD.unpack(head)
                if event == zmq.EVENT_MONITOR_STOPPED:
                    self._drop(reader)
                    return
                if event in _KIND_OF:
                    self._heard(tap, _KIND_OF[event], tap.above(endpoint.decode()))
        except zmq.Again:
            pass
        except zmq.ZMQError:
            self._drop(reader)  # The context was terminated.

    def _drop(self, reader: zmq.Socket[Any]) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None and key.data[1] is reader:
                self._selector.unregister(key.fd)
                break
        reader.close(linger=0)
