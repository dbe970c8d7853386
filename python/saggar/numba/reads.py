"""What a Python function reads when it is compiled, or when Python runs it while Numba compiles: its defaults, the variables around it,
attributes of modules, what it imports, and what it reaches by a text.

Each thing is handed to `reading.take` under a label; what may change without the function changing becomes a guard of the node, or the node is
marked mutable. What cannot be followed raises Uncacheable.
"""
from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import inspect
import operator
import os
import re
import sys
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, Protocol

from numba.core import ir

from .. import _saggar, code
from . import asks, foreign, functions, kinds, objectmode, texts
from .nodes import MISSING as _MISSING, Node, attribute as _attribute, guard as _guard

_BY_TEXT = {"globals", "eval", "exec", "vars", "locals", "getattr", "attrgetter"}  # names that lead to names in texts
_LOCALS = (locals, vars, eval, exec, sys._getframe, inspect.currentframe)  # lead to local variables by a text
_FRAMES = {"_getframe", "currentframe", "f_locals"}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Reading(Protocol):
    """What takes in what one function reads."""

    read: dict[str, object]  # by label, as it counts

    def take(self, what: str, value: object, compiled: bool = False) -> None:
        """Something that it reads, under a label. `compiled`: only what Numba compiles does. Raises Uncacheable, with the label."""


def read(node: Node, obj: Any, python: FunctionType, found: code.Facts, reading: Reading) -> None:
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
    compiled = _compiled_names(node, python, found)
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
        take(label, value, name in compiled)
        if isinstance(value, ModuleType):
            _read_module(node, label, value, attributes, _words(found), partial(take, compiled=name in compiled), modules)
    for name, cell in cells.items():  # those that only inner functions read
        value = _attribute(cell, "cell_contents")
        if value is not _MISSING and not isinstance(value, ModuleType):
            _guard(node, cell, "cell_contents", value)
            take(f"closure {name}", value, name in compiled)


def _compiled_names(node: Node, python: FunctionType, found: code.Facts) -> frozenset[str]:
    """The variables that only Numba reads, in what an overload returns; none where it may look at its own variables."""
    if node.function.kind != "overload" or _FRAMES.intersection(found.names):
        return frozenset()
    space, native = python.__globals__, vars(builtins)
    if any(space.get(name, native.get(name)) is one for is_free, name, _ in found.reads if not is_free for one in _LOCALS):
        return frozenset()
    return texts.compiled_names(python.__code__)


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


def words_in(value: object) -> tuple[str, ...]:
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


def _module_attribute(node: Node, module: Any, name: str, take: Any, meant: bool = True) -> object:
    """What a module has under a name, or makes. `meant`: the code asks this module for it; else it may be an attribute of anything."""
    found = module.__dict__.get(name, _MISSING)
    if found is not _MISSING or type(module) is ModuleType and "__getattr__" not in module.__dict__:
        return found
    node.mutable = True  # it is made anew each time, for all that is known
    if (node.interpreted or not meant) and "__path__" in module.__dict__ and _is_there(f"{module.__name__}.{name}"):
        if node.interpreted:
            _not_loaded(node, f"{module.__name__}.{name}", take)
        return _MISSING
    try:
        return getattr(module, name, _MISSING)
    except Exception:
        return _MISSING


def _read_passed(node: Node, label: str, module: ModuleType, names: tuple[str, ...], take: Any, seen: set[str]) -> None:
    """A module that is passed on: whatever the code may read from it under another name."""
    if module.__name__ in seen or functions.is_pinned(module.__name__):
        return
    seen.add(module.__name__)
    for name in names:
        _guard(node, module.__dict__, name, module.__dict__.get(name, _MISSING))
        inner = _module_attribute(node, module, name, take, meant=False)
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

