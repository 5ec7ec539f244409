"""Plan values: frozen, checked when made, printed as the code that rebuilds them, at home in JSON.

A plan (fleet, workload, scenario) is handed from a test to a search, to another
process, to a file and back, and stands in every failure story. So it is a value:
equal to its copy, never changed, and readable as what a person would have typed.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Self, TypeGuard, get_args

import msgspec

from .errors import MisuseError


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all plan values.

    Equal values print the same, wherever they come from: a history has them as text, and 1 that
    was typed comes back from a file as 1.0.
    """

    def __repr__(self) -> str:
        shown = []
        for name, default, is_float in _fields(type(self)):
            value = getattr(self, name)
            if value != default:
                value = float(value) if is_float and type(value) is int else value
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return msgspec.structs.replace(self, **changes)


@cache
def _fields(kind: type[Value]) -> list[tuple[str, Any, bool]]:
    """Of each field the name, the default, and whether it is a number with a fraction."""
    return [
        (
            field.name,
            field.default_factory()
            if field.default_factory is not msgspec.NODEFAULT
            else field.default,
            field.type is float or float in get_args(field.type),
        )
        for field in msgspec.structs.fields(kind)
    ]


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def require(condition: bool, what: str, value: object, way_out: str) -> None:
    """Refuse a bad value with a message that names it and the way out.

    Raises:
        MisuseError: The condition does not hold.
    """
    if not condition:
        raise MisuseError(f"{what} is {value!r}; {way_out}")


def require_at_least(least: float, what: str, value: object) -> None:
    """Refuse a number that is too small, or that is no number."""
    require(
        is_number(value) and value >= least,
        what,
        value,
        f"it must be {least} or more",
    )


def require_kind(what: str, value: object, *kinds: type | None) -> None:
    """Refuse a value of another kind; None among the kinds allows None."""
    if value is None and None in kinds:
        return
    names = [kind.__name__ for kind in kinds if kind is not None]
    is_one = isinstance(value, tuple(kind for kind in kinds if kind is not None))
    require(is_one, what, value, f"it must be a {' or a '.join(names)}")


def require_more_than_0(what: str, value: object) -> None:
    """Refuse what is no number above 0."""
    require(is_number(value) and value > 0, what, value, "it must be more than 0")


def require_count(what: str, value: object, least: int = 1) -> None:
    """Refuse what is not a whole number of at least `least`."""
    require(
        isinstance(value, int) and not isinstance(value, bool) and value >= least,
        what,
        value,
        f"it must be a whole number, {least} or more",
    )
