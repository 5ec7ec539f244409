"""The benchmarks of the README measure what it says that they measure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.slow
def test_the_simulation_is_measured_in_all_that_the_readme_tells() -> None:
    command = [sys.executable, str(BENCHMARKS / "simulation.py"), "--scenarios", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    (line,) = re.findall(
        r'\{"scenarios_per_cpu_second".*?\}', (ROOT / "README.md").read_text(), re.S
    )
    assert list(told) == list(json.loads(line))
    assert all(figure > 0 for figure in told.values())


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
