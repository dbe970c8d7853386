"""Nodes: what one function is and reads, and whether that still holds; and looks, within which nothing is read twice.

A node keeps nothing alive: it refers weakly to its function, to what that refers to, and to the values that it
compares with, so that functions can be collected as they can without Saggar.
"""
from __future__ import annotations

import builtins
import sys
import threading
from types import CellType, ModuleType
from typing import Any
from weakref import ref as weakref_to

import numpy as np

from .. import _saggar
from . import frames, functions, values

MISSING = object()
_PRIMITIVES = (type(None), bool, int, float, complex, bytes, str)
_SAME, _WEAK, _ARRAY = 0, 1, 2  # how a value is compared with what was read: itself, a weak reference, a digest
_GLOBALS, _ATTRIBUTES, _SELF = "globals", "attributes", "self"  # of the node's own function


class Node:
    """One function: what it is (`function`), its canonical value, and the functions that it refers to."""

    __slots__ = ("function", "interpreted", "installed", "label", "module", "encoded", "references", "guards", "mutable", "passed",
                 "watched", "kept", "size", "of", "held", "words", "compiled", "run")

    def __init__(self, obj: object, function: functions.Function, interpreted: bool, installed: bool) -> None:
        self.of = weakref_to(obj)
        self.function = function
        self.interpreted = interpreted
        self.installed = installed
        self.module = function.module
        self.label = f"{function.module}:{function.qualname}"
        self.references: Any = []  # while it is built; weak references afterwards
        self.compiled: set[int] = set()  # places of the references that only Numba follows, though Python runs the function
        self.run: set[int] = set()  # of those that Python runs, though Numba compiles the function
        self.passed: list[tuple[str, ModuleType]] = []  # modules that it may hand to other functions
        self.guards: list[tuple[Any, str, object, int]] = []
        self.watched: set[int] = set()  # ids of the arrays whose content guards tell, while it is built
        self.kept: dict[str, bytes] = {}  # what it reads and sets itself
        self.words: list[str] = []  # names that it reads as values, for getattr
        self.mutable = False
        self.held = False  # Python runs a part of it
        self.encoded = b""
        self.size = 0

    def finish(self, look: Look) -> None:
        """It is built: from now on it keeps nothing alive, the look does."""
        look.alive.extend(self.references)
        self.references = tuple([weakref_to(target) for target in self.references])
        self.passed, self.watched, self.words, self.function.options = [], set(), [], []

    def runs(self, place: int, interpreted: bool) -> bool:
        """True if Python runs what it refers to there; `interpreted`: it runs the function itself, where this was met."""
        return interpreted and place not in self.compiled or place in self.run

    def targets(self) -> list[Any]:
        """The functions that it refers to."""
        return [reference() for reference in self.references]

    def holds(self, look: Look) -> bool:
        """True if everything that was read is still bound to the same objects."""
        python = self.function.python
        if self.mutable or python is None and self.function.has_python:
            return False
        for reference in self.references:
            if reference() is None:
                return False
        space = python.__globals__ if python is not None else {}
        for holder, name, expected, kind in self.guards:
            found = space.get(name, MISSING) if holder is _GLOBALS else _found(python, holder, name)
            if kind == _WEAK:
                expected = expected()  # type: ignore[operator]
                if expected is None:
                    return False  # it is gone; the name may mean None now
            elif kind == _ARRAY:
                if type(found) is not np.ndarray or look.digest(found) != expected:
                    return False
                continue
            if found is not expected:
                return False
        return True

    def renew(self, fresh: Node) -> bool:
        """Takes over what was read anew; False if that is not the same."""
        if self.encoded != fresh.encoded or self.targets() != fresh.targets():
            return False
        self.function, self.guards, self.kept, self.mutable = fresh.function, fresh.guards, fresh.kept, fresh.mutable
        return True


def _found(python: Any, holder: Any, name: str) -> object:
    if holder is _SELF:
        return getattr(python, name, MISSING)
    if type(holder) is int:
        return attribute((python.__closure__ or ())[holder], "cell_contents")
    if type(holder) is dict:
        return holder.get(name, MISSING)
    if holder is _ATTRIBUTES:
        return vars(python).get(name, MISSING)
    holder = holder()
    return holder.__dict__.get(name, MISSING) if isinstance(holder, ModuleType) else getattr(holder, name, MISSING)


def guard(node: Node, holder: Any, name: str, value: object) -> None:
    """Notes what a name in a namespace, or an attribute, means now. What can change in itself makes the node mutable."""
    if type(value) is np.ndarray:
        if not value.dtype.hasobject and value.nbytes <= values.LARGEST_ARRAY:
            node.guards.append((_holder(node, holder), name, digest(value), _ARRAY))
            node.watched.add(id(value))
        return
    if value is MISSING or type(value) in _PRIMITIVES:
        node.guards.append((_holder(node, holder), name, value, _SAME))
    elif values.is_constant(value):
        try:
            node.guards.append((_holder(node, holder), name, weakref_to(value), _WEAK))
        except TypeError:
            if _is_leaf(value):
                node.guards.append((_holder(node, holder), name, value, _SAME))
            else:
                node.mutable = True


def _is_leaf(value: object) -> bool:
    """True if a value holds no functions, so that it may be kept."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_is_leaf, value))
    return type(value) in _PRIMITIVES or isinstance(value, (np.generic, np.dtype, range)) and not isinstance(value, np.void)


def _holder(node: Node, holder: Any) -> Any:
    """Stands for a namespace without keeping it alive."""
    python = node.function.python
    if type(holder) is dict and holder is not vars(builtins):
        if python is not None and holder is python.__globals__:
            return _GLOBALS
        if python is not None and holder is vars(python):
            return _ATTRIBUTES
        module = sys.modules.get(holder.get("__name__", ""))
        return weakref_to(module) if module is not None and vars(module) is holder else holder
    if type(holder) is CellType:
        return [cell is holder for cell in python.__closure__].index(True)  # type: ignore[union-attr]
    return _SELF if holder is python else holder


def attribute(holder: Any, name: str) -> object:
    """An attribute, or what is in a cell."""
    if type(holder) is CellType:
        try:
            return holder.cell_contents
        except ValueError:
            return MISSING
    return getattr(holder, name, MISSING)


class Look:
    """
    One moment: what was found to hold or was read in it is not read again. Only Saggar's own work is done inside a look; one that
    something was compiled or imported in counts no more.
    """

    __slots__ = ("sound", "contents", "digests", "alive", "moment")

    def __init__(self) -> None:
        self.sound: set[Node] = set()
        self.contents: dict[tuple[int, bool], tuple[object, Any]] = {}  # by id; the object, and its content
        self.digests: dict[int, tuple[object, bytes]] = {}  # of arrays, by id
        self.alive: list[object] = []
        self.moment = _moment()

    def __enter__(self) -> Look:
        _open.looks.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _open.looks.pop()

    def digest(self, array: Any) -> bytes:
        """The digest of an array."""
        known = self.digests.get(id(array))
        if known is None:
            known = self.digests[id(array)] = array, _saggar.sha256(_saggar.encode(array))
        return known[1]


class _Open(threading.local):
    def __init__(self) -> None:
        self.looks: list[Look] = []


_open = _Open()


def _moment() -> tuple[int, int]:
    return frames.entered(), len(sys.modules)


def look() -> Look | None:
    """The look that this thread is in."""
    looks = _open.looks
    return looks[-1] if looks and looks[-1].moment == _moment() else None


def digest(array: Any) -> bytes:
    """The digest of an array."""
    now = look()
    return (Look() if now is None else now).digest(array)
