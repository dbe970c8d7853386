"""What counts as a function: dispatchers, ufuncs, intrinsics and plain functions, and how each is described.

A function of a *pinned* package (Numba, llvmlite, NumPy, the standard library: their versions are in every recipe) is
known by its name alone, if that name leads to it.
"""
from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, ref as weakref_to

from numba.core import dispatcher, extending
from numba.core.ccallback import CFunc
from numba.core.cpu_options import InlineOptions
from numba.core.typing import templates
from numba.np.ufunc import dufunc, gufunc, ufuncbuilder

from .. import _saggar
from .kinds import class_name, module_of
from .frames import logical_module

try:
    from numba.stencils.stencil import StencilFunc
except ImportError:  # pragma: no cover - moved by a Numba that is not known yet
    StencilFunc = None

_pinned_packages = {"numba", "llvmlite", "numpy", "saggar"}
_pinned: dict[str, bool] = {name: True for name in (*_pinned_packages, "builtins")}
_pinned_classes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_LIBRARY = os.path.dirname(os.__file__) + os.sep


class Function:
    """kind, module, qualified name, the Python function (or None; not kept alive) and what else decides its code."""

    __slots__ = ("kind", "module", "qualname", "has_python", "options", "_python")

    def __init__(self, kind: str, python: FunctionType | None, options: list[tuple[str, object]], of: Any = None) -> None:
        named = python if python is not None else of
        self.kind = kind
        self.has_python = python is not None
        self._python = None if python is None else weakref_to(python)
        self.module = logical_module(getattr(named, "__module__", None))
        self.qualname = str(getattr(named, "__qualname__", getattr(named, "__name__", "")))
        self.options = options

    @property
    def python(self) -> Any:
        """The Python function, or None."""
        return None if self._python is None else self._python()


def is_pinned(module: object) -> bool:
    """True if the module's version is part of every recipe."""
    if not isinstance(module, str):
        return False
    top = module.partition(".")[0]
    known = _pinned.get(top)
    if known is None:
        known = _pinned[top] = top in sys.stdlib_module_names and _is_library(top)
    return known


def is_static(cls: type) -> bool:
    """True if a class is compiled into the interpreter or an extension: no class statement made it."""
    return not cls.__flags__ & _HEAP


def is_pinned_class(cls: type) -> bool:
    """True if the class is the one of that name in a pinned module; dataclasses and exec make classes that only seem to be."""
    known = _pinned_classes.get(cls)
    if known is None:
        module = module_of(cls)
        known = is_pinned(module) and (module.partition(".")[0] in _pinned_packages or is_static(cls)
                                       or by_name(cls) is not None)
        _pinned_classes[cls] = known
    return known


def _is_library(top: str) -> bool:
    """A module of the user's may have the name of one of the standard library's ("test", "code")."""
    if top in sys.builtin_module_names:
        return True
    if top in sys.modules:
        file = getattr(sys.modules[top], "__file__", None)
    else:
        try:
            file = getattr(importlib.util.find_spec(top), "origin", None)
        except (ImportError, ValueError):
            return False
    return file == "frozen" or isinstance(file, str) and file.startswith(_LIBRARY) and "site-packages" not in file


_overloaded: dict[int, list[Any]] = {}  # by ids of functions, which the registry keeps alive: what stands for them
_overloads_read = 0


def is_overloaded(function: object) -> bool:
    """True if Numba compiles something else in the function's place, so that its own body decides nothing."""
    global _overloads_read
    registered = templates.builtin_registry.globals
    if len(registered) > _overloads_read:
        fresh = registered[_overloads_read:]
        _overloads_read += len(fresh)
        for value, found in fresh:
            _overloaded.setdefault(id(value), []).extend(getattr(found, "templates", ()))
    return id(function) in _overloaded


def read_again() -> None:
    """The registry is in another order now."""
    global _overloads_read
    _overloaded.clear()
    _overloads_read = 0


def own_overloads(function: object) -> list[Any]:
    """The overloads of a function that no name leads to, as a factory makes it with them: they tell it from others of its code."""
    if not is_overloaded(function) or by_name(function) is not None:
        return []
    return [template for template in _overloaded[id(function)] if is_overload(template)]


def is_overload(obj: object) -> bool:
    return isinstance(obj, type) and "_overload_func" in vars(obj)


def is_dispatcher(obj: object) -> bool:
    return isinstance(obj, (dispatcher.Dispatcher, dufunc.DUFunc, gufunc.GUFunc))


def by_name(obj: object) -> _saggar.Record | None:
    """The value of an object that its name identifies: module and qualified name lead to it."""
    module, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", getattr(obj, "__name__", None))
    if not isinstance(qualname, str) or not isinstance(module, str):
        return None
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if found is not obj:
        return None
    return _saggar.Record("name", (("module", logical_module(module)), ("name", qualname)))


def describe(obj: Any) -> Function | None:
    """How a function-like object is described, or None if it is none."""
    if isinstance(obj, FunctionType):
        return Function("python", obj, [])
    if is_overload(obj):
        held = vars(obj)
        return Function("overload", obj._overload_func, [
            ("attribute", held.get("_attr")), ("options", _saggar.Map(dict(held.get("_jit_options") or {}))), ("strict", held.get("_strict")),
            ("inline", getattr(getattr(held.get("_inline"), "__func__", held.get("_inline")), "value", None)),
            ("prefer literal", bool(obj.prefer_literal)), ("target", dict(held.get("metadata") or {}).get("target"))])
    if isinstance(obj, dispatcher.Dispatcher):
        return Function("dispatcher", obj.py_func, [
            ("class", class_name(type(obj))), *options(obj.targetoptions, obj.locals), *_signatures(obj),
            *([("kind", kind)] if (kind := getattr(obj, "_impl_kind", "direct")) != "direct" else []),
            ("pipeline", pipeline(getattr(obj._compiler, "pipeline_class", None)))])
    if isinstance(obj, ufuncbuilder.UFuncDispatcher):
        return Function("ufunc", obj.py_func, options(obj.targetoptions, obj.locals))
    if isinstance(obj, dufunc.DUFunc):
        inner = getattr(obj, "_dispatcher", None)
        if inner is None:
            return None
        # The loops that the decorator asked for decide what a caller gets; those that are made on demand do not.
        loops = tuple(obj.types) if getattr(obj, "_frozen", False) else None
        return Function("ufunc", inner.py_func, [*options(inner.targetoptions, inner.locals), ("loops", loops),
                                                 ("identity", obj.identity)])
    if isinstance(obj, gufunc.GUFunc):
        builder = obj.gufunc_builder
        loops = tuple((sig.return_type, *sig.args) for sig in builder._sigs) if obj._frozen or not obj.is_dynamic else None
        return Function("gufunc", builder.py_func, [*options(builder.targetoptions, {}), ("layout", builder.signature),
                                                    ("loops", loops)])
    if isinstance(obj, extending._Intrinsic):
        return Function("intrinsic", obj._defn, [("prefer literal", bool(getattr(obj, "_prefer_literal", False)))])
    if isinstance(obj, CFunc):
        inner = obj._compiler
        return Function("cfunc", obj._pyfunc, [*options(inner.targetoptions, inner.locals),
                                               ("signature", (obj._sig.return_type, tuple(obj._sig.args))),
                                               ("pipeline", pipeline(inner.pipeline_class))])
    if StencilFunc is not None and isinstance(obj, StencilFunc):
        python = obj.kernel_ir.func_id.func
        return Function("stencil", python, [("mode", str(obj.mode)), *options(obj.options, {})])
    return None


_own_keys: WeakKeyDictionary[FunctionType, tuple[Any, _saggar.Raw]] = WeakKeyDictionary()


def own_key(python: Any, label: str) -> _saggar.Raw:
    """What the function's author adds to its content (saggar.key). A function that gives it is called once."""
    value = python.__saggar_key__
    if (known := _own_keys.get(python)) is not None and known[0]() is value:
        return known[1]
    try:
        result = _saggar.Raw(_saggar.encode(value() if callable(value) else value))
    except Exception as error:
        raise _saggar.Uncacheable(f"the key given for {label}: {type(error).__name__}: {error}") from None
    if callable(value) and type(value).__weakrefoffset__:
        _own_keys[python] = weakref_to(value), result  # it may refer to the function
    return result


SIGNATURE = ("__wrapped__", "__signature__")


def signature(python: FunctionType) -> tuple[tuple[str, int, object], ...] | None:
    """The parameters as Numba sees them, where another function's stand for its own (functools.wraps); None elsewhere."""
    if vars(python).keys().isdisjoint(SIGNATURE):
        return None
    return tuple((one.name, int(one.kind), one.default) for one in inspect.signature(python).parameters.values())


def _signatures(obj: dispatcher.Dispatcher) -> list[tuple[str, object]]:
    """The signatures that a function is restricted to, in their order: they decide what a call of it does."""
    if obj._can_compile:
        return []
    return [("signatures", tuple((cres.signature.return_type, tuple(args)) for args, cres in obj.overloads.items()))]


_SAME_AS_UNSET = {"nogil": False, "parallel": False, "forceobj": False}  # not inherited from callers, not from settings


def options(given: dict[str, Any], local_types: dict[str, Any]) -> list[tuple[str, object]]:
    """The options and types of variables that a function was declared with, named."""
    result: list[tuple[str, object]] = [(f"option {name}", InlineOptions(value) if name == "inline" and callable(value) else value)
                                        for name, value in sorted(given.items())
                                        if name not in _SAME_AS_UNSET or value is not _SAME_AS_UNSET[name]]
    # While Numba compiles, it adds those of a variable's versions ("i.1" of "i").
    result.extend((f"type of {name}", its) for name, its in sorted(local_types.items())
                  if "." not in name or local_types.get(name.partition(".")[0]) != its)
    return result


def pipeline(cls: type | None) -> object:
    """The name of a compiler pipeline, and the content of one that is not Numba's own."""
    if cls is None:
        return None
    from . import identity

    return _saggar.Record("pipeline", (
        ("class", class_name(cls)),
        ("methods", tuple((f"{c.__qualname__}.{n}", _saggar.Digest("function", identity.content(f, interpreted=True).digest))
                          for c in cls.__mro__ if not is_pinned(c.__module__)
                          for n, f in sorted(vars(c).items()) if isinstance(f, FunctionType)))))
