"""Python objects inside compiled code: blocks in object mode (`with numba.objmode`), classes and functions that boxing calls.

Numba puts pickles of them into the machine code: a block's Python function, its IR, a random number. The pickles made
here have logical paths and a number that follows from the block's content, so that such code can be stored.
"""
from __future__ import annotations

import functools
import importlib
import io
import sys
from types import CodeType, ModuleType
from typing import Any

from numba.core import dispatcher, ir, targetconfig
from numba.core.cpu_options import FastMathOptions
from numba.core.serialize import NumbaPickler

from .. import _saggar
from . import codec, dependencies, functions, locations, recipe

_PROTOCOL = 4
_MAIN = ("__main__", "__mp_main__")


class _Pickler(NumbaPickler):
    """Numba's pickler, without the places of files."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is CodeType:
            return self.dispatch_table[CodeType](obj.replace(co_filename=locations.logical_path(obj.co_filename)))
        if type(obj) is ir.Loc:
            return _location, (locations.logical_path(obj.filename), obj.line, obj.col, obj.maybe_decorator)
        if isinstance(obj, type) and not functions.is_static(obj):
            return self._class(obj)
        if isinstance(obj, ModuleType) and sys.modules.get(obj.__name__) is obj:
            return importlib.import_module, (obj.__name__,)
        if type(obj) is FastMathOptions:
            return _fast_math, (tuple(sorted(obj.flags)),)
        if isinstance(obj, targetconfig.TargetConfig):  # those that a caller gave their default are as those that nobody set
            return _config, (type(obj), tuple(recipe.flags_value(obj).items()))
        reduced = codec.reduced_type(obj)
        return super().reducer_override(obj) if reduced is None else reduced

    def _class(self, obj: Any) -> Any:
        """A class by its name. A copy of one would be another class: no `except` would catch it, no `is` would be true."""
        if functions.by_name(obj) is None:
            dependencies.refuse(f"a class that no name leads to, {obj.__module__}.{obj.__qualname__}")
        elif obj.__module__ in _MAIN:
            dependencies.held(obj)
            return _of_main, (obj.__qualname__,)
        return super().reducer_override(obj)

    def _function_getnewargs(self, func: Any) -> Any:
        arguments = super()._function_getnewargs(func)
        for name in ("__file__", "__path__"):
            arguments[1].pop(name, None)
        return arguments


def _of_main(qualname: str) -> Any:
    return next(filter(None, (codec.held(module, qualname) for module in _MAIN)))


def _location(filename: str, line: int, col: int, decorator: bool) -> Any:
    return ir.Loc(filename, line, col, decorator)


def _fast_math(flags: tuple[str, ...]) -> Any:
    return FastMathOptions(set(flags))


def _config(cls: Any, items: tuple[tuple[str, Any], ...]) -> Any:
    made = cls()
    for name, value in items:
        setattr(made, name, value)
    return made


def _dumps(obj: Any) -> bytes:
    out = io.BytesIO()
    _Pickler(out, _PROTOCOL).dump(obj)
    return out.getvalue()


def apply(base: Any, pythonapi: Any) -> None:
    """Changes Numba: `base` is numba.core.base, `pythonapi` numba.core.pythonapi."""
    plain = pythonapi.serialize
    original_bytes = base.BaseContext.insert_const_bytes

    @functools.wraps(original_bytes)
    def insert_const_bytes(self: Any, mod: Any, bytes: bytes, name: Any = None) -> Any:
        # Numba names them by a hash that differs in every process.
        return original_bytes(self, mod, bytes, name or _saggar.sha256(bytes)[:16].hex())

    class Serialize:
        """Stands for numba.core.serialize in that module."""

        def __getattr__(self, name: str) -> Any:
            return getattr(plain, name)

        def is_serializable(self, obj: Any) -> bool:
            if isinstance(obj, dispatcher.LiftedWith):
                _number(obj)  # before it is pickled for the first time
            return bool(plain.is_serializable(obj))

        def dumps(self, obj: Any) -> bytes:
            try:
                return _dumps(obj)
            except Exception:
                return plain.dumps(obj)  # if a path is in it, the code is not stored

    pythonapi.serialize = Serialize()
    base.BaseContext.insert_const_bytes = insert_const_bytes


def _number(block: Any) -> None:
    """Gives a block a number that another process gives to the same block."""
    try:
        if block.__dict__.get("_MemoMixin__uuid") is None:
            name = f"saggar {block.func_ir.func_id.unique_name}"
            if name in type(block)._memo:
                block._MemoMixin__uuid = name  # that one has the same content
            else:
                block._set_uuid(name)
    except Exception:
        pass
