"""The benchmarks of the README print what the README says that they print."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_overhead_compares_two_runs_on_real_sockets() -> None:
    command = [
        sys.executable,
        str(BENCHMARKS / "overhead.py"),
        "--rounds",
        "2",
        "--requests",
        "500",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert list(told) == ["bare_ops_per_second", "recorded_ops_per_second", "ratio"]
    # To record costs something; what is not the same in both costs or saves far more.
    assert 0.2 < told["ratio"] < 2
