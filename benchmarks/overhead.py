"""What recording costs: the same broker, clients and workers, bare and under the harness.

Both run the programs of the pattern `load-balancing` in threads over tcp, in turn,
in one process. Bare, each client calls in a loop; under the harness every message at
every hop and every op is recorded. The last line is JSON: the median rates, and the
median of the ratios of each pair.

    python benchmarks/overhead.py [--rounds 9] [--clients 10] [--workers 4] [--requests 5000]
"""

from __future__ import annotations

import argparse
import json
import queue
import threading
import time
from statistics import median
from typing import Any

import zmq

import reqrep
from reqrep.patterns.load_balancing import balancing_broker, req_worker
from reqrep.patterns.req_rep import ReqClient

FRONTEND, BACKEND = "tcp://127.0.0.1:*", "tcp://127.0.0.2:*"


def bare(clients: int, workers: int, requests: int) -> float:
    """Ops per second without the harness."""
    bound: queue.Queue[str] = queue.Queue()

    class ReportingSocket(zmq.Socket[bytes]):
        def bind(self, addr: str) -> Any:
            result = super().bind(addr)
            bound.put(self.get(zmq.LAST_ENDPOINT).decode())
            return result

    class ReportingContext(zmq.Context[Any]):
        _socket_class = ReportingSocket

    def ending(program: Any, *arguments: Any) -> None:
        try:
            program(*arguments)
        except zmq.ContextTerminated:
            pass

    def client() -> None:
        one = ReqClient(context_of_clients, frontend)
        ready.wait()
        for _ in range(requests // clients):
            one.call([b"@c0.0 " + bytes(16)])
        one.close()

    contexts: list[zmq.Context[Any]] = [ReportingContext()]
    context_of_clients: zmq.Context[Any] = zmq.Context()
    nodes = [
        threading.Thread(target=ending, args=(balancing_broker, contexts[0], FRONTEND, BACKEND))
    ]
    nodes[0].start()
    frontend, backend = bound.get(timeout=10), bound.get(timeout=10)
    for _ in range(workers):
        contexts.append(zmq.Context())
        nodes.append(
            threading.Thread(target=ending, args=(req_worker, contexts[-1], backend, list))
        )
    ready = threading.Barrier(clients + 1)
    asking = [threading.Thread(target=client) for _ in range(clients)]
    for thread in [*nodes[1:], *asking]:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    for thread in asking:
        thread.join()
    seconds = time.perf_counter() - begun
    # Sockets of the nodes are closed by their threads' ends; destroy() waits for nobody.
    terminators = [threading.Thread(target=context.term) for context in contexts]
    for thread in terminators:
        thread.start()
    for thread in nodes:
        thread.join()
    for context in contexts:
        for socket in list(context._sockets):
            socket.close(linger=0)
    for thread in terminators:
        thread.join()
    context_of_clients.destroy(linger=0)
    return requests // clients * clients / seconds


def recorded(clients: int, workers: int, requests: int) -> float:
    """Ops per second under the harness, with everything recorded."""
    pattern = reqrep.pattern("load-balancing")
    scenario = reqrep.Scenario(
        pattern, reqrep.Fleet(clients, workers), reqrep.Workload(requests=requests)
    )
    report = reqrep.run(scenario, "threads", "tcp")
    assert report.holds, report
    return report.statistics.ops_per_second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args()
    size = options.clients, options.workers, options.requests
    pairs = []
    for number in range(options.rounds):
        # In turn, and the first of each pair in turn as well: a machine that warms up favours none.
        if number % 2:
            after = recorded(*size)
            before = bare(*size)
        else:
            before = bare(*size)
            after = recorded(*size)
        pairs.append((before, after))
        print(f"round {number + 1}: bare {before:,.0f}/s, recorded {after:,.0f}/s")
    result = {
        "bare_ops_per_second": round(median(before for before, _ in pairs)),
        "recorded_ops_per_second": round(median(after for _, after in pairs)),
        "ratio": round(median(after / before for before, after in pairs), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
