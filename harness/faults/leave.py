"""A node goes, and does so in order."""

from __future__ import annotations

from .fault import Fault
from .scene import Scene


class Leave(Fault, frozen=True, tag="leave"):
    """A node is told to end, as when it is taken out of service, and stays away.

    Its context is terminated, so that its calls raise `zmq.ContextTerminated`, and its program
    runs to its end: a `finally` runs, and what it had sent lingers and arrives. Sockets of a
    terminated context send no farewell, so its peers learn of it by the lost connection alone,
    if they look; the request that it has in its hands is lost. On real sockets a call in the
    moment of the strike may still succeed, and nothing lingers for more than a second.

    Args:
        node: Which, such as `worker-0`.
    """

    summary = "a node is told to end, runs to its end, and stays away"
    example = "leave:node=worker-0,at=replied@worker-0#3"
    breaks = True

    node: str

    def strike(self, scene: Scene) -> None:
        scene.leave(self.node)
