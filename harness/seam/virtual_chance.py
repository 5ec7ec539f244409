"""Chance of a simulated node: all of it comes from the seed of the run."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from typing import Any

from .virtual_locks import scheduler_here

_real_urandom = os.urandom
_real_seed: Any = random.Random.seed
_entropy: random.Random | None = None  # Made when it is asked.
_entropy_seed = 0


def _chance() -> random.Random:
    global _entropy
    if _entropy is None:
        _entropy = random.Random(f"entropy/{_entropy_seed}")
    return _entropy


def _urandom(size: int) -> bytes:
    return _real_urandom(size) if scheduler_here() is None else _chance().randbytes(size)


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and scheduler_here() is not None:
        a = _chance().getrandbits(64)
    _real_seed(self, a, version)


HARDWARE_ADDRESS = 0x02_00_00_00_00_01
"""What `uuid.getnode()` says: one that no manufacturer gives out."""

_real_getnode = uuid.getnode
_real_uuid1 = uuid.uuid1
# The times of the last ids that were made of a time, by which `uuid` never gives one twice.
_LAST_TIMES = [name for name in vars(uuid) if name.startswith("_last_timestamp")]


def _getnode() -> int:
    return _real_getnode() if scheduler_here() is None else HARDWARE_ADDRESS


def _uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    if scheduler_here() is not None:
        # With both given, the system's own generator is not asked.
        node = HARDWARE_ADDRESS if node is None else node
        clock_seq = _chance().getrandbits(14) if clock_seq is None else clock_seq
    return _real_uuid1(node, clock_seq)


def begin_chance(seed: int) -> None:
    """From now on all chance comes from a seed."""
    global _entropy, _entropy_seed
    _entropy, _entropy_seed = None, seed
    random.seed(seed)
    vars(uuid).update(dict.fromkeys(_LAST_TIMES))


def keep_chance() -> Callable[[], None]:
    """Keep where the global generator is; returns what lets it go on there."""
    state = random.getstate()
    times = {name: vars(uuid)[name] for name in _LAST_TIMES}

    def restore() -> None:
        random.setstate(state)
        vars(uuid).update(times)

    return restore


ATTRIBUTES: tuple[tuple[Any, str, Any], ...] = (
    (os, "urandom", _urandom),
    (random, "_urandom", _urandom),
    (random.Random, "seed", _seed),
    (uuid, "getnode", _getnode),
    (uuid, "uuid1", _uuid1),
)
