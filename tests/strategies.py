"""Strategies for plan values and messages; the one home of those that several tests share."""

from __future__ import annotations

from hypothesis import strategies as st

import reqrep
from reqrep import (
    Bursts,
    ClosedLoop,
    Constant,
    Exponential,
    Fleet,
    Occasional,
    OpenLoop,
    Scenario,
    Sized,
    Uniform,
    UserDirectory,
    Workload,
)

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
