"""Counts what Numba compiles: every `numba:compile` event that ended well.

One that raised is not counted: Numba tries the versions of an overload in turn, and rejects some by compiling them.
"""
from __future__ import annotations

from typing import Any

from numba.core import event

from .. import _saggar, process
from . import frames, kinds


class CompileListener(event.Listener):
    """One `compiled` event of the trail for each function that Numba compiled, nested ones included."""

    def __init__(self) -> None:
        self._starts: dict[int, list[int]] = {}

    def on_start(self, event: Any) -> None:
        self._starts.setdefault(id(event.data["dispatcher"]), []).append(process.now())

    def on_end(self, event: Any) -> None:
        try:
            self._end(event)
        except Exception as error:
            process.fault(f"counting: {type(error).__name__}: {error}")

    def _end(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        starts = self._starts.get(id(dispatcher))
        started = starts.pop() if starts else process.now()
        if not starts:
            self._starts.pop(id(dispatcher), None)
        if event._exc_details is not None:
            return
        compiled(dispatcher.py_func, is_marked(dispatcher), process.now() - started,
                 f"({kinds.short(tuple(event.data['args']))})")


def compiled(python: Any, marked: bool, nanoseconds: int, detail: str) -> None:
    """Records one compilation."""
    flags = frames.flags() | (_saggar.FLAG_CACHEABLE if marked else 0)
    process.report("compiled", flags=flags, value=nanoseconds, detail=detail,
                   reason="none" if marked else "not-marked",
                   group=frames.group_of(python))


def is_marked(dispatcher: Any) -> bool:
    """True if the function's author asked for caching."""
    from .cache import FunctionCache

    return isinstance(getattr(dispatcher, "_cache", None), FunctionCache)


def listen() -> None:
    event.register("numba:compile", CompileListener())
