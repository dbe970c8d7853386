"""Looks at a place of GT4Py before it is changed: it must be there and of the known shape."""
from __future__ import annotations

import inspect
from typing import Any


class Unknown(Exception):
    """A place is missing or looks different: this GT4Py is not known."""


def expect(holder: Any, name: str, *parameters: str) -> Any:
    """The attribute; Unknown if it is not there, or takes other parameters (where any are given)."""
    found = getattr(holder, name, None)
    where = f"{getattr(holder, '__qualname__', None) or getattr(holder, '__name__', holder)}.{name}"
    if found is None:
        raise Unknown(f"{where} is not there")
    if parameters:
        there = tuple(inspect.signature(found).parameters)
        if there != parameters:
            raise Unknown(f"{where} takes ({', '.join(there)}), not ({', '.join(parameters)})")
    return found


def fields(cls: Any, *names: str) -> None:
    """Unknown if a dataclass has other fields than these: a new one may decide what is made."""
    there = tuple(getattr(cls, "__dataclass_fields__", ()))
    if set(there) != set(names):
        raise Unknown(f"{cls.__qualname__} has the fields {', '.join(there)}")
