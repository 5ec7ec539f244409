"""What is installed is what stands in the tree."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reqrep

PARTS = ("harness", "patterns", "properties")
ROOT = Path(__file__).parents[2]


PROJECT = """
def test_a_broker_of_mine(run_fleet, search_fleet):
    assert run_fleet("load-balancing", requests=20).holds
    assert search_fleet("req-rep", scenarios=20).holds
"""


@pytest.mark.parametrize("part", PARTS)
def test_every_module_of_the_tree_is_installed(part: str) -> None:
    for path in sorted((ROOT / part).rglob("*.py")):
        names = [part, *path.relative_to(ROOT / part).with_suffix("").parts]
        name = ".".join(["reqrep", *(n for n in names if n != "__init__")])
        assert importlib.util.find_spec(name) is not None, name


@pytest.mark.parametrize("part", PARTS)
def test_a_part_refuses_to_be_imported_by_its_bare_name(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ImportError, match=f"reqrep.{part}"):
        importlib.import_module(part)
    assert part not in sys.modules


def test_every_public_name_is_there_and_documented() -> None:
    for name in reqrep.__all__:
        assert getattr(reqrep, name) is not None
        if name != "__version__":
            assert getattr(reqrep, name).__doc__, name
    assert set(reqrep.__all__) <= set(dir(reqrep))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        reqrep.nothing  # noqa: B018


def test_the_package_is_typed() -> None:
    assert reqrep.__file__ is not None
    assert (Path(reqrep.__file__).parent / "py.typed").exists()


@pytest.mark.slow
def test_a_project_that_has_only_the_wheel_uses_the_fixtures(tmp_path: Path) -> None:
    def call(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    tree = shutil.copytree(ROOT, tmp_path / "tree", symlinks=True, ignore=unwanted)
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", "wheels", tree)
    (wheel,) = (tmp_path / "wheels").glob("reqrep-*.whl")
    call(sys.executable, "-m", "venv", "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", wheel, "pytest>=8")
    (tmp_path / "test_mine.py").write_text(PROJECT)
    call(python, "-I", "-m", "pytest", "-q", "test_mine.py")
