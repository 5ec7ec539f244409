"""The same scenario and seed give the same history, whoever runs it and wherever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest

from .digests import digests

ROOT = Path(__file__).parents[2]
HASH_SEEDS = ("0", "1", "42", "4711", "random")
THIS = f"python3.{sys.version_info.minor}"
OTHERS = [name for name in ("python3.11", "python3.12", "python3.13", "python3.14") if name != THIS]
QUICK, FULL = 12, 1000  # Each pattern once, over one transport after the other.

ON_TWO_WORKERS = """
import os
import pytest
from tests.simulation.digests import digests

@pytest.mark.parametrize("part", range(4))
def test_it(part):
    size = {count} // 4
    end = {count} if part == 3 else (part + 1) * size
    with open(rf"{folder}/{{part}}-{{os.environ['PYTEST_XDIST_WORKER']}}", "w") as file:
        file.write("\\n".join(digests(part * size, end)))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is imported there is what is tested here, under the same entry points."""
    folder = tmp_path_factory.mktemp("metadata")
    ours = distribution("reqrep")
    metadata = folder / f"reqrep-{ours.version}.dist-info"
    metadata.mkdir()
    # A folder that was built in holds the metadata under another name.
    about = ours.read_text("METADATA") or ours.read_text("PKG-INFO")
    metadata.joinpath("METADATA").write_text(about or "")
    metadata.joinpath("entry_points.txt").write_text(ours.read_text("entry_points.txt") or "")
    # The sources, since what is installed for this Python may not be for another.
    here = [str(folder), str(ROOT), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(here)}


def answers(
    environment: dict[str, str], count: int, ways: list[tuple[str, str]]
) -> list[list[str]]:
    """What each of some interpreters says, under a hash seed each; all run at once."""
    running = [
        subprocess.Popen(
            [python, "-m", "tests.simulation.digests", "0", str(count)],
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
        )
        for python, hash_seed in ways
    ]
    found = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * len(ways)
    return found


@cache
def expected_digests(count: int) -> list[str]:
    found = digests(0, count)
    assert len(set(found)) == count
    return found


def assert_the_same_under_each_hash_seed(environment: dict[str, str], count: int) -> None:
    expected = expected_digests(count)
    assert digests(0, count) == expected
    ways = [(sys.executable, seed) for seed in HASH_SEEDS]
    assert all(answer == expected for answer in answers(environment, count, ways))


def other_pythons(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Those on the path that have what we need; the others are left out with a word."""
    found = []
    for name in OTHERS:
        path = shutil.which(name)
        if path is None:
            continue
        needs = "import greenlet, msgspec, zmq, reqrep; assert zmq.zmq_version() == '4.3.5'"
        asked = subprocess.run(
            [path, "-c", needs], capture_output=True, text=True, env=environment, cwd=ROOT
        )
        if asked.returncode == 0:
            found.append(path)
        else:
            reason = asked.stderr.strip().splitlines()[-1]
            with capsys.disabled():
                sys.stdout.write(f"\ndigests are not compared on {path}: {reason}\n")
    return found


def assert_the_same_on_each_python(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], count: int
) -> None:
    pythons = [sys.executable, *other_pythons(environment, capsys)]
    expected = expected_digests(count)
    ways = [(python, "0") for python in pythons]
    assert all(answer == expected for answer in answers(environment, count, ways))
    with capsys.disabled():
        sys.stdout.write(f"\n{count} digests are the same on {', '.join(pythons)}\n")


def assert_the_same_on_two_workers(
    environment: dict[str, str], pytester: pytest.Pytester, count: int
) -> None:
    folder = pytester.mkdir("digests")
    pytester.makepyfile(ON_TWO_WORKERS.format(count=count, folder=folder))
    arguments = [sys.executable, "-m", "pytest", "-q", "-n2", "--dist=load", str(pytester.path)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=environment, cwd=pytester.path
    )
    assert done.returncode == 0, done.stdout
    files = sorted(folder.iterdir())
    assert {path.name.partition("-")[2] for path in files} == {"gw0", "gw1"}
    assert [digest for path in files for digest in path.read_text().split()] == expected_digests(
        count
    )


HOW_MANY = pytest.mark.parametrize("count", [QUICK, pytest.param(FULL, marks=pytest.mark.slow)])


@HOW_MANY
def test_digests_are_the_same_twice_and_in_other_processes_under_each_hash_seed(
    environment: dict[str, str], count: int
) -> None:
    assert_the_same_under_each_hash_seed(environment, count)


@HOW_MANY
def test_digests_are_the_same_on_each_python(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str], count: int
) -> None:
    assert_the_same_on_each_python(environment, capsys, count)


@HOW_MANY
def test_digests_are_the_same_on_two_workers_of_xdist(
    environment: dict[str, str], pytester: pytest.Pytester, count: int
) -> None:
    assert_the_same_on_two_workers(environment, pytester, count)
