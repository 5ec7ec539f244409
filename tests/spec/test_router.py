"""ROUTER: RFC 28 ROUTER-1 to ROUTER-14, and routing ids (5.3, 5.7)."""

from __future__ import annotations

from reqrep.harness.simulation.constants import (
    CONNECT_ROUTING_ID,
    DEALER,
    EAGAIN,
    EHOSTUNREACH,
    ENOENT,
    IMMEDIATE,
    POLLIN,
    POLLOUT,
    REP,
    REQ,
    ROUTER,
    ROUTING_ID,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import SpecSocket, World, binds, error_of


def join(
    world: World, router: SpecSocket, endpoint: str, routing_id: bytes = b"", kind: int = DEALER
) -> SpecSocket:
    """A peer that the ROUTER has noticed."""
    peer = world.socket(kind)
    if routing_id:
        peer.set(ROUTING_ID, routing_id)
    peer.connect(endpoint)
    world.settle()
    router.events()
    return peer


@clause("ROUTER-1", "may be connected to REQ, DEALER and ROUTER peers")
def test_router_serves_all_its_kinds_of_peers(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    req, dealer = join(world, router, endpoint, kind=REQ), join(world, router, endpoint)
    other = join(world, router, endpoint, b"R", kind=ROUTER)
    req.send(b"q")
    routing_id, *rest = router.recv()
    assert rest == [b"", b"q"]
    router.send(routing_id, b"", b"a")
    assert req.recv() == [b"a"]
    dealer.send(b"d")
    assert router.recv()[1:] == [b"d"]
    router.send(b"R", b"r")
    assert other.recv()[1:] == [b"r"]


@clause("ROUTER-4", "a departed peer: its messages stay readable, sending to it is refused at once")
def test_a_departed_peer_can_be_heard_but_not_reached(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_mandatory=1)
    peer = join(world, router, endpoint, b"X")
    peer.send(b"1")
    peer.send(b"2")
    world.settle()
    router.events()
    peer.close()
    world.settle()
    router.events()
    assert router.send_error(b"X", b"x") == EHOSTUNREACH
    assert [router.recv(), router.recv()] == [[b"X", b"1"], [b"X", b"2"]]


@clause("ROUTER-5", "live peers have distinct ids")
def test_ids_of_live_peers_differ(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    peers = [join(world, router, endpoint) for _ in range(5)]
    for peer in peers:
        peer.send(b"x")
    assert len({router.recv()[0] for _ in peers}) == 5


@clause("ROUTER-6", "a peer may name itself")
def test_a_named_peer_is_called_so(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, routing_id=b"name")
    peer.send(b"x")
    assert router.recv() == [b"name", b"x"]


@clause("ROUTER-8", "incoming messages are fair-queued")
def test_router_hears_a_light_peer_beside_a_flooder(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    flooder, light = join(world, router, endpoint, b"F"), join(world, router, endpoint, b"L")
    for _ in range(300):
        flooder.send(b"x")
    for _ in range(5):
        light.send(b"x")
    world.settle()
    assert [router.recv()[0] for _ in range(11)].count(b"L") == 5


@clause("ROUTER-9", "each message has the id of its sender in front")
def test_the_first_frame_names_the_sender(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    one, other = join(world, router, endpoint, b"1"), join(world, router, endpoint, b"2")
    one.send(b"a", b"b")
    assert router.recv() == [b"1", b"a", b"b"]
    other.send(b"")
    assert router.recv() == [b"2", b""]
    one.send(b"c")
    assert router.recv() == [b"1", b"c"]


@clause("ROUTER-11", "the first frame says to whom, and is taken off")
def test_the_first_frame_is_taken_off(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, routing_id=b"X")
    router.send(b"X", b"", b"body")
    assert peer.recv() == [b"", b"body"]


@clause("ROUTER-12", "a message is queued if the peer has room")
def test_router_queues_up_to_the_limit(world: World) -> None:
    router, endpoint = world.bound(ROUTER, sndhwm=3, router_mandatory=1)
    peer = world.socket(DEALER, rcvhwm=2, routing_id=b"X")
    peer.connect(endpoint)
    world.settle()
    router.events()
    sent = 0
    while not router.send_error(b"X", b"x" * 200_000):
        sent += 1
        world.sleep_ms(2)
    assert sent >= 5
    if not world.is_network:
        assert sent == 5
    for _ in range(sent):
        assert peer.recv() == [b"x" * 200_000]
    assert peer.nothing()


@clause("ROUTER-13a", "without MANDATORY a message for nobody is dropped, and the send succeeds")
def test_a_message_for_nobody_vanishes(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, routing_id=b"X")
    assert router.send_error(b"nobody", b"x") == 0
    router.send(b"X", b"y")
    assert peer.recv() == [b"y"]


@clause("ROUTER-13b", "with MANDATORY a message for nobody is refused with EHOSTUNREACH")
def test_mandatory_refuses_a_message_for_nobody(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, {"router_mandatory": 1}, routing_id=b"X")
    assert router.send_error(b"nobody", b"x") == EHOSTUNREACH
    router.send(b"X", b"y")
    assert peer.recv() == [b"y"]


@clause("ROUTER-13c", "with MANDATORY a message for a full peer is EAGAIN", on=INPROC)
def test_mandatory_refuses_a_message_for_a_full_peer(world: World) -> None:
    router, _peer = world.pair(
        ROUTER, DEALER, {"router_mandatory": 1, "sndhwm": 1}, routing_id=b"X", rcvhwm=1
    )
    assert [router.send_error(b"X", b"x") for _ in range(3)] == [0, 0, EAGAIN]
    assert router.events() & POLLOUT == 0


@clause(
    "ROUTER-14a",
    "by default a send never blocks: what a full peer cannot take is dropped",
    on=INPROC,
)
def test_router_drops_for_a_full_peer(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, {"sndhwm": 2}, routing_id=b"X", rcvhwm=2)
    for number in range(10):
        router.send(b"X", b"%d" % number)
    assert peer.recv_all() == [[b"%d" % number] for number in range(4)]


@clause("ROUTER-14b", "with MANDATORY a send to a full peer blocks up to SNDTIMEO", on=INPROC)
def test_mandatory_blocks_for_a_full_peer(world: World) -> None:
    router, _peer = world.pair(
        ROUTER, DEALER, {"router_mandatory": 1, "sndhwm": 1, "sndtimeo": 30},
        routing_id=b"X", rcvhwm=1,
    )  # fmt: skip
    router.send(b"X", b"1")
    router.send(b"X", b"2")
    started = world.now_ms()
    assert router.send_error(b"X", b"3", flags=0) == EAGAIN
    assert world.now_ms() - started >= 29


@clause("5.3.1", "anonymous ids: a zero byte and a counter that steps by one per peer")
def test_anonymous_ids_count(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    names = []
    for _ in range(3):
        peer = join(world, router, endpoint)
        peer.send(b"x")
        names.append(router.recv()[0])
    assert all(len(name) == 5 and name[0] == 0 for name in names)
    numbers = [int.from_bytes(name[1:], "big") for name in names]
    assert [number - numbers[0] for number in numbers] == [0, 1, 2]


@clause("5.3.2", "an explicit id stays the same over connections")
def test_a_named_peer_returns_under_its_name(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_mandatory=1)
    peer = join(world, router, endpoint, b"X")
    peer.disconnect(endpoint)

    def is_free() -> bool:
        # Both must look: the peer, so that its connection closes at all (4-disconnect-late), and
        # the ROUTER, which has no room for anybody once the old pipe is gone. A newcomer before
        # that is a duplicate, and mute.
        peer.events()
        return not router.events() & POLLOUT

    assert world.eventually(is_free)
    peer.connect(endpoint)
    peer.send(b"again")
    assert router.recv() == [b"X", b"again"]


@clause("5.3.3", "a bound ROUTER may speak first to a named peer")
def test_router_may_speak_first(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, routing_id=b"X")
    router.send(b"X", b"hello")
    assert peer.recv() == [b"hello"]


@clause("5.3.4a", "a second peer with a live id is mute, the first keeps being served")
def test_a_duplicate_id_is_ignored(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    first, second = join(world, router, endpoint, b"X"), join(world, router, endpoint, b"X")
    assert second.send_error(b"from second") == 0
    assert router.nothing()
    router.send(b"X", b"to first")
    assert first.recv() == [b"to first"]
    assert second.nothing()


@clause("5.3.4b", "when the first leaves the second is still ignored")
def test_a_duplicate_stays_ignored(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_mandatory=1)
    first, second = join(world, router, endpoint, b"X"), join(world, router, endpoint, b"X")
    first.close(0)
    world.settle()
    assert router.recv_error() == EAGAIN
    second.send(b"hello?")
    assert router.nothing()
    assert router.send_error(b"X", b"x") == EHOSTUNREACH


@clause("5.3.5a", "identity reuse: unread messages of the old peer keep the new one out")
def test_an_id_whose_messages_are_unread_cannot_be_reused(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    old = join(world, router, endpoint, b"X")
    old.send(b"1")
    old.send(b"2")
    world.settle()
    old.close()
    world.settle()
    new = world.socket(DEALER, routing_id=b"X")
    new.connect(endpoint)
    new.send(b"new")
    world.settle()
    assert [router.recv(), router.recv()] == [[b"X", b"1"], [b"X", b"2"]]
    assert router.nothing()


@clause("5.3.5b", "identity reuse: no call of the ROUTER in between keeps the new one out")
def test_an_id_is_not_free_before_the_router_has_looked(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    old = join(world, router, endpoint, b"X")
    old.close(0)
    world.settle()
    new = world.socket(DEALER, routing_id=b"X")
    new.connect(endpoint)
    world.settle()
    new.send(b"new")
    assert router.nothing()


@clause("5.3.5c", "identity reuse: after a poll in between the new peer is accepted")
def test_an_id_is_free_after_the_router_has_looked(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    old = join(world, router, endpoint, b"X")
    old.close(0)
    world.settle()
    router.events()
    world.settle()
    new = world.socket(DEALER, routing_id=b"X")
    new.connect(endpoint)
    new.send(b"new")
    assert router.recv() == [b"X", b"new"]


@clause(
    "5.3.5d",
    "over inproc the closing side must have answered as well",
    on=("simulated-inproc",),
    only="reaper",
)
def test_an_id_is_not_free_before_both_sides_know(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    old = join(world, router, endpoint, b"X")
    old.close(0)
    world.settle()
    router.events()
    new = world.socket(DEALER, routing_id=b"X")
    new.connect(endpoint)
    new.send(b"new")
    assert router.nothing()


@clause("5.3.4c", "over inproc a mute connection stays when its peer has gone", on=INPROC)
def test_a_mute_connection_stays(world: World) -> None:
    rep, one = world.bound(REP, routing_id=b"X")
    other = rep.bind(world.fixed_endpoint())
    router = world.socket(ROUTER)
    router.connect(one)
    router.connect(other)
    rep.close(0)
    world.settle()
    router.events()
    world.settle()
    assert error_of(lambda: router.disconnect(one)) == ENOENT
    assert error_of(lambda: router.disconnect(other)) == 0


@clause("5.3.6a", "handover gives a live id to the newcomer")
def test_handover_moves_the_id(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_handover=1)
    first, second = join(world, router, endpoint, b"X"), join(world, router, endpoint, b"X")
    router.send(b"X", b"to whom?")
    assert second.recv() == [b"to whom?"]
    assert first.nothing()
    second.send(b"from second")
    assert router.recv() == [b"X", b"from second"]


@clause(
    "5.3.6b", "a handed-over peer is a zombie over tcp: its sends succeed and are lost", on=NETWORK
)
def test_a_handed_over_peer_is_a_zombie(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_handover=1)
    first = join(world, router, endpoint, b"X")
    join(world, router, endpoint, b"X")
    world.settle()
    assert first.send_error(b"lost") == 0
    assert router.nothing()
    assert first.events() & POLLOUT


@clause("5.3.6c", "a handed-over peer loses its pipe over inproc", on=INPROC)
def test_a_handed_over_peer_loses_its_pipe(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_handover=1)
    first = join(world, router, endpoint, b"X")
    join(world, router, endpoint, b"X")
    world.settle()
    first.events()
    assert first.send_error(b"x") == EAGAIN


@clause(
    "5.3.6d",
    "over inproc a connection that both ends gave up keeps its place until both have called",
    on=INPROC,
)
def test_a_connection_given_up_by_both_keeps_its_place(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_handover=1)
    dealer = world.socket(DEALER, routing_id=b"X", probe_router=1)
    dealer.connect(endpoint)
    dealer.connect(endpoint)  # Both are handed over, one to the other and then to a third.
    dealer.disconnect(endpoint)
    dealer.connect(endpoint)
    # The first holds its place empty; so the last is put there, before the second.
    assert router.recv() == [b"X", b""]
    assert router.recv()[0] != b"X"


@clause(
    "5.3.6e",
    "over inproc a handed-over peer is there until the message of it that is read frame by frame "
    "was read to its end",
    on=INPROC,
)
def test_handover_waits_for_the_end_of_a_message(world: World) -> None:
    router, endpoint = world.bound(ROUTER, router_handover=1)
    first = join(world, router, endpoint, b"X")
    first.send(b"1", b"2")
    assert router.recv_part() == b"X"
    join(world, router, endpoint, b"X")
    router.events()
    assert first.events() & POLLOUT
    assert [router.recv_part(), router.recv_part()] == [b"1", b"2"]
    world.settle()
    assert first.send_error(b"x") == EAGAIN


@clause(
    "5.3.6f",
    "over inproc a peer that went before there was a binder is heard, also after a handover",
    on=INPROC,
)
def test_who_went_before_the_bind_is_heard_after_a_handover(world: World) -> None:
    endpoint = world.fixed_endpoint()
    dealer = world.socket(DEALER, routing_id=b"X")
    dealer.connect(endpoint)
    dealer.connect(endpoint)
    dealer.send(b"said")
    dealer.close()
    world.settle()
    router = world.socket(ROUTER, router_handover=1)
    router.bind(endpoint)
    assert router.recv()[1] == b"said"


@clause("5.3.8", "an empty id is nobody's")
def test_an_empty_id_is_unroutable(world: World) -> None:
    router, _peer = world.pair(ROUTER, DEALER, {"router_mandatory": 1})
    assert router.send_error(b"", b"x") == EHOSTUNREACH


@clause("5.3.9a", "CONNECT_ROUTING_ID overrides the name that the peer gives itself")
def test_connect_routing_id_overrides(world: World) -> None:
    bound, endpoint = world.bound(ROUTER, routing_id=b"own")
    router = world.socket(ROUTER, routing_id=b"C")
    router.set(CONNECT_ROUTING_ID, b"given")
    router.connect(endpoint)
    router.send(b"given", b"x")
    assert bound.recv() == [b"C", b"x"]
    bound.send(b"C", b"y")
    assert router.recv() == [b"given", b"y"]


@clause("5.3.9b", "CONNECT_ROUTING_ID makes a peer addressable before it is there", on=NETWORK)
def test_a_named_connection_is_addressable_at_once(world: World) -> None:
    endpoint = world.fixed_endpoint()
    router = world.socket(ROUTER, router_mandatory=1, reconnect_ivl=10)
    router.set(CONNECT_ROUTING_ID, b"later")
    router.connect(endpoint)
    assert router.send_error(b"later", b"x") == 0
    bound = world.socket(DEALER)
    bound.bind(endpoint)
    assert bound.recv() == [b"x"]


@clause(
    "5.3.9c", "with IMMEDIATE a CONNECT_ROUTING_ID names the peer of a later connect()", on=NETWORK
)
def test_a_name_waits_for_a_connection_that_is_made_at_once(world: World) -> None:
    router = world.socket(ROUTER, router_mandatory=1)
    peers = [world.socket(DEALER, routing_id=name) for name in (b"first", b"second")]
    router.set(CONNECT_ROUTING_ID, b"given")
    for peer, immediate in zip(peers, (1, 0), strict=True):
        router.set(IMMEDIATE, immediate)
        router.connect(peer.bind(world.endpoint()))
        world.settle()
        router.events()
    assert router.send_error(b"first", b"1") == 0
    assert router.send_error(b"given", b"2") == 0
    assert [peer.recv() for peer in peers] == [[b"1"], [b"2"]]


@clause("ROUTER-3", "a connecting ROUTER cannot address its peer before the handshake", on=NETWORK)
def test_a_connecting_router_must_learn_the_name_first(world: World) -> None:
    endpoint = world.fixed_endpoint()
    router = world.socket(ROUTER, router_mandatory=1, reconnect_ivl=10)
    router.connect(endpoint)
    assert router.send_error(b"B", b"x") == EHOSTUNREACH
    assert router.events() == 0
    bound = world.socket(ROUTER, routing_id=b"B")
    bound.bind(endpoint)
    assert world.eventually(lambda: router.send_error(b"B", b"x") == 0)
    assert bound.recv()[1:] == [b"x"]


@clause(
    "1.10", "a connecting ROUTER keeps the first id it learned, whoever is there now", on=NETWORK
)
def test_a_connecting_router_keeps_a_stale_name(world: World) -> None:
    endpoint = world.fixed_endpoint()
    router = world.socket(ROUTER, router_mandatory=1, reconnect_ivl=10)
    old = world.socket(ROUTER, routing_id=b"old")
    old.bind(endpoint)
    router.connect(endpoint)
    world.settle()
    router.events()
    old.close(0)
    world.settle()
    new = world.socket(ROUTER, routing_id=b"new")
    assert world.eventually(lambda: binds(new, endpoint))
    world.sleep_ms(100)
    assert router.send_error(b"new", b"x") == EHOSTUNREACH
    assert router.send_error(b"old", b"stale") == 0
    assert new.recv()[1:] == [b"stale"]


@clause("5.7.1", "with MANDATORY the first frame is refused and no state is left")
def test_a_refused_first_frame_leaves_nothing(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, {"router_mandatory": 1}, routing_id=b"X")
    assert error_of(lambda: router.send_part(b"nobody")) == EHOSTUNREACH
    router.send(b"X", b"y")
    assert peer.recv() == [b"y"]


@clause("5.7.1b", "without it all frames of an unroutable message are swallowed")
def test_all_frames_of_an_unroutable_message_are_swallowed(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, routing_id=b"X")
    router.send(b"nobody", b"X", b"y")
    router.send(b"X", b"z")
    assert peer.recv() == [b"z"]


@clause("5.7.2", "a message of only an id is swallowed in every mode")
def test_a_message_of_only_an_id_is_swallowed(world: World) -> None:
    router, peer = world.pair(ROUTER, DEALER, {"router_mandatory": 1}, routing_id=b"X")
    assert router.send_error(b"nobody") == 0
    assert router.send_error(b"X") == 0
    router.send(b"X", b"y")
    assert peer.recv() == [b"y"]


@clause("5.7.3", "a peer that goes between two frames gets no part of the message")
def test_a_peer_lost_between_frames(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    peer = join(world, router, endpoint, b"X")
    other = join(world, router, endpoint, b"Y")
    router.send_part(b"X")
    router.send_part(b"part")
    peer.close(0)
    world.settle()
    router.send_part(b"rest", 0)
    router.send(b"Y", b"next")
    assert other.recv() == [b"next"]


@clause(
    "5.7.6", "with MANDATORY a full peer that has gone is EAGAIN until the router knows", on=INPROC
)
def test_a_full_peer_that_has_gone_is_full(world: World) -> None:
    router, peer = world.pair(
        ROUTER, DEALER, {"router_mandatory": 1, "sndhwm": 1}, routing_id=b"X", rcvhwm=1
    )
    peer.send(b"unread")
    assert [router.send_error(b"X", b"x") for _ in range(3)] == [0, 0, EAGAIN]
    peer.close()
    world.settle()
    assert router.events() & POLLOUT == 0
    assert router.send_error(b"X", b"x") == EAGAIN
    assert router.recv() == [b"X", b"unread"]
    assert router.recv_error() == EAGAIN  # Now it has read to the end.
    world.settle()
    assert router.send_error(b"X", b"x") == EHOSTUNREACH


@clause("5.11-ROUTER", "ROUTER: POLLOUT always; with MANDATORY only if a peer has room")
def test_what_poll_says_of_router(world: World) -> None:
    plain = world.socket(ROUTER)
    assert plain.events() == POLLOUT
    router, endpoint = world.bound(ROUTER, router_mandatory=1)
    assert router.events() == 0
    peer = join(world, router, endpoint, b"X")
    assert router.is_writable()
    peer.send(b"x")
    assert router.is_readable()
    assert router.events() == POLLIN | POLLOUT


@clause("5.1.4", "a bound ROUTER probes a new peer only when its application calls", on=NETWORK)
def test_a_router_learns_of_peers_only_when_it_is_called(world: World) -> None:
    router, endpoint = world.bound(ROUTER, probe_router=1)
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    assert dealer.nothing()
    router.events()
    assert dealer.recv() == [b""]


@clause("INV-ID-4", "a ROUTING_ID that is set after connect() has no effect on that connection")
def test_a_routing_id_set_too_late_has_no_effect(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    peer = world.socket(DEALER)
    peer.connect(endpoint)
    peer.set(ROUTING_ID, b"late")
    peer.send(b"x")
    assert router.recv()[0] != b"late"


@clause("INV-ID-5", "a ROUTING_ID that is set after bind() has no effect there")
def test_a_routing_id_set_after_bind_has_no_effect(world: World) -> None:
    bound, endpoint = world.bound(ROUTER, routing_id=b"early")
    bound.set(ROUTING_ID, b"late")
    router = world.socket(ROUTER, router_mandatory=1)
    router.connect(endpoint)
    assert world.eventually(lambda: router.send_error(b"early", b"x") == 0)
    assert router.send_error(b"late", b"x") == EHOSTUNREACH
    assert bound.recv()[1:] == [b"x"]


@clause("5.3.10", "with a fixed id a late reply reaches the successor of a closed socket")
def test_a_late_reply_reaches_the_successor(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    old = join(world, router, endpoint, b"X", kind=REQ)
    old.send(b"1")
    assert router.recv() == [b"X", b"", b"1"]
    old.close(0)
    world.settle()
    router.events()
    world.settle()
    new = join(world, router, endpoint, b"X", kind=REQ)
    new.send(b"2")
    assert router.recv() == [b"X", b"", b"2"]
    router.send(b"X", b"", b"answer to 1")
    assert new.recv() == [b"answer to 1"]
