"""A node dies."""

from __future__ import annotations

from .fault import Fault
from .scene import Scene


class Crash(Fault, frozen=True, tag="crash"):
    """A node dies as by `kill -9`: nothing of its program runs any more, and it stays dead.

    What its kernel had taken still arrives; what it had received, and what it had not sent,
    is lost. The requests that a client had open stay open: nobody knows of them.

    Args:
        node: Which, such as `worker-0`.
    """

    summary = "a node dies as by kill -9 and stays dead"
    example = "crash:node=worker-0,at=taken@worker-0#3"
    breaks = True

    node: str

    def strike(self, scene: Scene) -> None:
        scene.crash(self.node)
