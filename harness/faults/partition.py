"""The fleet falls apart into two groups that cannot reach each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..values import require, require_kind
from .fault import Lasting
from .scene import Pair, Scene, boundary

if TYPE_CHECKING:
    from ..fleet import Fleet
    from ..pattern import Pattern


class Partition(Lasting, frozen=True, tag="partition"):
    """All connections between a group of nodes and all others are cut; inside each group all goes on.

    Args:
        nodes: One of the two groups, such as `("broker-0", "worker-0")`; as it is typed,
            `broker-0+worker-0`.
    """

    summary = "a group of nodes and all others are cut off from each other, and go on by themselves"
    example = "partition:nodes=broker-0+worker-0,at=0.1,lasts=0.5"
    breaks = True
    needs_network = True

    nodes: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kind("Partition.nodes", self.nodes, tuple, list)
        msgspec.structs.force_setattr(self, "nodes", tuple(self.nodes))
        require(bool(self.nodes), "Partition.nodes", self.nodes, "name one node or more")
        for node in self.nodes:
            require_kind("a node of Partition.nodes", node, str)
        require(
            len(set(self.nodes)) == len(self.nodes),
            "Partition.nodes",
            self.nodes,
            "name each node once",
        )

    def pairs(self, pattern: Pattern, fleet: Fleet) -> list[Pair]:
        return boundary(pattern, fleet, self.nodes)

    def strike(self, scene: Scene) -> None:
        for pair in self.pairs(scene.pattern, scene.fleet):
            scene.cut(pair)

    def heal(self, scene: Scene) -> None:
        for pair in self.pairs(scene.pattern, scene.fleet):
            scene.mend(pair)
