"""Values inside the `meta` part: plain values and common Numba types as canonical values, anything else pickled.

Pickles are made without memo, so that equal objects give equal bytes; dispatchers in them are references by content.
They are read only from entries that a trusted tier served and whose digests were verified.
"""
from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import NumbaPickler

from .. import _saggar
from . import functions, identity

_PROTOCOL = 4
_NAMED: dict[str, types.Type] = {t.name: t for t in (
    types.boolean, types.int8, types.int16, types.int32, types.int64, types.uint8, types.uint16, types.uint32,
    types.uint64, types.float32, types.float64, types.complex64, types.complex128, types.none, types.unicode_type,
    types.pyobject, types.intp, types.uintp)}
_PLAIN = (bool, int, float, complex, bytes, str, type(None))


class Codec:
    """Encodes and decodes; `args` are those of the request at hand, `lookup` finds its dispatchers by content."""

    def __init__(self, args: tuple[types.Type, ...] = (), lookup: Callable[[bytes], Any] | None = None) -> None:
        self.args = args
        self.lookup = lookup

    def encode(self, value: Any) -> bytes:
        return _saggar.encode(self.pack(value))

    def decode(self, encoded: bytes) -> Any:
        return self.unpack(_saggar.decode(encoded))

    def pack(self, value: Any) -> object:
        """A canonical value that stands for any object. Raises Uncacheable."""
        if type(value) in _PLAIN:
            return ("value", value)
        if type(value) is tuple:
            return ("tuple", tuple([self.pack(item) for item in value]))
        if isinstance(value, types.Type):
            return self._pack_type(value)
        return ("pickle", self._pickle(value))

    def unpack(self, packed: Any) -> Any:
        kind, payload = packed[0], packed[1]
        if kind == "value":
            return payload
        if kind == "tuple":
            return tuple([self.unpack(item) for item in payload])
        if kind == "type":
            return _NAMED[payload]
        if kind == "arg":
            return self.args[payload]
        if kind == "array":
            dtype, ndim, layout, readonly, aligned = payload
            return types.Array(self.unpack(dtype), ndim, layout, readonly=readonly, aligned=aligned)
        if kind == "types":
            return types.Tuple([self.unpack(item) for item in payload])
        if kind == "pickle":
            return _Unpickler(payload, self).load()
        raise ValueError(f"unknown kind {kind!r}")

    def _pack_type(self, value: types.Type) -> object:
        if _NAMED.get(value.name) is value:
            return ("type", value.name)
        for i, arg in enumerate(self.args):
            if arg is value:
                return ("arg", i)
        if type(value) is types.Array:
            return ("array", (self.pack(value.dtype), value.ndim, value.layout, not value.mutable, value.aligned))
        if type(value) in (types.Tuple, types.UniTuple):
            items = tuple(value)
            if types.Tuple(items) is value or types.Tuple(items) == value:
                return ("types", tuple([self.pack(item) for item in items]))
        return ("pickle", self._pickle(value))

    def _pickle(self, value: Any) -> bytes:
        out = io.BytesIO()
        pickler = _Pickler(out, self)
        pickler.fast = True
        try:
            pickler.dump(value)
        except (RecursionError, ValueError) as error:
            raise _saggar.Uncacheable(f"{type(value).__module__}.{type(value).__qualname__} in the result") from error
        except Exception as error:
            raise _saggar.Uncacheable(f"a constant that cannot be pickled: {error}") from error
        return out.getvalue()


class _Pickler(NumbaPickler):
    def __init__(self, out: io.BytesIO, codec: Codec) -> None:
        super().__init__(out, protocol=_PROTOCOL)
        self._codec = codec

    def persistent_id(self, obj: Any) -> object:
        if isinstance(obj, (Dispatcher, FunctionType)):
            if isinstance(obj, FunctionType) and functions.is_pinned(obj.__module__):
                return None
            content = identity.content(obj)
            node = content.nodes[0].function
            return ("function", node.module, node.qualname, content.digest)
        if isinstance(obj, type) and obj.__module__ in ("__main__", "__mp_main__") and functions.by_name(obj):
            return ("class", "__main__", obj.__qualname__, b"")
        return None

    def reducer_override(self, obj: Any) -> Any:
        reduced = reduced_type(obj)
        return super().reducer_override(obj) if reduced is None else reduced


def reduced_type(obj: Any) -> tuple[Any, ...] | None:
    """How a type is pickled, None for what is none: without its number in this process, and a function's address in its name."""
    if type(obj) is types.Generator:
        return types.Generator, (obj.gen_func, obj.yield_type, obj.arg_types, obj.state_types, obj.has_finalizer)
    if isinstance(obj, types.Type) and type(obj).__reduce__ is types.Type.__reduce__:
        make, (*given, state) = obj.__reduce__()
        return make, (*given, state and {name: value for name, value in state.items() if name != "_code"})
    return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, payload: bytes, codec: Codec) -> None:
        super().__init__(io.BytesIO(payload))
        self._codec = codec

    def persistent_load(self, pid: Any) -> Any:
        kind, module, qualname, digest = pid
        if kind == "class":
            return held(module, qualname)
        found = self._codec.lookup(digest) if self._codec.lookup is not None else None
        if found is None:
            found = held(module, qualname)
            if not isinstance(found, (Dispatcher, FunctionType)) or identity.content(found).digest != digest:
                raise pickle.UnpicklingError(f"{module}.{qualname} is not what it was")
        return found


def held(module: str, qualname: str) -> Any:
    """What a module holds under a qualified name, or None. Imports nothing."""
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def live_dispatcher(module: str, qualname: str) -> Any:
    """The dispatcher that a module holds under a name, or None."""
    found = held(module, qualname)
    return found if isinstance(found, Dispatcher) else None


def function_name(function: Any) -> str | None:
    """"module:qualified name" of a function that its name leads to."""
    if functions.by_name(function) is None:
        return None
    return f"{function.__module__}:{function.__qualname__}"
