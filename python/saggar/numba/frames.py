"""The stack of running compilations of each thread, and what it and the environment decide: flags, groups, what is cached."""
from __future__ import annotations

import os
import sys
import threading
from typing import Any

from .. import _saggar, process
from . import inherit


OWN_FRAMES = 8  # of each compilation inside another one: compile, resolve_function_type, apply, build_impl, and what they call
_HIGHEST = 2**31 - 1  # that Python takes


class Frame:
    """One running `compile` of a dispatcher: what it is for, its claim, and what was named inside it."""

    __slots__ = ("owner", "sig", "claim", "pending", "ordinals", "base", "started", "subjects", "waited_out", "repeats",
                 "doubted")

    def __init__(self, owner: Any, sig: Any) -> None:
        self.owner = owner
        self.sig = sig
        self.claim: Any = None
        self.pending: Any = None
        self.ordinals: dict[str, int] = {}
        self.base: bytes | None | bool = False  # False: not asked for yet; None: has no encoding
        self.started = 0
        self.subjects: set[str] = set()  # see dependencies
        self.waited_out = False  # for another process's work, inside it
        self.repeats = False  # it is compiled again if its name turns out to have another body, see bodies
        self.doubted = False  # it has

    def ordinal(self, what: str) -> int:
        """0, 1, 2 ... for each kind of thing named inside this compilation."""
        number = self.ordinals.get(what, 0)
        self.ordinals[what] = number + 1
        return number

    def __enter__(self) -> Frame:
        _stack.frames.append(self)
        _stack.entered += 1
        return self

    def __exit__(self, *exc: object) -> None:
        _stack.frames.pop()
        self.close()
        if _stack.frames:
            _stack.frames[-1].subjects |= self.subjects
        else:
            inherit.restore()

    def close(self) -> None:
        """Gives the claim back, whatever became of the compilation."""
        if self.claim is not None:
            self.claim.release()
            self.claim = None
        self.pending = None


class Room:
    """
    Around one compilation, under Numba's compiler lock: Python's recursion limit is higher by as much as Saggar's own frames take,
    so that functions may call each other as deeply as they may without Saggar.
    """

    __slots__ = ("_limit",)
    _set = 0  # the limit that was set last

    def __enter__(self) -> None:
        self._limit = sys.getrecursionlimit()
        Room._set = min(self._limit + OWN_FRAMES, _HIGHEST)
        sys.setrecursionlimit(Room._set)

    def __exit__(self, *exc: object) -> None:
        if sys.getrecursionlimit() == Room._set:  # else somebody else set another
            try:
                sys.setrecursionlimit(self._limit)
                Room._set = self._limit
            except RecursionError:
                pass  # too deep; the compilation around this one sets its own


class _Stack(threading.local):
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.entered = 0


_stack = _Stack()
_wanted: tuple[str, ...] | None = None


def running() -> list[Frame]:
    """The running compilations of this thread, outermost first."""
    return _stack.frames


def claim(cache: Any, key: bytes) -> Any:
    """Claims a key. Inside one compilation of the program's, only one wait for another process runs to its end."""
    outermost = _stack.frames[0] if _stack.frames else None
    got = cache.claim(key, 0 if outermost is not None and outermost.waited_out else -1)
    if outermost is not None and got.outcome == "none" and got.waited > 0:
        outermost.waited_out = True
    return got


def entered() -> int:
    """How many compilations this thread has begun."""
    return _stack.entered


def store_path() -> str:
    """Where entries are written, for `Dispatcher.stats`."""
    opened = process.cache()
    if opened is not None:
        for tier in opened.tiers():
            if tier["kind"] == "store":
                return str(tier["path"])
    return ""


def wants(module: object) -> bool:
    """True if functions of this module are cached although nobody marked them: SAGGAR_NUMBA is "all" or names it."""
    global _wanted
    if _wanted is None:
        _wanted = tuple(filter(None, map(str.strip, os.environ.get("SAGGAR_NUMBA", "").split(","))))
    return any(name == "all" or module == name or str(module).startswith(name + ".") for name in _wanted)


def flags() -> int:
    """USED for what the program itself asked for, NESTED for what is linked into a caller."""
    return _saggar.FLAG_USED if len(_stack.frames) <= 1 else _saggar.FLAG_NESTED


def logical_module(name: object) -> str:
    """A module's name; a program run by multiprocessing has the name that it has elsewhere."""
    if not isinstance(name, str):
        return ""
    return "__main__" if name == "__mp_main__" else name


def group_text(module: object, qualname: str) -> str:
    """A function's group, as entries have it."""
    return f"numba:{logical_module(module)}:{qualname}"


def group_of(python: Any) -> str:
    """The group of a Python function."""
    return group_text(getattr(python, "__module__", None), str(getattr(python, "__qualname__", "")))
