"""A service returns nothing."""

from __future__ import annotations

from .fault import Meddling, OnService


class Blank(OnService, frozen=True, tag="blank"):
    """The service returns an empty body for one request: a list of no frames.

    What becomes of that is the worker's affair: a message of no frames cannot be sent, and one
    that ends with the delimiter is no reply.

    Args:
        node: Of which worker; None counts the requests of all workers together.
        nth: For which request that is taken, from 1.
    """

    summary = "the service returns an empty body for the n-th request"
    example = "blank:node=worker-0,nth=2"

    node: str | None = None
    nth: int = 1

    def meddle(self) -> Meddling:
        return Meddling(is_blank=True)
