"""Digests of GT4Py's objects: equal content, equal digest, whatever file and line it stood on.

GT4Py's own walk over objects is used (`gt4py.next.fingerprinting`: fields, sets and dictionaries in canonical order, functions and
types by name), with three differences: a node's location is left out, SHA-256 takes the place of a 64-bit hash, and a name stands only
for what the versions in the recipe stand for: a function of somebody else's module is known by what it computes, a class has no digest.
"""
from __future__ import annotations

import hashlib
import types
from typing import Any

import numpy
from gt4py.eve import concepts, datamodels
from gt4py.next import fingerprinting, utils

from .. import _saggar
from . import functions


def _node(node: Any) -> Any:
    items = []
    for field in datamodels.get_fields(type(node)).values():
        if field.name != "location" and fingerprinted(field.metadata):
            items.append((field.name, getattr(node, field.name)))
    return fingerprinting.Deconstruction.from_pieces(*items, state=b"node\0" + _name(type(node)))


def fingerprinted(metadata: Any) -> bool:
    """GT4Py's own mark for fields that decide nothing."""
    mine = metadata.get(utils.GT4PY_CLASS_METADATA_NS)
    return not mine or mine.get("fingerprint", True)


def _name(cls: type) -> bytes:
    return f"{cls.__module__}.{cls.__qualname__}".encode()


def _array(array: Any) -> Any:
    if array.dtype.hasobject:
        raise _saggar.Uncacheable("an array of objects")
    data = numpy.ascontiguousarray(array)
    digest = hashlib.sha256(data.view(numpy.uint8).reshape(-1).data if data.size else b"").digest()
    return fingerprinting.EmptyDeconstruction(b"array\0" + _saggar.encode((array.dtype, array.shape, digest)))


_walk = fingerprinting.make_strict_data_deconstructor({
    concepts.Node: _node,
    numpy.ndarray: _array,
    type: functions.reference(None),
    types.FunctionType: functions.reference(functions.pieces),
    types.BuiltinFunctionType: functions.reference(None),
})


def _deconstruct(thing: Any) -> Any:
    functions.check(type(thing))
    found = _walk(thing)
    if isinstance(found.state, bytes) and found.state.startswith(b"global\0") and thing is not Ellipsis:
        # it gives a name in place of its content
        functions.check(thing)
    return found


def _aggregate(deconstruction: Any) -> bytes:
    state = deconstruction.state
    if isinstance(state, str):
        state = state.encode()
    digest = hashlib.sha256(b"none" if state is None else b"%d:" % len(state) + state)
    for piece in deconstruction.pieces:
        digest.update(piece)
    return digest.digest()


def digest(thing: Any) -> bytes:
    """32 bytes. Uncacheable: something in it is known by its name alone, or by nothing."""
    try:
        return fingerprinting.catabolize(thing, deconstructor=_deconstruct, aggregator=_aggregate, allow_cycles=True)
    except (TypeError, ValueError, AttributeError) as error:
        raise _saggar.Uncacheable(str(error)) from error


def value(what: str, thing: Any) -> Any:
    """The digest as a value of a recipe."""
    return _saggar.Digest(what, digest(thing))
