"""How a scenario reaches a fresh interpreter: by the names of its programs.

Pickle writes down where a function or a class stands, not what it does, so the other side
imports it. A module that is not found there by its name, as pytest imports tests and as
`__main__` is, is loaded from its file.
"""

from __future__ import annotations

import io
import pickle
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from itertools import accumulate
from operator import attrgetter
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from ..errors import MisuseError
from ..pattern import Pattern

MAIN = "__main__"
_MAIN_THERE = "__reqrep_main__"
"""What the script that began a run is called where it is loaded only for its programs."""

is_here_for_them = False
"""Whether this interpreter was started for the programs of a run alone, by the harness of it."""


class _Pickler(pickle.Pickler):
    """Also collects the modules that must be there: what each is called, and its file."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.modules: dict[str, tuple[str, str]] = {}

    def reducer_override(self, target: Any) -> Any:
        if type(target) is MappingProxyType:
            return _unchanging, (dict(target),)
        if isinstance(target, FunctionType | type):
            for name in accumulate(target.__module__.split("."), "{}.{}".format):
                self._collect(name)  # First the packages that it is in.
        return NotImplemented

    def _collect(self, name: str) -> None:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is not None:
            spec = getattr(module, "__spec__", None)  # Of a script there is none.
            self.modules[name] = (_MAIN_THERE if spec is None else spec.name), file
        elif name == MAIN:
            raise pickle.PicklingError("it was typed in, and stands in no file")


def _unchanging(target: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(target)


def pack(content: Any) -> bytes:
    """Any value, with functions and classes by name.

    Raises:
        pickle.PicklingError, AttributeError, TypeError: Something in it has no name.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(content)
    return pickle.dumps((pickler.modules, file.getvalue()))


def unpack(data: bytes) -> Any:
    """What `pack` was given, in another process."""
    global is_here_for_them
    is_here_for_them = True
    modules, content = pickle.loads(data)
    loaded = {name: _load(there, file) for name, (there, file) in modules.items()}
    return _Unpickler(io.BytesIO(content), loaded).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, modules: dict[str, ModuleType]) -> None:
        super().__init__(file)
        self._modules = modules

    def find_class(self, module_name: str, name: str) -> Any:
        if module_name in self._modules:
            return attrgetter(name)(self._modules[module_name])
        return super().find_class(module_name, name)


def _load(name: str, file: str) -> ModuleType:
    if name != _MAIN_THERE:
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
        else:
            if getattr(module, "__file__", None) == file:
                return module
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_findable(pattern: Pattern) -> None:
    """Refuse programs that another process cannot find.

    Raises:
        MisuseError: One has no name there, with the way out.
    """
    for role in pattern.roles:
        what = f"the program of role {role.name!r} of {pattern.name!r}"
        _check(what, role.program, "define it at the top of a module")
    _check(
        f"the pattern {pattern.name!r}", pattern, "define what it is made of at the top of a module"
    )


def _check(what: str, target: Any, way_out: str) -> None:
    try:
        pack(target)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise MisuseError(
            f"{what} is {target!r}, which has no name that another process could find it by "
            f"({error}); {way_out}, or run it in the world threads"
        ) from error
