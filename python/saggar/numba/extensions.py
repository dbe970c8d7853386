"""What packages and programs add to Numba: overloads, intrinsics, attributes, lowerings, types.

Numba keeps them in process-wide registries, under the function, attribute or type that they are for. Here each of
those is a *subject*, a text that means the same in every process, and `digest(subject)` is the content of everything
that is registered for it now. What Numba registers itself is left out: its version is in every recipe.

The registries grow; they are read on from where the last reading stopped. Where `order` puts something behind Numba's own, they are read again.
"""
from __future__ import annotations

import bisect
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from numba.core import imputils, types
from numba.core.datamodel.registry import default_manager
from numba.core.registry import cpu_target
from numba.core.typing import templates

from .. import _saggar, code
from . import codec, descriptions, functions, identity, kinds, values

_TEMPLATES_MODULE = templates.__name__


class Subject:
    """
    One subject: what Numba knows it under, its text (None if it has none) and what is registered for it, by registry and list and in
    the order of each, whenever it was read. `of`: what an implementation does and the name that it is for, where it is one of several for the
    classes of a type.
    """

    __slots__ = ("key", "text", "items", "of", "_ranks", "_first")

    def __init__(self, key: Any, text: str | None) -> None:
        self.key = key
        self.text = text
        self.items: list[object] = []
        self.of: tuple[str, Any] | None = None
        self._ranks: list[tuple[int, int]] = []
        self._first: dict[int, bytes | None] = {}  # by the id of an item

    def add(self, item: object, rank: tuple[int, int]) -> None:
        """`rank`: the registry's place among all, and the list's in it."""
        at = bisect.bisect_right(self._ranks, rank)
        self._ranks.insert(at, rank)
        self.items.insert(at, item)

    def met(self) -> None:
        """It is used: Numba runs each item once in a process, with what it reads then."""
        if len(self._first) < len(self.items):
            for item in self.items:
                if id(item) not in self._first:
                    self._first[id(item)] = self.content(item)

    def is_as_met(self) -> bool:
        """False if something that an item reads has changed since it was used."""
        return all(self._first[id(item)] == self.content(item) for item in self.items if id(item) in self._first)

    def content(self, item: object) -> bytes | None:
        """The digest of one item's content; None if it has none."""
        describe = descriptions.lowering if isinstance(item, tuple) else descriptions.template
        try:
            return _saggar.sha256(descriptions.encode(describe(item)))
        except _saggar.Uncacheable:
            return None


class _Registry:
    """
    The subjects of one kind, by the object that Numba knows them under and by their text. Several have one text where a factory
    makes the objects, or where a module is loaded again.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.by_key: dict[Any, Subject] = {}
        self.by_text: dict[str, list[Subject]] = {}
        self.texts: dict[Any, str | None] = {}  # as they were when a key was met first

    def add(self, key: Any, item: object, rank: tuple[int, int]) -> Subject:
        subject = self.by_key.get(key)
        if subject is None:
            if key not in self.texts:
                self.texts[key] = subject_text(key)
            text = self.texts[key]
            subject = self.by_key[key] = Subject(key, None if text is None else f"{self.kind} {text}")
            if text is not None:
                self.by_text.setdefault(text, []).append(subject)
        subject.add(item, rank)
        return subject


TYPING = ("functions", "attributes", "globals")
LOWERING = ("functions", "getattrs", "setattrs", "casts", "constants")


class _Source:
    """A registry, its place among all, and how far it was read; `watched` if it may hold what is not Numba's."""

    __slots__ = ("registry", "place", "read", "watched")

    def __init__(self, registry: Any, place: int, names: tuple[str, ...], watched: bool) -> None:
        self.registry = registry
        self.place = place
        self.read = dict.fromkeys(names, 0)
        self.watched = watched

    def new(self, name: str) -> Iterator[Any]:
        """What was not taken in yet. One that cannot be is met again, so that nothing is stored without it."""
        registered = getattr(self.registry, name)
        while self.read[name] < len(registered):
            yield registered[self.read[name]]
            self.read[name] += 1


class _Index:
    """What is registered, as far as it was read. It takes the subjects' texts, and which registries are watched, from an earlier one."""

    def __init__(self, before: _Index | None = None) -> None:
        self.calls = _Registry("call")
        self.attributes = _Registry("attribute")
        self.lowerings = _Registry("lowering")
        self.lowering_of: dict[int, Subject | None] = {}  # id of an implementation, which its registry keeps alive
        self.template_of: dict[int, Subject] = {}  # id of a template, likewise
        self.of_own_types: list[tuple[str, Any, Any, Any]] = []  # what, name, implementation, types: all but it are Numba's
        self.of_own_functions: list[Any] = []  # templates of others for Numba's own
        self._growing: list[Any] = []  # the lists that others add to
        self._size = -1  # how much was taken in from them
        self._installed = 0  # how many registries the contexts had
        self._watched: set[int] = set()  # the ids of registries that may hold what is not Numba's
        if before is not None:
            self.calls.texts, self.attributes.texts, self.lowerings.texts = before.calls.texts, before.attributes.texts, before.lowerings.texts
            self._watched = {key for known in (before._typing, before._lowering) for key, source in known.items() if source.watched}
        self._typing = {id(templates.builtin_registry): _Source(templates.builtin_registry, 0, TYPING, True)}
        self._lowering = {id(imputils.builtin_registry): _Source(imputils.builtin_registry, 0, LOWERING, True)}

    def refresh(self, all_registries: bool = False) -> None:
        """Takes in what was registered since the last time: in every registry, or in those that others use."""
        if not all_registries and sum(map(len, self._growing)) == self._size:
            return
        self._refresh(all_registries)
        sources = [source for known in (self._typing, self._lowering) for source in known.values() if source.watched]
        self._growing = [cpu_target.typing_context._registries, cpu_target.target_context._registries,
                         *(getattr(source.registry, name) for source in sources for name in source.read)]
        self._size = self._installed + sum(sum(source.read.values()) for source in sources)

    def _refresh(self, all_registries: bool) -> None:
        installed = cpu_target.typing_context._registries, cpu_target.target_context._registries
        if sum(map(len, installed)) != self._installed:
            all_registries, first = True, not self._installed
            self._installed = sum(map(len, installed))
            for registries, sources, names in zip(installed, (self._typing, self._lowering), (TYPING, LOWERING)):
                for registry in list(registries):
                    sources.setdefault(id(registry), _Source(registry, len(sources), names, not first or id(registry) in self._watched))
        for sources, read in ((self._typing, self._read_typing), (self._lowering, self._read_lowering)):
            for source in sources.values():
                if (all_registries or source.watched) and read(source):
                    source.watched = True

    def _read_typing(self, source: _Source) -> bool:
        before = len(self.template_of)
        for template in source.new("functions"):
            self._template(self.calls, template.key, template, (source.place, 1))
        for template in source.new("attributes"):
            self._template(self.attributes, (template.key, vars(template).get("_attr", "")), template, (source.place, 0))
        for value, found in source.new("globals"):
            for template in getattr(found, "templates", ()):
                self._template(self.calls, value, template, (source.place, 0))  # these are tried first
        return len(self.template_of) > before

    def _read_lowering(self, source: _Source) -> bool:
        before = len(self.lowering_of), len(self.of_own_types)
        for implementation, key, signature in source.new("functions"):
            if key is implementation:  # an intrinsic's, which its definition decides
                self.lowering_of[id(implementation)] = None
            else:
                self._implementation("call", key, implementation, signature, source.place)
        for name in ("getattrs", "setattrs"):
            for implementation, attribute, signature in source.new(name):
                self._implementation(name[:-1], str(attribute), implementation, signature, source.place)
        for name in ("casts", "constants"):
            for implementation, signature in source.new(name):
                self._implementation(name[:-1], "", implementation, signature, source.place)
        return (len(self.lowering_of), len(self.of_own_types)) > before

    def _template(self, registry: _Registry, key: Any, template: Any, rank: tuple[int, int]) -> None:
        if id(template) in self.template_of and key in registry.by_key:
            return  # it stands in two lists
        if is_foreign(key) or is_foreign_template(template):
            self.template_of[id(template)] = registry.add(key, template, rank)
            if registry is self.calls and not is_foreign(key):
                self.of_own_functions.append(template)

    def _implementation(self, what: str, name: Any, implementation: Any, signature: Any, place: int) -> None:
        function = unwrapped(implementation)
        if getattr(function, "__module__", None) == _TEMPLATES_MODULE:
            return  # made while an overload is used; the overload decides
        of_others = any(map(is_foreign, signature)) or is_foreign(name)
        if is_foreign(function) or of_others:
            subject = self.lowering_of[id(implementation)] = self.lowerings.add(_lowered_for(what, name, signature), (function, signature), (place, 0))
            subject.of = (what, name) if what in ("getattr", "setattr", "constant") else None
            if what == "call" and not is_foreign(name):
                for part in dict.fromkeys(filter(is_foreign, signature)):
                    self.lowerings.add((what, name, part), (function, signature), (place, 0))
            if not of_others:
                self.of_own_types.append((what, name, function, signature))


def _lowered_for(what: str, name: Any, signature: Any) -> tuple[Any, ...]:
    """What an implementation is found under. Many types share an attribute's name, and many are converted to Numba's own."""
    if what == "call":
        return what, name
    if what == "cast" and not is_foreign(signature[0]) and is_foreign(signature[1]):
        return what, "to", signature[1]
    return what, name, *signature[:1]


_index = _Index()


def read_again() -> None:
    """The registries are in another order now; nothing was compiled with what was read before. Subjects keep their texts."""
    global _index
    functions.read_again()
    _index = _Index(_index)
    _index.refresh(all_registries=True)


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
            known = _foreign_classes[cls] = not functions.is_pinned_class(cls)
        return known
    module = getattr(value, "__module__", None)
    return not functions.is_pinned(module if isinstance(module, str) else kinds.module_of(cls))


_foreign_classes: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def is_foreign_template(template: Any) -> bool:
    """True if a template's own functions are not Numba's."""
    for name in ("_overload_func", "_definition_func"):
        if name in vars(template):
            return is_foreign(getattr(template, name))
    return any(is_foreign(function) for _, function in descriptions.functions_of(template))


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            if cell.cell_contents is not function:
                yield cell.cell_contents
        except ValueError:
            pass


def unwrapped(implementation: Any) -> Any:
    """The function behind an object that is called as one, or behind what Numba wraps around an attribute's."""
    function = getattr(implementation, "func", implementation)
    if isinstance(function, FunctionType) and function.__module__ == imputils.__name__ and hasattr(function, "attr"):
        inner = [cell for cell in _cells(function) if isinstance(cell, FunctionType)]
        return inner[0] if inner else function
    return function


def subject_text(key: Any) -> str | None:
    """A text for what something is registered for: the same in every process, or None."""
    try:
        if isinstance(key, tuple):
            parts = [subject_text(part) for part in key]
            return None if None in parts else " ".join(filter(None, parts))  # type: ignore[arg-type]
        if isinstance(key, str):
            return key
        if isinstance(key, types.Type):
            encoded = values.Encoder(descriptions.by_content).encode(key)
            return f"type {_saggar.sha256(encoded).hex()}"
        if functions.by_name(key) is not None:
            return f"{functions.logical_module(key.__module__)}:{getattr(key, '__qualname__', key.__name__)}"
        name = getattr(key, "__name__", None)
        if isinstance(name, str) and getattr(sys.modules.get("numpy"), name, None) is key:
            return f"numpy:{name}"
        first = next(iter(functions.own_overloads(key)), key)  # others may be registered later
        return f"code {identity.content(first).digest.hex()}"
    except Exception:
        return None


def is_own_type(t: types.Type) -> bool:
    """True if a type's class is Numba's own."""
    return not any(map(is_foreign, type(t).__mro__[:-1]))


def of_classes(kind: str, t: types.Type, *names: Any, own: bool) -> Iterator[str]:
    """The subjects that a name, or a tuple of them, may have for a type and its classes; those of Numba's own only if `own`."""
    found: list[Any] = [cls for cls in type(t).__mro__[:-1] if own or is_foreign(cls)]
    if not found:
        return
    of_type = _type_texts.get(t._code)
    if of_type is None:
        of_type = _type_texts[t._code] = subject_text(t)
    for of in (of_type, *map(subject_text, found)):
        for name in names:
            text = None if of is None else subject_text((*name, of) if isinstance(name, tuple) else (of, name))
            if text is not None:
                yield f"{kind} {text}"


_type_texts = kinds.ByType()


def load_own() -> None:
    """Loads what Numba's own overloads stand in, as its first compilation does."""
    cpu_target.target_context.refresh()  # and the typing context, see `order`


def count(text: str) -> int:
    """How much is registered for a subject now."""
    return sum(len(subject.items) for subject in _registered(text, _index))


def registered_calls(name: str) -> list[Subject]:
    """What others registered for the functions of a name, as far as it was taken in."""
    return _index.calls.by_text.get(name, [])


def _registered(text: str, of: _Index) -> list[Subject]:
    kind, _, name = text.partition(" ")
    registry = {"call": of.calls, "attribute": of.attributes, "lowering": of.lowerings}.get(kind)
    return [] if registry is None else registry.by_text.get(name, [])


def type_subject(cls: type) -> str:
    """The subject of the types of a class that is not Numba's. Raises Uncacheable if no name leads to that class."""
    if functions.by_name(cls) is None:
        raise _saggar.Uncacheable(f"its type is of a class that has no name, {kinds.class_name(cls)}")
    return f"type {functions.logical_module(cls.__module__)}:{cls.__qualname__}"


def function_subjects(dispatcher: Any, python: FunctionType) -> list[str]:
    """
    The subjects of a function that was called: its name; if it has none and does not stand in a function's source either,
    the global variables that it reads.
    """
    if functions.by_name(dispatcher) is not None:
        return [f"function {functions.logical_module(python.__module__)}:{python.__qualname__}"]
    if "<locals>" in python.__qualname__:
        return []
    module = python.__globals__.get("__name__")
    if vars(sys.modules.get(module, sys)) is not python.__globals__:
        return []  # whoever made them put them there
    return [f"global {functions.logical_module(module)}:{'.'.join((name, *attributes))}"
            for is_free, name, attributes in code.facts(python.__code__).reads if not is_free and name in python.__globals__]


def _function(found: Any) -> object:
    return _saggar.Digest("function", identity.content(found).digest)


def _global(found: Any) -> object:
    return _saggar.Raw(values.Encoder(_function).encode(found))


def members(t: types.Type) -> list[types.Type]:
    """The types of what is inside the values of a type that is not Numba's, by its data model."""
    if is_own_type(t):
        return []
    try:
        return [model._fe_type for model in default_manager.lookup(t).inner_models()]
    except (KeyError, NotImplementedError):
        return []


def is_written_by_others(found: Any) -> bool:
    """True if a template's or an implementation's own functions are not Numba's."""
    found = unwrapped(found)
    if not isinstance(found, type):
        return _is_others(found)
    known = _others.get(found)
    if known is None:  # classes that Numba makes for a method stand for what is registered for the attribute
        known = _others[found] = any(_is_others(part) for cls in found.__mro__ if not cls.__module__.startswith("numba.")
                                     for value in vars(cls).values() for part in values.functions_behind(value))
    return known


_others: WeakKeyDictionary[type, bool] = WeakKeyDictionary()


def _is_others(part: Any) -> bool:
    return isinstance(part, FunctionType) and not functions.is_pinned(part.__globals__.get("__name__"))


def named(kind: str, found: Any) -> str:
    """The subject of a template or an implementation that is in no registry. Raises Uncacheable if it has no name."""
    found = unwrapped(found)
    if functions.by_name(found) is None:
        raise _saggar.Uncacheable(f"it uses a template or an implementation that has no name, {found.__qualname__}")
    return f"{kind} {functions.logical_module(found.__module__)}:{found.__qualname__}"


def digest(text: str) -> bytes | None:
    """The content of what is registered for a subject now; None if it cannot be told. Raises Uncacheable."""
    kind, _, name = text.partition(" ")
    held = _BY_NAME.get(kind)
    if held is not None:
        module, _, qualname = name.partition(":")
        found = codec.held(module if module != "__main__" or module in sys.modules else "__mp_main__", qualname)
        return None if found is None else _saggar.sha256(descriptions.encode(held(found)))
    now = index()
    if not _registered(text, now):
        now.refresh(all_registries=True)
    subjects = _registered(text, now)
    if not subjects:
        return _NOTHING if kind in ("attribute", "lowering") else None
    if not all(subject.is_as_met() for subject in subjects):
        raise _saggar.Uncacheable(f"what {text} reads has changed since it was used")
    describe = descriptions.lowering if kind == "lowering" else descriptions.template
    contents = {descriptions.encode(tuple([describe(item) for item in subject.items])) for subject in subjects}
    if len(contents) > 1:
        raise _saggar.Uncacheable(f"several things have one name: {kind} {_shown(subjects[0].key)}")
    return _saggar.sha256(contents.pop())


def _shown(key: Any) -> str:
    """What something is registered for, for a message."""
    parts = [part for part in (key if isinstance(key, tuple) else (key,)) if part != ""]
    return " ".join(f"{part.__module__}:{part.__qualname__}" if hasattr(part, "__qualname__") else str(part) for part in parts)


_NOTHING = bytes(32)  # for the classes of a type, that nothing is registered is worth knowing
_BY_NAME = {"type": descriptions.type_class, "template": descriptions.template, "implementation": descriptions.by_content,
            "function": _function, "global": _global}
