"""Connections break once."""

from __future__ import annotations

from .fault import Fault
from .scene import Scene


class Reset(Fault, frozen=True, tag="reset"):
    """Connections break once, what was on its way is lost, and new ones are made at once.

    Args:
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
    """

    summary = "connections break once and are made anew; what was on its way is lost"
    example = "reset:node=worker-0,at=passed@worker-0..broker-0#2"
    breaks = True
    needs_network = True

    link: str | None = None
    node: str | None = None

    def finds(self, scene: Scene) -> bool:
        return super().finds(scene) and any(
            scene.is_connected(pair) for pair in scene.pairs(self.link, self.node)
        )

    def strike(self, scene: Scene) -> None:
        for pair in scene.pairs(self.link, self.node):
            scene.reset(pair)
