"""What goes in comes out, once, whole, in order, and at whom it was meant for."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation import constants as c
from reqrep.harness.simulation.constants import DEALER, EAGAIN, PULL, PUSH, REP, REQ, ROUTER

from .clauses import NETWORK, clause
from .worlds import World, error_of


@clause("INV-REQREP-1", "accepted sends and completed receives of a REQ alternate")
def test_sends_and_receives_of_a_req_alternate(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    log = []
    for number in range(12):
        if not req.send_error(b"%d" % number):
            log.append("send")
        if number % 3 == 2:
            assert rep.is_readable()
            rep.send(*rep.recv())
            assert req.is_readable()
        if not req.recv_error():
            log.append("receive")
    assert log == ["send", "receive"] * 4


@clause("INV-REQREP-2", "the n-th reply answers the n-th request")
def test_replies_answer_requests_in_turn(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    for number in range(20):
        req.send(b"%d" % number)
        rep.send(b"to", *rep.recv())
        assert req.recv() == [b"to", b"%d" % number]


@clause("INV-REQREP-5", "body frames arrive as they were sent, in number and bytes")
@pytest.mark.parametrize("size", [0, 1, 4, 255, 256, 65536])
def test_frames_of_any_size_arrive(world: World, size: int) -> None:
    rep, req = world.pair(REP, REQ)
    frames = [b"x" * size, b"", b"y" * size]
    req.send(*frames)
    assert rep.recv() == frames
    rep.send(*frames)
    assert req.recv() == frames


@clause("INV-DD-1", "two DEALERs are two queues, first in first out")
def test_two_dealers_are_two_queues(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    for number in range(100):
        one.send(b"a%d" % number)
        other.send(b"b%d" % number)
    assert [other.recv() for _ in range(100)] == [[b"a%d" % number] for number in range(100)]
    assert [one.recv() for _ in range(100)] == [[b"b%d" % number] for number in range(100)]


@clause("INV-DR-2", "between a ROUTER and each peer the order holds, both ways")
def test_the_order_of_each_peer_holds(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    peers = [world.socket(DEALER, routing_id=b"P%d" % index) for index in range(3)]
    for peer in peers:
        peer.connect(endpoint)
        for number in range(10):
            peer.send(b"%d" % number)
    heard: dict[bytes, list[bytes]] = {}
    for _ in range(30):
        routing_id, body = router.recv()
        heard.setdefault(routing_id, []).append(body)
        router.send(routing_id, body)
    expected = [b"%d" % number for number in range(10)]
    assert heard == {b"P%d" % index: expected for index in range(3)}
    for peer in peers:
        assert [peer.recv()[0] for _ in range(10)] == expected


@clause("INV-DREP-2", "a malformed request changes nothing on either side")
def test_a_malformed_request_leaves_no_trace(world: World) -> None:
    rep, dealer = world.pair(REP, DEALER)
    dealer.send(b"no", b"delimiter")
    assert rep.nothing()
    assert dealer.recv_error() == EAGAIN
    assert dealer.events() == c.POLLOUT
    dealer.send(b"", b"good")
    rep.send(*rep.recv())
    assert dealer.recv() == [b"", b"good"]


@clause("INV-DREP-3", "the envelope of a reply is that of its request, each time")
def test_each_reply_has_its_own_envelope(world: World) -> None:
    rep, dealer = world.pair(REP, DEALER)
    envelopes = [[b"a"], [b"a", b"b"], [], [b"\0" * 5]]
    for envelope in envelopes:
        dealer.send(*envelope, b"", b"x")
    for _ in envelopes:
        rep.send(*rep.recv())
    assert [dealer.recv() for _ in envelopes] == [[*each, b"", b"x"] for each in envelopes]


@clause("INV-RR-3", "what a ROUTER sends to a REQ that asked nothing is never seen")
def test_an_unasked_answer_is_never_seen(world: World) -> None:
    router, req = world.pair(ROUTER, REQ, routing_id=b"Q")
    router.send(b"Q", b"", b"unasked")
    world.settle()
    assert req.recv_error() == c.EFSM
    req.send(b"1")
    assert req.nothing()
    assert router.recv() == [b"Q", b"", b"1"]
    router.send(b"Q", b"", b"asked")
    assert req.recv() == [b"asked"]


@clause("INV-ID-3", "an anonymous peer that comes again has another id")
def test_an_anonymous_peer_returns_as_another(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    names = set()
    for _ in range(3):
        peer = world.socket(DEALER)
        peer.connect(endpoint)
        peer.send(b"x")
        names.add(router.recv()[0])
        peer.close(0)
    assert len(names) == 3


@clause("5.3.8b", "ids are compared byte by byte")
def test_ids_are_bytes(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_mandatory=1)
    names = [b"a", b"A", b"a\0", b"a" * 255]
    peers = []
    for name in names:
        peer = world.socket(DEALER, routing_id=name)
        peer.connect(endpoint)
        peers.append(peer)
    for name in names:
        assert world.eventually(lambda name=name: router.send_error(name, name) == 0)  # type: ignore[misc]
    assert [peer.recv() for peer in peers] == [[name] for name in names]


@clause("INV-RTRT-2", "two ROUTERs may name each other differently")
def test_two_routers_name_each_other(world: World) -> None:
    bound, endpoint = world.bound(ROUTER, routing_id=b"bound")
    router = world.socket(ROUTER, routing_id=b"calls")
    router.set(c.CONNECT_ROUTING_ID, b"server")
    router.connect(endpoint)
    router.send(b"server", b"1")
    assert bound.recv() == [b"calls", b"1"]
    bound.send(b"calls", b"2")
    assert router.recv() == [b"server", b"2"]


@clause("ROUTER-2", "each peer of a ROUTER has queues of its own")
def test_an_unread_peer_does_not_stop_another(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    idle, busy = world.socket(DEALER, routing_id=b"I"), world.socket(DEALER, routing_id=b"B")
    for peer in (idle, busy):
        peer.connect(endpoint)
        peer.send(b"here")
        router.recv()
    for number in range(100):
        router.send(b"I", b"%d" % number)
        router.send(b"B", b"%d" % number)
        assert busy.recv() == [b"%d" % number]


@clause("ROUTER-10", "every message of every peer goes to the application")
def test_router_loses_nothing(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    sent = []
    for index in range(4):
        peer = world.socket(DEALER, routing_id=b"P%d" % index)
        peer.connect(endpoint)
        for number in range(25):
            peer.send(b"%d" % number)
            sent.append([b"P%d" % index, b"%d" % number])
    assert sorted(router.recv() for _ in range(100)) == sorted(sent)
    assert router.nothing()


@clause("DEALER-6", "queues are bounded as configured")
def test_a_queue_to_nobody_holds_as_many_as_configured(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=4)
    dealer.connect(world.fixed_endpoint())
    assert dealer.send_while_possible(b"x") == 4


@clause("5.1.1", "limits are those of each connection, not of the socket")
def test_each_connection_has_its_own_limit(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=3)
    for _ in range(2):
        dealer.connect(world.fixed_endpoint())
    assert dealer.send_while_possible(b"x") == 6


@clause("5.5.1b", "messages are counted, not frames")
def test_frames_do_not_count(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=2)
    dealer.connect(world.fixed_endpoint())
    assert [dealer.send_error(b"1", b"2", b"3") for _ in range(3)] == [0, 0, EAGAIN]


@clause("5.5-zero", "a limit of 0 is none")
def test_a_limit_of_0_is_none(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=0)
    dealer.connect(world.fixed_endpoint())
    assert dealer.send_while_possible(b"x", 3000) == 3000


@clause("5.5-later", "a limit that is set after connect() holds for that connection", on=NETWORK)
def test_a_limit_can_be_set_later(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=1)
    dealer.connect(world.fixed_endpoint())
    dealer.set(c.SNDHWM, 3)
    assert dealer.send_while_possible(b"x") == 3


@clause("5.7.5b", "a message is not there before its last frame is sent")
def test_a_begun_message_is_not_readable(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    other.send_part(b"1")
    other.send_part(b"2")
    world.settle()
    assert one.events() & c.POLLIN == 0
    other.send_part(b"3", 0)
    assert one.recv() == [b"1", b"2", b"3"]


@clause("5.7.5c", "a begun message of a socket that closes never arrives")
def test_a_begun_message_dies_with_its_socket(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    other.send(b"whole")
    other.send_part(b"half")
    other.close()
    assert one.recv() == [b"whole"]
    assert one.nothing()


@clause("5.8.3", "what a closing socket had not read is dropped, not given to its successor")
def test_unread_messages_die_with_their_socket(world: World) -> None:
    endpoint = world.fixed_endpoint()
    pull = world.socket(PULL)
    pull.bind(endpoint)
    push = world.socket(PUSH, reconnect_ivl=10)
    push.connect(endpoint)
    push.send(b"1")
    push.send(b"2")
    assert pull.is_readable()
    world.settle()
    pull.close(0)
    successor = world.socket(PULL)
    assert world.eventually(lambda: error_of(successor.bind, endpoint) == 0)
    assert not successor.is_readable(100)


@clause("5.11-several", "a poll tells which of several sockets can be read")
def test_a_poll_tells_which_socket(world: World) -> None:
    pairs = [world.pair(DEALER, DEALER) for _ in range(3)]
    pairs[1][1].send(b"x")
    assert pairs[1][0].is_readable()
    assert world.poll([(one, c.POLLIN) for one, _ in pairs], 0) == [0, c.POLLIN, 0]


@clause("5.11-timeout", "a poll that finds nothing ends at its timeout")
def test_a_poll_times_out(world: World) -> None:
    dealer, _endpoint = world.bound(DEALER)
    started = world.now_ms()
    assert world.poll([(dealer, c.POLLIN)], 30) == [0]
    assert world.now_ms() - started >= 29


@clause("5.11-wanted", "a poll tells no more than was asked")
def test_a_poll_tells_what_was_asked(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    other.send(b"x")
    assert one.is_readable()
    assert world.poll([(one, c.POLLOUT)], 0) == [c.POLLOUT]
    assert world.poll([(one, c.POLLIN)], 0) == [c.POLLIN]


@clause("PUSH-PULL-2", "a PULL hears all who push, and loses nothing")
def test_a_pull_hears_everybody(world: World) -> None:
    pull, endpoint = world.bound(PULL)
    sent = []
    for index in range(3):
        push = world.socket(PUSH)
        push.connect(endpoint)
        for number in range(10):
            push.send(b"%d" % index, b"%d" % number)
            sent.append([b"%d" % index, b"%d" % number])
    assert sorted(pull.recv() for _ in range(30)) == sorted(sent)


@clause("PUB-SUB-3", "a PUB without subscribers never waits: what nobody wants vanishes")
def test_a_pub_never_waits(world: World) -> None:
    pub, endpoint = world.bound(c.PUB)
    assert [pub.send_error(b"x") for _ in range(5)] == [0] * 5
    sub = world.socket(c.SUB)
    sub.set(c.SUBSCRIBE, b"")
    sub.connect(endpoint)
    assert sub.nothing()
    pub.send(b"y")
    assert sub.recv() == [b"y"]


@clause("PAIR-2", "a PAIR has one peer: who comes second is not heard")
def test_a_pair_has_one_peer(world: World) -> None:
    bound, endpoint = world.bound(c.PAIR)
    first = world.socket(c.PAIR)
    first.connect(endpoint)
    first.send(b"1")
    assert bound.recv() == [b"1"]
    second = world.socket(c.PAIR)
    second.connect(endpoint)
    second.send_error(b"2")
    assert bound.nothing()
    first.send(b"3")
    assert bound.recv() == [b"3"]
