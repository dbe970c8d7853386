"""The adapter for GT4Py.

Importing `gt4py` activates it; each part of GT4Py is changed right after its import, in worker processes too: the file cache
and the lock (`filecache`), the toolchains of `gt4py.next` (`next`, `dace`) and the stencils of `gt4py.cartesian` (`cartesian`).
It never raises and never prints. Where GT4Py is not as expected, that part is left as it is, and `status()` says why.
"""
from __future__ import annotations

import importlib.util
import os
from typing import Any, Callable

_status: dict[str, object] = {"installed": False, "active": False, "reason": "not installed", "off": {}}


def install() -> bool:
    """Called when `gt4py` is imported; True if the adapter is active. May be called again."""
    if not _status["installed"]:
        _status["installed"] = True
        try:
            _install()
        except Exception as error:
            _status.update(active=False, reason=f"{type(error).__name__}: {error}")
    return bool(_status["active"])


def status() -> dict[str, object]:
    """For `saggar doctor`: installed, active, reason (why not active), version of GT4Py, off (parts that are not connected)."""
    return dict(_status)


def _install() -> None:
    if os.environ.get("SAGGAR_MODE") == "off":
        _status.update(active=False, reason="SAGGAR_MODE=off")
        return
    if importlib.util.find_spec("saggar._saggar") is None:
        _status.update(active=False, reason="unsupported platform")
        return
    import gt4py

    from .. import process

    if unknown := process.unknown_python():
        _status.update(active=False, reason=unknown, version=gt4py.__version__)
        return
    _status.update(active=True, reason="", version=gt4py.__version__)
    process.report("adapter", flags=process._saggar.FLAG_ACTIVE, group="gt4py", detail=f"gt4py {gt4py.__version__}")


def part(name: str, change: Callable[[], Any]) -> bool:
    """Changes one part of GT4Py if the adapter is active; what goes wrong turns this part off and is recorded."""
    if not install():
        return False
    try:
        change()
        return True
    except Exception as error:
        reason = f"{name}: {type(error).__name__}: {error}"
        off = dict(_status["off"])  # type: ignore[call-overload]
        off[name] = reason
        _status.update(off=off)
        from .. import process

        process.report("adapter", group="gt4py", detail=f"gt4py {_status.get('version', '')}: off: {reason}")
        return False
