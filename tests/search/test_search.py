"""The search itself: the same whoever runs it, small in the end, and kept in files that last."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

import reqrep
from reqrep import (
    Deviations,
    Fleet,
    Limits,
    MisuseError,
    NodeFailed,
    PeerError,
    Promise,
    PropertyBroken,
    Scenario,
    Trial,
)
from reqrep.harness import catalogue
from reqrep.harness.run import EXIT_BROKEN, EXIT_UNKNOWN
from reqrep.harness.search.counterexample import VERSION, Counterexample
from reqrep.harness.search.deciders import RandomWalk
from reqrep.harness.search.exhaust import exhaust, schedules
from reqrep.harness.search.hunt import Failed, Search
from reqrep.harness.search.result import result_of
from reqrep.harness.search.shrink import Shrinker, plans, small
from reqrep.harness.search.space import Space
from reqrep.harness.search.story import LINES, WIDTH, story
from reqrep.harness.search.trial import Attempt, attempt, breach, promised
from reqrep.patterns.common import Context, Handle
from reqrep.patterns.req_rep import rep_server

ROOT = Path(__file__).parents[2]
MINE = "tests.planted.searched"


def space(name: str, limits: Limits | None = None) -> Space:
    return Space(reqrep.pattern(f"{MINE}:{name}"), limits or Limits(seed=1))


def says_the_same(context: Context, endpoint: str) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    while True:
        socket.recv_multipart()
        socket.send(b"World")


runs: list[None] = []


def raises_in_its_third_run(context: Context, endpoint: str, handle: Handle) -> None:
    runs.append(None)
    if len(runs) != 3:
        return rep_server(context, endpoint, handle)
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    socket.recv()
    raise ValueError("the third")


def returns_in_its_third_run(context: Context, endpoint: str, handle: Handle) -> None:
    runs.append(None)
    if len(runs) != 3:
        rep_server(context, endpoint, handle)


def raises_and_returns_in_its_third_run(context: Context, endpoint: str) -> None:
    runs.append(None)
    if len(runs) != 3:
        tells_its_address(context, endpoint, list)


def tells_its_address(context: Context, endpoint: str, handle: Handle) -> None:
    socket = context.socket(zmq.REP)
    socket.bind(endpoint)
    socket.recv()
    raise KeyError(object())


@pytest.fixture(scope="module")
def least() -> Attempt:
    """The least attempt of a break that needs several deviations."""
    search = Search(space("M14")).run()
    return search.shrunk(search.found[0])


@pytest.fixture
def kept(least: Attempt, tmp_path: Path) -> Path:
    path = tmp_path / "kept.json"
    Counterexample.of(least).save(path)
    return path


class TestHunt:
    def test_one_process_finds_what_two_find(self) -> None:
        one, two = (Search(space("SAME_NAME"), jobs=jobs).run() for jobs in (1, 2))
        assert one.found[0].number == two.found[0].number
        assert one.found[0].breach == two.found[0].breach
        assert story(one.shrunk(one.found[0])) == story(two.shrunk(two.found[0]))

    def test_two_processes_count_what_one_counts(self) -> None:
        one, two = (
            Search(space("SAME_NAME"), scenarios=60, jobs=jobs, keep_going=True).run()
            for jobs in (1, 2)
        )
        assert one.found == two.found
        assert one.found[0].times > 1
        assert one.tally == two.tally
        assert one.tally.scenarios == 60

    def test_scenario_number_n_of_a_seed_is_the_same_every_time(self) -> None:
        first, second = (
            [space("M14", Limits(seed=seed)).trial(n) for n in range(20)] for seed in (3, 3)
        )
        assert first == second
        assert first != [space("M14", Limits(seed=4)).trial(n) for n in range(20)]

    def test_a_search_without_an_end_is_refused(self) -> None:
        with pytest.raises(MisuseError, match="a search needs an end"):
            Search(space("M14"), scenarios=None)

    def test_a_clean_search_says_what_it_is_worth(self) -> None:
        result = reqrep.search("req-rep", scenarios=60).check()
        assert result.tally.bound == pytest.approx(1 - 0.05 ** (1 / 60))
        assert "with 95% confidence fewer than 4.87%" in str(result)

    def test_what_breaks_is_raised_with_its_story_and_its_file(self, tmp_path: Path) -> None:
        result = reqrep.search(f"{MINE}:SAME_NAME", scenarios=60, out=tmp_path)
        with pytest.raises(PropertyBroken) as caught:
            result.check()
        (path,) = tmp_path.iterdir()
        assert f"replay: reqrep replay {path}" in str(caught.value)
        assert len(result.breaks[0].story.splitlines()) <= LINES
        again = reqrep.search(f"{MINE}:SAME_NAME", scenarios=60, out=tmp_path)
        assert again.breaks[0].path == path  # The same break is kept once.

    def test_a_search_that_judges_nothing_is_refused(self) -> None:
        pattern = dataclasses.replace(reqrep.pattern("req-rep"), promises=())
        for judge in (
            lambda: reqrep.search(pattern, scenarios=3),
            lambda: exhaust(Space(pattern, Limits())),
            lambda: Trial(Scenario(pattern)).check(),
        ):
            with pytest.raises(MisuseError, match="req-rep promises nothing"):
                judge()

    def test_a_promise_about_what_comes_after_faults_can_be_searched(self) -> None:
        recovers = Promise("recovery", frozenset({"hold"}))
        pattern = dataclasses.replace(reqrep.pattern("req-rep"), promises=(recovers,))
        result = reqrep.search(pattern, Limits(faults=("hold",)), scenarios=40).check()
        assert result.tally.judged["recovery", "hold"]

    def test_what_is_only_told_after_faults_can_be_named(self) -> None:
        result = reqrep.search("load-balancing", scenarios=20, properties=("recovery",)).check()
        assert any(name == "recovery" for name, _ in result.tally.judged)

    def test_the_scenario_that_cannot_be_run_to_its_end_is_named(self) -> None:
        runs.clear()
        pattern = reqrep.pattern("req-rep").with_roles(server=returns_in_its_third_run)
        with pytest.raises(NodeFailed, match="in scenario 2 of the search") as caught:
            reqrep.search(pattern, Limits(fleet=Fleet(3, 1)), scenarios=5)
        assert caught.value.node == "server-0"

    def test_what_broke_before_a_scenario_that_cannot_be_run_is_told_all_the_same(self) -> None:
        runs.clear()
        pattern = reqrep.pattern("req-rep").with_roles(server=raises_and_returns_in_its_third_run)
        space = Space(pattern, Limits(fleet=Fleet(3, 1)))
        hunt = Search(space, ("robustness",), scenarios=5, keep_going=True).run()
        assert [found.number for found in hunt.found] == [0]
        assert hunt.failed is not None
        assert hunt.failed.number == 2
        runs.clear()
        result = result_of(hunt)
        assert result.exit_status == EXIT_BROKEN
        assert "scenario 2 was the last: server-0 returned before it had bound" in str(result)

    def test_what_fails_after_the_break_that_ends_a_search_is_no_part_of_it(self) -> None:
        def meet(search: Search) -> None:
            if search.found:  # As another process may, which is ahead.
                search.failed = Failed(10**6, "server-0", "computes without end", "")

        hunt = Search(space("SAME_NAME")).run(meet)
        assert hunt.found
        assert hunt.failed is None

    def test_ctrl_c_tells_what_was_found_before_it(self) -> None:
        def stop(search: Search) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            reqrep.search(f"{MINE}:SAME_NAME", scenarios=60, keep_going=True, progress=stop)
        assert caught.value.__notes__[0].startswith("found before, in scenario ")

    def test_a_program_that_ends_its_process_is_no_bug_of_ours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ends_it_all.py").write_text(
            "import ctypes, reqrep\n"
            "def server(context, endpoint):\n"
            "    ctypes.CDLL(None)._exit(0)\n"
            "PATTERN = reqrep.pattern('req-rep').with_roles(server=server)\n",
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(PeerError, match="ended without a word"):
            reqrep.search("ends_it_all:PATTERN", scenarios=4, jobs=2)

    def test_verdicts_that_are_unknown_are_counted_and_no_pass(self) -> None:
        pattern = reqrep.pattern("req-rep").with_roles(server=says_the_same)
        result = reqrep.search(pattern, scenarios=5)
        assert result.tally.unknown["exactly-once: no worker called its handle, so executions "
                                    "cannot be counted"] == 5  # fmt: skip
        assert result.exit_status == EXIT_UNKNOWN
        with pytest.raises(PropertyBroken, match="unknown in 5 scenarios: exactly-once"):
            result.check()
        with pytest.raises(PropertyBroken, match="is unknown: "):
            Trial(Scenario(pattern)).check()

    def test_a_program_that_remembers_other_runs_is_told_so(self) -> None:
        runs.clear()
        pattern = reqrep.pattern("req-rep").with_roles(server=raises_in_its_third_run)
        result = reqrep.search(pattern, scenarios=5)
        assert result.exit_status == EXIT_UNKNOWN
        with pytest.raises(PropertyBroken, match="keeps something from one run to the next"):
            result.check()

    def test_a_break_is_the_same_wherever_its_program_lies_in_memory(self) -> None:
        pattern = reqrep.pattern("req-rep").with_roles(server=tells_its_address)
        result = reqrep.search(pattern, scenarios=5, properties=("robustness",))
        assert "raised KeyError: <object object at 0x" in result.breaks[0].breach.reason


class TestShrinking:
    def test_a_break_shrinks_to_the_same_story_twice(self, least: Attempt) -> None:
        search = Search(space("M14")).run()
        assert story(search.shrunk(search.found[0])) == story(least)

    def test_each_deviation_is_necessary_and_together_they_suffice(self, least: Attempt) -> None:
        assert least.broken is not None
        assert len(least.taken) >= 2
        properties = promised(least.trial.scenario)
        again = attempt(least.replayable, properties)
        assert again.history.digest == least.history.digest
        for number in least.taken:
            rest = tuple(pair for pair in sorted(least.taken.items()) if pair[0] != number)
            without = attempt(least.trial.replace(decider=Deviations(rest)), properties)
            assert without.broken is None or breach(without.broken) != breach(least.broken)

    def test_no_smaller_plan_breaks_in_the_same_way_when_nothing_unusual_happens(
        self, least: Attempt
    ) -> None:
        assert least.broken is not None
        for plan in plans(least.trial.scenario):
            for decider in (Deviations(), least.trial.decider):
                trial = Trial(plan, least.trial.transport, decider)
                broken = attempt(trial, promised(plan)).broken
                assert broken is None or breach(broken) != breach(least.broken)

    def test_what_is_not_as_small_as_it_gets_is_not_called_necessary(self, least: Attempt) -> None:
        assert "together they suffice" in story(least)
        hurried = Shrinker(least, promised(least.trial.scenario), attempts=0).run()
        assert "some may not be needed" in story(hurried)

    def test_a_plainer_load_that_the_faults_do_not_fit_is_not_tried(self) -> None:
        scenario = Scenario(reqrep.pattern("req-rep"), faults=(reqrep.Late(1.0),))
        assert all(plan.demand.timeout_s > 1 for plan in plans(scenario) if plan.faults)

    def test_small_plans_never_have_more_of_anything(self) -> None:
        scenario = Scenario(reqrep.pattern("load-balancing"), Fleet(5, 4))
        found = [(plan.nodes.clients, plan.nodes.workers) for plan in small(scenario)]
        assert found[:4] == [(1, 1), (2, 1), (1, 2), (2, 2)]
        assert set(found) == set(found[:4])
        assert all(plan.demand.requests == 3 for plan in small(scenario))
        one_server = dataclasses.replace(
            reqrep.pattern("dealer-router"), roles=_one_server_roles(), reference=""
        )
        assert {plan.nodes.workers for plan in small(Scenario(one_server, Fleet(5, 4)))} == {4}


def _one_server_roles() -> tuple[reqrep.Role, ...]:
    roles = reqrep.pattern("dealer-router").roles
    return tuple(dataclasses.replace(role, many=False) for role in roles)


class TestExhaust:
    tiny = Limits(fleet=Fleet(1, 1), requests=2)

    def test_every_schedule_is_run_once(self) -> None:
        trial = Trial(space("OTHER_NAME", self.tiny).plain)
        properties = promised(trial.scenario)
        seen = [tried.taken for tried in schedules(trial, properties, 1)]
        assert seen[0] == {}
        assert len(seen) > 20
        assert len({tuple(taken.items()) for taken in seen}) == len(seen)
        assert all(len(taken) <= 1 for taken in seen)
        # All ways of each decision of the calm run, and no others.
        assert all(
            choice == number + 1 for choices in _by_decision(seen) for number, choice in choices
        )

    def test_it_counts_its_runs_and_finds_nothing_where_nothing_is(self) -> None:
        alone, broken, _ = exhaust(space("OTHER_NAME", self.tiny), deviations=0)
        assert (alone, broken) == (1, None)
        runs, broken, _ = exhaust(space("OTHER_NAME", self.tiny), deviations=1)
        assert broken is None
        trial = Trial(space("OTHER_NAME", self.tiny).plain)
        assert runs == len(list(schedules(trial, promised(trial.scenario), 1)))

    def test_it_finds_what_needs_one_deviation(self) -> None:
        assert exhaust(space("SAME_NAME", self.tiny), deviations=0) == (1, None, None)
        _, broken, _ = exhaust(space("SAME_NAME", self.tiny), deviations=1)
        assert broken is not None
        assert len(broken.taken) == 1


def _by_decision(seen: list[dict[int, int]]) -> list[list[tuple[int, int]]]:
    choices: dict[int, list[int]] = {}
    for taken in seen:
        for number, choice in taken.items():
            choices.setdefault(number, []).append(choice)
    return [list(enumerate(sorted(found))) for found in choices.values()]


def test_a_client_in_lock_step_is_searched_in_a_pattern_whose_own_clients_pipeline() -> None:
    result = reqrep.search("tests.faults.planted:HOLD.mended", scenarios=3, jobs=1)
    assert result.holds


class TestStory:
    def test_a_story_fits_a_screen_however_many_deviations_there_are(self) -> None:
        trials = map(space("M14").trial, range(1000))
        tried = (attempt(trial, promised(trial.scenario)) for trial in trials)
        found = next(one for one in tried if one.broken is not None and len(one.taken) > 10)
        lines = story(found, ("replay: this", "test: that")).splitlines()
        assert len(lines) <= LINES
        assert max(map(len, lines)) <= WIDTH

    def test_each_deviation_is_told_by_who_and_what(self) -> None:
        # Work so short that a server sends again within a millisecond of its last look.
        service = (reqrep.Constant(0.0002),)
        demand = reqrep.Workload(40, service=service, timeout_s=10)
        reset = reqrep.Reset("service", at=0.001)
        scenario = Scenario(reqrep.pattern("req-rep"), Fleet(2, 1), demand, 0, (reset,))
        tried = attempt(Trial(scenario, "tcp", RandomWalk(1)), [])
        node = r"(client|server)-\d"
        task = f"({node}|conductor of the harness)"
        said = [
            rf"{task} runs before {task}",
            rf"what {node} sends to {node} takes [\d.]+ ms",
            rf"{node} sends before it looks at what has come",
            rf"{node} waits [\d.]+ ms to connect again",
        ]
        assert tried.labels.keys() == tried.taken.keys()
        for words in tried.labels.values():
            assert any(re.fullmatch(each, words) for each in said), words
        for each in said:
            assert any(re.fullmatch(each, words) for words in tried.labels.values()), each

    def test_a_message_that_nobody_received_has_an_arrow_to_nowhere(self) -> None:
        search = Search(space("SAME_NAME")).run()
        assert "--x" in story(search.shrunk(search.found[0]))


REPLAY = "import sys, reqrep; seen = reqrep.replay(sys.argv[1]); print(seen.fate, '|', seen.why)"


class TestCounterexamples:
    def test_it_is_replayed_to_the_event_in_other_processes_and_on_other_pythons(
        self, kept: Path
    ) -> None:
        seen = {
            _replayed(kept, python, hash_seed)
            for python in (sys.executable, *_other_pythons())
            for hash_seed in ("0", "1")
        }
        (told,) = seen
        assert told.startswith("still broken | progress: c0.")
        assert "the run is another one" not in told

    def test_the_mended_program_is_said_to_be_fixed(self, kept: Path) -> None:
        kept.write_text(kept.read_text().replace(f"{MINE}:M14", f"{MINE}:M14_CORRECT"))
        seen = reqrep.replay(kept)
        assert seen.fate == "fixed"
        assert seen.check() is seen

    def test_a_fault_that_strikes_no_more_leaves_nothing_to_say(self) -> None:
        fault = reqrep.Crash("worker-0", at=reqrep.Upon("taken", "worker-0", count=1000))
        scenario = Scenario(reqrep.pattern("load-balancing"), faults=(fault,))
        replayed = Counterexample(Trial(scenario), "exactly-once", "twice", "0").again()
        assert replayed.fate == "no longer applies"
        assert "exactly-once is unknown: not exercised" in replayed.why

    def test_what_is_still_broken_is_raised_with_the_story(self, kept: Path) -> None:
        with pytest.raises(PropertyBroken, match="still broken: progress") as caught:
            reqrep.replay(kept).check()
        assert "together they suffice" in str(caught.value)

    def test_a_pattern_of_yours_is_named_and_has_whatever_programs_it_has_by_then(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searched = importlib.import_module(MINE)
        good, bad = reqrep.pattern(f"{MINE}:OTHER_NAME"), reqrep.pattern(f"{MINE}:SAME_NAME")
        wrong, mended = (good.with_roles(client=one.role("client").program) for one in (bad, good))
        monkeypatch.setattr(searched, "MINE", wrong, raising=False)
        result = reqrep.search(f"{MINE}:MINE", scenarios=60, out=tmp_path)
        (path,) = tmp_path.iterdir()
        assert reqrep.replay(path).fate == "still broken"
        assert result.breaks[0].path == path
        monkeypatch.setattr(searched, "MINE", mended)
        catalogue.pattern.cache_clear()  # As in another process.
        assert reqrep.replay(path).fate == "fixed"

    def test_it_goes_through_its_file_unchanged(self, kept: Path, least: Attempt) -> None:
        assert Counterexample.load(kept).trial == least.replayable

    def test_a_role_that_is_gone_no_longer_applies(self, tmp_path: Path) -> None:
        search = reqrep.search(
            reqrep.pattern("load-balancing").with_roles(broker=_stack()),
            scenarios=60,
            out=tmp_path,
        )
        (path,) = (each.path for each in search.breaks)
        assert path is not None
        for old, new, says in (
            ('"broker"', '"brokr"', "there is no role 'brokr'"),
            ("m24_broker_with_a_stack", "gone", "has no 'gone'"),
        ):
            changed = tmp_path / "changed.json"
            changed.write_text(path.read_text().replace(old, new))
            seen = reqrep.replay(changed)
            assert seen.fate == "no longer applies"
            assert says in seen.why
            with pytest.raises(PropertyBroken, match="no longer applies"):
                seen.check()

    @pytest.mark.parametrize(
        ("damage", "says"),
        [
            (lambda text: text.replace(f'"reqrep": {VERSION}', '"reqrep": 99'), "install a newer"),
            (lambda text: text[: len(text) // 2], "is no counterexample of reqrep"),
            (lambda text: "", "is no counterexample of reqrep"),
            (lambda text: '{"a": 1}', "is no counterexample of reqrep"),
            (lambda text: text.replace('"transport"', '"trnsport"'), "is damaged"),
            (lambda text: text.replace('"deviations": [', '"deviations": [[99, 1], '), "damaged"),
        ],
        ids=["newer", "cut off", "empty", "another", "unknown field", "bad deviations"],
    )
    def test_a_file_that_cannot_be_read_is_refused_with_its_name(
        self, kept: Path, damage: object, says: str
    ) -> None:
        kept.write_text(damage(kept.read_text()))  # type: ignore[operator]
        with pytest.raises(MisuseError, match=says) as caught:
            reqrep.replay(kept)
        assert "kept.json" in str(caught.value)

    def test_a_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(MisuseError, match="cannot be read"):
            reqrep.replay(tmp_path / "nowhere.json")

    def test_a_break_of_a_program_without_a_name_is_told_and_not_kept(self, tmp_path: Path) -> None:
        pattern = reqrep.pattern("load-balancing").with_roles(
            broker=lambda context, front, back: _stack()(context, front, back)
        )
        (found,) = reqrep.search(pattern, scenarios=60, out=tmp_path).breaks
        assert found.path is None
        assert "not kept: " in found.story
        assert "has no name that another process could find it by" in found.story
        assert not list(tmp_path.iterdir())

    def test_it_says_nothing_of_the_machine(self, kept: Path) -> None:
        text = kept.read_text()
        assert str(ROOT) not in text
        assert set(json.loads(text)) == {
            *("reqrep", "property", "reason", "scenario", "transport", "deviations", "digest"),
        }


def _stack() -> Any:
    from tests.planted.programs import m24_broker_with_a_stack

    return m24_broker_with_a_stack


def _replayed(path: Path, python: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{ROOT}/src"}
    done = subprocess.run(
        [python, "-c", REPLAY, str(path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def _other_pythons() -> list[str]:
    """Those on the path that can run the tests of this tree."""
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 16)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/src"}
    return [
        python
        for python in found
        if python is not None
        and subprocess.run(
            [python, "-c", f"import {MINE}"], cwd=ROOT, env=environment, capture_output=True
        ).returncode
        == 0
    ]


def test_a_node_that_does_not_start_is_named_from_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "never_starts.py").write_text(
        "import reqrep\n"
        "def server(context, endpoint):\n"
        "    raise RuntimeError('no configuration')\n"
        "PATTERN = reqrep.pattern('req-rep').with_roles(server=server)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NodeFailed, match="failed while it started") as caught:
        reqrep.search("never_starts:PATTERN", scenarios=4, jobs=2)
    assert caught.value.node == "server-0"
    assert "RuntimeError: no configuration" in caught.value.details


def test_a_program_that_other_processes_cannot_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text(
        "import reqrep\nPATTERN = reqrep.pattern('req-rep')\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pattern = reqrep.pattern("only_here:PATTERN")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    with pytest.raises(MisuseError, match="only_here"):
        reqrep.search(pattern, scenarios=4, jobs=2)
