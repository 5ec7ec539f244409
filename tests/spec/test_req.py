"""REQ: RFC 28 REQ-1 to REQ-9, and what libzmq does beyond it."""

from __future__ import annotations

from reqrep.harness.simulation.constants import (
    DEALER,
    EAGAIN,
    EFSM,
    POLLIN,
    POLLOUT,
    REP,
    REQ,
    ROUTER,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import SpecSocket, World


def reps(world: World, count: int) -> tuple[SpecSocket, list[SpecSocket]]:
    """So many REPs and a REQ that is connected to all."""
    found = [world.bound(REP) for _ in range(count)]
    req = world.socket(REQ)
    for _, endpoint in found:
        req.connect(endpoint)
    world.settle()
    return req, [rep for rep, _ in found]


@clause("REQ-1", "may be connected to any number of REP and ROUTER peers")
def test_req_asks_reps_and_routers_alike(world: World) -> None:
    rep, rep_at = world.bound(REP)
    router, router_at = world.bound(ROUTER)
    req = world.socket(REQ)
    req.connect(rep_at)
    req.connect(router_at)
    world.settle()
    req.send(b"1")
    assert rep.recv() == [b"1"]
    rep.send(b"from rep")
    assert req.recv() == [b"from rep"]
    req.send(b"2")
    routing_id, *rest = router.recv()
    assert rest == [b"", b"2"]
    router.send(routing_id, b"", b"from router")
    assert req.recv() == [b"from router"]


@clause("REQ-2", "sends and then receives exactly one message at a time")
def test_req_refuses_to_send_twice_and_to_receive_first(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    assert req.recv_error() == EFSM
    req.send(b"a")
    assert req.send_error(b"b") == EFSM
    assert rep.recv() == [b"a"]
    rep.send(b"A")
    assert req.recv() == [b"A"]
    assert req.recv_error() == EFSM
    req.send(b"c")
    assert rep.recv() == [b"c"]


@clause("REQ-3", "a request is an empty delimiter and one or more data frames")
def test_a_request_has_the_delimiter_and_its_frames(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"a", b"", b"b")
    assert router.recv()[1:] == [b"", b"a", b"", b"b"]


@clause("REQ-4", "the delimiter is put in front whatever the body begins with")
def test_a_body_that_begins_with_an_empty_frame_keeps_it(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"", b"a")
    routing_id, *rest = router.recv()
    assert rest == [b"", b"", b"a"]
    router.send(routing_id, b"", b"", b"b")
    assert req.recv() == [b"", b"b"]


@clause("REQ-5", "requests rotate over the connected peers")
def test_requests_rotate(world: World) -> None:
    req, servers = reps(world, 3)
    for turn in range(9):
        req.send(b"%d" % turn)
        server = servers[turn % 3]
        assert server.recv() == [b"%d" % turn]
        server.send(b"reply")
        req.recv()


@clause("REQ-6", "without a peer a send blocks or is refused")
def test_a_send_without_peers_is_refused(world: World) -> None:
    req = world.socket(REQ, sndtimeo=30)
    assert req.send_error(b"a") == EAGAIN
    started = world.now_ms()
    assert req.send_error(b"a", flags=0) == EAGAIN
    assert world.now_ms() - started >= 29


@clause("REQ-6b", "with IMMEDIATE=0 a connection to nobody counts as a peer", on=NETWORK)
def test_a_request_to_a_dead_endpoint_is_accepted(world: World) -> None:
    req = world.socket(REQ)
    req.connect(world.fixed_endpoint())
    assert req.events() == POLLOUT
    assert req.send_error(b"a") == 0


@clause("REQ-7", "what cannot be sent is not discarded and changes nothing")
def test_after_a_refused_send_the_same_send_works(world: World) -> None:
    rep, endpoint = world.bound(REP)
    req = world.socket(REQ)
    assert req.send_error(b"a") == EAGAIN
    assert req.recv_error() == EFSM
    req.connect(endpoint)
    req.send(b"a")
    assert rep.recv() == [b"a"]
    assert not rep.is_readable(30)


@clause("REQ-8", "a reply is accepted only from the peer that was asked")
def test_req_discards_a_reply_from_a_peer_it_did_not_ask(world: World) -> None:
    req, endpoint = world.bound(REQ)
    one, other = world.socket(ROUTER, routing_id=b"one"), world.socket(ROUTER, routing_id=b"other")
    for router in (one, other):
        router.set(61, b"Q")
        router.connect(endpoint)
        world.settle()
        req.events()
    req.send(b"hello")
    assert one.recv() == [b"Q", b"", b"hello"]
    other.send(b"Q", b"", b"wrong")
    assert req.is_readable()
    assert req.recv_error() == EAGAIN
    one.send(b"Q", b"", b"right")
    assert req.recv() == [b"right"]


@clause("REQ-9", "messages of other peers vanish silently")
def test_what_req_discards_changes_no_state(world: World) -> None:
    req, endpoint = world.bound(REQ)
    dealers = [world.socket(ROUTER) for _ in range(2)]
    for dealer in dealers:
        dealer.set(61, b"Q")
        dealer.connect(endpoint)
        world.settle()
        req.events()
    req.send(b"hello")
    dealers[0].recv()
    for number in range(5):
        dealers[1].send(b"Q", b"", b"junk %d" % number)
    world.settle()
    dealers[0].send(b"Q", b"", b"right")
    assert req.recv() == [b"right"]
    assert req.recv_error() == EFSM


@clause("5.4.1", "a send throws away all inbound messages that are queued")
def test_a_late_reply_is_thrown_away_by_the_next_relaxed_send(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, req_relaxed=1)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"", b"late")
    assert req.is_readable()
    req.send(b"2")
    assert req.recv_error() == EAGAIN
    router.recv()
    router.send(routing_id, b"", b"in time")
    assert req.recv() == [b"in time"]


@clause("5.4.2", "after the asked peer has gone any peer's reply is accepted")
def test_req_takes_any_reply_after_the_asked_peer_went(world: World) -> None:
    req, endpoint = world.bound(REQ)
    routers = []
    for _ in range(2):
        router = world.socket(ROUTER)
        router.set(61, b"Q")
        router.connect(endpoint)
        world.settle()
        req.events()
        routers.append(router)
    req.send(b"hello")
    routers[0].recv()
    routers[0].close(0)
    world.settle()
    assert req.recv_error() == EAGAIN
    world.settle()
    routers[1].send(b"Q", b"", b"from another")
    assert req.recv() == [b"from another"]


@clause("5.4.3", "POLLIN may be set although a receive finds nothing")
def test_poll_promises_more_than_req_can_deliver(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, req_correlate=1, req_relaxed=1)
    req.send(b"1")
    routing_id, number, *_ = router.recv()
    other = bytes([number[0] ^ 1]) + number[1:]
    router.send(routing_id, other, b"", b"of another request")
    assert req.is_readable()
    assert req.recv_error() == EAGAIN


@clause("5.4.4a", "a malformed reply closes the connection for good", on=NETWORK)
def test_a_malformed_reply_closes_the_connection(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    req = world.socket(REQ, req_relaxed=1)
    req.connect(endpoint)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"no delimiter")
    world.settle()
    assert req.recv_error() == EAGAIN
    req.send_error(b"2")
    world.settle()
    assert req.send_error(b"3") == EAGAIN
    world.sleep_ms(350)
    assert router.nothing()
    req.connect(endpoint)
    assert req.send_error(b"4") == EAGAIN


@clause("5.4.4b", "disconnect and connect recover from that", on=NETWORK)
def test_disconnect_and_connect_recover_from_a_malformed_reply(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    req = world.socket(REQ, req_relaxed=1)
    req.connect(endpoint)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"no delimiter")
    world.settle()
    req.events()
    world.settle()
    req.disconnect(endpoint)
    req.connect(endpoint)
    req.send(b"2")
    routing_id, *rest = router.recv()
    assert rest == [b"", b"2"]


@clause("5.4.4c", "over inproc a malformed reply is skipped", on=INPROC)
def test_a_malformed_reply_is_skipped_over_inproc(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"no delimiter")
    router.send(routing_id, b"x", b"y")
    assert req.recv_error() == EAGAIN
    router.send(routing_id, b"", b"good")
    assert req.recv() == [b"good"]


@clause("5.4.5a", "two empty frames are a reply with one empty body frame")
def test_an_empty_body_is_a_reply(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"", b"")
    assert req.recv() == [b""]


@clause("5.4.5b", "the delimiter alone is malformed")
def test_the_delimiter_alone_is_no_reply(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"")
    assert req.nothing()


@clause("5.4.6", "four bytes and a delimiter pass the connection and are skipped at receive")
def test_a_four_byte_frame_is_let_in_and_skipped(world: World) -> None:
    router, req = world.pair(ROUTER, REQ)
    req.send(b"1")
    routing_id, *_ = router.recv()
    router.send(routing_id, b"1234", b"", b"looks correlated")
    assert req.nothing()
    router.send(routing_id, b"", b"good")
    assert req.recv() == [b"good"]


@clause("5.4.7", "without CORRELATE a late reply is taken for the answer to a new request")
def test_relaxed_without_correlate_takes_a_late_reply(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, req_relaxed=1)
    req.send(b"A")
    routing_id, *_ = router.recv()
    req.send(b"B")
    router.send(routing_id, b"", b"answer to A")
    assert req.recv() == [b"answer to A"]


@clause("5.4.7b", "a relaxed send that finds no room gives up the reply that is half read")
def test_a_relaxed_send_without_room_gives_up_what_is_left_of_a_reply(world: World) -> None:
    req, endpoint = world.bound(REQ, req_relaxed=1)
    rep = world.socket(REP)
    rep.connect(endpoint)
    req.send(b"1")
    rep.recv()
    rep.send(b"a", b"b")
    assert req.is_readable()
    world.settle()
    rep.close(0)
    world.settle()
    assert req.recv_part() == b"a"
    assert req.send_error(b"2") == EAGAIN
    assert req.recv_error() == EFSM


@clause("5.4.10a", "REQ changes phase only on the last frame")
def test_req_is_sending_until_the_last_frame(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    req.send_part(b"a")
    assert req.recv_error() == EFSM
    req.send_part(b"b", 0)
    assert rep.recv() == [b"a", b"b"]
    rep.send(b"c", b"d")
    assert req.recv_part() == b"c"
    assert req.send_error(b"x") == EFSM
    assert req.recv_part() == b"d"
    assert req.send_error(b"x") == 0


@clause("REQ_RELAXED-1", "a second send is allowed and goes to the next peer")
def test_a_relaxed_send_goes_to_the_next_peer(world: World) -> None:
    found = [world.bound(ROUTER) for _ in range(2)]
    req = world.socket(REQ, req_relaxed=1)
    for _, endpoint in found:
        req.connect(endpoint)
    world.settle()
    for number in range(4):
        req.send(b"%d" % number)
        assert found[number % 2][0].recv()[1:] == [b"", b"%d" % number]


@clause("REQ_RELAXED-2", "POLLOUT stays set while a reply is awaited")
def test_a_relaxed_req_is_writable_while_awaiting(world: World) -> None:
    _rep, req = world.pair(REP, REQ, req_relaxed=1)
    req.send(b"1")
    assert req.events() & POLLOUT


@clause("REQ_CORRELATE-1", "the wire has a four byte request id, a delimiter, the body")
def test_a_correlated_request_has_an_id_that_steps_by_one(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, req_correlate=1, req_relaxed=1)
    numbers = []
    for _ in range(3):
        req.send(b"x")
        _, number, *rest = router.recv()
        assert rest == [b"", b"x"]
        numbers.append(int.from_bytes(number, "little"))
    assert numbers[1] - numbers[0] == numbers[2] - numbers[1] == 1


@clause("REQ_CORRELATE-2", "a reply that does not repeat the id is skipped")
def test_a_correlated_req_skips_the_reply_to_an_old_request(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, req_correlate=1, req_relaxed=1)
    req.send(b"A")
    routing_id, first, *_ = router.recv()
    req.send(b"B")
    _, second, *_ = router.recv()
    router.send(routing_id, first, b"", b"answer to A")
    router.send(routing_id, second, b"", b"answer to B")
    assert req.recv() == [b"answer to B"]


@clause("5.11-REQ", "REQ: POLLOUT while idle, POLLIN while awaiting and something is queued")
def test_what_poll_says_of_req(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    assert req.is_writable()
    assert req.events() == POLLOUT
    req.send(b"1")
    assert req.events() == 0
    rep.recv()
    rep.send(b"2")
    assert req.is_readable()
    assert req.events() == POLLIN
    req.recv()
    assert req.events() == POLLOUT


@clause("INV-REQREP-4", "a receive that times out leaves REQ awaiting")
def test_a_timeout_leaves_req_awaiting(world: World) -> None:
    rep, req = world.pair(REP, REQ, rcvtimeo=20)
    req.send(b"1")
    assert req.recv_error(flags=0) == EAGAIN
    assert req.send_error(b"2") == EFSM
    rep.recv()
    rep.send(b"late")
    assert req.is_readable()
    assert req.recv() == [b"late"]


@clause("1.11-REQ-DEALER-inproc", "inproc checks no types: a REQ can ask a DEALER", on=INPROC)
def test_req_can_ask_a_dealer_over_inproc(world: World) -> None:
    dealer, req = world.pair(DEALER, REQ)
    req.send(b"1")
    assert dealer.recv() == [b"", b"1"]
    dealer.send(b"", b"2")
    assert req.recv() == [b"2"]


@clause("5.11-REQ-begun", "a begun request can always be sent to its end, whoever has gone")
def test_a_begun_request_is_writable(world: World) -> None:
    rep, endpoint = world.bound(REP)
    req = world.socket(REQ)
    req.connect(endpoint)
    assert req.is_writable()
    req.send_part(b"1")
    rep.close(0)
    world.settle()
    assert req.events() == POLLOUT
