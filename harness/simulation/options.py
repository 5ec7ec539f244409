"""Socket options: which there are, what they accept, what a fresh socket says.

One row per option. Types are those of the C interface: `int` (four bytes), `int64`,
`bytes`. What libzmq does not say it refuses with EINVAL, and so do we.

Source: docs/clauses.md, 2.5; pyzmq, backend/cython/_zmq.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import MisuseError
from . import constants as c
from .constants import EINVAL, SimulatedError

INT_MAX = 2**31 - 1
ALL = frozenset(range(12))
ROUTERS = frozenset({c.ROUTER, c.REP})  # REP inherits the options of ROUTER.
DEALERS = frozenset({c.DEALER, c.REQ})  # REQ inherits those of DEALER.
PUBLISHERS = frozenset({c.PUB, c.XPUB})


class Option(NamedTuple):
    """One row of the table.

    Attributes:
        name: As in libzmq, in small letters; the attribute of `Options` that holds it.
        default: What a fresh socket says.
        low, high: The least and the greatest value; of bytes, the length.
        types: The socket types that have it; others say EINVAL.
        readable, writable: What a program may do.
    """

    name: str
    default: int | bytes
    low: int = 0
    high: int = INT_MAX
    types: frozenset[int] = ALL
    readable: bool = True
    writable: bool = True


def _flag(name: str, types: frozenset[int], *, readable: bool = False) -> Option:
    return Option(name, 0, 0, 1, types, readable)


def _loose_flag(name: str, types: frozenset[int]) -> Option:
    # libzmq takes every number from 0 on as "not zero" here.
    return Option(name, 0, 0, INT_MAX, types, readable=False)


OPTIONS: dict[int, Option] = {
    c.AFFINITY: Option("affinity", 0, 0, 2**64 - 1),
    c.ROUTING_ID: Option("routing_id", b"", 1, 255),
    c.RATE: Option("rate", 100, 1),
    c.RECOVERY_IVL: Option("recovery_ivl", 10000),
    c.SNDBUF: Option("sndbuf", -1, -1),
    c.RCVBUF: Option("rcvbuf", -1, -1),
    c.LINGER: Option("linger", -1, -1),
    c.RECONNECT_IVL: Option("reconnect_ivl", 100, -1),
    c.BACKLOG: Option("backlog", 100),
    c.RECONNECT_IVL_MAX: Option("reconnect_ivl_max", 0),
    c.MAXMSGSIZE: Option("maxmsgsize", -1, -(2**63), 2**63 - 1),
    c.SNDHWM: Option("sndhwm", 1000),
    c.RCVHWM: Option("rcvhwm", 1000),
    c.MULTICAST_HOPS: Option("multicast_hops", 1, 1),
    c.RCVTIMEO: Option("rcvtimeo", -1, -1),
    c.SNDTIMEO: Option("sndtimeo", -1, -1),
    c.IPV4ONLY: _flag("ipv4only", ALL, readable=True)._replace(default=1),
    c.IPV6: _flag("ipv6", ALL, readable=True),
    c.ROUTER_MANDATORY: _loose_flag("router_mandatory", ROUTERS),
    c.ROUTER_RAW: _loose_flag("router_raw", ROUTERS),
    c.ROUTER_HANDOVER: _loose_flag("router_handover", ROUTERS),
    c.CONNECT_ROUTING_ID: Option(
        "connect_routing_id", b"", 1, 255, ROUTERS | {c.STREAM}, readable=False
    ),
    c.PROBE_ROUTER: _loose_flag("probe_router", ROUTERS | DEALERS),
    c.REQ_CORRELATE: _loose_flag("req_correlate", frozenset({c.REQ})),
    c.REQ_RELAXED: _loose_flag("req_relaxed", frozenset({c.REQ})),
    c.TCP_KEEPALIVE: Option("tcp_keepalive", -1, -1, 1),
    c.TCP_KEEPALIVE_CNT: Option("tcp_keepalive_cnt", -1, -1),
    c.TCP_KEEPALIVE_IDLE: Option("tcp_keepalive_idle", -1, -1),
    c.TCP_KEEPALIVE_INTVL: Option("tcp_keepalive_intvl", -1, -1),
    c.IMMEDIATE: _flag("immediate", ALL, readable=True),
    c.MECHANISM: Option("mechanism", 0, writable=False),
    c.CONFLATE: _flag("conflate", ALL, readable=True),
    c.ZAP_DOMAIN: Option("zap_domain", b"", 0, 255),
    c.TOS: Option("tos", 0),
    c.HANDSHAKE_IVL: Option("handshake_ivl", 30000),
    c.SOCKS_PROXY: Option("socks_proxy", b"", 0, 255),
    c.XPUB_VERBOSE: _loose_flag("xpub_verbose", PUBLISHERS),
    c.XPUB_VERBOSER: _loose_flag("xpub_verboser", PUBLISHERS),
    c.XPUB_NODROP: _loose_flag("xpub_nodrop", PUBLISHERS),
    c.XPUB_MANUAL: _loose_flag("xpub_manual", frozenset({c.XPUB})),
    c.INVERT_MATCHING: Option("invert_matching", 0, -INT_MAX - 1),
    c.HEARTBEAT_IVL: Option("heartbeat_ivl", 0),
    c.HEARTBEAT_TTL: Option("heartbeat_ttl", 0, -99, 6553599),
    c.HEARTBEAT_TIMEOUT: Option("heartbeat_timeout", -1, 0),
    c.CONNECT_TIMEOUT: Option("connect_timeout", 0),
    c.TCP_MAXRT: Option("tcp_maxrt", 0),
    c.THREAD_SAFE: Option("thread_safe", 0, writable=False),
    c.MULTICAST_MAXTPDU: Option("multicast_maxtpdu", 1500, 1),
    c.USE_FD: Option("use_fd", -1, -1),
    c.BINDTODEVICE: Option("bindtodevice", b"", 0, 255),
}


# What would change what a program sees, but is not modelled, is refused by name; what only the
# kernel would do with a connection (TCP_KEEPALIVE, TCP_MAXRT, CONNECT_TIMEOUT, SNDBUF) is kept.
NOT_SIMULATED: dict[int, str] = {
    c.CONFLATE: "a pipe that keeps one message only is not modelled",
    c.ROUTER_RAW: "connections without ZMTP are not modelled",
    c.XPUB_MANUAL: "subscriptions that the application decides are not modelled",
    c.SOCKS_PROXY: "proxies between peers are not modelled",
    c.USE_FD: "a descriptor that is open already leads out of the simulation",
}

# Where libzmq keeps something else than it was given.
_KEPT_AS: dict[int, Callable[[int], int]] = {
    c.INVERT_MATCHING: bool,
    c.HEARTBEAT_TTL: lambda value: max(
        0, value - value % 100
    ),  # On the wire in tenths of a second.
}


_DEFAULTS = {option.name: option.default for option in OPTIONS.values()}


class Options:
    """The values of one socket, an attribute each, named as in the table."""

    def __init__(self, socket_type: int) -> None:
        self.__dict__ = _DEFAULTS.copy()  # Each by itself costs more than all the rest of a socket.
        if socket_type in (c.SUB, c.XSUB):
            self.linger = 0

    # What the simulation itself asks for, typed.
    routing_id: bytes
    connect_routing_id: bytes
    linger: int
    reconnect_ivl: int
    reconnect_ivl_max: int
    maxmsgsize: int
    sndhwm: int
    rcvhwm: int
    rcvtimeo: int
    sndtimeo: int
    immediate: int
    router_mandatory: int
    router_handover: int
    probe_router: int
    req_correlate: int
    req_relaxed: int
    handshake_ivl: int
    heartbeat_ivl: int
    heartbeat_ttl: int
    heartbeat_timeout: int
    xpub_verbose: int
    xpub_verboser: int
    xpub_nodrop: int
    invert_matching: int

    def copy(self) -> Options:
        """The same values, apart from what becomes of these."""
        made = object.__new__(Options)
        made.__dict__ = self.__dict__.copy()
        return made

    def set(self, socket_type: int, number: int, value: int | bytes) -> str:
        """Set an option; its name comes back.

        Raises:
            SimulatedError: EINVAL, for each reason that there is.
        """
        option = OPTIONS.get(number)
        if option is None or not option.writable or socket_type not in option.types:
            raise SimulatedError(EINVAL, f"option {number}")
        if isinstance(option.default, bytes) != isinstance(value, bytes):
            raise SimulatedError(EINVAL, f"{option.name} = {value!r}")
        size = len(value) if isinstance(value, bytes) else value
        if not option.low <= size <= option.high:
            raise SimulatedError(EINVAL, f"{option.name} = {value!r}")
        if number in NOT_SIMULATED and value != option.default:
            raise MisuseError(
                f"{option.name} = {value!r} cannot be simulated: {NOT_SIMULATED[number]}. "
                "Run this scenario on real sockets"
            )
        if isinstance(value, int):
            value = _KEPT_AS.get(number, int)(value)
        setattr(self, option.name, value)
        return option.name

    def get(self, number: int) -> int | bytes:
        """What an option is now.

        Raises:
            SimulatedError: EINVAL: there is none, or it can only be set.
        """
        option = OPTIONS.get(number)
        if option is None or not option.readable:
            raise SimulatedError(EINVAL, f"option {number}")
        value: int | bytes = getattr(self, option.name)
        return value
