"""Nothing goes wrong: for plans that want a mark in the history, and to copy from."""

from __future__ import annotations

from .fault import Lasting
from .scene import Scene


class Noop(Lasting, frozen=True, tag="noop"):
    """Nothing goes wrong; the history says when it did not."""

    summary = "nothing goes wrong; the history says when"
    example = "noop:at=0.5"
    # Not to be copied, unless the new kind does nothing either that one may have to recover from.
    keeps_back = False
    disturbs = False

    def strike(self, scene: Scene) -> None:
        pass

    def heal(self, scene: Scene) -> None:
        pass
