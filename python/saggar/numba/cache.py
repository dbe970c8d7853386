"""The object that stands in for Numba's own cache of one function (`numba.core.caching._Cache`).

A lookup never raises, except under SAGGAR_MODE=require. On a miss the key is claimed, so that other processes wait
instead of compiling the same; the claim belongs to the frame of the running compilation, which gives it back whatever
happens.
"""
from __future__ import annotations

import warnings
from typing import Any

from numba.core import sigutils
from numba.core.caching import _Cache
from numba.core.errors import NumbaWarning

from .. import _saggar, process
from . import dependencies, frames, nodes, order, payload, recipe, target


class FunctionCache(_Cache):
    """Compile results of a dispatcher (`kind` "function"), a C callback ("cfunc") or a ufunc's kernel ("ufunc")."""

    def __init__(self, owner: Any, kind: str, python: Any) -> None:
        self._owner = owner
        self._kind = kind
        self._python = python
        self._enabled = True
        self._fresh: set[bytes] = set()  # keys to compile again: recompile() was called
        self._served: set[bytes] = set()

    @property
    def cache_path(self) -> str:
        return frames.store_path()

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """What was served or stored so far is compiled again when it is asked for."""
        self._fresh |= self._served

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        running = self._frame()
        if not self._enabled or running is not None and running.doubted:
            return None
        result = None
        try:
            result = self._load(sig, target_context)
        except Required:
            raise
        except Exception as error:
            process.fault(f"looking up: {type(error).__name__}: {error}", self._text())
        frame = self._frame()
        if result is None and frame is not None:
            frame.started = process.now()
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        frame = self._frame()
        if frame is None or frame.pending is None:
            return
        try:
            self._save(frame, data)
        except Exception as error:
            process.fault(f"storing: {type(error).__name__}: {error}", self._text())
        finally:
            frame.close()

    def _text(self) -> str:
        return frames.group_of(self._python)

    def _frame(self) -> frames.Frame | None:
        running = frames.running()
        return running[-1] if running and running[-1].owner is self._owner else None

    def _load(self, sig: Any, target_context: Any) -> Any:
        cache = process.cache()
        frame = self._frame()
        if cache is None or frame is None:
            self._missed(None, "disabled", "the cache cannot be opened")
            return None
        args, return_type = sigutils.normalize_signature(sig)
        try:
            request = recipe.Request(self._owner, self._kind, tuple(args), return_type)
        except _saggar.Uncacheable as error:
            frame.pending = Refusal(str(error))
            self._missed(None, "uncacheable", str(error))
            return None
        again = request.key in self._fresh
        if not again:
            found = self._find(cache, request, target_context)
            if found is not None:
                return found
        frame.claim = frames.claim(cache, request.key)
        if frame.claim.outcome != "owned" and frame.claim.waited > 0:
            process.report("waited", value=int(frame.claim.waited * 1e9), key=request.key, group=request.text(),
                           reason="claim-timeout" if frame.claim.outcome == "none" else "none")
        reason, detail = ("recompile", "") if again else self._last
        if not again and frame.claim.outcome == "freed":
            found = self._find(cache, request, target_context)
            if found is not None:
                frame.close()
                return found
            reason, detail = self._last
        process.report("miss", flags=frames.flags() | _saggar.FLAG_CACHEABLE, reason=reason, key=request.key,
                       group=request.text(), detail=detail or request.detail(), blob=request.recipe)
        self._demand(request.detail(), reason, detail)
        frame.pending = request
        return None

    _last = ("absent", "")

    def _find(self, cache: Any, request: recipe.Request, target_context: Any) -> Any:
        with nodes.Look():
            entry, reason, detail = order.find(cache, request.key, payload.resolver)
        self._last = (reason, detail)
        if entry is None:
            return None
        flags = self._flags()
        try:
            result = payload.load(entry, request, self._python, target_context)
        except payload.Refused as error:
            self._last = (error.reason, error.detail)
        except Exception as error:
            self._last = ("load-failed", f"{type(error).__name__}: {error}"[:400])
            entry.reject()
        else:
            request.subjects = dependencies.subjects_of(entry.dependencies())
            frame = self._frame()
            if frame is not None:
                frame.subjects |= request.subjects
            self._note(request, result)
            process.report("hit", flags=flags | _saggar.FLAG_CACHEABLE, key=request.key,
                           group=request.text(), detail=entry.tier)
            return result
        return None

    def _flags(self) -> int:
        # A ufunc's kernel serves the program as well as the caller that it was first needed for.
        return _saggar.FLAG_USED if self._kind == "ufunc" else frames.flags()

    def _missed(self, key: bytes | None, reason: str, detail: str) -> None:
        process.report("miss", flags=frames.flags() | _saggar.FLAG_CACHEABLE, reason=reason, key=key,
                       group=self._text(), detail=detail)
        self._demand("", reason, detail)

    def _demand(self, sig: str, reason: str, detail: str) -> None:
        if process.required():
            python = self._python
            raise Required(f"SAGGAR_MODE=require: {python.__module__}.{python.__qualname__}{sig} would be compiled: "
                           f"{reason}{': ' + detail if detail else ''}")

    def _save(self, frame: frames.Frame, cres: Any) -> None:
        pending = frame.pending
        self._warn(cres)
        if isinstance(pending, Refusal):
            self._not_stored(pending.why)
            return
        try:
            parts, symbols = payload.build(pending, cres, frame.subjects)
            dependencies.typed(cres, frame.subjects)
            pending.subjects = set(frame.subjects)
            depends = dependencies.records(pending.subjects)
        except _saggar.Uncacheable as error:
            self._not_stored(str(error), pending.key)
            return
        publish(pending, pending, parts, symbols, depends, cres.codegen, frame.started, self._flags())
        self._note(pending, cres)

    def _note(self, request: recipe.Request, cres: Any) -> None:
        self._served.add(request.key)
        keys[cres.fndesc.mangled_name] = request.key
        if self._kind == "ufunc":
            kernels[cres.fndesc.mangled_name] = request

    def _not_stored(self, why: str, key: bytes | None = None) -> None:
        process.report("not-stored", flags=frames.flags(), reason="uncacheable", key=key, group=self._text(), detail=why)

    def _warn(self, cres: Any) -> None:
        """Numba's own warning about a function that can never be cached."""
        if payload.has_lifted(cres):
            why = "as it uses lifted code"
        elif cres.library.has_dynamic_globals:
            why = "as it uses dynamic globals (such as ctypes pointers and large global arrays)"
        else:
            return
        code = self._python.__code__
        warnings.warn_explicit(f'Cannot cache compiled function "{cres.fndesc.qualname.split(".")[-1]}" {why}',
                               NumbaWarning, code.co_filename, code.co_firstlineno)


class Refusal:
    """Stands where a request would: the function has no key."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


class Required(RuntimeError):
    """SAGGAR_MODE=require: something cacheable would be compiled."""


# What was served or stored in this process, by symbol name; and the ufunc kernels among it, which their loops need.
keys: dict[str, bytes] = {}
kernels: dict[str, recipe.Request] = {}


def publish(keyed: Any, request: recipe.Request, parts: dict[str, bytes], symbols: list[str],
            depends: list[tuple[Any, ...]], codegen: Any,
            started: int, flags: int) -> None:
    """Publishes an entry and says so; what goes wrong is counted."""
    cache = process.cache()
    try:
        cache.publish(keyed.recipe, group=request.group(), parts=parts, features=target.features(codegen),
                      symbols=symbols, dependencies=depends, seconds=(process.now() - started) / 1e9 if started else None)
    except _saggar.SaggarError as error:
        process.report("not-stored", flags=frames.flags(), reason="publish-failed", key=keyed.key,
                       group=request.text(), detail=f"{error.name}: {error}")
    else:
        process.report("published", flags=flags | _saggar.FLAG_CACHEABLE, key=keyed.key, group=request.text())
