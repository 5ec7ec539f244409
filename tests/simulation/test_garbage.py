"""A simulation that is over is freed at once, not when the garbage collector comes round."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from reqrep.harness.simulation import (
    Context,
    SeededChoices,
    SimulatedError,
    Simulation,
    constants as c,
    poll,
)


def run(transport: str, rounds: int = 2) -> None:
    """A broker between two clients and two workers, all of whom close when they are done."""
    simulation = Simulation(SeededChoices(1), observe=lambda kind, socket, fields: None)
    scheduler = simulation.scheduler
    front, back = f"{transport}://127.0.0.1:1", f"{transport}://127.0.0.1:2"
    shared = simulation.context("all")

    def context(node: str) -> Context:
        return shared if transport == "inproc" else simulation.context(node)

    def broker(context: Context) -> None:
        frontend, backend = context.socket(c.ROUTER), context.socket(c.DEALER)
        frontend.bind(front)
        backend.bind(back)
        for _ in range(2 * 2 * rounds):
            from_client, from_worker = 0, 0
            while not (from_client or from_worker):
                from_client, from_worker = poll(
                    scheduler, [(frontend, c.POLLIN), (backend, c.POLLIN)]
                )
            if from_worker:
                frontend.send_message(backend.recv_message())
            else:
                backend.send_message(frontend.recv_message())
        scheduler.sleep(c.NS_PER_S)
        frontend.close(0)
        backend.close(0)

    def worker(context: Context) -> None:
        socket = context.socket(c.REP)
        socket.set(c.RCVTIMEO, 500)
        socket.connect(back)
        with suppress(SimulatedError):  # Nobody asks any more.
            while True:
                socket.send_message(socket.recv_message())
        socket.close()

    def client(context: Context) -> None:
        socket = context.socket(c.REQ)
        socket.connect(front)
        for _ in range(rounds):
            socket.send_message([b"hello"])
            socket.recv_message()
        socket.close()

    scheduler.spawn("broker", "broker", broker, context("broker"))
    for number in range(2):
        scheduler.spawn("worker", f"w{number}", worker, context(f"w{number}"))
        scheduler.spawn("client", f"c{number}", client, context(f"c{number}"))
    assert simulation.run().kind == "finished"
    simulation.dispose()


def run_half_open(seen_by: str) -> None:
    """Two sockets, and a connection that one of them has lost."""
    simulation = Simulation(SeededChoices(1))

    def node(context: Context) -> None:
        socket = context.socket(c.DEALER)
        (socket.bind if context.node == "server" else socket.connect)("tcp://127.0.0.1:1")
        simulation.scheduler.sleep(c.NS_PER_S)
        if context.node == "client":
            simulation.network.reset("client", "server", seen_by)
            socket.send_message([b"hello"])
            assert simulation.network.half_open
        simulation.scheduler.sleep(c.NS_PER_S)
        socket.close()

    tasks = [
        simulation.scheduler.spawn(name, name, node, simulation.context(name))
        for name in ("server", "client")
    ]
    simulation.run()
    assert [task.error for task in tasks] == [None, None]
    simulation.dispose()


@pytest.mark.parametrize(
    ("run", "what"),
    [
        *((run, transport) for transport in ("inproc", "ipc", "tcp")),
        *((run_half_open, seen_by) for seen_by in ("connector", "binder")),
    ],
)
def test_a_run_that_is_over_leaves_no_cycles(run: Callable[[str], None], what: str) -> None:
    run(what)
    gc.collect()
    was_enabled, flags = gc.isenabled(), gc.get_debug()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)  # What is unreachable is kept in `gc.garbage`.
    try:
        run(what)
        gc.collect()
        left = Counter(type(thing).__qualname__ for thing in gc.garbage if _is_ours(thing))
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        if was_enabled:
            gc.enable()
    assert left == Counter()


def _is_ours(thing: object) -> bool:
    return type(thing).__module__.startswith("reqrep.")
