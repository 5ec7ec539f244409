from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from reqrep import (
    Bursts,
    Exponential,
    FromFunction,
    MisuseError,
    Occasional,
    OpenLoop,
    Sized,
    Uniform,
    UserDirectory,
    Workload,
)
from reqrep.harness.workload import planned_times
from tests.strategies import contents


@given(st.integers(1, 500), st.integers(1, 50))
def test_all_requests_are_dealt_out_evenly_over_the_clients(requests: int, clients: int) -> None:
    workload = Workload(requests=requests)
    shares = [workload.share_of(client, clients) for client in range(clients)]
    assert sum(shares) == requests
    assert max(shares) - min(shares) <= 1


@given(contents, st.integers(0, 3), st.integers(0, 1000))
def test_the_same_seed_asks_the_same(what: Any, client: int, seed: int) -> None:
    first = list(islice(what.bodies(client, seed), 3))
    assert first == list(islice(what.bodies(client, seed), 3))


def test_sized_bodies_have_their_size_and_frames() -> None:
    body = next(Sized(bytes=33, frames=3).bodies(0, 0))
    assert [len(frame) for frame in body] == [33, 33, 33]
    assert all(frame.decode().isprintable() for frame in body)


def test_a_user_directory_asks_with_metadata_and_json() -> None:
    meta, entry = next(UserDirectory().bodies(0, 0))
    assert meta.startswith(b"META:userid=")
    assert json.loads(entry)["userid"] == int(meta.partition(b"=")[2])


def test_a_locale_that_faker_does_not_know_is_named() -> None:
    with pytest.raises(MisuseError, match="xx_XX"):
        next(UserDirectory("xx_XX").bodies(0, 0))


def bodies_of_mine(client: int, number: int) -> list[bytes]:
    return [b"%d" % client, b"%d" % number]


def no_body(client: int, number: int) -> str:
    return "text"


def test_a_function_of_the_users_makes_bodies() -> None:
    made = FromFunction(f"{__name__}:bodies_of_mine").bodies(2, 0)
    assert [[b"2", b"0"], [b"2", b"1"]] == list(islice(made, 2))


def test_a_function_that_makes_no_body_is_named() -> None:
    with pytest.raises(MisuseError, match="no_body"):
        next(FromFunction(f"{__name__}:no_body").bodies(0, 0))


@pytest.mark.parametrize(
    "reference", ["nowhere", "nowhere:at_all", f"{__name__}:nothing", ":x", "json:"]
)
def test_a_reference_to_nothing_is_named(reference: str) -> None:
    with pytest.raises(MisuseError, match="does not name"):
        next(FromFunction(reference).bodies(0, 0))


def test_a_module_that_ends_the_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_all.py").write_text("import sys; sys.exit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MisuseError, match="'ends_all' cannot be imported, SystemExit: 0"):
        next(FromFunction("ends_all:body").bodies(0, 0))


def test_even_arrivals_keep_the_rate_of_the_fleet() -> None:
    times = sorted(
        time_ns
        for client in range(4)
        for time_ns in islice(planned_times(OpenLoop(1000), client, 4, 0), 250)
    )
    assert times == [number * 1_000_000 for number in range(1000)]


def test_poisson_arrivals_keep_the_rate_on_average() -> None:
    arrival = OpenLoop(1000, arrivals="poisson")
    times = list(islice(planned_times(arrival, 0, 1, 0), 10_000))
    assert times == sorted(times)
    assert 9 < times[-1] / 1e9 < 11


def test_bursts_come_together_and_pause() -> None:
    times = list(islice(planned_times(Bursts(size=3, pause_s=0.5), 0, 1, 0), 7))
    assert times == [0, 0, 0, 500_000_000, 500_000_000, 500_000_000, 1_000_000_000]


def test_service_times_keep_their_bounds() -> None:
    random = Random(0)
    assert all(1 <= Uniform(1, 2).draw(random.random()) <= 2 for _ in range(100))
    mean = sum(Exponential(0.5).draw(random.random()) for _ in range(10_000)) / 10_000
    assert 0.45 < mean < 0.55
    drawn = [Occasional(slow_s=9, one_in=4).draw(random.random()) for _ in range(1000)]
    assert 150 < drawn.count(9) < 350
