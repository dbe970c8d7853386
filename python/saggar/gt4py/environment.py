"""What decides beside the program: versions, GT4Py's settings, variables of the environment, the compiler.

Versions and settings are in the key. The compiler is a dependency: an entry holds where the compiler that made it is, and where there
is none at all, so that a program runs from an image on a machine without a compiler.
"""
from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import sys
import sysconfig
from importlib import metadata, util
from typing import Any

from .. import _saggar

SCHEMA = 1

# Settings of gt4py.next.config that decide where, when and how loudly, not what.
_ELSEWHERE = frozenset({"BUILD_CACHE_DIR", "BUILD_CACHE_LIFETIME", "BUILD_JOBS", "BUILD_JOBS_MODE", "VERBOSE_EXCEPTIONS",
                        "DUMP_METRICS_AT_EXIT", "ENABLE_JIT_DEFAULT", "SKIP_DACE_WARNINGS"})
# Variables that compilers and CMake read. CXX is not among them: the compiler is known by its content, see command().
_VARIABLES = ("CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "LD_RUN_PATH",
              "COMPILER_PATH", "GCC_EXEC_PREFIX", "GridTools_ROOT", "nanobind_ROOT", "Python_ROOT", "OpenMP_ROOT", "OpenMP_CXX_FLAGS")
_INDIFFERENT = ("CMAKE_GENERATOR", "CMAKE_BUILD_PARALLEL_LEVEL", "CMAKE_EXPORT_COMPILE_COMMANDS", "CMAKE_CXX_COMPILER_LAUNCHER",
                "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_COLOR_DIAGNOSTICS", "CMAKE_TLS_VERIFY")


@functools.cache
def version(name: str) -> str:
    """The version of an installed distribution, "" if there is none. One that lies in somebody's working copy: with its content."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return ""
    direct = found.read_text("direct_url.json") or ""
    return f"{found.version} {_content(name)}" if '"editable": true' in direct.replace('":true', '": true') else found.version


def _content(name: str) -> str:
    digest = hashlib.sha256()
    for root, folders, files in os.walk(package(name)):
        folders.sort()
        for file in sorted(files):
            if not file.endswith((".pyc", ".so")):
                path = os.path.join(root, file)
                with open(path, "rb") as stream:
                    digest.update(os.path.relpath(path, package(name)).encode() + b"\0" + hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()


@functools.cache
def package(name: str) -> str:
    """The folder of an installed package."""
    spec = util.find_spec(name.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise _saggar.Uncacheable(f"the package {name} has no folder")
    return os.path.realpath(next(iter(spec.submodule_search_locations)))


def compiler(*names: str) -> bytes:
    """The field `compiler` of a recipe: the versions that decide."""
    return _saggar.encode(_saggar.Record("compiler", (
        *((name, version(name)) for name in ("gt4py", "numpy", *names)),
        ("python", f"{sys.implementation.cache_tag} {sysconfig.get_config_var('SOABI')}"),
    )))


def settings() -> dict[str, object]:
    """GT4Py's settings that may change what is made."""
    from gt4py.next import config

    found = {}
    for name, value in sorted(vars(config).items()):
        if name.isupper() and not name.startswith("_") and name not in _ELSEWHERE and not isinstance(value, type):
            value = getattr(value, "name", value)
            found[name] = value if type(value) in (bool, int, float, str, type(None)) else repr(value)
    found.pop("BUILD_CACHE_VERSION_ID", None)
    return found


def salt() -> str:
    """GT4PY_BUILD_CACHE_VERSION_ID, where it is not simply GT4Py's version."""
    import gt4py
    from gt4py.next import config

    return "" if config.BUILD_CACHE_VERSION_ID == gt4py.__version__ else str(config.BUILD_CACHE_VERSION_ID)


_FILES = re.compile(r"CMAKE_TOOLCHAIN_FILE|(?:^|[\s=\"'])(?:@|--?specs=|-fplugin=|-fprofile-use|-fauto-profile|-fprofile-instr-use|--config)")


def only_texts(what: str, flags: str) -> None:
    """Uncacheable if the flags name a file whose content decides."""
    if _FILES.search(flags):
        raise _saggar.Uncacheable(f"{what}: a file decides that is not in the key")


def variables(*more: str) -> dict[str, str]:
    """The variables that a C++ build reads and that are set. Uncacheable: one names a file whose content decides."""
    names = [*_VARIABLES, *more, *(name for name in os.environ if name.startswith("CMAKE_") and name not in _INDIFFERENT)]
    found = {name: os.environ[name] for name in sorted(set(names)) if name in os.environ}
    for name in (*found, "CXX"):
        only_texts(name, f"{name}={os.environ.get(name, '')}")
    words = os.environ.get("CXX", "").split()
    flags = [word for word in words if word.startswith("-")]
    return {**found, "CXX": " ".join(flags)} if flags else found


# -- the compiler ------------------------------------------------------------------------------------------------------

_toolchains: dict[tuple[object, ...], Any] = {}


def toolchain(kind: str = "cmake") -> tuple[str, str, bytes] | None:
    """
    (path, name, identity) of the C++ compiler that CMake or `setuptools` would take; None if there is none. Read once as long as it is
    the same file.
    """
    command = os.environ.get("CXX") or (sysconfig.get_config_var("CXX") if kind == "setuptools" else "") or ""
    place = next(filter(None, map(shutil.which, command.split()[:1] or ["c++", "g++", "clang++"])), None)
    try:
        state = os.stat(place) if place else None
    except OSError:
        state = None
    key = (command, os.environ.get("PATH"), place, state and (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    if key not in _toolchains:
        _toolchains[key] = _saggar.toolchain(command or None)
    return _toolchains[key]


def _tool(name: str) -> str | None:
    """A program that decides how the compiler is called: by content, a script by the distribution of its name."""
    path = shutil.which(name)
    if path is None:
        return None
    with open(path, "rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return f"{name} {version(name)}"
    found = _saggar.toolchain(path)
    return None if found is None else f"{name} {found[2].hex()}"


_tools: dict[tuple[str, str | None], str | None] = {}


def _token(word: str) -> str | None:
    """What stands for a tool of this machine in a dependency; None: there is none here."""
    if word.endswith(".compiler"):
        found = toolchain(word.partition(".")[0])
        return None if found is None else f"{word} {found[1]} {found[2].hex()}"
    key = (word, os.environ.get("PATH"))
    if key not in _tools:
        _tools[key] = _tool(word)
    return _tools[key]


def built_with(*tools: str, compiler: str = "cmake") -> list[tuple[Any, ...]]:
    """The dependencies that say which compiler and which tools made an entry."""
    texts = [_token(f"{compiler}.compiler"), *map(_token, tools)]
    return [("value", "gt4py", text, _saggar.sha256(text.encode())) for text in texts if text is not None]


class Resolver:
    """Answers for the dependencies of an entry."""

    def digest(self, code: bool, resolver: str, name: str) -> bytes | None:
        if resolver != "gt4py" or code:
            return None
        here = _token(name.partition(" ")[0])
        return _saggar.sha256((name if here is None else here).encode())

    def distribution(self, name: str) -> str | None:
        return version(name) or None

    def root(self, name: str) -> str | None:
        try:
            return package(name)
        except Exception:
            return None


resolver = Resolver()
