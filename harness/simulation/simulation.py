"""A simulated run: scheduler, network, contexts, and who observes them.

simulation = Simulation(SeededChoices(7))
simulation.scheduler.spawn("server", "server-0", server, simulation.context("server-0"))
outcome = simulation.run()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .choices import Choices
from .context import Context
from .network import NETWORK_BUFFER_BYTES, Network
from .scheduler import STEP_LIMIT, Outcome, Scheduler

Observer = Callable[[str, Any, dict[str, Any]], None]
"""Called with a kind, a socket and fields.

`connected` and `disconnected` have `peer` and `endpoint`; `dropped` has `message` and `reason`:
`unroutable`, `full`, `peer lost`, `duplicate id`, `malformed`, `uncorrelated`, `not asked`,
`abandoned`, `linger`, `handover`, `closed` or `no subscriber`.
"""


class Simulation:
    """See the top of this file.

    Args:
        choices: Decides; calm if not given.
        step_limit: See `Scheduler`.
        buffer_bytes: See `Network`.

    Attributes:
        observe: Told what the network and the sockets do; None for nobody.
    """

    def __init__(
        self,
        choices: Choices | None = None,
        *,
        step_limit: int = STEP_LIMIT,
        buffer_bytes: int = NETWORK_BUFFER_BYTES,
        observe: Observer | None = None,
    ) -> None:
        self.choices = choices or Choices()
        self.scheduler = Scheduler(self.choices, step_limit)
        self.network = Network(self.scheduler, self.choices, buffer_bytes)
        self.observe = observe
        self._socket_number = 0
        self._contexts: list[Context] = []

    def context(self, node: str) -> Context:
        """A new context of a node."""
        self._contexts.append(Context(self, node))
        return self._contexts[-1]

    def next_socket_number(self) -> int:
        """Sockets are numbered from 0 in the order in which they are made."""
        self._socket_number += 1
        return self._socket_number - 1

    def dispose(self) -> None:
        """Let go of what is left of a run, when all sockets are closed and all tasks have ended.

        Then reference counts alone free the simulation: it has no cycles left, which to find
        would take the garbage collector longer than a short run.
        """
        self.observe = None
        self.scheduler.dispose()
        self.network.dispose()
        for context in self._contexts:
            context.dispose()
        self._contexts.clear()

    def run(self) -> Outcome:
        """Run until nobody can; see `Outcome`."""
        return self.scheduler.run()
