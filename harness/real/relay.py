"""The relay: connections between nodes pass through it, so that faults can get at them.

Each node that connects to an endpoint gets a *door* of its own, a listening socket, and is led
there in place of the endpoint; what comes in at the door is connected to the endpoint, and
bytes are passed on both ways. So the relay knows between which nodes a connection is, and
neither of them sees it. Only pairs of nodes that a plan of faults touches are relayed.

One thread serves all doors and connections and alone touches them. What faults ask for is
done by it, between two steps of its own, and has taken effect when the call returns.

    slow / unslow           another latency for each message
    throttle / unthrottle   so many bytes a second, for each direction of a connection
    hold / release          nothing gets through, nothing is lost; connections stand
    cut / mend              connections break, and the door is shut: who knocks is refused
    reset                   connections break, by RST where the transport has it, for both sides or one
    look_at                 messages are shown as they pass; upon one of them nothing passes until it
                            is done what they were looked at for

*Beaten:* asyncio, which is no quicker, and whose transports keep what they like and close as
they like; a lock in place of the one thread, since what `select` returned may be closed by then.
"""

from __future__ import annotations

import errno
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

from ..errors import HarnessBug, NodeFailed, ReqrepError
from ..faults.scene import Look
from .traffic import READ, Door, Traffic

T = TypeVar("T")


class Relay:
    """See the top of this file.

    Args:
        pairs: The nodes between which connections are relayed.
        seed: What latencies are drawn from.
        folder: Where its ipc sockets lie; None if there are none.
        failed: Called, in the relay's thread, with what made it end before its time.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, str]],
        seed: int,
        folder: Path | None,
        failed: Callable[[ReqrepError], None],
    ) -> None:
        self._pairs = frozenset(map(frozenset, pairs))
        self._seed = seed
        self._folder = folder
        self._failed = failed
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_open = False
        self._calls: deque[tuple[Future[object], Callable[[], object]]] = deque()
        self._doors: dict[tuple[str, str], Door] = {}  # (who connects, endpoint) -> door
        self._meant: dict[str, str] = {}  # The endpoint of a door -> the one that it leads to.
        self._cuts: set[frozenset[str]] = set()

    def open(self) -> None:
        """Begin, if there is anything to relay."""
        if not self._pairs:
            return
        self._traffic = Traffic(self._seed)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._traffic.selector.register(self._wake_read, READ, self._woken)
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="reqrep-relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End: close all doors and connections. From now on faults change nothing."""
        if self._thread is not None:
            self._do(self._stop)
            self._thread.join()
            self._thread = None

    # --- the ways in ------------------------------------------------------------

    def way_in(self, node: str, binder: str, endpoint: str) -> str:
        """Where a node is to connect in place of the endpoint that another has bound."""
        if frozenset((node, binder)) not in self._pairs:
            return endpoint
        return self._do(self._door, node, binder, endpoint) or endpoint

    def meant(self, endpoint: str) -> str:
        """The endpoint that a way in leads to; any other is itself."""
        return self._meant.get(endpoint, endpoint)

    def _door(self, node: str, binder: str, endpoint: str) -> str:
        door = self._doors.get((node, endpoint))
        if door is None:
            number = len(self._doors)
            door = Door(self._traffic, node, binder, endpoint, self._folder, number)
            self._doors[node, endpoint] = door
            self._meant[door.endpoint] = endpoint
            if door.pair not in self._cuts:
                door.open()
        return door.endpoint

    # --- what faults ask for: see `Reach` ------------------------------------------

    def slow(self, source: str, target: str, least_s: float, greatest_s: float) -> None:
        self._do(self._set_latency, source, target, (least_s, greatest_s))

    def unslow(self, source: str, target: str) -> None:
        self._do(self._set_latency, source, target, None)

    def throttle(self, source: str, target: str, bytes_per_s: int) -> None:
        self._do(self._set_bandwidth, source, target, bytes_per_s)

    def unthrottle(self, source: str, target: str) -> None:
        self._do(self._set_bandwidth, source, target, None)

    def hold(self, source: str, target: str) -> None:
        self._do(self._set_held, source, target, True)

    def release(self, source: str, target: str) -> None:
        self._do(self._set_held, source, target, False)

    def cut(self, one: str, other: str) -> None:
        self._do(self._cut, frozenset((one, other)))

    def mend(self, one: str, other: str) -> None:
        self._do(self._mend, frozenset((one, other)))

    def reset(self, one: str, other: str, seen_by: str = "both") -> None:
        self._do(self._reset, frozenset((one, other)), seen_by)

    def look_at(self, source: str, target: str, look: Look | None) -> None:
        self._do(self._set_look, source, target, look)

    def is_connected(self, one: str, other: str) -> bool:
        return bool(self._do(self._is_connected, frozenset((one, other))))

    def messages(self, source: str, target: str) -> int:
        """How many messages have come from one node for another."""
        return self._do(lambda: self._traffic.way(source, target).messages) or 0

    def _set_latency(self, source: str, target: str, latency_s: tuple[float, float] | None) -> None:
        self._traffic.way(source, target).latency_s = latency_s

    def _set_bandwidth(self, source: str, target: str, bytes_per_s: int | None) -> None:
        self._traffic.way(source, target).bytes_per_s = bytes_per_s
        self._pump_soon(source, target)

    def _set_held(self, source: str, target: str, is_held: bool) -> None:
        self._traffic.way(source, target).is_held = is_held
        self._pump_soon(source, target)

    def _pump_soon(self, source: str, target: str) -> None:
        # Not here: this may be what is done upon a message, and must not come upon another.
        for connection in self._traffic.between(frozenset((source, target))):
            self._traffic.at(monotonic(), connection)

    def _set_look(self, source: str, target: str, look: Look | None) -> None:
        def show(frames: list[bytes], has_passed: bool) -> None:
            assert look is not None
            strike = look(frames, has_passed)
            if strike is not None:
                self._stand_still(strike)

        self._traffic.way(source, target).look = None if look is None else show

    def _cut(self, pair: frozenset[str]) -> None:
        self._cuts.add(pair)
        self._reset(pair)
        for door in self._doors.values():
            if door.pair == pair:
                door.shut()

    def _mend(self, pair: frozenset[str]) -> None:
        self._cuts.discard(pair)
        for door in self._doors.values():
            if door.pair == pair:
                door.open()

    def _reset(self, pair: frozenset[str], seen_by: str = "both") -> None:
        for connection in self._traffic.between(pair):
            connection.reset(seen_by)

    def _is_connected(self, pair: frozenset[str]) -> bool:
        return any(connection.is_made for connection in self._traffic.between(pair))

    # --- the thread ---------------------------------------------------------------

    def _do(self, step: Callable[..., T], *arguments: object) -> T | None:
        """Let the relay's thread do something and wait for it; None if there is no relay."""
        done: Future[T] = Future()
        with self._lock:
            if not self._is_open:
                return None
            self._calls.append((done, partial(step, *arguments)))  # type: ignore[arg-type]
            os.write(self._wake_write, b"w")
        return done.result()

    def _woken(self, _events: int) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass  # It was read a moment ago, while nothing passed.
        while self._calls:
            done, step = self._calls.popleft()
            try:
                done.set_result(step())
            except Exception as error:
                done.set_exception(error)  # The caller's to tell; as when no descriptor is left.

    def _stand_still(self, strike: Callable[[], None]) -> None:
        """Let nothing pass until something is done, for which this thread may be asked to help.

        It is done by another thread: it asks this one, and waits for locks that are held by
        those who wait for this one.
        """
        done: Future[None] = Future()

        def work() -> None:
            try:
                strike()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)
            os.write(self._wake_write, b"w")

        worker = threading.Thread(target=work, name="reqrep-strike", daemon=True)
        worker.start()
        calls = select.poll()
        calls.register(self._wake_read, select.POLLIN)
        while not done.done():
            calls.poll()
            self._woken(READ)
        worker.join()
        done.result()

    def _stop(self) -> None:
        self._is_open = False

    def _run(self) -> None:
        try:
            while self._is_open:
                self._traffic.pass_on()
        except ReqrepError as error:
            self._failed(error)
            raise
        except BaseException as error:
            if getattr(error, "errno", None) not in (errno.EMFILE, errno.ENFILE):
                self._failed(HarnessBug(f"the relay ended with {error!r}"))
                raise
            self._failed(
                NodeFailed(
                    "the relay",
                    f"could not go on: {error}; it takes two descriptors for each connection: raise "
                    "the limit of open files (ulimit -n) or run fewer nodes",
                )
            )
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._is_open = False
        for done, _ in self._calls:
            done.set_result(None)
        for door in self._doors.values():
            door.close()
        self._traffic.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
