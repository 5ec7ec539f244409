"""What a simulation costs, beside the same scenario on real sockets, in one run on one machine.

    python benchmarks/simulation.py [--scenarios N]

The reference scenario: 4 clients with 10 requests each, a load-balancing broker and 3 workers over
tcp; messages take 1 to 20 ms, the work 2 ms; a client that has waited 100 ms asks again on a new socket;
one link in twenty is cut once and mended. Each scenario has a seed of its own, is recorded whole,
and is judged by all that the pattern promises. Times are of the CPU, so that what else the
machine does matters little. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from random import Random
from statistics import median

import zmq

import reqrep
from reqrep import Constant, Cut, Delay, Fleet, Pattern, Role, Scenario, Workload
from reqrep.harness.faults import Fault
from reqrep.harness.search.deciders import RandomWalk
from reqrep.harness.search.trial import Trial, attempt, laboratory, promised
from reqrep.patterns.common import Body, Context

CLIENT_TIMEOUT_MS = 100
FLEET = Fleet(clients=4, workers=3)
WORKLOAD = Workload(requests=40, service=(Constant(0.002),), timeout_s=60)
CUT_ONE_IN = 20


class RetryingClient:
    """Asks again on a new socket when no reply came in time (the guide's Lazy Pirate)."""

    def __init__(self, context: Context, frontend: str) -> None:
        self._context = context
        self._frontend = frontend
        self._open()

    def _open(self) -> None:
        self._socket = self._context.socket(zmq.REQ)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVTIMEO, CLIENT_TIMEOUT_MS)
        self._socket.connect(self._frontend)

    def call(self, body: Body) -> Body:
        while True:
            self._socket.send_multipart(body)
            try:
                return self._socket.recv_multipart()
            except zmq.Again:
                self._socket.close()
                self._open()

    def close(self) -> None:
        self._socket.close()


def retrying() -> Pattern:
    """Load balancing with clients that ask again: a request may be executed twice."""
    pattern = reqrep.pattern("load-balancing").with_roles(client=RetryingClient)
    promises = tuple(
        replace(promise, property="at-least-once")
        if promise.property == "exactly-once"
        else promise
        for promise in pattern.promises
    )
    return replace(pattern, promises=promises)


PATTERN = retrying()


def reference(seed: int, *, faults: bool = True) -> Scenario:
    """The reference scenario of one seed."""
    random = Random(seed)
    plan: list[Fault] = [Delay(least_ms=1, greatest_ms=20)]
    for role, number in (("client", FLEET.clients), ("worker", FLEET.workers)):
        for index in range(number):
            if random.randrange(CUT_ONE_IN) == 0:
                at = round(random.uniform(0, 0.3), 3)
                plan.append(Cut(node=f"{role}-{index}", at=at, lasts=0.05))
    return Scenario(PATTERN, FLEET, WORKLOAD, seed, tuple(plan) if faults else ())


def scenarios(count: int) -> tuple[float, float, int]:
    """Scenarios and messages a CPU second, and how many scenarios had something broken."""
    messages = broken = 0
    with laboratory():
        attempt(Trial(reference(0)), promised(reference(0)))  # What is loaded late is loaded now.
        begun = time.process_time()
        for seed in range(count):
            scenario = reference(seed)
            tried = attempt(Trial(scenario, "tcp", RandomWalk()), promised(scenario))
            messages += len(tried.history.of("send"))
            broken += tried.broken is not None
        spent = time.process_time() - begun
    return count / spent, messages / spent, broken


def scenarios_in_threads(count: int) -> float:
    """The same scenario without faults on real sockets: scenarios a CPU second."""
    reqrep.run(reference(0, faults=False), "threads", "inproc")
    begun = time.process_time()
    for seed in range(count):
        reqrep.run(reference(seed, faults=False), "threads", "inproc").check()
    return count / (time.process_time() - begun)


def round_trips(count: int) -> float:
    """Requests a CPU second of 10 REQ clients through the broker in Python, recorded, not judged."""
    scenario = Scenario(reqrep.pattern("broker"), Fleet(10, 4), Workload(requests=count))
    with laboratory():
        begun = time.process_time()
        tried = attempt(Trial(scenario, "tcp", RandomWalk()), [])
        spent = time.process_time() - begun
    assert len(tried.history.of("ok")) == count
    return count / spent


def fleet() -> tuple[float, float]:
    """Real seconds and peak megabytes of 1,000 clients, 100 workers, 10 requests each, judged."""
    scenario = Scenario(
        reqrep.pattern("load-balancing"), Fleet(1000, 100), Workload(requests=10_000)
    )
    properties = promised(scenario)
    begun = time.perf_counter()
    with laboratory():
        tried = attempt(Trial(scenario), properties)
    assert tried.broken is None and len(tried.history.of("ok")) == 10_000
    seconds = time.perf_counter() - begun
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- an idle hour -----------------------------------------------------------------


def heartbeat_broker(context: Context, frontend: str, backend: str) -> None:
    """Answers clients by itself, and each heartbeat of a worker by one of its own."""
    front = context.socket(zmq.ROUTER)
    front.bind(frontend)
    back = context.socket(zmq.ROUTER)
    back.bind(backend)
    poller = zmq.Poller()
    poller.register(front, zmq.POLLIN)
    poller.register(back, zmq.POLLIN)
    while True:
        for socket, _ in poller.poll():
            socket.send_multipart(socket.recv_multipart())


def heartbeat_worker(context: Context, backend: str) -> None:
    """Says once a second that it is there, and hears the same."""
    socket = context.socket(zmq.DEALER)
    socket.connect(backend)
    while True:
        socket.send(b"HEARTBEAT")
        heard = socket.poll(1000)
        if heard:
            socket.recv()
            time.sleep(1)


def hour() -> float:
    """Real seconds of a virtual hour of ten idle workers that beat once a second."""
    pattern = Pattern(
        name="idle",
        summary="ten workers that only beat",
        roles=(
            Role("broker", heartbeat_broker),
            Role("worker", heartbeat_worker, many=True),
            Role("client", reqrep.pattern("req-rep").role("client").program),
        ),
        links=(
            reqrep.Link("frontend", "broker", ("client",)),
            reqrep.Link("backend", "broker", ("worker",)),
        ),
        hops=(),
        promises=(),
    )
    demand = Workload(requests=1, arrival=reqrep.ClosedLoop(think_time_s=3600), timeout_s=5000)
    begun = time.perf_counter()
    with laboratory():
        tried = attempt(Trial(Scenario(pattern, Fleet(1, 10), demand)), [])
    (answer,) = tried.history.of("ok")
    assert answer.time_ns >= 3600 * 10**9
    return time.perf_counter() - begun


def import_ms() -> float:
    """What the plug-in adds to a pytest session that does not use it."""
    code = (
        "import pytest, time; begun = time.perf_counter(); import reqrep.harness.pytest_plugin;"
        "print((time.perf_counter() - begun) * 1000)"
    )
    return median(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(7)
    )


def apart(name: str) -> list[float]:
    """A measurement in a process of its own, for what it takes of memory."""
    code = f"import json, simulation; print(json.dumps(simulation.{name}()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=sys.path[0]
    )
    found: list[float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=500, help="simulated ones")
    count = parser.parse_args().scenarios
    rate, messages, broken = scenarios(count)
    print(f"{count} reference scenarios: {rate:.0f} a CPU second; {broken} with a promise broken")
    in_threads = scenarios_in_threads(max(10, count // 10))
    print(f"the same in threads: {in_threads:.0f}")
    trips = round_trips(20_000)
    print(f"round trips through the broker: {trips:,.0f} a CPU second")
    seconds, peak_mb = apart("fleet")
    print(f"1,000 clients and 100 workers: {seconds:.2f} s, {peak_mb:.0f} MB")
    hour_seconds = hour()
    print(f"an idle hour: {hour_seconds:.2f} s")
    figures = {
        "scenarios_per_cpu_second": round(rate, 1),
        "messages_per_cpu_second": round(messages),
        "threads_scenarios_per_cpu_second": round(in_threads, 1),
        "ratio": round(rate / in_threads, 2),
        "round_trips_per_cpu_second": round(trips),
        "fleet_seconds": round(seconds, 2),
        "fleet_peak_mb": round(peak_mb),
        "hour_seconds": round(hour_seconds, 2),
        "import_ms": round(import_ms(), 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
