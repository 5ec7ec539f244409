"""Defects that a calm run does not show are found by a search from a cold start, and told small."""

from __future__ import annotations

import time
from statistics import median

import pytest

import reqrep
from reqrep import Deviations, Scenario, Trial
from reqrep.harness.search.hunt import Search
from reqrep.harness.search.space import Space
from reqrep.harness.search.story import LINES, story
from reqrep.harness.search.trial import Attempt

from .searched import DEFECTS, Defect

MOST = 1000
"""How many scenarios a search may take."""

MOST_S = 10.0
"""How long it may take, in real seconds, in the middle of ten master seeds."""

every_defect = pytest.mark.parametrize("planted", DEFECTS, ids=lambda planted: planted.defect)


def find(name: str) -> reqrep.Pattern:
    return reqrep.pattern(f"tests.planted.searched:{name}")


def hunt(name: str, planted: Defect, seed: int, scenarios: int) -> Search:
    space = Space(find(name), planted.limits.replace(seed=seed))
    return Search(space, scenarios=scenarios).run()


def require_small(least: Attempt, planted: Defect) -> None:
    """Break in the right way, with few nodes, requests and deviations, in few lines."""
    assert least.broken is not None
    assert least.broken.property == planted.broken
    scenario = least.trial.scenario
    assert scenario.nodes.clients <= 2
    assert scenario.nodes.workers <= 2
    assert scenario.demand.requests <= 3
    assert len(scenario.faults) + len(least.taken) <= 3
    assert len(story(least).splitlines()) <= LINES


@pytest.mark.parametrize("name", sorted({name for each in DEFECTS for name in each[:2]}))
def test_a_calm_run_shows_nothing(name: str) -> None:
    assert Trial(Scenario(find(name)), decider=Deviations()).check().broken is None


@every_defect
def test_a_search_finds_it_and_not_its_correct_twin(planted: Defect) -> None:
    search = hunt(planted.defect, planted, seed=0, scenarios=MOST)
    assert search.found, f"nothing broke in {search.tally.scenarios} scenarios"
    require_small(search.shrunk(search.found[0]), planted)
    number = search.found[0].number
    correct = hunt(planted.correct, planted, seed=0, scenarios=number + 20)
    assert correct.found == []
    assert (planted.broken, "no fault") in correct.tally.judged


@pytest.mark.slow
@every_defect
def test_it_is_found_in_time_whatever_the_master_seed(planted: Defect) -> None:
    seconds = []
    for seed in range(10):
        begun = time.perf_counter()
        search = hunt(planted.defect, planted, seed, MOST)
        seconds.append(time.perf_counter() - begun)
        assert search.found, f"nothing broke under seed {seed}"
        require_small(search.shrunk(search.found[0]), planted)
    assert median(seconds) < MOST_S, seconds


@pytest.mark.slow
@every_defect
def test_its_correct_twin_is_not_flagged_in_many_scenarios(planted: Defect) -> None:
    assert hunt(planted.correct, planted, seed=1, scenarios=MOST).found == []


def test_the_end_of_a_node_makes_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    """A callback of zmq.asyncio that came too late was told in a page of traceback."""
    (planted,) = (each for each in DEFECTS if each.defect == "M15")
    hunt("M15", planted, seed=2, scenarios=MOST)
    assert not caplog.records
