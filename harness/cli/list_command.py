"""`reqrep list`: what there is, with a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from ..errors import MisuseError
from .command import blamed

if TYPE_CHECKING:
    from ..pattern import Pattern
    from ..property import Property

Rows = Iterable[tuple[str, str]]


def _patterns() -> Rows:
    from ..catalogue import pattern, pattern_names

    return ((name, _summary(pattern, name)) for name in pattern_names())


def _properties() -> Rows:
    from ..catalogue import claim, property_names

    return ((name, _summary(claim, name)) for name in property_names())


def _summary(find: Callable[[str], Pattern | Property], name: str) -> str:
    """One broken plug-in must not hide all others."""
    try:
        return find(name).summary
    except MisuseError as error:
        return f"({error})"


def _worlds() -> Rows:
    from ..run import WORLDS

    return WORLDS.items()


def _faults() -> Rows:
    from ..faults import KINDS, POINTS, WAY_POINTS

    yield from (
        (name, f"{kind.summary}: --fault {kind.example} ({_places(name)})")
        for name, kind in KINDS.items()
    )
    yield "at=0.1", "so many seconds after the load began"
    yield "lasts=0.5", "for so many seconds; without it until every client is done or stuck"
    yield "role=worker", "the first node of a role, as node=worker-0"
    for point, summary in POINTS.items():
        yield f"at={point}", f"{summary}: at={point}@worker-0#3 is the third time there"
    for point, summary in WAY_POINTS.items():
        yield (
            f"at={point}",
            f"{summary}: at={point}@worker-0..broker-0#2 is the second from one to the other (over ipc and tcp)",
        )


def _places(kind: str) -> str:
    """Which worlds can do a kind of fault, and over which transports if not over all."""
    from ..endpoints import TRANSPORTS
    from ..run import WORLDS, able

    worlds: dict[tuple[str, ...], list[str]] = {}
    for world in WORLDS:
        there = tuple(transport for transport in TRANSPORTS if able(world, transport))
        over = tuple(transport for transport in there if kind in able(world, transport))
        if over:
            worlds.setdefault(() if over == there else over, []).append(world)
    return "; ".join(
        (f"over {' and '.join(over)}: " if over else "") + ", ".join(names)
        for over, names in worlds.items()
    )


KINDS: dict[str, Callable[[], Rows]] = {
    "patterns": _patterns,
    "properties": _properties,
    "worlds": _worlds,
    "faults": _faults,
}


@click.command("list", short_help="Patterns, properties, worlds and faults, with a line each.")
@click.argument("what", required=False, metavar="[WHAT]")
def command(what: str | None) -> None:
    """List the patterns, properties, worlds and faults that are installed.

    WHAT is one of these words, or the name of a pattern, for all that it declares.
    """
    with blamed():
        if what is not None and what not in KINDS:
            _show_pattern(what)
            return
        for kind in [what] if what else KINDS:
            click.secho(kind, bold=True)
            rows = list(KINDS[kind]())
            width = max((len(name) for name, _ in rows), default=0)
            for name, summary in rows:
                click.echo(f"  {name:<{width}}  {summary}")
            if not rows:
                click.echo("  (none)")


def _show_pattern(name: str) -> None:
    from ..catalogue import pattern

    found = pattern(name)
    click.secho(f"{found.name}: {found.summary}", bold=True)
    click.echo(f"source: {found.source}")
    for link in found.links:
        click.echo(f"link {link.name}: {link.binds} binds, {', '.join(link.connects)} connects")
    for hop in found.hops:
        click.echo(str(hop))
    under: dict[frozenset[str], list[str]] = {}
    for promise in found.promises:
        under.setdefault(promise.under, []).append(promise.property)
    for kinds, properties in under.items():
        when = f" under {', '.join(sorted(kinds))}" if kinds else ""
        click.echo(f"promises{when}: {', '.join(properties)}")
    for sentence in found.does_not_survive:
        click.echo(f"does not survive: {sentence}")
