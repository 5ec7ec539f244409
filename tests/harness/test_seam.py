"""The recording seam: it hears everything a node does, and nothing of anybody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
import zmq.asyncio
from hypothesis import given, settings
from zmq import Context as EarlyContext, Socket as EarlySocket

from reqrep import Event
from reqrep.harness.frames import kept
from reqrep.harness.history.recorder import Recorder
from reqrep.harness.seam import patches, seat as seats
from reqrep.harness.seam.recording import LINGER_MS, RecordingSeat
from reqrep.harness.seam.seat import Seat, seated
from reqrep.harness.seam.tap import Tap
from tests.strategies import messages


class UserSocket(zmq.Socket[bytes]):
    """A subclass of a user's, made before anything was patched."""

    def ask(self, body: bytes) -> bytes:
        self.send(body)
        return self.recv()


class UserContext(zmq.Context[Any]):
    _socket_class = UserSocket


class Listens:
    """A world that only remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def bound(self, seat: Seat, tap: Tap, requested: str, endpoint: str) -> None:
        self.told.append(("bound", requested, endpoint))

    def connecting(self, seat: Seat, tap: Tap, endpoint: str) -> None:
        self.told.append(("connecting", endpoint))

    def is_known(self, endpoint: str) -> bool:
        return True

    def unwatched(self, tap: Tap) -> None:
        self.told.append(("unwatched", str(tap.number)))

    def watch(self, tap: Tap, socket: zmq.Socket[Any]) -> None:
        self.told.append(("watch", str(tap.number)))

    def way_in(self, node: str, endpoint: str) -> str:
        return endpoint

    def meant(self, endpoint: str) -> str:
        return endpoint


class Node:
    """One node in this thread: its seat, and what was heard of it."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        self.recorder = Recorder()
        self.listens = Listens()
        self.seat = RecordingSeat("node-0", self.recorder, context, self.listens)
        self.kept: list[zmq.Socket[Any]] = []

    def socket(self, kind: int) -> zmq.Socket[Any]:
        """A socket that the fixture closes."""
        socket: zmq.Socket[Any] = self.seat.context.socket(kind)
        self.kept.append(socket)
        return socket

    def heard(self, *kinds: str) -> list[Event]:
        events = self.recorder.history({}).events
        return [event for event in events if not kinds or event.kind in kinds]

    def frames(self, kind: str) -> list[tuple[bytes, ...]]:
        return [event.frames for event in self.heard(kind)]


@pytest.fixture
def node() -> Iterator[Node]:
    with patches.installed():
        context: zmq.Context[Any] = zmq.Context()
        one = Node(context)
        with seated(one.seat):
            yield one
        one.seat.stop()
        for socket in one.kept:
            socket.close(linger=0)
        context.term()


def pair(node: Node, first: int = zmq.DEALER, second: int = zmq.DEALER) -> tuple[Any, Any]:
    """Two connected sockets of the node."""
    one, other = node.socket(first), node.socket(second)
    for socket in one, other:
        socket.rcvtimeo = 5000
    one.bind("inproc://pair")
    other.connect("inproc://pair")
    return one, other


class TestMessages:
    def test_a_multipart_message_is_heard_whole_at_both_ends(self, node: Node) -> None:
        one, other = pair(node)
        other.send_multipart([b"a", b"", b"c"])
        assert one.recv_multipart() == [b"a", b"", b"c"]
        assert node.frames("send") == node.frames("recv") == [(b"a", b"", b"c")]

    def test_frames_sent_and_received_one_by_one_are_put_together(self, node: Node) -> None:
        one, other = pair(node)
        other.send(b"a", zmq.SNDMORE)
        other.send_multipart([b"b", b"c"], zmq.SNDMORE)
        assert node.frames("send") == []
        other.send(b"d")
        got = [one.recv()]
        while one.rcvmore:
            got.append(one.recv())
        assert got == [b"a", b"b", b"c", b"d"]
        assert node.frames("send") == node.frames("recv") == [(b"a", b"b", b"c", b"d")]

    def test_all_of_pyzmqs_ways_to_send_are_heard(self, node: Node) -> None:
        one, other = pair(node)
        other.send_string("text")
        other.send_json({"a": 1})
        other.send_pyobj(None)
        other.send_serialized(1, lambda number: [b"%d" % number])
        other.send(zmq.Frame(b"frame"))
        other.send(memoryview(b"view"), copy=False)
        other.send_multipart([bytearray(b"array"), memoryview(b"view")])
        other.send_multipart((b"tuple", b"of", b"frames"))
        one.recv_string()
        one.recv_json()
        one.recv_pyobj()
        one.recv_serialized(list)
        assert one.recv(copy=False).bytes == b"frame"
        if hasattr(one, "recv_into"):  # Since pyzmq 26.4.
            assert one.recv_into(bytearray(10)) == 4
        else:
            one.recv()
        assert [part.bytes for part in one.recv_multipart(copy=False)] == [b"array", b"view"]
        assert one.recv_multipart() == [b"tuple", b"of", b"frames"]
        assert node.frames("send") == node.frames("recv")
        assert len(node.frames("recv")) == 8

    @settings(max_examples=50)
    @given(messages)
    def test_any_message_is_heard_as_it_was_sent(self, message: list[bytes]) -> None:
        with patches.installed():
            context: zmq.Context[Any] = zmq.Context()
            node = Node(context)
            with seated(node.seat):
                one, other = pair(node)
                other.send_multipart(message)
                assert one.recv_multipart() == message
                assert node.frames("send") == node.frames("recv") == [tuple(message)]
                one.close()
                other.close()
            context.term()

    def test_a_long_frame_is_kept_by_its_digest(self, node: Node) -> None:
        one, other = pair(node)
        frame = b"@c0.0 " + bytes(1_000_000)
        other.send_multipart([b"", frame])
        assert one.recv_multipart() == [b"", frame]
        assert node.frames("send") == node.frames("recv") == [kept([b"", frame])]
        assert node.heard("recv")[0].op_in_frames == "c0.0"

    def test_what_was_refused_is_not_heard_as_sent(self, node: Node) -> None:
        one = node.socket(zmq.DEALER)
        with pytest.raises(TypeError):
            one.send_multipart(["text"])  # type: ignore[list-item]
        with pytest.raises(zmq.Again):
            one.send_multipart([b"a", b"b"], zmq.NOBLOCK)
        assert node.frames("send") == []

    def test_a_send_comes_before_its_receipt_in_order_of_time(self, node: Node) -> None:
        one, other = pair(node)
        for _ in range(100):
            other.send(b"x")
            one.recv()
        kinds = [event.kind for event in node.heard("send", "recv")]
        assert kinds == ["send", "recv"] * 100


class TestWhoseSocketsAreHeard:
    def test_names_imported_early_and_subclasses_are_heard(self, node: Node) -> None:
        one = node.socket(zmq.REP)
        one.bind("inproc://here")
        with UserContext() as context, context.socket(zmq.REQ) as asker:
            asker.connect("inproc://here")
            answering = threading.Thread(target=lambda: one.send(one.recv()))
            answering.start()
            assert asker.ask(b"question") == b"question"
            answering.join()
        with EarlyContext() as early_context:
            EarlySocket(early_context, zmq.DEALER).close()
        assert node.frames("send") == [(b"question",), (b"question",)]
        assert [event.text for event in node.heard("socket")] == ["REP", "REQ", "DEALER"]

    def test_threads_of_the_nodes_own_are_heard(self, node: Node) -> None:
        one = node.socket(zmq.PULL)
        one.bind("inproc://here")
        context = node.seat.context

        def run() -> None:
            with context.socket(zmq.PUSH) as other:
                other.connect("inproc://here")
                other.send(b"from a thread")

        thread = threading.Thread(target=run)
        thread.start()
        assert one.recv() == b"from a thread"
        thread.join()
        assert node.frames("send") == [(b"from a thread",)]

    def test_asyncio_sockets_are_heard(self, node: Node) -> None:
        async def talk() -> bytes:
            context = zmq.asyncio.Context()
            one, other = context.socket(zmq.REP), context.socket(zmq.REQ)
            one.bind("inproc://here")
            other.connect("inproc://here")
            await other.send_multipart([b"hello"])
            await one.send_multipart(await one.recv_multipart())
            reply = await other.recv_multipart()
            context.destroy()
            return bytes(reply[0])

        assert asyncio.run(talk()) == b"hello"
        assert node.frames("send") == node.frames("recv") == [(b"hello",), (b"hello",)]

    def test_sockets_outside_of_a_node_are_not_heard_and_work(self, node: Node) -> None:
        with seated(None), zmq.Context() as context:
            one, other = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            one.bind("inproc://here")
            other.connect("inproc://here")
            other.send_multipart([b"a", b"b"])
            assert one.recv_multipart() == [b"a", b"b"]
            one.close()
            other.close()
        assert node.heard() == []

    def test_each_node_has_a_context_instance_of_its_own(self, node: Node) -> None:
        with seated(None):
            outside: zmq.Context[Any] = zmq.Context.instance()
        inside: zmq.Context[Any] = zmq.Context.instance()
        assert inside is zmq.Context.instance()
        assert inside is not outside
        assert inside.underlying == node.seat.context.underlying
        assert isinstance(zmq.asyncio.Context.instance(), zmq.asyncio.Context)
        with seated(None):
            assert zmq.Context.instance() is outside
            outside.term()

    def test_terminating_a_lent_context_waits_for_its_sockets_and_spares_the_rest(
        self, node: Node
    ) -> None:
        context: zmq.Context[Any] = zmq.Context()
        socket = context.socket(zmq.DEALER)
        ended = threading.Event()

        def end() -> None:
            context.term()
            ended.set()

        thread = threading.Thread(target=end)
        thread.start()
        assert not ended.wait(0.05)
        socket.close()
        assert ended.wait(5)
        thread.join()
        node.socket(zmq.DEALER).close()


class TestErrors:
    def test_an_efsm_is_heard(self, node: Node) -> None:
        one, _ = pair(node, zmq.REP, zmq.REQ)
        with pytest.raises(zmq.ZMQError):
            one.send(b"too early")
        assert [event.text for event in node.heard("efsm")] == ["send"]

    def test_giving_up_is_heard_once_with_a_count(self, node: Node) -> None:
        one, other = pair(node)
        for _ in range(1000):
            with pytest.raises(zmq.Again):
                one.recv(zmq.NOBLOCK)
        other.send(b"x")
        one.recv()
        again = node.heard("again")
        assert [(event.text, event.number) for event in again] == [("recv", 0), ("repeated", 999)]

    def test_an_unreachable_peer_is_heard(self, node: Node) -> None:
        router = node.socket(zmq.ROUTER)
        router.router_mandatory = 1
        with pytest.raises(zmq.ZMQError):
            router.send_multipart([b"nobody", b"x"])
        assert len(node.heard("unreachable")) == 1
        assert node.frames("send") == []


class TestWhatElseIsHeard:
    def test_options_endpoints_and_the_life_of_a_socket(self, node: Node) -> None:
        one, other = pair(node, zmq.ROUTER, zmq.DEALER)
        other.setsockopt(zmq.ROUTING_ID, b"me")
        other.linger = 0
        other.disconnect("inproc://pair")
        one.unbind("inproc://pair")
        other.close()
        other.close()
        kinds = [(event.kind, event.text) for event in node.heard() if event.kind != "option"]
        assert kinds == [
            ("socket", "ROUTER"),
            ("socket", "DEALER"),
            ("bind", "inproc://pair"),
            ("connect", "inproc://pair"),
            ("disconnect", "inproc://pair"),
            ("unbind", "inproc://pair"),
            ("close", ""),
        ]
        options = {(e.text, e.number, e.frames) for e in node.heard("option")}
        assert ("ROUTING_ID", 0, (b"me",)) in options
        assert ("LINGER", 0, ()) in options

    def test_a_wildcard_port_is_told_with_what_the_kernel_chose(self, node: Node) -> None:
        one = node.socket(zmq.ROUTER)
        one.bind("tcp://127.0.0.1:*")
        endpoint = one.get_string(zmq.LAST_ENDPOINT)
        assert ("bound", "tcp://127.0.0.1:*", endpoint) in node.listens.told
        assert [event.text for event in node.heard("bind")] == [endpoint]


class TestTheEnd:
    def test_what_a_node_has_sent_lingers_a_while_when_it_leaves_and_not_when_all_end(
        self, node: Node
    ) -> None:
        patient, brisk, curt = (node.socket(zmq.DEALER) for _ in range(3))
        brisk.linger, curt.linger = 20, 0
        node.seat.stop(is_leaving=True)
        assert [each.linger for each in (patient, brisk, curt)] == [LINGER_MS, 20, 0]
        node.seat.stop()
        assert [each.linger for each in (patient, brisk, curt)] == [0, 0, 0]

    def test_a_node_that_was_told_to_end_opens_no_more_sockets(self, node: Node) -> None:
        node.seat.stop()
        with pytest.raises(zmq.ContextTerminated):
            node.socket(zmq.DEALER)


class TestInstallation:
    def test_leaving_puts_everything_back(self) -> None:
        def state() -> list[Any]:
            return [
                zmq.Context.__bases__,
                zmq.Socket.__bases__,
                *(vars(owner).get(name) for owner, name, _ in patches.ATTRIBUTES),
            ]

        before = state()
        with patches.installed(), patches.installed():
            assert state() != before
        assert state() == before

    def test_a_node_that_is_nested_in_another_gives_its_thread_back(self, node: Node) -> None:
        with seated(None):
            assert seats.current() is None
        assert seats.current() is node.seat
