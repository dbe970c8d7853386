"""The same code in every process: what Numba takes from counters, sets, addresses and what was compiled before.

Each change leaves what the code does as it is. Symbol names are the business of `names`, pickled objects of `pickles`.
"""
from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from .. import _saggar

_ROOM = 10**6  # numbers that one function may take


def apply() -> None:
    """Changes Numba; patch.apply restores it if something is raised."""
    from numba.core import base, callconv, compiler, cpu_options, environment, errors, fastmathpass, generators, ir_utils, pylowering

    _contents(environment, callconv)
    _constants(base)
    _yields(generators.LowerYield)
    _living(pylowering.PyLower)
    _options(cpu_options, fastmathpass)
    _counters(compiler.CompilerBase, errors, ir_utils)


def _constants(base: Any) -> None:
    """The same bytes for the same arrays and records, whatever lies between their fields."""
    original = base.BaseContext.get_constant_generic
    from . import values

    @functools.wraps(original)
    def get_constant_generic(self: Any, builder: Any, ty: Any, val: Any) -> Any:
        val = values.without_padding(val)
        return original(self, builder, ty, val)

    base.BaseContext.get_constant_generic = get_constant_generic


def _yields(cls: Any) -> None:
    """What lives over a yield is saved in one order: Numba has it in a set of names, so that the code would differ with the hash seed."""
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self: Any, lower: Any, yield_point: Any, live_vars: Any) -> None:
        original(self, lower, yield_point, sorted(live_vars))

    cls.__init__ = __init__


def _contents(environment: Any, callconv: Any) -> None:
    """Environments by content, locations by logical path."""
    from numba.parfors import array_analysis

    original_excinfo = callconv.CPUCallConv.build_excinfo_struct
    original_unwrap = callconv.CPUCallConv.emit_unwrap_dynamic_exception_fn

    def from_fndesc(cls: Any, fndesc: Any) -> Any:
        from .environments import from_fndesc as create

        return create(cls, fndesc)

    @functools.wraps(original_excinfo)
    def build_excinfo_struct(self: Any, exc: Any, exc_args: Any, loc: Any, func_name: Any) -> Any:
        from .locations import relocate

        return relocate(original_excinfo(self, exc, exc_args, loc, func_name))

    @functools.wraps(original_unwrap)
    def emit_unwrap_dynamic_exception_fn(self: Any, module: Any, st_type: Any, nb_types: Any) -> Any:
        from .names import ExceptionArguments

        owner = self.context.get_env_name(self.context.fndesc)
        return original_unwrap(self, module, ExceptionArguments(st_type, nb_types, owner), nb_types)

    original_assert = array_analysis.ArrayAnalysis._make_assert_equiv

    @functools.wraps(original_assert)
    def _make_assert_equiv(self: Any, scope: Any, loc: Any, *args: Any, **kwargs: Any) -> Any:
        from .locations import logical

        return original_assert(self, scope, logical(loc), *args, **kwargs)

    array_analysis.ArrayAnalysis._make_assert_equiv = _make_assert_equiv
    environment.Environment.from_fndesc = classmethod(from_fndesc)
    callconv.CPUCallConv.emit_unwrap_dynamic_exception_fn = emit_unwrap_dynamic_exception_fn
    callconv.CPUCallConv.build_excinfo_struct = build_excinfo_struct


class _Sorted(set[str]):
    """A set whose members come in order."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


def _living(cls: Any) -> None:
    """Object mode gives up what lives where something is raised in one order; Numba has it in a set too."""
    original = cls.init_vars

    @functools.wraps(original)
    def init_vars(self: Any, block: Any) -> None:
        original(self, block)
        self._live_vars = _Sorted(self._live_vars)

    cls.init_vars = init_vars


def _options(cpu_options: Any, fastmathpass: Any) -> None:
    """Options are mangled as text: flags stand in one order, and a function that decides about inlining has no address."""
    flags, inlining, visitor = cpu_options.FastMathOptions, cpu_options.InlineOptions, fastmathpass.FastFloatBinOpVisitor
    for name in ("encode", "__str__"):
        if name in vars(flags):
            setattr(flags, name, lambda self: "{" + ", ".join(sorted(map(repr, self.flags))) + "}")
    original_encode, original_init = getattr(inlining, "encode", None), visitor.__init__

    def encode(self: Any) -> str:
        return "function" if callable(self.value) else str(original_encode(self))  # type: ignore[misc]

    @functools.wraps(original_init)
    def __init__(self: Any, flags: Any) -> None:
        original_init(self, sorted(flags))

    if original_encode is not None:
        inlining.encode = functools.wraps(original_encode)(encode)
    visitor.__init__ = __init__


def _counters(cls: Any, errors: Any, ir_utils: Any) -> None:
    """
    Each function starts to number its variables and labels anew, and knows no other's place in a source file. Numbers of variables
    begin where its name says: what is taken from one function into another must not have equal names.
    """
    original = cls._compile_core
    labels = type(ir_utils._the_max_label)

    @functools.wraps(original)
    def _compile_core(self: Any) -> Any:
        before = ir_utils._unique_var_count, ir_utils._the_max_label, dict(errors.loc_info)
        ir_utils._unique_var_count, ir_utils._the_max_label = _first_number(self.state.func_id), labels()
        errors.loc_info.clear()
        try:
            return original(self)
        finally:
            ir_utils._unique_var_count, ir_utils._the_max_label = before[:2]
            errors.loc_info.clear()
            errors.loc_info.update(before[2])

    cls._compile_core = _compile_core


def _first_number(func_id: Any) -> int:
    """Of as many digits as that of any other function, since Numba sorts names."""
    digest = _saggar.sha256(str(func_id.unique_name).encode())
    return (int.from_bytes(digest[:8], "little") % 900_000 + 100_000) * _ROOM
