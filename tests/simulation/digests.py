"""The digests of many runs, for comparison with what other processes say.

python -m tests.simulation.digests 0 1000
"""

from __future__ import annotations

import sys

import reqrep
from reqrep import Fleet, Scenario, Workload

PATTERNS = ("req-rep", "load-balancing", "dealer-router", "broker-proxy")
TRANSPORTS = ("tcp", "inproc", "ipc")


def digest(seed: int) -> str:
    """What the history of one run comes to; a few messages show the order of everything."""
    pattern = reqrep.pattern(PATTERNS[seed % len(PATTERNS)])
    scenario = Scenario(pattern, Fleet(3, 2), Workload(12), seed=seed)
    transport = TRANSPORTS[seed // len(PATTERNS) % len(TRANSPORTS)]
    simulated = reqrep.run(scenario, "simulated", transport).simulated
    assert simulated is not None
    return simulated.digest


def digests(first: int, end: int) -> list[str]:
    """Of the seeds from one to another."""
    return [digest(seed) for seed in range(first, end)]


if __name__ == "__main__":
    sys.stdout.write("\n".join(digests(int(sys.argv[1]), int(sys.argv[2]))))
