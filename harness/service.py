"""The service that the harness hands to workers: `handle(body) -> body`.

It takes as long as the workload says, answers with the body it was given, and
writes down that it ran: how often an op was executed is what delivery is about.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

from .errors import NodeStopped
from .faults import Meddling, is_strangers
from .frames import Body, find_op
from .workload import Constant, ServiceTime, is_body


class Notes(Protocol):
    """Writes down an event of one node."""

    def __call__(self, kind: str, op: str = "") -> None: ...


class Service:
    """The work of one worker. What strangers want is done at once: a load is that of its clients,
    and a pile of theirs would keep everybody waiting long after they have left.

    Args:
        service_time: How long it takes. What is drawn depends on the seed and the op
            alone, so it is the same whichever worker gets the op.
        seed: The seed of the scenario.
        note: Writes down an event of the worker.
        wait: Waits for so many seconds, and says whether the run is over.
        meddle: Asked when a request was taken what becomes of it; it may raise.
    """

    def __init__(
        self,
        service_time: ServiceTime,
        seed: int,
        note: Notes,
        wait: Callable[[float], bool],
        meddle: Callable[[], Meddling] | None = None,
    ) -> None:
        self._service_time = service_time
        self._constant_s = service_time.seconds if isinstance(service_time, Constant) else None
        self._seed = seed
        self._note = note
        self._wait = wait
        self._meddle = meddle

    def __call__(self, body: Body) -> Body:
        """Do the work of one request; blocks for as long as it takes.

        Args:
            body: The body frames of a request, as its client sent them.

        Returns:
            The body of the reply.

        Raises:
            NodeStopped: The run is over before the work is.
            TypeError: The body is not a list of frames: the mistake of a worker program.
        """
        if not is_body(body):  # What a program of a user's hands over need not be what it should.
            raise TypeError(
                f"handle() was given {body!r}; it takes the body, a list of frames such as "
                "socket.recv_multipart() returns"
            )
        op = find_op(body[:1]) or ""
        self._note("execute", op)
        seconds = self._seconds(op) if op or not is_strangers("", body) else 0.0
        longer_s, is_blank = self._meddle() if self._meddle is not None else Meddling()
        seconds += longer_s
        if seconds > 0 and self._wait(seconds):
            raise NodeStopped
        self._note("executed", op)
        return [] if is_blank else list(body)

    def _seconds(self, op: str) -> float:
        if self._constant_s is not None:
            return self._constant_s
        digest = blake2b(f"service/{self._seed}/{op}".encode(), digest_size=8).digest()
        # As many bits as a float between 0 and 1 has, so that 1 is never reached.
        return self._service_time.draw((int.from_bytes(digest) >> 11) * 2.0**-53)
