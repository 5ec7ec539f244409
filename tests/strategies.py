"""Strategies for plan values and messages; the one home of those that several tests share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import reqrep
from reqrep import (
    Bursts,
    ClosedLoop,
    Constant,
    Crash,
    Cut,
    Delay,
    Exponential,
    Fault,
    Fleet,
    Hold,
    Late,
    Noop,
    Occasional,
    OpenLoop,
    Raises,
    Reset,
    Restart,
    Scenario,
    Sized,
    Skew,
    Stall,
    Stranger,
    Uniform,
    Upon,
    UserDirectory,
    Workload,
)
from reqrep.harness.faults import POINTS

seconds = st.floats(0, 10, allow_nan=False)
counts = st.integers(1, 1000)

fleets = st.builds(Fleet, clients=counts, workers=counts)
arrivals = st.one_of(
    st.builds(ClosedLoop, window=st.just(1), think_time_s=seconds),
    st.builds(
        OpenLoop, rate_per_s=st.floats(0.1, 1e6), arrivals=st.sampled_from(["even", "poisson"])
    ),
    st.builds(Bursts, size=counts, pause_s=seconds),
)
bodies = st.one_of(
    st.builds(
        Sized,
        bytes=st.integers(0, 100),
        frames=st.integers(1, 6),
        content=st.sampled_from(["text", "binary"]),
    ),
    st.builds(UserDirectory, locale=st.sampled_from(["en_US", "ko_KR"])),
)
service_times = st.one_of(
    st.builds(Constant, seconds),
    st.builds(lambda low, more: Uniform(low, low + more), seconds, seconds),
    st.builds(Exponential, seconds),
    st.builds(Occasional, slow_s=seconds, one_in=counts, quick_s=seconds),
)
workloads = st.builds(
    Workload,
    requests=counts,
    arrival=arrivals,
    bodies=bodies,
    service=st.lists(service_times, min_size=1, max_size=3).map(tuple),
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

frames = st.one_of(
    st.just(b""),
    st.sampled_from([b"READY", b"\x01", b"@c", b"@c1.", b"@c1.2", b"\x00\x00\x00\x01"]),
    st.binary(max_size=20),
)
messages = st.lists(frames, min_size=1, max_size=6)
routing_ids = st.binary(min_size=1, max_size=255).filter(lambda value: value[0] != 0)

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
    st.builds(lambda place, when: Reset(**place, **when), _place, _once),
    st.builds(lambda node, when: Stall(node, **when), _nodes, _when),
    st.builds(lambda by_s, nth: Late(by_s, **nth), st.floats(0.001, 1), _nth),
    st.builds(lambda nth: Raises(**nth), _nth),
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
