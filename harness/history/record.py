"""A whole history: its events in order of time, and what can be read off them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from .event import OUTCOMES, Event


@dataclass(slots=True)
class Op:
    """One client request, from invocation to outcome.

    Args:
        id: Its op id.
        invoke: The event that asked.
        outcomes: The events that ended it; one, if all is well.
    """

    id: str
    invoke: Event
    outcomes: list[Event] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """`ok`, `fail` or `info`; an op that nobody ended is `info`."""
        return self.outcomes[0].kind if self.outcomes else "info"

    @property
    def latency_ns(self) -> int | None:
        """From the planned time to the answer; None for an op that was not answered."""
        if self.outcome != "ok":
            return None
        return self.outcomes[0].time_ns - self.invoke.number


@dataclass(slots=True)
class SocketInfo:
    """One socket of a node: its type, and the endpoints it bound or connected."""

    number: int
    node: str
    type: str
    endpoints: list[str] = field(default_factory=list)


class History:
    """What happened in one run.

    Args:
        events: In order of time.
        about: What was run, for a reader of the file: scenario, world, transport.
    """

    def __init__(self, events: Sequence[Event], about: dict[str, Any] | None = None) -> None:
        self.events = tuple(events)
        self.about = about or {}

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)

    @cached_property
    def digest(self) -> str:
        """A digest of all events: two simulated runs are the same when theirs are.

        Of a traceback only the last line counts: how the others look depends on the Python, and
        on where it lies.
        """
        events = [
            msgspec.structs.replace(event, text=event.text.rstrip().rpartition("\n")[2])
            if "\n" in event.text
            else event
            for event in self.events
        ]
        return blake2b(msgspec.msgpack.encode(events), digest_size=16).hexdigest()

    def of(self, *kinds: str, node: str | None = None) -> list[Event]:
        """The events of some kinds, of all nodes or of one."""
        return [
            event
            for event in self.events
            if event.kind in kinds and (node is None or event.node == node)
        ]

    @cached_property
    def ops(self) -> dict[str, Op]:
        """All ops, in the order in which they were asked."""
        ops: dict[str, Op] = {}
        for event in self.events:
            if event.kind == "invoke":
                ops.setdefault(event.op, Op(event.op, event))
            elif event.kind in OUTCOMES and event.op in ops:
                ops[event.op].outcomes.append(event)
        return ops

    @cached_property
    def sockets(self) -> dict[int, SocketInfo]:
        """All sockets, by their number."""
        sockets: dict[int, SocketInfo] = {}
        for event in self.events:
            if event.kind == "socket":
                sockets[event.socket] = SocketInfo(event.socket, event.node, event.text)
            elif event.kind in ("bind", "connect") and event.socket in sockets:
                sockets[event.socket].endpoints.append(event.text)
        return sockets

    def story(self, op: str) -> list[Event]:
        """All events of one op: its invocation, each hop, its execution, its outcome."""
        return [event for event in self.events if event.op == op or event.op_in_frames == op]

    def save(self, path: str | Path) -> None:
        """Write the history to a file; see `store.py` for the format."""
        from .store import write

        write(path, self.events, self.about)

    @classmethod
    def load(cls, path: str | Path) -> History:
        """Read a history that `save` wrote.

        Raises:
            HistoryDamaged: The file is cut off or is none of ours. `store.read` gives
                what stands before the damage.
            MisuseError: The file cannot be opened.
        """
        from .store import read

        reader = read(path)
        about = next(reader)
        assert isinstance(about, dict)
        return cls([event for event in reader if isinstance(event, Event)], about)
