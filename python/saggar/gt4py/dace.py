"""The `dace` toolchain: one shared library for a program, and the stub that loads it.

DaCe keeps precompiled headers and recorded commands for all users of a machine, told apart by paths and times. Inside a build of ours
they lie in a folder that is named after the content of what they were made from.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
from typing import Any, Iterator

import dace
import dace.codegen.compiler as dace_compiler
from dace.codegen import exceptions
from gt4py._core import definitions
from gt4py.next.program_processors.runners.dace.workflow import common, compilation

from .. import _saggar, process
from . import builds, entries, environment, identity, points, private

_original: Any = None
_original_load: Any = None
_loaded: set[str] = set()

# Settings of DaCe that decide where, how fast and how loudly, not what.
_ELSEWHERE = {"default_build_folder", "progress", "debugprint", "cache", "profiling", "store_history"}
_ELSEWHERE_COMPILER = {"use_cache", "build_jobs", "build_folder_mode", "command_cache", "configure_cache", "precompiled_header"}


def is_step(step: Any) -> bool:
    return type(step) is compilation.DaCeCompiler


def _settings() -> dict[str, Any]:
    found = {name: value for name, value in dace.Config._data.nondefaults().items() if name not in _ELSEWHERE}
    if "compiler" in found:
        found["compiler"] = {name: value for name, value in found["compiler"].items() if name not in _ELSEWHERE_COMPILER}
    if found.get("compiler", {}).get("cpu", {}).get("executable"):
        raise _saggar.Uncacheable("DaCe's setting compiler.cpu.executable names a compiler")
    return found


def configuration() -> Any:
    """What DaCe is set to for a translation on the CPU."""
    with common.dace_context(device_type=definitions.DeviceType.CPU):
        return _plain(_settings())


def _plain(value: Any) -> Any:
    """Settings by name, in canonical order."""
    if isinstance(value, dict):
        return _saggar.Map({str(name): _plain(item) for name, item in value.items()})
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


@contextlib.contextmanager
def _context(step: Any) -> Iterator[None]:
    with common.dace_context(device_type=step.device_type, cmake_build_type=step.cmake_build_type):
        yield


def without_places(sdfg: Any) -> None:
    """The files that made the nodes, which DaCe names in messages, by their place in their packages."""
    folders = sorted((f"{os.path.realpath(folder)}/" for folder in sys.path if folder), key=len, reverse=True)

    def short(path: str) -> str:
        real = os.path.realpath(path)
        inside = next((real[len(folder):] for folder in folders if real.startswith(folder)), None)
        return inside or os.path.basename(path)

    files = sdfg.get("source_files") if isinstance(sdfg, dict) else None
    if isinstance(files, list):
        sdfg["source_files"] = [short(path) if isinstance(path, str) else path for path in files]


def _group(source: Any) -> tuple[str, str]:
    return "dace", source.program_source.entry_point.name


def request(step: Any, source: Any) -> entries.Request:
    if not is_step(step) or step.device_type is not definitions.DeviceType.CPU:
        raise _saggar.Uncacheable("a compilation step that GT4Py does not bring, or not for the CPU")
    text = json.dumps(source.program_source.source_code)
    if re.search(r'"instrument": "(?!No_Instrumentation")', text):
        raise _saggar.Uncacheable("it writes reports beside the library")
    with _context(step):
        settings = _plain(_settings())
        environment.only_texts("DaCe's settings", f"{dace.Config.get('compiler', 'cpu', 'args')} {dace.Config.get('compiler', 'linker', 'args')}")
    return entries.Request(
        _group(source), environment.compiler("dace"),
        _saggar.Record("options", (
            ("build_type", step.cmake_build_type.value),
            ("dace", settings),
            ("variables", environment.variables("CXXFLAGS")),
            ("salt", environment.salt()),
        )),
        _saggar.Digest("sdfg", _saggar.sha256(text.encode())),
        interface=identity.value("interface", (source.program_source.entry_point, source.library_deps)),
    )


def artifact(step: Any, source: Any, tree: Any) -> Any:
    """GT4Py's own artifact, of a library in a tree."""
    return compilation.DaCeCompilationArtifact(
        library_path=private.folder(tree) / _libraries(source)[0],
        sdfg_json=json.dumps(source.program_source.source_code),
        binding_source_code=source.binding_source.source_code,
        bind_func_name=step.bind_func_name,
        device_type=step.device_type,
    )


def _libraries(source: Any) -> tuple[str, str]:
    name = source.program_source.source_code["attributes"]["name"]
    return f"lib{name}.so", f"libdacestub_{name}.so"


def _headers() -> list[str]:
    folder = os.path.join(environment.package("dace"), "runtime", "include")
    return sorted(os.path.join(root, file) for root, _, files in os.walk(folder) for file in files)


def _build(step: Any, source: Any, directory: str, work: str) -> dict[str, Any]:
    made = _original(dataclasses.replace(step, cache_lifetime=private.Private(work)), source)
    for name in _libraries(source):
        shutil.copyfile(made.library_path.parent / name, f"{directory}/{name}")
    with _context(step):
        flags = dace.Config.get("compiler", "cpu", "args")
    return {
        "features": builds.features(f"{os.environ.get('CXXFLAGS', '')} {flags}"),
        "dependencies": builds.dependencies(_headers(), []) + environment.built_with("cmake"),
    }


def _call(self: Any, inp: Any) -> Any:
    return builds.guarded(
        ":".join(("gt4py", *_group(inp))),
        lambda: request(self, inp),
        lambda found: artifact(self, inp, builds.obtain(found, lambda directory, work: _build(self, inp, directory, work))),
        lambda: _original(self, inp),
        (*private.FAILED, exceptions.CompilationError),
    )


# -- DaCe's own caches -------------------------------------------------------------------------------------------------

def _cache_root(original: Any) -> Any:
    def build_cache_root() -> str:
        root = original()
        if not builds.active():
            return root
        made_from = (environment.built_with("cmake", "ninja"), builds.dependencies(_headers(), []), environment.variables())
        return os.path.join(root, f"saggar-{_saggar.sha256(_saggar.encode(made_from)).hex()[:32]}")

    return build_cache_root


def _counting(original: Any) -> Any:
    def configure_and_compile(program_folder: Any, *args: Any, **kwargs: Any) -> Any:
        if builds.active() and (pathlib.Path(program_folder) / "dace_environments.csv").read_text().strip():
            raise builds.Unfit("libraries are linked that only DaCe knows of")
        started = process.now()
        result = original(program_folder, *args, **kwargs)
        builds.compiled(started)
        return result

    return configure_and_compile


# -- loading -----------------------------------------------------------------------------------------------------------

def _load(self: Any) -> Any:
    """DaCe loads a library once, and a copy that it makes beside it after that: a tree is read-only."""
    path = str(self.library_path)
    if path in _loaded and builds.holds(path):
        folder = tempfile.mkdtemp(prefix="saggar-dace-")
        try:
            for file in self.library_path.parent.iterdir():
                shutil.copyfile(file, os.path.join(folder, file.name))
            return _original_load(dataclasses.replace(self, library_path=pathlib.Path(folder) / self.library_path.name))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    _loaded.add(path)
    return _original_load(self)


def change() -> None:
    global _original, _original_load
    points.fields(compilation.DaCeCompiler, "bind_func_name", "cache_lifetime", "device_type", "add_gpu_trace_markers", "cmake_build_type",
                  "dace_config_nondefaults")
    points.fields(compilation.DaCeCompilationArtifact, "library_path", "sdfg_json", "binding_source_code", "bind_func_name", "device_type")
    call = points.expect(compilation.DaCeCompiler, "__call__", "self", "inp")
    load = points.expect(compilation.DaCeCompilationArtifact, "load", "self")
    compile_ = points.expect(dace_compiler, "configure_and_compile", "program_folder", "program_name", "output_stream", "folder_mode")
    root = points.expect(dace_compiler, "build_cache_root")
    points.expect(dace.Config._data, "nondefaults")
    if _original is None:
        _original, _original_load = call, load
        compilation.DaCeCompiler.__call__ = _call
        compilation.DaCeCompilationArtifact.load = _load
        dace_compiler.configure_and_compile = _counting(compile_)
        dace_compiler.build_cache_root = _cache_root(root)
