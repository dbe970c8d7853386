"""Numba's Environments: the Python constants that compiled code reads through a slot with the function's name.

Code and constants must stay together. Every Environment with constants is kept for the life of the process (compiled
code is never unloaded either), and one name stands for one list of constants: where the lists differ, the entry is
refused. One without constants is never read, but asked whether it is there; it lives as long as Numba keeps it, and so do the globals in it.
"""
from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from numba.core.environment import Environment

from .. import _saggar
from . import codec

NONE = codec.Codec().encode(())  # no constants
EMPTY: dict[str, Any] = {}  # the globals of one that stands in no module
_kept: dict[str, list[Any]] = {}
_digests: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()
_placed: WeakValueDictionary[str, Any] = WeakValueDictionary()  # what this module put into a slot


def keep(env: Any) -> Any:
    """Keeps an Environment for the life of the process."""
    known = _kept.setdefault(env.env_name, [])
    if not any(other is env for other in known):
        known.append(env)
    return env


def from_fndesc(cls: Any, fndesc: Any) -> Any:
    """Replaces Environment.from_fndesc: a compilation starts with an empty list of constants."""
    found = cls._memo.get(fndesc.env_name)
    space = fndesc.lookup_globals()
    if found is not None and not len(found.consts) and found.globals is space:
        return keep(found)
    env = cls(space)
    env.env_name = fndesc.env_name
    cls._memo[fndesc.env_name] = env
    return keep(env)


def settle(cres: Any) -> None:
    """A function is complete; if its code reads no constants, its Environment is Numba's to keep."""
    env = cres.environment
    if env is not None and not len(env.consts) and not cres.objectmode:
        left = [other for other in _kept.get(env.env_name, ()) if other is not env]
        if left:
            _kept[env.env_name] = left
        else:
            _kept.pop(env.env_name, None)


def place(codegen: Any, env: Any) -> None:
    """Puts an Environment into its slot, unless that was done."""
    if _placed.get(env.env_name) is not env:
        codegen.set_env(env.env_name, env)
        _placed[env.env_name] = env


def constants(env: Any) -> bytes:
    """The encoded constants. Raises Uncacheable."""
    return codec.Codec().encode(tuple(env.consts))


def remember(env: Any, encoded: bytes) -> bool:
    """Notes what constants stand behind a name; False if others do already."""
    digest = _digests[env] = _saggar.sha256(encoded)
    if len(env.consts):
        keep(env)
    return _saggar.register_symbol("env " + env.env_name, digest)


def obtain(name: str, encoded: bytes, space: dict[str, Any], objectmode: bool = False) -> Any:
    """The Environment for a loaded function: the one that is there, or a new one. None: other constants are there."""
    digest = _saggar.sha256(encoded)
    last = _placed.get(name)
    for env in (*(() if last is None else (last,)), *_kept.get(name, ())):
        if env.globals is space and (len(env.consts) or env is last) and _digest(env) == digest:
            return env
    if not _saggar.register_symbol("env " + name, digest):
        return None
    env = Environment(space)
    env.consts[:] = codec.Codec().decode(encoded)
    env.env_name = name
    Environment._memo[name] = env
    _digests[env] = digest
    return keep(env) if len(env.consts) or objectmode else env


def _digest(env: Any) -> bytes | None:
    digest = _digests.get(env)
    if digest is None:
        try:
            digest = _digests[env] = _saggar.sha256(constants(env))
        except _saggar.Uncacheable:
            return None
    return digest
