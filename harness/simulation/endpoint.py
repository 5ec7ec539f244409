"""Endpoints: what libzmq accepts as one, and which listener a connector reaches.

Source: docs/clauses.md, 2.6.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .constants import EINVAL, ENOCOMPATPROTO, ENODEV, EPROTONOSUPPORT, SimulatedError

KNOWN = ("inproc", "ipc", "tcp")
UNSUITABLE = ("udp",)  # Known to libzmq, but for none of the types that we have.
ANY_HOST = "0.0.0.0"
_LOOPBACK = {"localhost": "127.0.0.1", "lo": "127.0.0.1"}
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:%]+\Z")
_CONNECTED = re.compile(r"[A-Za-z0-9._\-\[\]:%;*]*\Z")


class Endpoint(NamedTuple):
    """An endpoint, read.

    Attributes:
        transport: `inproc`, `ipc` or `tcp`.
        address: The name, the path, or the host.
        port: Of tcp; 0 asks for any.
    """

    transport: str
    address: str
    port: int = 0

    def __str__(self) -> str:
        port = f":{self.port}" if self.transport == "tcp" else ""
        return f"{self.transport}://{self.address}{port}"


def parse(text: str, *, to_bind: bool) -> Endpoint:
    """Read an endpoint.

    Raises:
        SimulatedError: EINVAL for bad syntax and for connecting to a wildcard;
            EPROTONOSUPPORT for an unknown transport; ENOCOMPATPROTO for one of another type.
    """
    transport, separator, address = text.partition("://")
    if not separator or not transport or not address:
        raise SimulatedError(EINVAL, text)
    if transport in UNSUITABLE:
        raise SimulatedError(ENOCOMPATPROTO, text)
    if transport not in KNOWN:
        raise SimulatedError(EPROTONOSUPPORT, text)
    if transport != "tcp":
        return Endpoint(transport, address)
    return _bound_tcp(address, text) if to_bind else _connected_tcp(address, text)


def _bound_tcp(address: str, text: str) -> Endpoint:
    host, separator, port = address.rpartition(":")
    if not separator:
        raise SimulatedError(EINVAL, text)
    number = 0 if port in ("*", "0") else _number(port)
    if not number and port not in ("*", "0"):
        raise SimulatedError(EINVAL, text)
    if host == "*":
        host = ANY_HOST
    elif _HOST.match(host) is None:
        raise SimulatedError(ENODEV, text)  # An interface is looked up at once.
    return Endpoint("tcp", _LOOPBACK.get(host, host), number)


def _connected_tcp(address: str, text: str) -> Endpoint:
    # libzmq only looks at the characters here; what cannot be resolved is never reached.
    host, separator, port = address.rpartition(":")
    if not separator or not port[:1].isdigit() or _CONNECTED.match(host) is None:
        raise SimulatedError(EINVAL, text)
    host = host.rpartition(";")[2]  # A source address in front changes nothing here.
    return Endpoint("tcp", _LOOPBACK.get(host, host), _number(port))


def _number(port: str) -> int:
    """A port as libzmq reads it: the digits in front, cut to 16 bits, so that -1 is 65535."""
    found = re.match(r"\s*[+-]?\d+", port)
    return int(found[0]) & 0xFFFF if found else 0
