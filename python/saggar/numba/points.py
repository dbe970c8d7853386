"""The places where Numba is changed, the same from 0.57 to 0.68: each must be there and of the known shape."""
from __future__ import annotations

import inspect
from typing import Any


class Unknown(Exception):
    """A patch point is missing or looks different: this Numba is not known."""


holders: list[Any] = []  # the modules and classes that were checked


def _expect(holder: Any, name: str, *parameters: str) -> Any:
    holders.append(holder)
    found = getattr(holder, name, None)
    where = f"{getattr(holder, '__module__', '')}.{getattr(holder, '__qualname__', getattr(holder, '__name__', holder))}.{name}"
    if found is None:
        raise Unknown(f"{where.lstrip('.')} is not there")
    if not parameters:
        return found
    try:
        there = tuple(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        there = ()
    if there != parameters:
        raise Unknown(f"{where.lstrip('.')} takes ({', '.join(there)}), not ({', '.join(parameters)})")
    return found


def check() -> None:
    """Raises Unknown if a place is not as expected. Changes nothing."""
    _compiling()
    _ufuncs()
    _naming()
    _typing()
    _lowering()


def _compiling() -> None:
    from numba.core import ccallback, compiler, dispatcher

    _expect(dispatcher.Dispatcher, "enable_caching", "self")
    _expect(dispatcher.Dispatcher, "compile", "self", "sig")
    _expect(dispatcher.Dispatcher, "add_overload", "self", "cres")
    _expect(dispatcher.Dispatcher, "disable_compile", "self", "val")
    _expect(dispatcher.Dispatcher, "get_overload", "self", "sig")
    _expect(dispatcher.Dispatcher, "_reset_overloads", "self")
    _expect(dispatcher.Dispatcher, "_insert")
    states = set(inspect.signature(_expect(dispatcher.Dispatcher, "_rebuild")).parameters)
    if not states >= {"uuid", "py_func", "locals", "targetoptions", "can_compile", "sigs"}:
        raise Unknown(f"numba.core.dispatcher.Dispatcher._rebuild takes ({', '.join(sorted(states))})")
    _expect(ccallback.CFunc, "enable_caching", "self")
    _expect(ccallback.CFunc, "compile", "self")
    _expect(ccallback.CFunc, "_compile_uncached", "self")
    missing = {"library", "environment", "reload_init", "referenced_envs", "lifted"} - set(compiler.CR_FIELDS)
    if missing:
        raise Unknown(f"CompileResult has no {', '.join(sorted(missing))}")


def _ufuncs() -> None:
    from numba.np.ufunc import dufunc, gufunc, ufuncbuilder, wrappers

    _expect(ufuncbuilder.UFuncDispatcher, "enable_caching", "self")
    _expect(ufuncbuilder.UFuncDispatcher, "_compile_core", "self", "sig", "flags", "locals")
    _expect(ufuncbuilder, "build_ufunc_wrapper", "library", "context", "fname", "signature", "objmode", "cres")
    _expect(wrappers._GufuncWrapper, "__init__", "self", "py_func", "cres", "sin", "sout", "cache", "is_parfors")
    _expect(wrappers._GufuncWrapper, "_compile_wrapper", "self", "wrapper_name")
    for cls in (dufunc.DUFunc, gufunc.GUFunc):
        _expect(cls, "_compile_for_argtys", "self", "argtys", "return_type")
    if not hasattr(wrappers, "GufWrapperCache"):
        raise Unknown("numba.np.ufunc.wrappers.GufWrapperCache is not there")


def _naming() -> None:
    from numba.core import bytecode, callconv, compiler, cpu_options, environment, errors, fastmathpass, ir_utils, itanium_mangler
    from numba.parfors import array_analysis

    _expect(bytecode.FunctionIdentity, "from_function", "pyfunc")
    _expect(bytecode.FunctionIdentity, "derive", "self")
    _expect(environment.Environment, "from_fndesc", "fndesc")
    _expect(callconv.CPUCallConv, "build_excinfo_struct", "self", "exc", "exc_args", "loc", "func_name")
    _expect(callconv.CPUCallConv, "emit_unwrap_dynamic_exception_fn", "self", "module", "st_type", "nb_types")
    _expect(array_analysis.ArrayAnalysis, "_make_assert_equiv")
    _expect(itanium_mangler, "mangle_type_or_value", "typ")
    _expect(compiler.CompilerBase, "_compile_core", "self")
    _expect(cpu_options.FastMathOptions, "__init__")
    _expect(cpu_options.InlineOptions, "value")
    _expect(fastmathpass.FastFloatBinOpVisitor, "__init__", "self", "flags")
    for holder, name in ((ir_utils, "_unique_var_count"), (ir_utils, "_the_max_label"), (errors, "loc_info")):
        _expect(holder, name)


def _typing() -> None:
    from numba.core.typing import context, templates

    _expect(context.BaseContext, "refresh", "self")
    _expect(context.BaseContext, "install_registry", "self", "registry")
    _expect(templates, "RegistryLoader", "registry")
    _expect(context.BaseContext, "resolve_function_type", "self", "func", "args", "kws")
    _expect(context.BaseContext, "resolve_getattr", "self", "typ", "attr")
    _expect(context.BaseContext, "resolve_setattr", "self", "target", "attr", "value")
    for template in (templates.AbstractTemplate, templates.CallableTemplate, templates.ConcreteTemplate):
        _expect(template, "apply", "self", "args", "kws")
    _expect(templates._OverloadFunctionTemplate, "_build_impl", "self", "cache_key", "args", "kws")


def _lowering() -> None:
    from numba.core import base, cgutils, codegen, dispatcher, generators, imputils, pylowering, pythonapi, rewrites

    _expect(base.OverloadSelector, "find", "self", "sig")
    _expect(base.BaseContext, "compile_subroutine")
    _expect(base.BaseContext, "refresh", "self")
    _expect(base.BaseContext, "install_registry", "self", "registry")
    _expect(base.BaseContext, "get_function")
    _expect(base.BaseContext, "get_getattr", "self", "typ", "attr")
    _expect(base.BaseContext, "get_setattr", "self", "attr", "sig")
    _expect(base.BaseContext, "cast", "self", "builder", "val", "fromty", "toty")
    _expect(base.BaseContext, "get_constant_generic", "self", "builder", "ty", "val")
    _expect(base.BaseContext, "insert_const_bytes", "self", "mod", "bytes", "name")
    _expect(codegen.CPUCodeLibrary, "add_linking_library", "self", "library")
    _expect(codegen.RuntimeLinker, "resolve", "self", "engine")
    _expect(cgutils, "normalize_ir_text", "text")
    _expect(generators.LowerYield, "__init__", "self", "lower", "yield_point", "live_vars")
    _expect(pylowering.PyLower, "init_vars", "self", "block")
    _expect(dispatcher._DispatcherBase, "_compilation_chain_init_hook", "self")
    _expect(imputils, "RegistryLoader", "registry")
    _expect(rewrites.rewrite_registry, "rewrites")
    for name in ("_boxers", "_unboxers", "_reflectors"):
        _expect(getattr(pythonapi, name, None), "functions")
