"""reqrep finds the bugs in ZeroMQ request-reply code before a network does.

The names below are loaded when they are first used, so that `import reqrep`
costs nothing in a test session that does not need it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .harness.catalogue import pattern as pattern
    from .harness.errors import (
        HarnessBug as HarnessBug,
        HistoryDamaged as HistoryDamaged,
        MisuseError as MisuseError,
        NodeFailed as NodeFailed,
        PeerError as PeerError,
        PropertyBroken as PropertyBroken,
        ReqrepError as ReqrepError,
    )
    from .harness.faults import (
        Blank as Blank,
        Crash as Crash,
        Cut as Cut,
        Delay as Delay,
        Fault as Fault,
        Hold as Hold,
        Late as Late,
        Leave as Leave,
        Noop as Noop,
        Partition as Partition,
        Pressure as Pressure,
        Raises as Raises,
        Reset as Reset,
        Restart as Restart,
        Skew as Skew,
        Stall as Stall,
        Stranger as Stranger,
        Throttle as Throttle,
        Upon as Upon,
    )
    from .harness.fleet import Fleet as Fleet
    from .harness.history import Event as Event, History as History
    from .harness.pattern import (
        Hop as Hop,
        Link as Link,
        Membership as Membership,
        Pattern as Pattern,
        Promise as Promise,
        Role as Role,
    )
    from .harness.property import Checker as Checker, Property as Property, Verdict as Verdict
    from .harness.references import resolve as resolve
    from .harness.run import Report as Report, run as run
    from .harness.scenario import Scenario as Scenario
    from .harness.search.counterexample import Replayed as Replayed, replay as replay
    from .harness.search.deciders import (
        Deviations as Deviations,
        FewDeviations as FewDeviations,
        Overtaking as Overtaking,
        RandomWalk as RandomWalk,
    )
    from .harness.search.result import Searched as Searched, search as search
    from .harness.search.space import Limits as Limits
    from .harness.search.trial import Trial as Trial
    from .harness.workload import (
        Bursts as Bursts,
        ClosedLoop as ClosedLoop,
        Constant as Constant,
        Exponential as Exponential,
        FromFunction as FromFunction,
        Occasional as Occasional,
        OpenLoop as OpenLoop,
        Sized as Sized,
        Uniform as Uniform,
        UserDirectory as UserDirectory,
        Workload as Workload,
    )

_HOMES = {
    "catalogue": ("pattern",),
    "errors": (
        "HarnessBug",
        "HistoryDamaged",
        "MisuseError",
        "NodeFailed",
        "PeerError",
        "PropertyBroken",
        "ReqrepError",
    ),
    "faults": (
        "Blank",
        "Crash",
        "Cut",
        "Delay",
        "Fault",
        "Hold",
        "Late",
        "Leave",
        "Noop",
        "Partition",
        "Pressure",
        "Raises",
        "Reset",
        "Restart",
        "Skew",
        "Stall",
        "Stranger",
        "Throttle",
        "Upon",
    ),
    "fleet": ("Fleet",),
    "history": ("Event", "History"),
    "pattern": ("Hop", "Link", "Membership", "Pattern", "Promise", "Role"),
    "property": ("Checker", "Property", "Verdict"),
    "references": ("resolve",),
    "run": ("Report", "run"),
    "scenario": ("Scenario",),
    "search.counterexample": ("Replayed", "replay"),
    "search.deciders": ("Deviations", "FewDeviations", "Overtaking", "RandomWalk"),
    "search.result": ("Searched", "search"),
    "search.space": ("Limits",),
    "search.trial": ("Trial",),
    "workload": (
        "Bursts",
        "ClosedLoop",
        "Constant",
        "Exponential",
        "FromFunction",
        "Occasional",
        "OpenLoop",
        "Sized",
        "Uniform",
        "UserDirectory",
        "Workload",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module 'reqrep' has no attribute {name!r}") from None
    value = getattr(import_module(f".harness.{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
