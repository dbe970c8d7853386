"""Functions of which Python runs a part: forced object mode, and blocks of `with objmode`.

There a free variable is one object, held by the compiled code, and a global is looked up in one dictionary while it runs. Equal
content does not mean the same object or the same dictionary, so that two such functions must not share a name: they have no content
where a free variable is not fixed, or where another module of the same name has the function already.
"""
from __future__ import annotations

from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.dispatcher import Dispatcher

from .. import _saggar, code
from . import functions

_FALLS_BACK = tuple(map(int, numba.__version__.split(".")[:2])) < (0, 59)  # to object mode, where nobody asked for nopython
_FIXED = (type(None), bool, int, float, complex, bytes, str, ModuleType, types.Type, np.dtype, np.generic, Dispatcher)
_spaces: dict[tuple[str, bytes], dict[str, Any]] = {}  # the global variables of each such function, by label and digest


def is_forced(options: dict[str, Any]) -> bool:
    """True if a function with these options is compiled in object mode."""
    return bool(options.get("forceobj")) or _FALLS_BACK and not options.get("nopython")


def free_variables(obj: object, python: FunctionType) -> frozenset[str] | None:
    """The free variables that Python may read while the compiled function runs; None if Python has no part in it."""
    if isinstance(obj, Dispatcher) and is_forced(obj.targetoptions):
        return frozenset(python.__code__.co_freevars)
    return code.free_in_blocks(python.__code__)


def is_fixed(value: object) -> bool:
    """True if an equal value does as well as this one."""
    if isinstance(value, np.void):
        return False
    if type(value) in (tuple, frozenset):
        return all(map(is_fixed, value))  # type: ignore[call-overload]
    return isinstance(value, _FIXED) or functions.by_name(value) is not None


def check(label: str, encoded: bytes, python: FunctionType) -> None:
    """Raises Uncacheable if another dictionary of global variables stands behind this content already."""
    if _spaces.setdefault((label, _saggar.sha256(encoded)), python.__globals__) is not python.__globals__:
        raise _saggar.Uncacheable(f"Python runs a part of {label}, and another module of that name has it")
