"""Connections break once."""

from __future__ import annotations

from ..values import require
from .fault import Fault
from .scene import SEEN_BY, Scene


class Reset(Fault, frozen=True, tag="reset"):
    """Connections break once, what was on its way is lost, and new ones are made at once.

    Where one side alone sees that, the other keeps a connection that is half open, as behind a
    firewall that has forgotten it: what it sends is lost in silence, and nothing comes back. So it
    is until it closes it, its heartbeats find out, or a later reset or cut breaks it.

    Args:
        link: Between the nodes that meet at that link; None is all links.
        node: Between that node and the others; None is all nodes.
        seen_by: `both`; or `connector`, which connects anew while the old connection stands at
            the binder; or `binder`, and the connector believes itself connected.
    """

    summary = "connections break once, seen by both sides or by one; what was on its way is lost"
    example = "reset:node=worker-0,at=passed@worker-0..broker-0#2"
    breaks = True
    needs_network = True

    link: str | None = None
    node: str | None = None
    seen_by: str = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.seen_by in SEEN_BY,
            "Reset.seen_by",
            self.seen_by,
            f"it must be one of {', '.join(SEEN_BY)}",
        )

    def finds(self, scene: Scene) -> bool:
        return super().finds(scene) and any(
            scene.is_connected(pair) for pair in scene.pairs(self.link, self.node)
        )

    def strike(self, scene: Scene) -> None:
        for pair in scene.pairs(self.link, self.node):
            scene.reset(pair, self.seen_by)
