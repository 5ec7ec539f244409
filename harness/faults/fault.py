"""What a fault is: a value that says what goes wrong, where, when and for how long.

A fault acts through a `Scene`, which knows the nodes of the scenario and reaches them through
what the world gives. It keeps nothing itself, so one value can stand in many plans and be
struck any number of times.

To add a kind, copy `noop.py`, and put the class into `__init__.py`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from ..errors import MisuseError
from ..values import (
    Value,
    require,
    require_at_least,
    require_count,
    require_kind,
    require_more_than_0,
)
from .scene import Pair, Scene, pairs

if TYPE_CHECKING:
    from ..fleet import Fleet
    from ..pattern import Pattern

POINTS = {
    "arriving": "a request has come to the node, and its program does not have it yet",
    "taken": "the service of the node begins with a request",
    "worked": "the service of the node is done with a request",
    "replied": "the node has sent the reply to a request",
}
"""The four points of a request's life at a node that carries it out."""

WAY_POINTS = {
    "passing": "a message is about to come to the node that it goes to: a hold keeps it, a cut loses it",
    "passed": "a message has come to the node that it goes to, and nothing has come back yet",
}
"""The two points of a message's way from one node to another."""


class Upon(Value, frozen=True):
    """When something happens to a request, or to a message: the `count`-th time that it does.

    A message is counted on its way if it carries a request or a reply of the fleet, known by its
    op id. What nodes say among themselves, such as that they are ready or alive, is not: when
    they do so, and how often, differs from run to run and from world to world.

    Args:
        point: What happens to a request at a node, `arriving`, `taken`, `worked` or `replied`;
            or to a message between two, `passing` or `passed`. See `POINTS` and `WAY_POINTS`.
        node: Where; None counts those of all nodes that carry requests out, together.
        count: Which time, from 1.
        source, target: Between which nodes a message passes; None is any.
    """

    point: str
    node: str | None = None
    count: int = 1
    source: str | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        require(
            self.point in POINTS or self.is_on_way,
            "Upon.point",
            self.point,
            f"it must be one of {', '.join((*POINTS, *WAY_POINTS))}",
        )
        for name in ("node", "source", "target"):
            value = getattr(self, name)
            require_kind(f"Upon.{name}", value, str, None)
            if value is not None and self.is_on_way == (name == "node"):
                at = "source and target" if self.is_on_way else "node"
                raise MisuseError(
                    f"Upon.{name} is {value!r}, which the point {self.point!r} does not take; give {at}"
                )
        require_count("Upon.count", self.count)

    @property
    def is_on_way(self) -> bool:
        """Whether it is about a message between two nodes."""
        return self.point in WAY_POINTS

    @property
    def named(self) -> list[str]:
        """The nodes that it names."""
        return [name for name in (self.node, self.source, self.target) if name is not None]


When = float | Upon


class Fault(Value, frozen=True, kw_only=True):
    """The base of all kinds of faults.

    Args:
        at: When it strikes: in seconds after the load began, or `Upon` a point of a
            request's life or of a message's way.

    Attributes:
        summary: The kind in a line.
        example: How it is written on the command line.
        is_healed: Whether what it breaks is made good again.
        keeps_back: Whether messages may be late because of it, or work may be left when it is
            healed.
        disturbs: Whether it does anything that one may have to recover from.
        breaks: Whether connections break by it, which peers notice and mend in their own time.
        tells_itself: Whether it has struck only when a row of the history shows it; see
            `is_shown_by`.
        from_the_start: Whether it is in force before anything runs, so that it has no time.
        needs_network: Whether it is about connections, which there are none of over inproc.
    """

    summary: ClassVar[str]
    example: ClassVar[str]
    is_healed: ClassVar[bool] = False
    keeps_back: ClassVar[bool] = True
    disturbs: ClassVar[bool] = True
    breaks: ClassVar[bool] = False
    tells_itself: ClassVar[bool] = False
    from_the_start: ClassVar[bool] = False
    needs_network: ClassVar[bool] = False

    at: When = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.at, Upon):
            require_at_least(0, f"{self.name}.at", self.at)
        require(
            not self.from_the_start or self.at == 0,
            f"{self.name}.at",
            self.at,
            "it is in force from before the load to the end: leave it out",
        )
        for name, kinds in _places(type(self)):
            require_kind(f"{self.name}.{name}", getattr(self, name), *kinds)

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def kind(self) -> str:
        """The name of the kind, as a person types it and a promise names it."""
        return kind_of(type(self))

    @property
    def duration_s(self) -> float | None:
        """How long it lasts; None until it is healed with all others in the end."""
        return None

    @property
    def upon_message(self) -> Upon | None:
        """The point of a message's way upon which it strikes, if it does."""
        return self.at if isinstance(self.at, Upon) and self.at.is_on_way else None

    @property
    def where(self) -> tuple[str | None, str | None]:
        """The link and the node that it names."""
        return getattr(self, "link", None), getattr(self, "node", None)

    def pairs(self, pattern: Pattern, fleet: Fleet) -> list[Pair]:
        """Between which nodes it is, if it is about connections."""
        return pairs(pattern, fleet, *self.where)

    def finds(self, scene: Scene) -> bool:
        """Whether there is something to strike; a fault that finds nothing has not struck."""
        _, node = self.where
        return node is None or scene.is_alive(node)

    def is_shown_by(self, row: tuple[Any, ...]) -> bool:
        """Whether a row of the history shows that it has struck, if it tells so itself."""
        raise NotImplementedError

    def strike(self, scene: Scene) -> None:
        """Let it go wrong."""
        raise NotImplementedError

    def heal(self, scene: Scene) -> None:
        """Make it good again; only called after `strike`."""


@cache
def _places(kind: type[Fault]) -> list[tuple[str, tuple[type | None, ...]]]:
    """The fields of a kind that name a link or a node, and what they may be.

    To ask msgspec for the fields costs as much as a good part of a run.
    """
    return [
        (field.name, (str,) if field.required else (str, None))
        for field in msgspec.structs.fields(kind)
        if field.name in ("link", "node")
    ]


def kind_of(kind: type[Fault]) -> str:
    """The name of a kind: the tag that it has in JSON."""
    return str(kind.__struct_config__.tag)


class Lasting(Fault, frozen=True, kw_only=True):
    """The base of faults that are healed.

    Args:
        lasts: For how many seconds; None until the end of the load, when all that is broken
            is healed and what is left of the load goes on.
    """

    is_healed: ClassVar[bool] = True

    lasts: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lasts is not None:
            require_more_than_0(f"{self.name}.lasts", self.lasts)

    @property
    def duration_s(self) -> float | None:
        return self.lasts


class Meddling(NamedTuple):
    """What a fault does to one piece of work.

    Args:
        longer_s: How many seconds longer it takes.
        is_blank: Whether nothing comes of it, an empty body.
    """

    longer_s: float = 0.0
    is_blank: bool = False


class OnService(Fault, frozen=True, kw_only=True):
    """The base of faults in the service of a worker: they strike one request that it takes.

    `at` says from when on requests are counted, in seconds after the load began; each kind has
    a field `nth`, which says which of them it is.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count(f"{self.name}.nth", self.nth)  # type: ignore[attr-defined]
        if isinstance(self.at, Upon):
            raise MisuseError(
                f"{self.name}.at is {self.at!r}; {self.name} counts requests itself: say which one "
                "by nth, and from when on by at, in seconds"
            )

    def meddle(self) -> Meddling:
        """What becomes of the request; or it raises."""
        raise NotImplementedError
