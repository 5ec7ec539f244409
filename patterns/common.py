"""Types, promises and sentences that several patterns share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import zmq

from reqrep.harness.pattern import Promise

Body: TypeAlias = list[bytes]
Message: TypeAlias = list[bytes]
Handle: TypeAlias = Callable[[Body], Body]
Context: TypeAlias = zmq.Context[zmq.Socket[bytes]]

PROMISED_BY_ALL = (
    Promise("envelope"),
    Promise("reply-identity"),
    Promise("correlation"),
    Promise("one-outcome"),
    Promise("exactly-once"),
    Promise("progress"),
    Promise("robustness"),
    Promise("ownership"),
    Promise("shutdown"),
)
"""What every pattern of ours promises as long as nothing goes wrong."""

NO_SERVER_CRASH = (
    "A request that a server had taken when it died is lost; a REQ client then waits for ever."
)
NO_WORKER_CRASH = "A request that a worker had taken, or that was parked in its pipe, dies with it."
NO_BROKER_CRASH = "The broker keeps its state in memory: what it knew of its peers dies with it."
"""What a user must not expect of most of them."""
