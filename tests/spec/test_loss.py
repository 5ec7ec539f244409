"""What is lost with a connection and what is not, and how it comes again (5.2)."""

from __future__ import annotations

from functools import partial

import pytest

from reqrep.harness.simulation.constants import DEALER, EAGAIN, ENOENT, PULL, PUSH, REP, REQ, ROUTER

from .clauses import INPROC, NETWORK, clause
from .worlds import LIMIT_MS, SpecSocket, World, binds, error_of


@clause("5.2.1", "what waits in a connecting pipe goes to whoever listens there next", on=NETWORK)
def test_a_request_waits_for_the_next_server(world: World) -> None:
    endpoint = world.fixed_endpoint()
    rep = world.socket(REP)
    rep.bind(endpoint)
    req = world.socket(REQ, reconnect_ivl=10)
    req.connect(endpoint)
    req.send(b"1")
    rep.recv()
    rep.send(b"one")
    req.recv()
    rep.close(0)
    world.settle()
    req.send(b"2")
    world.settle()
    successor = world.socket(REP)
    assert world.eventually(lambda: binds(successor, endpoint))
    assert successor.recv() == [b"2"]
    successor.send(b"two")
    assert req.recv() == [b"two"]


@clause("5.2.4", "what waits for a bound socket's lost peer is lost, not given to another")
def test_parked_messages_die_with_their_peer(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    workers = []
    for _ in range(2):
        worker = world.socket(REP)
        worker.connect(endpoint)
        world.settle()
        dealer.events()
        workers.append(worker)
    for number in range(6):
        dealer.send(b"", b"%d" % number)
    assert workers[0].recv() == [b"0"]
    workers[0].close(0)
    world.settle()
    served: list[bytes] = []
    while workers[1].is_readable(60 if len(served) == 3 else LIMIT_MS):
        served += workers[1].recv()
        workers[1].send(b"ok")
    assert served == [b"1", b"3", b"5"]


@clause("5.2.5", "what had arrived from a lost peer stays readable")
def test_what_had_arrived_stays_readable(world: World) -> None:
    pull, push = world.pair(PULL, PUSH)
    push.send(b"1")
    push.send(b"2")
    world.settle()
    push.close()
    world.settle()
    assert pull.recv_all() == [[b"1"], [b"2"]]


@clause("5.2.3", "with IMMEDIATE=1 a connection to nobody is no peer", on=NETWORK)
def test_immediate_needs_a_handshake(world: World) -> None:
    endpoint = world.fixed_endpoint()
    dealer = world.socket(DEALER, immediate=1, reconnect_ivl=10)
    dealer.connect(endpoint)
    world.settle()
    assert dealer.send_error(b"x") == EAGAIN
    peer = world.socket(DEALER)
    peer.bind(endpoint)
    assert dealer.is_writable()
    dealer.send(b"y")
    assert peer.recv() == [b"y"]
    peer.close(0)
    world.settle()
    dealer.events()
    world.settle()
    assert dealer.send_error(b"z") == EAGAIN


@clause(
    "5.2.3b",
    "with IMMEDIATE=1 a connection that breaks takes what had arrived and was not read",
    on=NETWORK,
)
def test_immediate_loses_what_was_not_read(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    dealer = world.socket(DEALER, routing_id=b"d", immediate=1, reconnect_ivl=60_000)
    dealer.connect(endpoint)
    world.settle()
    for number in range(3):
        router.send(b"d", b"%d" % number)
    world.settle()
    router.close(0)
    world.settle()
    assert dealer.nothing()


def has_no_peer(socket: SpecSocket) -> bool:
    return socket.send_error(b"y") == EAGAIN


@clause(
    "5.2.7b", "with RECONNECT_IVL 0 or -1 a connection that breaks is no peer any more", on=NETWORK
)
def test_without_an_interval_nobody_connects_again(world: World) -> None:
    for interval_ms in 0, -1:
        endpoint = world.fixed_endpoint()
        peer = world.socket(DEALER)
        peer.bind(endpoint)
        dealer = world.socket(DEALER, reconnect_ivl=interval_ms)
        dealer.connect(endpoint)
        dealer.send(b"x")
        assert peer.recv() == [b"x"]
        peer.close(0)
        assert world.eventually(partial(has_no_peer, dealer))


@clause(
    "5.2.7e",
    "with RECONNECT_IVL 0 or -1 a connection that breaks is disconnected: what had arrived is "
    "lost, and the endpoint may be connected to anew",
    on=NETWORK,
)
def test_without_an_interval_a_loss_is_a_disconnect(world: World) -> None:
    for interval_ms in 0, -1:
        endpoint = world.fixed_endpoint()
        peer = world.socket(DEALER)
        peer.bind(endpoint)
        dealer = world.socket(DEALER, reconnect_ivl=interval_ms)
        dealer.connect(endpoint)
        world.settle()
        peer.send(b"lost")
        world.settle()
        peer.close(0)
        world.settle()
        assert dealer.events() == 0  # Now it knows.
        assert dealer.nothing()
        assert error_of(dealer.disconnect, endpoint) == ENOENT
        peer = world.socket(DEALER)
        assert world.eventually(partial(binds, peer, endpoint))
        dealer.connect(endpoint)
        dealer.send(b"x")
        assert peer.recv() == [b"x"]


@clause("5.2.7c", "with RECONNECT_IVL 0 or -1 a connection that is refused is not tried again",
        on=("simulated-tcp", "tcp"))  # fmt: skip
def test_without_an_interval_a_refused_connection_is_refused_for_good(world: World) -> None:
    for interval_ms in 0, -1:
        endpoint = world.fixed_endpoint()
        dealer = world.socket(DEALER, reconnect_ivl=interval_ms)
        dealer.connect(endpoint)
        world.settle()
        peer = world.socket(DEALER)
        peer.bind(endpoint)
        dealer.send(b"x")
        world.sleep_ms(150)
        assert peer.nothing()


@clause("5.2.7d", "a RECONNECT_IVL_MAX below RECONNECT_IVL is the interval", on=NETWORK)
def test_a_maximum_below_the_interval_counts(world: World) -> None:
    endpoint = world.fixed_endpoint()
    dealer = world.socket(DEALER, reconnect_ivl=60_000, reconnect_ivl_max=20)
    dealer.connect(endpoint)
    world.settle()
    peer = world.socket(DEALER)
    peer.bind(endpoint)
    dealer.send(b"x")
    assert peer.recv() == [b"x"]


@clause("5.2.8", "a request that a dead server had taken is not repeated", on=NETWORK)
def test_a_taken_request_is_not_repeated(world: World) -> None:
    endpoint = world.fixed_endpoint()
    rep = world.socket(REP)
    rep.bind(endpoint)
    req = world.socket(REQ, reconnect_ivl=10)
    req.connect(endpoint)
    req.send(b"1")
    rep.recv()
    rep.close(0)
    world.settle()
    successor = world.socket(REP)
    assert world.eventually(lambda: binds(successor, endpoint))
    assert not successor.is_readable(100)
    assert req.recv_error() == EAGAIN


@clause("5.9-connect-first", "connect before bind works on every transport")
def test_connecting_before_the_bind(world: World) -> None:
    endpoint = world.fixed_endpoint()
    req = world.socket(REQ, reconnect_ivl=10)
    req.connect(endpoint)
    if world.is_network:
        world.settle()
    req.send(b"early")
    rep = world.socket(REP)
    rep.bind(endpoint)
    assert rep.recv() == [b"early"]
    rep.send(b"reply")
    assert req.recv() == [b"reply"]


@clause(
    "5.9-attached-inproc",
    "over inproc a bound socket can send right after the connect()",
    on=INPROC,
)
def test_inproc_is_connected_at_once(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    peer = world.socket(DEALER)
    peer.connect(endpoint)
    assert dealer.send_error(b"x") == 0
    assert peer.recv() == [b"x"]


@clause(
    "5.9-attached-network",
    "over the network it cannot: the handshake takes its time",
    on=("simulated-tcp",),
    only="handshake",
)
def test_a_network_connection_takes_time(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    peer = world.socket(DEALER)
    peer.connect(endpoint)
    assert dealer.send_error(b"x") == EAGAIN
    assert dealer.is_writable()


@clause("5.9-reconnect-inproc", "over inproc nothing reconnects", on=INPROC)
def test_inproc_never_reconnects(world: World) -> None:
    endpoint = world.fixed_endpoint()
    first = world.socket(DEALER)
    first.bind(endpoint)
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    first.close(0)
    world.settle()
    assert dealer.send_error(b"x") == EAGAIN
    second = world.socket(DEALER)
    second.bind(endpoint)
    world.settle()
    assert dealer.send_error(b"x") == EAGAIN
    dealer.connect(endpoint)
    dealer.send(b"y")
    assert second.recv() == [b"y"]


@clause("5.9-types", "over the network illegal pairs are refused in the handshake", on=NETWORK)
@pytest.mark.parametrize(
    ("bound", "connected"), [(REQ, REQ), (REP, REP), (DEALER, REQ), (ROUTER, REP)]
)
def test_illegal_pairs_exchange_nothing(world: World, bound: int, connected: int) -> None:
    one, endpoint = world.bound(bound)
    other = world.socket(connected, reconnect_ivl=10)
    other.connect(endpoint)
    world.settle()
    if connected == REQ:
        other.send_error(b"x")
        world.settle()
    assert one.events() & 1 == 0
    assert other.events() == 0


@clause(
    "1.11-next-send",
    "after the refusal no send reaches anybody, and soon none is accepted",
    on=NETWORK,
)
def test_sends_after_a_refused_handshake_are_refused(world: World) -> None:
    one, endpoint = world.bound(PULL)
    # If the peer hangs up first, libzmq tries again and again, and its pipe has to fill up.
    other = world.socket(DEALER, reconnect_ivl=10, sndhwm=5)
    other.connect(endpoint)
    world.settle()
    other.send_error(b"x")  # libzmq accepts it or not, depending on what its threads have done.
    assert world.eventually(lambda: other.send_error(b"x") == EAGAIN)
    assert one.nothing()
