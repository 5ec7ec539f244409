"""Nothing gets through for a while, and nothing is lost."""

from __future__ import annotations

from .fault import Lasting
from .scene import Scene, require_direction


class Hold(Lasting, frozen=True, tag="hold"):
    """Nothing gets through: connections stand, and what was sent arrives in order afterwards.

    Args:
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
        direction: `both`; or one way only, as the node sees it: `in`, where it receives
            nothing, or `out`, where nothing of what it sends arrives.
    """

    summary = "nothing gets through, one way or both; what was sent arrives afterwards"
    example = "hold:node=client-1,direction=in,at=passing@broker-0..client-1,lasts=0.5"
    needs_network = True

    link: str | None = None
    node: str | None = None
    direction: str = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_direction("Hold.direction", self.direction, self.node)

    def strike(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node, self.direction):
            scene.hold(way)

    def heal(self, scene: Scene) -> None:
        for way in scene.ways(self.link, self.node, self.direction):
            scene.release(way)
