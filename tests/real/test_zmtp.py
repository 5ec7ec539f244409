"""Where messages end: in what libzmq really sends, however it comes in pieces."""

from __future__ import annotations

import socket
from functools import cache
from itertools import pairwise

import zmq
from hypothesis import given, strategies as st

from reqrep.harness.real.zmtp import (
    BEGINNING_BYTES,
    COMMAND,
    GREETING_BYTES,
    LONG,
    MORE,
    Boundaries,
)

GREETING = b"\xff" + bytes(8) + b"\x7f\x03" + bytes(53)
MESSAGES = [[b"one"], [b"", b"x" * 255, b"x" * 256], [b""], [b"x" * 70_000, b"", b"end"]]


def frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) > 255:
        return bytes([flags | LONG]) + len(body).to_bytes(8) + body
    return bytes([flags, len(body)]) + body


def message(*bodies: bytes) -> bytes:
    return b"".join(frame(body, MORE) for body in bodies[:-1]) + frame(bodies[-1])


def ends(*chunks: bytes) -> tuple[list[int], Boundaries]:
    boundaries = Boundaries()
    found, begin = [], 0
    for chunk in chunks:
        found += [begin + end for end in boundaries.ends(memoryview(chunk))]
        begin += len(chunk)
    return found, boundaries


@cache
def sent_by_libzmq() -> bytes:
    """What a DEALER puts on a connection that sends `MESSAGES`, to a peer that is played here."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as dealer,
    ):
        dealer.connect("tcp://{}:{}".format(*server.getsockname()))
        peer, _ = server.accept()
        peer.settimeout(10)
        for parts in MESSAGES:
            dealer.send_multipart(parts)
        peer.sendall(GREETING.replace(b"\x03", b"\x03\x00NULL", 1)[:GREETING_BYTES])
        peer.sendall(frame(b"\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER", COMMAND))
        got = bytearray()
        while not got.endswith(frame(b"end")):
            got += peer.recv(65536)
        peer.close()
    return bytes(got)


def test_the_ends_are_those_of_the_messages_that_libzmq_sent() -> None:
    stream = sent_by_libzmq()
    found, boundaries = ends(stream)
    assert boundaries.messages == len(MESSAGES)
    assert boundaries.is_between
    assert found[0] == GREETING_BYTES
    sent = [stream[begin:end] for begin, end in pairwise(found)]
    assert sent[1:] == [message(*parts) for parts in MESSAGES]  # Behind its READY.


@given(st.lists(st.integers(0, 70_600), max_size=30).map(sorted))
def test_the_pieces_in_which_bytes_come_do_not_matter(cuts: list[int]) -> None:
    stream = sent_by_libzmq()
    assert len(stream) > 70_600
    pieces = [stream[begin:end] for begin, end in pairwise([0, *cuts, len(stream)])]
    assert ends(*pieces)[0] == ends(stream)[0]


def test_bytes_one_by_one_have_the_same_ends() -> None:
    stream = GREETING + message(b"a", b"") + frame(b"\x04PING", COMMAND) + message(b"x" * 300)
    found, boundaries = ends(*(bytes([byte]) for byte in stream))
    assert found == ends(stream)[0]
    assert len(found) == 4
    assert boundaries.messages == 2


def test_a_ping_between_two_frames_does_not_end_their_message() -> None:
    stream = GREETING + frame(b"a", MORE) + frame(b"\x04PING", COMMAND) + frame(b"b")
    found, boundaries = ends(stream)
    assert found == [GREETING_BYTES, len(stream)]
    assert boundaries.messages == 1


def test_what_has_begun_and_not_ended_is_told() -> None:
    _, boundaries = ends(GREETING)
    assert boundaries.is_between
    boundaries.ends(memoryview(message(b"abc")[:3]))
    assert not boundaries.is_between


def test_what_is_not_zmtp_3_has_no_ends() -> None:
    older = b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + b"\x00\x05hello" * 20
    for stream in (
        b"GET / HTTP/1.1\r\n" * 9,
        bytes(99),
        older,
        GREETING + b"\x08\x00",
        b"\xff" * 99,
    ):
        found, boundaries = ends(stream + message(b"a"))
        assert [end for end in found if end != GREETING_BYTES] == []
        assert not boundaries.is_between
        assert boundaries.messages == 0


def test_of_each_unit_it_is_told_what_the_frames_of_its_message_begin_with() -> None:
    stream = sent_by_libzmq() + frame(b"\x04PING", COMMAND)
    for size in (1, 7, 1000, len(stream)):
        boundaries = Boundaries()
        boundaries.beginnings = []
        found = [
            end
            for begin in range(0, len(stream), size)
            for end in boundaries.ends(memoryview(stream)[begin : begin + size])
        ]
        greeting, ready, *messages, ping = boundaries.beginnings
        assert greeting == ready == ping == []
        assert messages == [[part[:BEGINNING_BYTES] for part in parts] for parts in MESSAGES]
        assert len(found) == len(boundaries.beginnings)


def test_who_begins_to_read_in_the_middle_of_a_message_reads_the_next_whole() -> None:
    _, boundaries = ends(GREETING, message(b"one", b"two")[:6])
    boundaries.beginnings = []
    boundaries.ends(memoryview(message(b"one", b"two")[6:] + message(b"three", b"four")))
    assert boundaries.beginnings[1] == [b"three", b"four"]
