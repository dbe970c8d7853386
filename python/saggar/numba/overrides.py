"""What somebody puts in the place of something that Numba has itself.

An overload, a lowering, a cast or a model that is added for Numba's own types, or a rewrite of every function, changes
functions whose entries cannot know of it. So it is a part of every key; nearly no program has any.
"""
from __future__ import annotations

from typing import Any

from numba.core import pythonapi, rewrites
from numba.core.datamodel.registry import default_manager
from numba.core.registry import cpu_target
from numba.core.target_extension import target_registry
from numba.core.typing import templates

from .. import _saggar
from . import descriptions, extensions, kinds

_known: tuple[tuple[Any, ...], bytes] = ((), b"")


def digest() -> bytes:
    """The digest of all that is replaced now, b"" if nothing is."""
    global _known
    state = _state()
    if state != _known[0]:
        found = [*_attributes(), *_first_ways(), *_lowerings(), *_rewrites(), *_types()]
        _known = state, _saggar.sha256(descriptions.encode(tuple(found))) if found else b""
    return _known[1]


def _state() -> tuple[Any, ...]:
    """Differs if something was registered since."""
    index = extensions.index()
    return (len(templates.builtin_registry.attributes), len(index.of_own_types), len(index.of_own_functions),
            *map(len, rewrites.rewrite_registry.rewrites.values()), *[len(of.functions) for of in _passing()],
            list(default_manager._handlers.values()))


def _passing() -> list[Any]:
    return [getattr(pythonapi, name) for name in descriptions.PASSING]


def _attributes() -> list[object]:
    found = [t for t in templates.builtin_registry.attributes
             if extensions.is_foreign_template(t) and not extensions.is_foreign(t.key)]
    if not found:
        return []
    extensions.load_own()
    return [("attribute", extensions.subject_text(t.key), descriptions.template(t)) for t in found
            if (names := _resolved(t)) is None or any(_has_attribute(t.key, name) for name in names)]


def _first_ways() -> list[object]:
    """
    Ways of typing Numba's own functions that are for this kind of processor: Numba tries them before all others. Those that are for
    any count where they come before Numba's own, see `precedence`.
    """
    found = extensions.index().of_own_functions
    return [("call", extensions.subject_text(t.key), descriptions.template(t)) for t in found if _is_for_processors(t)]


def _is_for_processors(template: Any) -> bool:
    name = dict(getattr(template, "metadata", None) or {}).get("target")
    return name not in (None, "generic") and name in target_registry and issubclass(target_registry["cpu"], target_registry[name])


def _resolved(template: Any) -> list[str] | None:
    """The attributes that a template is for; None if it decides that itself."""
    if "_attr" in vars(template):
        return [template._attr]
    names = [name.rpartition(".")[2] for name, _ in descriptions.functions_of(template)]
    if "generic_resolve" in names:
        return None
    return [name[len("resolve_"):] for name in names if name.startswith("resolve_")]


def _has_attribute(key: Any, name: str) -> bool:
    """True if Numba resolves the attribute of a type without anybody's help."""
    known = cpu_target.typing_context._attributes
    classes = key.__mro__ if isinstance(key, type) else (key, *type(key).__mro__)
    return any(vars(t).get("_attr") == name or hasattr(t, f"resolve_{name}")
               for cls in classes if cls in known for t in map(type, known[cls]) if not extensions.is_foreign_template(t))


def _lowerings() -> list[object]:
    found = extensions.index().of_own_types
    if not found:
        return []
    extensions.load_own()
    return [(what, name if isinstance(name, str) else extensions.subject_text(name), descriptions.lowering((function, signature)))
            for what, name, function, signature in found if _has_lowering(what, name)]


def _has_lowering(what: str, name: Any) -> bool:
    """True if Numba lowers the function or attribute itself, for some types."""
    context = cpu_target.target_context
    selectors = {"call": context._defns, "getattr": context._getattrs, "setattr": context._setattrs}.get(what)
    if selectors is None:
        return True  # a cast or a constant
    return name in selectors and any(not extensions.is_foreign(extensions.unwrapped(implementation))
                                     for _, implementation in selectors[name].versions)


def _rewrites() -> list[object]:
    return [("rewrite", kind, descriptions.written_class(cls)) for kind, found in sorted(rewrites.rewrite_registry.rewrites.items())
            for cls in found if extensions.is_foreign(cls)]


def _types() -> list[object]:
    found: list[object] = [("model", kinds.class_name(cls), descriptions.model(model))
                           for cls, model in default_manager._handlers.items()
                           if extensions.is_foreign(model) and not extensions.is_foreign(cls)]
    found.extend(("passed", of, kinds.class_name(cls), descriptions.by_content(function))
                 for of, registry in zip(descriptions.PASSING, _passing()) for cls, function in registry.functions.items()
                 if extensions.is_foreign(function) and not extensions.is_foreign(cls))
    return found
