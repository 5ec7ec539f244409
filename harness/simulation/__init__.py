"""A simulated libzmq: one thread, virtual time, no zmq.

scheduler.py   tasks and time              choices.py   the one place of decisions
pipe.py        what a socket sees of a connection; limits
mailbox.py     what a socket is told, and when it looks
rotation.py    which pipe is next
network.py, link.py, connection.py, wire.py  tcp and ipc
sockets/       the types; rules.py has the state machines as tables
               plumbing.py, endpoints.py, base.py: what all have in common, from the pipes up
context.py     sockets of a node, inproc names, the end
poll.py, proxy.py                          on top of sockets
simulation.py  all of it put together: start here
"""

from __future__ import annotations

from .choices import Choices, SeededChoices, SparseChoices
from .constants import SimulatedError
from .context import Context
from .network import Network
from .poll import poll
from .proxy import proxy
from .scheduler import Outcome, Scheduler, Task, TaskKilled, Timer, Waiting
from .simulation import Simulation
from .sockets.base import Socket

__all__ = [
    "Choices",
    "Context",
    "Network",
    "Outcome",
    "Scheduler",
    "SeededChoices",
    "SimulatedError",
    "Simulation",
    "Socket",
    "SparseChoices",
    "Task",
    "TaskKilled",
    "Timer",
    "Waiting",
    "poll",
    "proxy",
]
