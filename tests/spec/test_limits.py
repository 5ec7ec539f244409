"""How much a pipe holds: high-water marks (5.5), over inproc and over a network (5.9)."""

from __future__ import annotations

import pytest

from reqrep.harness.simulation.constants import (
    DEALER,
    EAGAIN,
    ENOENT,
    POLLIN,
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
    assert sender.is_writable()
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


def is_bounded(sender: SpecSocket) -> bool:
    """Whether a sender that nobody reads from comes to an end of what it can send."""
    sent = 0
    while sent < 500:
        taken = sender.send_while_possible(b"x" * 65536, 100)
        if not taken:
            return True
        sent += taken
        sender.world.settle()
        sender.events()
    return False


@clause("5.5.6g", "what a bind() made has the limits of that time, whoever comes later", on=NETWORK)
@pytest.mark.parametrize("is_limited", [True, False])
@pytest.mark.parametrize(("kind", "option"), [(PUSH, SNDHWM), (PULL, RCVHWM)])
def test_a_bound_socket_keeps_its_limits(
    world: World, kind: int, option: int, is_limited: bool
) -> None:
    bound = world.socket(kind)
    bound.set(option, int(is_limited))
    endpoint = bound.bind(world.endpoint())
    bound.set(option, int(not is_limited))
    peer = world.socket(PULL if kind == PUSH else PUSH, sndhwm=50, rcvhwm=1)
    peer.connect(endpoint)
    world.settle()
    bound.events()
    assert is_bounded(bound if kind == PUSH else peer) == is_limited


@clause("5.5.6h", "with IMMEDIATE a connection has the limits of its connect()", on=NETWORK)
@pytest.mark.parametrize("is_limited", [True, False])
def test_a_waiting_connector_keeps_its_limits(world: World, is_limited: bool) -> None:
    endpoint = world.fixed_endpoint()
    push = world.socket(PUSH, immediate=1, reconnect_ivl=10, sndhwm=int(is_limited))
    push.connect(endpoint)
    push.set(SNDHWM, int(not is_limited))
    pull = world.socket(PULL, rcvhwm=1)
    assert world.eventually(lambda: binds(pull, endpoint))
    assert push.is_writable()
    assert is_bounded(push) == is_limited


@clause("5.5.6i", "a limit that is raised makes room with the next report, or frame", on=INPROC)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_limit_that_is_raised_makes_room_when_the_reader_speaks(
    world: World, frames: int
) -> None:
    sender, receiver = world.socket(DEALER, sndhwm=3), world.socket(DEALER, rcvhwm=3)
    sender.connect(receiver.bind(world.endpoint()))
    for _ in range(6):
        assert sender.send_error(*[b"x"] * frames) == 0
    assert sender.send_error(b"x") == EAGAIN
    sender.set(SNDHWM, 9)
    assert sender.send_error(b"x") == EAGAIN
    receiver.recv()
    # It reports after some messages; before each other frame it says what it has reported.
    assert sender.is_writable(50) == (frames > 1)
    receiver.recv_all()
    assert sender.is_writable()


@clause(
    "5.5.6m", "so do the frames between the first, which was looked at, and the last", on=INPROC
)
@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("frames", [2, 3])
def test_the_middle_of_a_message_makes_room_too(world: World, frames: int, by_frame: bool) -> None:
    router, endpoint = world.bound(ROUTER, rcvhwm=1)
    sender = world.socket(DEALER, sndhwm=1)
    sender.connect(endpoint)
    assert sender.send_error(*[b"x"] * frames) == 0
    assert router.events() & POLLIN  # Its first frame is read,
    sender.events()  # and what that tells the sender is no news yet.
    assert sender.send_error(b"") == 0
    assert sender.send_error(b"") == EAGAIN
    router.set(RCVHWM, 3)
    assert not sender.is_writable(20)
    if by_frame:
        for _ in range(frames):  # The routing id, and all but the last.
            assert not sender.is_writable(20)
            router.recv_part()
    else:
        router.recv()
    assert sender.is_writable(50) == (frames > 2)


@clause(
    "5.5.6k",
    "a binder that comes later makes room for who was full, unless the limit was lifted meanwhile; "
    "a ROUTER always",
    on=INPROC,
)
@pytest.mark.parametrize("is_lifted", [False, True])
@pytest.mark.parametrize("kind", [DEALER, PULL, REP, REQ, ROUTER])
def test_a_binder_makes_room_when_it_comes(world: World, kind: int, is_lifted: bool) -> None:
    endpoint = world.fixed_endpoint()
    early = world.socket(PUSH if kind == PULL else DEALER, sndhwm=1)
    early.connect(endpoint)
    assert early.send_error(b"") == 0
    assert early.send_error(b"") == EAGAIN
    if is_lifted:
        early.set(SNDHWM, 0)
        early.events()  # Looks into the mailbox, which the change goes through.
    binder = world.socket(kind)
    binder.bind(endpoint)
    world.settle()
    has_room = not is_lifted or kind in (REP, ROUTER)
    assert early.send_error(b"") == (0 if has_room else EAGAIN)


@clause(
    "5.5.6l",
    "a ROUTER that reads who has connected makes room for whose limit was raised",
    on=INPROC,
)
@pytest.mark.parametrize("kind", [DEALER, PULL, REP, ROUTER])
def test_a_limit_that_is_raised_makes_room_when_the_peer_is_named(world: World, kind: int) -> None:
    binder, endpoint = world.bound(kind, rcvhwm=1)
    sender = world.socket(PUSH if kind == PULL else DEALER, sndhwm=1)
    sender.connect(endpoint)
    assert sender.send_while_possible(b"") == 2
    sender.set(SNDHWM, 0)
    assert sender.send_error(b"") == EAGAIN
    assert error_of(binder.unbind, "inproc://unknown") == ENOENT  # It looks into its mailbox.
    world.settle()
    assert sender.send_error(b"") == (0 if kind in (REP, ROUTER) else EAGAIN)


@clause("5.5.6j", "to look whether a message is there reads its first frame", on=INPROC)
def test_a_limit_that_is_raised_makes_room_when_the_reader_looks(world: World) -> None:
    rep, endpoint = world.bound(REP, sndhwm=0, rcvhwm=1)
    req = world.socket(REQ, sndhwm=1, req_relaxed=1)
    req.connect(endpoint)
    assert req.send_error(b"1") == 0
    assert req.send_error(b"2") == 0
    assert not req.events() & POLLOUT
    assert rep.events() & POLLIN
    req.set(SNDHWM, 0)
    world.settle()
    assert req.send_error(b"3") == 0
