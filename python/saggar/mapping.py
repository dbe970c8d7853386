"""A dictionary on disk: written once, shared by all processes that see the store, never a cause of failure."""
from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

from . import _saggar

__all__ = ["Cache"]

K = TypeVar("K")
V = TypeVar("V")


class Cache(MutableMapping[K, V]):
    """Keeps Python values under keys, in a store of Saggar and in its images.

    ``directory`` is a store of its own; without it the values go to the store of the environment (``SAGGAR_DIR``). ``name``
    tells several mappings in one store apart. Making one touches nothing; the store's directory comes with the first value.

    Keys are text, bytes, numbers, booleans, None, and tuples, lists, sets and dictionaries of them; values are whatever
    ``pickle`` takes. Keys are told apart by their types too: ``1``, ``1.0`` and ``True`` are three keys.

    Reading raises KeyError and nothing else: a value that is damaged, or that cannot be unpickled any more, is not there.
    Writing never fails because of the store: on a full or read-only disk nothing is kept. A key that lies in an image keeps
    its value, and deleting it raises KeyError. A value is never changed under a reader: ``cache[key] = other`` takes the old one
    away and puts the new one beside. Among processes that put different values at once, one of them is kept.

    An instance may be used by many threads, in forked children, and in other processes: it is pickled as its directory and
    name. Instances are compared by identity. Iterating and ``len()`` read every entry of the store.

    Values are unpickled only from tiers that Saggar trusts: whoever can write there runs code as you.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, *, name: str = "") -> None:
        self.directory = None if directory is None else os.path.abspath(os.fspath(directory))
        self.name = name
        self._tiers: _saggar.Cache | None = None
        self._mapping: _saggar.Mapping | None = None

    def _open(self) -> _saggar.Mapping:
        mapping = self._mapping
        if mapping is None:  # two threads may both come here: one of the two is dropped
            self._tiers = tiers = _saggar.Cache(store=self.directory)
            self._mapping = mapping = _saggar.Mapping(tiers, self.name)
        return mapping

    def __getitem__(self, key: K) -> V:
        try:
            value = self._open().get(_saggar.encode(key))
            if value is not None:
                return pickle.loads(value)
        except Exception:  # whatever it is, the value cannot be had
            pass
        raise KeyError(key)

    def __setitem__(self, key: K, value: V) -> None:
        encoded = _encode(key)
        data = pickle.dumps(value, 5)
        try:
            mapping = self._open()
            for _ in range(4):  # somebody else may put another one in between
                if mapping.put(encoded, data):
                    return
                mapping.delete(encoded)
        except _saggar.SaggarError:
            pass

    def __delitem__(self, key: K) -> None:
        try:
            gone = self._open().delete(_saggar.encode(key))
        except (_saggar.SaggarError, _saggar.Uncacheable):
            gone = False
        if not gone:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        try:
            return _saggar.encode(key) in self._open()
        except (_saggar.SaggarError, _saggar.Uncacheable):
            return False

    def __iter__(self) -> Iterator[K]:
        for key in self._keys():
            try:
                yield _saggar.decode(key)
            except Exception:  # put there by something else than this class
                continue

    def __len__(self) -> int:
        try:
            return len(self._open())
        except _saggar.SaggarError:
            return 0

    def _keys(self) -> list[bytes]:
        try:
            return self._open().keys()
        except _saggar.SaggarError:
            return []

    def clear(self) -> None:
        """Deletes every key that is not in an image."""
        for key in self._keys():
            try:
                self._open().delete(key)
            except _saggar.SaggarError:
                pass

    def claim(self, key: K, wait_ms: int = -1) -> _saggar.Claim:
        """Announces that this process computes the value, and waits while another one does: a context manager.

        After its ``outcome`` "freed" look again before computing. Never needed for a right result.
        """
        mapping = self._open()
        assert self._tiers is not None
        return self._tiers.claim(mapping.key(_encode(key)), wait_ms)

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), self.directory, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.directory!r}, name={self.name!r})"

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def _remake(kind: type[Cache[Any, Any]], directory: str | None, name: str) -> Cache[Any, Any]:
    return kind(directory, name=name)


def _encode(key: object) -> bytes:
    try:
        return _saggar.encode(key)
    except _saggar.Uncacheable as error:
        raise TypeError(f"not a key: {error}") from None
