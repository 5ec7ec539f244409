"""What goes through `zmq.proxy`: recorded by libzmq's own capture socket.

The proxy forwards in C, below the seam. But it copies each message, before it
forwards it, to a capture socket, and that is enough: a message that carries an op
goes to the back the first time and to the front the second time, and so on in turn;
one that carries none is a reply whose service lost the op id.

The copies are read by a thread of ours, a moment later than the message went. So
the times of these events are late, and their order against other nodes is loose.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import count
from typing import Any

import zmq
import zmq.backend

from .record import Tap, _clock
from .seat import seated

_proxy = zmq.backend.proxy
_names = count(1)


def proxy(frontend: Any, backend: Any, capture: Any = None) -> Any:
    """`zmq.proxy`, heard if its sockets belong to a node and it has no capture of its own."""
    front: Tap | None = getattr(frontend, "_tap", None)
    back: Tap | None = getattr(backend, "_tap", None)
    if front is None or back is None or capture is not None:
        return _proxy(frontend, backend, capture)
    address = f"inproc://reqrep-capture-{next(_names)}"
    with seated(None):
        context: zmq.Context[Any] = zmq.Context(shadow=front.seat.context.underlying)
        reader = context.socket(zmq.PAIR)
        reader.set(zmq.RCVHWM, 0)  # A full capture would stop the proxy.
        reader.bind(address)
        tee = context.socket(zmq.PAIR)
        tee.set(zmq.LINGER, 0)
        tee.connect(address)
    thread = threading.Thread(
        target=_read, args=(reader, front, back), name="reqrep-capture", daemon=True
    )
    thread.start()
    try:
        return _proxy(frontend, backend, tee)
    finally:
        tee.close(linger=0)
        thread.join()


def _read(reader: zmq.Socket[Any], front: Tap, back: Tap) -> None:
    from ..frames import find_op

    crossings: defaultdict[str | None, int] = defaultdict(int)
    try:
        while True:
            frames = reader.recv_multipart()
            op = find_op(frames)
            to_back = op is not None and crossings[op] % 2 == 0
            crossings[op] += 1
            source, target = (front, back) if to_back else (back, front)
            time_ns = _clock()
            source.crossed(time_ns, "recv", frames)
            target.crossed(time_ns, "send", frames)
    except zmq.ZMQError:
        pass  # The context was terminated: the proxy has ended, or will.
    finally:
        reader.close(linger=0)
