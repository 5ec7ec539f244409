"""Fixtures for all tests, and the check that a session leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker

import pytest
from hypothesis import HealthCheck, settings

from reqrep.harness.catalogue import claim, pattern, pattern_names, property_names

pytest_plugins = ["pytester"]

TRANSPORTS = ("inproc", "ipc", "tcp")

# A shell starts what runs in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, not whether the claim is true.
settings.register_profile("reqrep", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reqrep")


@pytest.fixture(params=["simulated", "threads"])
def world(request: pytest.FixtureRequest) -> str:
    """Each world in turn."""
    return str(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def _threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def _descriptors() -> list[str]:
    """What each open descriptor leads to; files that other code opens to log to do not count."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}").partition(":[")[0])
        except OSError:
            pass  # The descriptor of this very listing.
    return sorted(name for name in found if not name.startswith("/proc"))


@pytest.fixture(scope="session", autouse=True)
def catalogue() -> None:
    """Patterns and properties are loaded once: what is loaded first in a test of pytest goes with
    that test, and would come again as another of the same name."""
    for name in pattern_names():
        pattern(name)
    for name in property_names():
        claim(name)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Threads and descriptors after the session are those before it, and no temporary file is there."""
    # The standard library's own helper of processes, which lives as long as the interpreter.
    resource_tracker.ensure_running()
    own = tmp_path_factory.getbasetemp()  # pytest's own stay where they always are.
    with (
        tempfile.TemporaryDirectory(prefix="tests-") as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("TMPDIR", folder)
        patched.setenv("PYTEST_DEBUG_TEMPROOT", str(own))
        patched.setattr(tempfile, "tempdir", folder)
        before = _threads(), _descriptors(), os.listdir(folder)
        yield
        deadline = time.monotonic() + 5
        while (
            after := (_threads(), _descriptors(), os.listdir(folder))
        ) != before and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.01)  # libzmq closes the last descriptors of a context in its own thread.
        assert after == before
