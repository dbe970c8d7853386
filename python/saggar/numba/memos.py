"""What a function that Python runs while Numba compiles works out at its first run and keeps, in an attribute of its own or a
global variable: `if f.result is None: f.result = ...`.

Such a value follows from the function's code, however often that runs. It counts as it was before, empty, in a process where a run of an overload
filled it; else an entry of this process would not be found by the next, which has not run anything yet. Whatever is set
from elsewhere, or set again, counts as it is.
"""
from __future__ import annotations

import dis
import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from weakref import WeakKeyDictionary

from .. import _saggar

_VARIADIC = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_STORES = {dis.opmap["STORE_ATTR"], dis.opmap["STORE_GLOBAL"]}
_names: WeakKeyDictionary[CodeType, frozenset[str]] = WeakKeyDictionary()
_EMPTY = _saggar.encode(None)
_filled: WeakKeyDictionary[FunctionType, dict[str, bytes | None]] = WeakKeyDictionary()  # by label; None: it was set again


def is_one(python: FunctionType | None, label: str) -> bool:
    """
    True if the function itself sets what it reads under this label, once, and only where it is None. It takes no arguments: what
    it works out does not depend on who asks first.
    """
    if python is None or python.__code__.co_argcount or python.__code__.co_kwonlyargcount or python.__code__.co_flags & _VARIADIC:
        return False
    kind, _, name = label.partition(" ")
    return kind in ("attribute", "global") and name in _set_if_none(python.__code__)


def _set_if_none(code: CodeType) -> frozenset[str]:
    """The names that a function stores to in one place, which a test of that name for None leads to or leads past."""
    known = _names.get(code)
    if known is None:
        if _STORES.isdisjoint(code.co_code[::2]):
            known = frozenset()
        else:
            steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG", "NOP", "PRECALL")]
            stores = [step for step in steps if step.opcode in _STORES]
            known = frozenset(step.argval for step in stores if [one.argval for one in stores].count(step.argval) == 1
                              and any(_guards(steps, at, step) for at in range(1, len(steps))))
        _names[code] = known
    return known


def _guards(steps: list[dis.Instruction], at: int, store: dis.Instruction) -> bool:
    """True if the jump at this place is a test of the name for None, and decides whether the store is run."""
    jump, tested = steps[at], at - 1
    if jump.opname.endswith(("_NONE", "_NONE_FORWARD")):
        to_set = not jump.opname.endswith("NOT_NONE")  # it jumps where the name is None
    elif "JUMP" in jump.opname and "_IF_" in jump.opname and steps[at - 1].opname == "IS_OP" and steps[at - 2].argval is None:
        tested = at - 3
        to_set = ("TRUE" in jump.opname) != bool(steps[at - 1].arg)
    else:
        return False
    if tested < 0 or steps[tested].argval != store.argval or not steps[tested].opname.startswith("LOAD"):
        return False
    if not to_set:
        return jump.offset < store.offset < jump.argval
    before = [step for step in steps if step.offset < jump.argval]
    return store.offset >= jump.argval > jump.offset and before[-1].opname.startswith("RETURN")


def emptied(python: FunctionType, label: str, encoded: bytes) -> bytes:
    """The encoded value as it counts."""
    return _EMPTY if _filled.get(python, {}).get(label) == encoded else encoded


class Run:
    """Around one run of a function that Numba asks for an implementation. `kept` gives what is kept now (identity.kept)."""

    def __init__(self, kept: Callable[[], dict[tuple[FunctionType, str], bytes]]) -> None:
        self._kept = kept
        self._before: dict[tuple[FunctionType, str], bytes] = {}

    def __enter__(self) -> Run:
        self._before = self._now()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._before:
            for (python, label), now in self._now().items():
                before = self._before.get((python, label), now)
                if before != now:
                    known = _filled.setdefault(python, {})
                    known[label] = now if before == _EMPTY and label not in known else None

    def _now(self) -> dict[tuple[FunctionType, str], bytes]:
        try:
            return self._kept()
        except Exception:
            return {}  # without content; nothing that uses it is stored
