"""What goes wrong in a run: one file per kind, each a value that a plan consists of.

fault.py    what a fault is, and when it strikes     noop.py    the kind to copy
scene.py    the nodes, the ways between them, and what a world can do to them
points.py   the points of a request's life           chaos.py   carries a plan out
plan.py     checks a plan before it runs             parse.py   faults as a person types them
"""

from __future__ import annotations

from .blank import Blank
from .chaos import Chaos
from .crash import Crash
from .cut import Cut
from .delay import Delay
from .fault import POINTS, WAY_POINTS, Fault, Meddling, OnService, Upon, kind_of
from .hold import Hold
from .late import Late
from .leave import Leave
from .noop import Noop
from .parse import parse
from .partition import Partition
from .plan import check
from .points import Points
from .pressure import Pressure, hwm_limit
from .raises import Raises
from .reset import Reset
from .restart import Restart
from .scene import Reach, Scene
from .skew import Skew
from .stall import Stall
from .stranger import Stranger, is_strangers
from .throttle import Throttle

AnyFault = (
    Noop | Delay | Hold | Cut | Reset | Crash | Restart | Stall | Late | Raises | Stranger | Skew
    | Throttle | Partition | Pressure | Leave | Blank
)  # fmt: skip
"""The kinds as one type, by which JSON is read."""

KINDS: dict[str, type[Fault]] = {kind_of(kind): kind for kind in AnyFault.__args__}
"""The kinds there are, by the names that a person types."""

NEED_NETWORK = frozenset(name for name, kind in KINDS.items() if kind.needs_network)
"""Those that are about connections, which there are none of over inproc."""

__all__ = [
    "KINDS",
    "NEED_NETWORK",
    "POINTS",
    "WAY_POINTS",
    "AnyFault",
    "Blank",
    "Chaos",
    "Crash",
    "Cut",
    "Delay",
    "Fault",
    "Hold",
    "Late",
    "Leave",
    "Meddling",
    "Noop",
    "OnService",
    "Partition",
    "Points",
    "Pressure",
    "Raises",
    "Reach",
    "Reset",
    "Restart",
    "Scene",
    "Skew",
    "Stall",
    "Stranger",
    "Throttle",
    "Upon",
    "check",
    "hwm_limit",
    "is_strangers",
    "kind_of",
    "parse",
]
