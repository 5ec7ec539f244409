"""Ownership: a socket of ZeroMQ belongs to one thread at a time.

A socket may be handed from one thread to another, as long as only one uses it; libzmq
does not check, and two at once end in lost frames, in an assertion, or in nothing at all,
until one day. The simulated world sees who is in a call when another thread makes one, and
writes it down; a world of real sockets does not tell, and is not judged.

Source: zmq_socket(3), "Thread safety".
"""

from __future__ import annotations

from reqrep.harness.history import Event
from reqrep.harness.lens import Lens
from reqrep.harness.property import Checker, Property
from reqrep.harness.scenario import Scenario


class OwnershipChecker(Checker):
    def __init__(self, scenario: Scenario, lens: Lens) -> None:
        super().__init__(scenario, lens)
        self._made: dict[int, Event] = {}

    def on_socket(self, event: Event) -> None:
        self.facts += 1
        self._made[event.socket] = event

    def on_close(self, event: Event) -> None:
        self._made.pop(event.socket, None)

    def on_ownership(self, event: Event) -> None:
        made = self._made.get(event.socket)
        kind = made.text if made is not None else "socket"
        self.broken(
            f"two threads of {event.node} use its {kind} at once: {event.text}", made, event
        )


OWNERSHIP = Property(
    "ownership",
    "a socket is used by one thread at a time: the one that made it or that it was handed to",
    OwnershipChecker,
    only_in="simulated",
)
