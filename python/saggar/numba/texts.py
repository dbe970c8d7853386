"""Where code reads something by a text: `os.environ["X"]`, `globals()["K"]`, `import_module("m")`, `eval("K")`.

What is read so has no name in the code's table of names, and the object that leads to it may have any (`from os import getenv as g`). So every load
of a variable is listed with the attributes read from it and the text that follows, if that is a constant or a variable;
whoever asks knows by the object behind the name whether it matters.
"""
from __future__ import annotations

import builtins
import dis
import importlib
import importlib.util
import os
import sys
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from . import functions

# What leads to something by a text, by the object; its name where no object is at hand (a local variable).
OBJECTS: dict[int, str] = {id(value): kind for kind, found in (
    ("environment", (os.environ, os.getenv, getattr(os, "environb", os.environ), getattr(os, "getenvb", os.getenv))),
    ("module", (importlib.import_module, importlib.util.find_spec, builtins.__import__, sys.modules)),
    ("globals", (builtins.globals,)), ("eval", (builtins.eval,)), ("exec", (builtins.exec,))) for value in found}
NAMES = {"environ": "environment", "getenv": "environment", "environb": "environment", "getenvb": "environment",
         "import_module": "module", "find_spec": "module"}
INSIDE = frozenset(place for place, kind in OBJECTS.items() if kind in ("environment", "module")) - {id(sys.modules), id(builtins.__import__)}
# Attributes and functions that lead anywhere, or to what is not followed.
HIDDEN = {"__globals__", "f_globals", "__subclasses__", "__annotations__", "get_type_hints", "get_annotations"}
_GETTERS = {"get", "pop", "setdefault", "__getitem__", "__contains__"}
_SKIPPED = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME", "COPY_FREE_VARS", "MAKE_CELL"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_VARIABLE = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"}
_LOCAL = {"LOAD_FAST", "LOAD_FAST_CHECK"}
_FUSED = {"LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"), "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
          "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST")}  # of Python 3.13
_CALLS = {"CALL", "CALL_FUNCTION", "CALL_METHOD"}
_FARTHEST = 40  # instructions between a text and the call that it is an argument of


class Use(NamedTuple):
    """
    A variable that is loaded, the attributes that are read from it, and what it is asked for then: ("text", the text),
    ("variable", its name), or None. `imported`: the module that the local variable stands for, or what of the module `source`.
    """

    name: str
    local: bool
    imported: str | None
    attributes: tuple[str, ...]
    text: tuple[str, str] | None
    source: str = ""

    def text_after(self, number: int) -> tuple[str, str] | None:
        """The text if it is asked of the object behind that many attributes, or of one of its ways to get an item."""
        rest = self.attributes[number:]
        return self.text if not rest or len(rest) == 1 and rest[0] in _GETTERS else None


class _Read(NamedTuple):
    own: tuple[Use, ...]
    all: tuple[Use, ...]  # with those of the functions inside
    bare: frozenset[str]
    loaded: frozenset[str]  # variables that are no local ones, with those of the functions inside
    compiled: frozenset[str]


_known: WeakKeyDictionary[CodeType, _Read] = WeakKeyDictionary()


def uses(code: CodeType) -> tuple[Use, ...]:
    """Every load of a variable in a function and in those inside it, each once."""
    return _read(code).all


def own_uses(code: CodeType) -> tuple[Use, ...]:
    """Every load of a variable in a function, but not in those inside it."""
    return _read(code).own


def bare_attributes(code: CodeType) -> frozenset[str]:
    """The attributes that a function reads from what is no variable: the result of a call, an item."""
    return _read(code).bare


def compiled_names(code: CodeType) -> frozenset[str]:
    """The variables that only functions inside read which this one makes, returns and does nothing else with: Numba compiles those of an overload."""
    return _read(code).compiled


def _is_returned(steps: list[dis.Instruction], at: int) -> bool:
    """True if the function made of the code that is loaded here is returned, at once or by the only name that it has."""
    at += 2 if steps[at + 1].opname == "LOAD_CONST" else 1  # its name, in Python 3.10
    if steps[at].opname != "MAKE_FUNCTION":
        return False
    at += 1
    while steps[at].opname == "SET_FUNCTION_ATTRIBUTE":
        at += 1
    if steps[at].opname != "STORE_FAST":
        return steps[at].opname == "RETURN_VALUE"
    name = steps[at].argval  # also as a text or an attribute, by which it may be asked for
    loads = [after.opname for step, after in zip(steps, steps[1:]) if step.opname.startswith("LOAD_") and step.argval == name]
    return bool(loads) and set(loads) == {"RETURN_VALUE"}


def _read(code: CodeType) -> _Read:
    known = _known.get(code)
    if known is None:
        steps = [one for step in dis.get_instructions(code) if step.opname not in _SKIPPED for one in _single(step)]
        inside = [(made, _read(made)) for made in code.co_consts if isinstance(made, CodeType)]
        rooted = {*_VARIABLE, *_LOCAL, *_ATTRIBUTE}
        bare = frozenset(step.argval for before, step in zip(steps, steps[1:])
                         if step.opname in _ATTRIBUTE and before.opname not in rooted)
        own = dict.fromkeys(_in(steps))
        returned: set[str] = set()
        others = {step.argval for step in steps if step.opname in _VARIABLE}
        for made, inner in inside:
            kept = all(_is_returned(steps, at) for at, step in enumerate(steps) if step.argval is made)
            (returned if kept else others).update(inner.loaded)
        known = _known[code] = _Read(tuple(own), tuple({**own, **dict.fromkeys(use for _, inner in inside for use in inner.all)}), bare,
                                     frozenset(returned | others), frozenset(returned - others))
    return known


def _single(step: dis.Instruction) -> list[dis.Instruction]:
    """One that does the work of two on local variables, as these two."""
    kinds = _FUSED.get(step.opname)
    if kinds is None:
        return [step]
    return [step._replace(opname=kind, opcode=dis.opmap[kind], argval=its) for kind, its in zip(kinds, step.argval)]


def _in(steps: list[dis.Instruction]) -> list[Use]:
    imported: dict[str, tuple[str, str]] = {}
    module = ""
    found: list[Use] = []
    for at, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            module = step.argval
        if step.opname in ("IMPORT_NAME", "IMPORT_FROM") and at + 1 < len(steps) and steps[at + 1].opname.startswith("STORE_"):
            imported[str(steps[at + 1].argval)] = (  # `import a.b` stores a
                (step.argval, module) if step.opname == "IMPORT_FROM" else (step.argval.partition(".")[0], ""))
        if step.opname not in _VARIABLE and step.opname not in _LOCAL:
            continue
        after = at + 1
        attributes: list[str] = []
        while after < len(steps) and steps[after].opname in _ATTRIBUTE:
            attributes.append(steps[after].argval)
            after += 1
        if step.opname in _LOCAL and not attributes and step.argval not in imported:
            continue
        name, source = imported.get(step.argval, (None, ""))
        found.append(Use(step.argval, step.opname in _LOCAL, name, tuple(attributes), _text(steps, at, after), source))
    return found


def _text(steps: list[dis.Instruction], start: int, at: int) -> tuple[str, str] | None:
    while at < len(steps) and steps[at].opname == "PUSH_NULL":
        at += 1
    if at < len(steps) and steps[at].opname in _CALLS and steps[at].arg == 0:  # globals()
        at += 1
        if at < len(steps) and steps[at].opname in _ATTRIBUTE and steps[at].argval in _GETTERS:
            at += 1
    if at >= len(steps):
        return None
    if steps[at].opname == "CONTAINS_OP":
        return _constant(steps[start - 1]) if start else None
    found = _constant(steps[at])
    return found if found is not None and _is_asked(steps, at + 1) else None


def _constant(step: dis.Instruction) -> tuple[str, str] | None:
    if step.opname == "LOAD_CONST" and type(step.argval) is str:
        return "text", step.argval
    return ("variable", step.argval) if step.opname in _VARIABLE else None


def _is_asked(steps: list[dis.Instruction], at: int) -> bool:
    """True if what was loaded just before is the first argument of a call, or an index, as it is."""
    depth = 1  # what was loaded, and what lies on top of it
    for step in steps[at:at + _FARTHEST]:
        name, count = step.opname, step.arg or 0
        if name in _CALLS and count == depth or name in ("CALL_FUNCTION_KW", "CALL_KW") and count + 1 == depth:
            return True
        if name == "BINARY_SUBSCR" and depth == 1:
            return True
        if not name.startswith("LOAD_") and name not in ("PUSH_NULL", "KW_NAMES"):
            taken = count if name.startswith(("BUILD_", "CALL")) else 2
            if "JUMP" in name or taken >= depth:
                return False
        elif name in _ATTRIBUTE and depth == 1:
            return False
        depth += dis.stack_effect(step.opcode, step.arg, jump=False)
        if name in _CALLS and sys.version_info[:2] == (3, 11):
            depth -= count  # there the arguments are taken by an instruction before it
    return False


def asked(python: FunctionType, use: Use) -> tuple[str | None, str | None, ModuleType | None]:
    """What a variable leads to by a text (or None), that text (None if it is not constant), and the module whose names it is one of."""
    value: Any = None
    kind = None
    if not use.local:
        value = variable(python, use.name)
    elif use.imported is not None:
        value, kind = sys.modules.get(use.imported), NAMES.get(use.imported)
    for number, attribute in enumerate((*use.attributes, None)):
        kind = kind or OBJECTS.get(id(value))
        if kind is None and attribute is not None and not issubclass(type(value), ModuleType):
            kind, number, value = NAMES.get(attribute), number + 1, None
        elif kind is None and attribute == "__dict__" and not functions.is_pinned(value.__name__):
            return "__dict__", _given(python, use.text_after(number + 1)), value
        elif kind is None and attribute is not None:
            value = vars(value).get(attribute)
        if kind is not None:
            return kind, _given(python, use.text_after(number)), None
    return None, None, None


def _given(python: FunctionType, text: tuple[str, str] | None) -> str | None:
    if text is None or text[0] == "text":
        return text and text[1]
    value = variable(python, text[1])
    return value if type(value) is str else None


def variable(python: FunctionType, name: str) -> object:
    """What a free, a global or a built-in variable of a function is bound to; None if it is a local one of an outer function."""
    code = python.__code__
    if name in code.co_freevars:
        try:
            return (python.__closure__ or ())[code.co_freevars.index(name)].cell_contents
        except ValueError:
            return None
    return None if name in code.co_cellvars else python.__globals__.get(name, vars(builtins).get(name))


def catches(code: CodeType) -> bool:
    """True if a function, or one inside it, goes on after an exception."""
    return _POP_EXCEPT in code.co_code[::2] or any(catches(inner) for inner in code.co_consts if isinstance(inner, CodeType))


_POP_EXCEPT = dis.opmap["POP_EXCEPT"]
