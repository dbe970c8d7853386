"""Options that a callee takes over from its caller, independent of what was compiled before.

Numba compiles a callee with the caller's fast-math flags and error model where its author set none, but keeps one
overload for each signature: whoever comes first decides for all. Then a caller's code depends on the history of the
process, and no key can hold that. Here each combination of inherited options has its own overload, so that a function
is compiled as it would be in a fresh process.
"""
from __future__ import annotations

import threading
from typing import Any

from numba.core.compiler_lock import global_compiler_lock
from numba.core.targetconfig import ConfigStack

_KEY = "_saggar_variants"


class _Touched(threading.local):
    """What this thread put into tables for callers that hand options on, until its outermost compilation ends."""

    def __init__(self) -> None:
        self.overloads: list[tuple[Any, tuple[Any, ...]]] = []


_touched = _Touched()


def context(dispatcher: Any) -> tuple[object, ...] | None:
    """What a dispatcher would inherit now; None if that is nothing but defaults."""
    top = ConfigStack.top_or_none()
    if top is None:
        return None
    model, fast, inline = top.error_model, top.fastmath, top.forceinline
    if model == "python" and not fast and not inline:
        return None
    options = dispatcher.targetoptions
    found = (None if "error_model" in options or model == "python" else model,
             None if "fastmath" in options or not fast else frozenset(fast.flags),
             None if "forceinline" in options or not inline else True)
    return None if found == (None, None, None) else found


class Variants:
    """The overloads of one dispatcher: which one is in its table, and those that were put aside."""

    __slots__ = ("current", "aside")

    def __init__(self) -> None:
        self.current: dict[tuple[Any, ...], tuple[object, ...] | None] = {}
        self.aside: dict[tuple[object, ...], Any] = {}


def select(dispatcher: Any, args: tuple[Any, ...]) -> None:
    """Puts the overload for the options in force into the dispatcher's table, or none if it is not compiled yet."""
    if not dispatcher._can_compile:  # it has what its author asked for, in that order
        return
    wanted = context(dispatcher)
    variants = dispatcher.__dict__.get(_KEY)
    if variants is None:
        if wanted is None:
            return
        variants = dispatcher.__dict__[_KEY] = Variants()
    there = dispatcher.overloads.get(args)
    if there is not None:
        current = variants.current.get(args)
        if current == wanted:
            return
        variants.aside[(args, current)] = there
        del dispatcher.overloads[args]
    kept = variants.aside.get((args, wanted))
    if kept is not None:
        dispatcher.overloads[args] = kept
    variants.current[args] = wanted
    if wanted is not None:
        _touched.overloads.append((dispatcher, args))


def restore() -> None:
    """The program's compilation is over: where a function was compiled for the program too, that is in its table again."""
    if not _touched.overloads:
        return
    touched, _touched.overloads = _touched.overloads, []
    with global_compiler_lock:
        for dispatcher, args in touched:
            variants = dispatcher.__dict__.get(_KEY)
            current = None if variants is None else variants.current.get(args)
            if current is None or (own := variants.aside.get((args, None))) is None:
                continue
            if args in dispatcher.overloads:
                variants.aside[(args, current)] = dispatcher.overloads[args]
            dispatcher.overloads[args] = own
            variants.current[args] = None


def forget(dispatcher: Any) -> None:
    """Everything is compiled again."""
    dispatcher.__dict__.pop(_KEY, None)


def is_special(dispatcher: Any, args: tuple[Any, ...]) -> bool:
    """True if the overload in the table inherited options."""
    variants = dispatcher.__dict__.get(_KEY)
    return variants is not None and variants.current.get(args) is not None
