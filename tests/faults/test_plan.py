"""Plans of faults as values: they print, go through JSON, are typed, and are refused when wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

import reqrep
from reqrep import (
    Bursts,
    Crash,
    Cut,
    Delay,
    Fault,
    Fleet,
    Hold,
    Late,
    Leave,
    MisuseError,
    Noop,
    OpenLoop,
    Partition,
    Pressure,
    Promise,
    Raises,
    Reset,
    Restart,
    Scenario,
    Sized,
    Skew,
    Stall,
    Stranger,
    Throttle,
    Upon,
    Workload,
)
from reqrep.harness.faults import KINDS, POINTS, WAY_POINTS, parse
from reqrep.harness.faults.draw import drawn, simpler, within
from tests.strategies import plans

NAMES = {name: getattr(reqrep, name) for name in reqrep.__all__}


def scenario(*faults: Fault, pattern: str = "load-balancing", **fields: Any) -> Scenario:
    return Scenario(reqrep.pattern(pattern), faults=faults, **fields)


# --- values ------------------------------------------------------------------------


@settings(deadline=None)
@given(plans)
def test_a_plan_prints_as_the_code_that_rebuilds_it(plan: tuple[Fault, ...]) -> None:
    planned = scenario(*plan)
    assert eval(repr(planned), dict(NAMES)) == planned


@settings(deadline=None)
@given(plans)
def test_a_plan_goes_through_json_and_back_unchanged(plan: tuple[Fault, ...]) -> None:
    planned = scenario(*plan)
    again = Scenario.from_json(planned.to_json())
    assert again == planned
    assert repr(again) == repr(planned)


def test_a_scenario_from_before_there_were_faults_is_still_read() -> None:
    text = scenario().to_json().replace(',"faults":[]', "")
    assert "faults" not in text
    assert Scenario.from_json(text) == scenario()


def test_a_list_of_faults_is_as_good_as_a_tuple() -> None:
    pattern = reqrep.pattern("broker")
    assert Scenario(pattern, faults=[Noop()]) == Scenario(  # type: ignore[arg-type]
        pattern, faults=(Noop(),)
    )


def test_every_kind_is_a_public_name() -> None:
    assert {kind.__name__ for kind in KINDS.values()} <= set(reqrep.__all__)


# --- as a person types them -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("noop", Noop()),
        ("cut:link=frontend,at=0.5,lasts=0.2", Cut("frontend", at=0.5, lasts=0.2)),
        ("delay:least_ms=2,greatest_ms=8", Delay(2, 8)),
        ("hold:node=worker-0,direction=out", Hold(node="worker-0", direction="out")),
        ("crash:node=worker-0,at=taken", Crash("worker-0", at=Upon("taken"))),
        ("crash:role=worker,at=taken", Crash("worker-0", at=Upon("taken"))),
        (
            "stall:node=worker-1,at=worked@worker-0#3",
            Stall("worker-1", at=Upon("worked", "worker-0", 3)),
        ),
        ("reset:at=replied#2", Reset(at=Upon("replied", count=2))),
        ("reset:link=backend,seen_by=binder", Reset("backend", seen_by="binder")),
        (
            "partition:nodes=broker-0+worker-0,lasts=1",
            Partition(("broker-0", "worker-0"), lasts=1),
        ),
        ("throttle:bytes_per_s=9600,node=worker-0", Throttle(9600, node="worker-0")),
        (
            "hold:node=client-1,direction=in,at=passing@broker-0..client-1#2,lasts=3",
            Hold(
                node="client-1",
                direction="in",
                at=Upon("passing", count=2, source="broker-0", target="client-1"),
                lasts=3,
            ),
        ),
        ("reset:at=passed@worker-0..#2", Reset(at=Upon("passed", count=2, source="worker-0"))),
        ("reset:at=passing@..client-0", Reset(at=Upon("passing", target="client-0"))),
        ("reset:at=passing#4", Reset(at=Upon("passing", count=4))),
    ],
)
def test_a_fault_is_read_as_it_is_typed(text: str, fault: Fault) -> None:
    assert parse(text, KINDS) == fault


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_example_of_a_kind_can_be_typed_and_fits_a_pattern(kind: type[Fault]) -> None:
    found = parse(kind.example, KINDS)
    assert type(found) is kind
    assert scenario(found).faults == (found,)
    assert kind.summary


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cutt:link=frontend", "there is no kind of fault 'cutt'; did you mean cut?"),
        ("cut:lnk=frontend", "there is no field 'lnk' in 'cut'; did you mean link?"),
        ("cut:frontend", "'frontend' is no key=value; write it as cut:link=frontend"),
        ("crash", "Object missing required field `node`; an example is crash:node="),
        ("cut:at=soon", "at is 'soon'; write seconds, or a point (arriving, taken"),
        ("cut:at=passing@worker-0", "at is 'passing@worker-0'; write seconds, or a point"),
        ("cut:at=passed@worker-0>broker-0", "from whom to whom: passed@worker-0..broker-0#3"),
        ("cut:at=passing#0", "at is 'passing#0'; write seconds, or a point"),
        ("cut:lasts=long", "Expected `float | null`"),
        ("cut:lasts=0", "Cut.lasts is 0.0; it must be more than 0"),
        ("crash:node=worker-0,lasts=1", "there is no field 'lasts' in 'crash'"),
        ("late:by_s=1,rol=worker", "there is no field 'rol' in 'late'"),
        ("partition:node=broker-0", "there is no field 'node' in 'partition'; did you mean nodes?"),
        ("partition:nodes=", "Partition.nodes is (); name one node or more"),
        ("partition:nodes=worker-0+worker-0", "name each node once"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(text: str, says: str) -> None:
    with pytest.raises(MisuseError) as caught:
        parse(text, KINDS)
    assert says in str(caught.value)
    assert repr(text) in str(caught.value)


# --- refusals -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Cut(at=-1), "Cut.at is -1; it must be 0 or more"),
        (lambda: Cut(at="taken"), "Cut.at is 'taken'"),  # type: ignore[arg-type]
        (lambda: Cut(lasts=0), "Cut.lasts is 0; it must be more than 0"),
        (lambda: Cut(link=3), "Cut.link is 3; it must be a str"),  # type: ignore[arg-type]
        (lambda: Crash(None), "Crash.node is None; it must be a str"),  # type: ignore[arg-type]
        (lambda: Delay(-1, 2), "Delay.least_ms is -1"),
        (lambda: Delay(5, 2), "Delay.greatest_ms is 2; it must be 5 or more"),
        (lambda: Hold(direction="up"), "Hold.direction is 'up'; it must be one of both, in, out"),
        (lambda: Hold("frontend", direction="in"), "name the node, or take both"),
        (lambda: Reset(seen_by="client"), "Reset.seen_by is 'client'; it must be one of both, con"),
        (lambda: Restart("worker-0", -1), "Restart.after_s is -1"),
        (lambda: Late(0), "Late.by_s is 0; it must be more than 0"),
        (lambda: Late(0.1, nth=0), "Late.nth is 0"),
        (lambda: Skew("broker-0", 0), "Skew.by_s is 0; it must be a number of seconds, and not 0"),
        (lambda: Raises(at=Upon("taken")), "say which one by nth"),
        (lambda: Partition("worker-0"), "Partition.nodes is 'worker-0'; it must be a tuple or a"),  # type: ignore[arg-type]
        (lambda: Partition((1,)), "a node of Partition.nodes is 1; it must be a str"),  # type: ignore[arg-type]
        (lambda: Throttle(0), "Throttle.bytes_per_s is 0; it must be a whole number, 1 or more"),
        (lambda: Pressure(0), "Pressure.hwm is 0; it must be a whole number, 1 or more"),
        (lambda: Pressure(1, at=0.1), "Pressure.at is 0.1; it is in force from before the load"),
        (lambda: Pressure(1, at=Upon("taken")), "it is in force from before the load"),
        (lambda: Upon("eaten"), "Upon.point is 'eaten'; it must be one of arriving, taken"),
        (lambda: Upon("taken", count=0), "Upon.count is 0"),
        (lambda: Upon("passed", count=0), "Upon.count is 0"),
        (lambda: Upon("passing", "worker-0"), "does not take; give source and target"),
        (
            lambda: Upon("taken", source="worker-0"),
            "Upon.source is 'worker-0', which the point 'taken' does not take; give node",
        ),
        (lambda: Upon("passing", target=3), "Upon.target is 3; it must be a str"),  # type: ignore[arg-type]
        (lambda: Late(0.1, at=Upon("passing")), "say which one by nth"),
    ],
)
def test_a_bad_fault_is_refused_when_it_is_made(make: Any, says: str) -> None:
    with pytest.raises(MisuseError) as caught:
        make()
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([Crash("worker-9")], "there is no node 'worker-9' in 'load-balancing'; did you mean"),
        (
            [Cut("frontends")],
            "there is no link 'frontends' in 'load-balancing'; did you mean frontend",
        ),
        ([Cut("frontend", "worker-0")], "worker-0 is not at the link 'frontend'"),
        ([Noop(at=Upon("taken", "worker-7"))], "there is no node 'worker-7'"),
        ([Noop(at=Upon("passing", source="worker-7"))], "there is no node 'worker-7'"),
        (
            [Noop(at=Upon("passed", target="client-9"))],
            "there is no node 'client-9' in 'load-balancing'; did you mean",
        ),
        (
            [Noop(at=Upon("passing", source="worker-0", target="client-1"))],
            "no request or reply goes from worker-0 to client-1 in 'load-balancing'; worker-0 sends "
            "them to broker-0, client-1 gets them from broker-0",
        ),
        ([Noop(at=Upon("taken", "broker-0"))], "broker-0 has no service"),
        ([Noop(at=Upon("arriving", "client-0"))], "client-0 receives no requests"),
        ([Late(0.1, "broker-0")], "broker-0 has no service; name one of worker-0"),
        ([Stranger("backend")], "none connect to 'backend'; name frontend"),
        ([Restart("client-0")], "a client is not restarted"),
        ([Crash("worker-0"), Stall("worker-0", at=0.1)], "which is dead from 0 s on for good"),
        ([Crash("worker-0"), Crash("worker-0")], "which is dead from 0 s on for good"),
        ([Leave("worker-0"), Restart("worker-0", at=0.1)], "which is dead from 0 s on for good"),
        (
            [Restart("worker-0", 0.2, at=0.1), Crash("worker-0", at=0.2)],
            "which is dead from 0.1 s on until 0.3 s",
        ),
        ([Noop(at=1000)], "Noop.at is 1000; the load is over after 125 s at the latest"),
        (
            [Late(3), Late(2.5)],
            "Late.by_s, all taken together, is 5.5; an op may stay open for 5 s",
        ),
        (
            [Partition(("broker-0", "worker-9"))],
            "there is no node 'worker-9' in 'load-balancing'; did",
        ),
        (
            [
                Partition(
                    (
                        *(f"client-{n}" for n in range(4)),
                        "broker-0",
                        "worker-0",
                        "worker-1",
                        "worker-2",
                    )
                )
            ],
            "none of these nodes meets one that is not among them",
        ),
        ([Delay(0, 2000)], "Delay.greatest_ms is 2000; an op crosses 4 hops"),
        ([0.5], "an entry of Scenario.faults is 0.5; give a fault"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(faults: Any, says: str) -> None:
    with pytest.raises(MisuseError) as caught:
        scenario(*faults)
    assert says in str(caught.value)


def test_a_node_may_be_struck_before_it_dies_and_after_it_has_come_again() -> None:
    plan = Stall("worker-0", at=0.1, lasts=0.1), Restart("worker-0", 0.1, at=0.3)
    assert scenario(Crash("worker-0", at=0.5), *plan).faults


def test_what_is_in_force_from_the_start_may_stand_anywhere_in_a_plan() -> None:
    assert scenario(Crash("worker-0"), Pressure(1, "worker-0")).faults


def test_a_bandwidth_by_which_a_body_cannot_arrive_in_time_is_refused() -> None:
    workload = Workload(4, bodies=Sized(500, frames=4), timeout_s=2)
    says = r"Throttle.bytes_per_s is 4000; a body of 2000 bytes crosses 4 such hops and an op may"
    with pytest.raises(MisuseError, match=says):
        scenario(Throttle(4000), workload=workload)
    assert scenario(Throttle(4001), workload=workload).faults
    assert scenario(Throttle(2001, "backend"), workload=workload).faults
    assert scenario(Throttle(1, lasts=1.9), workload=workload).faults


@pytest.mark.parametrize("arrival", [OpenLoop(10), Bursts(5, 2)])
def test_the_end_of_a_planned_load_is_known(arrival: Any) -> None:
    workload = Workload(20, arrival, timeout_s=1)
    with pytest.raises(MisuseError, match="the load is over after"):
        scenario(Noop(at=30), workload=workload, fleet=Fleet(4, 1))
    assert scenario(Noop(at=2), workload=workload, fleet=Fleet(4, 1)).faults


def test_a_list_of_nodes_is_as_good_as_a_tuple() -> None:
    assert Partition(["broker-0"]) == Partition(("broker-0",))  # type: ignore[arg-type]


def test_a_partition_is_drawn_so_that_it_fits_and_shrinks_by_its_nodes_and_with_its_fleet() -> None:
    pattern, fleet = reqrep.pattern("load-balancing"), Fleet(2, 3)
    for seed in range(50):
        found = drawn(Partition, Random(seed), pattern, fleet, Workload())
        assert isinstance(found, Partition)
        assert found.pairs(pattern, fleet)
    fault = Partition(("broker-0", "worker-1", "worker-2"))
    assert Partition(("broker-0", "worker-2")) in simpler(fault)
    assert within([fault], pattern, Fleet(2, 2)) == (Partition(("broker-0", "worker-1")),)


def test_a_promise_under_a_kind_that_there_is_not_is_refused() -> None:
    import dataclasses

    pattern = dataclasses.replace(
        reqrep.pattern("broker"), promises=(Promise("envelope", frozenset({"crsh"})),)
    )
    with pytest.raises(MisuseError, match="did you mean crash"):
        Scenario(pattern)


@pytest.mark.parametrize(
    ("fault", "world", "transport"),
    [
        (Crash("worker-0"), "threads", "tcp"),
        (Cut("frontend"), "threads", "inproc"),
        (Cut("frontend"), "simulated", "inproc"),
        (Restart("worker-0"), "simulated", "inproc"),
    ],
)
def test_a_world_refuses_by_name_what_it_cannot_do(
    fault: Fault, world: str, transport: str
) -> None:
    with pytest.raises(MisuseError, match=f"the world {world}.* cannot do '{fault.kind}'"):
        reqrep.run(scenario(fault), world, transport)


@pytest.mark.parametrize("world", ["simulated", "threads"])
def test_over_inproc_no_message_is_seen_on_its_way(world: str) -> None:
    plan = scenario(Noop(at=Upon("passing", source="worker-0")))
    with pytest.raises(
        MisuseError, match=r"over inproc there is no network .*; use tcp or ipc, or"
    ):
        reqrep.run(plan, world, "inproc")


def test_what_is_drawn_fits_and_is_of_each_way_of_saying_when() -> None:
    pattern, random = reqrep.pattern("load-balancing"), Random(0)
    for has_network in True, False:
        drawn_at = [
            fault.at
            for _ in range(200)
            if (
                fault := drawn(
                    Noop, random, pattern, Fleet(2, 2), Workload(5), has_network=has_network
                )
            )
        ]
        scenario(*[Noop(at=at) for at in drawn_at], fleet=Fleet(2, 2), workload=Workload(5))
        points = {at.point for at in drawn_at if isinstance(at, Upon)}
        assert points == ({*POINTS, *WAY_POINTS} if has_network else set(POINTS))


def test_when_a_message_passes_is_said_ever_more_simply_and_in_smaller_fleets() -> None:
    fault = Noop(at=Upon("passed", count=3, source="client-3", target="broker-0"))
    tried = [simple.at for simple in simpler(fault)]
    assert tried == [
        0.0,
        Upon("passed", count=3, target="broker-0"),
        Upon("passed", count=3, source="client-3"),
        Upon("passed", source="client-3", target="broker-0"),
    ]
    (moved,) = within((fault,), reqrep.pattern("load-balancing"), Fleet(2, 1))
    assert moved.at == Upon("passed", count=3, source="client-1", target="broker-0")


def test_a_refusal_says_where_it_can_be_done_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(MisuseError, match=r"Over tcp and ipc it can$"):
        reqrep.run(scenario(Cut("frontend")), "threads", "inproc")
    with pytest.raises(
        MisuseError, match=r"The world simulated can do all kinds over tcp and ipc$"
    ):
        reqrep.run(scenario(Crash("worker-0")), "threads", "ipc")
    assert not list(tmp_path.iterdir())
