"""The fleet: how many nodes of each kind a scenario runs."""

from __future__ import annotations

from .values import Value, require_count


class Fleet(Value, frozen=True, repr_omit_defaults=False):
    """How many nodes make requests and how many carry them out.

    Args:
        clients: Nodes in the role `client`.
        workers: Nodes in the role that carries requests out, `worker` or `server`,
            where the pattern can have several. A pattern with one server has one.

    Raises:
        MisuseError: A number is not 1 or more.
    """

    clients: int = 2
    workers: int = 2

    def __post_init__(self) -> None:
        require_count("Fleet.clients", self.clients)
        require_count("Fleet.workers", self.workers)
