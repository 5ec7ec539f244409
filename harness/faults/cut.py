"""Connections break, and none can be made for a while."""

from __future__ import annotations

from .fault import Lasting
from .scene import Scene


class Cut(Lasting, frozen=True, tag="cut"):
    """Connections break, what was on its way is lost, and none can be made until it is healed.

    Args:
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
    """

    summary = "connections break and none can be made; what was on its way is lost"
    example = "cut:link=frontend,at=0.1,lasts=0.5"
    breaks = True
    needs_network = True

    link: str | None = None
    node: str | None = None

    def strike(self, scene: Scene) -> None:
        for pair in scene.pairs(self.link, self.node):
            scene.cut(pair)

    def heal(self, scene: Scene) -> None:
        for pair in scene.pairs(self.link, self.node):
            scene.mend(pair)
