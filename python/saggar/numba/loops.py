"""The loops of ufuncs that were declared without signatures, which Numba makes as compiled functions ask for them.

Such a ufunc takes the first loop that its arguments can be cast to. So what a call of it means depends on the loops that are there, and
compiling a function may leave one more behind, which later calls find. A function's key has the loops that its ufuncs
have when it is asked for; where it is served, the loops that compiling it made are made again (or served), in their order.
"""
from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref as weakref_to

from numba.np.ufunc.dufunc import DUFunc
from numba.np.ufunc.gufunc import GUFunc

from .. import _saggar
from . import codec, frames

_made: WeakKeyDictionary[Any, dict[tuple[Any, ...], None]] = WeakKeyDictionary()  # by ufunc, the arguments' types
_numbers = itertools.count()


class Loop(NamedTuple):
    """A loop that was made while a function was compiled."""

    number: int  # in the order of their making
    ufunc: Any  # a weak reference
    args: tuple[Any, ...]


def added(ufunc: Any, args: tuple[Any, ...]) -> None:
    """A loop was made on demand."""
    _made.setdefault(ufunc, {})[args] = None
    for frame in frames.running()[-1:]:
        frame.subjects.add(Loop(next(_numbers), weakref_to(ufunc), args))


def _dynamic(content: Any) -> Iterator[tuple[str, Any]]:
    """(label, ufunc) of those without signatures that a function reaches."""
    for node in content.nodes:
        if node.function.kind in ("ufunc", "gufunc"):
            ufunc = node.of()
            if isinstance(ufunc, (DUFunc, GUFunc)) and not ufunc._frozen:
                yield node.label, ufunc


def state(content: Any) -> tuple[object, ...]:
    """The loops that there are now, as a part of a key; empty where no such ufunc is reached, or none was used yet."""
    return tuple([(label, tuple(_made[ufunc])) for label, ufunc in _dynamic(content) if _made.get(ufunc)])


def packed(subjects: Iterable[Any], content: Any, packer: codec.Codec) -> tuple[object, ...]:
    """The loops that a function made, for its entry. Raises Uncacheable for one of a ufunc that is not found again."""
    known = list(_dynamic(content))
    result = []
    for loop in sorted((subject for subject in subjects if isinstance(subject, Loop)), key=lambda loop: loop.number):
        ufunc = loop.ufunc()
        labels = [label for label, each in known if each is ufunc]
        if len(labels) != 1 or [label for label, _ in known].count(labels[0]) != 1:
            raise _saggar.Uncacheable("it makes a loop of a ufunc that has no name in it")
        result.append((labels[0], packer.pack(loop.args)))
    return tuple(result)


def again(made: Iterable[Any], content: Any, unpacker: codec.Codec) -> None:
    """Makes the loops that compiling a function would make, but for those that are there."""
    known = dict(_dynamic(content)) if made else {}
    for label, args in made:
        ufunc, types = known[label], unpacker.unpack(args)
        if types not in _made.get(ufunc, {}):
            ufunc._compile_for_argtys(types)
