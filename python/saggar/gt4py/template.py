"""What CMake works out once for all programs of one kind: the compile commands, and nanobind's library.

It is an entry of its own, so that many programs, in many processes, ask CMake once. Places of this machine are replaced by names in it
and put back where it is used; it is only needed where a compiler is.
"""
from __future__ import annotations

import json
import pathlib
import re
import sys
import sysconfig
from typing import Any

from gt4py.next.otf import artifacts
from gt4py.next.otf.compilation import cache
from gt4py.next.otf.compilation.build_systems import compiledb

from .. import _saggar
from . import builds, entries, environment, gtfn, points, private

_COMMANDS = "compile_commands.json"


def check() -> None:
    points.expect(compiledb, "_cc_prototype_program_source", "deps", "build_type", "cmake_flags", "code_spec")
    points.expect(compiledb, "_cc_get_compiledb", "renew_compiledb", "prototype_program_source", "build_type", "cmake_flags", "cache_lifetime")
    points.expect(compiledb, "_cc_find_compiledb", "path")


def commands(path: pathlib.Path) -> list[str]:
    return [entry["command"] for entry in json.loads(path.read_text())]


def _places() -> list[tuple[str, str]]:
    """Folders and programs of this machine by name, longest first."""
    compiler = environment.toolchain()
    found = [(environment.package(name), f"@{name}@") for name in ("nanobind", "gridtools_cpp")]
    found += [(sysconfig.get_paths()["include"], "@include@"), (sys.base_prefix, "@python@")]
    if compiler is not None:
        found.append((compiler[0], "@compiler@"))
    return sorted(found, key=lambda item: -len(item[0]))


def _prototype(factory: Any, source: Any) -> Any:
    program = compiledb._cc_prototype_program_source(
        deps=source.library_deps, build_type=factory.cmake_build_type, cmake_flags=factory.cmake_extra_flags or [],
        code_spec=source.program_source.code_spec)
    return artifacts.ExtensionSource(program, artifacts.BindingSource(source_code="", library_deps=()))


def _request(factory: Any, prototype: Any) -> entries.Request:
    quoted = [name for place, name in _places() if re.search(r"[^\w./+-]", place)]  # CMake does; the commands fit where the same are
    return entries.Request(
        ("gtfn", "compile commands"), gtfn.versions(), gtfn.options(factory), prototype.program_source.entry_point.name,
        made_by=[name for _, _, name, _ in environment.built_with("cmake", "ninja")], **({"quoted": quoted} if quoted else {}),
    )


def _make(factory: Any, prototype: Any, lifetime: private.Private) -> dict[str, bytes]:
    """Asks CMake, in the private base, and packs what programs need."""
    compiledb._cc_get_compiledb(False, prototype.program_source, build_type=factory.cmake_build_type,
                                cmake_flags=factory.cmake_extra_flags or [], cache_lifetime=lifetime)
    folder = cache.get_cache_folder(prototype, lifetime)
    text = (folder / _COMMANDS).read_text()
    for place, name in _places():
        text = text.replace(place, name)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("lib*.a"))}
    return {_COMMANDS: text.encode(), **files}


def bring(factory: Any, source: Any, lifetime: private.Private) -> None:
    """Puts the template where `factory` will look for it."""
    prototype = _prototype(factory, source)
    files = entries.obtain(_request(factory, prototype), lambda: _make(factory, prototype, lifetime), flags=_saggar.FLAG_NESTED,
                           target=lambda made: builds.features(made[_COMMANDS].decode()))
    folder = cache.get_cache_folder(prototype, lifetime)
    if (folder / _COMMANDS).exists():
        return  # made just now
    for name, data in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder):
            raise builds.Unfit(f"a file outside of the template: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == _COMMANDS:
            text = data.decode()
            for place, word in _places():
                text = text.replace(word, place)
            data = text.encode()
        path.write_bytes(data)
