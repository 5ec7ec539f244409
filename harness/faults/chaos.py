"""Carries out a plan of faults: each strikes when it is due, is written down, and is healed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..frames import find_op
from .fault import Fault, Meddling, OnService, Upon
from .points import KIND_OF, Points, serving_roles
from .scene import Pair, Scene, node_names

Note = Callable[..., None]


class Chaos:
    """The faults of one run.

    Args:
        faults: The plan.
        scene: Where they strike.
        points: Tells when a point is passed.
        note: Writes an event down.
        on_release: Called when what a fault has kept back goes on.

    Attributes:
        is_over: Whether no fault strikes any more.
        has_kept_back: Whether a fault has struck by which messages may be late.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        scene: Scene,
        points: Points,
        note: Note,
        on_release: Callable[[], None],
    ) -> None:
        self._faults = list(enumerate(faults))
        self._scene = scene
        self._points = points
        self._note = note
        self._on_release = on_release
        self._workers = frozenset(
            node_names(scene.pattern, scene.fleet, *serving_roles(scene.pattern))
        )
        self._upon = [
            (n, fault, fault.at)
            for n, fault in self._faults
            if isinstance(fault.at, Upon) and not fault.at.is_on_way
        ]
        self._upon_messages = [
            (n, fault, upon) for n, fault in self._faults if (upon := fault.upon_message)
        ]
        self._armed: list[tuple[int, OnService]] = []
        self._seen: Counter[int] = Counter()  # How often what a fault waits for has happened.
        self._standing: dict[int, Fault] = {}
        # What has not shown yet that it has struck.
        self._awaited = [entry for entry in self._faults if entry[1].from_the_start]
        # Nodes may be threads. It is held for counting only, never while a fault strikes.
        self._lock = threading.Lock()
        self._has_begun = False
        self.is_over = False
        self.has_kept_back = False

    def begin(self) -> None:
        """The load begins."""
        self._has_begun = True
        for number, fault in self._faults:
            if isinstance(fault.at, Upon) or fault.from_the_start:
                continue
            if fault.at == 0:
                self._due(number, fault)
            else:
                self._scene.later(fault.at, partial(self._due, number, fault))
        for way in self._ways_waited_for():
            self._scene.look_at(*way, partial(self._look, way))

    def end(self) -> bool:
        """No more faults: heal all that is broken; whether that may set something going."""
        self.is_over = True
        standing = list(self._standing.items())
        for number, fault in standing:
            self._heal(number, fault)
        return any(fault.keeps_back for _, fault in standing)

    def tick(self) -> float | None:
        """Some time has passed; see `Reach.tick`."""
        return self._scene.tick()

    def is_stalled_for_good(self, node: str) -> bool:
        """Whether a node makes no step, and none will set it going before the end."""
        return self._scene.is_stalled(node) and any(
            fault.kind == "stall" and fault.where[1] == node and fault.duration_s is None
            for fault in list(self._standing.values())
        )

    def awaited_at(self, node: str) -> frozenset[str]:
        """The kinds of rows of a node upon which a fault may still strike.

        For a world whose nodes are elsewhere: after such a row a node must not go on before
        the fault has struck.
        """
        if self.is_over:
            return frozenset()
        with self._lock:
            return frozenset(
                KIND_OF[upon.point]
                for _, _, upon in self._upon
                if upon.node == node or (upon.node is None and node in self._workers)
            )

    @property
    def has_meddlers(self) -> bool:
        """Whether there are faults that do something to services."""
        return any(isinstance(fault, OnService) for _, fault in self._faults)

    @property
    def has_to_watch(self) -> bool:
        """Whether any fault depends on what the nodes do; to look at each row costs time."""
        return bool(self._upon) or any(fault.tells_itself for _, fault in self._faults)

    # --- when -----------------------------------------------------------------

    def watch(self, row: tuple[Any, ...]) -> None:
        """A row of the history was written by the node that it tells of."""
        if self._awaited:
            for number, fault in self._shown_by(row):
                self._tell(number, fault, row[1])
                self.has_kept_back |= fault.keeps_back
        point = self._points.passed(row)
        if point is None or not self._upon or self.is_over or not self._has_begun:
            return
        node = row[1]
        due = []
        with self._lock:
            for entry in self._upon:
                number, _, upon = entry
                if upon.point == point and (
                    upon.node == node or (upon.node is None and node in self._workers)
                ):
                    self._seen[number] += 1
                    if self._seen[number] == upon.count:
                        due.append(entry)
            for entry in due:
                self._upon.remove(entry)
        for number, fault, _ in due:
            self._strike(number, fault)
        if due:
            self._scene.obey()

    def _look(
        self, way: Pair, frames: Sequence[bytes], has_passed: bool
    ) -> Callable[[], None] | None:
        """A message goes a way; see `Reach.look_at`. Nothing is done here: it may not wait."""
        if self.is_over or find_op(frames) is None:
            return None
        point = "passed" if has_passed else "passing"
        due = []
        with self._lock:
            for entry in self._upon_messages:
                number, _, upon = entry
                if (
                    upon.point == point
                    and upon.source in (None, way[0])
                    and upon.target in (None, way[1])
                ):
                    self._seen[number] += 1
                    if self._seen[number] == upon.count:
                        due.append(entry)
            for entry in due:
                self._upon_messages.remove(entry)
        return partial(self._strike_upon, due) if due else None

    def _strike_upon(self, due: list[tuple[int, Fault, Upon]]) -> None:
        """What was waited for on a way has happened; elsewhere others may still wait."""
        for number, fault, _ in due:
            self._strike(number, fault)
        awaited = self._ways_waited_for()
        for *_, upon in due:
            for way in self._scene.ways_of_messages(upon.source, upon.target):
                if way not in awaited:
                    self._scene.look_at(*way, None)

    def _ways_waited_for(self) -> dict[Pair, None]:
        return {
            way: None
            for *_, upon in self._upon_messages
            for way in self._scene.ways_of_messages(upon.source, upon.target)
        }

    def meddle(self, node: str) -> Meddling:
        """The service of a node begins with a request: what becomes of it.

        Raises:
            RuntimeError: A fault says so.
        """
        due = []
        with self._lock:
            for entry in self._armed:
                number, fault = entry
                if fault.where[1] in (None, node):
                    self._seen[number] += 1
                    if self._seen[number] == fault.nth:  # type: ignore[attr-defined]
                        due.append(entry)
            for entry in due:
                self._armed.remove(entry)
        longer_s, is_blank = 0.0, False
        for number, fault in due:
            self._tell(number, fault, node)
            meddling = fault.meddle()
            longer_s += meddling.longer_s
            is_blank |= meddling.is_blank
        return Meddling(longer_s, is_blank)

    def _shown_by(self, row: tuple[Any, ...]) -> list[tuple[int, Fault]]:
        with self._lock:
            shown = [entry for entry in self._awaited if entry[1].is_shown_by(row)]
            for entry in shown:
                self._awaited.remove(entry)
        return shown

    # --- what -----------------------------------------------------------------

    def _due(self, number: int, fault: Fault) -> None:
        if self.is_over:
            return
        if isinstance(fault, OnService):
            self._armed.append((number, fault))
        else:
            self._strike(number, fault)

    def _strike(self, number: int, fault: Fault) -> None:
        if not fault.finds(self._scene):
            return
        link, node = fault.where
        if fault.tells_itself:
            self._awaited.append((number, fault))
        else:
            self._tell(number, fault, node or link or "network")
        self.has_kept_back |= fault.keeps_back
        fault.strike(self._scene)
        if fault.is_healed:
            self._standing[number] = fault
            if fault.duration_s is not None:
                self._scene.later(fault.duration_s, partial(self._heal, number, fault))
            if self.is_over:  # Since a moment ago, in another thread, which did not see it.
                self._heal(number, fault)

    def _tell(self, number: int, fault: Fault, where: str) -> None:
        self._note(where, "fault", text=repr(fault), number=number)

    def _heal(self, number: int, fault: Fault) -> None:
        if self._standing.pop(number, None) is None:
            return
        link, node = fault.where
        # Told first: in a real world what it kept back goes on while this is still being written.
        self._note(node or link or "network", "healed", text=repr(fault), number=number)
        fault.heal(self._scene)
        if fault.keeps_back:
            self._on_release()
