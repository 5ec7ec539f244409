"""REP: RFC 28 REP-1 to REP-12, and what libzmq does beyond it."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation.constants import (
    DEALER,
    EAGAIN,
    EFSM,
    POLLIN,
    POLLOUT,
    REP,
    REQ,
)

from .clauses import NETWORK, clause
from .worlds import SpecSocket, World


def dealers(
    world: World, count: int, **options: int | bytes
) -> tuple[SpecSocket, list[SpecSocket]]:
    """A REP and so many DEALERs connected to it, in order."""
    rep, endpoint = world.bound(REP, **options)
    found = []
    for _ in range(count):
        dealer = world.socket(DEALER)
        dealer.connect(endpoint)
        world.settle()
        rep.events()
        found.append(dealer)
    return rep, found


@clause("REP-1", "may be connected to any number of REQ and DEALER peers")
def test_rep_serves_reqs_and_dealers_alike(world: World) -> None:
    rep, endpoint = world.bound(REP)
    req, dealer = world.socket(REQ), world.socket(DEALER)
    req.connect(endpoint)
    dealer.connect(endpoint)
    req.send(b"1")
    assert rep.recv() == [b"1"]
    rep.send(b"one")
    assert req.recv() == [b"one"]
    dealer.send(b"", b"2")
    assert rep.recv() == [b"2"]
    rep.send(b"two")
    assert dealer.recv() == [b"", b"two"]


@clause("REP-2", "neither filters nor changes well-formed messages")
def test_rep_hands_over_every_body_as_it_came(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    for body in ([b""], [b"a", b""], [b"x" * 300], [b"", b""], [b"\0", b"\xff"]):
        dealer.send(b"", *body)
        assert rep.recv() == body
        rep.send(*body)
        assert dealer.recv() == [b"", *body]


@clause("REP-3", "receives and then sends exactly one message at a time")
def test_rep_refuses_to_send_first_and_to_receive_twice(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    assert rep.send_error(b"x") == EFSM
    req.send(b"1")
    assert rep.recv() == [b"1"]
    assert rep.recv_error() == EFSM
    rep.send(b"2")
    assert rep.send_error(b"x") == EFSM
    assert rep.recv_error() == EAGAIN


@clause("REP-4", "a request has any number of address frames before the delimiter")
def test_rep_takes_any_number_of_address_frames(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    for count in range(5):
        envelope = [b"hop%d" % hop for hop in range(count)]
        dealer.send(*envelope, b"", b"body")
        assert rep.recv() == [b"body"]
        rep.send(b"reply")
        assert dealer.recv() == [*envelope, b"", b"reply"]


@clause("REP-5", "incoming requests are fair-queued")
def test_rep_takes_one_request_per_backlogged_peer_in_turn(world: World) -> None:
    rep, peers = dealers(world, 3)
    for number, dealer in enumerate(peers):
        for _ in range(3):
            dealer.send(b"", b"%d" % number)
    world.settle()
    got = []
    for _ in range(9):
        got += rep.recv()
        rep.send(b"")
    assert [sorted(got[turn : turn + 3]) for turn in (0, 3, 6)] == [[b"0", b"1", b"2"]] * 3


@clause("REP-6", "the envelope with its delimiter is kept from the application")
def test_the_application_never_sees_the_envelope(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(b"X", b"Y", b"", b"A")
    assert rep.recv() == [b"A"]


@clause("REP-7", "what follows the first delimiter goes to the application")
def test_later_empty_frames_belong_to_the_body(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(b"X", b"", b"", b"A", b"")
    assert rep.recv() == [b"", b"A", b""]


@clause("REP-8", "waits for one reply before it takes the next request")
def test_rep_is_not_readable_while_it_owes_a_reply(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(b"", b"1")
    dealer.send(b"", b"2")
    assert rep.recv() == [b"1"]
    world.settle()
    assert rep.events() == POLLOUT
    rep.send(b"")
    assert rep.is_readable()
    assert rep.recv() == [b"2"]


@clause("REP-9", "the reply gets the envelope and the delimiter back")
def test_the_envelope_returns_byte_for_byte(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(b"\x01\x02", b"y" * 255, b"", b"A")
    rep.recv()
    rep.send(b"B", b"C")
    assert dealer.recv() == [b"\x01\x02", b"y" * 255, b"", b"B", b"C"]


@clause("REP-10", "the reply goes to the peer that asked")
def test_each_peer_gets_its_own_reply(world: World) -> None:
    rep, peers = dealers(world, 3)
    for number, dealer in enumerate(peers):
        dealer.send(b"", b"%d" % number)
    for _ in peers:
        rep.send(*rep.recv())
    for number, dealer in enumerate(peers):
        assert dealer.recv() == [b"", b"%d" % number]


@clause("REP-11", "a reply to a peer that has gone vanishes, and the next request is served")
def test_a_reply_to_a_vanished_peer_succeeds(world: World) -> None:
    rep, [one, other] = dealers(world, 2)
    one.send(b"", b"1")
    assert rep.recv() == [b"1"]
    one.close(0)
    world.settle()
    assert rep.send_error(b"too late") == 0
    other.send(b"", b"2")
    assert rep.recv() == [b"2"]


@clause("REP-12", "a reply never blocks")
def test_a_reply_to_a_full_peer_returns_at_once(world: World) -> None:
    rep, endpoint = world.bound(REP, sndhwm=1)
    dealer = world.socket(DEALER, rcvhwm=1)
    dealer.connect(endpoint)
    for _ in range(20):
        dealer.send(b"", b"x")
        assert rep.recv() == [b"x"]
        started = world.now_ms()
        rep.send(b"r" * 100_000)
        assert world.now_ms() - started < 1000


@clause("5.4.9", "room for a reply is looked for when its request is taken, not later", on=NETWORK)
def test_a_reply_finds_room_when_its_request_is_taken_or_never(world: World) -> None:
    rep, endpoint = world.bound(REP, sndhwm=1)
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    for number in b"012345":
        dealer.send(b"", bytes([number]))
    world.settle()
    for _ in range(6):
        request = rep.recv()
        world.settle()
        rep.send(*request)
    # Each second request is taken before the socket has looked what became of the last reply.
    for number in b"024":
        assert dealer.recv() == [b"", bytes([number])]
    assert dealer.nothing()


@clause("5.4.8", "a message without a delimiter that more follows is dropped silently")
@pytest.mark.parametrize("frames", [[b"a"], [b"a", b"b"], [b""], [b"a", b""]])
def test_rep_drops_a_malformed_request(world: World, frames: list[bytes]) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(*frames)
    assert rep.nothing()
    assert rep.send_error(b"x") == EFSM
    dealer.send(b"", b"good")
    assert rep.recv() == [b"good"]


@clause("5.4.8b", "junk of a peer that has gone costs the next request its reply, and only that")
def test_junk_of_a_vanished_peer_swallows_the_next_reply(world: World) -> None:
    rep, endpoint = world.bound(REP)
    bad, good = world.socket(DEALER), world.socket(REQ, req_relaxed=1)
    for peer in (bad, good):
        peer.connect(endpoint)
    world.settle()
    rep.events()
    bad.send(b"junk")
    world.settle()
    bad.close(0)
    world.settle()
    good.send(b"1")
    assert rep.recv() == [b"1"]
    rep.send(b"one")
    assert good.nothing()
    good.send(b"2")
    assert rep.recv() == [b"2"]
    rep.send(b"two")
    assert good.recv() == [b"two"]


@clause("5.4.8c", "junk of a peer that is full costs the next request its reply", on=NETWORK)
def test_junk_of_a_full_peer_swallows_the_next_reply(world: World) -> None:
    rep, endpoint = world.bound(REP, sndhwm=1)
    bad, good = world.socket(DEALER), world.socket(REQ, req_relaxed=1)
    for peer in (bad, good):
        peer.connect(endpoint)
    world.settle()
    rep.events()
    bad.send(b"", b"1")
    bad.send(b"junk")
    bad.send(b"more", b"junk")
    world.settle()
    rep.send(*rep.recv())  # Of what became of this the socket has not heard when it takes the junk.
    assert rep.recv_error() == EAGAIN
    assert bad.recv() == [b"", b"1"]
    good.send(b"2")
    assert rep.recv() == [b"2"]
    rep.send(b"two")
    assert good.nothing()
    bad.send(b"", b"3")
    rep.send(*rep.recv())
    assert bad.recv() == [b"", b"3"]


@clause("5.4.10b", "REP changes phase only on the last frame")
def test_rep_owes_until_the_last_frame_is_sent(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    req.send(b"a", b"b")
    assert rep.recv_part() == b"a"
    assert rep.send_error(b"x") == EFSM
    assert rep.recv_part() == b"b"
    rep.send_part(b"c")
    assert rep.recv_error() == EFSM
    rep.send_part(b"d", 0)
    assert req.recv() == [b"c", b"d"]


@clause("5.4.11", "a pipelining DEALER is served in order, one request at a time")
def test_rep_serves_a_pipelining_dealer_in_order(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    for number in range(5):
        dealer.send(b"", b"%d" % number)
    for number in range(5):
        assert rep.recv() == [b"%d" % number]
        rep.send(b"r%d" % number)
    assert [dealer.recv() for _ in range(5)] == [[b"", b"r%d" % number] for number in range(5)]


@clause("5.11-REP", "REP: POLLIN while a request waits, POLLOUT while it owes")
def test_what_poll_says_of_rep(world: World) -> None:
    rep, req = world.pair(REP, REQ)
    assert rep.events() == 0
    req.send(b"1")
    assert rep.is_readable()
    assert rep.events() == POLLIN
    rep.recv()
    assert rep.events() == POLLOUT
    rep.send(b"2")
    assert rep.events() == 0


@clause("5.11-REP-junk", "POLLIN of REP may be about a message that it then drops")
def test_rep_may_be_readable_for_junk(world: World) -> None:
    rep, [dealer] = dealers(world, 1)
    dealer.send(b"junk")
    assert rep.is_readable()
    assert rep.recv_error() == EAGAIN
    assert rep.events() == 0


@clause("PROBE_ROUTER-REP", "a probe is dropped by REP as malformed")
def test_rep_drops_a_probe(world: World) -> None:
    rep, req = world.pair(REP, REQ, probe_router=1)
    assert rep.nothing()
    req.send(b"1")
    assert rep.recv() == [b"1"]
