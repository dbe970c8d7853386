"""Numba's Environments: the Python constants that compiled code reads through a slot with the function's name.

Code and constants must stay together. Every Environment of this process is kept (compiled code is never unloaded
either), and one name stands for one list of constants: where the lists differ, the entry is refused.
"""
from __future__ import annotations

from typing import Any

from numba.core.environment import Environment

from .. import _saggar
from . import codec

_kept: dict[str, list[Any]] = {}
_digests: dict[int, bytes] = {}


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
        return found
    env = cls(space)
    env.env_name = fndesc.env_name
    cls._memo[fndesc.env_name] = env
    return keep(env)


def constants(env: Any) -> bytes:
    """The encoded constants. Raises Uncacheable."""
    return codec.Codec().encode(tuple(env.consts))


def remember(env: Any, encoded: bytes) -> bool:
    """Notes what constants stand behind a name; False if others do already."""
    digest = _saggar.sha256(encoded)
    _digests[id(env)] = digest
    keep(env)
    return _saggar.register_symbol("env " + env.env_name, digest)


def obtain(name: str, encoded: bytes, space: dict[str, Any]) -> Any:
    """The Environment for a loaded function: the one that is there, or a new one. None: other constants are there."""
    digest = _saggar.sha256(encoded)
    for env in _kept.get(name, ()):
        if env.globals is space and len(env.consts) and _digest(env) == digest:
            return env
    if not _saggar.register_symbol("env " + name, digest):
        return None
    env = Environment(space)
    env.consts[:] = codec.Codec().decode(encoded)
    env.env_name = name
    Environment._memo[name] = env
    _digests[id(env)] = digest
    return keep(env)


def _digest(env: Any) -> bytes | None:
    digest = _digests.get(id(env))
    if digest is None:
        try:
            digest = _digests[id(env)] = _saggar.sha256(constants(env))
        except _saggar.Uncacheable:
            return None
    return digest
