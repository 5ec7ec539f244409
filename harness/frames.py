"""Messages as frames: the op id in a body, and layouts that say what stands where.

**Op ids.** The harness puts the id of a request in front of its first body
frame: `@c3.17 ` is the eighteenth request of client-3. Every pattern carries a
body opaquely, so each hop of each request can be found again in any message, in
a pattern of ours or in a stranger's, with no help from the pattern.

**Layouts.** One line says which frames a message has at one place, nearest hop
first, in the notation of the patterns:

    [C][][body..]          a routing id, the delimiter, one or more body frames
    [W][][C][][body..]     two routing ids, each with its delimiter
    [W]["READY"]           a routing id and a control word
    [meta][id][body..]     two named frames in front of the body

A name that begins with a capital is a routing id; `[]` is the empty delimiter;
a name in small letters is a frame of the pattern's own protocol. `[body..]`, one
or more frames, and `[body]`, exactly one, can only come last.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from .errors import HarnessBug, MisuseError

EMPTY = b""
"""The delimiter: the one empty frame between the envelope and the body."""

Body = list[bytes]
"""The data frames of a message, at least one."""

SHOWN_BYTES = 24
"""How much of a frame a person is shown before it is cut."""


# --- op ids -----------------------------------------------------------------

_OP = re.compile(rb"@(c\d+\.\d+) ")


def op_id(client: int, number: int) -> str:
    """The id of request `number` (from 0) of client `client` (from 0)."""
    return f"c{client}.{number}"


def asker_of(op: str) -> int:
    """The number of the client that made the request `op`."""
    return int(op[1 : op.index(".")])


def number_of(op: str) -> int:
    """Which request of its client `op` is, from 0."""
    return int(op[op.index(".") + 1 :])


def tag(op: str, body: Sequence[bytes]) -> Body:
    """Put the op id in front of the first body frame."""
    return [b"@%s %s" % (op.encode(), body[0]), *body[1:]]


def find_op(frames: Sequence[bytes]) -> str | None:
    """The op id that a message carries, wherever its body begins."""
    for frame in frames:
        if frame[:2] == b"@c":
            found = _OP.match(frame)
            if found is not None:
                return found[1].decode()
    return None


# --- long frames in a history -----------------------------------------------


LONG_BYTES = 4096
"""A frame that is longer is not kept whole in a history."""

KEPT_BYTES = 64
_LONG = re.compile(rb"\.\.\. (\d+) bytes, [0-9a-f]{32}\Z")


def kept(frames: Sequence[bytes]) -> tuple[bytes, ...]:
    """What a history keeps of a message: of a long frame its beginning, its size, its digest.

    Two long frames are equal exactly when these are, which is all that the properties
    ask; the op id stands at the beginning and is kept.
    """
    for frame in frames:
        if len(frame) > LONG_BYTES:
            return tuple(_shortened(f) if len(f) > LONG_BYTES else f for f in frames)
    return tuple(frames)


REMEMBERED_BYTES = 1 << 22
"""A long frame up to this size is remembered, until another one comes."""

_remembered = b"", b""  # The last long frame, and what was made of it.


def _shortened(frame: bytes) -> bytes:
    # The same frame crosses many sockets, one after the other, and a digest of it takes fifty
    # times as long as to see that it is the same.
    global _remembered
    remembered, shortened = _remembered
    if remembered == frame:
        return shortened
    from hashlib import blake2b

    digest = blake2b(frame, digest_size=16).hexdigest().encode()
    shortened = frame[:KEPT_BYTES] + b"... %d bytes, %s" % (len(frame), digest)
    if len(frame) <= REMEMBERED_BYTES:
        _remembered = frame, shortened
    return shortened


def is_shortened(frame: bytes) -> bool:
    """Whether a frame of a history stands for a longer one."""
    return len(frame) > KEPT_BYTES and _LONG.search(frame) is not None


# --- showing ----------------------------------------------------------------


def show_frame(frame: bytes) -> str:
    """One frame in brackets: text where it is text, hex where it is not."""
    if not frame:
        return "[]"
    tagged = _OP.match(frame)
    if tagged is not None and tagged.end() < len(frame):
        return f"[{tagged[0].decode()}{show_frame(frame[tagged.end() :])[1:]}"
    cut = frame[:SHOWN_BYTES]
    size = _LONG.search(frame)
    text = cut.decode("ascii", "replace")
    shown = text if text.isprintable() and "\ufffd" not in text else "0x" + cut.hex()
    length = int(size[1]) if size is not None else len(frame)
    more = f"..{length} bytes" if len(frame) > SHOWN_BYTES else ""
    return f"[{shown}{more}]"


def show(frames: Sequence[bytes]) -> str:
    """A whole message on one line, as `[C][][hello]`."""
    return "".join(map(show_frame, frames)) or "no frames"


# --- layouts ----------------------------------------------------------------


class LayoutMismatch(Exception):
    """A message does not have the frames that a layout asks for; the text says where."""


@dataclass(frozen=True)
class Part:
    """One frame of a layout, or its body.

    Args:
        kind: `delimiter`, `literal`, `name` or `body`.
        name: The name; one that begins with a capital is a routing id.
        value: What must stand there, of a delimiter and of a literal.
        many: Whether a body may have more than one frame.
    """

    kind: str
    name: str = ""
    value: bytes = EMPTY
    many: bool = False

    def wanted(self) -> str:
        match self.kind:
            case "delimiter":
                return "the empty delimiter"
            case "literal":
                return f"the word {show_frame(self.value)}"
            case "body":
                return "the body"
            case _ if self.name[0].isupper():
                return f"the routing id {self.name}"
            case _:
                return f"the frame {self.name}"


_PART = re.compile(
    r"""\[(?:
        (?P<literal>"[^"]+" | 0x(?:[0-9a-fA-F]{2})+)
      | (?P<body>body)(?P<many>\.\.)?
      | (?P<name>[A-Za-z][A-Za-z0-9_-]*)
      | (?P<delimiter>)
    )\]""",
    re.VERBOSE,
)


def _parse(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise MisuseError(
                f"layout {text!r} cannot be read from {text[at:]!r} on: "
                'a frame is [], [Name], [name], ["WORD"], [0x01], [body] or [body..]'
            )
        at = found.end()
        if found["literal"]:
            word = found["literal"]
            value = word[1:-1].encode() if word[0] == '"' else bytes.fromhex(word[2:])
            parts.append(Part("literal", value=value))
        elif found["body"]:
            parts.append(Part("body", many=bool(found["many"])))
        elif found["name"]:
            parts.append(Part("name", found["name"]))
        else:
            parts.append(Part("delimiter"))
    if not parts:
        raise MisuseError("a layout needs at least one frame")
    if any(part.kind == "body" for part in parts[:-1]):
        raise MisuseError(f"layout {text!r}: the body can only come last")
    return tuple(parts)


def _test(parts: tuple[Part, ...]) -> Callable[[Sequence[bytes]], bool]:
    """Whether a message is laid out so, as one expression: each message of a history is asked."""
    fixed = [part for part in parts if part.kind != "body"]
    asks = "==" if not parts[-1].many else ">="
    tests = [f"len(frames) {asks} {len(parts)}"]
    for index, part in enumerate(fixed):
        if part.kind != "name":
            tests.append(f"frames[{index}] == {part.value!r}")
    fits: Callable[[Sequence[bytes]], bool] = eval(f"lambda frames: {' and '.join(tests)}")
    return fits


class Reading(NamedTuple):
    """A message read by a layout: its named frames and its body."""

    names: dict[str, bytes]
    body: tuple[bytes, ...]


@dataclass(frozen=True)
class Layout:
    """Which frames a message has at one place; see the top of this file.

    Args:
        text: The notation, such as `[C][][body..]`.

    Attributes:
        parts: Its frames in order, the body last.
        names: The named frames, each with its place among the frames.
        body_at: How many frames stand in front of the body.
        fits: Whether a message has this layout.

    Raises:
        MisuseError: The text is not in the notation.
    """

    text: str
    names: tuple[tuple[str, int], ...] = field(init=False, repr=False, compare=False)
    body_at: int = field(init=False, repr=False, compare=False)
    fits: Callable[[Sequence[bytes]], bool] = field(init=False, repr=False, compare=False)
    parts: tuple[Part, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _parse(self.text)
        names = tuple((part.name, at) for at, part in enumerate(parts) if part.kind == "name")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "body_at", len(parts) - (parts[-1].kind == "body"))
        object.__setattr__(self, "fits", _test(parts))
        object.__setattr__(self, "parts", parts)

    def __str__(self) -> str:
        return self.text

    def read(self, frames: Sequence[bytes]) -> Reading:
        """Split a message into its named frames and its body.

        Raises:
            LayoutMismatch: A frame is missing, is too much, or is not what must stand there.
        """
        if not self.fits(frames):
            self._explain(frames)
            raise HarnessBug(f"{show(frames)} does not fit {self.text}, and nobody knows why")
        names = {name: frames[at] for name, at in self.names}
        return Reading(names, tuple(frames[self.body_at :]))

    def _explain(self, frames: Sequence[bytes]) -> None:
        """Say where a message does not fit.

        Raises:
            LayoutMismatch: Always.
        """
        for index, part in enumerate(self.parts):
            if part.kind == "body":
                body = tuple(frames[index:])
                if not body:
                    raise LayoutMismatch(f"there is no frame {index + 1}: the body is missing")
                if len(body) > 1 and not part.many:
                    raise LayoutMismatch(f"the body has {len(body)} frames where it must have one")
                return
            if index >= len(frames):
                raise LayoutMismatch(f"there is no frame {index + 1}: {part.wanted()} is missing")
            frame = frames[index]
            if part.kind != "name" and frame != part.value:
                raise LayoutMismatch(
                    f"frame {index + 1} is {show_frame(frame)} where {part.wanted()} must stand: "
                    f"{part.wanted()} is missing"
                )
        if len(frames) > len(self.parts):
            raise LayoutMismatch(f"{len(frames)} frames where {len(self.parts)} are laid out")


_ROUTED = re.compile(r"\[[A-Z][A-Za-z0-9_-]*\]\[\]")


def adapted(
    text: str, declared: str | None, actual: str, peer: str | None = None, peer_text: str = ""
) -> str:
    """The layout for a socket of another type that speaks the same on the wire.

    A REQ puts the delimiter in front that a DEALER has to send itself; a REP keeps to itself the
    routing ids and the delimiter that a DEALER and a ROUTER show.

    Args:
        text: The layout for the type that was declared.
        declared, actual: The two types; None if nobody said.
        peer, peer_text: The type of socket at the other end of the hop, where that was declared,
            and the layout there.
    """
    match declared, actual:
        case "REQ", "DEALER":
            return "[]" + text
        case "DEALER", "REQ":
            return text.removeprefix("[]")
        case "REP", "DEALER" if peer == "DEALER":
            return peer_text
        case "REP", "ROUTER" if peer == "DEALER":
            return "[P]" + peer_text
        case "REP", "ROUTER":
            return "[C][]" + text
        case "ROUTER", "REP":
            return _ROUTED.sub("", text, count=1) if _ROUTED.match(text) else text
        case _:
            return text


@lru_cache(maxsize=1024)
def layout(text: str) -> Layout:
    """The layout that `text` says, parsed once."""
    return Layout(text)
