"""Recipes: the named inputs that decide the code of one function for one signature."""
from __future__ import annotations

import os
import sys
import sysconfig
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy
from numba.core import config, targetconfig, types

from .. import _saggar
from . import descriptions, identity, kinds, loops, overrides, values

SCHEMA = 3

# Configuration that changes the code, beside what the effective flags hold already.
_CONFIG = (
    "OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "EXTEND_VARIABLE_LIFETIMES",
    "LLVM_REFPRUNE_PASS", "LLVM_REFPRUNE_FLAGS", "DEBUG_NRT", "DEBUG_NRT_STACK_LIMIT", "NRT_STATS", "USING_SVML",
    "ENABLE_AVX", "USE_LLVMLITE_MEMORY_MANAGER", "USE_RVSDG_FRONTEND",
    "USE_LEGACY_TYPE_SYSTEM", "DIFF_IR", "DEBUG_ARRAY_OPT_RUNTIME", "DEBUG_ARRAY_OPT", "DEBUG", "DEBUG_JIT", "TRACE",
    "CPU_BUILTIN_ATOMICS", "DISABLE_OVERLOAD", "DISABLE_HASHING",
)

_compiler: bytes | None = None
_environment: tuple[tuple[object, ...], bytes, bytes] | None = None
_read: tuple[dict[Any, Any], tuple[int, ...]] | None = None  # what Numba's configuration was last read from: variables, and which file


def compiler() -> bytes:
    """The encoded `compiler` field: the versions that decide what the compiler does."""
    global _compiler
    if _compiler is None:
        _compiler = _saggar.encode(_saggar.Record("compiler", (
            ("numba", numba.__version__),
            ("llvmlite", llvmlite.__version__),
            ("llvm", ".".join(map(str, llvm.llvm_version_info))),
            ("numpy", numpy.__version__),
            ("python", f"{sys.implementation.cache_tag} {sysconfig.get_config_var('SOABI')}"),
            ("triple", llvm.get_process_triple()),
        )))
    return _compiler


def environment() -> tuple[bytes, bytes]:
    """(encoded configuration, digest of compiler and configuration); the second is the same object until one changes."""
    global _environment
    _read_again()
    current = tuple([getattr(config, name, None) for name in _CONFIG])
    if _environment is None or _environment[0] != current:
        items = {name: _plain(value) for name, value in zip(_CONFIG, current)}
        encoded = _saggar.encode(_saggar.Record("config", tuple(items.items())))
        _environment = current, encoded, _saggar.sha256(compiler() + encoded)
    return _environment[1], _environment[2]


def _read_again() -> None:
    """Numba reads variables and file again whenever it compiles; a key holds what it would read now. Its own check takes 60 us."""
    global _read
    try:
        found = os.stat(config._config_fname)
        file: tuple[int, ...] = found.st_mtime_ns, found.st_size, found.st_dev, found.st_ino
    except OSError:
        file = ()
    variables = getattr(os.environ, "_data", None)
    if variables is None or _read is None or _read != (variables, file):
        config.reload_config()
        _read = dict(variables or {}), file


def _plain(value: object) -> object:
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value)


def flags_value(flags: Any) -> dict[str, object]:
    """The options that are set and differ from their default, by name."""
    items: dict[str, object] = {}
    for name in sorted(flags.options):
        if flags.is_set(name):
            value = getattr(flags, name)
            if value != flags.options[name].default:
                items[name] = value
    return items


def effective_flags(owner: Any) -> object:
    """
    What a dispatcher would be compiled with now. Options that its author did not set are inherited from the function
    that is being compiled around it.
    """
    compiler_object = getattr(owner, "_compiler", None)
    if compiler_object is None:  # a ufunc's dispatcher has entered its flags already
        return flags_value(targetconfig.ConfigStack().top())
    from numba.core.compiler import Flags

    flags = Flags()
    compiler_object.targetdescr.options.parse_as_flags(flags, compiler_object.targetoptions)
    return flags_value(compiler_object._customize_flags(flags))


def signature_value(args: tuple[types.Type, ...], return_type: types.Type | None) -> object:
    return _saggar.Record("signature", (("args", tuple(args)), ("return", return_type)))


class Request:
    """A function, a signature and the options in force: everything that a key is made of."""

    __slots__ = ("key", "recipe", "content", "module", "qualname", "args", "return_type", "fields", "arguments", "subjects", "environment")

    def __init__(self, owner: Any, kind: str, args: tuple[types.Type, ...], return_type: types.Type | None) -> None:
        content = identity.content(owner)
        self.content = content
        self.args = args
        self.return_type = return_type
        self.arguments: dict[bytes, Any] = {}
        self.subjects: set[str] = set()  # what the code turned out to depend on, see dependencies
        encode = values.Encoder(self._function, run=descriptions.by_content).encode
        root = content.nodes[0].function
        self.module = root.module
        self.qualname = root.qualname
        settings, self.environment = environment()
        options = _saggar.Record("options", (
            ("kind", kind),
            ("flags", effective_flags(owner)),
            ("config", _saggar.Raw(settings)),
            *((("loops", present),) if (present := loops.state(content)) else ()),
            *((("overrides", _saggar.Digest("overrides", replaced)),) if (replaced := overrides.digest()) else ()),
        ))
        self.fields = [
            ("adapter", _saggar.encode(("numba", SCHEMA))),
            ("compiler", compiler()),
            ("options", encode(options)),
            ("source", content.source),
            ("signature", encode(signature_value(args, return_type))),
        ]
        self.key, self.recipe = _saggar.recipe(self.fields)

    def _function(self, target: Any) -> object:
        """A function among the arguments or options, by its content."""
        content = identity.content(target)
        self.arguments[content.digest] = target
        node = content.nodes[0].function
        return _saggar.Digest(f"function {node.module}:{node.qualname}", content.digest)

    def function_of(self, digest: bytes) -> Any:
        """The function of this content among the arguments and what the function reaches, or None."""
        found = self.arguments.get(digest)
        if found is None:
            for node in self.content.nodes:
                for target in (*node.targets(), node.function.python):
                    if target is not None and identity.known_digest(target) == digest:
                        return target
        return found

    def check(self) -> None:
        """Raises Uncacheable if the code may be of another configuration than the key says."""
        if self.environment != environment()[1]:
            raise _saggar.Uncacheable("Numba's configuration changed while it was compiled")

    def group(self) -> tuple[str, str, str]:
        return "numba", self.module, self.qualname

    def text(self) -> str:
        return f"numba:{self.module}:{self.qualname}"

    def detail(self) -> str:
        return f"({kinds.short(self.args)})"


class WrapperRequest:
    """A wrapper around a kernel that has a request of its own."""

    __slots__ = ("key", "recipe", "kernel", "kind")

    def __init__(self, kernel: Request, kind: str, extra: tuple[tuple[str, object], ...]) -> None:
        self.kernel = kernel
        self.kind = kind
        encode = values.Encoder(kernel._function, run=descriptions.by_content).encode
        self.key, self.recipe = _saggar.recipe(
            [*kernel.fields, ("wrapper", encode(_saggar.Record(kind, extra)))])

    def text(self) -> str:
        return f"{self.kind} {self.kernel.detail()}"
