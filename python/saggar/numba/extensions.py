"""What packages and programs add to Numba: overloads, intrinsics, attributes, lowerings, types.

Numba keeps them in process-wide registries, under the function, attribute or type that they are for. Here each of
those is a *subject*, a text that means the same in every process, and `digest(subject)` is the content of everything
that is registered for it now. What Numba registers itself is left out: its version is in every recipe.

The registries only grow; they are read on from where the last reading stopped.
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from numba.core import imputils, pythonapi, types
from numba.core.datamodel.registry import default_manager
from numba.core.registry import cpu_target
from numba.core.typing import templates

from .. import _saggar
from . import codec, functions, identity, kinds, values

_TEMPLATES_MODULE = templates.__name__


class Subject:
    """One subject: its text (None if it has none) and what is registered for it, in order."""

    __slots__ = ("text", "items")

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.items: list[object] = []


class _Registry:
    """The subjects of one kind, by the object that Numba knows them under and by their text."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.by_key: dict[Any, Subject] = {}
        self.by_text: dict[str, Subject] = {}

    def add(self, key: Any, item: object) -> Subject:
        subject = self.by_key.get(key)
        if subject is None:
            text = subject_text(key)
            subject = self.by_text.get(text) if text is not None else None
            if subject is None:
                subject = Subject(None if text is None else f"{self.kind} {text}")
                if text is not None:
                    self.by_text[text] = subject
            self.by_key[key] = subject
        subject.items.append(item)
        return subject


class _Index:
    def __init__(self) -> None:
        self.calls = _Registry("call")
        self.attributes = _Registry("attribute")
        self.lowerings = _Registry("lowering")
        self.lowering_of: dict[int, Subject] = {}  # id of an implementation, which its registry keeps alive
        self.template_of: dict[int, Subject] = {}  # id of a template, likewise
        self._read: dict[str, int] = {}
        self._seen: set[int] = set()

    def refresh(self) -> None:
        """Takes in what was registered since the last time."""
        typing, lowering = templates.builtin_registry, imputils.builtin_registry
        for template in self._new("functions", typing.functions):
            self._template(self.calls, template.key, template)
        for template in self._new("attributes", typing.attributes):
            self._template(self.attributes, (template.key, vars(template).get("_attr", "")), template)
        for value, found in self._new("globals", typing.globals):
            for template in getattr(found, "templates", ()):
                self._template(self.calls, value, template)
        for implementation, key, signature in self._new("lower", lowering.functions):
            if key is not implementation:  # an intrinsic's, which its definition decides
                self._lowering(("call", key), implementation, signature)
        for name in ("getattrs", "setattrs"):
            for implementation, attribute, signature in self._new(name, getattr(lowering, name)):
                self._lowering((name[:-1], str(attribute)), implementation, signature)
        for name in ("casts", "constants"):
            for implementation, signature in self._new(name, getattr(lowering, name)):
                self._lowering((name[:-1], ""), implementation, signature)

    def _new(self, name: str, registered: list[Any]) -> Iterator[Any]:
        """What was not taken in yet. One that cannot be is met again, so that nothing is stored without it."""
        at = self._read.get(name, 0)
        while at < len(registered):
            yield registered[at]
            at += 1
            self._read[name] = at

    def _template(self, registry: _Registry, key: Any, template: Any) -> None:
        if id(template) in self._seen and key in registry.by_key:
            return  # it stands in two lists
        if is_foreign(key) or is_foreign_template(template):
            self._seen.add(id(template))
            self.template_of[id(template)] = registry.add(key, template)

    def _lowering(self, key: tuple[str, Any], implementation: Any, signature: Any) -> None:
        function = unwrapped(implementation)
        if getattr(function, "__module__", None) == _TEMPLATES_MODULE:
            return  # made while an overload is used; the overload decides
        if is_foreign(function) or any(map(is_foreign, signature)) or is_foreign(key[1]):
            if key[0] != "call":  # many types share an attribute's name
                key = (*key, *signature[:1])
            subject = self.lowerings.add(key, (function, signature))
            self.lowering_of[id(implementation)] = subject


_index = _Index()


def index() -> _Index:
    """The index as of now. Attributes are known by (type or class, name), or (..., "") where a class resolves many."""
    _index.refresh()
    return _index


def is_foreign(value: Any) -> bool:
    """True if something comes from a package whose version is not in every recipe."""
    if isinstance(value, FunctionType):
        if not functions.is_pinned(value.__globals__.get("__name__")):
            return True
        return value.__closure__ is not None and any(
            is_foreign(cell) for cell in _cells(value) if isinstance(cell, (FunctionType, type, types.Type)))
    if isinstance(value, tuple):
        return any(map(is_foreign, value))
    if isinstance(value, str) or value is None:
        return False
    cls = value if isinstance(value, type) else type(value)
    if isinstance(value, (type, types.Type)):
        known = _foreign_classes.get(cls)
        if known is None:
            known = _foreign_classes[cls] = not functions.is_pinned(kinds.module_of(cls))
        return known
    module = getattr(value, "__module__", None)
    return not functions.is_pinned(module if isinstance(module, str) else kinds.module_of(cls))


_foreign_classes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def is_foreign_template(template: Any) -> bool:
    """True if a template's own functions are not Numba's."""
    for name in ("_overload_func", "_definition_func"):
        if name in vars(template):
            return is_foreign(getattr(template, name))
    return any(is_foreign(function) for _, function in functions_of(template))


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            if cell.cell_contents is not function:
                yield cell.cell_contents
        except ValueError:
            pass


def unwrapped(implementation: Any) -> Any:
    """The function behind an object that is called as one."""
    return getattr(implementation, "func", implementation)


def functions_of(cls: type) -> list[tuple[str, FunctionType]]:
    """The functions that a template, a type or a data model consists of, without those of Numba's own classes."""
    result = []
    for klass in cls.__mro__:
        if functions.is_pinned(klass.__module__) and functions.by_name(klass) is not None:
            continue
        for name, value in sorted(vars(klass).items()):
            for function in _inner(value):
                result.append((f"{klass.__qualname__}.{name}", function))
    return result


def _inner(value: Any) -> list[FunctionType]:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        return [function for function in (value.fget, value.fset, value.fdel) if isinstance(function, FunctionType)]
    return [value] if isinstance(value, FunctionType) else []


def subject_text(key: Any) -> str | None:
    """A text for what something is registered for: the same in every process, or None."""
    try:
        if isinstance(key, tuple):
            parts = [subject_text(part) for part in key]
            return None if None in parts else " ".join(filter(None, parts))  # type: ignore[arg-type]
        if isinstance(key, str):
            return key
        if isinstance(key, types.Type):
            encoded = values.Encoder(_by_content).encode(key)
            return f"type {_saggar.sha256(encoded).hex()}"
        if functions.by_name(key) is not None:
            return f"{functions.logical_module(key.__module__)}:{getattr(key, '__qualname__', key.__name__)}"
        name = getattr(key, "__name__", None)
        if isinstance(name, str) and getattr(sys.modules.get("numpy"), name, None) is key:
            return f"numpy:{name}"
        return f"code {identity.content(key).digest.hex()}"
    except Exception:
        return None


def _by_content(target: Any) -> object:
    """A function that Python runs while Numba compiles."""
    return _saggar.Digest("function", identity.content(target, interpreted=True).digest)


def type_subject(t: types.Type) -> str | None:
    """The subject of a type whose class is not Numba's, or None."""
    cls = type(t)
    if functions.is_pinned(cls.__module__) and not any(map(is_foreign, cls.__mro__[:-1])):
        return None
    return f"type {functions.logical_module(cls.__module__)}:{cls.__qualname__}"


def digest(text: str) -> bytes | None:
    """The content of what is registered for a subject now; None if nothing is. Raises Uncacheable."""
    kind, _, name = text.partition(" ")
    if kind == "type":
        module, _, qualname = name.partition(":")
        cls = codec.held(module if module != "__main__" or module in sys.modules else "__mp_main__", qualname)
        return None if not isinstance(cls, type) else _saggar.sha256(_encode(_type_value(cls)))
    now = index()
    registry = {"call": now.calls, "attribute": now.attributes, "lowering": now.lowerings}.get(kind)
    subject = registry.by_text.get(name) if registry is not None else None
    if subject is None:
        return None
    describe = _lowering_value if kind == "lowering" else _template_value
    return _saggar.sha256(_encode(tuple([describe(item) for item in subject.items])))


_overrides_of = 0, b""


def overrides() -> bytes:
    """
    The digest of the overloads that replace an attribute or method which Numba has itself, b"" if there are none. One
    that is added changes functions whose entries do not know of it, so it is a part of every key.
    """
    global _overrides_of
    registered = templates.builtin_registry.attributes
    if len(registered) != _overrides_of[0]:
        found = [t for t in registered if "_attr" in vars(t) and is_foreign_template(t) and not is_foreign(t.key)]
        if found:
            cpu_target.typing_context.refresh()
            found = [t for t in found if _has_itself(t.key, t._attr)]
        _overrides_of = len(registered), _saggar.sha256(_encode(tuple(map(_template_value, found)))) if found else b""
    return _overrides_of[1]


def _has_itself(key: Any, name: str) -> bool:
    """True if Numba resolves the attribute of a type without anybody's help."""
    known = cpu_target.typing_context._attributes
    classes = key.__mro__ if isinstance(key, type) else (key, *type(key).__mro__)
    return any(vars(t).get("_attr") == name or hasattr(t, f"resolve_{name}")
               for cls in classes if cls in known for t in map(type, known[cls]) if not is_foreign_template(t))


def _encode(value: object) -> bytes:
    return values.Encoder(_by_content).encode(value)


def _template_value(template: Any) -> object:
    fields = vars(template)
    if "_overload_func" in fields:
        return _saggar.Record("overload", (
            ("function", _by_content(template._overload_func)),
            ("attribute", fields.get("_attr")),
            ("options", _saggar.Map(dict(fields.get("_jit_options") or {}))),
            ("strict", fields.get("_strict")),
            ("inline", _inline(fields.get("_inline"))),
            ("literal", bool(template.prefer_literal)),
            ("target", dict(fields.get("metadata") or {}).get("target")),
        ))
    if "_definition_func" in fields:
        return _saggar.Record("intrinsic", (("function", _by_content(template._definition_func)),
                                            ("literal", bool(template.prefer_literal))))
    return _class_value(template)


def _inline(options: Any) -> object:
    options = getattr(options, "__func__", options)
    value = getattr(options, "value", None)
    return _by_content(value) if isinstance(value, FunctionType) else value


def _class_value(cls: type) -> object:
    """A template, type or data model that is written as a class."""
    attributes: list[tuple[str, object]] = []
    for klass in cls.__mro__:
        if functions.is_pinned(klass.__module__) and functions.by_name(klass) is not None:
            continue
        for name, value in sorted(vars(klass).items()):
            if name in ("cases", "attr", "is_method", "mutable", "reflected", "prefer_literal"):
                attributes.append((f"{klass.__qualname__}.{name}", value))
    return _saggar.Record("class", (
        ("name", kinds.class_name(cls)),
        ("functions", tuple([(name, _by_content(function)) for name, function in functions_of(cls)])),
        ("attributes", tuple(attributes)),
    ))


def _lowering_value(item: Any) -> object:
    function, signature = item
    return ("lowering", _by_content(function), tuple(signature))


def _type_value(cls: type) -> object:
    """A type's class, its data model, and how it is passed to and from Python."""
    model = default_manager._handlers.get(cls)
    passed = []
    for name in ("_boxers", "_unboxers", "_reflectors"):
        function = getattr(pythonapi, name).functions.get(cls)
        passed.append((name, _by_content(function) if isinstance(function, FunctionType) else None))
    return _saggar.Record("type", (
        ("class", _class_value(cls)),
        ("model", _class_value(model) if isinstance(model, type) else
                  _by_content(model) if isinstance(model, FunctionType) else None),
        ("passed", tuple(passed)),
    ))
