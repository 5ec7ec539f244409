"""The clock of a node jumps."""

from __future__ import annotations

from ..values import is_number, require
from .fault import Lasting
from .scene import Scene


class Skew(Lasting, frozen=True, tag="skew"):
    """The wall clock of a node jumps, as when it is set by hand or by its time server.

    What counts is `time.time()` and `time.time_ns()`; monotonic clocks and waits go on as they
    did.

    Args:
        node: Which, such as `broker-0`.
        by_s: How many seconds forward, or back if negative; not 0.
    """

    summary = "the wall clock of a node jumps; monotonic clocks do not"
    example = "skew:node=worker-0,by_s=3600,at=0.1"
    keeps_back = False

    node: str
    by_s: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            is_number(self.by_s) and self.by_s != 0,
            "Skew.by_s",
            self.by_s,
            "it must be a number of seconds, and not 0",
        )

    def strike(self, scene: Scene) -> None:
        scene.skew(self.node, self.by_s)

    def heal(self, scene: Scene) -> None:
        scene.skew(self.node, -self.by_s)
