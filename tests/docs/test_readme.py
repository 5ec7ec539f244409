"""What the README says is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from reqrep.harness.cli.command import reqrep

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^reqrep .*$", README, re.MULTILINE)


def test_the_two_commands_stand_in_the_readme() -> None:
    assert "pip install . && reqrep run load-balancing" in README
    assert 'pip install ".[test]" && pytest' in README


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_holds(command: str) -> None:
    result = CliRunner().invoke(reqrep, shlex.split(command)[1:])
    assert result.exit_code == 0, result.output


def test_the_broker_of_the_readme_is_found_out(pytester: pytest.Pytester) -> None:
    (broker,) = (code for code in PYTHON if "def my_broker" in code)
    pytester.makepyfile(broker)
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*oldest-ready-first: broken*was ready for longer*"])
    # The story stands in the README as it was told, to the letter.
    told = README[README.index("load-balancing promises") : README.index("replay: reqrep replay")]
    result.stdout.fnmatch_lines([f"*{line.replace('[', '[[]')}" for line in told.splitlines()])


def test_the_broker_of_the_readme_dies_of_a_second_frame_once_its_list_is_mended(
    pytester: pytest.Pytester,
) -> None:
    (broker,) = (code for code in PYTHON if "def my_broker" in code)
    mended = broker.replace("idle.pop()", "idle.pop(0)").partition("def test_")[0]
    pytester.makepyfile(
        mended
        + """
import reqrep

def test_one_frame(run_fleet):
    run_fleet("load-balancing", broker=my_broker)

def test_two_frames(run_fleet):
    workload = reqrep.Workload(requests=2, timeout_s=0.3, bodies=reqrep.Sized(frames=2))
    scenario = reqrep.Scenario(reqrep.pattern("load-balancing"), workload=workload)
    run_fleet(scenario, broker=my_broker)
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*robustness: broken*too many values to unpack*"])


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (code for code in PYTHON if "report = reqrep.run" in code)
    exec(code, {})
    assert "holds: envelope" in capsys.readouterr().out


def test_the_table_of_the_readme_is_what_the_first_command_prints() -> None:
    result = CliRunner().invoke(reqrep, ["run", "load-balancing"])
    table = README[README.index("┏") : README.index("┘")]
    assert table in result.output


def test_the_hypothesis_test_of_the_readme_passes(pytester: pytest.Pytester) -> None:
    (code,) = (code for code in PYTHON if "@given" in code)
    pytester.makepyfile(code)
    pytester.runpytest().assert_outcomes(passed=1)


def test_every_pattern_is_in_the_readme() -> None:
    from reqrep.harness.catalogue import pattern_names

    for name in pattern_names():
        assert f"`{name}`" in README or f"`-{name.rpartition('-')[2]}`" in README, name
