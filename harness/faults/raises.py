"""A service raises."""

from __future__ import annotations

from .fault import Meddling, OnService


class Raises(OnService, frozen=True, tag="raises"):
    """The service raises a `RuntimeError` for one request, instead of a reply.

    Args:
        node: Of which worker; None counts the requests of all workers together.
        nth: For which request that is taken, from 1.
    """

    summary = "the service raises for the n-th request"
    example = "raises:node=worker-0,nth=2"

    node: str | None = None
    nth: int = 1

    def meddle(self) -> Meddling:
        raise RuntimeError(f"the service raises, as planned: {self!r}")
