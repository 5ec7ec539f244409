from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from reqrep import MisuseError
from reqrep.harness.frames import (
    Layout,
    LayoutMismatch,
    asker_of,
    find_op,
    kept,
    layout,
    op_id,
    show,
    tag,
)
from reqrep.properties.strategies import routing_ids
from tests.strategies import messages


@given(st.integers(0, 10**6), st.integers(0, 10**9), messages)
def test_an_op_id_is_found_where_it_was_put(client: int, number: int, body: list[bytes]) -> None:
    op = op_id(client, number)
    tagged = tag(op, body)
    assert find_op(tagged) == op
    assert (tagged[0].partition(b" ")[2], tagged[1:]) == (body[0], body[1:])
    assert client == asker_of(op)


@given(st.lists(routing_ids(), max_size=3), messages)
def test_an_op_is_found_behind_any_envelope(envelope: list[bytes], body: list[bytes]) -> None:
    message = [*envelope, b"", *tag("c4.2", body)]
    found = find_op(message)
    # An id that happens to look like an op stands before the body, and is a client's own doing.
    assert found == "c4.2" or any(part.startswith(b"@c") for part in envelope)


class TestLayouts:
    def test_a_layout_names_what_stands_where(self) -> None:
        reading = layout("[W][][C][][body..]").read([b"w", b"", b"c", b"", b"a", b""])
        assert {"W": b"w", "C": b"c"} == reading.names
        assert (b"a", b"") == reading.body

    @pytest.mark.parametrize(
        ("text", "message", "says"),
        [
            ("[C][][body..]", [b"c", b"hello"], "the empty delimiter is missing"),
            ("[C][][body..]", [b"c"], "no frame 2: the empty delimiter is missing"),
            ("[C][][body..]", [b"c", b""], "no frame 3: the body is missing"),
            ("[C][][body]", [b"c", b"", b"a", b"b"], "2 frames where it must have one"),
            ('[W][]["READY"]', [b"w", b"", b"ready"], "the word [READY] is missing"),
            ('[W][]["READY"]', [b"w", b"", b"READY", b"x"], "4 frames where 3 are laid out"),
            ("[0x01]", [b"\x02"], "the word [0x01] is missing"),
            ("[C][meta][body..]", [b"c"], "the frame meta is missing"),
            ("[C][body..]", [], "the routing id C is missing"),
        ],
    )
    def test_a_mismatch_says_what_is_missing(
        self, text: str, message: list[bytes], says: str
    ) -> None:
        with pytest.raises(LayoutMismatch) as caught:
            layout(text).read(message)
        assert says in str(caught.value)
        assert not layout(text).fits(message)

    @pytest.mark.parametrize("text", ["", "[", "[C", "C", "[C] []", "[body..][C]", "[0x1]", "[1]"])
    def test_what_is_no_layout_is_refused(self, text: str) -> None:
        with pytest.raises(MisuseError):
            Layout(text)

    @given(routing_ids(), messages)
    def test_a_wrapped_body_is_read_back_whatever_it_holds(
        self, client: bytes, body: list[bytes]
    ) -> None:
        assert tuple(body) == layout("[C][][body..]").read([client, b"", *body]).body


def test_long_frames_are_equal_exactly_when_they_were() -> None:
    one, other = b"x" * 5000, b"x" * 4999 + b"y"
    assert kept([one]) == kept([bytes(one)]) != kept([other])
    assert find_op(kept([b"@c1.2 " + one])) == "c1.2"
    assert show(kept([one])) == "[xxxxxxxxxxxxxxxxxxxxxxxx..5000 bytes]"


def test_messages_are_shown_as_a_person_reads_them() -> None:
    shown = show([b"\x00\xff", b"", b"@c1.2 hello", b"@c1.3 \xff", b"x" * 30])
    assert shown == "[0x00ff][][@c1.2 hello][@c1.3 0xff][xxxxxxxxxxxxxxxxxxxxxxxx..30 bytes]"
