"""A pool of threads behind one ROUTER: replies leave when they are done, not in turn.

The thread that owns the ROUTER reads every request as it comes and never works
itself; whichever thread is free takes the next, and hands its replies back through
an inproc pipe, since a socket belongs to one thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

import zmq

from .common import Message

Work = Callable[[Message], Iterable[Message]]


def serve(router: zmq.Socket[bytes], endpoint: str, work: Work, *, threads: int) -> None:
    """Serve a bound ROUTER until its context is terminated.

    Args:
        router: The socket.
        endpoint: What it was given to bind.
        work: Called in a free thread with each message that the ROUTER received; gives
            the messages to send, routing id first, each sent when it is given.
        threads: How many there are.
    """
    name = f"inproc://replies-of/{endpoint}"  # Not shared by two servers in one context.
    context = router.context
    done = context.socket(zmq.PULL)
    done.bind(name)
    requests: queue.Queue[Message | None] = queue.Queue()

    def run() -> None:
        replies = context.socket(zmq.PUSH)
        replies.connect(name)
        try:
            while (request := requests.get()) is not None:
                for reply in work(request):
                    replies.send_multipart(reply)
        except zmq.ContextTerminated:
            pass  # The server is ending.
        finally:
            replies.close(linger=0)

    pool = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in pool:
        thread.start()
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(done, zmq.POLLIN)
    try:
        while True:
            for socket, _ in poller.poll():
                if socket is done:
                    router.send_multipart(done.recv_multipart())
                else:
                    requests.put(router.recv_multipart())
    finally:
        for _ in pool:
            requests.put(None)
