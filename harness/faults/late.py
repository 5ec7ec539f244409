"""A service takes longer: its reply is late."""

from __future__ import annotations

from ..values import require_more_than_0
from .fault import Meddling, OnService


class Late(OnService, frozen=True, tag="late"):
    """The service takes longer for one request, so that its reply is late.

    Args:
        by_s: How many seconds longer, 0 or more.
        node: Of which worker; None counts the requests of all workers together.
        nth: For which request that is taken, from 1.
    """

    summary = "the service takes longer for the n-th request: its reply is late"
    example = "late:by_s=0.3,node=worker-0,nth=2"

    by_s: float
    node: str | None = None
    nth: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_more_than_0("Late.by_s", self.by_s)

    def meddle(self) -> Meddling:
        return Meddling(longer_s=self.by_s)
