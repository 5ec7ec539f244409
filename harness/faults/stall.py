"""A node stands still."""

from __future__ import annotations

from .fault import Lasting
from .scene import Scene


class Stall(Lasting, frozen=True, tag="stall"):
    """A node makes no step, as after SIGSTOP or in a long pause of its collector.

    Its kernel goes on: connections stand, and messages for it pile up until it resumes.

    Args:
        node: Which, such as `worker-0`.
    """

    summary = "a node makes no step for a while; messages for it pile up"
    example = "stall:node=worker-0,at=0.1,lasts=2"

    node: str

    def strike(self, scene: Scene) -> None:
        scene.stall(self.node)

    def heal(self, scene: Scene) -> None:
        scene.resume(self.node)
