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

import builtins
import importlib.machinery
import importlib.util
import operator
import os
import re
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref as weakref_to

import numpy as np
from numba.core import extending, ir, types

from .. import _saggar, code
from . import asks, foreign, functions, kinds, memos, nodes, objectmode, texts, values
from .nodes import MISSING as _MISSING, Look, Node, attribute as _attribute, guard as _guard

LARGEST = 2000  # functions and objects behind one that Python runs while Numba compiles; more are known by their package's version
_LONG = 4096  # bytes of an array that a recipe holds; of a longer one it holds the digest
_BY_TEXT = {"globals", "eval", "exec", "vars", "locals", "getattr", "attrgetter"}  # names that lead to names in texts
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
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
    size, refused = 0, None
    todo: list[tuple[list[int], bool, Iterator[Any]]] = [([], interpreted, iter((root,)))]  # where numbers go, whose they are
    while todo:
        numbers, interpreted, targets = todo[-1]
        for obj in targets:
            inner = interpreted or isinstance(obj, extending._Intrinsic) or functions.is_overload(obj)
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
            if size > LARGEST:
                raise values.TooMuch(f"more than {LARGEST} functions and objects")
            found.append(node)  # type: ignore[arg-type]
            links.append([])
            if node is not None:
                todo.append((links[-1], inner, iter(node.targets())))
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
        counted = node.interpreted or node.function.kind == "python"  # Numba takes longer for one that it compiles
        self._encoder = values.Encoder(self._reference, node.interpreted, node.installed, LARGEST if counted else None)

    def size(self) -> int:
        return 0 if self._encoder.limit is None else 1 + self._encoder.met

    def _reference(self, target: object) -> object:
        place = self._places.get(id(target))
        if place is None:
            place = self._places[id(target)] = len(self.node.references)
            self.node.references.append(target)
        return _saggar.Record("function", (("place", place),))

    def take(self, what: str, value: object) -> None:
        """Something that it reads, under a label. Raises Uncacheable, with the label."""
        if what in self.read or value is sys.modules or value is os.environ:
            return  # for the latter, see _read_dynamic
        node, before = self.node, len(self.node.references)
        node.words.extend(_words_in(value))
        try:
            self._encoder.read = value
            encoded = self._encoder.encode(value)
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
        if id(value) not in node.watched and (not values.is_constant(value) or node.interpreted and not _is_settled(value)):
            node.mutable = True


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
        _read_python(node, obj, python, found, reading)
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


def _read_python(node: Node, obj: Any, python: FunctionType, found: code.Facts, reading: _Reading) -> None:
    """All that the Python function reads."""
    take = reading.take
    for name, value in foreign.parts(python):
        take(name, value)
    if "__saggar_key__" in vars(python):
        _guard(node, vars(python), "__saggar_key__", python.__saggar_key__)
        reading.read["key"] = functions.own_key(python, node.label)
    for what in ("__code__", "__defaults__", "__kwdefaults__"):
        _guard(node, python, what, getattr(python, what))
    take("default values", python.__defaults__)
    if python.__kwdefaults__:
        take("default values of keywords", dict(python.__kwdefaults__))
    for what in functions.SIGNATURE:
        _guard(node, vars(python), what, vars(python).get(what, _MISSING))
    if (parameters := functions.signature(python)) is not None:
        node.mutable = True  # another function's default values may change
        take("parameters", parameters)
    _read_names(node, python, found, take)
    if node.function.kind == "stencil":
        _check_frozen(node, obj, python)
    if node.interpreted:
        if (asked := asks.found(python, node.function.kind)) is not None:
            raise _saggar.Uncacheable(f"{node.label} asks for {asked}, which differs from process to process")
        _read_imports(node, python, found, take)
        _read_dynamic(node, python, found, take)
        for name, value in sorted(vars(python).items()):
            if name != "__saggar_key__":  # whose value counts, not how it comes about
                _guard(node, vars(python), name, value)
                take(f"attribute {name}", value)
    _read_by_callees(node, take)
    if not node.interpreted:
        node.held = _held_by_code(node, obj, python)


def _held_by_code(node: Node, obj: object, python: FunctionType) -> bool:
    """True if Python runs a part of the compiled function, which then holds its free variables and global variables themselves."""
    names = objectmode.free_variables(obj, python)
    cells = dict(zip(python.__code__.co_freevars, python.__closure__ or ()))
    for name in sorted(names or ()):
        value = _attribute(cells[name], "cell_contents")
        if value is not _MISSING and not objectmode.is_fixed(value):
            raise _saggar.Uncacheable(f"Python runs a part of {node.label}, which holds {name}: {kinds.what(value)}")
    return names is not None


def _read_names(node: Node, python: FunctionType, found: code.Facts, take: Any) -> None:
    """Every global and free variable that the code reads; of a module, the attributes that it reads from it."""
    cells = dict(zip(python.__code__.co_freevars, python.__closure__ or ()))
    space = python.__globals__
    modules: set[str] = set()
    for is_free, name, attributes in found.reads:
        if is_free:
            kind, cell = "closure", cells.get(name)
            value = _MISSING if cell is None else _attribute(cell, "cell_contents")
            if cell is not None:
                _guard(node, cell, "cell_contents", value)
        else:
            kind, value = "global", space.get(name, _MISSING)
            _guard(node, space, name, value)
        if value is _MISSING and not is_free:
            value = vars(builtins).get(name, _MISSING)
            _guard(node, vars(builtins), name, value)
            if functions.is_pinned(getattr(value, "__module__", None)):
                continue
        if value is _MISSING:
            continue  # not bound yet
        label = f"{kind} {name}"
        if not isinstance(value, ModuleType):
            take(label, value)
            continue
        take(label, value)
        _read_module(node, label, value, attributes, _words(found), take, modules)
    for name, cell in cells.items():  # those that only inner functions read
        value = _attribute(cell, "cell_contents")
        if value is not _MISSING and not isinstance(value, ModuleType):
            _guard(node, cell, "cell_contents", value)
            take(f"closure {name}", value)


def _check_frozen(node: Node, stencil: Any, python: FunctionType) -> None:
    """What a stencil reads was read when it was defined; its names must still mean the same."""
    node.mutable = True
    for block in stencil.kernel_ir.blocks.values():
        for statement in block.find_insts(ir.Assign):
            source = statement.value
            if isinstance(source, ir.Global) and source.name in python.__globals__:
                now = python.__globals__[source.name]
            elif isinstance(source, ir.FreeVar):
                now = _attribute((python.__closure__ or ())[source.index], "cell_contents")
            else:
                continue
            if now is not source.value:
                raise _saggar.Uncacheable(f"{source.name} of the stencil {node.label} has changed since its definition")


def _words(found: code.Facts) -> tuple[str, ...]:
    """What code may read from a module that it hands on: any name in it, any text that is one (getattr)."""
    return (*found.names, *filter(str.isidentifier, found.strings))


def _words_in(value: object) -> tuple[str, ...]:
    """The names of attributes that a value stands for."""
    if type(value) is str:
        return (value,) if value.isidentifier() else ()
    if type(value) is operator.attrgetter:
        return tuple(word for path in value.__reduce__()[1] for word in path.split("."))  # type: ignore[union-attr]
    return (value.__reduce__()[1][0],) if type(value) is operator.methodcaller else ()  # type: ignore[return-value]


def _read_module(node: Node, label: str, module: ModuleType, attributes: tuple[str, ...], names: tuple[str, ...],
                 take: Any, seen: set[str]) -> None:
    value: object = module
    for attribute in attributes:
        holder = value
        if attribute == "__dict__":
            break  # any of its names, see _read_dynamic
        _guard(node, holder.__dict__, attribute, holder.__dict__.get(attribute, _MISSING))
        value = _module_attribute(node, holder, attribute, take)
        if value is _MISSING:
            return
        label = f"{label}.{attribute}"
        take(label, value)
        if not isinstance(value, ModuleType):
            return
    _read_passed(node, label, value, names, take, seen)
    node.passed.append((label, value))


def _module_attribute(node: Node, module: Any, name: str, take: Any) -> object:
    found = module.__dict__.get(name, _MISSING)
    if found is _MISSING and (type(module) is not ModuleType or "__getattr__" in module.__dict__):
        node.mutable = True  # it is made anew each time, for all that is known
        if node.interpreted and "__path__" in module.__dict__ and _is_there(f"{module.__name__}.{name}"):
            _not_loaded(node, f"{module.__name__}.{name}", take)
            return _MISSING
        try:
            return getattr(module, name, _MISSING)
        except Exception:
            return _MISSING
    return found


def _read_passed(node: Node, label: str, module: ModuleType, names: tuple[str, ...], take: Any, seen: set[str]) -> None:
    """A module that is passed on: whatever the code may read from it under another name."""
    if module.__name__ in seen or functions.is_pinned(module.__name__):
        return
    seen.add(module.__name__)
    for name in names:
        _guard(node, module.__dict__, name, module.__dict__.get(name, _MISSING))
        inner = _module_attribute(node, module, name, take) if node.interpreted else module.__dict__.get(name, _MISSING)
        if inner is not _MISSING:
            take(f"{label}.{name}", inner)
        if isinstance(inner, ModuleType):
            _read_passed(node, f"{label}.{name}", inner, names, take, seen)


def _read_imports(node: Node, python: FunctionType, found: code.Facts, take: Any) -> None:
    """
    What a function that Python runs imports when it is called. Nothing is imported here, where Numba's lock is held and
    the function may never come to that import: what is not loaded counts as that, until it is.
    """
    seen: set[str] = set()
    words = (*_words(found), *node.words)
    for level, name, names in code.imports(python.__code__):
        try:
            full = importlib.util.resolve_name("." * level + name, python.__globals__.get("__package__"))
        except Exception as error:
            raise _saggar.Uncacheable(f"import of {name} in {node.label}: {error}") from None
        if functions.is_pinned(full):
            continue
        module = _loaded(node, full)
        if module is None:
            _not_loaded(node, full, take)
            continue
        label = f"import {full}"
        if not names:
            _read_passed(node, label, module, words, take, seen)
        for one in names:
            value = module.__dict__.get(one, _MISSING)
            _guard(node, module.__dict__, one, value)
            if value is _MISSING:
                value = _loaded(node, f"{full}.{one}") or _module_attribute(node, module, one, take)
            if value is _MISSING:
                if getattr(module.__dict__.get("__spec__"), "_initializing", False):
                    raise _saggar.Uncacheable(f"{node.label} imports {one} from {full}, which is being imported")
                _not_loaded(node, f"{full}.{one}", take)
                continue
            take(f"{label}.{one}", value)
            if isinstance(value, ModuleType):
                _read_passed(node, f"{label}.{one}", value, words, take, seen)


def _loaded(node: Node, full: str) -> ModuleType | None:
    """A module that is loaded, or None."""
    module = sys.modules.get(full)
    if module is None:
        node.mutable = True  # it may be loaded later
    elif not isinstance(module, ModuleType):
        raise _saggar.Uncacheable(f"{node.label} imports {full}, which is no module")
    else:
        _guard(node, sys.modules, full, module)
    return module


def _not_loaded(node: Node, full: str, take: Any) -> None:
    """A module that a function may import, and that is not loaded. Whether it can be imported is not known."""
    there = _is_there(full)
    python = node.function.python
    if there and (python is None or texts.catches(python.__code__)):
        raise _saggar.Uncacheable(f"{node.label} imports {full} if it can, and that is not loaded")
    take(f"import {full}", "not loaded" if there else "not there")
    node.mutable = True


def _is_there(full: str) -> bool:
    """True if a finder finds a module, or the package that it would be in and that is not loaded either."""
    parent, _, _ = full.rpartition(".")
    try:
        if not parent:
            return importlib.util.find_spec(full) is not None
        if sys.modules.get(parent) is None:
            return _is_there(parent)
        path = vars(sys.modules[parent]).get("__path__")
        return path is not None and importlib.machinery.PathFinder.find_spec(full, list(path)) is not None
    except Exception as error:
        raise _saggar.Uncacheable(f"looking for the module {full}: {type(error).__name__}: {error}") from None


def _read_by_callees(node: Node, take: Any) -> None:
    """What the functions that it calls may read from a module that it hands to them."""
    if node.passed:
        known = [functions.describe(target) for target in node.references]
        words = [word for each in known if each is not None and each.python is not None
                 for word in _words(code.facts(each.python.__code__))]
        for label, module in list(node.passed):
            _read_passed(node, f"{label} by callees", module, tuple(dict.fromkeys((*words, *node.words))), take, set())


def _read_dynamic(node: Node, python: FunctionType, found: code.Facts, take: Any) -> None:
    """What a function that Python runs may reach by texts: globals()["K"], exec(source), import_module("m").K, environ["X"]."""
    hidden = texts.HIDDEN.intersection((*found.names, *found.strings))
    if hidden:
        raise _saggar.Uncacheable(f"{node.label} reads {', '.join(sorted(hidden))}")
    if any(id(value) in texts.OBJECTS for value in (*(python.__defaults__ or ()), *(python.__kwdefaults__ or {}).values())):
        raise _saggar.Uncacheable(f"a default value of {node.label} leads to what has no name in it")
    asked: dict[str, list[str | None]] = {}
    met = set()
    for use in texts.uses(python.__code__):
        met.update((use.name, use.imported, *use.attributes))
        kind, text, module = texts.asked(python, use)
        if kind is not None:
            asked.setdefault(kind, []).append(text)
        if module is not None and text is not None:
            _read_passed(node, f"{module.__name__}.__dict__", module, (text,), take, set())
    open_to = {kind for kind, given in asked.items() if None in given} | {
        kind for name, kind in texts.NAMES.items() if name in found.names and name not in met}
    if {"eval", "exec"} & set(asked):
        open_to.discard("globals")  # where code from a text is run
    if any("def " in text or "lambda" in text for text in found.strings):
        open_to.discard("exec")  # it makes a function, which Numba compiles and which is looked at then
    if open_to:
        raise _saggar.Uncacheable(f"{node.label} reads what a text names that is not in its code ({', '.join(sorted(open_to))})")
    for name in filter(None, asked.get("environment", ())):
        take(f"environment {name}", os.environ.get(name))
        node.mutable = True
    if _BY_TEXT.intersection(found.names) or {"globals", "eval", "exec"} & set(asked):
        given = (*found.strings, *(text for kind in ("globals", "eval", "exec") for text in asked.get(kind, ()) if text))
        words = tuple(dict.fromkeys(word for text in given for word in _WORD.findall(text)))
        for word in words:
            value = python.__globals__.get(word, _MISSING)
            _guard(node, python.__globals__, word, value)
            if value is not _MISSING and value is not python:
                take(f"global {word}", value)
            if isinstance(value, ModuleType):
                _read_passed(node, f"global {word}", value, words, take, set())
    for full in filter(None, asked.get("module", ())):
        module = None if functions.is_pinned(full) else _loaded(node, full)
        if module is not None:
            _read_passed(node, f"import {full}", module, (*_words(found), *node.words), take, set())
        elif not functions.is_pinned(full):
            _not_loaded(node, full, take)

