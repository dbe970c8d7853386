"""What is registered with Numba, as canonical values: overloads, templates, lowerings, types with their models.

Their functions are run by Python while Numba compiles; they count with everything that they read.
"""
from __future__ import annotations

from types import FunctionType
from typing import Any

from numba.core import pythonapi
from numba.core.datamodel.registry import default_manager

from .. import _saggar
from . import functions, identity, kinds, values

PASSING = ("_boxers", "_unboxers", "_reflectors")  # of numba.core.pythonapi: how a type goes to and comes from Python


def encode(value: object) -> bytes:
    """Raises Uncacheable. What reads too much counts as `identity.content` has it: installed packages by name and version."""
    try:
        return _encode(value, installed=False)
    except values.TooMuch:
        return _encode(value, installed=True)


def _encode(value: object, installed: bool) -> bytes:
    def reference(target: Any) -> object:
        found = identity.content(target, interpreted=True)
        if found.installed and not installed:
            raise values.TooMuch(f"{found.nodes[0].label} reads too much")
        return _saggar.Digest("function", found.digest)

    return values.Encoder(reference, interpreted=True, installed=installed, limit=identity.LARGEST).encode(value)


def by_content(target: Any) -> object:
    """A function that Python runs while Numba compiles."""
    return _saggar.Digest("function", identity.content(target, interpreted=True).digest)


def functions_of(cls: type) -> list[tuple[str, FunctionType]]:
    """The functions that a template, a type or a data model consists of, without those of Numba's own classes."""
    return [(f"{klass.__qualname__}.{name}", function) for klass in _written(cls)
            for name, value in sorted(vars(klass).items()) for function in _inner(value)]


def _written(cls: type) -> list[type]:
    """A class and its bases, without Numba's own."""
    return [klass for klass in cls.__mro__ if not (functions.is_pinned(klass.__module__) and functions.by_name(klass) is not None)]


def _inner(value: Any) -> list[FunctionType]:
    return [part for part in values.functions_behind(value) if isinstance(part, FunctionType)]


def template(found: Any) -> object:
    """An overload, an intrinsic, or a template that is written as a class."""
    if functions.is_overload(found):
        return by_content(found)
    if "_definition_func" in vars(found):
        return _saggar.Record("intrinsic", (("function", by_content(found._definition_func)),
                                            ("literal", bool(found.prefer_literal))))
    return written_class(found)


def written_class(cls: type) -> object:
    """A template, type, data model or rewrite that is written as a class: its functions, and what else it holds."""
    held = [(f"{klass.__qualname__}.{name}", value) for klass in _written(cls) for name, value in sorted(vars(klass).items())
            if name != "key" and name not in values.BOOKKEEPING and not isinstance(value, values.DESCRIPTORS)
            and not any(isinstance(part, FunctionType) for part in values.functions_behind(value))]
    return _saggar.Record("class", (
        ("name", kinds.class_name(cls)),
        ("functions", tuple([(name, by_content(function)) for name, function in functions_of(cls)])),
        ("attributes", tuple(held)),
    ))


def lowering(item: tuple[Any, Any]) -> object:
    """
    An implementation and the types that it is for. One without a content counts as such: Numba chooses by the types alone, and what it
    chooses must have one, see `dependencies.lowered`.
    """
    function, signature = item
    try:
        content = by_content(function)
    except _saggar.Uncacheable:
        content = None
    return ("lowering", content, tuple(signature))


def type_class(cls: type) -> object:
    """A type's class, its data model, and how it is passed to and from Python."""
    from numba.core import boxing  # noqa: F401 - Numba's own are registered by then

    return _saggar.Record("type", (
        ("class", written_class(cls)),
        ("model", model(default_manager._handlers.get(cls))),
        ("passed", tuple([(name, by_content(function) if isinstance(function, FunctionType) else None)
                          for name in PASSING for function in (getattr(pythonapi, name).lookup(cls),)])),
    ))


def model(found: Any) -> object:
    """A data model."""
    if isinstance(found, type):
        return written_class(found)
    return by_content(found) if isinstance(found, FunctionType) else None
