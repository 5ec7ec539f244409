"""Patterns and properties by name: plug-ins, ours exactly like a stranger's.

A distribution offers patterns on the entry point group `reqrep.patterns` and
properties on `reqrep.properties`. The machine knows none of them by itself.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from .errors import MisuseError
from .pattern import Pattern, no_such
from .property import Property
from .references import resolve

PATTERNS = "reqrep.patterns"
PROPERTIES = "reqrep.properties"


@cache
def _offers(group: str) -> dict[str, EntryPoint]:
    return {offer.name: offer for offer in sorted(entry_points(group=group), key=lambda o: o.name)}


def _load(group: str, name: str, kind: type, what: str) -> object:
    try:
        found = _offers(group)[name].load()
    except (Exception, SystemExit) as error:  # A script that is imported may end itself.
        raise MisuseError(
            f"the plug-in {name!r} on {group} cannot be loaded, {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, kind):
        raise MisuseError(
            f"the plug-in {name!r} on {group} is {found!r}, which is not {what}; "
            "its distribution must be mended"
        )
    return found


def pattern_names() -> list[str]:
    """The names of all patterns that are installed."""
    return list(_offers(PATTERNS))


def property_names() -> list[str]:
    """The names of all properties that are installed."""
    return list(_offers(PROPERTIES))


@cache
def pattern(name: str) -> Pattern:
    """The pattern of that name.

    Args:
        name: A name from `reqrep list`, or `module:attribute`.

    Raises:
        MisuseError: There is none; the message has the nearest names.
    """
    if ":" in name:
        found = resolve(name, "a pattern")
        if not isinstance(found, Pattern):
            raise MisuseError(
                f"{name!r} is {found!r}, which is not a Pattern; put a program into one, such as "
                "PATTERN = reqrep.pattern('load-balancing').with_roles(broker=my_broker)"
            )
        return dataclasses.replace(found, reference=name)
    if name not in _offers(PATTERNS):
        raise MisuseError(no_such("pattern", name, pattern_names()))
    found = _load(PATTERNS, name, Pattern, "a Pattern")
    assert isinstance(found, Pattern)
    return found


@cache
def claim(name: str) -> Property:
    """The property of that name.

    Raises:
        MisuseError: There is none; the message has the nearest names.
    """
    if name not in _offers(PROPERTIES):
        raise MisuseError(no_such("property", name, property_names()))
    found = _load(PROPERTIES, name, Property, "a Property")
    assert isinstance(found, Property)
    return found
