"""Hypothesis strategies: messages as ZeroMQ allows them, and trials of a pattern.

    from hypothesis import given, settings
    from reqrep.properties.strategies import scenarios

    @settings(deadline=None)
    @given(scenarios("load-balancing", broker=my_broker))
    def test_my_broker_keeps_its_promises(trial):
        trial.check()

Hypothesis draws the fleet, the workload, the faults and a sparse list of deviations from the calm
run, and makes all of them small when something breaks. It does not draw each decision of the scheduler:
that would cost more than the run, and what is left after shrinking would say nothing.

Everything shrinks to what is plainest: one client, one request, no fault, no deviation.

*Time.* Most of the time of a test that fails goes into Hypothesis' phase `explain`: some hundred
runs more, each traced line by line. What it explains are lines of the machine; the story says
more. Leave it out: `settings(phases=[p for p in Phase if p is not Phase.explain])`.

Source: RFC 28 and zmq_setsockopt(3), ZMQ_ROUTING_ID, for the ids that may be drawn.
"""

from __future__ import annotations

from random import Random
from typing import Any

from reqrep.harness.catalogue import pattern as find
from reqrep.harness.faults import KINDS, Fault
from reqrep.harness.faults.draw import drawn, is_fit
from reqrep.harness.fleet import Fleet
from reqrep.harness.frames import EMPTY, Layout, layout as parse
from reqrep.harness.pattern import Pattern
from reqrep.harness.scenario import Scenario
from reqrep.harness.search.deciders import Deviations
from reqrep.harness.search.space import SERVICES, Limits, Space
from reqrep.harness.search.trial import Trial
from reqrep.harness.workload import (
    Arrival,
    Bodies,
    Bursts,
    ClosedLoop,
    Constant,
    Exponential,
    Occasional,
    OpenLoop,
    ServiceTime,
    Sized,
    Uniform,
    Workload,
)

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ImportError(
        f'{__name__} needs Hypothesis, which is not installed: pip install "reqrep[hypothesis]"'
    ) from error

CONTROL_WORDS = (b"READY", b"PING", b"\x01", b"\x02", b"broker", b"DISCONNECT")
"""What protocols say besides bodies: a program that confuses the two is found by these."""

DECISIONS = 100
"""Among how many first decisions of a run deviations are drawn."""

CHOICES = 4
"""The highest choice that is drawn; of a decision with fewer ways the last is taken."""


# --- messages -------------------------------------------------------------------


def frames(max_bytes: int = 20) -> st.SearchStrategy[bytes]:
    """One frame: empty, a control word, of a size that something else may have, or any bytes.

    Four bytes look like the request id of REQ_CORRELATE; 255 are the longest routing id.
    """
    return st.one_of(
        st.just(EMPTY),
        st.binary(max_size=max_bytes),
        st.sampled_from(CONTROL_WORDS),
        st.sampled_from((b"\x00\x00\x00\x01", b"x" * 255, b"x" * 256)),
    )


def bodies(max_frames: int = 6, max_bytes: int = 20) -> st.SearchStrategy[list[bytes]]:
    """A body of one or more frames; any of them may be empty or a control word."""
    return st.lists(frames(max_bytes), min_size=1, max_size=max_frames)


def routing_ids() -> st.SearchStrategy[bytes]:
    """A routing id that a socket may be given: 1 to 255 bytes, the first not 0.

    Ids that begin with 0 are libzmq's own: one that it makes up later ends the process.
    """
    own = st.binary(min_size=1, max_size=255).filter(lambda value: value[0] != 0)
    return own | st.sampled_from(CONTROL_WORDS)


def envelopes(max_depth: int = 3) -> st.SearchStrategy[list[bytes]]:
    """The routing ids in front of a message, nearest hop first, each with its delimiter."""
    one = routing_ids().map(lambda routing_id: [routing_id, EMPTY])
    return st.lists(one, max_size=max_depth).map(_joined)


def messages(layout: str | Layout = "[body..]") -> st.SearchStrategy[list[bytes]]:
    """A message that has a layout: `messages("[C][][body..]")`.

    Args:
        layout: The notation of the patterns; see `frames.py`.

    Raises:
        MisuseError: The text is not in the notation.
    """
    parts: list[st.SearchStrategy[list[bytes]]] = []
    for part in (parse(layout) if isinstance(layout, str) else layout).parts:
        if part.kind == "body":
            parts.append(bodies(6 if part.many else 1))
        elif part.kind != "name":
            parts.append(st.just([part.value]))
        else:
            drawn = routing_ids() if part.name[0].isupper() else frames()
            parts.append(drawn.map(lambda frame: [frame]))
    return st.tuples(*parts).map(_joined)


def _joined(parts: Any) -> list[bytes]:
    return [frame for part in parts for frame in part]


# --- plans ----------------------------------------------------------------------


def fleets(clients: int = 3, workers: int = 3) -> st.SearchStrategy[Fleet]:
    """Fleets up to a size."""
    return st.builds(Fleet, clients=st.integers(1, clients), workers=st.integers(1, workers))


def arrivals(window: int = 1, pause_s: float = 0.01) -> st.SearchStrategy[Arrival]:
    """When requests are due.

    Args:
        window: How many requests a client may keep open; more than 1 needs one that pipelines.
        pause_s: How long a pause may be.
    """
    pauses = st.floats(0, pause_s)
    return st.one_of(
        st.builds(ClosedLoop, window=st.integers(1, window), think_time_s=pauses),
        st.builds(
            OpenLoop,
            rate_per_s=st.floats(1, 1e4),
            arrivals=st.sampled_from(("even", "poisson")),
        ),
        st.builds(Bursts, size=st.integers(1, 10), pause_s=pauses),
    )


def contents(max_bytes: int = 16, max_frames: int = 3) -> st.SearchStrategy[Bodies]:
    """What requests carry."""
    return st.builds(
        Sized,
        bytes=st.integers(0, max_bytes),
        frames=st.integers(1, max_frames),
        content=st.sampled_from(("text", "binary")),
    )


def service_times(most_s: float = 0.3) -> st.SearchStrategy[ServiceTime]:
    """How long the work takes; often one of those by which a search finds most.

    Args:
        most_s: How long; of what has no bound, ten times the mean.
    """
    seconds = st.floats(0, most_s)
    usual = [each for each in SERVICES if max(each.draw(0), each.draw(0.999)) <= most_s]
    return st.one_of(
        st.sampled_from(usual),
        st.builds(Constant, seconds),
        st.tuples(seconds, seconds).map(lambda two: Uniform(min(two), max(two))),
        st.builds(Exponential, st.floats(0, most_s / 10)),
        st.builds(Occasional, slow_s=seconds, one_in=st.integers(1, 10), quick_s=seconds),
    )


def workloads(
    requests: int = 12,
    *,
    window: int = 1,
    bodies: Bodies | None = None,
    service: tuple[ServiceTime, ...] | None = None,
    timeout_s: float = 5.0,
) -> st.SearchStrategy[Workload]:
    """The whole demand of a scenario.

    Args:
        requests: Up to how many, of the whole fleet.
        window: How many of them a client may keep open.
        bodies, service: As in `Workload`; None draws them.
        timeout_s: How long an op may stay open, in virtual seconds.
    """
    most_s = min(0.3, timeout_s / (requests + 1))  # So that one worker can do all in time.
    return st.builds(
        Workload,
        requests=st.integers(1, requests),
        arrival=arrivals(window),
        bodies=contents() if bodies is None else st.just(bodies),
        service=st.tuples(service_times(most_s)) if service is None else st.just(service),
        timeout_s=st.just(timeout_s),
    )


# --- trials ---------------------------------------------------------------------


def deviations(within: int = DECISIONS) -> st.SearchStrategy[Deviations]:
    """A few deviations from the calm run; none at all is what they shrink to.

    A seed of a random walk would find some breaks sooner, but a break that only the walk has
    found stays one of many deviations: Hypothesis cannot take single ones out of a seed.

    Args:
        within: Among how many first decisions.
    """
    one = st.tuples(st.integers(0, within - 1), st.integers(1, CHOICES))
    return st.lists(one, unique_by=lambda pair: pair[0]).map(
        lambda pairs: Deviations(tuple(sorted(pairs)))
    )


def _plans(space: Space) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Kinds of fault, each with what its place and time are drawn from; none is plainest."""
    if not space.kinds:
        return st.just([])
    one = st.tuples(st.sampled_from(space.kinds), st.integers(0, 999))
    return st.lists(one, max_size=space.limits.most_faults)


@st.composite
def scenarios(
    draw: st.DrawFn,
    /,
    pattern: Pattern | str,
    limits: Limits | None = None,
    **programs: Any,
) -> Trial:
    """Trials of a pattern: a scenario, a transport, and how the run deviates from calm.

    Args:
        draw: Given by Hypothesis.
        pattern: A pattern, or its name.
        limits: How far the scenarios go; their seed is drawn, so that of the limits is not used.
        programs: Programs of yours by role: `broker=my_broker`.

    Raises:
        MisuseError: There is no such pattern, or no such role in it.
    """
    limits = limits or Limits()
    what = find(pattern) if isinstance(pattern, str) else pattern
    if programs:
        what = what.with_roles(**programs)
    space = Space(what, limits)
    fleet = draw(fleets(limits.fleet.clients, limits.fleet.workers if what.is_sizable else 1))
    workload = draw(
        workloads(
            limits.requests,
            window=1 if space.is_lockstep else 4,
            bodies=limits.bodies,
            service=limits.service,
            timeout_s=limits.timeout_s,
        )
    )
    faults: tuple[Fault, ...] = ()
    for kind, seed in draw(_plans(space)):
        has_network = limits.transport != "inproc"
        fault = drawn(KINDS[kind], Random(seed), what, fleet, workload, has_network=has_network)
        if fault is not None and is_fit((*faults, fault), what, fleet, workload):
            faults = (*faults, fault)
    scenario = Scenario(what, fleet, workload, draw(st.integers(0, 15)), faults)
    return Trial(scenario, limits.transport, draw(deviations()))
