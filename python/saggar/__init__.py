"""Saggar keeps compiled code. Importing the package costs nothing: what it needs is loaded when it is used."""
from __future__ import annotations

import importlib
from types import FunctionType
from typing import Any

__version__ = "0.1.0"
__all__ = ["Cache", "__version__", "key"]

_LAZY = {"_saggar", "gt4py", "mapping", "numba"}


def key(value: Any) -> Any:
    """
    A decorator that makes `value` a part of a function's content: another value, another entry, for it and for all that
    call it. For what nothing in the function shows, as the version of a service or of a library that it reaches by address.

    `value`: None, a number, a text, bytes, or a tuple, list or dict of them; or a function without arguments that gives
    one, called once in a process when the function is first looked up. It stands below the compiler's decorator:

        @numba.njit(cache=True)
        @saggar.key(lambda: tables.version())
        def f(x): ...
    """
    def mark(function: Any) -> Any:
        if not isinstance(function, FunctionType):
            raise TypeError("saggar.key stands below the compiler's decorator, directly above the function")
        function.__saggar_key__ = value
        return function

    return mark


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "Cache":
        return importlib.import_module(f"{__name__}.mapping").Cache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | _LAZY | {"Cache"})
