"""The content of a function and of everything that it reaches by name.

`content(obj)` walks from a function (a dispatcher, a ufunc, an intrinsic, a plain function) over its globals, closure
and defaults to the functions behind them. Each function met is one *node*: its code's digest, its options, and what it
reads. Nodes are numbered in the order in which a depth-first walk from the root meets them, and refer to each other
by these numbers, so that cycles need no special case and the digest depends on the root and the graph alone, never on
what was walked before.

A node is kept as long as nothing that it read was rebound; nodes that read something mutable (an array, a list) are
built anew each time, since the compiler too reads values anew at every signature.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref as weakref_to

import numpy as np
from numba.core import extending, types

from .. import _saggar, code
from . import functions, kinds, memos, nodes, objectmode, reads, values
from .nodes import Look, Node

LARGEST = 2000  # functions and objects that Python runs or reads while Numba compiles one; more are known by their package's version
_PER_COMPILED = 10  # as many more for each function that Numba compiles, which takes far longer
_LONG = 4096  # bytes of an array that a recipe holds; of a longer one it holds the digest
_SETTLED = (type(None), bool, int, float, complex, bytes, str, FunctionType, ModuleType)


class Content:
    """
    `digest` of a function's whole content, `source` for its recipe, and the nodes that it consists of. `installed`: what is of
    installed packages is known by name and version, as there is too much.
    """

    __slots__ = ("digest", "source", "nodes", "installed")

    def __init__(self, digest: bytes, source: bytes, nodes: list[Node]) -> None:
        self.digest = digest
        self.source = source
        self.nodes = nodes
        self.installed = nodes[0].installed

    def has(self, python: FunctionType) -> bool:
        """True if it is one of the functions."""
        return any(node.function.python is python for node in self.nodes)

    def runs_nameless(self) -> bool:
        """True if Python runs a part of one of the functions, and that stands in no module."""
        return any(node.held and (python := node.function.python) is not None and "__name__" not in python.__globals__ for node in self.nodes)

    def globals_of(self, module: str) -> dict[str, Any] | None:
        """The global variables of a module, as one of the functions sees them."""
        for node in self.nodes:
            python = node.function.python
            if python is not None and python.__globals__.get("__name__") == module:
                return python.__globals__
        return None


# For functions that are compiled, and for functions that Python runs while Numba compiles.
_nodes: dict[tuple[bool, bool], WeakKeyDictionary[Any, Node]] = {
    (interpreted, installed): WeakKeyDictionary() for interpreted in (False, True) for installed in (False, True)}
_contents: tuple[WeakKeyDictionary[Any, Content], ...] = (WeakKeyDictionary(), WeakKeyDictionary())
_large: tuple[WeakKeyDictionary[Any, str], ...] = (WeakKeyDictionary(), WeakKeyDictionary())  # why it has no content, or ""


def content(obj: object, interpreted: bool = False) -> Content:
    """
    The content of a function-like object. Raises Uncacheable, naming what has no encoding and where it is.
    `interpreted`: Python runs it while Numba compiles, so what it reads matters beyond what Numba can compile.
    """
    look = nodes.look()
    if look is None:
        with Look() as look:
            return _content(obj, interpreted, look)
    return _content(obj, interpreted, look)


def _content(obj: object, interpreted: bool, look: Look) -> Content:
    met = look.contents.get((id(obj), interpreted))
    if met is not None:
        return met[1]
    kept = _contents[interpreted]
    known = kept.get(obj)
    if known is None or not _hold(known.nodes, look):
        known = kept[obj] = _walked(obj, interpreted, look)
    look.contents[id(obj), interpreted] = obj, known
    return known


def _walked(obj: object, interpreted: bool, look: Look) -> Content:
    """
    Its content by a walk. One that reaches too much is walked again with what is installed known by version: whether it does so
    depends on the content alone.
    """
    large = _large[interpreted]
    if obj not in large:
        try:
            return _assemble(*_walk(obj, interpreted, False, look))
        except values.TooMuch:
            large[obj] = ""
    if large[obj]:
        raise _saggar.Uncacheable(large[obj])
    try:
        return _assemble(*_walk(obj, interpreted, True, look))
    except values.TooMuch as error:
        large[obj] = f"{getattr(obj, '__qualname__', kinds.what(obj))} reads too much: {error}"
        raise _saggar.Uncacheable(large[obj]) from None


def last(obj: object) -> Content:
    """The content as it was when it was asked for last."""
    known = _contents[False].get(obj)
    return content(obj) if known is None else known


def known_digest(obj: object) -> bytes | None:
    """The content digest of a function, or None if it has none. Never raises."""
    try:
        return content(obj).digest
    except Exception:
        return None


def kept(obj: object) -> dict[tuple[FunctionType, str], bytes]:
    """What the functions behind one that Python runs read and set themselves: (function, label) to encoded value."""
    return {(python, label): value for node in content(obj, interpreted=True).nodes
            if (python := node.function.python) is not None for label, value in node.kept.items()}


def _walk(root: object, interpreted: bool, installed: bool, look: Look) -> tuple[list[Node], list[tuple[int, ...]]]:
    """
    The nodes in the order in which a depth-first walk meets them, and the numbers of those that each refers to. What has no
    encoding is raised at the end, so that it is TooMuch in either case where it is too much.
    """
    found: list[Node] = []
    links: list[list[int]] = []
    index: dict[tuple[int, bool], int] = {}
    size, allowed, refused = 0, LARGEST, None
    todo: list[tuple[list[int], bool, Node | None, Iterator[Any]]] = [([], interpreted, None, iter((root,)))]  # where numbers go, whose they are
    while todo:
        numbers, interpreted, of, targets = todo[-1]
        for obj in targets:
            inner = (interpreted if of is None else of.runs(len(numbers), interpreted)) or isinstance(obj, extending._Intrinsic) \
                or functions.is_overload(obj)
            number = index.get((id(obj), inner))
            if number is not None:
                numbers.append(number)
                continue
            number = index[id(obj), inner] = len(found)
            numbers.append(number)
            node = None
            try:
                node = _node(obj, inner, installed, look)
            except _saggar.Uncacheable as error:
                if not inner or isinstance(error, values.TooMuch):
                    raise
                refused = refused or error
            except Exception as error:
                raise _saggar.Uncacheable(f"something that it reads raises {type(error).__name__}: {error}") from None
            size += 1 if node is None else node.size
            allowed += 0 if inner or node is None or node.function.kind == "python" else _PER_COMPILED
            if size > allowed:
                raise values.TooMuch(f"more than {allowed} functions and objects")
            found.append(node)  # type: ignore[arg-type]
            links.append([])
            if node is not None:
                todo.append((links[-1], inner, node, iter(node.targets())))
                break
        else:
            todo.pop()
    if refused is not None:
        raise refused
    return found, [tuple(numbers) for numbers in links]


def _assemble(found: list[Node], links: list[tuple[int, ...]]) -> Content:
    root = found[0]
    reached: dict[str, object] = {}
    for node, targets in zip(found, links):
        label, again = node.label, 2
        while label in reached:
            label, again = f"{node.label} ({again})", again + 1
        reached[label] = _saggar.Record("node", (("content", _saggar.Raw(node.encoded)), ("calls", targets)))
    source = _saggar.encode(_saggar.Record("source", (
        ("module", root.function.module),
        ("qualname", root.function.qualname),
        ("functions", reached),
    )))
    return Content(_saggar.sha256(source), source, found)


def _hold(known: list[Node], look: Look) -> bool:
    """True if all nodes are what they were. Each is looked at once in a look."""
    for node in known:
        if node not in look.sound:
            if node.mutable:
                obj = node.of()
                if obj is None or _node(obj, node.interpreted, node.installed, look) is not node:
                    return False
            elif not node.holds(look):
                return False
            look.sound.add(node)
    return True


def _node(obj: object, interpreted: bool, installed: bool, look: Look) -> Node:
    """The node of a function: the one that is kept, or a new one where it reads something else now."""
    kept = _nodes[interpreted, installed]
    node = kept.get(obj)
    if node is None or node not in look.sound and not node.holds(look):
        fresh = _build(obj, interpreted, installed)
        fresh.finish(look)
        if node is None or not node.renew(fresh):
            node = kept[obj] = fresh
    look.sound.add(node)
    return node


class _Reading:
    """Takes in what a function reads, while its node is built."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.read: dict[str, object] = {}
        self._places: dict[int, int] = {}
        self._compiled = False  # what is being taken
        self._of_compiled: set[str] = set()  # labels of what was taken so
        counted = node.interpreted or node.function.kind == "python"  # Numba takes longer for one that it compiles
        self._encoder = values.Encoder(self._reference, node.interpreted, node.installed, LARGEST if counted else None, run=self._run_by_python)

    def size(self) -> int:
        return 0 if self._encoder.limit is None else 1 + self._encoder.met

    def _reference(self, target: object) -> object:
        place = self._places.get(id(target))
        if place is None:
            place = self._places[id(target)] = len(self.node.references)
            self.node.references.append(target)
            if self._compiled:
                self.node.compiled.add(place)
        elif not self._compiled:
            self.node.compiled.discard(place)
        return _saggar.Record("function", (("place", place),))

    def _run_by_python(self, target: object) -> object:
        record = self._reference(target)
        self.node.run.add(self._places[id(target)])
        return record

    def take(self, what: str, value: object, compiled: bool = False) -> None:
        """Something that it reads, under a label. `compiled`: only what Numba compiles does. Raises Uncacheable, with the label."""
        if what in self.read and (compiled or what not in self._of_compiled) or value is sys.modules or value is os.environ:
            return  # for the latter, see reads
        if compiled:
            self._of_compiled.add(what)
            if isinstance(value, FunctionType) and functions.is_overloaded(value):
                value = functions.by_name(value) or value  # its overloads count, where they are used
        self._compiled = compiled and functions.is_dispatcher(value)
        node, before = self.node, len(self.node.references)
        node.words.extend(reads.words_in(value))
        try:
            self._encoder.changes = False
            self._encoder.read = counted = value if node.interpreted else _as_compiled(what, value)
            encoded = self._encoder.encode(counted)
            if node.interpreted and memos.is_one(node.function.python, what):
                node.kept[what] = encoded
                node.mutable = True  # whether it was filled may become known later
                if (empty := memos.emptied(node.function.python, what, encoded)) is not encoded:
                    encoded = empty
                    for target in node.references[before:]:
                        del self._places[id(target)]
                    del node.references[before:]
        except values.TooMuch:
            raise
        except _saggar.Uncacheable as error:
            raise _saggar.Uncacheable(f"{what} of {node.function.module}.{node.function.qualname}: {error}") from None
        except Exception as error:  # raised by an object that was looked at
            raise _saggar.Uncacheable(f"{what} of {node.function.module}.{node.function.qualname}: "
                                      f"{type(error).__name__}: {error}") from None
        is_long = type(value) is np.ndarray and len(encoded) > _LONG
        self.read[what] = _saggar.Digest("array", _saggar.sha256(encoded)) if is_long else _saggar.Raw(encoded)
        if id(value) not in node.watched and (not values.is_constant(value) or self._encoder.changes or node.interpreted and not _is_settled(value)):
            node.mutable = True


def _as_compiled(what: str, value: object) -> object:
    """To Numba an array in a variable around a function is read-only, whether it is or not (typeof_global)."""
    if type(value) is np.ndarray and value.flags.writeable and what.startswith(("global ", "closure ")) and "." not in what:
        value = value.view()
        value.flags.writeable = False
    return value


def _is_settled(value: object) -> bool:
    """True if nothing that Python could read from the object changes, or a node of its own tells."""
    return (isinstance(value, _SETTLED) or isinstance(value, type) and functions.is_pinned_class(value)
            or isinstance(value, types.Type) and kinds.is_plain(value))


def _build(obj: Any, interpreted: bool, installed: bool) -> Node:
    function = functions.describe(obj)
    if function is None:
        raise _saggar.Uncacheable(kinds.what(obj))
    node = Node(obj, function, interpreted, installed)
    reading = _Reading(node)
    for name, value in function.options:
        reading.take(name, value)
    for name in ("_can_compile", "_frozen"):
        if hasattr(obj, name):
            node.guards.append((weakref_to(obj), name, getattr(obj, name), 0))
    if function.kind == "gufunc":
        node.mutable = True  # loops may be added to it
    python, digest = function.python, None
    if python is not None:
        found = code.facts(python.__code__)
        digest = found.digest
        reads.read(node, obj, python, found, reading)
    for number, overload in enumerate(functions.own_overloads(obj)):
        reading.take(f"overload {number}", overload)
        node.mutable = True  # more may be registered
    node.encoded = _saggar.encode(_saggar.Record(function.kind, (
        ("module", function.module),
        ("qualname", function.qualname),
        ("code", None if digest is None else _saggar.Digest("code", digest)),
        ("reads", reading.read),
    )))
    node.size = reading.size()
    if node.held:
        objectmode.check(node.label, node.encoded, python)
    return node
