"""What goes through `zmq.proxy`: recorded by libzmq's own capture socket.

The proxy forwards in C, below the seam. But it copies each message, before it
forwards it, to a capture socket, and that is enough: a message with an op and a routing
id goes to the back the first time and to the front the second time, and so on in turn;
one that carries no op is a reply whose service lost the op id.

The copies are read by a thread of ours, a moment later than the message went. So
the times of these events are late, and their order against other nodes is loose;
`settle` waits until all that went is read.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import zmq
import zmq.backend

from ..frames import find_op
from . import simulating_calls
from .seat import seated
from .simulating import SimulatingTap
from .tap import Tap

if TYPE_CHECKING:
    from ..history.recorder import Recorder

_proxy = zmq.backend.proxy
_names = count(1)

_IDLE_MS = 5
"""How long no copy must have come for a reader to be up to date."""


class _Capture:
    """Reads what one proxy forwards.

    Args:
        front, back: The sockets that the proxy forwards between.
    """

    running: ClassVar[list[_Capture]] = []

    def __init__(self, front: Tap, back: Tap) -> None:
        self._front = front
        self._back = back
        self._crossings: defaultdict[tuple[str, bytes], int] = defaultdict(int)
        self._up_to_date = threading.Event()
        self._is_over = False
        self._has_ended = False
        address = f"inproc://reqrep-capture-{next(_names)}"
        with seated(None):  # These sockets are ours, not the node's.
            context: zmq.Context[Any] = zmq.Context(shadow=front.seat.address)
            self._reader = context.socket(zmq.PAIR)
            self._reader.set(zmq.RCVHWM, 0)  # A full capture would stop the proxy.
            self._reader.bind(address)
            self.tee = context.socket(zmq.PAIR)
            self.tee.set(zmq.LINGER, 0)
            self.tee.connect(address)
        self._thread = threading.Thread(target=self._read, name="reqrep-capture", daemon=True)
        self.running.append(self)
        self._thread.start()

    def settle(self, timeout_s: float) -> None:
        """Wait until all that was forwarded so far is read."""
        deadline_s = time.monotonic() + timeout_s
        for _ in range(2):  # The first look may have begun before the last copy came.
            self._up_to_date.clear()
            if not self._has_ended:
                self._up_to_date.wait(max(0.0, deadline_s - time.monotonic()))

    def close(self) -> None:
        """The proxy has ended, with its context or before: read what it still has forwarded."""
        self._is_over = True
        self.tee.close(linger=0)
        self._thread.join()
        self.running.remove(self)

    def _read(self) -> None:
        try:
            while True:
                if self._reader.poll(_IDLE_MS):
                    self._write_down(self._reader.recv_multipart())
                else:
                    self._up_to_date.set()
                    if self._is_over:
                        break
        except zmq.ZMQError:
            pass  # The context was terminated: the proxy has ended, or will.
        finally:
            self._has_ended = True
            self._up_to_date.set()
            self._reader.close(linger=0)

    def _write_down(self, frames: list[bytes]) -> None:
        op = find_op(frames)
        key = op or "", frames[0]
        to_back = op is not None and self._crossings[key] % 2 == 0
        self._crossings[key] += 1
        source, target = (self._front, self._back) if to_back else (self._back, self._front)
        time_ns = source.seat.recorder.clock()
        source.crossed(time_ns, "recv", frames)
        target.crossed(time_ns, "send", frames)


def proxy(frontend: Any, backend: Any, capture: Any = None) -> Any:
    """`zmq.proxy`, heard if its sockets belong to a node and it has no capture of its own."""
    front: Tap | None = getattr(frontend, "_tap", None)
    back: Tap | None = getattr(backend, "_tap", None)
    if isinstance(front, SimulatingTap) and isinstance(back, SimulatingTap):
        return simulating_calls.proxy(front, back, capture)
    if front is None or back is None or capture is not None:
        return _proxy(frontend, backend, capture)
    ours = _Capture(front, back)
    try:
        return _proxy(frontend, backend, ours.tee)
    finally:
        ours.close()


def device(device_type: int, frontend: Any, backend: Any = None) -> Any:
    """`zmq.device`, which has been `zmq.proxy` under an older name since libzmq 3."""
    return proxy(frontend, frontend if backend is None else backend)


def settle(recorder: Recorder, timeout_s: float) -> None:
    """Wait until all that the proxies of a run have forwarded is written down."""
    for capture in list(_Capture.running):
        if capture._front.seat.recorder is recorder:
            capture.settle(timeout_s)
