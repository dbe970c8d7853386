"""Canonical values of what a function reads: constants, arrays, types, modules, classes, other functions.

What Numba could compile into code must have an encoding here or is Uncacheable. What Numba has no type for can only
matter by being that object: it is known by its name.
"""
from __future__ import annotations

import _abc
import abc
import copyreg
import enum
import functools
import io
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Set
from types import (BuiltinFunctionType, CodeType, FunctionType, GetSetDescriptorType, MappingProxyType, MemberDescriptorType, MethodType,
                   ModuleType)
from typing import Any

import numpy as np
from numba.core import types
from numba.core.compiler_machinery import CompilerPass
from numba.core.typing.asnumbatype import as_numba_type
from numba.core.typing.templates import Signature
from numba.core.withcontexts import WithContext

from .. import _saggar, code
from . import asks, foreign, functions, kinds, texts

LARGEST_ARRAY = 10**6  # Numba stores larger ones as addresses, and such code is never cached
_PRIMITIVES = {type(None), bool, int, float, complex, bytes, str}
_TYPED_BY_NUMBA = frozenset(_PRIMITIVES - {bytes})
BOOKKEEPING = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__firstlineno__",
               "__slotnames__", "__static_attributes__", "__parameters__", "__orig_bases__", "__abstractmethods__", "_abc_impl"}
_OF_ENUMS = {"_member_map_", "_member_names_", "_value2member_map_", "_unhashable_values_", "_hashable_values_", "_member_type_",
             "_unhashable_values_map_", "_new_member_", "_use_args_", "_value_repr_", "_generate_next_value_", "_sort_order_"}
_OF_MEMBERS = {"_name_", "_value_", "__objclass__", "_sort_order_"}
_MANAGED_DICT, _MANAGED_WEAKREF = 1 << 4, 1 << 3  # Py_TPFLAGS: in front of the object
_WORD = object.__basicsize__ // 2
_VIEWS = (type({}.keys()), type({}.values()), type({}.items()))
DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)
_SOLID = (dict, list, set, frozenset, int, float, complex, str, bytes)  # what an object of a derived class holds is seen
_STATELESS = (type(threading.Lock()), type(threading.RLock()), io.IOBase)  # known by name: locks, and files, which are not followed
_NAMED = (type, BuiltinFunctionType, np.ufunc, type(len), type(str.join), type(np.ndarray.sum))


def is_constant(value: object) -> bool:
    """True if the value cannot change while its name is bound to the same object."""
    kind = type(value)
    if kind in _PRIMITIVES:
        return True
    if kind is tuple or kind is frozenset or isinstance(value, tuple):
        return all(is_constant(item) for item in value)  # type: ignore[attr-defined]
    if kind in (list, dict, set, bytearray) or isinstance(value, (np.ndarray, np.void)):
        return False
    return True


class TooMuch(_saggar.Uncacheable):
    """More than the limit is behind a value."""


class Encoder:
    """
    Encodes values; functions become what `reference` makes of them. `interpreted`: they are read by a function that
    Python runs while Numba compiles (an overload's, an intrinsic's), so classes and objects matter by what they hold.
    `installed`: those that came with an installed package are known by name and version. Beyond `limit` objects: TooMuch.
    """

    def __init__(self, reference: Callable[[object], object], interpreted: bool = False, installed: bool = False,
                 limit: int | None = None, sets: Set[int] = frozenset(), run: Callable[[object], object] | None = None) -> None:
        self.reference = reference
        self.run = run or reference  # the same for a function that Python runs while Numba compiles
        self.interpreted = interpreted
        self.read: object = None  # what has a name in the function that reads it
        self.installed = installed
        self.limit = limit
        self.met = 0
        self.changes = False  # something that was encoded may change in itself
        self._open: list[object] = []  # types that are being encoded
        self._sets = sets  # ids of those whose members are being ordered
        self._held_before: dict[int, tuple[int, object]] = {}  # number and object, by id: many may hold the same one

    def encode(self, value: object) -> bytes:
        if isinstance(value, np.ndarray) and value.nbytes > LARGEST_ARRAY:
            raise _saggar.Uncacheable(f"an array of {value.nbytes} bytes")
        return _saggar.encode(value, self.other, self.ordered)

    def ordered(self, members: Any) -> Any:
        """The members of a set in an order that is the same in every process: functions are numbered as they are met."""
        if id(members) in self._sets or all(type(member) in _PRIMITIVES for member in members):
            return members
        alone = [(Encoder(_apart, self.interpreted, self.installed, self.limit, {*self._sets, id(members)}).encode(member), member)
                 for member in members]
        if len({encoded for encoded, _ in alone}) < len(alone):
            raise _saggar.Uncacheable("a set of functions that have one name")
        return [member for _, member in sorted(alone, key=lambda one: one[0])]

    def other(self, value: Any) -> object:
        """The canonical value of an object that is not a plain value. Raises Uncacheable."""
        self.met += 1
        if self.limit is not None and self.met > self.limit:
            raise TooMuch(f"more than {self.limit} functions and objects")
        if self.interpreted and id(value) in texts.INSIDE and value is not self.read:
            raise _saggar.Uncacheable("what reads environment variables or modules by a text, inside of an object")
        if self.interpreted and value is not self.read and (asked := asks.name(value)) and not functions.is_overloaded(value):
            raise _saggar.Uncacheable(f"{asked}, which differs from process to process, inside of an object")
        if isinstance(value, types.Type):
            return self._type(value)
        if isinstance(value, ModuleType):
            return _saggar.Record("module", (("name", functions.logical_module(value.__name__)),))
        if value.__class__ is not type(value):
            return self._proxy(value)
        if isinstance(value, FunctionType):
            return self._function(value)
        described = functions.describe(value)
        if described is not None:
            if functions.is_pinned(described.module):
                named = _held_by_module(value, described)
                if named is not None:
                    return named
            elif self.installed and self.interpreted and (version := _version_of_function(described.python)):
                named = _held_by_module(value, described)
                if named is not None:
                    return _saggar.Record("installed", (("function", named), ("version", version)))
            return self.reference(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, enum.Enum):
            return self._enum(value)
        if isinstance(value, tuple):  # a named tuple, or another subclass
            return _saggar.Record("tuple", (("class", self._class(type(value))), ("items", tuple(value))))
        return self._rest(value)

    def _type(self, value: types.Type) -> object:
        described = kinds.type_value(value, self.reference)
        cls = type(value)
        if functions.is_pinned_class(cls) or any(value is other for other in self._open):
            return described
        self._open.append(value)
        outer, self.interpreted = self.interpreted, True  # all that is in a key counts
        try:
            held = [(name, _saggar.Raw(self.encode(item))) for name, item in kinds.attributes(value)]
            return _saggar.Record("type with attributes", (("type", _saggar.Raw(self.encode(described))), ("held", tuple(held)),
                                                           *((("class", self._class(cls)),) if outer else ())))
        finally:
            self._open.pop()
            self.interpreted = outer

    def _function(self, value: FunctionType) -> object:
        if functions.is_pinned(value.__module__):
            named = functions.by_name(value)
            if named is not None:
                return named
        elif not self.interpreted and functions.is_overloaded(value):
            named = functions.by_name(value)
            if named is not None:
                return named
        elif self.installed and (version := _version_of_function(value)):
            named = functions.by_name(value)
            if named is not None:
                return _saggar.Record("installed", (("function", named), ("version", version)))
        return self.reference(value)

    def _class(self, value: Any) -> object:
        if hasattr(value, "class_type") and isinstance(value.class_type, types.ClassType):
            raise _saggar.Uncacheable(f"jitclass {value.__module__}.{value.__qualname__}")
        fields: list[tuple[str, object]] = [("class", kinds.class_name(value))]
        own = self.interpreted and not functions.is_pinned_class(value)
        if issubclass(value, enum.Enum):
            fields.append(("members", tuple((name, member.value) for name, member in value.__members__.items())))
            fields.append(("of", kinds.class_name(value._member_type_)))
        elif issubclass(value, tuple) and hasattr(value, "_fields"):
            fields.append(("fields", tuple(value._fields)))
        elif functions.is_pinned_class(value) or issubclass(value, types.Type) and not self.interpreted:
            pass
        elif (own and "<locals>" not in value.__qualname__
              and (version := foreign.speaks_for(kinds.module_of(value)))):
            fields.append(("version", version))
        elif not own and "<locals>" in value.__qualname__:
            raise _saggar.Uncacheable(f"a class defined in a function, {value.__module__}.{value.__qualname__}")
        if own and not any(name == "version" for name, _ in fields):
            fields.append(("bases", tuple([kinds.class_name(cls) for cls in (*value.__mro__[1:-1], *type(value).__mro__[:-2])])))
            if registered := sorted(set(_registered_with(value))):
                fields.append(("registered", tuple(registered)))
            fields.extend(self._held(value, list(self._members(value))))
        fields.extend(self._typed_as(value))
        return _saggar.Record("class", tuple(fields))

    def _typed_as(self, value: Any) -> Iterator[tuple[str, object]]:
        """What somebody made Numba take the class for, in annotations and where compiled code asks isinstance."""
        try:
            registered = None if value in _TYPED_BY_NUMBA else as_numba_type.lookup.get(value)
        except TypeError:  # its class has no hash
            registered = None
        if registered is not None:
            self.changes = True
            yield "typed as", registered
        if found := [function for function in as_numba_type.functions if not functions.is_pinned(function.__module__)]:
            self.changes = True
            yield "typed by", tuple(map(self.run, found))

    def _members(self, value: Any) -> Iterator[tuple[str, Any]]:
        """
        What a class and its bases hold, in the order of their definition, which `vars` shows; of an installed class its version, and
        what others may have put into it.
        """
        for cls in (*value.__mro__, *type(value).__mro__):
            if functions.is_pinned_class(cls):
                continue
            version = self.installed and functions.by_name(cls) is not None and foreign.installed(kinds.module_of(cls))
            if version:
                yield f"version of {kinds.class_name(cls)}", version
            for name, held in list(vars(cls).items()):
                if not (isinstance(held, enum.Enum) or name.startswith("_") and name in _OF_ENUMS
                        or name == "pass_id" and issubclass(cls, CompilerPass)  # counted in the order of imports
                        or version and not _is_put_in(held)):
                    yield f"{cls.__qualname__}.{name}", held

    def _enum(self, value: enum.Enum) -> object:
        cls = type(value)
        fields: list[tuple[str, object]] = [("class", kinds.class_name(cls)), ("name", value.name), ("value", value.value),
                                            ("of", kinds.class_name(cls._member_type_))]
        if self.interpreted and not functions.is_pinned_class(cls):
            fields.append(("held", self._class(cls)))
            fields.extend(self._held(value, sorted((name, held) for name, held in vars(value).items() if name not in _OF_MEMBERS)))
        return _saggar.Record("enum", tuple(fields))

    def _proxy(self, value: Any) -> object:
        """An object that says it is of another class (wrapt's): what it wraps, and the function that does so."""
        if not hasattr(value, "__wrapped__"):
            raise _saggar.Uncacheable(f"an object that says it is of another class, {type(value).__module__}.{type(value).__qualname__}")
        return _saggar.Record("proxy", (("class", kinds.class_name(type(value))), ("wrapped", value.__wrapped__),
                                        *((name, getattr(value, name, None)) for name in ("_self_wrapper", "_self_instance"))))

    def _held(self, holder: object, members: list[tuple[str, Any]]) -> list[tuple[str, object]]:
        """What a class or an object holds, functions among it by content."""
        known = self._held_before.get(id(holder))
        if known is not None:
            return [("met before", known[0])]
        self._held_before[id(holder)] = len(self._held_before), holder
        held: list[tuple[str, object]] = []
        for name, member in members:
            if name.rpartition(".")[2] in BOOKKEEPING or isinstance(member, DESCRIPTORS):
                continue
            for number, part in enumerate(functions_behind(member)):
                held.append((f"{name} {number}" if number else name, _saggar.Raw(self.encode(part))))
        return held

    def _option(self, value: Any) -> object | None:
        """Numba's option objects: fast-math flags, parallel options, inlining."""
        if type(value).__module__ != "numba.core.cpu_options":
            return None
        if hasattr(value, "flags"):
            return _saggar.Record("fastmath", (("flags", tuple(sorted(value.flags))),))
        if hasattr(value, "_get_values"):
            items = value._get_values()
            return _saggar.Record("parallel", tuple((name, items[name]) for name in sorted(items)))
        if hasattr(value, "value"):
            decides = value.value
            if callable(decides) and not isinstance(decides, FunctionType):
                raise _saggar.Uncacheable(f"{kinds.what(decides)} that decides about inlining")
            return _saggar.Record("inline", (("value", self.run(decides) if callable(decides) else decides),))
        return None

    def _rest(self, value: Any) -> object:
        if value is Ellipsis or value is NotImplemented:
            return _saggar.Record("constant", (("name", repr(value)),))
        if isinstance(value, (slice, range)):
            return _saggar.Record(type(value).__name__, (("start", value.start), ("stop", value.stop),
                                                         ("step", value.step)))
        if isinstance(value, Signature):
            return _saggar.Record("signature", (("return", value.return_type), ("args", tuple(value.args)),
                                                ("receiver", value.recvr)))
        option = self._option(value)
        if option is not None:
            return option
        if isinstance(value, WithContext) and functions.is_pinned(type(value).__module__):  # numba.objmode and its like
            return _saggar.Record("context", (("class", kinds.class_name(type(value))),))
        if self.interpreted and isinstance(value, (BuiltinFunctionType, MethodType)) and functions.is_overloaded(value):
            return _saggar.Record("compiled by Numba", (("name", value.__qualname__),))  # random.random and its like, not their state
        if isinstance(value, functools.partial):
            return _saggar.Record("partial", (("function", value.func), ("args", value.args),
                                              ("keywords", _saggar.Map(value.keywords))))
        if isinstance(value, MethodType):
            return _saggar.Record("method", (("function", value.__func__), ("self", value.__self__)))
        if isinstance(value, (staticmethod, classmethod, property)):
            return _saggar.Record(type(value).__name__, (("functions", functions_behind(value)),))
        if isinstance(value, np.ufunc) and value.__name__.endswith(" (vectorized)"):
            raise _saggar.Uncacheable("a function of numpy.frompyfunc")
        if self.interpreted and isinstance(value, np.vectorize):
            return _saggar.Record("vectorize", tuple(sorted(self._held(value, sorted(vars(value).items())))))
        if isinstance(value, CodeType):
            return _saggar.Digest("code", code.facts(value).digest)
        if self.interpreted and isinstance(value, weakref.ref):
            return _saggar.Record("weak reference", (("to", value()),))
        if isinstance(value, _VIEWS):
            return _saggar.Record("view", (("class", kinds.class_name(type(value))), ("items", tuple(value))))
        if isinstance(value, _NAMED) or kinds.module_of(type(value)) == "numpy" and callable(value) and hasattr(value, "__name__"):
            return self._named(value)
        if kinds.module_of(type(value)).partition(".")[0] == "llvmlite":
            return _saggar.Record("llvm", (("class", kinds.class_name(type(value))), ("text", _text(value))))
        return self._opaque(value)

    def _named(self, value: Any) -> object:
        holder = getattr(value, "__self__", None)
        if holder is not None and not isinstance(holder, (ModuleType, type)):
            return _saggar.Record("method", (("name", value.__name__), ("self", holder)))
        module = getattr(value, "__module__", None) or getattr(holder, "__module__", None) or ""
        name = getattr(value, "__qualname__", None) or value.__name__
        return _saggar.Record("name", (("module", str(module)), ("name", name)))

    def _opaque(self, value: Any) -> object:
        """An object that Numba has no type for is known by its name alone; one that Python reads, by what it holds."""
        module = kinds.module_of(type(value))
        version = foreign.speaks_for(module)
        if self.interpreted and not version and module.partition(".")[0] not in ("numba", "llvmlite"):
            pinned = functions.is_pinned_class(type(value)) and not isinstance(value, threading.local)
            state = _pickled(value) if pinned else _state(value)
            if state is None and not isinstance(value, _STATELESS) and not hasattr(type(value), "__get__"):
                raise _saggar.Uncacheable(f"{kinds.what(value)}, which does not show what it holds")
            if state is not None:
                return _saggar.Record("object", (("class", self._class(type(value))), *self._held(value, state)))
        if (typ := _numba_type(value)) is not None:
            return self._constant(value, typ)
        fields: list[tuple[str, object]] = [("class", kinds.class_name(type(value)))]
        for attribute in ("__module__", "__qualname__", "__name__"):
            text = getattr(value, attribute, None)
            if type(text) is str:
                fields.append((attribute, text))
        if version:
            fields.append(("version", version))
        return _saggar.Record("object", tuple(fields))

    def _constant(self, value: Any, typ: types.Type) -> object:
        """
        An object of an installed class that a package has a Numba type for, and makes constants of (lower_constant): the type, whose lowering
        is followed as that of any, and all that it holds.
        """
        if self.interpreted or kinds.module_of(type(typ)).partition(".")[0] == "numba" or not foreign.installed(kinds.module_of(type(value))):
            raise _saggar.Uncacheable(kinds.what(value))
        from . import descriptions  # which needs this

        self.changes = True
        return _saggar.Record("constant", (("type", _saggar.Raw(self.encode(typ))), ("object", _saggar.Raw(descriptions.encode(value)))))


def _apart(target: Any) -> object:
    """What tells functions apart without their content, which may lead back to them."""
    found = functions.describe(target)
    if found is None:
        raise _saggar.Uncacheable(kinds.what(target))
    digest = None if found.python is None else _saggar.Digest("code", code.facts(found.python.__code__).digest)
    return _saggar.Record("function", (("kind", found.kind), ("module", found.module), ("name", found.qualname), ("code", digest)))


def _registered_with(cls: Any) -> Iterator[str]:
    """The classes that were registered with an abstract one, or with one derived from it: `issubclass` counts them in."""
    if isinstance(cls, abc.ABCMeta):
        yield from (kinds.class_name(found) for reference in _abc._get_dump(cls)[0] if (found := reference()) is not None)
        for derived in type.__subclasses__(cls):
            yield from _registered_with(derived)


def _pickled(value: Any) -> list[tuple[str, Any]] | None:
    """What a library's object holds, as it would be pickled; None if it cannot be (a lock, a file)."""
    if isinstance(value, MappingProxyType):
        return [("items", dict(value))]
    if hasattr(value, "__wrapped__"):  # functools.lru_cache and its like
        return [("function", value.__wrapped__)]
    try:
        registered = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if registered is None else registered(value)
    except Exception:
        return None
    if isinstance(reduced, str):
        return [("name", reduced)]
    parts = [tuple(part) if number > 2 and part is not None else part for number, part in enumerate(reduced)]
    return [(f"part {number}", part) for number, part in enumerate(parts)]


def _state(value: Any) -> list[tuple[str, Any]] | None:
    """What an object consists of: its attributes in their order, and what it holds as a built-in container or number; None if it holds more."""
    cls = type(value)
    slots = [name for base in cls.__mro__ for name in _slots(base) if hasattr(value, name)]
    state = [*getattr(value, "__dict__", {}).items(), *((f"slot {name}", getattr(value, name)) for name in slots)]
    solid = next((base for base in _SOLID if isinstance(value, base)), object)
    if solid is not object:
        state.append(("value", solid(value)))
    if _hides(cls, solid) and not isinstance(value, threading.local):
        pickled = _pickled(value)
        if pickled is None:
            return None
        state.extend(pickled)
        state.extend((name, text) for name in ("__module__", "__qualname__") if type(text := getattr(value, name, None)) is str)
    return state


def _hides(cls: type, solid: type) -> bool:
    """True if objects of a class are larger than their attributes: a class written in C is among the bases."""
    words = sum(len(_slots(base)) for base in cls.__mro__)
    words += cls.__dictoffset__ != 0 and not cls.__flags__ & _MANAGED_DICT
    words += cls.__weakrefoffset__ != solid.__weakrefoffset__ and not cls.__flags__ & _MANAGED_WEAKREF
    return cls.__basicsize__ > solid.__basicsize__ + words * _WORD


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    return tuple(f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
                 for name in ((slots,) if isinstance(slots, str) else slots) if name not in ("__dict__", "__weakref__"))


def functions_behind(member: Any) -> tuple[Any, ...]:
    """What a method, a property or anything else in a class stands for."""
    if isinstance(member, (staticmethod, classmethod)):
        return (member.__func__,)
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    return (member,)


def _version_of_function(python: Any) -> str:
    """The version of the installed package that a function was written in; "" for one that others wrote or wrapped."""
    if not isinstance(python, FunctionType):
        return ""
    where = python.__globals__.get("__name__")
    if not isinstance(where, str) or not isinstance(python.__module__, str):
        return ""
    return foreign.installed(where) if where.partition(".")[0] == python.__module__.partition(".")[0] else ""


def _is_put_in(member: Any) -> bool:
    """True if something in a class of an installed package may not be that package's own: a constant, a function of others."""
    return type(member) in _PRIMITIVES or any(
        isinstance(part, FunctionType) and not (functions.is_pinned(part.__module__) or _version_of_function(part))
        for part in functions_behind(member))


def _held_by_module(value: object, described: functions.Function) -> object | None:
    found: object = sys.modules.get(described.module)
    for part in described.qualname.split("."):
        found = getattr(found, part, None)
    if found is not value:
        return None
    return _saggar.Record("name", (("module", described.module), ("name", described.qualname)))


def _text(value: object) -> str:
    text = str(value)
    if kinds.ADDRESS.search(text):
        raise _saggar.Uncacheable(kinds.what(value))
    return text


def without_padding(value: Any) -> Any:
    """An array or a record with zeros in the bytes that belong to no field, as it is encoded; itself if it has none."""
    if type(value) not in (np.ndarray, np.void, np.record, np.recarray) or value.dtype.names is None or value.dtype.hasobject:
        return value
    if value.nbytes > LARGEST_ARRAY or not value.flags.forc or not _gaps(value.dtype).size:
        return value  # of a large one, Numba takes the address
    return value.view(_Flat) if isinstance(value, np.ndarray) else _zeroed(np.array(value))[()]


class _Flat(np.ndarray):
    """An array whose flat copy, which Numba makes a constant of, has zeros there. NumPy copies a structure's fields alone."""

    def flatten(self, order: str = "C") -> Any:  # type: ignore[override]
        return _zeroed(self.view(np.ndarray).flatten(order))  # type: ignore[call-overload]


def _zeroed(array: Any) -> Any:
    array.reshape(-1).view(np.uint8).reshape(-1, array.dtype.itemsize)[:, _gaps(array.dtype)] = 0
    return array


def _gaps(dtype: Any) -> Any:
    """The offsets of the bytes of an item that belong to no field."""
    used = np.zeros(dtype.itemsize, bool)

    def mark(one: Any, offset: int) -> None:
        if one.subdtype is not None:
            for at in range(0, one.itemsize, one.base.itemsize or 1):
                mark(one.base, offset + at)
        elif one.names is not None:
            for name in one.names:
                mark(one.fields[name][0], offset + one.fields[name][1])
        else:
            used[offset:offset + one.itemsize] = True

    mark(dtype, 0)
    return np.flatnonzero(~used)


def _numba_type(value: object) -> types.Type | None:
    from numba.core.typing.typeof import typeof

    try:
        return typeof(value)
    except Exception:
        return None
