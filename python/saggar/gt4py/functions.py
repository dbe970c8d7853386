"""Functions of the user's own among a step's options, such as DaCe's hooks: known by what they compute, not by their names.

A function's pieces are its code without places, its defaults, what it closes over, and each name that it reads from its module:
functions there in the same way, modules and functions with a version in the recipe by name, other values by content. What
reads something that no piece stands for has no digest.
"""
from __future__ import annotations

import builtins
import functools
import importlib.util
import os
import sys
import types
from typing import Any, Callable

from gt4py.next import fingerprinting

from .. import _saggar, code

# Known by a version that is in the recipe.
_PACKAGES = frozenset({"gt4py", "numpy", "dace", "sympy", "builtins"})
_LIBRARY = os.path.dirname(os.__file__) + os.sep
# What reaches beyond a function's code: names in it, and modules of the standard library.
_UNSEEN = frozenset({"eval", "exec", "globals", "locals", "vars", "open", "input", "__import__", "getenv", "environ"})
_OUTSIDE = frozenset({"os", "posix", "posixpath", "genericpath", "io", "_io", "pathlib", "shutil", "subprocess", "socket", "random", "secrets",
                      "time", "datetime", "importlib", "inspect", "ctypes"})


@functools.cache
def known(module: str) -> bool:
    """True for a module whose version is in the recipe. A user's own may have the name of one of the standard library's ("code")."""
    top = module.partition(".")[0]
    if top in _PACKAGES or top in sys.builtin_module_names:
        return top != "__main__"
    if top not in sys.stdlib_module_names:
        return False
    try:
        there = sys.modules.get(top)
        file = getattr(there, "__file__", None) if there is not None else getattr(importlib.util.find_spec(top), "origin", None)
    except (ImportError, ValueError):
        return False
    return there is not None and file is None or file == "frozen" or isinstance(file, str) and file.startswith(_LIBRARY) and "site-packages" not in file


def check(thing: Any) -> None:
    """Uncacheable for what only a name stands for."""
    module = getattr(thing, "__module__", None) or ""
    if not isinstance(module, str) or not known(module):
        raise _saggar.Uncacheable(f"{module}.{getattr(thing, '__qualname__', thing)}: code of a module without a version in the key")


def pieces(function: types.FunctionType) -> Any:
    """What decides a function of the user's own."""
    try:
        facts = code.facts(function.__code__)
    except _saggar.Uncacheable as error:
        raise _saggar.Uncacheable(f"{function.__qualname__}: {error}") from None
    unseen = _UNSEEN.intersection(facts.names)
    if unseen or code.imports(function.__code__):
        raise _saggar.Uncacheable(f"{function.__qualname__} may read what is not in its code: {', '.join(sorted(unseen)) or 'it imports'}")
    if set(function.__dict__) - {"__wrapped__"}:
        raise _saggar.Uncacheable(f"{function.__qualname__} has attributes")
    free = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    reads = []
    for is_free, name, attributes in facts.reads:
        reads.append(((is_free, name, attributes), _read(function, free[name] if is_free else None, name, attributes)))
    return fingerprinting.Deconstruction.from_pieces(function.__defaults__, function.__kwdefaults__, *reads, state=b"function\0" + facts.digest)


def _read(function: types.FunctionType, cell: Any, name: str, attributes: tuple[str, ...]) -> Any:
    """The value that a function reads: of a module, the attribute."""
    try:
        if cell is not None:
            value = cell.cell_contents
        else:
            value = function.__globals__[name] if name in function.__globals__ else getattr(builtins, name)
        rest = list(attributes)
        while isinstance(value, types.ModuleType) and not known(value.__name__):
            if not rest:
                raise _saggar.Uncacheable(f"{function.__qualname__} reads the module {value.__name__}")
            value = getattr(value, rest.pop(0))
    except (ValueError, AttributeError):
        return _Missing
    is_module = isinstance(value, types.ModuleType)
    homes = [value.__name__] if is_module else [getattr(value, "__module__", None), type(value).__module__]
    if any(isinstance(home, str) and home.partition(".")[0] in _OUTSIDE for home in homes) or getattr(value, "__name__", "") in _UNSEEN:
        raise _saggar.Uncacheable(f"{function.__qualname__} may read what is not in its code, by {'.'.join((name, *attributes))}")
    return ("module", value.__name__) if is_module else value


class _Missing:
    """A name that is not there (yet)."""


def reference(user: Callable[[types.FunctionType], Any] | None) -> Callable[[Any], Any]:
    """Deconstructs a class or function: one with a version by its name, a function without one by `user`."""
    def deconstruct(thing: Any) -> Any:
        if thing is _Missing:
            return fingerprinting.EmptyDeconstruction(b"missing\0")
        if user is not None and not known(getattr(thing, "__module__", None) or ""):
            return user(thing)
        check(thing)
        return fingerprinting.EmptyDeconstruction.from_reference(thing)

    return deconstruct
