"""What is patched while a run is on, as data, and how it is put back.

A mixin in front of the compiled class in `__bases__` reaches every existing class
and subclass, leaves type identity alone, and can be taken out again exactly. The
standard library is patched only while a simulation is on. Nested and parallel runs
share one installation.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import zmq
import zmq.devices.basedevice
import zmq.sugar.poll

from . import mixins, proxy, simulating_calls

MIXINS: tuple[tuple[type, type], ...] = (
    (zmq.Context, mixins.SeamContext),
    (zmq.Socket, mixins.SeamSocket),
)

Attribute = tuple[Any, str, Any]

ATTRIBUTES: tuple[Attribute, ...] = (
    (zmq.Context, "instance", classmethod(mixins.instance)),
    (zmq.Context, "destroy", mixins.destroy),
    (zmq.Socket, "send_multipart", mixins.send_multipart),
    (zmq.Socket, "recv_multipart", mixins.recv_multipart),
    (zmq.Socket, "setsockopt", mixins.set_option),
    (zmq.Socket, "getsockopt", mixins.get_option),
    (threading.Thread, "start", mixins.start),
    (zmq, "proxy", proxy.proxy),
    (zmq.devices.basedevice, "proxy", proxy.proxy),
    (zmq, "device", proxy.device),
    (zmq.devices.basedevice, "device", proxy.device),
    (zmq, "zmq_poll", simulating_calls.zmq_poll),
    (zmq.sugar.poll, "zmq_poll", simulating_calls.zmq_poll),
)


_OURS = "reqrep.harness."


def _early_names(attributes: list[Attribute]) -> list[Attribute]:
    """Where modules hold what is patched under a name of their own: `from time import sleep`."""
    stand_ins = {
        id(vars(owner)[name]): value
        for owner, name, value in attributes
        if isinstance(owner, ModuleType) and name in vars(owner)
    }
    found = []
    for name, module in list(sys.modules.items()):
        if name.startswith(_OURS) or module is None:
            continue
        for attribute, value in list(vars(module).items()):
            stand_in = stand_ins.get(id(value))
            if stand_in is not None:
                found.append((module, attribute, stand_in))
    known = {(id(owner), name) for owner, name, _ in attributes}
    return [each for each in found if (id(each[0]), each[1]) not in known]


def _nothing() -> None:
    """What there is to put back where nothing else changes."""


class Installation:
    """Patches that several runs share: the first puts them in place, the last takes them away.

    Args:
        mixins: Pairs of a class and the mixin to put in front of its bases.
        attributes: Gives what to set, when it is put in place.
        keep: Keeps what else will change; returns what puts that back.
    """

    def __init__(
        self,
        mixins: tuple[tuple[type, type], ...],
        attributes: Callable[[], list[Attribute]],
        keep: Callable[[], Callable[[], None]] = lambda: _nothing,
    ) -> None:
        self._mixins = mixins
        self._attributes = attributes
        self._keep = keep
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[Attribute] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._put_back = self._keep()
                for owner, mixin in self._mixins:
                    owner.__bases__ = (mixin, *owner.__bases__)
                for owner, name, value in self._attributes():
                    if name in vars(owner):  # Not each version of pyzmq holds each of them.
                        self._before.append((owner, name, vars(owner)[name]))
                        setattr(owner, name, value)
            self._users += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                while self._before:
                    owner, name, value = self._before.pop()
                    setattr(owner, name, value)
                for owner, mixin in self._mixins:
                    owner.__bases__ = tuple(base for base in owner.__bases__ if base is not mixin)
                self._put_back()


def _virtual_attributes() -> list[Attribute]:
    """The patches of the standard library, and every name that was imported early."""
    # asyncio is imported for each simulation: what a program imports in the midst of a run
    # could not be patched in one place, and it costs once what a few runs do.
    from . import virtual, virtual_asyncio, virtual_locks, virtual_process, virtual_threads

    attributes = [
        (mixins.SeamSocket, "__hash__", simulating_calls.socket_hash),
        *virtual.ATTRIBUTES,
        *virtual_asyncio.attributes(),
        *virtual_process.foreign_loops(),
    ]
    return [
        *attributes,
        *_early_names(attributes),
        *virtual_threads.early_locals(),
        *virtual_locks.early_locks(),
    ]


def _keep_chance() -> Callable[[], None]:
    from .virtual_chance import keep_chance

    return keep_chance()


_seam = Installation(MIXINS, lambda: [*ATTRIBUTES, *_early_names(list(ATTRIBUTES))])
_virtual = Installation((), _virtual_attributes, _keep_chance)


@contextmanager
def installed() -> Iterator[None]:
    """Hear, as long as this is open, what the sockets of nodes do."""
    with _seam:
        yield


@contextmanager
def virtually() -> Iterator[None]:
    """The same, and simulated nodes live in virtual time."""
    with _seam, _virtual:
        yield
