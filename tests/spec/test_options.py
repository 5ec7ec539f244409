"""Options (2.5), errors of endpoints (2.6), monitors (5.2.9), the proxy (5.10), PUB and SUB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reqrep.harness.simulation import constants as c
from reqrep.harness.simulation.constants import (
    DEALER,
    EHOSTUNREACH,
    EINVAL,
    PAIR,
    PUB,
    PULL,
    PUSH,
    REP,
    REQ,
    ROUTER,
    SUB,
    XPUB,
    XSUB,
)

from .clauses import INPROC, NETWORK, clause
from .worlds import SpecSocket, World, error_of

TYPES = [PAIR, PUB, SUB, REQ, REP, DEALER, ROUTER, c.PULL, c.PUSH, XPUB, XSUB]


def name(number: int) -> str:
    return c.TYPE_NAMES[number]


DEFAULTS = {
    c.LINGER: -1, c.SNDHWM: 1000, c.RCVHWM: 1000, c.RCVTIMEO: -1, c.SNDTIMEO: -1,
    c.RECONNECT_IVL: 100, c.RECONNECT_IVL_MAX: 0, c.BACKLOG: 100, c.MAXMSGSIZE: -1,
    c.IMMEDIATE: 0, c.HANDSHAKE_IVL: 30000, c.HEARTBEAT_IVL: 0, c.HEARTBEAT_TTL: 0,
    c.HEARTBEAT_TIMEOUT: -1, c.CONNECT_TIMEOUT: 0, c.CONFLATE: 0, c.TCP_KEEPALIVE: -1,
    c.TCP_KEEPALIVE_CNT: -1, c.TCP_KEEPALIVE_IDLE: -1, c.TCP_KEEPALIVE_INTVL: -1,
    c.IPV4ONLY: 1, c.RATE: 100, c.RECOVERY_IVL: 10000, c.SNDBUF: -1, c.RCVBUF: -1, c.TOS: 0,
    c.USE_FD: -1, c.MULTICAST_MAXTPDU: 1500, c.ROUTING_ID: b"", c.LAST_ENDPOINT: b"",
    c.MECHANISM: 0, c.THREAD_SAFE: 0, c.RCVMORE: 0, c.AFFINITY: 0, c.MULTICAST_HOPS: 1,
    c.INVERT_MATCHING: 0, c.TCP_MAXRT: 0, c.IPV6: 0,
}  # fmt: skip


@clause("2.5-defaults", "what a fresh socket says", on=("simulated-tcp", "tcp"))
@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_defaults(world: World, kind: int) -> None:
    socket = world.raw(kind)
    expected = dict(DEFAULTS)
    if kind in (SUB, XSUB):
        expected[c.LINGER] = 0
    assert {option: socket.get(option) for option in expected} == expected
    events = 2 if kind in (ROUTER, PUB, XPUB, XSUB) else 0
    assert socket.events() == events
    assert socket.get(c.TYPE) == kind
    socket.close()


VALUES = [-2, -1, 0, 1, 2, 255, 2**31 - 1]
INT_OPTIONS = [
    c.LINGER, c.SNDHWM, c.RCVHWM, c.RCVTIMEO, c.SNDTIMEO, c.RECONNECT_IVL, c.RECONNECT_IVL_MAX,
    c.BACKLOG, c.IMMEDIATE, c.HANDSHAKE_IVL, c.HEARTBEAT_IVL, c.HEARTBEAT_TTL,
    c.HEARTBEAT_TIMEOUT, c.CONNECT_TIMEOUT, c.TCP_KEEPALIVE, c.TCP_KEEPALIVE_CNT,
    c.TCP_KEEPALIVE_IDLE, c.TCP_KEEPALIVE_INTVL, c.IPV6, c.IPV4ONLY, c.RATE, c.RECOVERY_IVL,
    c.SNDBUF, c.RCVBUF, c.TOS, c.MULTICAST_MAXTPDU, c.MULTICAST_HOPS, c.INVERT_MATCHING,
    c.TCP_MAXRT, c.ROUTER_MANDATORY, c.ROUTER_HANDOVER, c.PROBE_ROUTER,
    c.REQ_CORRELATE, c.REQ_RELAXED, c.XPUB_VERBOSE, c.XPUB_VERBOSER, c.XPUB_NODROP,
    c.MECHANISM, c.THREAD_SAFE, c.RCVMORE, c.FD, c.EVENTS, c.TYPE, 9999,
]  # fmt: skip


@clause(
    "2.5-values",
    "which values an integer option takes, and on which types",
    on=("simulated-tcp",),
    only="oracle",
)
@pytest.mark.parametrize("kind", TYPES, ids=name)
def test_each_integer_option_takes_what_libzmq_takes(world: World, kind: int) -> None:
    import zmq

    context = zmq.Context()
    simulated, real = world.raw(kind), context.socket(kind)
    different = []
    try:
        for option in INT_OPTIONS:
            for value in VALUES:
                codes = (
                    error_of(simulated.set, option, value),
                    error_of(real.setsockopt, option, value),
                )
                if codes[0] != codes[1]:
                    different.append((option, value, codes))
    finally:
        real.close(0)
        context.term()
    assert different == []


@clause("2.5-bytes", "which values a routing id takes")
@pytest.mark.parametrize("kind", [REQ, DEALER, ROUTER, REP], ids=name)
def test_a_routing_id_has_1_to_255_bytes(world: World, kind: int) -> None:
    socket = world.socket(kind)
    codes = [
        error_of(socket.set, c.ROUTING_ID, value)
        for value in (b"", b"x", b"x" * 255, b"x" * 256, b"\0a")
    ]
    assert codes == [EINVAL, 0, 0, EINVAL, 0]
    assert socket.get(c.ROUTING_ID) == b"\0a"


@clause("2.5-write-only", "options that can only be set", on=("simulated-tcp", "tcp"))
@pytest.mark.parametrize(
    ("kind", "option"),
    [(ROUTER, c.ROUTER_MANDATORY), (ROUTER, c.ROUTER_HANDOVER), (ROUTER, c.PROBE_ROUTER),
     (REQ, c.REQ_RELAXED), (REQ, c.REQ_CORRELATE), (ROUTER, c.CONNECT_ROUTING_ID),
     (SUB, c.SUBSCRIBE), (SUB, c.UNSUBSCRIBE), (XPUB, c.XPUB_VERBOSE)],
)  # fmt: skip
def test_some_options_can_only_be_set(world: World, kind: int, option: int) -> None:
    socket = world.socket(kind)
    assert error_of(lambda: socket.get(option)) == EINVAL


@clause(
    "2.6-endpoints",
    "which endpoints are refused, with which error",
    on=("simulated-tcp",),
    only="oracle",
)
@pytest.mark.parametrize("verb", ["bind", "connect"])
@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "tcp", "tcp://", "://x", "foo://bar", "tcp://127.0.0.1", "tcp://127.0.0.1:",
     "tcp://:5555", "tcp://127.0.0.1:x", "inproc://", "tcp://x:1:", "tcp://a b:1", "tcp://127.0.0.1:a1",
     "ipc://", "tcp://*:*", "udp://127.0.0.1:5555", "inproc:/x", "tcp:127.0.0.1:1",
     "tcp://no such host:5555"],
)  # fmt: skip
def test_which_endpoints_are_refused(world: World, verb: str, text: str) -> None:
    import zmq

    context = zmq.Context()
    real: zmq.Socket[bytes] = context.socket(DEALER)
    real.linger = 0
    made = world.raw(DEALER)
    try:
        expected = error_of(lambda: getattr(real, verb)(text))
        assert error_of(lambda: getattr(made, verb)(text)) == expected
    finally:
        real.close(0)
        context.term()
        made.close()


@clause(
    "2.6-connect-0",
    "connecting to port 0 is accepted, and reaches nobody",
    on=("simulated-tcp", "tcp"),
)
def test_port_0_reaches_nobody(world: World) -> None:
    socket = world.socket(DEALER)
    assert error_of(lambda: socket.connect("tcp://127.0.0.1:0")) == 0
    assert socket.events() == 2


@clause(
    "2.6-in-use",
    "an endpoint is bound once",
    on=("simulated-inproc", "simulated-tcp", "inproc", "tcp"),
)
def test_an_endpoint_is_bound_once(world: World) -> None:
    _first, endpoint = world.bound(DEALER)
    second = world.socket(DEALER)
    assert error_of(lambda: second.bind(endpoint)) == c.EADDRINUSE


@clause("2.6-wildcard", "a wildcard port is resolved in LAST_ENDPOINT", on=("simulated-tcp", "tcp"))
@pytest.mark.parametrize("port", ["*", "0"])
@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("*", "0.0.0.0")])
def test_a_wildcard_port_is_resolved(world: World, host: str, port: str, shown: str) -> None:
    socket = world.socket(DEALER)
    resolved = socket.bind(f"tcp://{host}:{port}")
    assert resolved.startswith(f"tcp://{shown}:")
    assert int(resolved.rpartition(":")[2]) > 0
    assert error_of(lambda: socket.unbind(f"tcp://{host}:*")) == c.ENOENT
    peer = world.socket(DEALER)
    peer.connect(resolved.replace("0.0.0.0", "127.0.0.1"))
    peer.send(b"x")
    assert socket.recv() == [b"x"]
    socket.unbind(resolved)


@clause(
    "2.6-unbind-name", "unbind() takes the text that bind() was given", on=("simulated-tcp", "tcp")
)
def test_unbind_resolves_a_name(world: World) -> None:
    port = world.fixed_endpoint().rpartition(":")[2]
    socket = world.socket(DEALER)
    assert socket.bind(f"tcp://localhost:{port}") == f"tcp://127.0.0.1:{port}"
    assert error_of(lambda: socket.unbind(f"tcp://*:{port}")) == c.ENOENT
    assert error_of(lambda: socket.unbind(f"tcp://localhost:{port}")) == 0


@clause("2.6-last-endpoint", "LAST_ENDPOINT is that of the last bind or connect")
def test_last_endpoint_follows_binds_and_connects(world: World) -> None:
    socket, first = world.bound(DEALER)
    assert socket.get(c.LAST_ENDPOINT).decode() == first
    other, second = world.bound(DEALER)
    socket.connect(second)
    assert socket.get(c.LAST_ENDPOINT).decode() == second
    assert other.get(c.LAST_ENDPOINT).decode() == second


@clause("2.5-timeouts", "a timeout is kept to")
def test_a_receive_times_out(world: World) -> None:
    socket, _endpoint = world.bound(DEALER, rcvtimeo=50)
    started = world.now_ms()
    assert socket.recv_error(flags=0) == c.EAGAIN
    assert 49 <= world.now_ms() - started < 1000
    socket.set(c.RCVTIMEO, 0)
    assert socket.recv_error(flags=0) == c.EAGAIN


@clause("2.5-maxmsgsize", "a message above MAXMSGSIZE does not arrive", on=NETWORK)
def test_too_long_a_message_disconnects_its_sender(world: World) -> None:
    pull, push = world.pair(c.PULL, c.PUSH, {"maxmsgsize": 1000}, reconnect_ivl=10)
    push.send(b"x" * 1000)
    assert pull.recv() == [b"x" * 1000]
    push.send(b"x" * 1001)
    world.sleep_ms(100)
    push.send(b"short")
    assert pull.recv() == [b"short"]


@clause("2.5-late", "MAXMSGSIZE is that of the time of bind() or connect()", on=NETWORK)
@pytest.mark.parametrize("is_late", [True, False])
@pytest.mark.parametrize("verb", ["bind", "connect"])
def test_a_late_maxmsgsize_is_too_late(world: World, verb: str, is_late: bool) -> None:
    pull, push = world.socket(c.PULL), world.socket(c.PUSH)
    pull.set(c.MAXMSGSIZE, -1 if is_late else 1000)
    if verb == "bind":
        endpoint = pull.bind(world.endpoint())
    else:
        pull.connect(push.bind(world.endpoint()))
    pull.set(c.MAXMSGSIZE, 1000 if is_late else -1)
    if verb == "bind":
        push.connect(endpoint)
    push.send(b"x" * 1001)
    assert pull.nothing() != is_late


@clause("RCVMORE", "RCVMORE says whether the message goes on")
def test_rcvmore(world: World) -> None:
    one, other = world.pair(DEALER, DEALER)
    other.send(b"1", b"2")
    assert one.recv_part() == b"1"
    assert one.get(c.RCVMORE) == 1
    assert one.recv_part() == b"2"
    assert one.get(c.RCVMORE) == 0


# --- monitors -------------------------------------------------------------------


def heard(world: World, pair: SpecSocket) -> list[tuple[int, bytes]]:
    """The events that a monitor has told, and where."""
    found: list[tuple[int, bytes]] = []
    while len(found) < 10 and pair.is_readable(60):
        head, endpoint = pair.recv()
        assert len(head) == 6
        found.append((int.from_bytes(head[:2], "little"), endpoint))
    return found


def watched(world: World, socket: SpecSocket, number: int = 0) -> SpecSocket:
    """A PAIR that hears the monitor of a socket."""
    socket.monitor(f"inproc://monitor-{number}")
    pair = world.socket(PAIR)
    pair.connect(f"inproc://monitor-{number}")
    return pair


@clause(
    "5.2.9a",
    "events of a server: LISTENING, ACCEPTED, HANDSHAKE_SUCCEEDED, DISCONNECTED",
    on=NETWORK,
)
def test_events_of_a_server(world: World) -> None:
    server = world.socket(REP)
    pair = watched(world, server)
    endpoint = server.bind(world.endpoint())
    client = world.socket(REQ)
    client.connect(endpoint)
    world.settle()
    client.close(0)
    world.settle()
    events = [event for event, _ in heard(world, pair)]
    assert events == [
        c.EVENT_LISTENING, c.EVENT_ACCEPTED, c.EVENT_HANDSHAKE_SUCCEEDED, c.EVENT_DISCONNECTED,
    ]  # fmt: skip


@clause("5.2.9b", "events of a client whose server goes and comes", on=NETWORK)
def test_events_of_a_client(world: World) -> None:
    endpoint = world.fixed_endpoint()
    server = world.socket(REP)
    server.bind(endpoint)
    client = world.socket(REQ, reconnect_ivl=60)
    pair = watched(world, client)
    client.connect(endpoint)
    world.settle()
    server.close(0)
    world.settle()
    events = [event for event, _ in heard(world, pair)]
    if world.transport == "ipc":
        events = [event for event in events if event != c.EVENT_CONNECT_DELAYED]
    delayed = [] if world.transport == "ipc" else [c.EVENT_CONNECT_DELAYED]
    start = [*delayed, c.EVENT_CONNECTED, c.EVENT_HANDSHAKE_SUCCEEDED, c.EVENT_DISCONNECTED]
    assert events[: len(start) + 1] == [*start, c.EVENT_CONNECT_RETRIED]


@clause(
    "5.2.9c",
    "events of a refused connection: DELAYED, CLOSED, RETRIED",
    on=("simulated-tcp", "tcp"),
)
def test_events_of_a_refused_connection(world: World) -> None:
    client = world.socket(REQ, reconnect_ivl=40)
    pair = watched(world, client)
    client.connect(world.fixed_endpoint())
    world.sleep_ms(60)
    events = [event for event, _ in heard(world, pair)]
    assert events[:4] == [
        c.EVENT_CONNECT_DELAYED, c.EVENT_CLOSED, c.EVENT_CONNECT_RETRIED, c.EVENT_CONNECT_DELAYED,
    ]  # fmt: skip


@clause("1.11-events", "a refused handshake: CONNECTED then DISCONNECTED, no retry", on=NETWORK)
def test_events_of_a_refused_handshake(world: World) -> None:
    _one, endpoint = world.bound(REQ)
    other = world.socket(REQ, reconnect_ivl=10)
    pair = watched(world, other)
    other.connect(endpoint)
    world.sleep_ms(100)
    events = [event for event, _ in heard(world, pair)]
    events = [event for event in events if event != c.EVENT_CONNECT_DELAYED]
    assert events == [c.EVENT_CONNECTED, c.EVENT_DISCONNECTED]


@clause("5.2.9d", "inproc connections have no events", on=("simulated-inproc", "inproc"))
def test_inproc_has_no_events(world: World) -> None:
    server = world.socket(REP)
    pair = watched(world, server)
    client = world.socket(REQ)
    client.connect(server.bind(world.endpoint()))
    client.close(0)
    assert heard(world, pair) == []


# --- the proxy ------------------------------------------------------------------


def proxied(
    world: World, capture: SpecSocket | None = None, **options: int
) -> tuple[str, str, Callable[[], Any]]:
    """A proxy that runs, and how to reach its ends; the options are of its front."""
    front, front_at = world.bound(ROUTER, **options)
    back, back_at = world.bound(DEALER)

    sockets = [front, back, *([capture] if capture is not None else [])]

    def run() -> int:
        code = error_of(lambda: world.proxy(*sockets))
        for socket in sockets:
            socket.close(0)
        return code

    return front_at, back_at, world.run_beside(run)


@clause("5.10.1", "without workers requests wait, and are served in order when one comes")
def test_requests_wait_for_a_worker(world: World) -> None:
    front_at, back_at, done = proxied(world)
    client = world.socket(DEALER)
    client.connect(front_at)
    for number in range(5):
        client.send(b"", b"%d" % number)
    world.settle()
    worker = world.socket(REP)
    worker.connect(back_at)
    for number in range(5):
        assert worker.recv() == [b"%d" % number]
        worker.send(b"r%d" % number)
    assert [client.recv()[1] for _ in range(5)] == [b"r%d" % number for number in range(5)]
    client.close(0)
    worker.close(0)
    world.term()
    assert done() == c.ETERM


@clause("5.10.3", "the capture socket gets a copy of each message, both ways")
def test_a_capture_socket_gets_copies(world: World) -> None:
    tap, tap_at = world.bound(PULL)
    capture = world.socket(PUSH)
    capture.connect(tap_at)
    front_at, back_at, done = proxied(world, capture)
    client, worker = world.socket(DEALER, routing_id=b"client"), world.socket(REP)
    client.connect(front_at)
    worker.connect(back_at)
    client.send(b"", b"request", b"of two frames")
    assert worker.recv() == [b"request", b"of two frames"]
    assert tap.recv() == [b"client", b"", b"request", b"of two frames"]
    worker.send(b"reply")
    assert client.recv() == [b"", b"reply"]
    assert tap.recv() == [b"client", b"", b"reply"]
    for socket in (client, worker, tap):
        socket.close(0)
    world.term()
    assert done() == c.ETERM


@clause("5.10.4", "a MANDATORY front ends the proxy when a client has gone before its reply")
def test_a_proxy_dies_of_a_client_that_left(world: World) -> None:
    front_at, back_at, done = proxied(world, router_mandatory=1)
    worker = world.socket(REP)
    worker.connect(back_at)
    stays, leaves = world.socket(DEALER), world.socket(DEALER)
    for client in (stays, leaves):
        client.connect(front_at)
        client.send(b"", b"x")
        assert worker.recv() == [b"x"]
        if client is stays:
            worker.send(b"y")
    assert stays.recv() == [b"", b"y"]
    leaves.close(0)
    world.settle()
    worker.send(b"y")
    assert done() == EHOSTUNREACH


@clause("5.10.6", "a proxy between a socket and itself is an echo")
def test_a_proxy_with_one_socket_echoes(world: World) -> None:
    socket, endpoint = world.bound(ROUTER)

    def run() -> int:
        code = error_of(lambda: world.proxy(socket, socket))
        socket.close(0)
        return code

    done = world.run_beside(run)
    client = world.socket(DEALER)
    client.connect(endpoint)
    for body in (b"one", b"two"):
        client.send(body, b"")
        assert client.recv() == [body, b""]
    client.close(0)
    world.term()
    assert done() == c.ETERM


@clause("INV-PROXY-5", "requests rotate over the workers")
def test_a_proxy_rotates_over_workers(world: World) -> None:
    front_at, back_at, done = proxied(world)
    workers = [world.socket(REP) for _ in range(3)]
    for worker in workers:
        worker.connect(back_at)
    world.settle()
    client = world.socket(DEALER)
    client.connect(front_at)
    for number in range(9):
        client.send(b"", b"%d" % number)
    world.settle()
    for worker in workers:
        for _ in range(3):
            worker.send(*worker.recv())
        assert not worker.is_readable(20)
    for socket in (client, *workers):
        socket.close(0)
    world.term()
    assert done() == c.ETERM


# --- PUB and SUB ----------------------------------------------------------------


@clause("PUB-SUB-1", "a SUB hears what it subscribed to, by prefix")
def test_a_subscriber_hears_its_topics(world: World) -> None:
    pub, endpoint = world.bound(PUB)
    sub = world.socket(SUB)
    sub.set(c.SUBSCRIBE, b"a")
    sub.connect(endpoint)
    world.settle()
    pub.events()
    for topic in (b"abc", b"b", b"a"):
        pub.send(topic, b"body")
    assert [sub.recv(), sub.recv()] == [[b"abc", b"body"], [b"a", b"body"]]
    assert sub.nothing()
    sub.set(c.UNSUBSCRIBE, b"a")
    world.settle()
    pub.send(b"abc")
    assert sub.nothing()


@clause("PUB-SUB-2", "an XPUB is told of the first subscription and the last end of one")
def test_xpub_is_told_of_subscriptions(world: World) -> None:
    xpub, endpoint = world.bound(XPUB)
    subs = [world.socket(SUB) for _ in range(2)]
    for sub in subs:
        sub.connect(endpoint)
        sub.set(c.SUBSCRIBE, b"t")
    assert xpub.recv() == [b"\x01t"]
    assert xpub.nothing()
    subs[0].close(0)
    assert xpub.nothing()
    subs[1].close(0)
    assert xpub.recv() == [b"\x00t"]


@clause("PUB-SUB-4", "with XPUB_NODROP all hear a message, or it waits and nobody does", on=INPROC)
def test_a_message_that_must_not_be_dropped_waits_for_all(world: World) -> None:
    xpub, endpoint = world.bound(XPUB, sndhwm=1, xpub_nodrop=1)
    subs = [world.socket(SUB, rcvhwm=limit) for limit in (9, 1)]
    for sub in subs:
        sub.set(c.SUBSCRIBE, b"")
        sub.connect(endpoint)
    xpub.events()
    assert xpub.send_while_possible(b"x") == 2
    assert xpub.send_error(b"a", b"b") == c.EAGAIN
    assert [len(sub.recv_all()) for sub in subs] == [2, 2]


@clause("PUB-SUB-5", "each SUBSCRIBE goes up to the publisher, and the last end of them")
def test_a_verbose_xpub_hears_each_subscription(world: World) -> None:
    xpub, sub = world.pair(XPUB, SUB, {"xpub_verbose": 1})
    for option in (c.SUBSCRIBE, c.SUBSCRIBE, c.UNSUBSCRIBE, c.UNSUBSCRIBE):
        sub.set(option, b"t")
        world.settle()
    assert xpub.recv_all() == [[b"\x01t"], [b"\x01t"], [b"\x00t"]]
    xpub.send(b"t")
    assert sub.nothing()


@clause("PUB-SUB-6", "to take back what was never subscribed is no error, and goes nowhere")
def test_an_unsubscription_of_nothing_is_no_error(world: World) -> None:
    xpub, sub = world.pair(XPUB, SUB)
    assert error_of(sub.set, c.UNSUBSCRIBE, b"never") == 0
    assert xpub.nothing()


@clause("PUB-SUB-7", "POLLIN of a SUB is not about what matches nothing any more")
def test_a_sub_is_not_readable_for_what_it_does_not_want(world: World) -> None:
    pub, sub = world.pair(PUB, SUB)
    sub.set(c.SUBSCRIBE, b"t")
    world.settle()
    pub.events()
    pub.send(b"t", b"1")
    world.settle()
    sub.set(c.UNSUBSCRIBE, b"t")
    assert sub.events() == 0


@clause("PAIR-1", "PAIR sends and receives freely; without a peer a send waits")
def test_pair_talks_both_ways(world: World) -> None:
    one, endpoint = world.bound(PAIR)
    assert one.send_error(b"x") == c.EAGAIN
    other = world.socket(PAIR)
    other.connect(endpoint)
    other.send(b"1")
    other.send(b"2", b"3")
    assert [one.recv(), one.recv()] == [[b"1"], [b"2", b"3"]]
    one.send(b"4")
    assert other.recv() == [b"4"]
