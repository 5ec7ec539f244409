"""DEALER: RFC 28 DEALER-1 to DEALER-13, rotation, fair queueing."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation.constants import (
    DEALER,
    EAGAIN,
    POLLIN,
    POLLOUT,
    PULL,
    PUSH,
    REP,
    ROUTER,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import SpecSocket, World


def star(
    world: World,
    center: int,
    points: int,
    count: int,
    center_options: dict[str, int | bytes] | None = None,
    **options: int | bytes,
) -> tuple[SpecSocket, list[SpecSocket]]:
    """A bound socket and so many connected to it, attached in order."""
    bound, endpoint = world.bound(center, **(center_options or {}))
    found = []
    for _ in range(count):
        point = world.socket(points, **options)
        point.connect(endpoint)
        world.settle()
        bound.events()
        found.append(point)
    return bound, found


def fan(
    world: World, center: int, points: int, count: int, **options: int | bytes
) -> tuple[SpecSocket, list[SpecSocket]]:
    """A socket that connects to so many bound ones, in order."""
    found = [world.bound(points) for _ in range(count)]
    connected = world.socket(center, **options)
    for _, endpoint in found:
        connected.connect(endpoint)
    world.settle()
    for socket, _ in found:
        socket.events()
    return connected, [socket for socket, _ in found]


@clause("DEALER-1", "may be connected to REP and ROUTER peers, sends and receives freely")
def test_dealer_sends_and_receives_in_any_order(world: World) -> None:
    rep, rep_at = world.bound(REP)
    router, router_at = world.bound(ROUTER)
    dealer = world.socket(DEALER)
    dealer.connect(rep_at)
    dealer.connect(router_at)
    assert dealer.recv_error() == EAGAIN
    dealer.send(b"", b"1")
    dealer.send(b"", b"2")
    assert rep.recv() == [b"1"]
    routing_id, *_ = router.recv()
    router.send(routing_id, b"x")
    router.send(routing_id, b"y")
    assert [dealer.recv(), dealer.recv()] == [[b"x"], [b"y"]]


@clause("DEALER-2", "neither filters nor changes messages")
def test_dealer_hands_over_frames_as_they_are(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    for frames in ([b""], [b"", b""], [b"a", b"", b"b"], [b"x" * 255], [b"y" * 256, b""]):
        other.send(*frames)
        assert one.recv() == frames
        one.send(*frames)
        assert other.recv() == frames


@clause("DEALER-3", "each peer has queues of its own", on=INPROC)
def test_a_full_peer_does_not_stop_another(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=2)
    _full, full_at = world.bound(DEALER, rcvhwm=1)
    free, free_at = world.bound(DEALER, rcvhwm=100)
    dealer.connect(full_at)
    dealer.connect(free_at)
    for _ in range(20):
        dealer.send(b"x", flags=1)
    assert len(free.recv_all()) == 17


@clause("DEALER-4", "the queue of a connect() is there whether or not there is a peer")
def test_what_is_sent_before_the_peer_exists_arrives(world: World) -> None:
    endpoint = world.fixed_endpoint()
    dealer = world.socket(DEALER, reconnect_ivl=10)
    dealer.connect(endpoint)
    for number in range(5):
        dealer.send(b"%d" % number)
    world.settle()
    peer = world.socket(DEALER)
    peer.bind(endpoint)
    assert [peer.recv() for _ in range(5)] == [[b"%d" % number] for number in range(5)]


@clause("DEALER-5", "what a departed peer had sent stays readable (the RFC says: is discarded)")
def test_messages_of_a_departed_peer_stay_readable(world: World) -> None:
    dealer, peer = world.pair(DEALER, DEALER)
    peer.send(b"1")
    peer.send(b"2")
    world.settle()
    peer.close()
    world.settle()
    assert [dealer.recv(), dealer.recv()] == [[b"1"], [b"2"]]
    assert dealer.send_error(b"x") == EAGAIN


@clause("DEALER-7", "a peer with a full queue is passed over")
def test_a_full_peer_is_passed_over(world: World) -> None:
    dealer = world.socket(DEALER, sndhwm=3)
    peer, endpoint = world.bound(DEALER)
    if world.is_network:
        dealer.connect(world.fixed_endpoint())
    else:
        _full, full_at = world.bound(DEALER, rcvhwm=1)
        dealer.connect(full_at)
    dealer.connect(endpoint)
    world.settle()
    for number in range(20):
        assert dealer.send_error(b"%d" % number) == 0
        world.sleep_ms(3)
    full_holds = 3 if world.is_network else 4
    assert len(peer.recv_all()) == 20 - full_holds


@clause("DEALER-8", "messages rotate over the peers that have room")
def test_sends_rotate(world: World) -> None:
    dealer, peers = fan(world, DEALER, DEALER, 3)
    for number in range(9):
        dealer.send(b"%d" % number)
    for index, peer in enumerate(peers):
        assert [peer.recv() for _ in range(3)] == [
            [b"%d" % (index + 3 * turn)] for turn in range(3)
        ]


@clause("DEALER-9", "without a peer that has room a send blocks or is refused")
def test_a_send_without_peers_is_refused(world: World) -> None:
    dealer = world.socket(DEALER, sndtimeo=20)
    assert dealer.send_error(b"x") == EAGAIN
    started = world.now_ms()
    assert dealer.send_error(b"x", flags=0) == EAGAIN
    assert world.now_ms() - started >= 19
    assert dealer.events() == 0


@clause("DEALER-10", "a refused message is not sent later")
def test_a_refused_message_is_not_delivered(world: World) -> None:
    endpoint = world.fixed_endpoint()
    dealer = world.socket(DEALER, sndhwm=2, reconnect_ivl=10)
    dealer.connect(endpoint)
    accepted = dealer.send_while_possible(b"x")
    assert accepted == 2
    peer = world.socket(DEALER)
    peer.bind(endpoint)
    assert len(peer.recv_all()) == accepted


@clause("DEALER-11", "what cannot be queued is not discarded: the retry delivers it once")
def test_a_retry_delivers_exactly_once(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    assert dealer.send_error(b"x") == EAGAIN
    peer = world.socket(DEALER)
    peer.connect(endpoint)
    assert dealer.is_writable()
    assert dealer.send_error(b"x") == 0
    assert peer.recv_all() == [[b"x"]]


@clause("DEALER-12", "incoming messages are fair-queued")
def test_dealer_hears_backlogged_peers_in_turn(world: World) -> None:
    dealer, peers = star(world, DEALER, DEALER, 3)
    for name, peer, count in zip((b"A", b"B", b"C"), peers, (4, 2, 3), strict=True):
        for _ in range(count):
            peer.send(name)
        world.settle()
    got = b"".join(dealer.recv()[0] for _ in range(9))
    assert got == b"ABCABCACA"


@clause("DEALER-13", "every message goes to the application")
def test_nothing_is_lost_or_invented(world: World) -> None:
    dealer, peers = star(world, DEALER, DEALER, 4)
    sent = []
    for number in range(100):
        sent.append([b"%d" % number])
        peers[number % 4].send(b"%d" % number)
    assert sorted(dealer.recv() for _ in range(100)) == sorted(sent)
    assert dealer.recv_error() == EAGAIN


@clause("5.6.2", "after a removal the last active pipe takes the place: 0, 3, 2")
def test_the_last_pipe_takes_the_place_of_one_that_went(world: World) -> None:
    dealer, peers = star(world, DEALER, DEALER, 4)
    for number in range(4):
        dealer.send(b"first")
        assert peers[number].recv() == [b"first"]
    peers[1].close(0)
    world.settle()
    dealer.events()
    remaining = [0, 2, 3]
    order = []
    for _ in range(6):
        dealer.send(b"x")
        assert world.eventually(lambda: any(peers[index].events() & POLLIN for index in remaining))
        [reader] = [index for index in remaining if peers[index].events() & POLLIN]
        peers[reader].recv()
        order.append(reader)
    assert order == [0, 3, 2, 0, 3, 2]


@clause("5.6.4", "a dead endpoint takes its turn until its pipe is full", on=NETWORK)
def test_a_dead_endpoint_takes_its_turn(world: World) -> None:
    dead = world.fixed_endpoint()
    dealer = world.socket(DEALER, reconnect_ivl=10)
    live = []
    for index in range(4):
        if index == 1:
            dealer.connect(dead)
            continue
        peer, endpoint = world.bound(DEALER)
        dealer.connect(endpoint)
        live.append(peer)
    world.settle()
    for number in range(8):
        dealer.send(b"%d" % number)
    assert [len(peer.recv_all()) for peer in live] == [2, 2, 2]
    late = world.socket(DEALER)
    late.bind(dead)
    assert late.recv() == [b"1"]
    assert late.recv() == [b"5"]


@clause("5.6.3", "on the connecting side the order of pipes is that of the connect() calls")
def test_the_order_is_that_of_connecting(world: World) -> None:
    found = [world.bound(DEALER) for _ in range(3)]
    dealer = world.socket(DEALER)
    for _, endpoint in reversed(found):
        dealer.connect(endpoint)
    world.settle()
    for number in range(3):
        dealer.send(b"%d" % number)
    assert [socket.recv() for socket, _ in found] == [[b"2"], [b"1"], [b"0"]]


@clause("5.6.5", "after idleness the order is that of arrival")
def test_after_idleness_the_order_is_that_of_arrival(world: World) -> None:
    dealer, peers = star(world, DEALER, DEALER, 3)
    for peer in peers:
        peer.send(b"x")
    for _ in peers:
        dealer.recv()
    assert dealer.recv_error() == EAGAIN
    for index in (2, 0, 1):
        peers[index].send(b"%d" % index)
        world.settle()
    assert [dealer.recv() for _ in range(3)] == [[b"2"], [b"0"], [b"1"]]


@clause("5.6.6", "one flooder delays another peer by one message per turn at most")
def test_a_flooder_does_not_starve_others(world: World) -> None:
    dealer, [flooder, light] = star(world, DEALER, DEALER, 2)
    for _ in range(200):
        flooder.send(b"flood")
    for _ in range(5):
        light.send(b"light")
    world.settle()
    first = [dealer.recv()[0] for _ in range(11)]
    assert first.count(b"light") == 5


@clause(
    "5.6.7", "who always finds something to receive hears of new peers with the hundredth frame"
)
@pytest.mark.parametrize(("frames", "before"), [(1, 100), (2, 50), (4, 25)])
def test_a_busy_reader_learns_of_a_new_peer(world: World, frames: int, before: int) -> None:
    dealer, endpoint = world.bound(DEALER)
    busy = world.socket(DEALER)
    busy.connect(endpoint)
    for _ in range(before + 10):
        busy.send(*[b"busy"] * frames)
    world.settle()
    assert dealer.recv()[0] == b"busy"  # From here on it counts; the frames of this one, too.
    newcomer = world.socket(DEALER)
    newcomer.connect(endpoint)
    newcomer.send(b"new")
    world.settle()
    heard = [dealer.recv()[0] for _ in range(before + 5)]
    assert heard.index(b"new") == before


@clause("5.11-DEALER", "DEALER: POLLOUT false with no peer, POLLIN with something queued")
def test_what_poll_says_of_dealer(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    assert dealer.events() == 0
    peer = world.socket(DEALER)
    peer.connect(endpoint)
    assert dealer.is_writable()
    assert dealer.events() == POLLOUT
    peer.send(b"x")
    assert dealer.is_readable()
    assert dealer.events() == POLLIN | POLLOUT


@clause("5.11-DEALER-dead", "POLLOUT is true with only a dead endpoint", on=NETWORK)
def test_a_dead_endpoint_is_writable(world: World) -> None:
    dealer = world.socket(DEALER)
    dealer.connect(world.fixed_endpoint())
    assert dealer.events() == POLLOUT


@clause("5.7.5", "no message is interleaved between the frames of another")
def test_frames_of_two_peers_are_not_mixed(world: World) -> None:
    dealer, [one, other] = star(world, DEALER, DEALER, 2)
    one.send_part(b"1a")
    other.send_part(b"2a")
    world.settle()
    assert dealer.recv_error() == EAGAIN
    other.send_part(b"2b", 0)
    one.send_part(b"1b", 0)
    assert sorted([dealer.recv(), dealer.recv()]) == [[b"1a", b"1b"], [b"2a", b"2b"]]


@clause("PROBE_ROUTER-DEALER", "a ROUTER peer sees a probe as an id and an empty frame")
def test_a_dealer_probes_its_router(world: World) -> None:
    router, _dealer = world.pair(ROUTER, DEALER, probe_router=1, routing_id=b"D")
    assert router.recv() == [b"D", b""]


@clause("PUSH-PULL-1", "PUSH deals out in turn to PULLs, and cannot receive")
def test_push_deals_out_in_turn(world: World) -> None:
    push, pulls = fan(world, PUSH, PULL, 2)
    for number in range(4):
        push.send(b"%d" % number)
    assert [pulls[0].recv(), pulls[0].recv()] == [[b"0"], [b"2"]]
    assert [pulls[1].recv(), pulls[1].recv()] == [[b"1"], [b"3"]]
    assert push.recv_error() == 95
    assert pulls[0].send_error(b"x") == 95


@clause(
    "5.1.6", "a second connect() to the same endpoint text makes no second connection", on=NETWORK
)
def test_dealer_keeps_one_connection_per_endpoint(world: World) -> None:
    peer, endpoint = world.bound(DEALER)
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    dealer.connect(endpoint)
    world.settle()
    dealer.disconnect(endpoint)
    world.settle()
    dealer.events()
    world.settle()
    assert peer.events() == 0
    assert dealer.send_error(b"x") == EAGAIN
