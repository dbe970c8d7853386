"""What this process holds for every adapter: the cache handle and the trail. Nothing here raises."""
from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from . import _saggar

NEWEST = (3, 13)  # the last Python whose byte code the adapters read
_cache: Any = None
_failed = False
_lock = threading.Lock()


def _after_fork() -> None:
    """The child has one thread, and no other that could release the lock."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def cache() -> Any:
    """The process's cache, or None if it cannot be opened (counted once)."""
    global _cache, _failed
    if _cache is None and not _failed:
        with _lock:
            if _cache is None and not _failed:
                try:
                    _cache = _saggar.Cache(prefix=sys.prefix)
                except Exception as error:
                    _failed = True
                    fault(f"the cache cannot be opened: {error or type(error).__name__}")
    return _cache


def unknown_python() -> str:
    """Why the adapters are off under this Python; "" if they are not. They would guess what code reads."""
    if sys.version_info[:2] <= NEWEST:
        return ""
    return f"Python {sys.version_info[0]}.{sys.version_info[1]} is not known: up to {NEWEST[0]}.{NEWEST[1]} is"


def required() -> bool:
    """True under SAGGAR_MODE=require."""
    return os.environ.get("SAGGAR_MODE") == "require"


def report(event: str, **details: Any) -> None:
    """One event of the trail."""
    try:
        _saggar.trail(event, **details)
    except Exception:
        pass


def fault(detail: str, group: str = "") -> None:
    """A fault of an adapter: counted, never raised."""
    report("fault", detail=detail[:500], group=group)


def now() -> int:
    """Nanoseconds of a clock that only goes forward."""
    return time.perf_counter_ns()
