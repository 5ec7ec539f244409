"""The network: links that hold, cut, reset; conservation; determinism."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reqrep.harness.simulation import (
    Choices,
    Context,
    Outcome,
    SeededChoices,
    SimulatedError,
    Simulation,
    Socket,
    SparseChoices,
    constants as c,
    poll,
)

AT = "tcp://127.0.0.1:5555"

Busy = tuple[list[tuple[int, str, list[bytes]]], list[str], dict[int, int], int, str]
"""What was received when and by whom, why what was dropped, the deviations, decisions, outcome."""


def make(choices: Choices | None = None) -> tuple[Simulation, list[str]]:
    """A simulation, and the list of the reasons why messages were dropped."""
    drops: list[str] = []

    def observe(kind: str, socket: Socket, fields: dict[str, object]) -> None:
        if kind == "dropped":
            drops.append(str(fields["reason"]))

    return Simulation(choices, observe=observe), drops


def run(simulation: Simulation, *bodies: Callable[[Context], None]) -> Outcome:
    """Run functions, each a node with a context; errors are raised here."""
    tasks = [
        simulation.scheduler.spawn(body.__name__, body.__name__, body,
                                   simulation.context(body.__name__))
        for body in bodies
    ]  # fmt: skip
    outcome = simulation.run()
    for task in tasks:
        if task.error is not None:
            raise task.error
    return outcome


class _NeverLooks(Choices):
    """Calm, but a send that need not look into its mailbox does not."""

    def choose(self, n: int, label: str) -> int:
        super().choose(n, label)
        return self._deviate(self.count - 1, 1, label) if label == "stale view" else 0


def test_only_a_send_within_a_millisecond_of_a_look_by_a_send_may_miss_what_has_come() -> None:
    choices = _NeverLooks()
    simulation, _ = make(choices)
    told: list[tuple[int, int]] = []  # After each send: the decisions, and the known peers.

    def node(context: Context) -> None:
        hub = context.socket(c.DEALER)
        hub.bind("inproc://hub")

        def connect() -> None:
            context.socket(c.DEALER).connect("inproc://hub")

        def send() -> None:
            hub.send_message([b"x"])
            told.append((choices.count, len(hub.pipes)))

        connect()
        send()  # Looks.
        send()  # Does not, but there is nothing to miss.
        connect()
        send()  # Misses the second peer.
        with suppress(SimulatedError):
            hub.recv_message(c.DONTWAIT)  # Looks.
        simulation.scheduler.sleep(2 * c.NS_PER_MS)
        with suppress(SimulatedError):
            hub.recv_message(c.DONTWAIT)  # Looks as well, but that does not count for a send.
        connect()
        send()

    assert run(simulation, node).kind == "finished"
    assert told == [(0, 1), (0, 1), (1, 1), (1, 3)]


def test_a_held_way_delays_and_loses_nothing() -> None:
    simulation, drops = make()
    got: list[tuple[list[bytes], int]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        for _ in range(3):
            got.append((socket.recv_message(), simulation.scheduler.now_ns))

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        simulation.scheduler.sleep(c.NS_PER_MS)
        simulation.network.hold("client", "server")
        for number in range(3):
            socket.send_message([b"%d" % number])
        simulation.scheduler.sleep(c.NS_PER_S)
        assert got == []
        simulation.network.release("client", "server")

    assert run(simulation, server, client).kind == "finished"
    assert [message for message, _ in got] == [[b"0"], [b"1"], [b"2"]]
    assert got[0][1] >= c.NS_PER_S
    assert drops == []


def test_a_way_is_held_in_one_direction_only() -> None:
    simulation, _ = make()
    log: list[str] = []

    def server(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.bind(AT)
        socket.recv_message()
        simulation.network.hold("client", "server")
        socket.send_message([b"down"])
        socket.options.rcvtimeo = 100
        with pytest.raises(SimulatedError):
            socket.recv_message()
        log.append("nothing came up")

    def client(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.connect(AT)
        socket.send_message([b"up"])
        assert socket.recv_message() == [b"down"]
        log.append("down came")
        socket.send_message([b"up again"])

    run(simulation, server, client)
    assert log == ["down came", "nothing came up"]


def test_what_is_behind_something_big_waits_in_order_until_that_has_crossed() -> None:
    simulation, drops = make()
    way = simulation.network.way("client", "server")
    got: list[tuple[list[bytes], int]] = []
    messages = [[b"big" * 1000], [b"small"], [b"a", b"b"], [b"last"]]

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        for _ in messages:
            got.append((socket.recv_message(), simulation.scheduler.now_ns // c.NS_PER_MS))

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        simulation.scheduler.sleep(c.NS_PER_S)
        way.set_bandwidth(1000)
        for message in messages[:3]:
            socket.send_message(message)
        simulation.scheduler.sleep(4 * c.NS_PER_S)
        socket.send_message(messages[3])

    assert run(simulation, server, client).kind == "finished"
    # A head of nine bytes and 3,000; one of two and 5; two heads and 2; two and 4.
    assert got == list(zip(messages, [4009, 4016, 4022, 5006], strict=True))
    assert drops == []


@pytest.mark.parametrize(("bytes_per_s", "arrivals_ms"), [(4000, [800, 1050]), (None, [500, 500])])
def test_another_bandwidth_counts_for_what_has_not_yet_crossed(
    bytes_per_s: int | None, arrivals_ms: list[int]
) -> None:
    simulation, _ = make()
    way = simulation.network.way("client", "server")
    got: list[int] = []
    begun_ns = c.NS_PER_S

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        for _ in range(2):
            socket.recv_message()
            got.append((simulation.scheduler.now_ns - begun_ns) // c.NS_PER_MS)

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        simulation.scheduler.sleep(begun_ns)
        way.set_bandwidth(1000)
        socket.send_message([bytes(1691)])  # Of which 500 cross before the bandwidth is another.
        socket.send_message([bytes(991)])
        simulation.scheduler.sleep(begun_ns + c.NS_PER_S // 2 - simulation.scheduler.now_ns)
        way.set_bandwidth(bytes_per_s)
        simulation.scheduler.sleep(c.NS_PER_S)

    assert run(simulation, server, client).kind == "finished"
    assert got == arrivals_ms


def test_a_reset_loses_what_was_in_flight_and_the_connector_comes_back() -> None:
    simulation, drops = make()
    got: list[list[bytes]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        while len(got) < 1:
            got.append(socket.recv_message())

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        simulation.scheduler.sleep(c.NS_PER_MS)
        socket.send_message([b"lost"])
        simulation.network.reset("client", "server")
        socket.send_message([b"kept"])

    assert run(simulation, server, client).kind == "finished"
    assert got == [[b"kept"]]
    assert drops == ["peer lost"]


def test_what_the_connector_sends_is_lost_in_silence_where_only_the_binder_saw_a_reset() -> None:
    simulation, drops = make()
    network, scheduler = simulation.network, simulation.scheduler
    got: list[list[bytes]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        got.append(socket.recv_message())

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        scheduler.sleep(c.NS_PER_MS)
        network.reset("client", "server", "binder")
        for _ in range(2000):  # More than its pipe and the network hold.
            socket.send_message([bytes(1000)])
        scheduler.sleep(100 * c.NS_PER_S)
        network.reset("client", "server", "binder")  # Who has lost it sees nothing any more.
        socket.send_message([b"lost"])
        network.reset("client", "server", "connector")
        socket.send_message([b"kept"])

    assert run(simulation, server, client).kind == "finished"
    assert got == [[b"kept"]]
    assert drops == ["peer lost"] * 2001
    assert not network.half_open


def test_a_binder_keeps_a_connection_beside_the_new_one_where_only_the_connector_saw_a_reset() -> (
    None
):
    simulation, drops = make()
    network, scheduler = simulation.network, simulation.scheduler
    got: list[list[bytes]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.bind(AT)
        scheduler.sleep(c.NS_PER_MS)
        network.reset("server", "client", "connector")
        scheduler.sleep(c.NS_PER_S)
        for number in range(4):  # To each of the two in turn.
            socket.send_message([b"%d" % number])
        network.cut("server", "client")
        network.mend("server", "client")
        scheduler.sleep(c.NS_PER_S)
        for number in range(4, 8):
            socket.send_message([b"%d" % number])
        scheduler.sleep(c.NS_PER_S)

    def client(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.connect(AT)
        socket.options.rcvtimeo = 2500
        with suppress(SimulatedError):
            while True:
                got.append(socket.recv_message())

    run(simulation, server, client)
    # The cut loses what is on its way, so of the first four none arrives.
    assert got == [[b"4"], [b"5"], [b"6"], [b"7"]]
    assert drops == ["peer lost"] * 4
    assert not network.half_open


@pytest.mark.parametrize(
    "pings", ["the end that is left", "the other, which says how long to wait"]
)
@pytest.mark.parametrize(("seen_by", "keeps"), [("connector", "server"), ("binder", "client")])
def test_heartbeats_find_out_that_a_connection_leads_nowhere(
    seen_by: str, keeps: str, pings: str
) -> None:
    simulation, _ = make()
    scheduler = simulation.scheduler
    lost: list[tuple[str, int]] = []
    got: list[list[bytes]] = []

    def observe(kind: str, socket: Socket, fields: dict[str, object]) -> None:
        if kind == "disconnected":
            lost.append((socket.node, scheduler.now_ns // c.NS_PER_MS))

    simulation.observe = observe

    def node(context: Context) -> None:
        socket = context.socket(c.DEALER)
        if pings == "the end that is left" and context.node == keeps:
            socket.set(c.HEARTBEAT_IVL, 100)
            socket.set(c.HEARTBEAT_TIMEOUT, 50)
        elif pings != "the end that is left" and context.node != keeps:
            socket.set(c.HEARTBEAT_IVL, 100)
            socket.set(c.HEARTBEAT_TTL, 250)  # Kept as 200.
        if context.node == "server":
            socket.bind(AT)
        else:
            socket.connect(AT)
        scheduler.sleep(c.NS_PER_S)
        if context.node == "client":
            simulation.network.reset("client", "server", seen_by)
            scheduler.sleep(c.NS_PER_S)
            socket.send_message([b"over the new one"])
        else:
            got.append(socket.recv_message())

    for name in "server", "client":
        scheduler.spawn(name, name, node, simulation.context(name))
    simulation.run()
    sees = "client" if keeps == "server" else "server"
    assert got == [[b"over the new one"]]
    assert lost[:2] == [(sees, 1000), (keeps, 1150 if pings == "the end that is left" else 1200)]


def test_what_lingers_for_a_connection_that_leads_nowhere_is_lost_with_it() -> None:
    simulation, drops = make()

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        simulation.scheduler.sleep(c.NS_PER_S)
        simulation.network.reset("client", "server", "binder")

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        simulation.scheduler.sleep(c.NS_PER_MS)
        simulation.network.hold("client", "server")
        for _ in range(3):
            socket.send_message([bytes(100_000)])
        socket.close()
        context.term()

    assert run(simulation, server, client).kind == "finished"
    assert drops == ["peer lost"] * 3
    assert not simulation.network.half_open


@pytest.mark.parametrize("seen_by", ["connector", "binder"])
def test_who_keeps_a_connection_that_leads_nowhere_may_close_it(seen_by: str) -> None:
    simulation, drops = make()

    def server(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.bind(AT)
        simulation.scheduler.sleep(c.NS_PER_S)
        simulation.network.reset("client", "server", seen_by)
        simulation.scheduler.sleep(c.NS_PER_S)
        socket.close()

    def client(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.connect(AT)
        simulation.scheduler.sleep(2 * c.NS_PER_S)
        if seen_by == "binder":
            socket.send_message([b"lost"])
        socket.close()

    assert run(simulation, server, client).kind == "finished"
    assert not simulation.network.half_open
    assert drops == (["peer lost"] if seen_by == "binder" else [])


def test_a_cut_link_refuses_connections_until_it_is_mended() -> None:
    simulation, _ = make()
    times: list[int] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        socket.recv_message()
        times.append(simulation.scheduler.now_ns)

    def client(context: Context) -> None:
        simulation.network.cut("client", "server")
        socket = context.socket(c.PUSH)
        socket.connect(AT)
        socket.send_message([b"x"])
        simulation.scheduler.sleep(2 * c.NS_PER_S)
        assert times == []
        simulation.network.mend("client", "server")

    assert run(simulation, server, client).kind == "finished"
    assert times[0] >= 2 * c.NS_PER_S


def test_a_deadlock_names_the_socket_and_its_peer() -> None:
    simulation, _ = make()

    def client(context: Context) -> None:
        socket = context.socket(c.REQ)
        socket.connect("inproc://server")
        socket.send_message([b"x"])
        socket.recv_message()

    outcome = run(simulation, client)
    assert outcome.kind == "deadlock"
    assert outcome.waiting[0].reason == (
        "receive on REQ 0 of client, awaiting a reply from inproc://server, bound by nobody"
    )


def test_a_poll_wakes_at_its_timeout_in_virtual_time() -> None:
    simulation, _ = make()
    seen: list[Any] = []

    def node(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        seen.append(poll(simulation.scheduler, [(socket, c.POLLIN)], 250))
        seen.append(simulation.scheduler.now_ns)

    run(simulation, node)
    assert seen == [[0], 250 * c.NS_PER_MS]


def test_the_reconnect_interval_doubles_up_to_its_maximum() -> None:
    simulation, _ = make()
    intervals: list[int] = []

    def node(context: Context) -> None:
        pair = context.socket(c.PAIR)
        socket = context.socket(c.DEALER)
        socket.set(c.RECONNECT_IVL, 10)
        socket.set(c.RECONNECT_IVL_MAX, 45)
        socket.monitor("inproc://monitor", c.EVENT_CONNECT_RETRIED)
        pair.connect("inproc://monitor")
        socket.connect(AT)
        while len(intervals) < 5:
            intervals.append(int.from_bytes(pair.recv_message()[0][2:], "little"))
        socket.close(0)

    run(simulation, node)
    assert intervals == [10, 20, 40, 45, 45]


def test_too_many_sockets_are_refused() -> None:
    simulation, _ = make()
    context = simulation.context("node")
    context.set(c.MAX_SOCKETS, 2)
    context.socket(c.REQ)
    context.socket(c.REQ)
    with pytest.raises(SimulatedError) as caught:
        context.socket(c.REQ)
    assert caught.value.errno == c.EMFILE


def busy_run(choices: Choices) -> Busy:
    """A broker run with resets; what was sent, delivered, dropped, and in which order."""
    simulation, drops = make(choices)
    log: list[tuple[int, str, list[bytes]]] = []
    scheduler = simulation.scheduler

    def broker(context: Context) -> None:
        front, back = context.socket(c.ROUTER), context.socket(c.DEALER)
        front.bind(AT)
        back.bind("tcp://127.0.0.1:5556")
        while True:
            a, b = poll(scheduler, [(front, 1), (back, 1)])
            if a:
                back.send_message(front.recv_message())
            if b:
                front.send_message(back.recv_message())

    def worker(context: Context) -> None:
        socket = context.socket(c.REP)
        socket.connect("tcp://127.0.0.1:5556")
        while True:
            message = socket.recv_message()
            log.append((scheduler.now_ns, context.node, message))
            socket.send_message(message)

    def client(context: Context) -> None:
        socket = context.socket(c.DEALER)
        socket.connect(AT)
        for number in range(20):
            socket.send_message([b"", b"%s %d" % (context.node.encode(), number)])
        socket.options.rcvtimeo = 500
        try:
            while True:
                log.append((scheduler.now_ns, context.node, socket.recv_message()))
        except SimulatedError:
            pass

    for name, body in [("b", broker), ("w0", worker), ("w1", worker), ("c0", client),
                       ("c1", client)]:  # fmt: skip
        scheduler.spawn(name, name, body, simulation.context(name))
    scheduler.call_at(2 * c.NS_PER_MS, lambda: simulation.network.reset("w0", "b"))
    outcome = simulation.run()
    return log, drops, choices.taken, choices.count, str(outcome)


def test_the_same_seed_gives_the_same_run() -> None:
    assert busy_run(SeededChoices(5)) == busy_run(SeededChoices(5))
    assert busy_run(SeededChoices(5))[0] != busy_run(SeededChoices(6))[0]


def test_the_same_seed_gives_the_same_run_in_another_process_and_hash_seed() -> None:
    code = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]); import test_network; "
        "print(hashlib.sha256(repr(test_network.busy_run(test_network.SeededChoices(5))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, os.path.dirname(__file__)], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


def test_a_sparse_list_replays_a_seeded_run() -> None:
    log, drops, taken, count, _ = busy_run(SeededChoices(5))
    again = busy_run(SparseChoices(taken))
    assert again[:4] == (log, drops, taken, count)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_invented_or_duplicated(seed: int) -> None:
    log, _drops, *_ = busy_run(SeededChoices(seed))
    for node in ("c0", "c1"):
        bodies = [message[1] for _, name, message in log if name == node]
        assert len(bodies) == len(set(bodies)) <= 20
        assert all(body.startswith(node.encode()) for body in bodies)


def test_the_simulation_imports_no_zmq() -> None:
    code = "import reqrep.harness.simulation, sys; print('zmq' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_the_constants_are_libzmqs() -> None:
    import zmq

    wrong = []
    for name, value in vars(c).items():
        if isinstance(value, int) and name.isupper() and not name.startswith("NS_"):
            theirs = getattr(zmq, name, value)
            if int(theirs) != value:
                wrong.append((name, value, int(theirs)))
    assert wrong == []


@pytest.mark.parametrize(("interval", "comes"), [(0, b"kept"), (100, b"again")])
def test_heartbeats_break_a_connection_that_is_held(interval: int, comes: bytes) -> None:
    simulation, drops = make()
    got: list[list[bytes]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        got.append(socket.recv_message())

    def client(context: Context) -> None:
        socket = context.socket(c.PUSH)
        socket.set(c.HEARTBEAT_IVL, interval)
        socket.connect(AT)
        simulation.scheduler.sleep(c.NS_PER_MS)
        simulation.network.hold("client", "server")
        socket.send_message([b"kept"])
        simulation.scheduler.sleep(c.NS_PER_S)
        simulation.network.release("client", "server")
        socket.send_message([b"again"])

    assert run(simulation, server, client).kind == "finished"
    assert got == [[comes]]
    assert drops == (["peer lost"] if interval else [])


def test_what_is_not_simulated_is_refused_by_name() -> None:
    from reqrep.harness.errors import MisuseError

    simulation, _ = make()
    with pytest.raises(MisuseError, match="conflate = 1 cannot be simulated"):
        simulation.context("node").socket(c.SUB).set(c.CONFLATE, 1)


def test_a_crash_delivers_what_the_kernel_had_and_drops_the_rest() -> None:
    simulation, drops = make()
    got: list[list[bytes]] = []

    def server(context: Context) -> None:
        socket = context.socket(c.PULL)
        socket.bind(AT)
        socket.options.rcvtimeo = 1000
        try:
            while True:
                got.append(socket.recv_message())
        except SimulatedError:
            pass

    def client(context: Context) -> None:
        here, nowhere = context.socket(c.PUSH), context.socket(c.PUSH)
        here.connect(AT)
        nowhere.connect("tcp://127.0.0.1:1")
        simulation.scheduler.sleep(c.NS_PER_MS)
        here.send_message([b"in the kernel"])
        nowhere.send_message([b"in the pipe"])
        nowhere.close()
        context.crash()

    assert run(simulation, server, client).kind == "finished"
    assert got == [[b"in the kernel"]]
    assert drops == ["linger"]
