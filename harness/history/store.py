"""Histories on disk: one line of text, then batches that are whole or not there.

    reqrep history 1\\n                     the name and version of the format
    [length u32][crc32 u32][msgpack]        what was run: a map
    [length u32][crc32 u32][msgpack] ...    a batch: a list of events
    [length u32 = 0][crc32 u32 of nothing]  the end

Numbers are little-endian. A file that was cut off keeps each batch that was
written whole: a torn one fails its length or its checksum. The end mark tells a
finished history from one whose run was killed between two batches.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import msgspec

from ..errors import HistoryDamaged, MisuseError
from .event import Event

MAGIC = b"reqrep history 1\n"
BATCH_EVENTS = 1024
_PREFIX = struct.Struct("<II")


class Writer:
    """Writes a history batch by batch; use it as a context manager.

    Args:
        path: Where; an existing file is replaced.
        about: What was run.

    Raises:
        MisuseError: The file cannot be written.
    """

    def __init__(self, path: str | Path, about: dict[str, Any]) -> None:
        self.path = Path(path)
        self._encode = msgspec.msgpack.Encoder().encode
        try:
            # Unbuffered: a batch is written whole, and is in the file when that is done.
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise MisuseError(
                f"the history cannot be written to {str(self.path)!r}: {error.strerror}"
            ) from error
        self._put(MAGIC)
        self._batch(about)
        self._events_begin = self._file.tell()

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.close()
            raise MisuseError(
                f"the history cannot be written to {str(self.path)!r}: {error.strerror}; "
                "what was written before is readable"
            ) from error

    def _batch(self, content: object) -> None:
        data = self._encode(content)
        self._put(_PREFIX.pack(len(data), crc32(data)) + data)

    def write(self, events: Iterable[Event]) -> None:
        """Add events, in order."""
        rest = iter(events)
        while batch := list(islice(rest, BATCH_EVENTS)):
            self._batch(batch)

    def begin_anew(self) -> None:
        """Take back all events."""
        self._file.seek(self._events_begin)
        self._file.truncate()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be written: it is closed, or a write has failed."""
        return self._file.closed

    def close(self) -> None:
        """Write the end mark and close the file."""
        if not self._file.closed:
            self._put(_PREFIX.pack(0, 0))
            self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()  # Without the end mark, for it is not all there.


def write(path: str | Path, events: Iterable[Event], about: dict[str, Any]) -> None:
    """Write a whole history to a file.

    Raises:
        MisuseError: The file cannot be written.
    """
    with Writer(path, about) as writer:
        writer.write(events)


def read(path: str | Path) -> Iterator[dict[str, Any] | Event]:
    """Read a file as a stream: first what was run, then each event, in bounded memory.

    Raises:
        MisuseError: The file cannot be opened.
        HistoryDamaged: After all that is whole was given, if the file is cut off; at
            once, if it is none of ours.
    """
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (it is opened here and closed below)
    except OSError as error:
        raise MisuseError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    with file:
        if file.read(len(MAGIC)) != MAGIC:
            raise HistoryDamaged(f"{str(path)!r} is not a history of this version of reqrep")
        first = _next_batch(file, path, 0)
        if first is None:
            raise HistoryDamaged(f"{str(path)!r} has an end before its beginning")
        yield msgspec.msgpack.decode(first)
        decode = msgspec.msgpack.Decoder(list[Event]).decode
        events_read = 0
        while (data := _next_batch(file, path, events_read)) is not None:
            try:
                events = decode(data)
            except msgspec.DecodeError as error:
                raise HistoryDamaged(
                    f"{str(path)!r} has a batch after its first {events_read} events that is no "
                    f"list of events: {error}",
                    events_read,
                ) from error
            yield from events
            events_read += len(events)


def _next_batch(file: BinaryIO, path: str | Path, events_read: int) -> bytes | None:
    """The next batch, or None at the end mark."""
    prefix = file.read(_PREFIX.size)
    if len(prefix) == _PREFIX.size:
        length, checksum = _PREFIX.unpack(prefix)
        if length == 0:
            return None
        data = file.read(length)
        if len(data) == length and crc32(data) == checksum:
            return data
    raise HistoryDamaged(
        f"{str(path)!r} was cut off: its first {events_read} events are whole, what follows is not; "
        "read, from reqrep.harness.history.store, gives those one by one",
        events_read,
    )
