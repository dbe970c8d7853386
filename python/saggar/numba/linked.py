"""Tells functions that the program asks for from those that are only linked into a caller.

A function that was compiled or loaded for a caller would be found by Numba's dispatcher without asking anybody when
the program calls it itself, and an image of what was *used* would lack it. So its code is not handed to the
dispatcher's table until then. Until it stops compiling, a dispatcher takes exact matches only, so nothing else changes.
"""
from __future__ import annotations

from typing import Any

from numba.core import sigutils

from .. import _saggar, process
from . import frames, inherit


def set_apart(dispatcher: Any, cres: Any) -> bool:
    """Keeps an overload out of the dispatcher's table; False if nothing is to be learned from its use."""
    from .cache import FunctionCache

    args = tuple(cres.signature.args)
    if cres.objectmode or not (isinstance(dispatcher._cache, FunctionCache) or inherit.is_special(dispatcher, args)):
        return False
    dispatcher.overloads[args] = cres
    dispatcher.__dict__.setdefault("_saggar_linked", {}).setdefault(args, []).append(cres)
    return True


def asked(dispatcher: Any, sig: Any) -> None:
    """The program itself asks for a signature."""
    args = tuple(sigutils.normalize_signature(sig)[0])
    kept = dispatcher.__dict__.get("_saggar_linked", {})
    cres = dispatcher.overloads.get(args)
    if any(each is cres for each in kept.get(args, ())):
        kept.pop(args, None)  # another thread may have taken them all
        _insert(dispatcher, cres)
        from .cache import keys

        key = keys.get(cres.fndesc.mangled_name)
        if key is not None:
            process.report("hit", flags=_saggar.FLAG_USED | _saggar.FLAG_CACHEABLE, key=key,
                           group=frames.group_of(dispatcher.py_func),
                           detail="this process")


def insert_all(dispatcher: Any) -> None:
    """Hands everything to the dispatcher's table: it is about to stop compiling."""
    kept = dispatcher.__dict__.pop("_saggar_linked", None) or {}
    for args, apart in kept.items():
        cres = dispatcher.overloads.get(args)  # one of several, where callers hand options on
        if any(each is cres for each in apart):
            _insert(dispatcher, cres)


def _insert(dispatcher: Any, cres: Any) -> None:
    dispatcher._insert([a._code for a in cres.signature.args], cres.entry_point, cres.objectmode)
