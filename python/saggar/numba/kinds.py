"""Canonical values of Numba's types.

`type_value(t, ref)` gives a text for the types whose printed name says everything, else a record. A type that holds a
function (a dispatcher passed as an argument) is described by that function's content: `ref` turns a function into
a value. Types that carry an address and nothing else have no encoding.
"""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from numba.core import types

from .. import _saggar

Ref = Callable[[object], object]

ADDRESS = re.compile(r"0x[0-9a-fA-F]{5,}|#[0-9a-f]{6,}")
_SCALARS = {types.Integer, types.Float, types.Complex, types.Boolean, types.NoneType, types.UnicodeType,
            types.NPDatetime, types.NPTimedelta}


class ByType(dict[int, Any]):
    """What is known of types, by the number that Numba gives each for good. Emptied when it is large: programs may make types for ever."""

    LARGEST = 10_000

    def __setitem__(self, code: int, known: Any) -> None:
        if len(self) >= self.LARGEST:
            self.clear()
        super().__setitem__(code, known)


_plain: dict[int, str] = {}  # type code -> name, for types that hold nothing but scalars


def is_plain(t: types.Type) -> bool:
    """True if the type's name says everything."""
    kind = type(t)
    if kind in _SCALARS:
        return True
    if kind is types.Array:
        return type(t.dtype) in _SCALARS
    if kind is types.UniTuple:
        return is_plain(t.dtype)
    if kind is types.Tuple:
        return all(is_plain(item) for item in t.types)
    return False


def type_value(t: types.Type, ref: Ref) -> object:
    """The canonical value of a type, as a text or a record. Raises Uncacheable."""
    code = getattr(t, "_code", None)
    name = _plain.get(code) if code is not None else None
    if name is not None:
        return name
    if is_plain(t):
        if code is not None:
            _plain[code] = t.name
        return t.name
    special = _special(t, ref)
    if special is not None:
        return special
    kind = type(t)
    fields: list[tuple[str, object]] = [("class", class_name(kind))]
    if not ADDRESS.search(t.name):
        fields.append(("name", t.name))
    key = t.key
    if isinstance(key, str):
        if len(fields) == 1:
            raise _saggar.Uncacheable(f"type {t.name}")
        if key != t.name:
            fields.append(("key", _key(key, t, ref)))
    else:
        fields.append(("key", _key(key, t, ref)))
    if isinstance(t, types.BaseNamedTuple):
        fields.append(("fields", tuple(t.fields)))
    return _saggar.Record("type", tuple(fields))


def _special(t: types.Type, ref: Ref) -> object | None:
    if isinstance(t, (types.ClassType, types.ClassInstanceType)):
        raise _saggar.Uncacheable(f"jitclass {t.name.split('#')[0]}")
    if isinstance(t, types.DeferredType):
        raise _saggar.Uncacheable("a deferred type")
    if isinstance(t, types.ExternalFunctionPointer):
        raise _saggar.Uncacheable("a pointer to a function outside")
    if isinstance(t, types.Dispatcher):
        return _saggar.Record("dispatcher", (("class", class_name(type(t))), ("function", ref(t.dispatcher))))
    if isinstance(t, types.Omitted):
        return _saggar.Record("omitted", (("value", t.value),))
    if isinstance(t, types.Literal):
        return _saggar.Record("literal", (("class", class_name(type(t))), ("value", t.literal_value)))
    if isinstance(t, types.BaseFunction):
        return _saggar.Record("function", (("class", class_name(type(t))), ("key", t.typing_key),
                                           *((("signature", t.sig),) if isinstance(t, types.ExternalFunction) else ())))
    if isinstance(t, types.Module):
        return _saggar.Record("module", (("name", t.pymod.__name__),))
    return None


def _key(key: Any, t: types.Type, ref: Ref) -> object:
    if isinstance(key, types.Type):
        return key
    if isinstance(key, (tuple, list)):
        return tuple(_key(item, t, ref) for item in key)
    if isinstance(key, str) and ADDRESS.search(key):
        raise _saggar.Uncacheable(f"type {t.name}")
    return key


def attributes(t: types.Type) -> list[tuple[str, object]]:
    """What a type holds beside its name and key, which code generators may read."""
    return [(name, value) for name, value in sorted(vars(t).items()) if name not in ("name", "_code")]


def class_name(cls: type) -> str:
    """"module:qualified name"."""
    return f"{module_of(cls)}:{cls.__qualname__}"


def module_of(cls: type) -> str:
    """A class's module; some classes hold a descriptor where it should be."""
    module = cls.__module__
    return module if isinstance(module, str) else ""


def what(value: object) -> str:
    """What an object is, for people."""
    return f"type {module_of(type(value))}.{type(value).__qualname__}"


def short(args: tuple[types.Type, ...]) -> str:
    """The argument types for people."""
    return ADDRESS.sub("", ", ".join(str(a) for a in args))
