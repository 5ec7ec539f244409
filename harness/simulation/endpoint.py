"""Endpoints: what libzmq accepts as one, and which listener a connector reaches.

Source: zeromq.md 2.6, measured on libzmq 4.3.5.
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
    if not to_bind:
        address = address.rpartition(";")[2]  # A source address in front changes nothing here.
    host, separator, port = address.rpartition(":")
    if not separator or not host:
        raise SimulatedError(EINVAL, text)
    return Endpoint(transport, _host(host, text, to_bind), _port(port, text, to_bind))


def _host(host: str, text: str, to_bind: bool) -> str:
    if to_bind and host in ("*", ANY_HOST):
        return ANY_HOST
    if _HOST.match(host) is None:
        # A bound interface is looked up at once, a connected one later but checked now.
        raise SimulatedError(ENODEV if to_bind else EINVAL, text)
    return _LOOPBACK.get(host, host)


def _port(port: str, text: str, to_bind: bool) -> int:
    if to_bind and port in ("*", "!"):
        return 0
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SimulatedError(EINVAL, text)
    if int(port) == 0 and not to_bind:
        raise SimulatedError(EINVAL, text)
    return int(port)
