"""What typing and lowering alone reveal: the overloads, attributes, lowerings and types that a function is made with.

While a function is compiled, each question that Numba asks about something that is not its own is noted with the
compilation at hand, as a subject (see `extensions`). A finished library keeps its subjects, and whoever links it takes
them over; so an entry depends on everything that went into it, whatever was compiled or loaded before.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref as weakref_to

from numba.core import types

from .. import _saggar, process
from . import descriptions, extensions, frames, functions, identity, kinds, nodes, overrides, precedence, recipe

RESOLVER = "numba"
_UNNAMED = ""  # stands for something that has no name in another process
_of_library: WeakKeyDictionary[Any, frozenset[Any]] = WeakKeyDictionary()  # what each finished library was made with
_of_template: WeakKeyDictionary[type, dict[Any, frozenset[Any]]] = WeakKeyDictionary()  # by what it was asked


class Made(NamedTuple):
    """A function that was compiled into something else: its content, and the surroundings, then."""

    python: Any  # a weak reference
    content: bytes | None
    surroundings: tuple[bytes, bytes]

    def holds(self, now: tuple[bytes, bytes]) -> bool:
        python = self.python()
        return self.surroundings == now and (python is None or self.content == identity.known_digest(python))


def _surroundings() -> tuple[bytes, bytes]:
    """What replaced Numba's own, and Numba's configuration, now."""
    return overrides.digest(), recipe.environment()[1]


class Seen(NamedTuple):
    """How much was registered for a subject when it was asked for."""

    text: str
    count: int

    def holds(self) -> bool:
        return _holder(self.text).count(self.text) == self.count


class Refused(NamedTuple):
    """Something in the code that another process cannot be given."""

    reason: str


def refuse(reason: str) -> None:
    """What is being compiled is not to be stored."""
    for frame in frames.running()[-1:]:
        frame.subjects.add(Refused(reason))


def held(cls: type) -> None:
    """What is being compiled refers to a class by its name."""
    for frame in frames.running()[-1:]:
        frame.subjects.add(f"global {functions.logical_module(cls.__module__)}:{cls.__qualname__}")


class Collector:
    """Collects subjects for a compilation that has no frame of its own, and hands them on."""

    __slots__ = ("frame", "kept")

    def __init__(self) -> None:
        running = frames.running()
        self.frame = running[-1] if running else None
        self.kept: set[str] = set()

    def __enter__(self) -> Collector:
        if self.frame is not None:
            self.kept, self.frame.subjects = self.frame.subjects, set()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.frame is not None:
            self.frame.subjects |= self.kept

    def remember(self, template: type, args: Any, kws: Any) -> None:
        """What a template asks for is asked once in a process; whoever uses its answer later depends on it too."""
        if self.frame is None or not (self.frame.subjects or template in _of_template):
            return
        try:
            asked = _of_template.setdefault(template, {})
            question = tuple(args), tuple(sorted(dict(kws).items()))
            self.frame.subjects |= asked.get(question, frozenset())
            asked[question] = frozenset(self.frame.subjects)
        except Exception as error:
            process.fault(f"watching a template: {type(error).__name__}: {error}")
            self.frame.subjects.add(_UNNAMED)

    def finish(self, cres: Any) -> None:
        if self.frame is not None:
            finished(cres, self.frame.subjects)


def _watches(watch: Any) -> Any:
    """For what runs in the middle of Numba's work: never raises. Where it fails, nothing is stored."""
    @functools.wraps(watch)
    def guarded(*arguments: Any) -> None:
        running = frames.running()
        if running:
            try:
                watch(running[-1].subjects, *arguments)
            except _saggar.Uncacheable:
                running[-1].subjects.add(_UNNAMED)
            except Exception as error:
                process.fault(f"watching a compilation: {type(error).__name__}: {error}")
                running[-1].subjects.add(_UNNAMED)
    return guarded


def _add(subjects: set[str], subject: extensions.Subject | None) -> None:
    if subject is not None:
        subject.met()
        if subject.text is None:
            subjects.add(_UNNAMED)
        else:
            _add_text(subjects, subject.text)


def _add_text(subjects: set[Any], text: str) -> None:
    if text not in subjects:
        subjects.add(text)
        subjects.add(Seen(text, _holder(text).count(text)))


def _holder(text: str) -> Any:
    """The module that knows what a subject comes to."""
    return precedence if text.startswith(precedence.KIND) else extensions


def _add_types(subjects: set[str], found: Iterable[Any]) -> None:
    for one in found:
        if isinstance(one, types.Type):
            subjects.update(_subjects_of_type(one))


_inside = kinds.ByType()  # the classes of the types that one is made of


def _subjects_of_type(typ: types.Type) -> set[str]:
    """The subjects of a type and of all types that it is made of. Raises Uncacheable if one has no name."""
    known = _inside.get(typ._code)
    if known is None:
        inside = _types_inside(typ)
        known = frozenset(type(one) for one in inside if not extensions.is_own_type(one))
        if not any(isinstance(one, types.DeferredType) for one in inside):
            _inside[typ._code] = known
    return {extensions.type_subject(cls) for cls in known}


def _types_inside(typ: types.Type) -> list[types.Type]:
    seen: dict[int, Any] = {}
    todo: list[Any] = [typ]
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        if isinstance(one, types.Type):
            seen[id(one)] = one
            todo.extend(vars(one).values())
            todo.extend(extensions.members(one))
        elif isinstance(one, (tuple, list, frozenset)):
            seen[id(one)] = one
            todo.extend(one)
        elif isinstance(one, dict):
            seen[id(one)] = one
            todo.extend(one.values())
    return [one for one in seen.values() if isinstance(one, types.Type)]


@_watches
def called(subjects: set[str], func: Any, args: Any, kws: Any) -> None:
    """The compilation at hand asks what a function returns for these types."""
    key = getattr(func, "typing_key", func)
    if getattr(type(key), "__hash__", None) is not None and extensions.is_foreign(key):
        _add(subjects, extensions.index().calls.by_key.get(key))
    _add_types(subjects, args)
    _add_types(subjects, dict(kws).values())
    if isinstance(func, types.Dispatcher):
        reached.__wrapped__(subjects, func.dispatcher)


@_watches
def reached(subjects: set[str], dispatcher: Any) -> None:
    """
    It calls another function. That one counts by its name, or by what it reads, unless the walk over names met it: a
    program that makes source code, or picks functions by texts, leads to functions that no walk can see.
    """
    python = dispatcher.py_func
    if not functions.is_pinned(python.__globals__.get("__name__")) and not _is_walked(python):
        subjects.update(extensions.function_subjects(dispatcher, python))


def _is_walked(python: Any) -> bool:
    for frame in frames.running():
        if frame is frames.running()[0] or functions.by_name(frame.owner) is not None:
            try:
                if identity.last(frame.owner).has(python):
                    return True
            except _saggar.Uncacheable:
                pass
    return False


@_watches
def tried(subjects: set[str], template: type) -> None:
    """
    It tries one way of typing a call. Of Numba's own functions and operators only those ways count that were tried: an
    overload of `+` for somebody's type does not concern the sum of two numbers.
    """
    _add_from(subjects, lambda: extensions.index().template_of, template, "template")


@_watches
def fitted(subjects: set[str], template: type) -> None:
    """One way of typing a call fits."""
    own = precedence.subject(template)
    if own is not None:
        _add_text(subjects, own)


@_watches
def failed(subjects: set[str], func: Any) -> None:
    """No way of typing a call fits, and it goes on without."""
    none = precedence.of_none(getattr(func, "typing_key", func))
    if none is not None:
        _add_text(subjects, none)


@_watches
def attribute(subjects: set[str], typ: Any, name: str) -> None:
    """It asks for a type's attribute. Where others resolve it, something may be added that is nearer to the type."""
    known = extensions.index().attributes.by_key
    for one in _tried(typ):
        found = [known.get((key, each)) for key in (one, *type(one).__mro__) for each in (name, "")]
        for subject in found:
            _add(subjects, subject)
        _add_classes(subjects, "attribute", one, name, "", own=any(found))
    _add_types(subjects, (typ,))


@_watches
def unresolved(subjects: set[str], typ: Any, name: str) -> None:
    """There is no such attribute, and it goes on without: nearly always since whatever is called is first asked for `__call__`."""
    if name != "__call__" or not isinstance(typ, types.Callable):
        for one in _tried(typ):
            _add_classes(subjects, "attribute", one, name, "", own=True)


def _tried(typ: Any) -> tuple[Any, ...]:
    """The types that Numba asks for an attribute of one."""
    plain = types.unliteral(typ)
    return (typ,) if plain is typ else (typ, plain)


def _add_classes(subjects: set[str], kind: str, typ: Any, *names: Any, own: bool) -> None:
    for text in extensions.of_classes(kind, typ, *names, own=own):
        _add_text(subjects, text)


@_watches
def lowering_of_call(subjects: set[str], fn: Any, sig: Any) -> None:
    """It asks for the implementation of a function. Numba's may serve somebody's types until one is added that is nearer to them."""
    others = [arg for arg in sig.args if not extensions.is_own_type(arg)]
    if others and not isinstance(fn, types.Dispatcher):
        key = fn.get_impl_key(sig.as_function()) if isinstance(fn, types.Callable) else fn
        if isinstance(key, str) or functions.by_name(key) is not None and not extensions.is_foreign(key):
            for arg in others:
                _add_classes(subjects, "lowering", arg, ("call", key), own=False)


@_watches
def lowering_of_attribute(subjects: set[str], what: str, typ: Any, name: str) -> None:
    """It asks for the implementation of an attribute ("getattr", "setattr"): the same."""
    _add_classes(subjects, "lowering", typ, (what, name), own=False)


@_watches
def lowering_of_cast(subjects: set[str], fromty: Any, toty: Any) -> None:
    """It asks for a conversion: the same."""
    if fromty != toty:
        _add_classes(subjects, "lowering", fromty, ("cast", ""), own=False)
        _add_classes(subjects, "lowering", toty, ("cast", "to"), own=False)


@_watches
def lowered(subjects: set[str], implementation: Any, args: Any) -> None:
    """It uses an implementation for these types."""
    subject = _add_from(subjects, lambda: extensions.index().lowering_of, implementation, "implementation")
    if subject is None:
        return
    try:
        descriptions.by_content(extensions.unwrapped(implementation))
    except _saggar.Uncacheable as error:
        subjects.add(Refused(str(error)))
    if subject.of is not None:
        _add_classes(subjects, "lowering", tuple(args)[0], subject.of, own=True)


def _add_from(subjects: set[str], known: Callable[[], dict[int, Any]], found: Any, kind: str) -> extensions.Subject | None:
    """Adds the subject that a registry has for something, which is returned, or its name."""
    registered = known()
    if id(found) not in registered:
        if not extensions.is_written_by_others(found):
            return None
        extensions.index().refresh(all_registries=True)
    if id(found) in registered:
        _add(subjects, registered[id(found)])
        return registered[id(found)]
    subjects.add(extensions.named(kind, found))
    return None


@_watches
def linked(subjects: set[str], library: Any) -> None:
    """It takes in a finished library."""
    subjects.update(_of_library.get(library, ()))


def finished(cres: Any, subjects: set[Any], owner: Any = None) -> None:
    """A compilation, of a function `owner`, is complete; this is what it was made with."""
    typed(cres, subjects)
    if owner is not None and not functions.is_pinned(owner.py_func.__globals__.get("__name__")):
        try:
            with nodes.Look():
                _add_made(subjects, owner.py_func)
        except _saggar.Uncacheable:
            subjects.add(_UNNAMED)
        except Exception as error:
            process.fault(f"reading what was compiled: {type(error).__name__}: {error}")
            subjects.add(_UNNAMED)
    if subjects:
        _of_library[cres.library] = frozenset(subjects) | _of_library.get(cres.library, frozenset())


def _add_made(subjects: set[Any], python: Any) -> None:
    """Its content, which stands for that of the functions in it as well, as long as they are what they were."""
    try:
        content = identity.content(python)
    except _saggar.Uncacheable:
        content = None
    now = _surroundings()
    for made in [each for each in subjects if isinstance(each, Made)]:
        other = made.python()
        if content is not None and (other is None or content.has(other)) and made.holds(now):
            subjects.discard(made)
    subjects.add(Made(weakref_to(python), None if content is None else content.digest, now))


def typed(cres: Any, subjects: set[str]) -> None:
    """The types of a compiled function decide how it is called, also those that it only passes through."""
    try:
        _add_types(subjects, (cres.signature.return_type, *cres.signature.args, *(cres.fndesc.typemap or {}).values()))
    except _saggar.Uncacheable:
        subjects.add(_UNNAMED)
    except Exception as error:
        process.fault(f"reading a function's types: {type(error).__name__}: {error}")
        subjects.add(_UNNAMED)


def records(subjects: set[Any]) -> list[tuple[Any, ...]]:
    """The dependencies of an entry. Raises Uncacheable if one has no name or no content, or has changed since it was used."""
    with nodes.Look():
        return _records(subjects)


def _records(subjects: set[Any]) -> list[tuple[Any, ...]]:
    result = []
    extensions.index().refresh(all_registries=True)
    now = _surroundings()
    for made in subjects:
        if isinstance(made, Seen) and not made.holds():
            raise _saggar.Uncacheable(f"something was registered for {made.text} since a function in it was compiled")
        if isinstance(made, Made) and not made.holds(now):
            raise _saggar.Uncacheable("something that a function in it reads, or Numba's configuration, has changed since that was compiled")
        if isinstance(made, Refused):
            raise _saggar.Uncacheable(made.reason)
    texts = {subject for subject in subjects if isinstance(subject, str)}
    own = {subject for subject in texts if subject.startswith(precedence.KIND)}
    for subject in sorted(texts - own) + precedence.join(own):
        if subject == _UNNAMED:
            raise _saggar.Uncacheable("it uses an overload of something that has no name")
        digest = _holder(subject).digest(subject)
        if digest is None:
            raise _saggar.Uncacheable(f"it uses something that is not registered: {subject}")
        result.append(("code", RESOLVER, subject, digest))
    return result


def subjects_of(stored: list[tuple[Any, ...]]) -> set[Any]:
    """The subjects among the dependencies of an entry that is served."""
    found: set[Any] = set()
    for kind, resolver, name, *_ in stored:
        if kind == "code" and resolver == RESOLVER:
            for text in precedence.parts(name) if name.startswith(precedence.KIND) else (name,):
                _add_text(found, text)
    return found


def digest(code: bool, resolver: str, name: str) -> bytes | None:
    """What the library asks for when it checks an entry: the digest now, or None."""
    if not code or resolver != RESOLVER:
        return None
    try:
        return _holder(name).digest(name)
    except Exception:
        return None
