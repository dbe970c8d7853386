"""Compilations as trees: built in a private directory, once among all processes that see the store, and found ever after.

What is kept is what loading needs. Each header that was read is a dependency by content, but those that come with the compiler and with Python,
which are known by their versions. What cannot be stored is used by this process all the same.
"""
from __future__ import annotations

import errno
import os
import pathlib
import re
import subprocess
import threading
from typing import Any, Callable

from .. import _saggar, process
from . import entries, environment

_held: list[Any] = []  # trees, as long as the process may open files of theirs
_building = threading.local()

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
PACKAGES = ("gridtools_cpp", "nanobind", "dace", "numpy", "pybind11")


class Unfit(Exception):
    """What was built is not what was expected: GT4Py does it in its own way."""


def active() -> bool:
    """True inside a build of ours."""
    return getattr(_building, "depth", 0) > 0


# -- headers and features ----------------------------------------------------------------------------------------------

_ITEM = re.compile(r"(?:[^\s\\]|\\.)+")


def headers(depfile: pathlib.Path, own: pathlib.Path) -> list[str]:
    """The files that a make rule lists, `own` and what lies below it left out."""
    text = depfile.read_text().replace("\\\n", " ").partition(": ")[2]
    found = {os.path.realpath(os.path.join(depfile.parent, item.replace("\\ ", " "))) for item in _ITEM.findall(text)}
    return sorted(path for path in found if not path.startswith(f"{os.path.realpath(own)}/"))


def dependencies(paths: list[str], system: list[str]) -> list[tuple[Any, ...]]:
    """Uncacheable: a header of a place that is nobody's."""
    roots = []
    for name in PACKAGES:
        try:
            roots.append((name, environment.package(name) + "/"))
        except Exception:
            continue
    found: list[tuple[Any, ...]] = []
    for path in paths:
        root = next(((name, folder) for name, folder in roots if path.startswith(folder)), None)
        if root is not None:
            with open(path, "rb") as stream:
                data = stream.read()
            found.append(("file", root[0], path[len(root[1]):], len(data), _saggar.sha256(data)))
        elif not any(path.startswith(folder) for folder in system):
            raise _saggar.Uncacheable(f"a header that no package and no compiler owns: {path}")
    return found


def system(kind: str = "cmake") -> list[str]:
    """Where headers lie that the versions of the compiler and of Python stand for."""
    import sysconfig

    found = ["/usr/include/", "/usr/lib/gcc/", "/usr/lib/clang/", "/usr/lib/llvm", os.path.realpath(sysconfig.get_paths()["include"]) + "/"]
    compiler = environment.toolchain(kind)
    if compiler is not None:
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(compiler[0])))
        found += [f"{prefix}/{folder}/" for folder in ("include", "lib/gcc", "lib/clang", "lib64/gcc")]
    return found


_defaults: dict[bytes, str] = {}


def features(flags: str, kind: str = "cmake") -> tuple[str, str]:
    """The processor that the flags name, those behind the compiler's name too; where they name none, the one that it was configured for."""
    cpu, more = _saggar.flags_target(f"{os.environ.get('CXX', '')} {flags}")
    compiler = environment.toolchain(kind)
    if cpu or compiler is None:
        return cpu, more
    if compiler[2] not in _defaults:
        done = subprocess.run([compiler[0], "-Q", "--help=target"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        found = re.search(r"^\s*-march=\s+(\S+)", done.stdout, re.M)
        _defaults[compiler[2]] = "" if found is None or found[1] in ("x86-64", "armv8-a") else found[1]
    return _defaults[compiler[2]], more


# -- building ----------------------------------------------------------------------------------------------------------

def peek(request: entries.Request) -> Any:
    """(tree, tier) if it is there. Records nothing."""
    cache = process.cache()
    entry = None if cache is None else cache.find(request.key, environment.resolver)[0]
    tree = None if entry is None else entry.tree()
    return None if tree is None else (hold(tree), entry.tier)


def hold(tree: Any) -> Any:
    _held.append(tree)
    return tree


def holds(path: str) -> bool:
    """True for a file in a tree that this process was given."""
    return any(path.startswith(f"{tree.path}/") for tree in _held)


def _no_room(error: BaseException | None, directory: str) -> bool:
    """True if a build may have failed because of where it was done."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK or any(os.strerror(number) in str(error) for number in _DISK):
            return True
        error = error.__cause__ or error.__context__
    left = os.statvfs(directory)
    return left.f_bavail * left.f_frsize < 16 << 20


def obtain(request: entries.Request, build: Callable[[str, str], dict[str, Any]]) -> Any:
    """
    The tree. `build(directory, work)` fills the directory, working in `work`, and returns features and dependencies.
    Raises what a compilation raises; Unfit and what goes wrong with the cache or the disk: do it in GT4Py's own way.
    """
    def run(directory: str) -> dict[str, Any]:
        work = os.path.join(os.path.dirname(directory), "build")
        os.mkdir(work, 0o700)
        _building.depth = getattr(_building, "depth", 0) + 1
        try:
            return build(directory, work)
        except Exception as error:
            if _no_room(error, directory):
                raise Unfit("no room to build in") from error
            raise
        finally:
            _building.depth -= 1

    tree, facts = process.cache().get_or_build(request.recipe, run, group=request.group, resolver=environment.resolver,
                                               wait_ms=wait if (wait := entries.wait_ms()) >= 0 else None)
    return hold(tree)


def guarded(group: str, request: Callable[[], entries.Request], use: Callable[[entries.Request], Any], otherwise: Callable[[], Any],
            failed: tuple[type[BaseException], ...]) -> Any:
    """`use(request())`; whatever goes wrong but a failed compilation is counted, and `otherwise()` has the last word."""
    try:
        if process.cache() is None:
            raise Unfit("the cache cannot be opened")
        found = request()
    except _saggar.Uncacheable as error:
        return counted(group, otherwise, str(error))
    except Exception as error:
        process.fault(f"making a key: {type(error).__name__}: {error}", group)
        return counted(group, otherwise)
    try:
        return use(found)
    except failed:
        raise
    except _saggar.Uncacheable as error:
        return counted(group, otherwise, str(error))
    except Exception as error:
        if process.required():
            raise entries.Required(f"SAGGAR_MODE=require: {found.text()} would be compiled: {error}") from None
        process.fault(f"building: {type(error).__name__}: {error}", group)
    return counted(group, otherwise)


def counted(group: str, otherwise: Callable[[], Any], why: str = "") -> Any:
    """GT4Py's own way; `compiled()` is called where it runs a compiler. `why`: if it does, this was not stored because of that."""
    _building.group, _building.why = group, why
    try:
        return otherwise()
    finally:
        _building.group, _building.why = None, ""


def compiled(started: int) -> None:
    """A compiler ran in GT4Py's own way."""
    group, why = getattr(_building, "group", None) or "gt4py", getattr(_building, "why", "")
    if active():
        return
    if why:
        entries.uncacheable(group, why)
    process.report("compiled", flags=_saggar.FLAG_USED | _saggar.FLAG_CACHEABLE, reason="uncacheable", group=group, value=process.now() - started)
