"""GT4Py's file cache as a mapping of Saggar, and its lock.

A `FileCache` is a store of its own in the directory that GT4Py gives it: reading takes no lock and writes nothing, a damaged value is not
there, and writing never fails because of the disk. The lock is GT4Py's own; where its file cannot be made it is nobody's, because
nothing can be built there either.
"""
from __future__ import annotations

import contextlib
import os
import pathlib
from typing import Any, Hashable

from .. import _saggar, mapping

_lock: Any = None


class FileCache:
    """A dictionary on disk with the interface of `gt4py._core.filecache.FileCache`."""

    path: pathlib.Path

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path).resolve()
        self._values: mapping.Cache[Any, Any] = mapping.Cache(self.path)

    def _get_path(self, key: Hashable) -> pathlib.Path:
        """Where the value lies."""
        name = self._values._open().key(_saggar.encode(_plain(key))).hex()
        return self.path / "v1" / name[:2] / f"{name}.0"

    def __getitem__(self, key: Hashable) -> Any:
        return self._values[_plain(key)]

    def __setitem__(self, key: Hashable, value: Any) -> None:
        self._values[_plain(key)] = value

    def __delitem__(self, key: Hashable) -> None:
        del self._values[_plain(key)]

    def __contains__(self, key: Hashable) -> bool:
        return _plain(key) in self._values

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


def _plain(key: Hashable) -> Any:
    """The key as Saggar takes it; one of another type by GT4Py's own digest."""
    if isinstance(key, (str, bytes, int, float, bool, type(None))):
        return key
    from gt4py.eve import utils

    return "content", utils.content_hash(key)


class Lock(contextlib.AbstractContextManager["Lock"]):
    """GT4Py's lock of a path."""

    def __init__(self, path: str) -> None:
        self._lock = _lock(path)
        self._held = False

    def __enter__(self) -> "Lock":
        try:
            self._lock.__enter__()
            self._held = True
        except OSError:
            if os.access(os.path.dirname(self._lock.lock_file), os.W_OK):
                raise
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._held:
            self._held = False
            self._lock.__exit__(*exc)


# GT4Py makes the lock file's name of these: the same file as without Saggar.
def _named_like(lock: Any) -> None:
    Lock.__module__, Lock.__name__ = lock.__module__, lock.__name__


def _change() -> None:
    global _lock
    from gt4py._core import filecache, locking

    from . import points

    points.expect(filecache.FileCache, "__getitem__", "self", "key")
    points.expect(filecache.FileCache, "__setitem__", "self", "key", "value")
    points.expect(locking, "lock", "directory", "suffix")
    if _lock is None:
        _lock = points.expect(locking, "_lock_constructor")
        _named_like(_lock)
        filecache.FileCache = FileCache  # type: ignore[misc]
        locking._lock_constructor = Lock


def install() -> bool:
    """Called when `gt4py._core.filecache` is imported."""
    from . import part

    return part("gt4py._core.filecache", _change)

