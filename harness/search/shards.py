"""One search shared by the workers of pytest-xdist, with one verdict.

Under `pytest -n 4` a test that searches becomes four, one for each worker, and each runs its quarter
of the budget: trial numbers are dealt out in turn, so together they are those of one process.
What a shard saw it leaves in a folder that all workers share; whoever finishes last adds
everything up, and its verdict is that of the whole search. The others pass. A last shard that
is run again, by a plug-in that tries once more what has failed, is still the last.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from .hunt import Found, Search
from .tally import Tally


class Part(msgspec.Struct):
    """What one shard saw."""

    tally: Tally
    found: list[Found]
    seconds: float


class Shard:
    """One share of a search.

    Args:
        folder: Shared by all shards of one test, and by nobody else.
        index, count: Which share, from 0, of how many.
    """

    def __init__(self, folder: Path, index: int = 0, count: int = 1) -> None:
        self._folder = folder
        self.index = index
        self.count = count

    def whole(self, name: str, own: Search) -> Search | None:
        """The whole search, if this shard is the last to finish; None otherwise.

        Args:
            name: Of the search, among those of one test.
            own: This shard's, which is done.
        """
        if self.count == 1:
            return own
        self._folder.mkdir(parents=True, exist_ok=True)
        part = msgspec.msgpack.encode(Part(own.tally, own.found, own.elapsed_s))
        written = self._folder / f"{name}-{self.index}.part"
        written.with_suffix(".tmp").write_bytes(part)
        written.with_suffix(".tmp").rename(written)
        parts = [self._folder / f"{name}-{index}.part" for index in range(self.count)]
        if not all(path.exists() for path in parts):
            return None
        if self._last(self._folder / f"{name}.last") != str(self.index):
            return None
        for index, path in enumerate(parts):
            if index != self.index:
                other = msgspec.msgpack.decode(path.read_bytes(), type=Part)
                own.add(other.tally, other.found)
                own.elapsed_s = max(own.elapsed_s, other.seconds)
        return own

    def _last(self, path: Path) -> str:
        """Which shard is the last: two may see that all parts are there."""
        try:
            path.mkdir()  # Which one of them can do, on every file system.
        except FileExistsError:
            pass
        else:
            (path / str(self.index)).touch()
        return next((child.name for child in path.iterdir()), "")
