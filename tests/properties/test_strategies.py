"""The strategies that users import, and what Hypothesis makes of a broken promise."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import find, given, settings, strategies as st

import reqrep
from reqrep import (
    Deviations,
    Exponential,
    Fleet,
    Limits,
    MisuseError,
    PropertyBroken,
    Sized,
    Trial,
    Workload,
)
from reqrep.harness.catalogue import pattern_names
from reqrep.harness.frames import layout
from reqrep.harness.search.space import Space
from reqrep.harness.search.story import LINES
from reqrep.harness.search.trial import laboratory
from reqrep.properties import strategies

MINE = "tests.planted.searched"


# --- messages -------------------------------------------------------------------


@given(strategies.routing_ids())
def test_a_routing_id_is_one_that_a_socket_may_be_given(routing_id: bytes) -> None:
    assert 1 <= len(routing_id) <= 255
    assert routing_id[0] != 0


@given(st.data())
def test_a_message_has_the_layout_that_was_asked_for(data: st.DataObject) -> None:
    hops = [hop for name in pattern_names() for hop in reqrep.pattern(name).hops]
    wanted = layout(
        data.draw(st.sampled_from([text for h in hops for text in (h.sent, h.received)]))
    )
    assert wanted.fits(data.draw(strategies.messages(wanted)))
    assert wanted.fits(data.draw(strategies.messages(wanted.text)))


@given(strategies.envelopes(max_depth=3), strategies.bodies())
def test_an_envelope_is_routing_ids_each_with_its_delimiter(
    envelope: list[bytes], body: list[bytes]
) -> None:
    depth = len(envelope) // 2
    assert depth <= 3
    reading = layout("".join(f"[A{n}][]" for n in range(depth)) + "[body..]").read(envelope + body)
    assert len(reading.names) == depth
    assert list(reading.body) == body


@pytest.mark.parametrize(
    "wanted",
    [
        lambda body: len(body) == 6,
        lambda body: b"" in body[1:-1],
        lambda body: body[-1] in strategies.CONTROL_WORDS,
        lambda body: len(body[0]) == 4 and body[1:] == [b""],
        lambda body: {255, 256} & set(map(len, body)),
    ],
    ids=["six frames", "an empty one within", "ends in a control word", "looks correlated", "long"],
)
def test_bodies_hold_what_confuses_programs(wanted: object) -> None:
    find(strategies.bodies(), wanted, settings=settings(max_examples=5000))  # type: ignore[arg-type]


def test_what_is_no_layout_is_refused() -> None:
    with pytest.raises(MisuseError, match="cannot be read"):
        strategies.messages("[C")


# --- trials ---------------------------------------------------------------------


@pytest.mark.slow
def test_deviations_shrink_to_none_and_a_trial_to_the_plainest() -> None:
    least = find(strategies.scenarios("load-balancing"), lambda trial: True)
    assert least.decider == Deviations()
    assert least.scenario.nodes == Fleet(clients=1, workers=1)
    assert least.scenario.demand.requests == 1


@given(
    strategies.scenarios(
        "dealer-router",
        Limits(fleet=Fleet(clients=2, workers=1), requests=4, bodies=Sized(5), transport="inproc"),
    )
)
def test_a_trial_keeps_within_the_limits(trial: Trial) -> None:
    assert trial.scenario.nodes.clients <= 2
    assert trial.scenario.nodes.workers == 1
    assert trial.scenario.demand.requests <= 4
    assert trial.scenario.demand.bodies == Sized(5)
    assert trial.transport == "inproc"


@given(strategies.scenarios(f"{MINE}:M14"))
def test_a_trial_prints_as_the_code_that_rebuilds_it(trial: Trial) -> None:
    assert (
        eval(repr(trial), vars(reqrep) | {n: getattr(reqrep, n) for n in reqrep.__all__}) == trial
    )


@pytest.mark.slow
def test_a_trial_with_programs_of_the_users_prints_as_the_code_that_rebuilds_it() -> None:
    from tests.planted.programs import m24_broker_with_a_stack

    drawn = strategies.scenarios("load-balancing", broker=m24_broker_with_a_stack)
    trial = find(drawn, lambda trial: trial.scenario.nodes.workers > 1)
    again = eval(repr(trial), {n: getattr(reqrep, n) for n in reqrep.__all__})
    assert again == trial
    assert again.scenario.pattern.role("broker").program is m24_broker_with_a_stack


@pytest.mark.parametrize("name", pattern_names())
def test_our_patterns_keep_their_promises_in_any_trial(name: str) -> None:
    @settings(max_examples=15, derandomize=True, database=None)
    @given(strategies.scenarios(name))
    def check(trial: Trial) -> None:
        trial.check()

    with laboratory():
        check()


# --- a broken promise ------------------------------------------------------------

BROKEN = """
    from hypothesis import Phase, example, given, settings
    from reqrep import *
    from reqrep.properties.strategies import scenarios
    from reqrep.patterns.load_balancing import READY
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
                if client != READY:
                    front.send_multipart([client, *reply])
            if front in events:
                back.send_multipart([idle.pop(), b"", *front.recv_multipart()])
"""

TEST = """
    @settings(print_blob=True, deadline=None, phases=set(Phase) - {Phase.explain})
    @given(scenarios("load-balancing", broker=my_broker))
    def test_it(trial):
        trial.check()
"""


def source(*parts: str) -> str:
    return "\n".join(map(textwrap.dedent, parts))


def output(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines)


def test_a_failing_test_prints_the_story_and_how_to_see_it_again(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(source(BROKEN, TEST))
    result = pytester.runpytest_subprocess("--hypothesis-seed=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*PropertyBroken: load-balancing promises oldest-ready-first*",
            "*broken: broker-0 gave c0.0 to worker*was ready for longer*",
            "*with 1 client, 2 workers, 1 request over tcp*",
            "*it needs no fault and no unusual schedule*",
            "*trial=Trial(scenario=Scenario(pattern=pattern('load-balancing').with_roles(broker=*my_broker*",
            "*@reproduce_failure(*",
        ]
    )
    told = [line for line in result.outlines if line.startswith("E  ")]
    first = next(n for n, line in enumerate(told) if "PropertyBroken" in line)
    last = next(n for n, line in enumerate(told) if "calmest run" in line)
    assert last - first < LINES


@pytest.mark.slow
def test_the_blob_reproduces_the_failure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(source(BROKEN, TEST))
    told = output(pytester.runpytest_subprocess("--hypothesis-seed=1"))
    blob = told[told.index("@reproduce_failure(") :].splitlines()[0].partition(" as a")[0]
    pytester.makepyfile(
        source("from hypothesis import reproduce_failure", BROKEN)
        + source(TEST).replace("@settings(", f"{blob}\n@settings(")
    )
    again = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*was ready for longer*"])


@pytest.mark.slow
def test_the_database_replays_it_and_a_mended_broker_passes(pytester: pytest.Pytester) -> None:
    # With no phase that draws anything new, only the database can show it.
    pytester.makeconftest(
        "from hypothesis import Phase, settings\n"
        "settings.register_profile('all', phases=set(Phase) - {Phase.explain})\n"
        "settings.register_profile('reuse', phases=[Phase.reuse])\n"
    )
    test = TEST.replace(", phases=set(Phase) - {Phase.explain}", "")
    path = pytester.makepyfile(source(BROKEN, test))
    search, reuse = "--hypothesis-profile=all", "--hypothesis-profile=reuse"
    pytester.runpytest_subprocess(search).assert_outcomes(failed=1)
    pytester.runpytest_subprocess(reuse).assert_outcomes(failed=1)
    path.write_text(path.read_text().replace("idle.pop()", "idle.pop(0)"))
    pytester.runpytest_subprocess(reuse).assert_outcomes(passed=1)


@pytest.mark.slow
def test_an_example_profiles_and_health_checks_work(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "from hypothesis import settings\n"
        "settings.register_profile('mine', max_examples=3, deadline=None, database=None)\n"
    )
    pytester.makepyfile(
        source(
            BROKEN,
            """
            seen = []

            @example(Trial(Scenario(pattern("req-rep"), Fleet(1, 1), Workload(requests=1)), "ipc"))
            @given(scenarios("req-rep"))
            def test_it(trial):
                seen.append(trial.transport)
                trial.check()

            def test_that():
                assert seen == ["ipc", "tcp", "tcp", "tcp"]

            @example(Trial(
                Scenario(
                    pattern("load-balancing").with_roles(broker=my_broker),
                    Fleet(1, 2), Workload(requests=2),
                ),
                decider=Deviations(((3, 1),)),
            ))
            @settings(phases=[Phase.explicit])
            @given(scenarios("req-rep"))
            def test_an_example_that_breaks(trial):
                trial.check()
            """,
        )
    )
    result = pytester.runpytest_subprocess("--hypothesis-profile=mine")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["*was ready for longer*", "*explicit example: test_an_example_that_breaks*"]
    )


@given(strategies.workloads(requests=40))
def test_a_worker_alone_could_do_all_that_is_asked_in_time(workload: Workload) -> None:
    (service,) = workload.service
    if not isinstance(service, Exponential):  # Which has no bound.
        longest_s = max(service.draw(0), service.draw(0.999))
        assert 40 * longest_s < workload.timeout_s


def test_the_story_of_an_unshrunk_break_does_not_call_its_deviations_necessary() -> None:
    trial = Space(reqrep.pattern(f"{MINE}:SAME_NAME")).trial(4)
    with pytest.raises(PropertyBroken) as caught:
        trial.check()
    assert "of which some may not be needed" in str(caught.value)
    assert "without" not in str(caught.value)


def test_without_hypothesis_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None\nimport reqrep.properties.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install "reqrep[hypothesis]"' in done.stderr.splitlines()[-1]
