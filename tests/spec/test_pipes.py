"""Pipes: limits (5.5), loss and recovery (5.2), closing (5.8), inproc against network (5.9)."""

from __future__ import annotations

from functools import partial

import pytest

from reqrep.harness.simulation.constants import (
    DEALER,
    EAGAIN,
    ENOENT,
    ETERM,
    POLLOUT,
    PULL,
    PUSH,
    RCVHWM,
    REP,
    REQ,
    ROUTER,
    SNDHWM,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import SpecSocket, World, binds, error_of

# --- limits -------------------------------------------------------------------


@clause("5.5.2", "inproc holds SNDHWM + RCVHWM, and 0 on either side is no limit", on=INPROC)
@pytest.mark.parametrize(
    ("sndhwm", "rcvhwm", "holds"),
    [(5, 7, 12), (1, 1, 2), (1000, 1000, 2000), (0, 7, 3000), (5, 0, 3000)],
)
@pytest.mark.parametrize("binds", ["sender", "receiver"])
def test_how_much_inproc_holds(
    world: World, sndhwm: int, rcvhwm: int, holds: int, binds: str
) -> None:
    sender, receiver = world.socket(DEALER, sndhwm=sndhwm), world.socket(DEALER, rcvhwm=rcvhwm)
    first, second = (sender, receiver) if binds == "sender" else (receiver, sender)
    second.connect(first.bind(world.endpoint()))
    assert sender.send_while_possible(b"x", 3000) == holds


@clause("5.5.2b", "connected before there is a binder, only the own SNDHWM counts", on=INPROC)
def test_how_much_inproc_holds_before_the_bind(world: World) -> None:
    sender = world.socket(DEALER, sndhwm=5)
    sender.connect(world.fixed_endpoint())
    assert sender.send_while_possible(b"x", 3000) == 5


@clause("5.5.2c", "with a binder that comes later the limits are added", on=INPROC)
def test_how_much_inproc_holds_after_a_late_bind(world: World) -> None:
    endpoint = world.fixed_endpoint()
    sender = world.socket(DEALER, sndhwm=5)
    sender.connect(endpoint)
    receiver = world.socket(DEALER, rcvhwm=7)
    receiver.bind(endpoint)
    assert sender.send_while_possible(b"x", 3000) == 12


@clause("5.5.3", "unconnected, the network side holds exactly SNDHWM", on=NETWORK)
def test_how_much_a_dead_endpoint_holds(world: World) -> None:
    sender = world.socket(DEALER, sndhwm=7)
    sender.connect(world.fixed_endpoint())
    assert sender.send_while_possible(b"x", 3000) == 7


@clause("5.5.3b", "connected, network sides hold more than both limits together", on=NETWORK)
def test_how_much_the_network_holds(world: World) -> None:
    sender, _receiver = world.pair(DEALER, DEALER, {"sndhwm": 5}, rcvhwm=7)
    sent = 0
    while sender.is_writable(60):
        sender.send(b"x" * 10_000)
        sent += 1
    assert sent >= 12


@clause("5.5.4", "the reader reports every (limit + 1) // 2 messages", on=INPROC)
def test_room_is_noticed_at_the_low_water_mark(world: World) -> None:
    receiver, sender = world.pair(DEALER, DEALER, {"rcvhwm": 7}, sndhwm=5)
    assert sender.send_while_possible(b"x") == 12
    for _ in range(5):
        receiver.recv()
        assert sender.send_error(b"x") == EAGAIN
    receiver.recv()
    assert sender.events() & 2
    assert sender.send_while_possible(b"x") == 6


@clause("5.5.1", "a multipart message counts as one, and the limit never splits it", on=INPROC)
def test_a_multipart_message_counts_once(world: World) -> None:
    receiver, sender = world.pair(DEALER, DEALER, {"rcvhwm": 1}, sndhwm=1)
    sender.send(b"1", b"2", b"3")
    sender.send_part(b"4")
    sender.send_part(b"5")
    sender.send_part(b"6", 0)
    assert sender.send_error(b"x") == EAGAIN
    assert [receiver.recv(), receiver.recv()] == [[b"1", b"2", b"3"], [b"4", b"5", b"6"]]


@clause("5.5.6", "lowering a limit drops nothing")
def test_lowering_a_limit_drops_nothing(world: World) -> None:
    receiver, sender = world.pair(DEALER, DEALER)
    for number in range(50):
        sender.send(b"%d" % number)
    sender.set(SNDHWM, 1)
    receiver.set(RCVHWM, 1)
    assert receiver.recv_all() == [[b"%d" % number] for number in range(50)]


@clause("5.5.6b", "a limit may be raised on a standing connection", on=INPROC)
def test_raising_a_limit_has_effect(world: World) -> None:
    _receiver, sender = world.pair(DEALER, DEALER, {"rcvhwm": 1}, sndhwm=1)
    sender.set(SNDHWM, 9)
    assert sender.send_while_possible(b"x") == 10


@clause(
    "5.5.6c",
    "over inproc limits are those at bind() and connect(), although set before they meet",
    on=INPROC,
)
def test_limits_are_those_at_bind_and_connect(world: World) -> None:
    receiver, endpoint = world.bound(DEALER, rcvhwm=7)
    receiver.set(RCVHWM, 2)
    sender = world.socket(DEALER, sndhwm=5)
    sender.connect(endpoint)
    assert sender.send_while_possible(b"x") == 12
    endpoint = world.fixed_endpoint()
    early = world.socket(DEALER, sndhwm=5)
    early.connect(endpoint)
    early.set(SNDHWM, 3)
    world.socket(DEALER, rcvhwm=7).bind(endpoint)
    assert early.send_while_possible(b"x") == 12


@clause(
    "5.5.6d",
    "over inproc SNDHWM that is set after connect() and before the bind() counts 1000 more",
    on=INPROC,
)
def test_a_limit_that_is_set_before_the_bind(world: World) -> None:
    sender = world.socket(DEALER, sndhwm=5)
    sender.connect(world.fixed_endpoint())
    sender.set(SNDHWM, 3)
    assert sender.send_while_possible(b"x", 3000) == 1003


@clause(
    "5.5.6e",
    "over inproc a receiver's new RCVHWM is added to its old one, in place of the sender's SNDHWM",
    on=INPROC,
)
def test_a_receiver_that_changes_its_limit(world: World) -> None:
    receiver, sender = world.pair(DEALER, DEALER, {"rcvhwm": 7}, sndhwm=5)
    receiver.events()
    receiver.set(RCVHWM, 2)
    sender.events()
    assert sender.send_while_possible(b"x") == 9


@clause("5.5.6f", "over inproc the reader reports by the changed limit", on=INPROC)
def test_a_changed_limit_says_when_the_reader_reports(world: World) -> None:
    receiver, sender = world.pair(DEALER, DEALER, {"rcvhwm": 7}, sndhwm=5)
    receiver.events()
    sender.set(SNDHWM, 9)
    assert sender.send_while_possible(b"x") == 16
    receiver.events()
    for _ in range(6):
        receiver.recv()
        assert sender.events() & POLLOUT == 0
    receiver.recv()
    assert sender.events() & POLLOUT


# --- loss and recovery ----------------------------------------------------------


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
    served = []
    while workers[1].is_readable(60):
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


# --- closing --------------------------------------------------------------------


@clause("5.8.1a", "close() with LINGER 0 drops what is not sent", on=NETWORK)
def test_linger_0_drops_the_unsent(world: World) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH, reconnect_ivl=10)
    push.connect(endpoint)
    push.send(b"x")
    push.close(0)
    world.settle()
    pull = world.socket(PULL)
    pull.bind(endpoint)
    assert not pull.is_readable(100)


@clause("5.8.1b", "with LINGER -1 it arrives, also at a server that starts later", on=NETWORK)
def test_linger_for_ever_delivers_later(world: World) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH, reconnect_ivl=10, linger=-1)
    push.connect(endpoint)
    for number in range(3):
        push.send(b"%d" % number)
    push.close()
    world.settle()
    pull = world.socket(PULL)
    pull.bind(endpoint)
    assert pull.recv_all() == [[b"0"], [b"1"], [b"2"]]


@clause("5.8.1c", "with LINGER n it is dropped after n ms", on=NETWORK)
def test_linger_for_a_while_gives_up(world: World) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH, reconnect_ivl=10, linger=20)
    push.connect(endpoint)
    push.send(b"x")
    push.close()
    world.sleep_ms(80)
    pull = world.socket(PULL)
    pull.bind(endpoint)
    assert not pull.is_readable(100)


@clause(
    "5.8.2", "over inproc everything written before the close arrives, whatever LINGER", on=INPROC
)
def test_inproc_delivers_whatever_linger(world: World) -> None:
    pull, push = world.pair(PULL, PUSH)
    for number in range(10):
        push.send(b"%d" % number)
    push.close(0)
    assert pull.recv_all() == [[b"%d" % number] for number in range(10)]


@clause("5.8.2b", "over inproc that holds for a binder that comes later", on=INPROC)
def test_inproc_delivers_to_a_later_binder(world: World) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH)
    push.connect(endpoint)
    push.send(b"x")
    push.close(0)
    pull = world.socket(PULL)
    pull.bind(endpoint)
    assert pull.recv() == [b"x"]


@clause("5.8.4a", "a blocked call returns ETERM when the context ends")
def test_a_blocked_receive_ends_with_the_context(world: World) -> None:
    rep, _endpoint = world.bound(REP, rcvtimeo=-1)

    def wait() -> int:
        error = rep.recv_error(flags=0)
        rep.close(0)
        return error

    result = world.run_beside(wait)
    world.settle()
    world.term()
    assert result() == ETERM


@clause("5.8.4b", "every later call is ETERM, until the socket is closed")
def test_later_calls_are_refused_too(world: World) -> None:
    rep, _endpoint = world.bound(REP)
    done = world.run_beside(world.term)
    world.settle()
    assert rep.recv_error() == ETERM
    assert rep.send_error(b"x") == ETERM
    rep.close(0)
    done()


@clause("5.8.4c", "the end of a context waits for what lingers", on=NETWORK)
def test_term_waits_for_lingering_messages(world: World) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH, reconnect_ivl=10, linger=120)
    push.connect(endpoint)
    push.send(b"x")
    push.close()
    started = world.now_ms()
    world.term()
    assert world.now_ms() - started >= 100


@clause("5.8-closed", "every call on a closed socket is ENOTSOCK")
def test_a_closed_socket_refuses_every_call(world: World) -> None:
    rep, _endpoint = world.bound(REP)
    rep.close(0)
    assert rep.recv_error() == 88
    assert rep.send_error(b"x") == 88


@clause("4-disconnect", "after disconnect() nothing can be sent, and a second one is ENOENT")
def test_disconnect_removes_the_pipe(world: World) -> None:
    _pull, endpoint = world.bound(PULL)
    push = world.socket(PUSH)
    push.connect(endpoint)
    world.settle()
    push.disconnect(endpoint)
    world.settle()
    assert push.send_error(b"x") == EAGAIN
    assert error_of(lambda: push.disconnect(endpoint)) == ENOENT


@clause("4-disconnect-unbound", "disconnect() from a name that nobody has bound", on=INPROC)
def test_disconnect_from_a_name_that_nobody_has_bound(world: World) -> None:
    push = world.socket(PUSH)
    endpoint = world.fixed_endpoint()
    push.connect(endpoint)
    assert push.events() == POLLOUT
    push.disconnect(endpoint)
    assert [push.events() for _ in range(3)] == [0, 0, 0]
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    dealer.disconnect(endpoint)
    assert [dealer.events() for _ in range(3)] == [0, 0, 0]
    assert dealer.recv_error() == EAGAIN


@clause("4-disconnect-bound", "over inproc the binder's disconnect() frees the name", on=INPROC)
def test_disconnect_frees_a_bound_name(world: World) -> None:
    push, endpoint = world.bound(PUSH)
    push.disconnect(endpoint)
    world.socket(PUSH).bind(endpoint)


@clause(
    "4-unbind",
    "after unbind() the name is free, and connections that came in are closed",
    on=NETWORK,
)
def test_unbind_closes_what_came_in(world: World) -> None:
    push, endpoint = world.bound(PUSH)
    pull = world.socket(PULL, reconnect_ivl=1000)
    pull.connect(endpoint)
    assert push.is_writable()
    push.unbind(endpoint)
    world.settle()
    assert push.send_error(b"x") == EAGAIN


@clause("4-unbind-inproc", "unbind() frees an inproc name; its connections stay", on=INPROC)
def test_unbind_of_inproc_keeps_connections(world: World) -> None:
    push, endpoint = world.bound(PUSH)
    pull = world.socket(PULL)
    pull.connect(endpoint)
    push.unbind(endpoint)
    push.send(b"x")
    assert pull.recv() == [b"x"]
    world.socket(PUSH).bind(endpoint)


@clause(
    "4-disconnect-late",
    "a disconnect() reaches the peer with the next call of its socket",
    on=NETWORK,
)
def test_a_disconnect_needs_another_call(world: World) -> None:
    peer, endpoint = world.bound(DEALER)
    dealer = world.socket(DEALER)
    dealer.connect(endpoint)
    world.settle()
    dealer.disconnect(endpoint)
    world.settle()
    assert peer.events() & 2
    dealer.events()
    world.settle()
    assert peer.events() == 0


@clause("5.7.4", "a DEALER peer lost between two frames: the rest is swallowed, the next is clean")
def test_dealer_peer_lost_between_frames(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    first = world.socket(DEALER)
    first.connect(endpoint)
    world.settle()
    dealer.events()
    second = world.socket(DEALER)
    second.connect(endpoint)
    world.settle()
    dealer.events()
    dealer.send_part(b"1a")
    first.close(0)
    world.settle()
    dealer.send_part(b"1b")
    dealer.send_part(b"1c", 0)
    dealer.send(b"2")
    assert second.recv() == [b"2"]
