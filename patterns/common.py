"""Types, promises and sentences that several patterns share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import zmq

from reqrep.harness.pattern import GENTLE, Promise

Body: TypeAlias = list[bytes]
Message: TypeAlias = list[bytes]
Handle: TypeAlias = Callable[[Body], Body]
Context: TypeAlias = zmq.Context[zmq.Socket[bytes]]

LOSING = GENTLE | {
    "skew", "cut", "partition", "reset", "crash", "leave", "restart", "pressure",
}  # fmt: skip
"""The kinds of fault by which, at worst, requests and replies are lost."""
WITH_BODIES = LOSING | {"stranger", "raises"}
"""Those, a peer that sends odd messages, and a service that raises, which ends its program."""
ALWAYS = WITH_BODIES | {"blank"}
"""Those, and a service of which nothing comes: a reply without a body, which has no op id either."""

ANSWERING = GENTLE | {"skew", "stranger"}
"""The kinds of fault under which every request is answered."""

PROMISED_BY_MOST = (
    Promise("envelope", WITH_BODIES),
    Promise("reply-identity", ALWAYS),
    Promise("correlation", ALWAYS),
    Promise("one-outcome", WITH_BODIES),
    Promise("exactly-once", ALWAYS),
    Promise("progress", ANSWERING),
    Promise("recovery", ANSWERING),
    Promise("robustness", LOSING | {"stranger"}),
    Promise("ownership", ALWAYS),
    Promise("shutdown", ALWAYS),
)
"""What patterns of ours promise that ask once, so that a lost message leaves its op open."""


def promised_but(*others: Promise, without: tuple[str, ...] = ()) -> tuple[Promise, ...]:
    """The same, with some promises in place of those of their name, or beside them, or without."""
    promises = {promise.property: promise for promise in (*PROMISED_BY_MOST, *others)}
    return tuple(promise for name, promise in promises.items() if name not in without)


RECOVERS = Promise("recovery", ANSWERING | {"cut", "partition", "restart"})
"""Of those whose servers and brokers keep nothing of their peers; a broker that lists its ready
workers never hears again of one whose request to be listed was lost, or whose reply was. A client
whose connection is half open never notices without heartbeats: not after a reset."""

HEAD_OF_LINE = Promise("head-of-line", frozenset({"noop", "late", "skew"}))
"""A message that the network keeps back, or that waits for a stalled node, lies unread as well."""

NO_SERVER_CRASH = (
    "A request that a server had taken when it died is lost; a REQ client then waits for ever."
)
NO_WORKER_CRASH = "A request that a worker had taken, or that was parked in its pipe, dies with it."
NO_BROKER_CRASH = "The broker keeps its state in memory: what it knew of its peers dies with it."
"""What a user must not expect of most of them."""
