"""The plug-in, in test sessions of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from textwrap import dedent

import pytest

GOOD = """
    from reqrep.patterns.load_balancing import balancing_broker

    def my_broker(context, frontend, backend):
        balancing_broker(context, frontend, backend)

    def test_it_keeps_its_promises(run_fleet):
        report = run_fleet("load-balancing", broker=my_broker, clients=3, requests=30)
        assert report.statistics.ok == 30
        assert {transport!r} == report.transport
        assert {seed!r} == report.scenario.seed
"""

BAD = """
    import zmq

    def bad_server(context, endpoint, handle):
        router = context.socket(zmq.ROUTER)
        router.bind(endpoint)
        while True:
            client, _, *body = router.recv_multipart()
            router.send_multipart([client, *handle(body)])

    def test_it_does_not(run_fleet):
        run_fleet("dealer-router", server=bad_server, clients=1, requests=2)

    def test_a_report_can_be_looked_at_instead(run_fleet):
        report = run_fleet("dealer-router", server=bad_server, requests=2, check=False)
        assert report.of("broken")
"""


def test_a_correct_broker_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(GOOD.format(transport="tcp", seed=0))
    pytester.runpytest().assert_outcomes(passed=1)


def test_the_command_line_beats_the_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nreqrep_transport = ipc\nreqrep_seed = 4\n")
    pytester.makepyfile(GOOD.format(transport="tcp", seed=4))
    pytester.runpytest("--reqrep-transport=tcp").assert_outcomes(passed=1)


def test_a_broken_promise_fails_with_the_witness_in_a_section(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(BAD)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*PropertyBroken*",
            "*envelope: broken*the empty delimiter is missing*",
            "*- reqrep -*",
            "*envelope: broken*",
            "*server-0*send*",
            "*scenario: Scenario(*",
        ]
    )


def test_wrong_use_fails_with_the_way_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(run_fleet): run_fleet('load-balancin')")
    result = pytester.runpytest("--reqrep-seed=x")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*did you mean load-balancing*"])


def test_what_a_search_draws_is_refused_with_the_way_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(search_fleet): search_fleet('req-rep', requests=40)")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*draws requests; say how far it may go by limits=*"])


def test_it_works_under_xdist_and_under_given(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from hypothesis import given, settings, strategies as st

        @settings(deadline=None, max_examples=3)
        @given(st.integers(1, 5))
        def test_any_fleet_holds(run_fleet, clients):
            run_fleet("req-rep", clients=clients, requests=10)

        def test_another(run_fleet):
            run_fleet("req-rep", requests=10)
        """
    )
    pytester.runpytest_subprocess("-n2").assert_outcomes(passed=2)


def test_nothing_of_weight_is_imported_until_the_fixture_is_used() -> None:
    heavy = ("zmq", "msgspec", "hypothesis", "rich", "click", "faker", "jinja2", "greenlet")
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import reqrep.harness.pytest_plugin, reqrep\n"
        f"print([name for name in {heavy!r} if name in sys.modules and name not in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SEARCH = """
    import zmq

    def my_broker(context, frontend, backend):
        front = context.socket(zmq.ROUTER)
        front.bind(frontend)
        back = context.socket(zmq.ROUTER)
        back.bind(backend)
        idle = []
        poller = zmq.Poller()
        poller.register(back, zmq.POLLIN)
        while True:
            poller.register(front, zmq.POLLIN if idle else 0)
            events = dict(poller.poll())
            if back in events:
                worker, _, client, *reply = back.recv_multipart()
                idle.append(worker)
                if client != b"READY":
                    front.send_multipart([client, *reply])
            if front in events:
                back.send_multipart([idle.pop(), b"", *front.recv_multipart()])

    def test_the_worker_that_waits_longest_is_next(search_fleet):
        search_fleet("load-balancing", scenarios=40, broker=my_broker)

    def test_it_keeps_its_promises(search_fleet):
        result = search_fleet("req-rep", scenarios=21)
        assert result is None or result.tally.scenarios == 21
"""


def test_a_search_tells_the_story_of_what_it_found(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SEARCH)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--rootdir={pytester.path}")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*promises oldest-ready-first: work goes to the worker that is ready longest",
            "*with 1 client, 2 workers, 1 request over tcp*",
            "*replay: reqrep replay reqrep-failures/load-balancing-oldest-ready-first-1.json",
        ]
    )


def test_what_is_kept_of_a_test_in_a_folder_is_replayed_by_the_line_that_is_printed(
    pytester: pytest.Pytester,
) -> None:
    pytester.mkdir("tests").joinpath("test_mine.py").write_text(dedent(SEARCH), encoding="utf-8")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--rootdir={pytester.path}")
    line = next(
        line for line in result.outlines if "replay: " in line
    )  # where CI is set, the summary has it once more
    path, command, *arguments = line.partition("replay: ")[2].split()
    assert (path, command) == ("PYTHONPATH=tests", "reqrep")
    folders = [path.partition("=")[2], *filter(None, [os.environ.get("PYTHONPATH")])]
    replayed = subprocess.run(
        [sys.executable, "-m", "reqrep", *arguments],
        cwd=pytester.path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
    )
    assert ": still broken: oldest-ready-first: " in replayed.stdout, replayed.stderr


def test_workers_of_xdist_share_a_search_and_have_one_verdict(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SEARCH)
    result = pytester.runpytest_subprocess("-n", "2", f"--rootdir={pytester.path}")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["*FAILED*test_the_worker_that_waits_longest_is_next?shard ? of 2?*"]
    )
    kept = list(pytester.path.glob("reqrep-failures/*.json"))
    assert len(kept) == 1


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(["{name}", "--lf"], marks=pytest.mark.slow),
        pytest.param(["{name}[shard 1 of 2]"], marks=pytest.mark.slow),
        ["{name}[shard 2 of 2]"],
    ],
)
def test_a_shard_that_is_run_alone_has_the_whole_search(
    chosen: list[str], pytester: pytest.Pytester
) -> None:
    test = pytester.makepyfile(SEARCH)
    name = f"{test}::test_the_worker_that_waits_longest_is_next"
    for each in chosen:
        result = pytester.runpytest_subprocess(
            "-n", "2", f"--rootdir={pytester.path}", each.format(name=name)
        )
        assert result.parseoutcomes().get("failed") == 1
