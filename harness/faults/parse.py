"""Faults as a person types them: `cut:link=frontend,at=0.5,lasts=0.2`.

A kind, a colon, and fields as `key=value` between commas. `at` is a number of seconds or a
point of a request's life, with a node and a count where they matter: `at=taken`,
`at=taken@worker-0`, `at=worked@worker-0#3`; or a message on its way between two nodes, of which
either may be left out: `at=passing@broker-0..client-1`, `at=passed@worker-0..#2`.
`role=worker` is the first node of a role, `worker-0`. Several nodes are written with a plus:
`nodes=broker-0+worker-0`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import MisuseError
from ..pattern import no_such
from .fault import POINTS, WAY_POINTS, Fault, Upon

_UPON = re.compile(r"(?P<point>[a-z]+)(?:@(?P<node>[^#]+))?(?:#(?P<count>[1-9]\d*))?\Z")


def parse(text: str, kinds: Mapping[str, type[Fault]]) -> Fault:
    """The fault that a text names.

    Args:
        text: See the top of this file.
        kinds: Those there are, by name.

    Raises:
        MisuseError: There is no such kind, or a field cannot be read, with an example.
    """
    name, _, rest = text.partition(":")
    kind = kinds.get(name)
    if kind is None:
        raise MisuseError(f"--fault {text!r}: {no_such('kind of fault', name, list(kinds))}")
    fields: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise MisuseError(
                f"--fault {text!r}: {part!r} is no key=value; write it as {kind.example}"
            )
        if key == "role" and "node" in kind.__struct_fields__:
            key, value = "node", f"{value}-0"
        if key not in kind.__struct_fields__:
            raise MisuseError(
                f"--fault {text!r}: {no_such('field', key, list(kind.__struct_fields__), name)}"
            )
        fields[key] = _read(key, value, text)
    try:
        return msgspec.convert({"type": name, **fields}, type=kind, strict=False)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, MisuseError):
            raise MisuseError(f"--fault {text!r}: {error.__cause__}") from None
        raise MisuseError(f"--fault {text!r}: {error}; an example is {kind.example}") from None


def _read(key: str, value: str, text: str) -> Any:
    match key:
        case "at":
            return _when(value, text)
        case "nodes":
            return [node for node in value.split("+") if node]
    return value


def _when(value: str, text: str) -> float | Upon:
    try:
        return float(value)
    except ValueError:
        pass
    found = _UPON.match(value)
    if found is not None and found["point"] in WAY_POINTS:
        source, dots, target = (found["node"] or "..").partition("..")
        if dots:
            count = int(found["count"] or 1)
            return Upon(found["point"], None, count, source or None, target or None)
    elif found is not None and found["point"] in POINTS:
        return Upon(found["point"], found["node"], int(found["count"] or 1))
    raise MisuseError(
        f"--fault {text!r}: at is {value!r}; write seconds, or a point ({', '.join(POINTS)}) "
        "with a node and a count if they matter, taken@worker-0#3; or a message on its way "
        f"({', '.join(WAY_POINTS)}), from whom to whom: passed@worker-0..broker-0#3"
    )
