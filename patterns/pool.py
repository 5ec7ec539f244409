"""A pool of threads behind one ROUTER: replies leave when they are done, not in turn.

The thread that owns the ROUTER reads every request as it comes and never works
itself; whichever thread is free takes the next, and hands its replies back through
an inproc pipe, since a socket belongs to one thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

import zmq

Message = list[bytes]
Work = Callable[[Message], Iterable[Message]]


def serve(
    router: zmq.Socket[Any], work: Work, *, threads: int, route: Callable[[Message], None]
) -> None:
    """Serve a bound ROUTER until its context is terminated.

    Args:
        router: The socket.
        work: Called in a free thread with each message that the ROUTER received; gives
            the messages to send, routing id first, each sent when it is given.
        threads: How many there are.
        route: Called, in the thread of the ROUTER, with each message to send.
    """
    endpoint = router.get(zmq.LAST_ENDPOINT).decode()
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
                    route(done.recv_multipart())
                else:
                    requests.put(router.recv_multipart())
    finally:
        for _ in pool:
            requests.put(None)
