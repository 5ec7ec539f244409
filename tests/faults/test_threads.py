"""Where nodes are threads faults strike from many of them at once, and are healed all the same."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

import reqrep
from reqrep import Fleet
from reqrep.harness.faults import Chaos, Points, Scene
from reqrep.harness.faults.fault import Lasting
from reqrep.harness.real.reach import ThreadsReach
from reqrep.harness.real.relay import Relay

PATTERN = reqrep.pattern("req-rep")
WAY = "client-0", "server-0"


class Remembers(ThreadsReach):
    """Does nothing but to remember what is held, and what was held twice or released unheld."""

    def __init__(self) -> None:
        relay = Relay([], 0, None, lambda error: None)
        super().__init__(
            lambda name: True,
            lambda name: None,
            lambda *arguments: None,
            lambda: None,
            relay,
        )
        self.is_held = False
        self.mistakes = 0
        self.hold = lambda source, target: self._set(is_held=True)
        self.release = lambda source, target: self._set(is_held=False)

    def _set(self, *, is_held: bool) -> None:
        self.mistakes += self.is_held == is_held
        self.is_held = is_held


@pytest.fixture
def hasty() -> Any:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_what_is_counted_and_what_is_done_do_not_fall_apart() -> None:
    reach = Remembers()
    scene = Scene(PATTERN, Fleet(1, 1), reach)

    def meddle() -> None:
        for _ in range(1000):
            scene.hold(WAY)
            scene.release(WAY)

    threads = [threading.Thread(target=meddle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not reach.is_held
    assert reach.mistakes == 0


def test_a_fault_that_strikes_while_all_is_healed_is_healed_as_well() -> None:
    class StrikesLate(Lasting, frozen=True, kw_only=True, tag="strikes-late"):
        """The end of the load comes while it strikes, as it may from another thread."""

        def strike(self, scene: Scene) -> None:
            chaos.end()
            scene.hold(WAY)

        def heal(self, scene: Scene) -> None:
            scene.release(WAY)

    told: list[str] = []
    reach = Remembers()
    scene = Scene(PATTERN, Fleet(1, 1), reach)

    def note(node: str, kind: str, **fields: Any) -> None:
        told.append(kind)

    chaos = Chaos((StrikesLate(),), scene, Points(PATTERN), note, lambda: None)
    chaos.begin()
    assert told == ["fault", "healed"]
    assert not reach.is_held
