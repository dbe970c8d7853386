"""The adapter for Numba.

`install()` makes Numba look for compiled code in Saggar instead of its own cache files; the import hook calls it when
Numba is imported. It never raises and never prints. If this Numba is not as it expects, it changes nothing and says
why in `status()`.
"""
from __future__ import annotations

import importlib.util
import os

_status: dict[str, object] = {"installed": False, "active": False, "reason": "not installed"}


def install() -> bool:
    """Connects Numba to Saggar; True if it is connected now. May be called again."""
    if _status["installed"]:
        return bool(_status["active"])
    _status["installed"] = True
    try:
        _install()
    except Exception as error:
        _off(f"{type(error).__name__}: {error}")
    return bool(_status["active"])


def status() -> dict[str, object]:
    """For `saggar doctor`: installed, active, reason (why not active), version of Numba."""
    return dict(_status)


def _install() -> None:
    if os.environ.get("SAGGAR_MODE") == "off":
        _status.update(active=False, reason="SAGGAR_MODE=off")
        return
    if importlib.util.find_spec("saggar._saggar") is None:
        _status.update(active=False, reason="unsupported platform")
        return
    import numba

    _status["version"] = numba.__version__
    if numba.config.DISABLE_JIT:
        _off("NUMBA_DISABLE_JIT is set")
        return
    from .. import process

    if unknown := process.unknown_python():
        _off(unknown)
        return
    from . import events, patch, points

    try:
        patch.apply()
    except points.Unknown as error:
        _off(f"this Numba is not known: {error}")
        return
    events.listen()
    _status.update(active=True, reason="")
    process.report("adapter", flags=process._saggar.FLAG_ACTIVE, group="numba", detail=f"numba {numba.__version__}")


def _off(reason: str) -> None:
    _status.update(active=False, reason=reason)
    try:
        from .. import process

        process.report("adapter", group="numba", detail=f"numba {_status.get('version', '')}: off: {reason}")
    except Exception:
        pass
