from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import reqrep
from reqrep import ClosedLoop, Fleet, MisuseError, Scenario, Workload
from reqrep.patterns.load_balancing import balancing_broker
from tests.planted.programs import m24_broker_with_a_stack
from tests.strategies import scenarios

NAMES = {name: getattr(reqrep, name) for name in reqrep.__all__}


@given(scenarios)
def test_a_scenario_prints_as_the_code_that_rebuilds_it(scenario: Scenario) -> None:
    assert scenario == eval(repr(scenario), dict(NAMES))


@given(scenarios)
def test_a_scenario_goes_through_json_and_back_unchanged(scenario: Scenario) -> None:
    again = Scenario.from_json(scenario.to_json())
    assert again == scenario
    assert repr(again) == repr(scenario)


def test_a_scenario_with_a_program_of_yours_goes_through_json_and_code() -> None:
    pattern = reqrep.pattern("load-balancing").with_roles(broker=m24_broker_with_a_stack)
    scenario = Scenario(pattern, seed=3)
    assert scenario == Scenario.from_json(scenario.to_json())
    assert scenario == eval(repr(scenario), dict(NAMES))
    assert scenario != Scenario(reqrep.pattern("load-balancing"), seed=3)


def test_a_program_that_has_no_name_cannot_go_through_json_and_says_so() -> None:
    def my_broker(context: Any, frontend: str, backend: str) -> None:
        balancing_broker(context, frontend, backend)

    scenario = Scenario(reqrep.pattern("load-balancing").with_roles(broker=my_broker))
    with pytest.raises(MisuseError, match="at the top of a module"):
        scenario.to_json()
    assert "my_broker" in repr(scenario)


def test_a_scenario_of_a_pattern_alone_takes_the_fleet_and_workload_of_the_pattern() -> None:
    pattern = reqrep.pattern("dealer-router")
    assert Scenario(pattern) == Scenario(pattern, pattern.fleet, pattern.workload)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pattern": 1}', '{"pattern": {"name": "req-rep"}, "sede": 1}']
)
def test_what_is_no_scenario_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(MisuseError):
        Scenario.from_json(text)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Fleet(clients=0), "Fleet.clients is 0; it must be a whole number, 1 or more"),
        (lambda: Fleet(workers=-3), "Fleet.workers is -3"),
        (lambda: Fleet(clients=1.5), "Fleet.clients is 1.5"),  # type: ignore[arg-type]
        (lambda: Fleet(clients=True), "Fleet.clients is True"),
        (lambda: Workload(requests=0), "Workload.requests is 0"),
        (lambda: Workload(timeout_s=0), "Workload.timeout_s is 0; it must be more than 0"),
        (lambda: Workload(service=()), "it needs at least one entry"),
        (lambda: ClosedLoop(window=0), "ClosedLoop.window is 0"),
        (lambda: reqrep.OpenLoop(rate_per_s=-1), "OpenLoop.rate_per_s is -1"),
        (lambda: reqrep.Uniform(2, 1), "Uniform.high_s is 1; it must be 2 or more"),
        (lambda: reqrep.Sized(bytes=-1), "Sized.bytes is -1"),
        (lambda: reqrep.Sized(content="hex"), "Sized.content is 'hex'"),  # type: ignore[arg-type]
        (lambda: Scenario(reqrep.pattern("req-rep"), seed=-1), "Scenario.seed is -1"),
        (lambda: Scenario("req-rep"), "give a Pattern"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_size_is_refused_with_its_name_and_the_way_out(make: Any, says: str) -> None:
    with pytest.raises(MisuseError) as caught:
        make()
    assert says in str(caught.value)


def test_a_window_for_a_lockstep_client_is_refused() -> None:
    workload = Workload(arrival=ClosedLoop(window=2))
    with pytest.raises(MisuseError, match="keeps one request open"):
        Scenario(reqrep.pattern("req-rep"), workload=workload)


def test_a_client_that_cannot_be_driven_is_refused() -> None:
    pattern = reqrep.pattern("req-rep").with_roles(client=print)
    with pytest.raises(MisuseError, match="a client is a class with"):
        Scenario(pattern)
