"""Ways of typing that somebody puts before Numba's own.

Of several overloads of `np.sum`, Numba takes the first that fits. Its own are loaded when something is compiled for the first
time (see `order`), so one that a program registers before that wins. What was compiled in one of Numba's own ways therefore depends
on what stands before that: here a *subject* is a function and the way that fitted. What it comes to is nearly always nothing.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from numba.core import extending
from numba.core.registry import cpu_target

from .. import _saggar
from . import descriptions, extensions

KIND = "before "
NOTHING = bytes(32)
_SEPARATOR = ", "
_NONE = "none"
_LONGEST = 1000  # a dependency's name
_texts: WeakKeyDictionary[type, str | None] = WeakKeyDictionary()


def subject(template: type) -> str | None:
    """The subject of one of Numba's own ways of typing; None if others cannot come before it."""
    if template not in _texts:
        _texts[template] = _subject(template)
    return _texts[template]


def _subject(template: Any) -> str | None:
    key = getattr(template, "key", None)
    if _is_others(key) or extensions.is_foreign_template(template) or not _ways(key) or _is_first(template):
        return None
    return f"{KIND}{extensions.subject_text(key)} {_name(template)}"


def _is_first(template: Any) -> bool:
    """True if nobody can register something before it: it is loaded with Numba, or comes with its function."""
    module, _, name = _name(template).partition(":")
    return (module == "numba.core.typing.builtins" or isinstance(template.key, extending._Intrinsic) or "ov_wrap" in name
            or module == getattr(template.key, "__module__", None))


def of_none(key: Any) -> str | None:
    """The subject of a function of which no way fits: all that others register for it comes before that."""
    if _is_others(key) or not _ways(key):
        return None
    return f"{KIND}{extensions.subject_text(key)} {_NONE}"


def _is_others(key: Any) -> bool:
    """True if a function is not one that Numba has, or belongs to a type: see `overrides`."""
    return getattr(type(key), "__hash__", None) is None or isinstance(key, tuple) or extensions.is_foreign(key)


def _name(template: Any) -> str:
    named = getattr(template, "_overload_func", None)
    if named is None:  # where one class is for several functions, Numba derives others from it
        named = next((cls for cls in template.__mro__ if "<locals>" not in cls.__qualname__), template)
    return f"{named.__module__}:{named.__qualname__}"


def _ways(key: Any) -> list[Any]:
    """All ways of typing a function, in the order in which Numba tries them."""
    context = cpu_target.typing_context
    found = context._lookup_global(key)
    return [*getattr(found, "templates", ()), *(map(type, context._functions[key]) if key in context._functions else ())]


def join(subjects: Iterable[str]) -> list[str]:
    """A few subjects for all of them."""
    joined: list[str] = []
    for one in sorted(subjects):
        if joined and len(joined[-1]) + len(one) < _LONGEST:
            joined[-1] += _SEPARATOR + one[len(KIND):]
        else:
            joined.append(one)
    return joined


def parts(text: str) -> list[str]:
    """The subjects that were joined."""
    return [KIND + name for name in text[len(KIND):].split(_SEPARATOR)]


def count(text: str) -> int:
    """How much stands before one of Numba's own ways now."""
    return len(_before(text))


def digest(text: str) -> bytes:
    """The content of what stands before Numba's own ways now. Raises Uncacheable."""
    extensions.index()
    if any(map(_is_unknown, parts(text))):
        extensions.load_own()  # now: what is registered changes
    found = [(part, descriptions.template(way)) for part in parts(text) for way in _before(part)]
    return _saggar.sha256(descriptions.encode(tuple(found))) if found else NOTHING


def _before(text: str) -> list[Any]:
    name, _, way = text[len(KIND):].rpartition(" ")
    return [item for of in extensions.registered_calls(name) for item in _first(of, way)]


def _is_unknown(text: str) -> bool:
    """True if others registered something for a function, and Numba's own way is not there yet."""
    name, _, way = text[len(KIND):].rpartition(" ")
    return way != _NONE and any(_until(of.key, way) is None for of in extensions.registered_calls(name))


def _first(of: extensions.Subject, way: str) -> list[Any]:
    """Those of others that are tried before Numba's own; they count as such where that is not there."""
    before = _until(of.key, way)
    return of.items if before is None else [item for item in of.items if item in before]  # for a kind of processor: see `overrides`


def _until(key: Any, way: str) -> list[Any] | None:
    """The ways of typing a function that come before one; None if that is not there."""
    ways = _ways(key)
    return next((ways[:at] for at in reversed(range(len(ways))) if _name(ways[at]) == way), None)
