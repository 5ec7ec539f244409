"""Bytes cross slowly."""

from __future__ import annotations

from ..values import require_count
from .fault import Lasting
from .scene import Scene


class Throttle(Lasting, frozen=True, tag="throttle"):
    """Bytes cross slowly: what is big takes long, and keeps what is behind it waiting.

    Each direction of each connection has the bandwidth for itself. Nothing is lost or
    overtaken; where more is sent than crosses it piles up, and the sender feels it as on
    any slow line.

    Args:
        bytes_per_s: How many bytes cross one way in a second, 1 or more, frames with their heads. In
            bytes, as bodies are sized; a line that is sold as 160 kbit/s has 20000.
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
    """

    summary = "bytes cross slowly: a big body keeps what is behind it waiting"
    example = "throttle:link=frontend,bytes_per_s=20000,at=0.1,lasts=0.5"
    needs_network = True

    bytes_per_s: int
    link: str | None = None
    node: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("Throttle.bytes_per_s", self.bytes_per_s)

    def strike(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node):
            scene.throttle(way, self.bytes_per_s)

    def heal(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node):
            scene.unthrottle(way, self.bytes_per_s)
