"""The errors that reqrep raises: one root, four families by blame.

Whoever reads an error wants to know first whose move it is. So the family says
who is to blame, and the message says what happened, the value, the node, and
the way out.
"""

from __future__ import annotations

import traceback


class ReqrepError(Exception):
    """The root of all errors of this package; never raised itself."""


class MisuseError(ReqrepError, ValueError):
    """Your call: a name, a size or a combination that cannot be run."""


class PeerError(ReqrepError):
    """The other end: a node program, a file or the system did not do its part."""


class NodeFailed(PeerError):
    """A node did not start: it raised, or it never opened what its role promises. Or a simulated
    one, at any time, computes without end.

    Attributes:
        node: The name of the node, such as `broker-0`.
        details: The traceback of the node, or where it stands.
    """

    def __init__(self, node: str, what: str, details: str = "") -> None:
        # All three, since pickle makes it anew of them when another process has raised it.
        super().__init__(node, what, details)
        self.node = node
        self.what = what
        self.details = details

    def __str__(self) -> str:
        return f"{self.node} {self.what}" + (f"\n{self.details}" if self.details else "")


class HistoryDamaged(PeerError):
    """A history file is cut off or is not one of ours.

    Attributes:
        events_read: How many whole events stand before the damage.
    """

    def __init__(self, message: str, events_read: int = 0) -> None:
        super().__init__(message)
        self.events_read = events_read


class PropertyBroken(ReqrepError, AssertionError):
    """The finding: a promise does not hold, or nobody can say that it does, with what shows it."""


class NodeStopped(BaseException):
    """Ends a program that goes on after its node was told to end. Nobody is to blame.

    Not an `Exception`, so that a loop which swallows every error ends as well.
    """


def told(error: BaseException) -> str:
    """A traceback whose last line says what was raised, whatever notes and lines it has."""
    text = "".join(traceback.format_exception(error)).rstrip()
    said = " ".join(str(error).split())
    last = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return text if text.endswith(last) else f"{text}\n{last}"


class HarnessBug(ReqrepError):
    """Ours: an invariant of reqrep itself failed. Please report it with the message."""
