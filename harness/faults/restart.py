"""A node dies and comes again."""

from __future__ import annotations

from ..values import require_at_least
from .fault import Fault
from .scene import Scene


class Restart(Fault, frozen=True, tag="restart"):
    """A node dies as by `kill -9`, and after a while its program is run anew.

    A node that binds gets the endpoints that it had. A program that sets a routing id has the
    same one again; to others libzmq gives a new one.

    Args:
        node: Which, such as `broker-0`; not a client.
        after_s: After how many seconds it comes again, 0 or more.
        renamed: Whether its program is then given another `name`, as `worker-0-again`, so that one
            that makes its routing id of it comes back under another. In the history the node keeps
            its name; to a program that takes no `name` it makes no difference.
    """

    summary = "a node dies as by kill -9, and its program is run anew after a while"
    example = "restart:node=broker-0,after_s=0.1,at=0.2"
    is_healed = True
    breaks = True

    node: str
    after_s: float = 0.1
    renamed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, "Restart.after_s", self.after_s)

    @property
    def duration_s(self) -> float | None:
        return self.after_s

    def strike(self, scene: Scene) -> None:
        scene.crash(self.node)

    def heal(self, scene: Scene) -> None:
        scene.start(self.node, renamed=self.renamed)
