"""Strategies for what only our own tests want: plan values that nobody would run, but that must
go through text and back, and messages with what looks like an op id.

All others are the users': `reqrep.properties.strategies`.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import reqrep
from reqrep import (
    Blank,
    Crash,
    Cut,
    Delay,
    Fault,
    Hold,
    Late,
    Noop,
    Partition,
    Pressure,
    Raises,
    Reset,
    Restart,
    Scenario,
    Skew,
    Stall,
    Stranger,
    Throttle,
    Upon,
    UserDirectory,
    Workload,
)
from reqrep.harness.faults import POINTS, WAY_POINTS
from reqrep.properties import strategies

counts = st.integers(1, 1000)

fleets = strategies.fleets(1000, 1000)
contents = st.one_of(
    strategies.contents(max_bytes=100, max_frames=6),
    st.builds(UserDirectory, locale=st.sampled_from(["en_US", "ko_KR"])),
)
workloads = st.builds(
    Workload,
    requests=counts,
    arrival=strategies.arrivals(pause_s=10),
    bodies=contents,
    service=st.lists(strategies.service_times(10), min_size=1, max_size=3).map(tuple),
    timeout_s=st.floats(0.01, 100),
)
scenarios = st.builds(
    Scenario,
    pattern=st.sampled_from(["req-rep", "broker", "load-balancing", "dealer-router"]).map(
        reqrep.pattern
    ),
    fleet=fleets,
    workload=workloads,
    seed=st.integers(0, 2**32),
)

messages = st.lists(
    strategies.frames() | st.sampled_from((b"@c", b"@c1.", b"@c1.2")), min_size=1, max_size=6
)

# --- faults -----------------------------------------------------------------------

_short_s = st.floats(0.001, 5, allow_nan=False)
_workers = st.sampled_from(["worker-0", "worker-1", "worker-2"])
_nodes = st.one_of(_workers, st.sampled_from(["broker-0", "client-0", "client-3"]))
_place: Any = st.one_of(
    st.just({}),
    st.sampled_from([{"link": "frontend"}, {"link": "backend"}]),
    _nodes.map(lambda node: {"node": node}),
)
_at = st.one_of(
    st.floats(0, 5, allow_nan=False),
    st.builds(
        Upon,
        st.sampled_from(sorted(POINTS)),
        st.one_of(st.none(), _workers),
        st.integers(1, 100),
    ),
    st.builds(
        lambda point, count, way: Upon(point, count=count, **way),
        st.sampled_from(sorted(WAY_POINTS)),
        st.integers(1, 100),
        st.sampled_from(
            [
                {},
                {"source": "worker-1"},
                {"target": "client-0"},
                {"source": "broker-0", "target": "client-0"},
            ]
        ),
    ),
)
_when: Any = st.fixed_dictionaries({"at": _at}, optional={"lasts": _short_s})
_once: Any = st.fixed_dictionaries({"at": _at})
_nth: Any = st.fixed_dictionaries(
    {"nth": st.integers(1, 50)}, optional={"node": _workers, "at": st.floats(0, 5)}
)


def _between(kind: Any) -> Any:
    return st.builds(lambda place, when: kind(**place, **when), _place, _when)


faults: st.SearchStrategy[Fault] = st.one_of(
    st.builds(lambda when: Noop(**when), _when),
    st.builds(
        lambda least, more, place, when: Delay(least, least + more, **place, **when),
        st.floats(0, 500),
        st.floats(0, 500),
        _place,
        _when,
    ),
    _between(Hold),
    st.builds(
        lambda node, direction, when: Hold(node=node, direction=direction, **when),
        _nodes,
        st.sampled_from(["both", "in", "out"]),
        _when,
    ),
    _between(Cut),
    st.builds(
        lambda nodes, when: Partition(tuple(nodes), **when),
        st.lists(_nodes, min_size=1, unique=True),
        _when,
    ),
    st.builds(
        lambda bytes_per_s, place, when: Throttle(bytes_per_s, **place, **when),
        st.integers(100, 10**9),
        _place,
        _when,
    ),
    st.builds(
        lambda place, seen_by, when: Reset(**place, seen_by=seen_by, **when),
        _place,
        st.sampled_from(["both", "connector", "binder"]),
        _once,
    ),
    st.builds(lambda node, when: Stall(node, **when), _nodes, _when),
    st.builds(Pressure, st.integers(1, 3), st.none() | _nodes),
    st.builds(lambda by_s, nth: Late(by_s, **nth), st.floats(0.001, 1), _nth),
    st.builds(lambda nth: Raises(**nth), _nth),
    st.builds(lambda nth: Blank(**nth), _nth),
    st.builds(lambda when: Stranger("frontend", **when), _once),
    st.builds(
        lambda node, by_s, when: Skew(node, by_s, **when),
        _nodes,
        st.floats(-1e6, 1e6).filter(bool),
        _when,
    ),
)
"""Faults that fit `load-balancing` with its own fleet, and that leave its nodes alive."""

_deaths: st.SearchStrategy[Fault] = st.one_of(
    st.builds(lambda node, when: Crash(node, **when), _nodes, _once),
    st.builds(
        lambda node, after_s, when: Restart(node, after_s, **when),
        st.one_of(_workers, st.just("broker-0")),
        _short_s,
        _once,
    ),
)
plans = st.one_of(st.lists(faults, max_size=4).map(tuple), _deaths.map(lambda death: (death,)))
"""Plans for `load-balancing` with its own fleet."""
