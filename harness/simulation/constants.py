"""libzmq's numbers: socket types, flags, options, events and error numbers.

Plain integers, since the simulation imports nothing of zmq. A test compares
each of them with pyzmq.
"""

from __future__ import annotations

# --- socket types -------------------------------------------------------------

PAIR, PUB, SUB, REQ, REP, DEALER, ROUTER, PULL, PUSH, XPUB, XSUB, STREAM = range(12)

TYPE_NAMES = (
    "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM",
)  # fmt: skip

# --- flags and poll events ----------------------------------------------------

DONTWAIT = 1
SNDMORE = 2
POLLIN = 1
POLLOUT = 2

# --- error numbers ------------------------------------------------------------

ENOENT = 2
EAGAIN = 11
EFAULT = 14
ENODEV = 19
EINVAL = 22
EMFILE = 24
EPROTONOSUPPORT = 93
ENOTSUP = 95
EADDRINUSE = 98
EADDRNOTAVAIL = 99
EINPROGRESS = 115
ENOTSOCK = 88
EHOSTUNREACH = 113
EFSM = 156384763
ENOCOMPATPROTO = 156384764
ETERM = 156384765
EMTHREAD = 156384766

ERROR_NAMES = {
    ENOENT: "ENOENT", EAGAIN: "EAGAIN", EFAULT: "EFAULT", ENODEV: "ENODEV", EINVAL: "EINVAL",
    EMFILE: "EMFILE", EPROTONOSUPPORT: "EPROTONOSUPPORT", ENOTSUP: "ENOTSUP",
    EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL", ENOTSOCK: "ENOTSOCK",
    EHOSTUNREACH: "EHOSTUNREACH", EFSM: "EFSM", ENOCOMPATPROTO: "ENOCOMPATPROTO",
    ETERM: "ETERM", EMTHREAD: "EMTHREAD",
}  # fmt: skip

# --- socket options -----------------------------------------------------------

AFFINITY = 4
ROUTING_ID = 5
SUBSCRIBE = 6
UNSUBSCRIBE = 7
RATE = 8
RECOVERY_IVL = 9
SNDBUF = 11
RCVBUF = 12
RCVMORE = 13
FD = 14
EVENTS = 15
TYPE = 16
LINGER = 17
RECONNECT_IVL = 18
BACKLOG = 19
RECONNECT_IVL_MAX = 21
MAXMSGSIZE = 22
SNDHWM = 23
RCVHWM = 24
MULTICAST_HOPS = 25
RCVTIMEO = 27
SNDTIMEO = 28
IPV4ONLY = 31
LAST_ENDPOINT = 32
ROUTER_MANDATORY = 33
TCP_KEEPALIVE = 34
TCP_KEEPALIVE_CNT = 35
TCP_KEEPALIVE_IDLE = 36
TCP_KEEPALIVE_INTVL = 37
TCP_ACCEPT_FILTER = 38
IMMEDIATE = 39
XPUB_VERBOSE = 40
ROUTER_RAW = 41
IPV6 = 42
MECHANISM = 43
PROBE_ROUTER = 51
REQ_CORRELATE = 52
REQ_RELAXED = 53
CONFLATE = 54
ZAP_DOMAIN = 55
ROUTER_HANDOVER = 56
TOS = 57
CONNECT_ROUTING_ID = 61
HANDSHAKE_IVL = 66
SOCKS_PROXY = 68
XPUB_NODROP = 69
XPUB_MANUAL = 71
XPUB_WELCOME_MSG = 72
STREAM_NOTIFY = 73
INVERT_MATCHING = 74
HEARTBEAT_IVL = 75
HEARTBEAT_TTL = 76
HEARTBEAT_TIMEOUT = 77
XPUB_VERBOSER = 78
CONNECT_TIMEOUT = 79
TCP_MAXRT = 80
THREAD_SAFE = 81
MULTICAST_MAXTPDU = 84
USE_FD = 89
BINDTODEVICE = 92

# --- context options ----------------------------------------------------------

IO_THREADS = 1
MAX_SOCKETS = 2
SOCKET_LIMIT = 3
THREAD_SCHED_POLICY = 4
MAX_MSGSZ = 5
MSG_T_SIZE = 6
THREAD_NAME_PREFIX = 9
BLOCKY = 70

# --- monitor events -----------------------------------------------------------

EVENT_CONNECTED = 1
EVENT_CONNECT_DELAYED = 2
EVENT_CONNECT_RETRIED = 4
EVENT_LISTENING = 8
EVENT_BIND_FAILED = 16
EVENT_ACCEPTED = 32
EVENT_ACCEPT_FAILED = 64
EVENT_CLOSED = 128
EVENT_CLOSE_FAILED = 256
EVENT_DISCONNECTED = 512
EVENT_MONITOR_STOPPED = 1024
EVENT_HANDSHAKE_FAILED_NO_DETAIL = 0x0800
EVENT_HANDSHAKE_SUCCEEDED = 0x1000
EVENT_HANDSHAKE_FAILED_PROTOCOL = 0x2000
EVENT_HANDSHAKE_FAILED_AUTH = 0x4000
EVENT_ALL = 0xFFFF

# --- time ---------------------------------------------------------------------

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class SimulatedError(OSError):
    """A call that libzmq would have refused, with libzmq's error number.

    Attributes:
        errno: The number, such as `EAGAIN`.
    """

    def __init__(self, errno: int, what: str = "") -> None:
        name = ERROR_NAMES.get(errno, str(errno))
        super().__init__(errno, f"{name}: {what}" if what else name)
