"""Random programs see the same in the simulation and on libzmq, call by call; see `programs.py`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from . import differential
from .differential import Difference, compare, shrink
from .nondeterminism import DIVERGENCES
from .programs import (
    ENDPOINTS,
    FLAGS,
    FRAMES,
    KINDS,
    LIMITS,
    VERBS,
    Call,
    Machine,
    Plan,
    Program,
    RealSide,
    SimulatedSide,
    draw_program,
)

_runs = count(1_000_000)


@pytest.fixture
def real() -> Iterator[RealSide]:
    side = RealSide()
    yield side
    side.end()


@pytest.mark.parametrize("first", range(0, 1200, 100))
def test_random_programs_see_the_same(real: RealSide, first: int) -> None:
    """Twelve hundred programs; the command runs as many as one likes."""
    for seed in range(first, first + 100):
        difference = compare(draw_program(seed), real)
        assert difference is None, (
            f"python -m tests.spec.differential --programs 1 --seed {seed}\n{difference}"
        )


def test_a_program_is_the_same_for_the_same_seed() -> None:
    assert draw_program(7) == draw_program(7) != draw_program(8)


def test_shrinking_leaves_the_calls_that_matter() -> None:
    program = draw_program(3)
    needed = program.calls[4], program.calls[9]

    def differs(candidate: Program) -> bool:
        return set(needed) <= set(candidate.calls)

    shrunk = shrink(program, differs)
    assert set(shrunk.calls) == set(needed)
    assert all(plan.options == () and plan.name == b"" for plan in shrunk.plans)


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch, real: RealSide) -> None:
    """A planted one: the simulation answers every poll with nothing."""
    monkeypatch.setattr(SimulatedSide, "poll", lambda self, items: [0] * len(items))
    found = [compare(draw_program(seed), real) for seed in range(5)]
    assert any(isinstance(each, Difference) for each in found)


def test_every_reason_is_a_sentence_or_two() -> None:
    assert all(each.what and each.why for each in DIVERGENCES.values())


# --- the same, drawn and shrunk by Hypothesis ------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A socket."""
    kind = draw(st.sampled_from(KINDS))
    options = draw(st.sampled_from(LIMITS)) | draw(st.sampled_from(FLAGS[kind]))
    return Plan(kind, draw(st.sampled_from((b"", b"A", b"B", b"C"))), tuple(options.items()))


class SameOnBothSides(RuleBasedStateMachine):
    """Each rule is a call, made on both sides; what they give must be the same."""

    @initialize(drawn=st.lists(plans(), min_size=1, max_size=5))
    def open(self, drawn: list[Plan]) -> None:
        self.real = RealSide()
        run = next(_runs)
        self.count = len(drawn)
        self.calls = 0
        self.theirs = Machine(self.real, tuple(drawn), run)
        self.ours = Machine(SimulatedSide(), tuple(drawn), run)

    @rule(
        verb=st.sampled_from(tuple(VERBS)),
        index=st.integers(0, 4),
        endpoint=st.integers(0, ENDPOINTS - 1),
        frames=st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4),
        wanted=st.integers(1, 3),
    )
    def call(self, verb: str, index: int, endpoint: int, frames: list[bytes], wanted: int) -> None:
        self.calls += 1
        is_sent = verb in ("send", "reply", "part")
        call = Call(verb, index % self.count, endpoint, tuple(frames) if is_sent else (), wanted)
        assert self.ours.step(call) == self.theirs.step(call), call

    def teardown(self) -> None:
        if hasattr(self, "theirs"):
            self.theirs.close()
            self.real.threads.close()
            self.real.context.destroy(0)


def _explore(examples: int) -> None:
    # Derandomized, so that the suite answers the same each time.
    chosen: Any = settings(
        max_examples=examples, stateful_step_count=20, deadline=None, derandomize=True,
        database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(SameOnBothSides, settings=chosen)


def test_hypothesis_finds_no_difference() -> None:
    _explore(30)


@pytest.mark.slow
def test_hypothesis_finds_no_difference_in_many_programs() -> None:
    _explore(1500)


@pytest.mark.slow
def test_the_command_finds_no_difference_in_many_programs() -> None:
    assert multiprocessing.get_start_method() == "fork"
    assert differential.run(5000, 0, lambda line: None) == []
