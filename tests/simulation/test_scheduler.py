"""The scheduler: turns, virtual time, deadlocks, spinning, killing."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from reqrep.harness.errors import HarnessBug
from reqrep.harness.simulation import Choices, Scheduler, SeededChoices, SparseChoices


def test_tasks_run_first_in_first_out() -> None:
    scheduler = Scheduler(Choices())
    order: list[Any] = []
    for name in "abc":
        scheduler.spawn(name, name, order.append, name)
    assert scheduler.run().kind == "finished"
    assert order == ["a", "b", "c"]


def test_the_clock_jumps_to_the_next_timer_when_nobody_can_run() -> None:
    scheduler = Scheduler(Choices())
    seen: list[tuple[int, int]] = []

    def sleeper(duration: int) -> None:
        scheduler.sleep(duration)
        seen.append((duration, scheduler.now_ns))

    for duration in (3_000_000_000, 1_000_000_000, 2_000_000_000):
        scheduler.spawn("sleeper", "node", sleeper, duration)
    scheduler.run()
    assert seen == [(n * 1_000_000_000, n * 1_000_000_000) for n in (1, 2, 3)]


def test_timers_of_one_time_ring_in_the_order_in_which_they_were_set() -> None:
    scheduler = Scheduler(Choices())
    order: list[Any] = []
    for number in range(5):
        scheduler.call_at(10, partial(order.append, number))
    scheduler.run()
    assert order == [0, 1, 2, 3, 4]


def test_a_cancelled_timer_does_not_ring_and_does_not_move_the_clock() -> None:
    scheduler = Scheduler(Choices())
    scheduler.call_at(10, lambda: pytest.fail("it rang")).cancel()
    assert scheduler.run().time_ns == 0


def test_a_wait_that_ends_early_leaves_no_trace_on_the_clock() -> None:
    scheduler = Scheduler(Choices())

    def waiter() -> None:
        assert scheduler.park("a wake", 1_000_000_000)

    task = scheduler.spawn("waiter", "node", waiter)
    scheduler.call_at(5, lambda: scheduler.wake(task))
    assert scheduler.run().time_ns == 5


def test_a_wait_with_a_deadline_says_which_came_first() -> None:
    scheduler = Scheduler(Choices())
    got: list[bool] = []

    def waiter() -> None:
        got.append(scheduler.park("nothing", 7))

    scheduler.spawn("waiter", "node", waiter)
    scheduler.run()
    assert (got, scheduler.now_ns) == ([False], 7)


def test_a_deadlock_is_reported_with_who_waits_for_what() -> None:
    scheduler = Scheduler(Choices())
    scheduler.spawn("main", "client-0", scheduler.park, "a reply")
    scheduler.spawn("main", "server-0", scheduler.park, "a request")
    outcome = scheduler.run()
    assert outcome.kind == "deadlock"
    assert [(wait.node, wait.reason) for wait in outcome.waiting] == [
        ("client-0", "a reply"),
        ("server-0", "a request"),
    ]
    assert "client-0: main waits: a reply" in str(outcome)


def test_a_task_that_spins_is_named() -> None:
    scheduler = Scheduler(Choices(), step_limit=1000)

    def spin() -> None:
        while True:
            scheduler.fruitless()

    scheduler.spawn("idle", "good-0", scheduler.park, "for ever")
    scheduler.spawn("loop", "bad-0", spin)
    outcome = scheduler.run()
    assert (outcome.kind, outcome.spinner) == ("spinning", "loop of bad-0")


def test_a_task_that_asks_again_and_again_meets_its_answer() -> None:
    scheduler = Scheduler(Choices(), step_limit=1000)
    done: list[int] = []
    scheduler.call_at(500_000, lambda: done.append(1))

    def ask() -> None:
        while not done:
            scheduler.fruitless()

    scheduler.spawn("asker", "node", ask)
    assert scheduler.run().kind == "finished"


def test_a_killed_task_runs_its_finally_blocks() -> None:
    scheduler = Scheduler(Choices())
    cleaned: list[bool] = []

    def waiter() -> None:
        try:
            scheduler.park("for ever")
        finally:
            cleaned.append(True)

    task = scheduler.spawn("waiter", "node", waiter)
    scheduler.run()
    scheduler.kill(task)
    assert scheduler.run().kind == "finished"
    assert cleaned == [True]
    assert task.is_done
    assert task.error is None


def test_a_task_killed_before_its_first_turn_never_runs() -> None:
    scheduler = Scheduler(Choices())
    task = scheduler.spawn("never", "node", pytest.fail)
    scheduler.kill(task)
    scheduler.run()
    assert task.is_done
    assert task.error is None


def test_an_error_in_a_task_is_kept_and_the_others_go_on() -> None:
    scheduler = Scheduler(Choices())
    order: list[Any] = []

    def fail() -> None:
        raise ValueError("mine")

    task = scheduler.spawn("fail", "node", fail)
    scheduler.spawn("other", "node", order.append, 1)
    assert scheduler.run().kind == "finished"
    assert order == [1]
    assert isinstance(task.error, ValueError)
    assert task.error.__traceback__ is not None


def test_an_error_in_a_timer_is_a_bug_of_ours() -> None:
    scheduler = Scheduler(Choices())
    scheduler.call_at(1, lambda: 1 / 0)
    with pytest.raises(HarnessBug, match="division"):
        scheduler.run()


def test_ctrl_c_while_a_timer_rings_is_no_bug_of_ours() -> None:
    scheduler = Scheduler(Choices())

    def interrupt() -> None:
        raise KeyboardInterrupt

    scheduler.call_later(1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()


def test_a_stopped_run_goes_on_where_it_was() -> None:
    scheduler = Scheduler(Choices())
    order: list[Any] = []

    def body() -> None:
        order.append(1)
        scheduler.stop()
        scheduler.yield_turn()
        order.append(2)

    scheduler.spawn("body", "node", body)
    assert scheduler.run().kind == "stopped"
    assert order == [1]
    assert scheduler.run().kind == "finished"
    assert order == [1, 2]


def _order(choices: Choices) -> list[int]:
    scheduler = Scheduler(choices)
    order: list[int] = []
    for name in range(6):
        scheduler.spawn(str(name), "node", order.append, name)
    scheduler.run()
    return order


def test_which_task_runs_next_is_a_decision() -> None:
    assert _order(SparseChoices({0: 5})) == [5, 0, 1, 2, 3, 4]
    assert _order(SparseChoices({1: 1})) == [0, 2, 1, 3, 4, 5]


def test_the_deviations_of_a_seeded_run_replay_it() -> None:
    seeded = SeededChoices(3, calm_in=1)
    order = _order(seeded)
    assert order != list(range(6))
    sparse = SparseChoices(seeded.taken)
    assert _order(sparse) == order
    assert (sparse.count, sparse.taken) == (seeded.count, seeded.taken)


def test_a_decision_between_one_thing_is_none() -> None:
    choices = Choices()
    assert choices.choose(1, "nothing") == 0
    assert choices.count == 0


def test_a_deviation_that_is_too_large_is_cut_down() -> None:
    assert SparseChoices({0: 99}).choose(3, "few") == 2


@pytest.mark.parametrize("depth", [0, 80])
def test_as_many_tasks_as_one_likes_begin_one_after_the_other(depth: int) -> None:
    # Each greenlet begins as deep in the stack as the one that starts it.
    scheduler = Scheduler(Choices())
    begun = []

    def begin(number: int) -> None:
        begun.append(number)
        wait(depth)

    def wait(deeper: int) -> None:
        if deeper:
            wait(deeper - 1)
        else:
            scheduler.sleep(1)

    for number in range(3000):
        scheduler.spawn(f"task-{number}", "node", begin, number)
    assert scheduler.run().kind == "finished"
    assert begun == list(range(3000))
