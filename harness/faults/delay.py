"""Messages take longer on their way."""

from __future__ import annotations

from ..values import require_at_least
from .fault import Lasting
from .scene import Scene


class Delay(Lasting, frozen=True, tag="delay"):
    """Messages take longer: each way has another latency. Nothing is lost or overtaken.

    Args:
        least_ms, greatest_ms: What the latency of each message is drawn between, in
            milliseconds.
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
    """

    summary = "messages take longer, on all links, on one, or to and from a node"
    example = "delay:least_ms=20,greatest_ms=80,link=backend"
    needs_network = True

    least_ms: float
    greatest_ms: float
    link: str | None = None
    node: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, "Delay.least_ms", self.least_ms)
        require_at_least(self.least_ms, "Delay.greatest_ms", self.greatest_ms)

    def strike(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node):
            scene.slow(way, self.least_ms / 1000, self.greatest_ms / 1000)

    def heal(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node):
            scene.unslow(way, self.least_ms / 1000, self.greatest_ms / 1000)
