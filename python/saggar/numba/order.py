"""Numba's own registrations stand before what others add after the first function was compiled or served.

Numba loads its own overloads and lowerings, and the extensions that are installed, when it compiles, or loads from its own cache, for the
first time; of several for one function the earlier or the later wins. A function that Saggar serves needs none of Numba's own, and loading
them takes nearly as long as importing Numba. So they are loaded when something is compiled, and what others registered or installed since the
first function was looked up is put behind them then. Extensions are loaded before it is looked up: what they register may concern it.
"""
from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from numba.core import imputils, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import _DispatcherBase
from numba.core.registry import cpu_target
from numba.core.typing import templates

from .. import process
from . import extensions

_REGISTRIES = ("registry", "builtin_registry", "class_impl_registry")  # the names that they have in Numba's modules
_marks: dict[int, int] | None = None  # by the id of a registry's list: how long it was when the first function was looked up
_waiting: list[tuple[Any, Any]] = []  # contexts, and registries that were installed since
_begun = False
_loading = _loaded = False  # Numba's own


def apply(base: Any, context: Any) -> None:
    """Changes Numba: `base` is numba.core.base, `context` numba.core.typing.context."""
    base.BaseContext.refresh = _lowering(base.BaseContext.refresh)
    context.BaseContext.refresh = _typing(context.BaseContext.refresh)
    for cls, loader in (base.BaseContext, imputils.RegistryLoader), (context.BaseContext, templates.RegistryLoader):
        cls.install_registry = _installing(cls.install_registry, loader)


def _lowering(original: Any) -> Any:
    @functools.wraps(original)
    def refresh(self: Any) -> None:
        global _loaded
        if _marks is not None:
            _load(_marks)
        first = not _loaded and self is cpu_target.target_context
        if first:
            cpu_target.typing_context.refresh()  # a compilation begins with that
        original(self)
        _loaded = _loaded or first

    return refresh


def _typing(original: Any) -> Any:
    @functools.wraps(original)
    def refresh(self: Any) -> None:
        if _marks is not None:
            _load(_marks)  # for every context: what one has installed keeps its place
        original(self)

    return refresh


def _installing(original: Any, loader: Any) -> Any:
    @functools.wraps(original)
    def install_registry(self: Any, registry: Any) -> None:
        if _marks is not None and self in (cpu_target.typing_context, cpu_target.target_context):
            _waiting.append((self, registry))
            if registry not in self._registries:
                self._registries[registry] = loader(registry)  # nothing is taken from it yet
            if _marks is not None:
                return  # else Numba's own were loaded meanwhile
        original(self, registry)

    return install_registry


def load_extensions() -> None:
    """The first function is about to be looked up. Without Saggar, Numba's own and the installed extensions would be loaded now; the latter are."""
    global _begun, _marks
    if _begun:
        return
    with global_compiler_lock:
        if not _begun:
            if not _loaded and not _loading:
                _marks = {id(items): len(items) for items in _lists()}
            _begun = True
            _DispatcherBase._compilation_chain_init_hook(None)  # what that raises, and warns of, is as without Saggar


def find(cache: Any, key: bytes, resolver: Any) -> tuple[Any, str, str]:
    """What `cache` has under a key: (entry, reason, detail). Before a miss, Numba's own are loaded."""
    found: tuple[Any, str, str] = cache.find(key, resolver)
    if found[0] is None and found[1] == "dependency" and not _loaded:
        extensions.load_own()
        found = cache.find(key, resolver)
    return found


def _load(marks: dict[int, int]) -> None:
    """Loads Numba's own, with what others have registered since the first function was looked up put behind them, and reads all again."""
    global _marks, _loading
    _marks, _loading = None, True
    try:
        with _aside(marks):
            cpu_target.target_context.refresh()
            for context, registry in _waiting:
                context.install_registry(registry)
            _waiting.clear()
    except BaseException:
        _marks = marks
        raise
    finally:
        _loading = False
        extensions.read_again()


@contextmanager
def _aside(marks: dict[int, int]) -> Iterator[None]:
    """Takes what others registered since out of the registries, and puts it at their ends."""
    taken: list[tuple[list[Any], list[Any]]] = []
    try:
        for items in _lists():
            late = [at for at in range(marks.get(id(items), 0), len(items)) if _is_foreign(items[at])]
            taken.append((items, [items[at] for at in late]))
            for at in reversed(late):
                del items[at]
    except Exception as error:
        process.fault(f"ordering what is registered: {type(error).__name__}: {error}")
    try:
        yield
    finally:
        for items, others in taken:
            items.extend(others)


def _lists() -> Iterator[list[Any]]:
    """All lists of Numba's registries that are there."""
    for name, module in list(sys.modules.items()):
        if name.startswith("numba.") and isinstance(module, ModuleType):
            for registry in map(module.__dict__.get, _REGISTRIES):
                names = (extensions.TYPING if isinstance(registry, templates.Registry)
                         else extensions.LOWERING if isinstance(registry, imputils.Registry) else ())
                for each in names:
                    yield getattr(registry, each)


def _is_foreign(item: Any) -> bool:
    """True if something that stands in a registry, or a part of it, is not Numba's own."""
    if isinstance(item, tuple):
        return any(map(_is_foreign, item))
    if isinstance(item, types.Function):
        return any(map(_is_foreign, item.templates))
    if isinstance(item, type) and issubclass(item, (templates.FunctionTemplate, templates.AttributeTemplate)):
        return extensions.is_foreign(item.key) or extensions.is_foreign_template(item)
    return extensions.is_foreign(extensions.unwrapped(item))
