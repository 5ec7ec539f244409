"""The seat of a simulated node: what it has, and what its program makes and may not call."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn

import zmq

from ..errors import MisuseError
from ..simulation.constants import SimulatedError
from . import seat as seats
from .seat import Listener, Seat
from .simulating import TYPE_NAMES, SimulatingTap, new_address, zmq_error
from .tap import Tap, taps

if TYPE_CHECKING:
    from ..history.recorder import Recorder
    from ..simulation.context import Context
    from ..simulation.scheduler import Scheduler, Task
    from .virtual_asyncio import VirtualLoop

FIRST_PID = 1000
"""Of the first node of a run."""

LOOKS = 10
"""So many looks at a clock in a row take as long as a call that finds nothing."""

_DRAFT_TYPES = {
    number: name
    for number, name in TYPE_NAMES.items()
    if name
    in ("SERVER", "CLIENT", "RADIO", "DISH", "GATHER", "SCATTER", "DGRAM", "PEER", "CHANNEL")
}


class SimulatingSeat(Seat):
    """A node in a simulation.

    Args:
        node: Its name.
        recorder: Where its events go.
        core: The simulated context that is lent to it.
        listener: Who wants to know what it opens.
        pid: What its program is told of its process.

    Attributes:
        context: What its program is given.
        signal_handlers: What its program has set, by the number of the signal.
        tasks: The threads that it started.
        event_loops: The loops of asyncio that it made, in order.
        skew_ns: By how much its wall clock is wrong.
        refusal: The first call that the simulated world does not have, if it made one.
        thread_numbers, task_numbers, executor_numbers: What its threads, its tasks of asyncio
            and the threads of its executors are named by.
    """

    def __init__(
        self, node: str, recorder: Recorder, core: Context, listener: Listener, pid: int = FIRST_PID
    ) -> None:
        super().__init__(node, recorder, listener)
        self.core = core
        self.pid = pid
        self.signal_handlers: dict[int, Any] = {}
        self._looked_ns = 0
        self._looks = 0
        self.scheduler: Scheduler = core.simulation.scheduler
        self.tasks: list[Task] = []
        self.event_loops: list[VirtualLoop] = []
        self.refusal: MisuseError | None = None
        self.thread_numbers = count(1)
        self.task_numbers = count(1)
        self.executor_numbers = count()
        self.skew_ns = 0
        self._address = new_address()
        self._is_lending = False
        with seats.seated(self):
            self.context: zmq.Context[Any] = zmq.Context()
        self._is_lending = True

    @property
    def address(self) -> int:
        return self._address

    def looks_at_clock(self) -> None:
        """Its program reads a clock, which takes time as well: one that does nothing else goes on."""
        scheduler = self.scheduler
        if scheduler.now_ns != self._looked_ns:
            self._looked_ns, self._looks = scheduler.now_ns, 0
        self._looks += 1
        if self._looks == LOOKS:
            self._looks = 0
            scheduler.fruitless()

    def caller(self) -> Task | None:
        return self.scheduler.current

    def refuse(self, what: str, why: str) -> NoReturn:
        """Refuse, by name, what a simulation cannot do.

        The world is told too: the refusal ends the run, wherever the program made the call
        and whatever it does about the error.

        Raises:
            MisuseError: Always.
        """
        error = MisuseError(
            f"{self.node} calls {what}, which the simulated world does not have: {why}; "
            "run this program in the world 'threads'"
        )
        self.refusal = self.refusal or error
        raise error

    def stop(self, *, is_leaving: bool = False) -> None:
        super().stop(is_leaving=is_leaving)
        self.context.closed = True  # The simulation's to end, like those the program made.
        for loop in self.event_loops:
            loop.cancel_all()

    def dispose(self) -> None:
        """The run is over: let go of all that points back here, so that no collector is needed."""
        self.close_contexts()
        for tap in self.taps:
            tap.dispose()
        self.taps.clear()
        self.tasks.clear()
        self.event_loops.clear()
        self._held.clear()
        self._instances.clear()
        self.signal_handlers.clear()
        del self.context

    def set_context(self, context: Any, option: int, value: int) -> None:
        try:
            self.core.set(int(option), value)
        except SimulatedError as error:
            raise zmq_error(error) from None

    def get_context(self, context: Any, option: int) -> int:
        try:
            return self.core.get(int(option))
        except SimulatedError as error:
            raise zmq_error(error) from None

    def begin_context(self, context: Any, io_threads: int) -> None:
        if io_threads < 0:
            raise zmq.ZMQError(zmq.EINVAL)
        if self._is_lending:
            self.has_made(context)

    def begin_socket(
        self, socket: Any, context: Any, kind: int, shadow: int, copy_threshold: int | None
    ) -> Tap:
        if shadow:
            socket.context = self.context
            tap = taps[shadow]
            assert isinstance(tap, SimulatingTap)
            tap.serve(socket)
            return tap
        if context is None or kind == -1:
            raise TypeError("Socket needs a context and a socket type")
        socket.context = context
        if type(socket) is not zmq.Socket:
            self._check_class(type(socket))
        if kind in _DRAFT_TYPES:
            self.refuse(
                f"socket(zmq.{_DRAFT_TYPES[kind]})", "draft sockets are not part of libzmq 4.3"
            )
        if kind == zmq.STREAM:
            self.refuse("socket(zmq.STREAM)", "connections without ZMTP are not modelled")
        try:
            core = self.core.socket(int(kind))
        except SimulatedError as error:
            if error.errno == zmq.ETERM:
                self.met_the_end()
            raise zmq_error(error) from None
        tap = SimulatingTap(self, socket, core)
        tap.serve(socket)
        return tap

    def _check_class(self, kind: type) -> None:
        if any(cls.__module__.startswith("zmq.green") for cls in kind.__mro__):
            self.refuse("zmq.green", "the hub of gevent waits on real descriptors")
