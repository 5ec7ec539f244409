"""Somebody who does not keep to the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..frames import adapted, layout
from .fault import Fault
from .scene import Scene

if TYPE_CHECKING:
    from ..pattern import Pattern

NAME = "stranger"
MARK = b"@stranger"
"""What the frames of a stranger begin with, where they can: so a property can leave them out."""

GOOD = MARK + b" means well"
PATIENCE_MS = 1000
"""How long a stranger waits for the answer to a good request."""

CURT_MS = 50
"""How long it waits once an answer has failed to come: the peer may answer none, or be dead."""

HUGE_BYTES = 1_000_000


class Stranger(Fault, frozen=True, tag="stranger"):
    """A peer connects beside the clients, sends odd messages, and a good request after each.

    Odd is: no delimiter, only a delimiter, an empty body, too many frames, a huge one, bytes
    that are no UTF-8, routing ids of others, and the control words of the pattern, alone,
    doubled and behind a body. It has struck when a node of the fleet has received one.

    Args:
        link: Where, a link that clients connect to.
    """

    summary = "a peer connects beside the clients and sends odd messages, and good ones after"
    example = "stranger:link=frontend,at=0.001"

    link: str
    tells_itself = True

    def strike(self, scene: Scene) -> None:
        odd = odd_messages(scene.pattern)
        good = good_message(scene.pattern, self.link)
        scene.visit(NAME, self.link, partial(talk, odd, good))

    def is_shown_by(self, row: tuple[Any, ...]) -> bool:
        return (
            row[2] == "recv" and is_strangers("", row[5]) and not is_strangers(row[1], (b"seen",))
        )


def is_strangers(node: str, frames: Sequence[bytes]) -> bool:
    """Whether a message is one of a stranger's, or an answer to one, wherever it is seen.

    A message of empty frames alone is, since every body of the fleet carries its op id.
    """
    return (
        node.startswith(NAME)
        or any(frame.startswith((MARK, NAME.encode())) for frame in frames)
        or not any(frames)
    )


def odd_messages(pattern: Pattern) -> list[list[bytes]]:
    """Messages that no client of a pattern sends."""
    parts = [part for hop in pattern.hops for part in layout(hop.sent).parts]
    words = dict.fromkeys(part.value for part in parts if part.kind == "literal")
    return [
        [MARK],
        [b""],
        [b"", b""],
        [b"", b"", b"", MARK],
        [b"", MARK, *[b"more"] * 20],
        [b"", MARK + bytes(HUGE_BYTES)],
        [b"", MARK + b"\xff\xfe\xc3\x28"],
        [b"", b"stranger-9", b"", MARK],
        *(
            message
            for word in words
            for message in ([word], [b"", word], [b"", word, word], [b"", MARK, word])
        ),
    ]


def good_message(pattern: Pattern, link: str) -> list[bytes]:
    """A request as a client sends it at a link, from a DEALER."""
    hop = next(
        hop
        for hop in pattern.hops
        if hop.carries == "request" and hop.link == link and hop.sender == "client"
    )
    text = adapted(hop.sent, pattern.link(link).socket_of("client"), "DEALER")
    named = {"meta": b"META:userid=stranger"}
    return [
        GOOD
        if part.kind == "body"
        else named.get(part.name, b"0")
        if part.kind == "name"
        else part.value
        for part in layout(text).parts
    ]


def talk(
    odd: list[list[bytes]],
    good: list[bytes],
    context: Any,
    endpoints: str | list[str],
    name: str,
) -> None:
    """What a stranger runs, once it knows what to say."""
    import zmq

    for endpoint in [endpoints] if isinstance(endpoints, str) else endpoints:
        socket = context.socket(zmq.DEALER)
        socket.set(zmq.ROUTING_ID, name.encode())
        socket.connect(endpoint)
        patience_ms = PATIENCE_MS
        for message in odd:
            socket.send_multipart(message)
            socket.send_multipart(good)
            while socket.poll(patience_ms):
                if GOOD in socket.recv_multipart():
                    break
            else:
                patience_ms = CURT_MS
        socket.close(linger=0)
