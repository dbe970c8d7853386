"""What this process holds: the cache handle and the trail. Nothing here raises."""
from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from .. import _saggar

WAIT_MS = 900_000  # for who builds the same: it takes minutes, and one that died is followed at once

_cache: Any = None
_failed = False
_lock = threading.Lock()


def _after_fork() -> None:
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
                    _cache = _saggar.Cache(prefix=sys.prefix, wait_ms=-1 if os.environ.get("SAGGAR_WAIT") else WAIT_MS)
                except Exception as error:
                    _failed = True
                    fault(f"the cache cannot be opened: {error or type(error).__name__}")
    return _cache


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
    """A fault of the adapter: counted, never raised."""
    report("fault", detail=detail[:500], group=group)


def uncacheable(group: str, why: str) -> None:
    """Something has no key, and GT4Py did it in its own way."""
    for event in ("miss", "not-stored"):
        report(event, flags=_saggar.FLAG_USED, reason="uncacheable", group=group, detail=why[:500])


def now() -> int:
    return time.perf_counter_ns()


class Required(RuntimeError):
    """SAGGAR_MODE=require: something would be compiled."""
