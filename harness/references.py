"""Names of objects as text: `module:attribute`, so that a plan can go through JSON."""

from __future__ import annotations

import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

from .errors import MisuseError


def resolve(reference: str, what: str = "an object") -> Any:
    """The object that `module:attribute` names.

    Args:
        reference: The name.
        what: What is looked for, as a message would say it: `a pattern`.

    Raises:
        MisuseError: There is no such module or attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (colon and module_name and attribute):
        raise MisuseError(f"{reference!r} does not name {what}; write it as module:attribute")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise MisuseError(
                f"{reference!r} does not name {what}: module {module_name!r} needs "
                f"{error.name!r}, which is not installed"
            ) from error
        raise MisuseError(
            f"{reference!r} does not name {what}: there is no module {error.name!r} "
            f"(looked in {sys.path[0] or 'the current folder'} and what is installed); "
            "if it lies elsewhere, put its folder into PYTHONPATH"
        ) from None
    except (Exception, SystemExit) as error:  # A script that is imported may end itself.
        raise MisuseError(
            f"{reference!r} does not name {what}: module {module_name!r} cannot be imported, "
            f"{type(error).__name__}: {error}"
        ) from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        raise MisuseError(
            f"{reference!r} does not name {what}: module {module_name!r} has no {attribute!r}"
        ) from None


def home_of(reference: str) -> Path | None:
    """The folder from which Python finds the module that a reference names; None if nobody knows."""
    module = sys.modules.get(reference.partition(":")[0])
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    path = Path(file)
    place = path.parent if path.name == "__init__.py" else path
    return place.parents[module.__name__.count(".")]


def reference_to(target: Any, what: str) -> str:
    """The `module:attribute` of an object.

    Raises:
        MisuseError: The object cannot be found again by name, such as a lambda
            or a function inside a function.
    """
    module_name = getattr(target, "__module__", None)
    name = getattr(target, "__qualname__", None)
    is_findable = module_name and module_name != "__main__" and module_name in sys.modules
    if is_findable and name and "<" not in name:
        reference = f"{module_name}:{name}"
        if resolve(reference, what) is target:
            return reference
    raise MisuseError(
        f"{what} is {target!r}, which has no name that another process could find it by; "
        "define it at the top of a module"
    )
