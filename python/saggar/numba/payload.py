"""A compile result as the parts of an entry, and back.

Parts: `object` (the ELF object), `bitcode` (for inlining into callers that are compiled later), `bodies` (see bodies), `meta` (one canonical
value). Annotations and anything else with a path in it are left out.
"""
from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import llvmlite.binding as llvm
import numba
from numba.core import types
from numba.core.compiler import CompileResult
from numba.core.funcdesc import FunctionDescriptor, PythonFunctionDescriptor
from numba.core.utils import _dynamic_module

from .. import _saggar
from . import bodies, codec, dependencies, environments, functions, loops, names, recipe

# Instructions that only the source asks for; LLVM itself puts in nothing but the atomic ones.
_TARGET = re.compile(rb"llvm\.(x86|aarch64)\.(?!atomic\.)")
_ASSEMBLY = re.compile(r'\basm (?:[a-z]+ )*"|"target-(?:cpu|features)"=')
_SKIPPED = {"typemap", "calltypes", "doc", "global_dict"}
_PARALLEL = ("numba_parallel_for", "do_scheduling_signed", "do_scheduling_unsigned", "get_num_threads", "allocate_sched",
             "get_sched_size", "set_parallel_chunksize", "get_parallel_chunksize", "get_thread_id")


class Refused(Exception):
    """An entry cannot be used here; `reason` is one of the library's words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Symbols:
    """Resolves external symbols by name, remembering those that were found."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.refreshed = False

    def __call__(self, name: str) -> bool:
        if name in self.found:
            return True
        if not llvm.address_of_symbol(name) and not self._prepared(name):
            return False
        self.found.add(name)
        return True

    def _prepared(self, name: str) -> bool:
        """Some symbols exist only after Numba's runtime or its threads were started."""
        from numba.core.registry import cpu_target

        if not self.refreshed:
            self.refreshed = True
            cpu_target.target_context.refresh()
            if llvm.address_of_symbol(name):
                return True
        if name in _PARALLEL:
            from numba.np.ufunc.parallel import _launch_threads

            _launch_threads()
        return bool(llvm.address_of_symbol(name))


symbol = Symbols()


class Resolver:
    """What `find` asks: whether a symbol can be bound, and what is registered for a subject now."""

    def symbol(self, name: str) -> bool:
        return symbol(name)

    def digest(self, code: bool, scope: str, name: str) -> bytes | None:
        return dependencies.digest(code, scope, name)


resolver = Resolver()


def undefined(symbols: list[tuple[str, bool, bool]]) -> list[str]:
    """The symbols of an object that it needs from outside. Raises Uncacheable if one is not to be had by name."""
    needed = sorted(name for name, is_defined, is_common in symbols if not is_defined and not is_common)
    for name in needed:
        if not symbol(name):
            what = "functions that call each other" if name.startswith(".numba.unresolved$") else f"symbol {name}"
            raise _saggar.Uncacheable(f"{what}: the code is not complete in itself")
    return needed


def library_parts(library: Any) -> tuple[dict[str, bytes], list[str], list[str]]:
    """(parts, undefined symbols, names inside) of a finished library. Raises Uncacheable."""
    if library.has_dynamic_globals:
        raise _saggar.Uncacheable("it uses dynamic globals (such as ctypes pointers and large global arrays)")
    _, kind, (obj, bitcode) = library.serialize_using_object_code()
    if kind != "object":
        raise _saggar.Uncacheable(f"library of kind {kind}")
    obj, bitcode = bytes(obj), bytes(bitcode)
    if _TARGET.search(bitcode) or _ASSEMBLY.search(str(library._final_module)):  # bitcode hides the latter
        raise _saggar.Uncacheable("it asks for instructions of one processor")
    inside, why = names.inside(obj, bitcode)
    if why:
        raise _saggar.Uncacheable(why)
    symbols = _saggar.object_symbols(obj)
    parts = {"object": obj, "bitcode": bitcode, bodies.PART: bodies.defined(name for name, is_defined, _ in symbols if is_defined)}
    return parts, undefined(symbols), inside


def has_lifted(cres: CompileResult) -> bool:
    """True if a part of it is a function that cannot be stored. A block in object mode can; None is a block that was left where it is."""
    return any(lifted is not None and not lifted.can_cache for lifted in cres.lifted)


def build(request: recipe.Request, cres: CompileResult, subjects: set[Any]) -> tuple[dict[str, bytes], list[str]]:
    """(parts, undefined symbols) of a compile result, made with `subjects`. Raises Uncacheable, saying why it must not be stored."""
    if has_lifted(cres):
        raise _saggar.Uncacheable("it uses lifted code")
    request.check()
    if isinstance(cres.signature.return_type, types.Generator) and not _is_of(cres.signature.return_type, request):
        _maker(cres.signature.return_type, request)
    parts, needed, inside = library_parts(cres.library)
    packer = codec.Codec(request.args)
    fndesc = cres.fndesc
    signature = cres.signature
    meta = {
        "kind": "result",
        "library": cres.library.name,
        "objectmode": bool(cres.objectmode),
        "fndesc": {name: packer.pack(getattr(fndesc, name)) for name in _slots() if name not in _SKIPPED},
        "return": packer.pack(signature.return_type),
        "args": None if tuple(signature.args) == request.args else packer.pack(tuple(signature.args)),
        "environments": _environments(request, cres),
        "reload": _reload(cres, needed),
        "names": tuple(inside),
        "loops": loops.packed(subjects, request.content, packer),
    }
    parts["meta"] = _saggar.encode(meta)
    _no_paths(request, parts)
    return parts, needed


def _slots() -> list[str]:
    return list(FunctionDescriptor.__slots__)


def _environments(request: recipe.Request, cres: CompileResult) -> list[tuple[str, str, bytes]]:
    """
    (name, module, constants) of the function's own Environment and of those that its code refers to. One without constants may stand in
    no module: code that makes the arguments of an exception asks whether it is there, and reads nothing from it.
    """
    result = []
    own = cres.environment
    slots = {name for gv in cres.library._final_module.global_variables if (name := gv.name).startswith("_ZN08NumbaEnv")}
    found = {name: env for name in slots if (env := environments.Environment._memo.get(name)) is not None and env.can_cache()}
    if own is not None:
        found[own.env_name] = own
    for name in sorted(slots.union(found)):
        env = found.get(name)
        if env is None and any(len(other.consts) for other in environments._kept.get(name, ())):
            raise _saggar.Uncacheable("it contains a function that belongs to no module")
        encoded = environments.NONE if env is None else environments.constants(env)
        if env is not None and not environments.remember(env, encoded):
            raise _saggar.Uncacheable("other constants under the same name")
        result.append((name, "" if env is None else str(env.globals.get("__name__", "")), encoded))
    if request.content.runs_nameless():
        raise _saggar.Uncacheable("Python runs a part of a function that belongs to no module")
    return result


def _reload(cres: CompileResult, needed: list[str]) -> list[str]:
    """The functions to call before the code is loaded, by name."""
    functions = list(cres.reload_init or ())
    if any(name in _PARALLEL for name in needed) and not functions:
        from numba.core.typed_passes import _reload_parfors

        functions.append(_reload_parfors)
    result: dict[str, None] = {}
    for function in functions:
        name = codec.function_name(function)
        if name is None:
            raise _saggar.Uncacheable("it needs a function without a name before it is loaded")
        result[name] = None
    return list(result)


def _no_paths(request: recipe.Request, parts: dict[str, bytes]) -> None:
    """Refuses parts that hold the place of a source file on this machine."""
    places = {os.fsencode(os.path.dirname(os.path.dirname(numba.__file__)))}
    for node in request.content.nodes:
        python = node.function.python
        if python is not None and os.path.isabs(python.__code__.co_filename):
            directory = os.path.dirname(python.__code__.co_filename)
            if len(directory) > 1:
                places.add(os.fsencode(directory))
    for name, blob in parts.items():
        for place in places:
            if place + b"/" in blob or len(place) > 8 and place in blob:
                raise _saggar.Uncacheable(f"the path of a source file is in its {name}")


def admit(entry: Any) -> Any:
    """The meta of an entry whose functions may live in this process. Raises Refused."""
    meta = _saggar.decode(bytes(entry.part("meta")))
    taken = bodies.admit(bytes(entry.part(bodies.PART)))
    if taken is not None:
        raise Refused("symbol-conflict", taken)
    for name in meta["names"]:
        bodies.named(name)
    return meta


def load_library(entry: Any, meta: Any, codegen: Any) -> Any:
    """The code library of an entry. Every check comes before: what is loaded once stays."""
    obj = bytes(entry.part("object"))
    library = codegen.unserialize_library((meta["library"], "object", (obj, bytes(entry.part("bitcode")))))
    # A recursive call waits for its symbol, which Numba looks for in modules that it compiled.
    linker = codegen._rtlinker
    linker._defined.update(name for name, is_defined, _ in _saggar.object_symbols(obj) if is_defined)
    linker.resolve(codegen._engine)
    return library


def load(entry: Any, request: recipe.Request, python: Any, target_context: Any) -> CompileResult:
    """The compile result of an entry. Raises Refused, or anything at all for an entry that is not understood."""
    meta = admit(entry)
    unpacker = codec.Codec(request.args, request.function_of)
    fndesc = _fndesc(meta["fndesc"], unpacker, python)
    own, others = _load_environments(meta, request, fndesc, python)
    loops.again(meta["loops"], request.content, unpacker)
    restype = unpacker.unpack(meta["return"])
    args = request.args if meta["args"] is None else unpacker.unpack(meta["args"])
    reload_init = [_import(name) for name in meta["reload"]]
    for function in reload_init:
        function()
    library = load_library(entry, meta, target_context.codegen())
    if hasattr(library, "_reload_init"):
        library._reload_init.update(reload_init)
    from numba.core.typing import signature

    cfunc = target_context.get_executable(library, fndesc, own)
    result = CompileResult(
        typing_context=target_context.typing_context, target_context=target_context, entry_point=cfunc,
        typing_error=None, type_annotation="", signature=signature(restype, *args), objectmode=meta["objectmode"],
        lifted=(), fndesc=fndesc, library=library, call_helper=None, environment=own, metadata=None,
        reload_init=reload_init, referenced_envs=others)
    for env in others:
        environments.place(library.codegen, env)
    if isinstance(restype, types.Generator):
        if _is_of(restype, request):
            _insert_generator(target_context, restype, fndesc, entry, library)
        else:
            _maker(restype, request).compile(restype.arg_types)
    return result


def _is_of(gentype: Any, request: recipe.Request) -> bool:
    """True if a generator's type is that of the function itself, which may also give out another function's."""
    return gentype.gen_func is request.content.nodes[0].function.python


def _maker(gentype: Any, request: recipe.Request) -> Any:
    """The dispatcher whose generator a function gives out. Raises Uncacheable."""
    for node in request.content.nodes:
        if node.function.python is gentype.gen_func and functions.is_dispatcher(node.of()):
            return node.of()
    raise _saggar.Uncacheable("it gives out a generator of a function that is not among those that it reads")


def _insert_generator(target_context: Any, gentype: Any, fndesc: Any, entry: Any, library: Any) -> None:
    """What lowering a generator does beside its code, so that functions compiled later can iterate over it."""
    from numba.core.generators import GeneratorDescriptor

    descriptor = GeneratorDescriptor.from_generator_fndesc(None, fndesc, gentype, target_context.mangler)
    defined = {name for name, is_defined, _ in _saggar.object_symbols(bytes(entry.part("object"))) if is_defined}
    if descriptor.mangled_name not in defined:
        raise Refused("load-failed", "its generator has another name here")
    target_context.insert_generator(gentype, descriptor, [library])


def _fndesc(packed: dict[str, Any], unpacker: codec.Codec, python: Any) -> Any:
    fndesc = PythonFunctionDescriptor.__new__(PythonFunctionDescriptor)
    for name in _slots():
        if name in packed:
            setattr(fndesc, name, unpacker.unpack(packed[name]))
    fndesc.typemap = fndesc.calltypes = None
    fndesc.doc = python.__doc__ or ""
    fndesc.global_dict = python.__globals__ if python.__module__ is None else None
    return fndesc


def _load_environments(meta: Any, request: recipe.Request, fndesc: Any, python: Any) -> tuple[Any, list[Any]]:
    own, others = None, []
    for name, module, encoded in meta["environments"]:
        if name == fndesc.env_name:
            space = python.__globals__
        else:
            space = (request.content.globals_of(module) or _module(module).__dict__) if module else environments.EMPTY
        env = environments.obtain(name, encoded, space, meta["objectmode"])
        if env is None:
            raise Refused("symbol-conflict", name)
        if name == fndesc.env_name:
            own = env
        others.append(env)
    return own, others


def _module(name: str) -> Any:
    """A module; Numba has one of its own for functions of those that cannot be imported."""
    return sys.modules.get(name) or (_dynamic_module if name == _dynamic_module.__name__ else importlib.import_module(name))


def _import(name: str) -> Any:
    module, _, qualname = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
