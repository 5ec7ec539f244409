"""Each checker on histories written by hand: what it must find, and what it must let pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reqrep import Checker, Event, Property, Scenario
from reqrep.harness.faults.stranger import MARK, Stranger
from reqrep.harness.history.event import UNASKED
from reqrep.harness.lens import End, Lens
from reqrep.harness.ops import KEPT_AFTER_END
from reqrep.harness.pattern import Hop
from reqrep.harness.property import judge

from .histories import MS, Story, dealer_router, load_balancing, paranoid_pirate

ASK = b"@c0.0 ask"
OTHER = b"@c1.0 ask"


def asked(story: Story, op: str = "c0.0") -> Story:
    return story.add(f"client-{op[1]}", "invoke", op=op, frames=(b"@%s ask" % op.encode(),))


def round_trip(story: Story) -> Story:
    asked(story).send("client-0/s", b"", ASK).recv("server-0/s", b"C", b"", ASK)
    story.add("server-0", "execute", op="c0.0").add("server-0", "executed", op="c0.0")
    story.send("server-0/s", b"C", b"", ASK).recv("client-0/s", b"", ASK)
    return story.add("client-0", "ok", op="c0.0", frames=(ASK,))


@pytest.mark.parametrize(
    "name",
    [
        *("envelope", "reply-identity", "correlation", "one-outcome", "exactly-once"),
        *("at-least-once", "at-most-once", "progress", "robustness"),
    ],
)
def test_a_plain_round_trip_breaks_nothing(name: str) -> None:
    verdict = round_trip(dealer_router()).judge(name)
    assert verdict.outcome == "holds"
    assert verdict.facts > 0


class TestEnvelope:
    def test_a_missing_delimiter_is_named_with_the_frames(self) -> None:
        story = asked(dealer_router()).send("client-0/s", ASK)
        verdict = story.judge("envelope")
        assert verdict.outcome == "broken"
        assert "the empty delimiter is missing; the layout is [][body..]" in verdict.reason
        assert [event.kind for event in verdict.witness] == ["send"]

    @pytest.mark.parametrize(
        "changed", [(b"@c0.0 ASK",), (ASK, b""), (ASK, b"more")], ids=["byte", "frame", "merged"]
    )
    def test_a_body_that_changed_on_its_way_is_shown_before_and_after(
        self, changed: tuple[bytes, ...]
    ) -> None:
        story = asked(dealer_router()).send("client-0/s", b"", ASK)
        verdict = story.recv("server-0/s", b"C", b"", *changed).judge("envelope")
        assert verdict.outcome == "broken"
        assert "was changed on its way" in verdict.reason
        assert [event.kind for event in verdict.witness] == ["send", "recv"]

    def test_a_reply_is_compared_with_what_the_worker_sent(self) -> None:
        story = load_balancing()
        story.send("worker-0/s", b"C", b"", b"@c0.0 result")
        story.recv("broker-0/back", b"W", b"", b"C", b"", b"@c0.0 result")
        assert story.judge("envelope").outcome == "holds"
        story.send("broker-0/front", b"C", b"", b"@c0.0 resul")
        assert story.judge("envelope").outcome == "broken"

    def test_a_retry_may_carry_another_body(self) -> None:
        story = asked(dealer_router()).send("client-0/s", b"", b"@c0.0 first")
        story.send("client-0/s", b"", b"@c0.0 second")
        story.recv("server-0/s", b"C", b"", b"@c0.0 second")
        story.recv("server-0/s", b"C", b"", b"@c0.0 first")
        assert story.judge("envelope").outcome == "holds"

    def test_sockets_that_serve_no_link_are_the_nodes_own_affair(self) -> None:
        story = dealer_router()
        story.socket("server-0/inner", "PUSH", "replies").send("server-0/inner", ASK)
        assert story.judge("envelope").outcome == "holds"

    @pytest.mark.parametrize("errs_first", [True, False])
    def test_a_reply_of_the_servers_own_words_is_unknown_whenever_it_comes(
        self, errs_first: bool
    ) -> None:
        story = dealer_router()
        words = [b"ERROR", ASK] if errs_first else [ASK, b"ERROR"]
        for body in words:
            story.send("server-0/s", b"C", b"", body).recv("client-0/s", b"", body)
        assert story.judge("envelope").outcome == "unknown"

    def test_a_reply_that_lost_its_beginning_on_its_way_is_broken(self) -> None:
        story = dealer_router().send("server-0/s", b"C", b"", ASK)
        verdict = story.recv("client-0/s", b"", b"ask").judge("envelope")
        assert "whose body has lost its beginning" in verdict.reason

    def test_a_socket_may_serve_two_links(self) -> None:
        story = Story("load-balancing").socket("broker-0/both", "ROUTER", "frontend", binds=True)
        story.binds("broker-0/both", "backend")
        story.recv("broker-0/both", b"W", b"", b"READY").recv("broker-0/both", b"C", b"", ASK)
        story.send("broker-0/both", b"W", b"", b"C", b"", ASK)
        story.recv("broker-0/both", b"W", b"", b"C", b"", ASK)
        story.send("broker-0/both", b"C", b"", ASK)
        # Read as `[W][][C][][body..]`, the reply would be a request for the worker C.
        story.recv("broker-0/both", b"W", b"", b"C", b"", OTHER, b"", b"")
        story.send("broker-0/both", b"C", b"", OTHER, b"", b"")
        verdict = story.judge("envelope")
        assert (verdict.outcome, verdict.facts) == ("holds", 7), verdict.reason

    @pytest.mark.parametrize(
        ("type_", "frames"),
        [("ROUTER", (b"B", b"C", b"", ASK)), ("DEALER", (b"C", b"", ASK)), ("REP", (ASK,))],
    )
    def test_a_worker_of_a_queue_may_have_any_socket_that_speaks_the_same(
        self, type_: str, frames: tuple[bytes, ...]
    ) -> None:
        story = Story("broker").socket("broker-0/front", "ROUTER", "frontend", binds=True)
        story.socket("broker-0/back", "DEALER", "backend", binds=True)
        story.socket("client-0/s", "REQ", "frontend").send("client-0/s", ASK)
        story.socket("worker-0/s", type_, "backend")
        story.recv("worker-0/s", *frames).send("worker-0/s", *frames)
        verdict = story.judge("envelope")
        assert (verdict.outcome, verdict.facts) == ("holds", 3), verdict.reason

    def test_a_control_word_from_a_client_is_a_body_like_any_other(self) -> None:
        story = load_balancing()
        story.recv("broker-0/front", b"READY", b"", b"@c0.0 x")
        assert story.judge("envelope").outcome == "holds"


class TestReplyIdentity:
    def test_a_reply_that_is_addressed_to_another_is_broken(self) -> None:
        story = asked(dealer_router()).recv("server-0/s", b"C", b"", ASK)
        verdict = story.send("server-0/s", b"D", b"", ASK).judge("reply-identity")
        assert verdict.outcome == "broken"
        assert "routing id [D]; the request came from [C]" in verdict.reason

    def test_a_reply_that_reaches_another_client_is_broken(self) -> None:
        story = asked(dealer_router()).recv("client-1/s", b"", ASK)
        verdict = story.judge("reply-identity")
        assert verdict.outcome == "broken"
        assert "the reply to c0.0 reached client-1; it was for client-0" in verdict.reason

    def test_a_request_that_is_passed_on_as_anothers_is_broken(self) -> None:
        story = asked(load_balancing()).recv("broker-0/front", b"C", b"", ASK)
        verdict = story.recv("worker-0/s", b"D", b"", ASK).judge("reply-identity")
        assert verdict.outcome == "broken"
        assert "worker-0 was given c0.0 as from the routing id [D]; the request came from [C]" in (
            verdict.reason
        )

    def test_a_request_that_is_asked_again_comes_by_another_way(self) -> None:
        story = Story("broker").socket("broker-0/front", "ROUTER", "frontend", binds=True)
        story.socket("broker-0/back", "DEALER", "backend", binds=True)
        for number in range(2):
            worker = f"worker-{number}/s"
            story.socket(worker, "ROUTER", "backend")
            client, back = b"C%d" % number, b"P%d" % number
            # Written down a moment late, as what goes through a proxy is.
            story.recv(worker, back, client, b"", ASK)
            story.recv("broker-0/front", client, b"", ASK)
        assert story.judge("reply-identity").outcome == "holds"

    def test_a_reply_to_any_of_the_ids_that_asked_holds(self) -> None:
        story = asked(dealer_router()).recv("server-0/s", b"C1", b"", ASK)
        story.recv("server-0/s", b"C2", b"", ASK).send("server-0/s", b"C2", b"", ASK)
        assert story.judge("reply-identity").outcome == "holds"

    def test_a_reply_without_an_op_id_is_unknown(self) -> None:
        story = asked(dealer_router()).recv("client-0/s", b"", b"ACK")
        assert story.judge("reply-identity").outcome == "unknown"

    def test_broken_beats_unknown(self) -> None:
        story = asked(dealer_router()).recv("client-0/s", b"", b"ACK")
        assert story.recv("client-1/s", b"", ASK).judge("reply-identity").outcome == "broken"


class TestCorrelation:
    def test_a_late_reply_taken_for_another_is_broken(self) -> None:
        story = asked(asked(dealer_router()), "c0.1")
        verdict = story.add("client-0", "ok", op="c0.1", frames=(ASK,)).judge("correlation")
        assert verdict.outcome == "broken"
        assert "took the reply to c0.0 for the reply to c0.1" in verdict.reason
        assert [event.kind for event in verdict.witness] == ["invoke", "invoke", "ok"]

    def test_a_second_reply_to_one_request_is_broken(self) -> None:
        story = round_trip(dealer_router()).add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert "two replies to c0.0" in story.judge("correlation").reason

    def test_a_reply_to_nothing_is_broken(self) -> None:
        story = dealer_router().add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert "which nobody asked" in story.judge("correlation").reason


class TestOutcomes:
    def test_two_outcomes_are_broken(self) -> None:
        story = round_trip(dealer_router()).add("client-0", "fail", op="c0.0")
        assert "two outcomes, ok and fail" in story.judge("one-outcome").reason

    def test_a_late_reply_settles_what_nobody_knew(self) -> None:
        story = asked(dealer_router()).add("client-0", "info", op="c0.0")
        story.add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert story.judge("one-outcome").outcome == "holds"

    def test_an_op_without_an_outcome_is_broken(self) -> None:
        assert "has no outcome" in asked(dealer_router()).judge("one-outcome").reason

    def test_an_op_that_was_asked_twice_is_broken(self) -> None:
        assert "asked twice" in asked(asked(dealer_router())).judge("one-outcome").reason

    @pytest.mark.parametrize("kind", ["info", "fail"])
    def test_an_op_that_is_not_answered_is_no_progress(self, kind: str) -> None:
        story = asked(dealer_router()).send("client-0/s", b"", ASK)
        verdict = story.add("client-0", kind, op="c0.0", text="gave up").judge("progress")
        assert verdict.outcome == "broken"
        assert "c0.0 was not answered: gave up; it was last seen at client-0" in verdict.reason


class TestDelivery:
    def twice(self) -> Story:
        return round_trip(dealer_router()).add("server-0", "execute", op="c0.0")

    def test_an_op_that_was_executed_twice_breaks_what_promises_once(self) -> None:
        assert self.twice().judge("exactly-once").outcome == "broken"
        assert self.twice().judge("at-most-once").outcome == "broken"
        assert self.twice().judge("at-least-once").outcome == "holds"

    def test_an_answer_without_an_execution_breaks_what_promises_one(self) -> None:
        story = round_trip(dealer_router())
        asked(story, "c1.0").add("client-1", "ok", op="c1.0", frames=(OTHER,))
        assert story.judge("exactly-once").outcome == "broken"
        assert story.judge("at-least-once").outcome == "broken"
        assert story.judge("at-most-once").outcome == "holds"

    def test_a_failed_op_that_was_executed_is_broken(self) -> None:
        story = asked(dealer_router()).add("server-0", "execute", op="c0.0")
        assert story.add("client-0", "fail", op="c0.0").judge("at-most-once").outcome == "broken"

    def test_an_op_that_is_executed_after_it_has_failed_is_broken(self) -> None:
        story = asked(dealer_router()).add("client-0", "fail", op="c0.0")
        verdict = story.add("server-0", "execute", op="c0.0").judge("at-most-once")
        assert "c0.0 failed for its client and was executed" in verdict.reason

    def test_of_many_requests_that_nobody_is_answered_for_one_that_is_lost_is_seen(self) -> None:
        story = Story("custom-router-chosen")
        for number in range(300):
            asked(story, f"c1.{number}").add("client-1", "ok", op=f"c1.{number}")
        for number in range(299):
            story.add("server-0", "execute", op=f"c1.{number}")
        verdict = story.judge("exactly-once")
        assert "c1.299 was answered and never executed" in verdict.reason

    def test_executions_that_nobody_counted_are_unknown(self) -> None:
        story = asked(dealer_router()).add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert story.judge("exactly-once").outcome == "unknown"
        assert story.judge("at-most-once").outcome == "unknown"

    def test_what_nobody_is_answered_for_may_have_been_lost_before_it_was_executed(self) -> None:
        story = asked(Story("custom-router-chosen"), "c1.0").add("client-1", "ok", op="c1.0")
        assert story.judge("at-most-once").outcome == "holds"

    def test_an_execution_that_is_written_down_a_moment_late_counts(self) -> None:
        story = asked(dealer_router()).add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert story.add("server-0", "execute", op="c0.0").judge("exactly-once")


class TestStateMachine:
    def req(self) -> Story:
        return Story("req-rep").socket("client-0/s", "REQ", "service")

    def test_send_and_receive_in_turn_hold(self) -> None:
        story = self.req()
        for _ in range(3):
            story.send("client-0/s", ASK).recv("client-0/s", ASK)
        assert story.judge("state-machine").outcome == "holds"

    def test_a_refused_call_is_told_with_the_state_and_the_call_before(self) -> None:
        story = self.req().send("client-0/s", ASK)
        verdict = story.add("client-0", "efsm", socket=1, text="send").judge("state-machine")
        assert "called send on a REQ that is AWAITING and was refused with EFSM" in verdict.reason
        assert [event.kind for event in verdict.witness] == ["send", "efsm"]

    @pytest.mark.parametrize(
        ("type_", "calls", "meaning"),
        [
            ("REQ", ("recv",), "it has asked nothing"),
            ("REQ", ("send", "send"), "it still waits"),
            ("REP", ("send",), "it has received no request"),
            ("REP", ("recv", "recv"), "it owes a reply"),
        ],
    )
    def test_a_call_that_has_no_row_is_broken_even_if_it_was_let_through(
        self, type_: str, calls: tuple[str, ...], meaning: str
    ) -> None:
        story = Story("req-rep").socket("client-0/s", type_, "service")
        for call in calls:
            story.add("client-0", call, socket=1, frames=(ASK,))
        verdict = story.judge("state-machine")
        assert verdict.outcome == "broken"
        assert meaning in verdict.reason

    def test_a_rep_answers_a_stranger_in_words_of_its_own(self) -> None:
        story = Story("req-rep").socket("server-0/s", "REP", "service", binds=True)
        story.scenario = story.scenario.replace(faults=(Stranger("service"),))
        story.recv("server-0/s", MARK).send("server-0/s", b"what?")
        story.recv("server-0/s", ASK).send("server-0/s", ASK)
        for name in "state-machine", "envelope":
            assert story.judge(name).outcome == "holds", name
        assert story.judge("state-machine").facts == 4
        story.send("server-0/s", b"what?")
        assert "it has received no request" in story.judge("state-machine").reason

    def test_a_relaxed_req_may_send_again(self) -> None:
        story = self.req().add("client-0", "option", socket=1, text="REQ_RELAXED", number=1)
        story.send("client-0/s", ASK).send("client-0/s", ASK).recv("client-0/s", ASK)
        assert story.judge("state-machine").outcome == "holds"
        story.recv("client-0/s", ASK)
        assert story.judge("state-machine").outcome == "broken"


class TestDispatch:
    def ready(self, story: Story, worker: bytes) -> Story:
        return story.recv("broker-0/back", worker, b"", b"READY")

    def give(self, story: Story, worker: bytes, op: bytes, *, after_ms: int = 1) -> Story:
        frames = worker, b"", b"C", b"", b"@%s x" % op
        return story.send("broker-0/back", *frames, after_ms=after_ms)

    def test_work_for_a_worker_that_holds_some_is_broken(self) -> None:
        story = self.ready(load_balancing(), b"W0")
        self.give(self.give(story, b"W0", b"c0.0"), b"W0", b"c1.0")
        verdict = story.judge("one-at-a-time")
        assert "gave c1.0 to worker [W0], which still holds c0.0" in verdict.reason

    def test_a_reply_frees_a_worker(self) -> None:
        story = self.give(self.ready(load_balancing(), b"W0"), b"W0", b"c0.0")
        story.recv("broker-0/back", b"W0", b"", b"C", b"", b"@c0.0 x")
        assert self.give(story, b"W0", b"c1.0").judge("one-at-a-time").outcome == "holds"

    def reply(self, story: Story, worker: bytes, op: bytes) -> Story:
        return story.recv("broker-0/back", worker, b"", b"C", b"", b"@%s x" % op)

    def test_a_second_reply_to_what_was_done_frees_nobody(self) -> None:
        story = self.give(self.ready(load_balancing(), b"W0"), b"W0", b"c0.0")
        self.give(self.reply(story, b"W0", b"c0.0"), b"W0", b"c1.0")
        self.give(self.reply(story, b"W0", b"c0.0"), b"W0", b"c2.0")
        assert "gave c2.0 to worker [W0], which still holds c1.0" in (
            story.judge("one-at-a-time").reason
        )

    @pytest.mark.parametrize("answers_both", [True, False])
    def test_a_worker_that_is_ready_again_held_two_if_it_answers_both(
        self, answers_both: bool
    ) -> None:
        story = self.give(self.ready(load_balancing(), b"W0"), b"W0", b"c0.0")
        self.give(self.ready(story, b"W0"), b"W0", b"c1.0")
        self.reply(story, b"W0", b"c0.0" if answers_both else b"c1.0")
        assert story.judge("one-at-a-time").outcome == ("broken" if answers_both else "holds")

    def test_what_a_client_says_of_itself_makes_no_worker(self) -> None:
        hop = Hop("control", "frontend", "client", '["BYE"]', "broker", '[C][]["BYE"]')
        story = load_balancing()
        pattern = story.scenario.pattern
        story.scenario = story.scenario.replace(
            pattern=replace(pattern, hops=(*pattern.hops, hop), membership=None, name="bye")
        )
        story.recv("broker-0/front", b"C", b"", b"BYE")
        self.give(self.ready(story, b"W0"), b"W0", b"c0.0")
        assert story.judge("oldest-ready-first").outcome == "holds"

    def test_work_for_a_younger_worker_is_broken(self) -> None:
        story = self.ready(self.ready(load_balancing(), b"W0"), b"W1")
        verdict = self.give(story, b"W1", b"c0.0").judge("oldest-ready-first")
        assert "while worker [W0] was ready for longer" in verdict.reason

    def test_a_worker_that_was_given_work_must_have_joined(self) -> None:
        story = self.ready(load_balancing(), b"W0")
        verdict = self.give(story, b"W1", b"c0.0").judge("membership")
        assert "gave c0.0 to worker [W1], which never joined" in verdict.reason
        story = self.ready(load_balancing(), b"W0")
        assert self.give(story, b"W0", b"c0.0", after_ms=100_000).judge("membership").facts == 1
        assert story.judge("membership").outcome == "holds"

    def test_who_joined_before_a_restart_has_not_joined(self) -> None:
        story = self.ready(load_balancing(), b"W0")
        story.socket("broker-0/again", "ROUTER", "backend", binds=True)
        story.send("broker-0/again", b"W0", b"", b"C", b"", ASK)
        assert "which never joined" in story.judge("membership").reason

    @pytest.mark.parametrize(
        ("sign", "outcome"), [((), "broken"), ((b"\x02",), "holds"), ((b"C", b"", ASK), "holds")]
    )
    def test_a_worker_that_was_silent_for_too_long_gets_no_work(
        self, sign: tuple[bytes, ...], outcome: str
    ) -> None:
        story = paranoid_pirate().recv("broker-0/back", b"W0", b"\x01")
        if sign:
            story.recv("broker-0/back", b"W0", *sign, after_ms=600)
        story.send("broker-0/back", b"W0", b"C", b"", OTHER, after_ms=600 if sign else 1200)
        verdict = story.judge("membership")
        assert verdict.outcome == outcome
        if not sign:
            assert "had heard nothing for 1200 ms; after 1000 it is dead" in verdict.reason
            assert [event.kind for event in verdict.witness] == ["recv", "send"]

    def test_a_heartbeat_makes_no_member_and_frees_nobody(self) -> None:
        story = paranoid_pirate().recv("broker-0/back", b"W0", b"\x02")
        story.send("broker-0/back", b"W0", b"C", b"", ASK)
        assert "which never joined" in story.judge("membership").reason
        story.recv("broker-0/back", b"W0", b"\x02").send("broker-0/back", b"W0", b"D", b"", OTHER)
        assert "which still holds c0.0" in story.judge("one-at-a-time").reason

    def test_the_silence_of_a_machine_that_stood_still_is_nobodys(self) -> None:
        story = paranoid_pirate().recv("broker-0/back", b"W0", b"\x01")
        story.add("machine", "paused", number=900 * MS, after_ms=100)
        story.send("broker-0/back", b"W0", b"C", b"", ASK, after_ms=1400)
        assert story.judge("membership").outcome == "holds"

    def test_a_request_that_lies_unread_behind_another_is_held_up(self) -> None:
        story = dealer_router()
        asked(story).send("client-0/s", b"", ASK).recv("server-0/s", b"C", b"", ASK)
        asked(story, "c1.0").send("client-1/s", b"", OTHER)
        story.send("server-0/s", b"C", b"", ASK, after_ms=300)
        verdict = story.recv("server-0/s", b"D", b"", OTHER).judge("head-of-line")
        assert "c1.0 lay unread at server-0 for 301 ms" in verdict.reason
        assert [event.kind for event in verdict.witness] == ["recv", "send", "send", "recv"]

    @pytest.mark.parametrize(("paused_ms", "outcome"), [(100, "broken"), (200, "holds")])
    def test_a_time_in_which_the_machine_stood_still_counts_for_nothing(
        self, paused_ms: int, outcome: str
    ) -> None:
        story = dealer_router()
        asked(story).send("client-0/s", b"", ASK).recv("server-0/s", b"C", b"", ASK)
        asked(story, "c1.0").send("client-1/s", b"", OTHER)
        story.add("machine", "paused", number=paused_ms * MS)
        story.recv("server-0/s", b"D", b"", OTHER, after_ms=400)
        assert story.judge("head-of-line").outcome == outcome

    def test_a_request_that_lies_unread_beside_all_work_leaves_a_doubt(self) -> None:
        story = dealer_router()
        asked(story).send("client-0/s", b"", ASK).recv("server-0/s", b"C", b"", ASK)
        asked(story, "c1.0").send("client-1/s", b"", OTHER)
        story.add("server-0", "execute", op="c0.0", after_ms=2000)
        story.add("server-0", "executed", op="c0.0")
        verdict = story.recv("server-0/s", b"D", b"", OTHER).judge("head-of-line")
        assert verdict.outcome == "unknown"
        assert "c1.0 lay unread at server-0 for 2002 ms in which it called no service" in (
            verdict.reason
        )

    def test_a_request_that_is_read_at_once_is_not_held_up_however_long_it_takes(self) -> None:
        story = dealer_router()
        asked(story).send("client-0/s", b"", ASK).recv("server-0/s", b"C", b"", ASK)
        asked(story, "c1.0").send("client-1/s", b"", OTHER).recv("server-0/s", b"D", b"", OTHER)
        story.send("server-0/s", b"C", b"", ASK, after_ms=5000)
        assert story.judge("head-of-line").outcome == "holds"


class TestSurvival:
    def test_a_crash_is_told_with_the_message_before_it(self) -> None:
        story = dealer_router().recv("server-0/s", b"C", ASK)
        verdict = story.add("server-0", "crash", text="Traceback\nValueError: x").judge(
            "robustness"
        )
        assert "server-0 raised ValueError: x after the message below" in verdict.reason
        assert "the empty delimiter is missing" in verdict.reason

    def test_a_program_that_returns_unasked_leaves_a_doubt(self) -> None:
        story = dealer_router().recv("server-0/s", b"C", b"", ASK)
        verdict = story.add("server-0", "end", text=UNASKED).judge("robustness")
        assert verdict.outcome == "unknown"
        assert "server-0 returned before it was told to" in verdict.reason

    @pytest.mark.parametrize("kind", ["stuck", "left"])
    def test_what_is_left_behind_breaks_the_shutdown(self, kind: str) -> None:
        assert not dealer_router().add("server-0", kind, text="x").judge("shutdown")


class TestJudging:
    def test_a_checker_that_raises_is_unknown_and_a_bug_never_a_pass(self) -> None:
        class Raises(Checker):
            def on_ok(self, event: Event) -> None:
                raise ZeroDivisionError

        story = round_trip(dealer_router())
        (verdict,) = judge([Property("raises", "", Raises)], story.scenario, story.events)
        assert verdict.outcome == "unknown"
        assert "ZeroDivisionError" in verdict.bug

    def test_what_a_checker_found_before_it_raised_stands(self) -> None:
        class Raises(Checker):
            def on_ok(self, event: Event) -> None:
                self.broken("found", event)
                raise ZeroDivisionError

        story = round_trip(dealer_router())
        (verdict,) = judge([Property("raises", "", Raises)], story.scenario, story.events)
        assert (verdict.outcome, verdict.reason) == ("broken", "found")

    def test_the_first_finding_counts_and_witnesses_are_in_order_of_time(self) -> None:
        class Finds(Checker):
            def on_ok(self, event: Event) -> None:
                self.broken("first", event, self.invoke, event)
                self.broken("second", event)

            def on_invoke(self, event: Event) -> None:
                self.invoke = event

        story = round_trip(dealer_router())
        (verdict,) = judge([Property("finds", "", Finds)], story.scenario, story.events)
        assert verdict.reason == "first"
        assert [event.kind for event in verdict.witness] == ["invoke", "ok"]

    def test_a_checker_is_called_with_the_messages_it_names(self) -> None:
        class Notes(Checker):
            def __init__(self, scenario: Scenario, lens: Lens) -> None:
                super().__init__(scenario, lens)
                self.notes: list[tuple[str, str, str | None]] = []

            def on_request_sent(self, event: Event, end: End, op: str | None) -> None:
                self.notes.append(("request sent", end.role, op))

            def on_reply_received(self, event: Event, end: End, op: str | None) -> None:
                self.notes.append(("reply received", end.role, op))

            def on_misfit(self, event: Event, end: End, op: str | None) -> None:
                self.notes.append((end.problem(event.frames), end.role, op))

            def on_recv(self, event: Event, end: End, op: str | None) -> None:
                self.notes.append(("recv", end.link, op))

            def finish(self) -> None:
                self.broken(str(self.notes))

        story = dealer_router().socket("server-0/inner", "PULL", "elsewhere")
        story.send("client-0/s", b"", ASK).recv("server-0/inner", ASK)
        story.recv("client-0/s", b"", b"untagged").send("client-0/s", b"x", OTHER)
        (verdict,) = judge([Property("notes", "", Notes)], story.scenario, story.events)
        assert verdict.reason == str(
            [
                ("request sent", "client", "c0.0"),
                ("recv", "", None),
                ("recv", "service", None),
                ("reply received", "client", None),
                (
                    "frame 1 is [x] where the empty delimiter must stand: "
                    "the empty delimiter is missing",
                    "client",
                    "c1.0",
                ),
            ]
        )

    def test_a_checker_is_called_only_at_the_ends_it_wants(self) -> None:
        class Counts(Checker):
            def wants(self, end: End) -> bool:
                return end.role == "server"

            def on_send(self, event: Event, end: End, op: str | None) -> None:
                self.facts += 1

            on_request_sent = on_request_received = on_send

        story = round_trip(dealer_router())
        (verdict,) = judge([Property("counts", "", Counts)], story.scenario, story.events)
        assert verdict.facts == 2

    def test_a_checker_that_cannot_say_what_it_wants_is_unknown(self) -> None:
        class Raises(Checker):
            def wants(self, end: End) -> bool:
                raise ZeroDivisionError

            def on_recv(self, event: Event, end: End, op: str | None) -> None:
                self.facts += 1

        story = round_trip(dealer_router())
        (verdict,) = judge([Property("raises", "", Raises)], story.scenario, story.events)
        assert verdict.outcome == "unknown"
        assert "ZeroDivisionError" in verdict.bug

    def test_a_checker_that_raised_is_not_called_again_and_the_others_are(self) -> None:
        class Counts(Checker):
            def on_recv(self, event: Event, end: End, op: str | None) -> None:
                self.facts += 1

        class Raises(Counts):
            def on_recv(self, event: Event, end: End, op: str | None) -> None:
                super().on_recv(event, end, op)
                raise ZeroDivisionError

        story = round_trip(round_trip(dealer_router()))
        properties = [Property("counts", "", Counts), Property("raises", "", Raises)]
        counts, raises = judge(properties, story.scenario, story.events)
        assert (counts.facts, raises.facts) == (4, 1)
        assert (counts.outcome, raises.outcome) == ("holds", "unknown")


class TestOps:
    """What checkers keep of ops."""

    def test_memory_stays_bounded_over_many_ops(self) -> None:
        story = dealer_router()
        for number in range(KEPT_AFTER_END + 100):
            frame = b"@c0.%d ask" % number
            asked(story, f"c0.{number}").send("client-0/s", b"", frame)
            story.add("client-0", "ok", op=f"c0.{number}", frames=(frame,))
        lens = Lens(story.scenario.pattern)
        mine = lens.ops.table()
        for event, _, op in lens.readings(story.events):
            if op is not None:
                mine[op] = event
        for table in mine, lens.ops.asked, lens.ops.seen:
            assert len(table) == KEPT_AFTER_END
        assert "c0.99" not in mine
        assert "c0.100" in mine

    def test_ops_that_nobody_asked_are_forgotten_too(self) -> None:
        story = dealer_router()
        for number in range(KEPT_AFTER_END + 100):
            story.send("client-0/s", b"", b"@c0.%d ask" % number)
        lens = Lens(story.scenario.pattern)
        assert sum(op is not None for _, _, op in lens.readings(story.events)) > KEPT_AFTER_END
        assert len(lens.ops.seen) == KEPT_AFTER_END

    def test_an_op_that_was_given_up_may_be_settled_however_late(self) -> None:
        story = asked(dealer_router()).add("server-0", "execute", op="c0.0")
        story.add("client-0", "info", op="c0.0")
        for number in range(KEPT_AFTER_END + 1):
            op = f"c1.{number}"
            asked(story, op).add("server-0", "execute", op=op)
            story.add("client-1", "ok", op=op, frames=(b"@%s ask" % op.encode(),))
        story.add("client-0", "ok", op="c0.0", frames=(ASK,))
        for name in "one-outcome", "correlation", "exactly-once":
            assert story.judge(name).outcome == "holds", name
        story.add("client-0", "ok", op="c0.0", frames=(ASK,))
        assert story.judge("one-outcome").outcome == "broken"
        assert story.judge("correlation").outcome == "broken"
