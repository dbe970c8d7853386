"""What belongs to the process or the machine: its processors, its directory, the time, files, addresses.

A function that Python runs while Numba compiles (an overload's, an intrinsic's) and that asks for it puts the answer into code which
another process, on another machine, would be served. Such a function has no content. It is told by the object that it calls, whatever
that is called there. What Numba compiles is asked anew where it runs: in the function inside an overload's, in a block of objmode.
"""
from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from numba import objmode
from numba.core.ccallback import CFunc

from . import functions, texts

# By the module that a function says it is of; of these, all but the ones named, which follow from their arguments or say nothing.
_ALL = {module: frozenset(names.split()) for module, names in {
    "posix": "fspath strerror major minor makedev _path_normpath _path_splitroot _path_splitroot_ex",
    "os": "fsencode fsdecode fspath _fspath getenv getenvb get_exec_path", "time": "sleep strptime", "gc": "collect enable disable freeze",
    "platform": "system machine python_implementation", "socket": "", "_socket": "", "subprocess": "list2cmdline", "tempfile": "",
    "secrets": "compare_digest", "glob": "escape has_magic", "importlib.metadata": "",
}.items()}
_SOME = {module: frozenset(names.split()) for module, names in {
    "builtins": "dir id input open", "io": "open open_code", "_io": "open open_code",
    "genericpath": "exists lexists isfile isdir islink isjunction getsize getmtime getatime getctime samefile sameopenfile",
    "posixpath": "abspath realpath relpath expanduser expandvars exists lexists islink ismount isjunction",
    "_thread": "get_ident get_native_id _count", "threading": "current_thread active_count enumerate", "uuid": "uuid1 uuid4 uuid6 uuid7 getnode",
    "multiprocessing.context": "BaseContext.cpu_count", "multiprocessing.process": "current_process parent_process active_children",
    "sys": "getrefcount getallocatedblocks _current_frames _getframe", "shutil": "which disk_usage get_terminal_size", "getpass": "getuser getpass",
    "_ctypes": "addressof", "ctypes.util": "find_library", "numpy": "load loadtxt genfromtxt fromfile",
    "numba.np.ufunc.parallel": "get_num_threads get_thread_id threading_layer get_parallel_chunksize",
    "llvmlite.binding.targets": "get_host_cpu_name get_host_cpu_features", "llvmlite.binding.dylib": "address_of_symbol",
    "numba.core.extending": "get_cython_function_address", "numba.extending": "get_cython_function_address",
}.items()}
_OF_CLASSES = {"datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
               "pathlib.Path.cwd", "pathlib.Path.home",
               "pathlib._local.Path.cwd", "pathlib._local.Path.home"}
_ADDRESSES = {"ctypes", "__array_interface__"}  # attributes of an array
_COMPILED = {"ctypes"}  # those that Numba compiles
_SOUGHT = (BuiltinFunctionType, FunctionType, MethodType)
_UNKNOWN = object()


def name(value: Any) -> str | None:
    """The name of a function whose answer differs from process to process; None for any other object."""
    if not isinstance(value, _SOUGHT):
        return None
    if isinstance(getattr(value, "__self__", None), (random.Random, np.random.RandomState)):
        return "random numbers"
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not (module in _ALL and qualname not in _ALL[module] or module in _SOME and qualname in _SOME[module]):
        return None
    return f"{'os' if module == 'posix' else module}.{qualname}" if functions.is_pinned(module) else None


def found(python: FunctionType, kind: str) -> str | None:
    """What a function of this kind asks for while Numba compiles, by name; None if that is nothing."""
    if kind not in ("python", "intrinsic", "overload") or functions.is_overloaded(python):
        return None  # Numba compiles it
    if functions.is_pinned(python.__globals__.get("__name__")):
        return None  # such as what dataclasses put into a class, against endless recursion
    default = next(filter(None, map(name, (*(python.__defaults__ or ()), *(python.__kwdefaults__ or {}).values()))), None)
    return default or next(_in(python, python.__code__, False, kind != "intrinsic"), None)


def _in(python: FunctionType, code: CodeType, inside: bool, compiles: bool) -> Iterator[str]:
    """`inside`: it is the code of an inner function; `compiles`: which Numba may compile."""
    uses = texts.own_uses(code)
    chains = [list(_chain(python, use)) for use in uses]
    if not any(value is objmode for chain in chains for _, value in chain):
        yield from (asked for chain in chains for at, value in chain if (asked := _asked(at, value, inside and compiles)))
        for attribute in sorted(_ADDRESSES.intersection(texts.bare_attributes(code)) - (_COMPILED if inside and compiles else set())):
            yield f"an address ({attribute})"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _in(python, constant, True, compiles)


def _asked(attribute: str, value: object, compiled: bool) -> str | None:
    """What is asked for by a step of a chain: an object that is read, or an attribute of what is not known."""
    if value is not _UNKNOWN:
        return None if compiled and functions.is_overloaded(value) else name(value)
    if attribute in _ADDRESSES and not (compiled and attribute in _COMPILED):
        return f"an address ({attribute})"
    return attribute if attribute in _OF_CLASSES or attribute == "the address of a function" else None


def _chain(python: FunctionType, use: texts.Use) -> Iterator[tuple[str, object]]:
    """(attribute, what it is) of a variable and the attributes read from it, as far as modules lead; _UNKNOWN behind that."""
    value = _first(python, use)
    yield use.name, value
    for attribute in use.attributes:
        if isinstance(value, ModuleType):
            value = vars(value).get(attribute, _UNKNOWN)
        elif isinstance(value, type) and functions.is_pinned_class(value):
            attribute, value = next((full for cls in value.__mro__ if (full := f"{cls.__module__}.{cls.__qualname__}.{attribute}") in _OF_CLASSES),
                                    attribute), _UNKNOWN
        elif isinstance(value, CFunc) and attribute == "address":
            attribute, value = "the address of a function", _UNKNOWN
        else:
            value = _UNKNOWN
        yield attribute, value


def _first(python: FunctionType, use: texts.Use) -> object:
    if not use.local:
        return texts.variable(python, use.name)
    if use.source:  # from ... import
        return vars(sys.modules.get(use.source, sys)).get(use.imported, _UNKNOWN) if use.source in sys.modules else _UNKNOWN
    return sys.modules.get(use.imported, _UNKNOWN) if use.imported is not None else _UNKNOWN
