"""Loop wrappers of ufuncs and generalised ufuncs.

Numba compiles a loop around each kernel: for @guvectorize it caches it in a file of its own, which may come from
another process than the kernel's; for @vectorize it compiles it anew in every process. Here both are entries of their
own, keyed by the kernel's whole recipe; since symbol names follow from content, kernel and wrapper fit by construction.
"""
from __future__ import annotations

from typing import Any

from numba.core.caching import _Cache

from .. import _saggar, process
from . import cache as cache_module
from . import dependencies, frames, order, payload, recipe


class GufuncWrapperCache(_Cache):
    """Stands for Numba's GufWrapperCache of one wrapper; `bind` tells it which."""

    def __init__(self, py_func: Any) -> None:
        self._python = py_func
        self._wrapper: Any = None
        self._pending: recipe.WrapperRequest | None = None
        self._claim: Any = None
        self._started = 0

    def bind(self, wrapper: Any) -> None:
        self._wrapper = wrapper

    @property
    def cache_path(self) -> str:
        return frames.store_path()

    def enable(self) -> None:
        pass

    disable = flush = enable

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            kernel = cache_module.kernels.get(self._wrapper.fndesc.mangled_name) if self._wrapper else None
            if kernel is None:
                return None
            layout = (("inputs", tuple(map(tuple, self._wrapper.sin))), ("outputs", tuple(map(tuple, self._wrapper.sout))))
            self._pending = recipe.WrapperRequest(kernel, "gufunc wrapper", layout)
            found, self._claim = lookup(self._pending, target_context)
            self._started = process.now()
            return found
        except cache_module.Required:
            raise
        except Exception as error:
            process.fault(f"looking up a wrapper: {type(error).__name__}: {error}")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            if self._pending is not None:
                store(self._pending, data, self._started)
        except Exception as error:
            process.fault(f"storing a wrapper: {type(error).__name__}: {error}")
        finally:
            self.release()

    def release(self) -> None:
        if self._claim is not None:
            self._claim.release()
            self._claim = None


def lookup(request: recipe.WrapperRequest, target_context: Any) -> tuple[Any, Any]:
    """(library, None) of a hit, or (None, claim)."""
    cache, codegen = process.cache(), target_context.codegen()
    if cache is None:
        return None, None
    found, reason, detail = _find(cache, request, codegen)
    if found is not None:
        return found, None
    claim = frames.claim(cache, request.key)
    if claim.outcome == "freed":
        found, reason, detail = _find(cache, request, codegen)
        if found is not None:
            claim.release()
            return found, None
    text = request.kernel.text()
    process.report("miss", flags=frames.flags() | _saggar.FLAG_CACHEABLE, reason=reason, key=request.key, group=text,
                   detail=detail or request.text(), blob=request.recipe)
    if process.required():
        claim.release()
        raise cache_module.Required(f"SAGGAR_MODE=require: the loop of {request.kernel.module}.{request.kernel.qualname} "
                                    f"would be compiled: {reason}")
    target_context.refresh()  # a served kernel did not need it, compiling does
    return None, claim


def _find(cache: Any, request: recipe.WrapperRequest, codegen: Any) -> tuple[Any, str, str]:
    entry, reason, detail = order.find(cache, request.key, payload.resolver)
    if entry is None:
        return None, reason, detail
    try:
        library = payload.load_library(entry, payload.admit(entry), codegen)
    except payload.Refused as error:
        return None, error.reason, error.detail
    except Exception as error:
        entry.reject()
        return None, "load-failed", f"{type(error).__name__}: {error}"[:400]
    process.report("hit", flags=_saggar.FLAG_USED | _saggar.FLAG_CACHEABLE, key=request.key, group=request.kernel.text(),
                   detail=entry.tier)
    return library, "none", ""


def store(request: recipe.WrapperRequest, library: Any, started: int) -> None:
    """Publishes a wrapper's library."""
    kernel = request.kernel
    process.report("compiled", flags=frames.flags() | _saggar.FLAG_CACHEABLE | _saggar.FLAG_NESTED,
                   value=process.now() - started, group=kernel.text(), detail=request.text())
    try:
        kernel.check()
        parts, symbols, inside = payload.library_parts(library)
        parts["meta"] = _saggar.encode({"kind": "library", "library": request.text(), "names": tuple(inside)})
        payload._no_paths(kernel, parts)
        depends = dependencies.records(kernel.subjects)
    except _saggar.Uncacheable as error:
        process.report("not-stored", reason="uncacheable", key=request.key, group=kernel.text(), detail=str(error))
        return
    cache_module.publish(request, kernel, parts, symbols, depends, library.codegen, started, _saggar.FLAG_USED)


def build_ufunc_wrapper(original: Any, library: Any, context: Any, fname: str, signature: Any, objmode: bool,
                        cres: Any) -> Any:
    """Replaces Numba's build_ufunc_wrapper: the loop around a @vectorize kernel."""
    kernel = cache_module.kernels.get(fname)
    claim = None
    request = None
    try:
        try:
            if kernel is not None:
                request = recipe.WrapperRequest(kernel, "ufunc wrapper", (
                    ("signature", recipe.signature_value(tuple(signature.args), signature.return_type)),
                    ("objectmode", bool(objmode))))
                found, claim = lookup(request, context)
                if found is not None:
                    from numba.np.ufunc.wrappers import _wrapper_info

                    return _wrapper_info(library=found, env=cres.environment, name="__ufunc__." + fname)
        except cache_module.Required:
            raise
        except Exception as error:
            process.fault(f"looking up a loop: {type(error).__name__}: {error}")
            request = None
        started = process.now()
        info = original(library, context, fname, signature, objmode, cres)
        if request is not None:
            try:
                info.library.enable_object_caching()
                info.library._ensure_finalized()
                store(request, info.library, started)
            except Exception as error:
                process.fault(f"storing a loop: {type(error).__name__}: {error}")
        return info
    finally:
        if claim is not None:
            claim.release()
