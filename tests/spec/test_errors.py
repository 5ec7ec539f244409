"""Error codes (2.6), and what options refuse, keep and inherit (2.5)."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation import SimulatedError, constants as c
from reqrep.harness.simulation.constants import DEALER, EAGAIN, EINVAL, REP, REQ, ROUTER

from .clauses import clause
from .worlds import World, error_of


def name(number: int) -> str:
    return c.TYPE_NAMES[number]


@clause("2.6-EAGAIN", "a receive that must not wait and finds nothing is EAGAIN, on every type")
@pytest.mark.parametrize("kind", [c.PAIR, REP, DEALER, ROUTER, c.PULL, c.SUB, c.XPUB], ids=name)
def test_nothing_to_receive_is_eagain(world: World, kind: int) -> None:
    socket, _endpoint = world.bound(kind)
    assert socket.recv_error() == EAGAIN
    assert socket.events() & c.POLLIN == 0


@clause("2.6-ENOTSUP", "a direction that a type does not have is ENOTSUP")
def test_a_direction_that_a_type_has_not_is_enotsup(world: World) -> None:
    for kind in (c.PULL, c.SUB):
        assert world.bound(kind)[0].send_error(b"x") == c.ENOTSUP
    for kind in (c.PUSH, c.PUB):
        assert world.bound(kind)[0].recv_error() == c.ENOTSUP


@clause("2.6-ENOTSOCK", "endpoint calls on a closed socket are ENOTSOCK")
def test_a_closed_socket_has_no_endpoints(world: World) -> None:
    socket, endpoint = world.bound(DEALER)
    socket.close(0)
    for call in (socket.bind, socket.connect, socket.unbind, socket.disconnect):
        assert error_of(call, endpoint) == c.ENOTSOCK


@clause("2.6-close-twice", "to close a closed socket does nothing")
def test_closing_twice_is_harmless(world: World) -> None:
    socket, _endpoint = world.bound(DEALER)
    socket.close(0)
    assert error_of(socket.close, 0) == 0


@clause("2.6-ENOENT-unbind", "unbind() of what is not bound is ENOENT")
def test_unbind_of_a_strange_endpoint(world: World) -> None:
    socket = world.socket(DEALER)
    endpoint = world.fixed_endpoint()
    assert error_of(socket.unbind, endpoint) == c.ENOENT
    socket.bind(endpoint)
    assert error_of(socket.unbind, endpoint) == 0
    assert error_of(socket.unbind, endpoint) == c.ENOENT


@clause("2.6-ENOENT-other", "disconnect() from where only another socket is connected is ENOENT")
def test_disconnect_is_of_this_socket(world: World) -> None:
    _bound, endpoint = world.bound(DEALER)
    other = world.socket(DEALER)
    other.connect(endpoint)
    assert error_of(world.socket(DEALER).disconnect, endpoint) == c.ENOENT


@clause("2.6-EPROTONOSUPPORT", "an unknown transport is EPROTONOSUPPORT")
def test_an_unknown_transport_is_refused(world: World) -> None:
    socket = world.socket(DEALER)
    for call in (socket.bind, socket.connect):
        assert error_of(call, "pigeon://roof") == c.EPROTONOSUPPORT


@clause("2.6-ENOCOMPATPROTO", "a transport that a type cannot use is ENOCOMPATPROTO")
def test_udp_is_not_for_these_types(world: World) -> None:
    for kind in (REQ, REP, DEALER, ROUTER):
        assert error_of(world.socket(kind).bind, "udp://127.0.0.1:5555") == c.ENOCOMPATPROTO


@clause("2.6-EINVAL-endpoint", "what is no endpoint is EINVAL")
def test_what_is_no_endpoint_is_refused(world: World) -> None:
    socket = world.socket(DEALER)
    for text in ("", "nonsense", "tcp://", "tcp://127.0.0.1", "inproc:/x"):
        assert error_of(socket.bind, text) == error_of(socket.connect, text) == EINVAL


@clause("2.6-refused-changes-nothing", "a refused bind() or connect() changes nothing")
def test_a_refused_endpoint_leaves_the_socket_as_it_was(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    error_of(dealer.bind, "nonsense")
    error_of(dealer.connect, "pigeon://roof")
    assert dealer.get(c.LAST_ENDPOINT).decode() == endpoint
    assert dealer.events() == 0


@clause("2.6-EINVAL-option", "an option that there is not is EINVAL")
def test_an_unknown_option_is_refused(world: World) -> None:
    socket = world.socket(DEALER)
    assert error_of(socket.set, 9999, 1) == EINVAL
    assert error_of(socket.get, 9999) == EINVAL


@clause("2.6-EHOSTUNREACH-waits-not", "EHOSTUNREACH comes at once, also to a send that may wait")
def test_an_unknown_peer_is_not_waited_for(world: World) -> None:
    router, _endpoint = world.bound(ROUTER, router_mandatory=1)
    started = world.now_ms()
    assert router.send_error(b"X", b"x", flags=0) == c.EHOSTUNREACH
    assert world.now_ms() - started < 1000


@clause("2.6-ETERM-calls", "after the end of the context endpoint calls and options are ETERM")
def test_endpoint_calls_after_the_end_are_refused(world: World) -> None:
    socket, endpoint = world.bound(DEALER)
    done = world.run_beside(world.term)
    world.settle()
    codes = {error_of(call, endpoint) for call in (socket.bind, socket.connect, socket.disconnect)}
    codes.add(error_of(socket.set, c.LINGER, 0))
    codes.add(error_of(socket.get, c.LINGER))
    socket.close(0)
    done()
    assert codes == {c.ETERM}


@clause("2.6-ETERM-send", "a send that waits ends with ETERM when the context does")
def test_a_blocked_send_ends_with_the_context(world: World) -> None:
    dealer, _endpoint = world.bound(DEALER, sndtimeo=-1)

    def wait() -> int:
        error = dealer.send_error(b"x", flags=0)
        dealer.close(0)
        return error

    result = world.run_beside(wait)
    world.settle()
    world.term()
    assert result() == c.ETERM


@clause("2.6-ETERM-poll", "a poll that waits ends with ETERM when the context does")
def test_a_blocked_poll_ends_with_the_context(world: World) -> None:
    dealer, _endpoint = world.bound(DEALER)

    def wait() -> int:
        error = error_of(world.poll, [(dealer, c.POLLIN)], -1)
        dealer.close(0)
        return error

    result = world.run_beside(wait)
    world.settle()
    world.term()
    assert result() == c.ETERM


@clause("2.5-foreign", "an option of another socket type is EINVAL")
def test_an_option_of_another_type_is_refused(world: World) -> None:
    for kind, option in (
        (DEALER, c.REQ_RELAXED), (DEALER, c.REQ_CORRELATE), (DEALER, c.ROUTER_MANDATORY),
        (REQ, c.ROUTER_HANDOVER), (ROUTER, c.REQ_RELAXED), (REP, c.REQ_CORRELATE),
        (c.PUSH, c.PROBE_ROUTER),
    ):  # fmt: skip
        assert error_of(world.socket(kind).set, option, 1) == EINVAL


@clause("2.5-inherited", "REP has the options of ROUTER, REQ those of DEALER")
def test_rep_and_req_inherit_options(world: World) -> None:
    assert error_of(world.socket(REP).set, c.ROUTER_HANDOVER, 1) == 0
    assert error_of(world.socket(REP).set, c.PROBE_ROUTER, 1) == 0
    assert error_of(world.socket(REP).set, c.CONNECT_ROUTING_ID, b"X") == 0
    assert error_of(world.socket(REQ).set, c.PROBE_ROUTER, 1) == 0


@clause("2.5-hwm-range", "a negative high-water mark is EINVAL, and keeps the old one")
def test_a_negative_limit_is_refused(world: World) -> None:
    socket = world.socket(DEALER, sndhwm=5, rcvhwm=6)
    assert error_of(socket.set, c.SNDHWM, -1) == error_of(socket.set, c.RCVHWM, -1) == EINVAL
    assert (socket.get(c.SNDHWM), socket.get(c.RCVHWM)) == (5, 6)


@clause("2.5-linger-range", "LINGER is -1, 0 or a time; less is EINVAL")
def test_which_lingers_there_are(world: World) -> None:
    socket = world.socket(DEALER)
    assert [error_of(socket.set, c.LINGER, value) for value in (-2, -1, 0, 5)] == [EINVAL, 0, 0, 0]
    assert socket.get(c.LINGER) == 5


@clause("2.5-immediate-range", "IMMEDIATE is 0 or 1")
def test_immediate_is_a_flag(world: World) -> None:
    socket = world.socket(DEALER)
    assert [error_of(socket.set, c.IMMEDIATE, value) for value in (-1, 0, 1, 2)] == [
        EINVAL, 0, 0, EINVAL,
    ]  # fmt: skip


@clause("2.5-readback", "an option says what was set")
def test_options_say_what_was_set(world: World) -> None:
    socket = world.socket(ROUTER)
    values: dict[int, int | bytes] = {
        c.LINGER: 7, c.SNDHWM: 8, c.RCVHWM: 0, c.RCVTIMEO: 9, c.SNDTIMEO: -1,
        c.RECONNECT_IVL: 10, c.RECONNECT_IVL_MAX: 11, c.ROUTING_ID: b"me", c.IMMEDIATE: 1,
    }  # fmt: skip
    for option, value in values.items():
        socket.set(option, value)
    assert {option: socket.get(option) for option in values} == values
    socket.set(c.LINGER, 0)


@clause("2.5-type", "TYPE says which type a socket is, and cannot be set")
def test_a_socket_knows_its_type(world: World) -> None:
    for kind in (REQ, REP, DEALER, ROUTER, c.PAIR, c.PUSH, c.PULL):
        socket = world.socket(kind)
        assert socket.get(c.TYPE) == kind
        assert error_of(socket.set, c.TYPE, kind) == EINVAL


@clause("2.5-sndtimeo-0", "a timeout of 0 is as DONTWAIT")
def test_a_timeout_of_0_does_not_wait(world: World) -> None:
    dealer, _endpoint = world.bound(DEALER, sndtimeo=0, rcvtimeo=0)
    started = world.now_ms()
    assert dealer.send_error(b"x", flags=0) == dealer.recv_error(flags=0) == EAGAIN
    assert world.now_ms() - started < 1000


@clause("2.5-named-once", "CONNECT_ROUTING_ID names the peer of the next connect() only")
def test_a_name_is_for_one_connection(world: World) -> None:
    one, one_at = world.bound(DEALER, routing_id=b"own 1")
    _other, other_at = world.bound(DEALER, routing_id=b"own 2")
    router = world.socket(ROUTER, router_mandatory=1)
    router.set(c.CONNECT_ROUTING_ID, b"given")
    router.connect(one_at)
    router.connect(other_at)
    assert world.eventually(lambda: router.send_error(b"own 2", b"x") == 0)
    assert router.send_error(b"given", b"y") == 0
    assert router.send_error(b"own 1", b"z") == c.EHOSTUNREACH
    assert one.recv() == [b"y"]


@clause("2.5-named-empty", "an empty CONNECT_ROUTING_ID is EINVAL")
def test_a_name_is_not_empty(world: World) -> None:
    assert error_of(world.socket(ROUTER).set, c.CONNECT_ROUTING_ID, b"") == EINVAL


@clause("2.5-mandatory-off", "ROUTER_MANDATORY can be switched off again")
def test_mandatory_can_be_switched_off(world: World) -> None:
    router, _endpoint = world.bound(ROUTER, router_mandatory=1)
    assert router.send_error(b"X", b"x") == c.EHOSTUNREACH
    router.set(c.ROUTER_MANDATORY, 0)
    assert router.send_error(b"X", b"x") == 0


@clause("2.5-probe-REQ", "the probe of a REQ is no request: ROUTER sees it, REQ stays idle")
def test_a_req_probes(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, probe_router=1, routing_id=b"Q")
    assert router.recv() == [b"Q", b""]
    assert req.recv_error() == c.EFSM
    req.send(b"1")
    assert router.recv() == [b"Q", b"", b"1"]


@clause("2.5-probe-ROUTER", "a ROUTER that connects with PROBE_ROUTER makes itself known")
def test_a_router_probes(world: World) -> None:
    bound, router = world.pair(ROUTER, ROUTER, probe_router=1, routing_id=b"R")
    assert bound.recv() == [b"R", b""]
    bound.send(b"R", b"hello")
    assert router.recv()[1:] == [b"hello"]


@clause("2.5-probe-none", "to a DEALER a probe is an empty message like any other")
def test_a_dealer_sees_a_probe(world: World) -> None:
    dealer, _router = world.pair(DEALER, ROUTER, probe_router=1)
    assert dealer.recv() == [b""]


@clause("2.5-correlate-REP", "a REP answers a correlated request: the id is in its envelope")
def test_rep_answers_a_correlated_req(world: World) -> None:
    rep, req = world.pair(REP, REQ, req_correlate=1)
    for number in range(3):
        req.send(b"%d" % number)
        assert rep.recv() == [b"%d" % number]
        rep.send(b"r%d" % number)
        assert req.recv() == [b"r%d" % number]


@clause("2.5-rcvmore-whole", "RCVMORE is 0 after a whole message, and before any")
def test_rcvmore_is_0_between_messages(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    assert one.get(c.RCVMORE) == 0
    other.send(b"1", b"2", b"3")
    one.recv()
    assert one.get(c.RCVMORE) == 0


def test_errors_of_both_kinds_are_told_by_their_number() -> None:
    assert error_of(lambda: 1) == 0

    def fail() -> None:
        raise SimulatedError(EAGAIN)

    assert error_of(fail) == EAGAIN
