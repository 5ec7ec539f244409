"""What becomes of messages and calls when a socket or a context ends (5.8)."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation.constants import (
    DEALER,
    DONTWAIT,
    EAGAIN,
    ENOENT,
    ETERM,
    POLLOUT,
    PULL,
    PUSH,
    REP,
    ROUTER,
    SNDMORE,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import World, error_of


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


@clause(
    "4-unbind-unread",
    "what had arrived before unbind() stays readable; what was not sent is lost",
    on=NETWORK,
)
def test_unbind_keeps_what_had_arrived(world: World) -> None:
    router, endpoint = world.bound(ROUTER)
    dealer = world.socket(DEALER, routing_id=b"d", reconnect_ivl=60_000)
    dealer.connect(endpoint)
    dealer.send(b"1")
    dealer.send(b"2")
    world.settle()
    router.unbind(endpoint)
    world.settle()
    router.send(b"d", b"3")
    assert router.recv_all() == [[b"d", b"1"], [b"d", b"2"]]
    assert dealer.nothing()


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


@clause("5.7.4b", "who does not wait is told once that its DEALER peer was lost between two frames")
@pytest.mark.parametrize(("timeout_ms", "flags"), [(0, 0), (3000, DONTWAIT), (3000, 0)])
def test_a_loss_between_frames_is_told(world: World, timeout_ms: int, flags: int) -> None:
    dealer, peer = world.pair(DEALER, DEALER, {"sndtimeo": timeout_ms})
    dealer.send_part(b"1")
    peer.close(0)
    world.settle()
    expected = EAGAIN if flags or not timeout_ms else 0
    assert error_of(lambda: dealer.send_part(b"2", SNDMORE | flags)) == expected


@clause(
    "5.7.4c", "an end that was read before the socket heard of it ends the pipe at once", on=INPROC
)
def test_an_end_that_is_read_early_is_known_early(world: World) -> None:
    dealer, endpoint = world.bound(DEALER)
    goes, comes = world.socket(DEALER), world.socket(DEALER)
    goes.connect(endpoint)
    for number in range(2):
        goes.send(b"%d" % number)
    assert dealer.recv() == [b"0"]
    dealer.send_part(b"a message")
    comes.connect(endpoint)
    comes.send(b"2")
    goes.close(0)
    world.settle()
    assert dealer.recv() == [b"1"]
    # Looking for more it reads the end, then its mailbox, which tells of that and of who has come.
    assert dealer.recv() == [b"2"]
    world.settle()
    dealer.events()
    assert dealer.send_error(b"to nobody") == 0  # Swallowed with the part before it.
    assert comes.nothing()


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
