"""Saggar keeps compiled code. Importing the package costs nothing: what it needs is loaded when it is used."""
from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["Cache", "__version__"]

_LAZY = {"_saggar", "mapping", "numba"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "Cache":
        return importlib.import_module(f"{__name__}.mapping").Cache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | _LAZY | {"Cache"})
