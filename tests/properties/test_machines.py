"""The state machines for sockets: libzmq's and the simulated ones pass, planted defects do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from reqrep.properties.machines import (
    dealer_machine,
    rep_machine,
    req_machine,
    router_machine,
)

WORLDS = pytest.mark.parametrize("simulated", [True, False], ids=["simulated", "libzmq"])

MACHINES: dict[str, Callable[..., Any]] = {
    "REQ": req_machine,
    "REQ relaxed": lambda *a, **k: req_machine(*a, relaxed=True, **k),
    "REQ correlated": lambda *a, **k: req_machine(*a, correlate=True, **k),
    "REQ relaxed, correlated": lambda *a, **k: req_machine(*a, relaxed=True, correlate=True, **k),
    "REP": rep_machine,
    "DEALER": dealer_machine,
    "ROUTER": router_machine,
    "ROUTER mandatory": lambda *a, **k: router_machine(*a, mandatory=True, **k),
}


def check(machine: Any, examples: int = 30) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=25, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
            phases=[Phase.generate],  # What is found need not be made small.
        ),
    )  # fmt: skip


@WORLDS
@pytest.mark.parametrize("name", MACHINES)
def test_a_socket_of_pyzmq_is_not_flagged(name: str, simulated: bool) -> None:
    check(MACHINES[name](simulated=simulated))


@pytest.mark.slow
@WORLDS
@pytest.mark.parametrize("name", MACHINES)
def test_a_socket_of_pyzmq_is_not_flagged_in_many_programs(name: str, simulated: bool) -> None:
    check(MACHINES[name](simulated=simulated), examples=300)


# --- planted defects --------------------------------------------------------------


class Lenient(zmq.Socket[bytes]):
    """Does not hear when a call is refused."""

    def send_multipart(self, *args: Any, **keywords: Any) -> Any:
        try:
            return super().send_multipart(*args, **keywords)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EFSM, zmq.EHOSTUNREACH):
                raise
            return None


class Deaf(zmq.Socket[bytes]):
    """Does not hear either when there is nothing to receive."""

    def recv_multipart(self, *args: Any, **keywords: Any) -> Any:
        try:
            return super().recv_multipart(*args, **keywords)
        except zmq.ZMQError as error:
            if error.errno != zmq.EFSM:
                raise
            return [b""]


class WithoutOptions(zmq.Socket[bytes]):
    """Forgets what it is told."""

    def setsockopt(self, option: int, value: Any) -> None:
        if option not in (zmq.REQ_RELAXED, zmq.REQ_CORRELATE, zmq.ROUTER_MANDATORY):
            super().setsockopt(option, value)


class Tidy(zmq.Socket[bytes]):
    """Thinks that an empty frame at the end means nothing."""

    def send_multipart(self, msg_parts: Any, *args: Any, **keywords: Any) -> Any:
        frames = list(msg_parts)
        while len(frames) > 1 and frames[-1] == b"":
            frames.pop()
        return super().send_multipart(frames, *args, **keywords)


class Flat(zmq.Socket[bytes]):
    """Gives the whole message as one frame."""

    def recv_multipart(self, *args: Any, **keywords: Any) -> Any:
        return [b"".join(super().recv_multipart(*args, **keywords))]


class Stammering(zmq.Socket[bytes]):
    """Sends what has two frames twice, to be sure."""

    def send_multipart(self, msg_parts: Any, *args: Any, **keywords: Any) -> Any:
        if len(msg_parts) == 2:
            super().send_multipart(msg_parts, *args, **keywords)
        return super().send_multipart(msg_parts, *args, **keywords)


class Newest(zmq.Socket[bytes]):
    """Gives what came last first."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.__dict__["kept"] = []

    def recv_multipart(self, *args: Any, **keywords: Any) -> Any:
        kept = self.__dict__["kept"]
        try:
            while True:
                kept.append(super().recv_multipart(*args, **keywords))
        except zmq.Again:
            if not kept:
                raise
        return kept.pop()

    def getsockopt(self, option: int) -> Any:
        got: Any = super().getsockopt(option)
        has_more = option == zmq.EVENTS and self.__dict__["kept"]
        return got | zmq.POLLIN if has_more else got


class Faithful(zmq.Socket[bytes]):
    """Answers whom it heard last, whatever it is told."""

    def recv_multipart(self, *args: Any, **keywords: Any) -> Any:
        message = super().recv_multipart(*args, **keywords)
        self.__dict__["last"] = message[0]
        return message

    def send_multipart(self, msg_parts: Any, *args: Any, **keywords: Any) -> Any:
        first = self.__dict__.get("last", msg_parts[0])
        return super().send_multipart([first, *msg_parts[1:]], *args, **keywords)


class HomeMade(zmq.Socket[bytes]):
    """A REQ made of a DEALER, as libraries have them; it takes a reply from whoever sends one."""

    def __init__(self, context: Any, kind: int) -> None:
        super().__init__(context, zmq.DEALER)
        self.__dict__["awaits"] = False

    def send_multipart(self, msg_parts: Any, *args: Any, **keywords: Any) -> Any:
        if self.__dict__["awaits"]:
            raise zmq.ZMQError(zmq.EFSM)
        try:
            while True:
                super().recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            pass  # All that is old is gone.
        self.__dict__["awaits"] = True
        return super().send_multipart([b"", *msg_parts], *args, **keywords)

    def recv_multipart(self, *args: Any, **keywords: Any) -> Any:
        if not self.__dict__["awaits"]:
            raise zmq.ZMQError(zmq.EFSM)
        while (message := super().recv_multipart(*args, **keywords))[0] or len(message) < 2:
            pass
        self.__dict__["awaits"] = False
        return message[1:]

    def getsockopt(self, option: int) -> Any:
        got: Any = super().getsockopt(option)
        if option != zmq.EVENTS:
            return got
        return got & (zmq.POLLIN if self.__dict__["awaits"] else zmq.POLLOUT)


PLANTED = (
    ("REQ", Lenient, "send of a socket that is awaiting a reply gave no error, not EFSM"),
    ("REQ", Deaf, "receive of a socket that is idle gave [], not EFSM"),
    ("REQ", Tidy, "the peer heard"),
    ("REQ", HomeMade, "receive gave"),
    ("REQ relaxed", WithoutOptions, "a socket that is awaiting a reply has no POLLOUT"),
    ("REQ relaxed", Flat, "receive gave"),
    ("REQ correlated", WithoutOptions, "without a request id of four bytes"),
    ("REQ relaxed, correlated", Deaf, "receive of a socket that is idle gave [], not EFSM"),
    ("REP", Lenient, "send of a socket that is receiving gave no error, not EFSM"),
    ("REP", Deaf, "receive of a socket that is owing a reply gave [], not EFSM"),
    ("REP", Flat, "receive gave"),
    ("REP", Tidy, "the peers heard"),
    ("DEALER", Stammering, "the peers heard"),
    ("DEALER", Newest, "receive gave"),
    ("ROUTER", Faithful, "the peers heard"),
    ("ROUTER", Newest, "receive gave"),
    ("ROUTER mandatory", Lenient, "send to an unknown routing id gave no error, not EHOSTUNREACH"),
    ("ROUTER mandatory", WithoutOptions, "gave no error, not EHOSTUNREACH"),
)


@WORLDS
@pytest.mark.parametrize(
    ("name", "socket_class", "says"), PLANTED, ids=[f"{n}-{s.__name__}" for n, s, _ in PLANTED]
)
def test_a_socket_that_breaks_the_rules_is_caught(
    name: str, socket_class: type[zmq.Socket[bytes]], says: str, simulated: bool
) -> None:
    kind = getattr(zmq, name.partition(" ")[0])
    machine = MACHINES[name](lambda context: socket_class(context, kind), simulated=simulated)
    with pytest.raises(AssertionError) as caught:
        check(machine, examples=1000)  # It ends with the first that shows it.
    assert says in str(caught.value)


# --- for users --------------------------------------------------------------------


def test_a_class_of_the_users_is_tested_by_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import zmq
        from hypothesis import Phase, settings
        from reqrep.properties.machines import rep_machine, req_machine

        class Mine(zmq.Socket):
            pass

        class Lenient(zmq.Socket):
            def send_multipart(self, *args, **keywords):
                try:
                    super().send_multipart(*args, **keywords)
                except zmq.ZMQError as error:
                    if error.errno != zmq.EFSM:
                        raise

        class TestMine(req_machine(lambda context: Mine(context, zmq.REQ)).TestCase):
            pass

        class TestLenient(rep_machine(lambda context: Lenient(context, zmq.REP)).TestCase):
            pass

        TestMine.settings = TestLenient.settings = settings(
            max_examples=10, deadline=None, phases=[Phase.generate]
        )
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*send of a socket that is receiving gave no error, not EFSM*", "*state.replies(*"]
    )


@WORLDS
def test_a_socket_that_cannot_be_made_leaves_nothing_open(simulated: bool) -> None:
    made: list[zmq.Context[Any]] = []

    def fail(context: zmq.Context[Any]) -> Any:
        made.append(context)
        raise RuntimeError("no socket today")

    with pytest.raises(RuntimeError, match="no socket today"):
        check(req_machine(fail, simulated=simulated), examples=1)
    assert simulated or all(context.closed for context in made)
