"""Random programs on the simulation and on libzmq, compared call by call.

    python -m tests.spec.differential --programs 20000 --seed 0

Over inproc everything in libzmq but its reaper thread and its clock is deterministic; so
after each call one waits until that thread sleeps, and compares. The first difference is
shrunk to the calls that it needs, printed, and ends the command with 1.

Programs run in child processes, since libzmq aborts the process on some misuse; a child that
dies is reported with its program.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from .programs import Machine, Program, RealSide, SimulatedSide, draw_program

BATCH = 500
"""A child and its context serve so many programs."""

CHILDREN = min(2, os.cpu_count() or 1)

_runs = count()


class Difference(NamedTuple):
    """Where the two sides part.

    Attributes:
        number: Of the call.
        theirs, ours: What libzmq and the simulation gave.
        before: What the calls before it gave, on both.
    """

    number: int
    theirs: object
    ours: object
    before: tuple[object, ...]


class Report(NamedTuple):
    """What a child tells: a seed has begun, or it differs."""

    kind: str
    seed: int


def compare(program: Program, real: RealSide) -> Difference | None:
    """Run a program on both sides; None if they agree."""
    theirs = Machine(real, program.plans, next(_runs))
    ours = Machine(SimulatedSide(), program.plans, theirs.run)
    before: list[object] = []
    try:
        for number, call in enumerate(program.calls):
            expected = theirs.step(call)
            got: object
            try:
                got = ours.step(call)
            except Exception as error:
                got = repr(error)
            if expected != got:
                return Difference(number, expected, got, tuple(before))
            before.append(expected)
        return None
    finally:
        theirs.close()


def shrink(program: Program, differs: Callable[[Program], bool]) -> Program:
    """Leave out calls, in ever smaller groups, then sockets' options, while it still differs."""
    calls = list(program.calls)
    size = max(1, len(calls) // 2)
    while size:
        start = 0
        while start < len(calls):
            fewer = calls[:start] + calls[start + size :]
            if differs(program._replace(calls=tuple(fewer))):
                calls = fewer
            else:
                start += size
        size //= 2
    program = program._replace(calls=tuple(calls))
    for number, plan in enumerate(program.plans):
        for simpler in (
            plan._replace(options=()),
            plan._replace(name=b""),
            plan._replace(name=b"", options=()),
        ):
            plans = (*program.plans[:number], simpler, *program.plans[number + 1 :])
            if simpler != program.plans[number] and differs(program._replace(plans=plans)):
                program = program._replace(plans=plans)
    return program


def _serve(pipe: Connection, seeds: range) -> None:
    """In a child: compare the programs of these seeds."""
    real = RealSide()
    for seed in seeds:
        pipe.send(Report("begins", seed))
        program = draw_program(seed)
        if compare(program, real) is not None:
            pipe.send(Report("differs", seed))
            break
    else:
        pipe.send(Report("done", seeds.start))
    pipe.close()
    os._exit(0)  # The context may wait for what is lost to nobody.


def _differs(pipe: Connection, program: Program) -> None:
    """In a child: does this program differ?"""
    pipe.send(compare(program, RealSide()) is not None)
    pipe.close()
    os._exit(0)


def fails(program: Program) -> bool:
    """Whether a program differs, or ends its process."""
    near, far = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.Process(target=_differs, args=(far, program))
    child.start()
    far.close()
    try:
        return bool(near.recv())
    except EOFError:
        return True
    finally:
        child.join()
        near.close()


def run(programs: int, seed: int, say: Callable[[str], object]) -> list[int]:
    """Compare so many programs from a seed on; the seeds of the first that differ."""
    batches = iter(range(seed, seed + programs, BATCH))
    children: dict[Connection, multiprocessing.Process] = {}
    current: dict[Connection, int] = {}
    differ: list[int] = []
    done = 0
    started = told = time.monotonic()

    def begin() -> None:
        start = next(batches, None)
        if start is None or differ:
            return
        near, far = multiprocessing.Pipe(duplex=False)
        seeds = range(start, min(start + BATCH, seed + programs))
        child = multiprocessing.Process(target=_serve, args=(far, seeds))
        child.start()
        far.close()
        children[near] = child

    for _ in range(CHILDREN):
        begin()
    while children:
        for pipe in wait(list(children)):
            assert isinstance(pipe, Connection)
            try:
                report = pipe.recv()
            except EOFError:
                report = Report("died", current[pipe])
            if report.kind == "begins":
                current[pipe] = report.seed
                done += 1
                continue
            if report.kind in ("differs", "died"):
                differ.append(report.seed)
            children.pop(pipe).join()
            pipe.close()
            begin()
        if time.monotonic() - told > 1 or not children:
            told = time.monotonic()
            rate = done / (told - started)
            say(f"{done} of {programs} programs, {rate:.0f}/s")
    return sorted(differ)


def explain(program: Program) -> str:
    """A program, with what each side says of each call."""
    difference = compare(program, RealSide())
    if difference is None:
        return f"{program}\nthe process ends, or it agrees when it is run alone"
    lines = str(program).splitlines()
    first = len(lines) - len(program.calls)
    for number, result in enumerate(difference.before):
        lines[first + number] += f" -> {result}"
    lines[first + difference.number] += (
        f"\n    libzmq    {difference.theirs}\n    simulated {difference.ours}"
    )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.spec.differential", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (0)")
    parser.add_argument("--transport", choices=["inproc"], default="inproc",
                        help="over the others libzmq's threads decide what a call sees")  # fmt: skip
    given = parser.parse_args(arguments)

    def say(line: str) -> None:
        sys.stderr.write(f"\r{line}   ")
        sys.stderr.flush()

    differ = run(given.programs, given.seed, say)
    sys.stderr.write("\n")
    if not differ:
        last = given.seed + given.programs - 1
        sys.stdout.write(f"seeds {given.seed} to {last}: no difference\n")
        return 0
    sys.stdout.write(f"seed {differ[0]} differs:\n")
    program = shrink(draw_program(differ[0]), fails)
    # In a child, for it may end the process.
    child = multiprocessing.Process(
        target=lambda: (sys.stdout.write(explain(program) + "\n"), sys.stdout.flush(), os._exit(0))
    )
    sys.stdout.flush()
    child.start()
    child.join()
    if child.exitcode:
        sys.stdout.write(f"{program}\nthe process ends with {child.exitcode}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
