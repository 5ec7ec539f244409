"""What the relay costs: a REQ and a REP play ping-pong over tcp, directly and through an idle relay.

Both in threads of one process, in turn. A round trip crosses the relay twice, so what is added
to a message is half of what is added to a round trip. The last line is JSON: medians of all
round trips, in microseconds, for small bodies and large ones.

    python benchmarks/relay.py [--rounds 10] [--trips 500]
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from statistics import median

import zmq

from reqrep.harness.real.relay import Relay

BODIES = {"10_b": 10, "100_kb": 100_000}


def echo(socket: zmq.Socket[bytes]) -> None:
    """Answer until an empty message comes."""
    while body := socket.recv():
        socket.send(body)
    socket.close(linger=0)


def trips_us(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, size: int, n: int) -> float:
    """The median of so many round trips."""
    body, times = bytes(size), []
    with context.socket(zmq.REQ) as socket:
        socket.connect(endpoint)
        for _ in range(20 + n):
            begun = time.perf_counter()
            socket.send(body)
            socket.recv()
            times.append(time.perf_counter() - begun)
    return median(times[20:]) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--trips", type=int, default=500)
    options = parser.parse_args()
    relay = Relay([("client", "server")], 0, None, failed=lambda error: None)
    relay.open()
    result: dict[str, dict[str, float]] = {}
    with zmq.Context() as context:
        server = context.socket(zmq.REP)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        answering = threading.Thread(target=echo, args=(server,))
        answering.start()
        direct = f"tcp://127.0.0.1:{port}"
        relayed = relay.way_in("client", "server", direct)
        for name, size in BODIES.items():
            found: dict[str, list[float]] = {direct: [], relayed: []}
            for number in range(options.rounds):
                # The first of each pair in turn: a machine that warms up favours none.
                for endpoint in (direct, relayed) if number % 2 else (relayed, direct):
                    found[endpoint].append(trips_us(context, endpoint, size, options.trips))
            direct_us, relayed_us = median(found[direct]), median(found[relayed])
            result[name] = {
                "direct_us": round(direct_us, 1),
                "relayed_us": round(relayed_us, 1),
                "added_us": round((relayed_us - direct_us) / 2, 1),
            }
            print(f"{name}: {result[name]}")
        with context.socket(zmq.REQ) as last:
            last.connect(direct)
            last.send(b"")
            answering.join()
    relay.close()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
