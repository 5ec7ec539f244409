"""What is patched in pyzmq while a run is on, as data, and how it is put back.

A mixin in front of the compiled class in `__bases__` reaches every existing class
and subclass, leaves type identity alone, and can be taken out again exactly.
Nested and parallel runs share one installation.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq
import zmq.devices.basedevice

from . import mixins, proxy

MIXINS: tuple[tuple[type, type], ...] = (
    (zmq.Context, mixins.SeamContext),
    (zmq.Socket, mixins.SeamSocket),
)

ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (zmq.Context, "instance", classmethod(mixins.instance)),
    (zmq.Socket, "send_multipart", mixins.send_multipart),
    (zmq.Socket, "recv_multipart", mixins.recv_multipart),
    (zmq.Socket, "setsockopt", mixins.set_option),
    (zmq.Socket, "getsockopt", mixins.get_option),
    (zmq, "proxy", proxy.proxy),
    (zmq.devices.basedevice, "proxy", proxy.proxy),
)

_lock = threading.Lock()
_users = 0
_before: list[tuple[Any, str, Any]] = []


def _install() -> None:
    for owner, mixin in MIXINS:
        owner.__bases__ = (mixin, *owner.__bases__)
    for owner, name, value in ATTRIBUTES:
        if name in vars(owner):  # Not each version of pyzmq holds each of them.
            _before.append((owner, name, vars(owner)[name]))
            setattr(owner, name, value)


def _remove() -> None:
    while _before:
        owner, name, value = _before.pop()
        setattr(owner, name, value)
    for owner, mixin in MIXINS:
        owner.__bases__ = tuple(base for base in owner.__bases__ if base is not mixin)


@contextmanager
def installed() -> Iterator[None]:
    """Record, as long as this is open, what the sockets of nodes do."""
    global _users
    with _lock:
        if _users == 0:
            _install()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _remove()
