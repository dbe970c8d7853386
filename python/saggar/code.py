"""What a code object computes, without where it was written.

`facts(code)` gives a digest of everything in a code object that can decide the compiled code (not the file name, the
line numbers, or the docstring) and the names that it reads from outside. Both follow from the code object alone, so
they are kept for the life of the process.
"""
from __future__ import annotations

import __future__
import dis
import sys
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

from . import _saggar

_NEW = sys.version_info >= (3, 11)
_ATTR_SHIFT = 1 if sys.version_info >= (3, 12) else 0
_EXTENDED = dis.opmap["EXTENDED_ARG"]
_CACHE = dis.opmap.get("CACHE", -1)
_GLOBAL = {dis.opmap[n] for n in ("LOAD_GLOBAL",) if n in dis.opmap}
_NAME = {dis.opmap[n] for n in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if n in dis.opmap}
_DEREF = {dis.opmap[n] for n in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_CLOSURE") if n in dis.opmap}
_ATTR = {dis.opmap[n] for n in ("LOAD_ATTR",)}
_METHOD = {dis.opmap[n] for n in ("LOAD_METHOD",) if n in dis.opmap}
_CONST = set(dis.hasconst)
_NOP = dis.opmap["NOP"]
_RESUME = bytes((dis.opmap["RESUME"], 0)) if _NEW else b""  # where a call begins
# Flags that decide nothing that is compiled: CO_HAS_DOCSTRING and annotations as texts.
_WITHOUT_EFFECT = (0x4000000 if sys.version_info >= (3, 14) else 0) | __future__.annotations.compiler_flag


class Facts:
    """
    `reads`: (is a free variable, name, attributes read from it directly), in order of first appearance. `names`: every name
    in the code, `strings`: every text in it.
    """

    __slots__ = ("digest", "reads", "names", "strings")

    def __init__(self, digest: bytes, reads: tuple[tuple[bool, str, tuple[str, ...]], ...], names: tuple[str, ...],
                 strings: tuple[str, ...]) -> None:
        self.digest = digest
        self.reads = reads
        self.names = names
        self.strings = strings


_memo: WeakKeyDictionary[CodeType, Facts] = WeakKeyDictionary()


def facts(code: CodeType) -> Facts:
    """The facts of a code object. Raises Uncacheable for a constant without encoding."""
    known = _memo.get(code)
    if known is None:
        reads: dict[tuple[bool, str, tuple[str, ...]], None] = {}
        names: dict[str, None] = {}
        digest = _digest(code, reads, names, set(code.co_freevars))
        known = _memo[code] = Facts(digest, tuple(reads), tuple(names), tuple(_strings(code)))
    return known


def _strings(code: CodeType) -> dict[str, None]:
    found: dict[str, None] = {}
    todo: list[Any] = list(code.co_consts)
    while todo:
        constant = todo.pop()
        if type(constant) is str:
            found[constant] = None
        elif isinstance(constant, CodeType):
            todo.extend(constant.co_consts)
        elif isinstance(constant, (tuple, frozenset)):
            todo.extend(constant)
    return found


def _digest(code: CodeType, reads: dict[Any, None], names: dict[str, None], free: set[str]) -> bytes:
    raw, loads = _scan(code, reads, free)
    names.update(dict.fromkeys(code.co_names))

    def other(value: object) -> object:
        if isinstance(value, CodeType):
            return _saggar.Digest("code", _digest(value, reads, names, free))
        if value is Ellipsis:
            return _saggar.Record("ellipsis", ())
        if isinstance(value, slice):
            return _saggar.Record("slice", (("start", value.start), ("stop", value.stop), ("step", value.step)))
        raise _saggar.Uncacheable(f"constant of type {type(value).__qualname__} in {code.co_name}")

    record = _saggar.Record("code", (
        ("name", code.co_name),
        ("arguments", (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)),
        ("flags", code.co_flags & ~_WITHOUT_EFFECT),
        ("code", raw),
        ("constants", tuple(code.co_consts[index] for index in loads)),
        ("names", code.co_names),
        ("variables", code.co_varnames),
        ("free", code.co_freevars),
        ("cells", code.co_cellvars),
        ("exceptions", getattr(code, "co_exceptiontable", b"")),
    ))
    return _saggar.sha256(_saggar.encode(record, other))


def _scan(code: CodeType, reads: dict[Any, None], free: set[str]) -> tuple[bytes, list[int]]:
    """
    Adds what the code reads by name to `reads`. Returns the code without the numbers of its constants, and these numbers as they are
    loaded, each time. With -OO a docstring leaves a NOP where the body begins, and the constants may have other numbers.
    """
    raw, names = bytearray(code.co_code), code.co_names
    loads: list[int] = []
    chain: list[str] | None = None
    root: tuple[bool, str] = (False, "")

    def flush() -> None:
        if chain is not None:
            reads[(root[0], root[1], tuple(chain))] = None

    extended = 0
    for at in range(0, len(raw), 2):
        op, arg = raw[at], raw[at + 1] | extended
        if op == _EXTENDED:
            extended = arg << 8
            continue
        widened, extended = extended > 0, 0
        if op == _CACHE:
            continue
        if op in _ATTR or op in _METHOD:
            if chain is not None:
                chain.append(names[arg >> _ATTR_SHIFT if op in _ATTR else arg])
            continue
        flush()
        chain = None
        if op in _GLOBAL:
            chain, root = [], (False, names[arg >> 1 if _NEW else arg])
        elif op in _NAME:
            chain, root = [], (False, names[arg])
        elif op in _DEREF:
            name = _deref(code, arg)
            if name in free:
                chain, root = [], (True, name)
        elif op in _CONST:
            loads.append(arg)
            if not widened:
                raw[at + 1] = 0
    flush()
    body = raw.find(_RESUME) + 2 if _NEW else -1
    while body > 0 and raw[body] == _NOP and not code.co_exceptiontable:  # type: ignore[attr-defined]
        del raw[body:body + 2]  # jumps are relative
    return bytes(raw), loads


def _deref(code: CodeType, arg: int) -> str:
    if _NEW:
        return code._varname_from_oparg(arg)  # type: ignore[attr-defined]
    return (code.co_cellvars + code.co_freevars)[arg]


def imports(code: CodeType) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """(level, module, names) of each import statement in a function and in the functions inside it."""
    known = _imports.get(code)
    if known is None:
        found: list[tuple[int, str, tuple[str, ...]]] = []
        constants: list[Any] = []
        if _IMPORT in code.co_code[::2]:
            for instruction in dis.get_instructions(code):
                if instruction.opcode == _IMPORT:
                    level, names = constants[-2:]
                    found.append((level, instruction.argval, names or ()))
                elif instruction.opname in ("LOAD_CONST", "LOAD_SMALL_INT"):
                    constants.append(instruction.argval)
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                found.extend(imports(constant))
        known = _imports[code] = tuple(found)
    return known


def free_in_blocks(code: CodeType) -> frozenset[str] | None:
    """The free variables that are read in or after a `with` block; None if there is no block."""
    if code not in _blocks:
        found: set[str] | None = None
        if not _WITH.isdisjoint(code.co_code[::2]):
            for instruction in dis.get_instructions(code):
                if instruction.opcode in _WITH:
                    found = found or set()
                elif found is not None and instruction.opcode in _DEREF and instruction.argval in code.co_freevars:
                    found.add(instruction.argval)
        _blocks[code] = None if found is None else frozenset(found)
    return _blocks[code]


_IMPORT = dis.opmap["IMPORT_NAME"]
_WITH = {dis.opmap[n] for n in ("SETUP_WITH", "BEFORE_WITH") if n in dis.opmap}
_blocks: WeakKeyDictionary[CodeType, frozenset[str] | None] = WeakKeyDictionary()
_imports: WeakKeyDictionary[CodeType, tuple[tuple[int, str, tuple[str, ...]], ...]] = WeakKeyDictionary()
