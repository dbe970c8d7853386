"""Values as entries: found, or made once among all processes that see the store.

A value is one pickle in the part `value`, read only from tiers that Saggar trusts. Whatever goes wrong with the cache ends in the
value being made; only what making it raises is raised.
"""
from __future__ import annotations

import os
import pickle
from typing import Any, Callable

from .. import _saggar, process
from . import environment


class Request:
    """A recipe, its key and its group."""

    __slots__ = ("key", "recipe", "group")

    def __init__(self, group: tuple[str, str], compiler: bytes, options: Any, source: Any, **more: Any) -> None:
        encode = _saggar.encode
        self.group = ("gt4py", *group)
        self.key, self.recipe = _saggar.recipe([
            ("adapter", encode(("gt4py", environment.SCHEMA))),
            ("compiler", compiler),
            ("options", encode(options)),
            ("source", encode(source)),
            *((name, encode(value)) for name, value in more.items()),
        ])

    def text(self) -> str:
        return ":".join(self.group)

    def report(self, event: str, flags: int = _saggar.FLAG_USED, **details: Any) -> None:
        process.report(event, flags=flags | _saggar.FLAG_CACHEABLE, key=self.key, group=self.text(), **details)


class Required(RuntimeError):
    """SAGGAR_MODE=require: something would be compiled."""


class Missing(Exception):
    """Not found: (reason, detail)."""


def _find(cache: Any, request: Request) -> tuple[Any, str]:
    entry, reason, detail = cache.find(request.key, environment.resolver)
    if entry is None:
        raise Missing(reason, detail)
    try:
        return pickle.loads(entry.part("value")), entry.tier
    except Exception as error:
        entry.reject()
        raise Missing("load-failed", f"{type(error).__name__}: {error}"[:400]) from None


def wait_ms() -> int:
    """The longest wait for another process: a build takes minutes, and one that died is followed at once."""
    return -1 if os.environ.get("SAGGAR_WAIT") else 900_000


def uncacheable(group: str, why: str) -> None:
    """Something has no key, and GT4Py did it in its own way."""
    for event in ("miss", "not-stored"):
        process.report(event, flags=_saggar.FLAG_USED, reason="uncacheable", group=group, detail=why[:500])


def peek(request: Request) -> tuple[Any, str] | None:
    """(value, tier) if it is there. Records nothing."""
    cache = process.cache()
    try:
        return None if cache is None else _find(cache, request)
    except Missing:
        return None


def obtain(request: Request, make: Callable[[], Any], flags: int = _saggar.FLAG_USED,
           target: Callable[[Any], tuple[str, str]] | None = None) -> Any:
    """The value, from the cache or made. `target`: of a value that holds machine code, the processor that it was made for."""
    cache = process.cache()
    claim = None
    try:
        if cache is None:
            raise Missing("disabled", "the cache cannot be opened")
        try:
            value, tier = _find(cache, request)
        except Missing:
            claim = cache.claim(request.key, wait_ms())
            if claim.waited > 0:
                request.report("waited", flags, value=int(claim.waited * 1e9), reason="claim-timeout" if claim.outcome == "none" else "none")
            if claim.outcome == "owned":
                raise
            value, tier = _find(cache, request)
        request.report("hit", flags, detail=tier)
        if claim is not None:
            claim.release()
        return value
    except Missing as miss:
        reason, detail = miss.args
    except Exception as error:
        reason, detail = "io", f"{type(error).__name__}: {error}"[:400]
    try:
        request.report("miss", flags, reason=reason, detail=detail, blob=request.recipe)
        if process.required():
            raise Required(f"SAGGAR_MODE=require: {request.text()} would be made: {reason} {detail}")
        started = process.now()
        value = make()
        took = process.now() - started
        request.report("compiled", flags, value=took)
        _publish(cache, request, value, took, flags, target)
        return value
    finally:
        if claim is not None:
            claim.release()


def _publish(cache: Any, request: Request, value: Any, took: int, flags: int,
             target: Callable[[Any], tuple[str, str]] | None) -> None:
    if cache is None:
        return
    try:
        cache.publish(request.recipe, group=request.group, parts={"value": pickle.dumps(value, 5)}, seconds=took / 1e9,
                      arch="host" if target else None, features=target(value) if target else None)
    except _saggar.SaggarError as error:
        request.report("not-stored", flags, reason="publish-failed", detail=f"{error.name}: {error}")
    except Exception as error:
        request.report("not-stored", flags, reason="uncacheable", detail=f"{type(error).__name__}: {error}"[:400])
    else:
        request.report("published", flags)
