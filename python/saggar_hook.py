"""Connects adapters to the packages that they are for, right after those were imported.

saggar.pth puts one finder in front of sys.meta_path in every interpreter. It lets all names pass but those of TABLE;
for these it asks find_spec() below, and only then is this module imported. find_spec() lets the other finders find the
package and sees to it that the adapter's install() runs once the package has executed. Nothing here prints, and nothing
here raises: what went wrong is in `state`, for `saggar doctor`.

This module stands beside the package `saggar` and not in it, so that little is imported. On Python 3.15 and later a
`.start` file can take the place of saggar.pth.
"""
from __future__ import annotations

import os
import sys
from _thread import get_ident
from importlib.machinery import SourceFileLoader, SourcelessFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Callable

#: Package -> adapter, a module with an install() that never raises. saggar.pth has the same names. A package inside another one is
#: there because it must be changed before what is imported next uses it.
TABLE = {
    "numba": "saggar.numba",
    "gt4py": "saggar.gt4py",
    "gt4py._core.filecache": "saggar.gt4py.filecache",
    "gt4py.next": "saggar.gt4py.next",
    "gt4py.cartesian": "saggar.gt4py.cartesian",
    "gt4py.cartesian.utils.compiler": "saggar.gt4py.probe",
}

#: Package -> "found" (but not executed yet), "done", or what went wrong. Absent: it was not imported.
state: dict[str, str] = {}

_searching: set[tuple[int, str]] = set()


def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
    """The package's spec as the other finders give it, with a loader that runs the adapter afterwards."""
    if name not in TABLE or state.get(name) == "done":
        return None
    search = (get_ident(), name)
    if search in _searching:  # another finder delegates too, and came back to us
        return None
    _searching.add(search)
    try:
        spec = _ask_others(name, path, target)
        if spec is not None and spec.loader is not None:
            state[name] = "found" if _watch(spec) else f"loader without exec_module: {type(spec.loader).__name__}"
        return spec
    except Exception as error:
        # The import system asks the same finder again when we pass, and raises this where it belongs.
        state[name] = f"finder: {type(error).__name__}: {error}"
        return None
    finally:
        _searching.discard(search)


def _is_ours(finder: object) -> bool:
    return getattr(finder, "name", None) == "saggar" and type(finder) is type(sys.implementation)


def _ask_others(name: str, path: Any, target: Any) -> ModuleSpec | None:
    """Those before our finder passed already; with a finder of a kind that is no more, we pass."""
    finders = list(sys.meta_path)
    ours = next((i for i, finder in enumerate(finders) if _is_ours(finder)), -1)
    for finder in finders[ours + 1 :]:
        find = getattr(finder, "find_spec", None)
        if find is None:
            return None
        spec = find(name, path, target)
        if spec is not None:
            return spec
    return None


def _watch(spec: ModuleSpec) -> bool:
    """Runs the adapter after the loader has executed the package. False if the loader cannot be watched."""
    loader: Any = spec.loader
    if not hasattr(loader, "exec_module"):
        return False
    if type(loader) in (SourceFileLoader, SourcelessFileLoader):
        # One loader for one module: it stays what it is, for all who look at it, and only this method is its own.
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            loader.__dict__.pop("exec_module", None)
            _execute(execute, module)

        loader.exec_module = exec_module
    else:
        spec.loader = _Watched(loader)  # type: ignore[assignment]
    return True


class _Watched:
    """In front of a loader that may serve other modules too; gone from the module when that has executed."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        create = getattr(self._loader, "create_module", None)
        return None if create is None else create(spec)

    def exec_module(self, module: ModuleType) -> None:
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        if module.__spec__ is not None and module.__spec__.loader is self:
            module.__spec__.loader = self._loader
        _execute(self._loader.exec_module, module)


def _execute(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    name = module.__name__
    if state.get(name) != "done":
        _starting(name)
    execute(module)
    if name in TABLE and state.get(name) != "done":
        state[name] = "done"
        try:
            __import__(TABLE[name], fromlist=["install"]).install()
        except Exception as error:
            state[name] = f"{TABLE[name]}: {type(error).__name__}: {error}"
        _leave()


def _starting(name: str) -> None:
    """Notes that the import begins: a process that is ended meanwhile is not one without the adapter."""
    if name in TABLE and "." not in name and os.environ.get("SAGGAR_TRAIL"):
        try:
            from saggar import _saggar

            _saggar.trail("adapter", flags=_saggar.FLAG_STARTING, group=name, detail="starting")
        except Exception:
            pass


def _leave() -> None:
    """Takes our finder away when it has nothing left to do. In a new list: another thread may walk over the old one."""
    if all(state.get(name, "found") != "found" for name in TABLE):
        sys.meta_path = [finder for finder in sys.meta_path if not _is_ours(finder)]
