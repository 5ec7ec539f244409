"""How many round trips a CPU second the simulation makes through a broker in Python.

Also what it costs to set up a fleet of eight nodes and to close it again.

PYTHONPATH=src python benchmarks/simulated_round_trips.py [round trips]
"""

from __future__ import annotations

import sys
import time

from reqrep.harness.simulation import SeededChoices, Simulation, poll
from reqrep.harness.simulation.constants import DEALER, POLLIN, REP, REQ, ROUTER


def run(total: int, transport: str, clients: int, workers: int, seed: int | None = None) -> float:
    simulation = Simulation(SeededChoices(seed) if seed is not None else None)
    scheduler = simulation.scheduler
    front, back = f"{transport}://127.0.0.1:5555", f"{transport}://127.0.0.1:5556"
    shared = simulation.context("all")
    each = total // clients
    done = 0

    def context(node: str):
        return shared if transport == "inproc" else simulation.context(node)

    def broker(context) -> None:
        frontend, backend = context.socket(ROUTER), context.socket(DEALER)
        frontend.bind(front)
        backend.bind(back)
        items = [(frontend, POLLIN), (backend, POLLIN)]
        while True:
            from_client, from_worker = poll(scheduler, items)
            if from_client:
                backend.send_message(frontend.recv_message())
            if from_worker:
                frontend.send_message(backend.recv_message())

    def worker(context) -> None:
        socket = context.socket(REP)
        socket.connect(back)
        while True:
            socket.send_message(socket.recv_message())

    def client(context) -> None:
        nonlocal done
        socket = context.socket(REQ)
        socket.connect(front)
        for _ in range(each):
            socket.send_message([b"hello"])
            assert socket.recv_message() == [b"hello"]
        done += 1
        if done == clients:
            scheduler.stop()

    scheduler.spawn("broker", "broker", broker, context("broker"))
    for number in range(workers):
        scheduler.spawn(f"worker-{number}", f"worker-{number}", worker, context(f"w{number}"))
    for number in range(clients):
        scheduler.spawn(f"client-{number}", f"client-{number}", client, context(f"c{number}"))
    started = time.process_time()
    outcome = simulation.run()
    spent = time.process_time() - started
    assert done == clients, outcome
    return each * clients / spent


def set_up(workers: int = 3, clients: int = 4) -> float:
    """Milliseconds to open the sockets of a load-balancing fleet, connect, and close them."""

    def broker(context) -> None:
        sockets = context.socket(ROUTER), context.socket(ROUTER)
        for number, socket in enumerate(sockets):
            socket.bind(f"tcp://127.0.0.1:{5555 + number}")
        scheduler.sleep(5_000_000)
        for socket in sockets:
            socket.close(0)

    def peer(context, number: int) -> None:
        socket = context.socket(REQ)
        socket.connect(f"tcp://127.0.0.1:{5555 + number}")
        scheduler.sleep(5_000_000)
        socket.close(0)

    started = time.process_time()
    simulation = Simulation(SeededChoices(1))
    scheduler = simulation.scheduler
    scheduler.spawn("broker", "broker", broker, simulation.context("broker"))
    for number in range(workers + clients):
        name = f"peer-{number}"
        scheduler.spawn(name, name, peer, simulation.context(name), int(number < workers))
    outcome = simulation.run()
    simulation.dispose()
    spent = time.process_time() - started
    assert outcome.kind == "finished", outcome
    return spent * 1e3


def machine() -> str:
    """How fast this machine is just now: two primitives that every round trip needs."""
    from heapq import heappop, heappush

    from greenlet import getcurrent, greenlet

    hub = getcurrent()

    def back() -> None:
        while True:
            hub.switch()

    other = greenlet(back)
    started = time.process_time()
    for _ in range(200_000):
        other.switch()
    switch_ns = (time.process_time() - started) / 400_000 * 1e9
    heap: list[tuple[int, int]] = [(number, number) for number in range(5)]
    started = time.process_time()
    for number in range(200_000):
        heappush(heap, (number, number))
        heappop(heap)
    heap_ns = (time.process_time() - started) / 200_000 * 1e9
    return f"a greenlet switch takes {switch_ns:.0f} ns, a push and pop of a heap {heap_ns:.0f} ns"


if __name__ == "__main__":
    print(machine())
    times = sorted(set_up() for _ in range(200))
    print(f"set-up and close of 9 sockets: {times[100]:.2f} ms [from {times[0]:.2f}]")
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    for transport in ("inproc", "tcp"):
        for clients, workers in ((1, 1), (2, 2), (10, 4)):
            for seed in (None, 1):
                rates = sorted(run(total, transport, clients, workers, seed) for _ in range(3))
                kind = "calm" if seed is None else "seeded"
                print(
                    f"{transport:6} {clients:2} clients {workers} workers {kind:6}: "
                    f"{rates[1]:8,.0f} round trips/s [{rates[0]:,.0f} - {rates[2]:,.0f}]"
                )
