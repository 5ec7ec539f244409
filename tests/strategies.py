"""Strategies for what only our own tests want: plan values that nobody would run, but that must
go through text and back, and messages with what looks like an op id.

All others are the users': `reqrep.properties.strategies`.
"""

from __future__ import annotations

from hypothesis import strategies as st

import reqrep
from reqrep import Scenario, UserDirectory, Workload
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
