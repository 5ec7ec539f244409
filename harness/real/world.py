"""What the real worlds have in common: the machine's own time, a folder, the relay and the pulse."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..conduct import Conductor, Progress
from ..endpoints import Endpoints
from ..history.recorder import Recorder
from ..scenario import Scenario
from .pulse import Pulse
from .reach import relayed
from .relay import Relay


class RealWorld(Conductor):
    """One run on real sockets; a world says how nodes live in it.

    Args:
        scenario: What is run.
        transport: `inproc`, `ipc` or `tcp`.
        folder: Where the files of the run lie; made when it begins. None if it has none.
        recorder: Where it is written down.
        progress: Called now and then with the drivers of the clients, while the load runs.
        start_timeout_s, stop_timeout_s: See the constants of `conduct.py`.
    """

    def __init__(
        self,
        scenario: Scenario,
        transport: str,
        folder: Path | None,
        recorder: Recorder,
        progress: Progress | None,
        start_timeout_s: float,
        stop_timeout_s: float,
    ) -> None:
        lies_in = folder if transport == "ipc" else None
        super().__init__(
            scenario,
            Endpoints(transport, scenario.pattern, lies_in),
            recorder,
            progress,
            clock=recorder.elapsed_ns,
            changed=threading.Condition(),
            make_flag=threading.Event,
            start_timeout_s=start_timeout_s,
            stop_timeout_s=stop_timeout_s,
        )
        self._folder = folder
        self._pulse = Pulse(recorder)
        # When nothing gets through any more, the run ends with what the relay says.
        self._relay = Relay(relayed(scenario), scenario.seed, lies_in, self.blame)

    @contextmanager
    def _premises(self) -> Iterator[None]:
        """What surrounds a run: its folder, the relay and the pulse."""
        with _tidy_end(), self._surroundings():
            yield

    @contextmanager
    def _surroundings(self) -> Iterator[None]:
        if self._folder is not None:
            self._folder.mkdir(mode=0o700)
        self._pulse.begin()
        try:
            self._relay.open()
            yield
        finally:
            self._relay.close()
            self._pulse.end()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def way_in(self, node: str, endpoint: str) -> str:
        """Through the relay, where a fault is to get at the connection."""
        binder = self._endpoints.binder_of(endpoint)
        return endpoint if binder is None else self._relay.way_in(node, binder, endpoint)

    def meant(self, endpoint: str) -> str:
        """See `RecordingListener`."""
        return self._relay.meant(endpoint)


@contextmanager
def _tidy_end() -> Iterator[None]:
    """SIGTERM, of which nobody has said what it shall do, ends this process when it has tidied up."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield
        return
    process, has_come = os.getpid(), False

    def leave(number: int, frame: object) -> None:
        nonlocal has_come
        if os.getpid() != process:  # One that a program has forked has nothing to tidy up.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        if not has_come:  # A second one does not disturb what the first has begun.
            has_come = True
            sys.exit(f"ended by {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if has_come:
            signal.raise_signal(signal.SIGTERM)
