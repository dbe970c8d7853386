"""Where Numba is watched while it compiles: each question that it asks is told to `dependencies`. What it answers is not changed."""
from __future__ import annotations

import functools
from typing import Any

from numba.core.typing import templates

from . import dependencies, identity, memos


def apply(context: Any, base: Any, codegen: Any) -> None:
    """Changes Numba: `context` is numba.core.typing.context, `base` numba.core.base, `codegen` numba.core.codegen."""
    _typing(context.BaseContext)
    _lowering(base, codegen.CPUCodeLibrary)


def _typing(cls: Any) -> None:
    original_call, original_get = cls.resolve_function_type, cls.resolve_getattr

    @functools.wraps(original_call)
    def resolve_function_type(self: Any, func: Any, args: Any, kws: Any) -> Any:
        dependencies.called(func, args, kws)
        found = None
        try:
            found = original_call(self, func, args, kws)
        finally:
            if found is None:
                dependencies.failed(func)
        return found

    @functools.wraps(original_get)
    def resolve_getattr(self: Any, typ: Any, attr: Any) -> Any:
        dependencies.attribute(typ, attr)
        found = original_get(self, typ, attr)
        if found is None:
            dependencies.unresolved(typ, attr)
        return found

    for template in (templates.AbstractTemplate, templates.CallableTemplate, templates.ConcreteTemplate):
        template.apply = _watched_apply(template.apply)
    original_build = templates._OverloadFunctionTemplate._build_impl

    @functools.wraps(original_build)
    def build_impl(self: Any, cache_key: Any, args: Any, kws: Any) -> Any:
        with memos.Run(lambda: identity.kept(self._overload_func)):
            return original_build(self, cache_key, args, kws)

    templates._OverloadFunctionTemplate._build_impl = build_impl
    cls.resolve_function_type = resolve_function_type
    cls.resolve_getattr = resolve_getattr
    cls.resolve_setattr = _after(lambda self, target, attr, value: dependencies.attribute(target, attr), cls.resolve_setattr)


def _watched_apply(original: Any) -> Any:
    @functools.wraps(original)
    def apply(self: Any, args: Any, kws: Any) -> Any:
        dependencies.tried(type(self))
        with dependencies.Collector() as collector:
            try:
                found = original(self, args, kws)
            finally:
                collector.remember(type(self), args, kws)
        if found is not None:
            dependencies.fitted(type(self))
        return found

    return apply


def _after(watch: Any, original: Any) -> Any:
    """What Numba does, once it was watched."""
    @functools.wraps(original)
    def watched(*args: Any, **kwargs: Any) -> Any:
        watch(*args, **kwargs)
        return original(*args, **kwargs)

    return watched


def _lowering(base: Any, linking: Any) -> None:
    cls = base.BaseContext
    original_find, original_subroutine = base.OverloadSelector.find, cls.compile_subroutine

    @functools.wraps(original_find)
    def find(self: Any, sig: Any) -> Any:
        implementation = original_find(self, sig)
        dependencies.lowered(implementation, getattr(sig, "args", sig))
        return implementation

    @functools.wraps(original_subroutine)
    def compile_subroutine(self: Any, *args: Any, **kwargs: Any) -> Any:
        with dependencies.Collector() as collector:
            cres = original_subroutine(self, *args, **kwargs)
            collector.finish(cres)
        return cres

    cls.get_function = _after(lambda self, fn, sig, *_, **__: dependencies.lowering_of_call(fn, sig), cls.get_function)
    cls.get_getattr = _after(lambda self, typ, attr: dependencies.lowering_of_attribute("getattr", typ, attr), cls.get_getattr)
    cls.get_setattr = _after(lambda self, attr, sig: dependencies.lowering_of_attribute("setattr", sig.args[0], attr), cls.get_setattr)
    cls.cast = _after(lambda self, builder, val, fromty, toty: dependencies.lowering_of_cast(fromty, toty), cls.cast)
    cls.compile_subroutine = compile_subroutine
    base.OverloadSelector.find = find
    linking.add_linking_library = _after(lambda self, library: dependencies.linked(library), linking.add_linking_library)
