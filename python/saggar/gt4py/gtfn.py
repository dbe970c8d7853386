"""The `gtfn` toolchain: one extension module for a program, compiled by the commands that CMake worked out for all programs."""
from __future__ import annotations

import pathlib
import shutil
from typing import Any

from gt4py._core import definitions
from gt4py.next.otf.compilation import build_data, common, compiler
from gt4py.next.otf.compilation.build_systems import cmake, compiledb

from .. import _saggar, process
from . import builds, entries, environment, identity, points, private, template

_original: Any = None


def _known(step: Any) -> None:
    """Uncacheable for what is not GT4Py's own, unchanged, for the CPU."""
    if type(step).__module__.partition(".")[0] != "gt4py" or type(step.builder_factory) is not compiledb.CompiledbFactory:
        raise _saggar.Uncacheable("a compilation step or a build system that GT4Py does not bring")
    if step.device_type is not definitions.DeviceType.CPU:
        raise _saggar.Uncacheable(f"compiled for {step.device_type.name}")
    if step.force_recompile or step.builder_factory.renew_compiledb:
        raise _saggar.Uncacheable("asked to compile again")


def _group(source: Any) -> tuple[str, str]:
    return "gtfn", source.program_source.entry_point.name


def options(factory: Any) -> Any:
    environment.only_texts("CMake's flags", " ".join(factory.cmake_extra_flags or []))
    return _saggar.Record("options", (
        ("build_type", factory.cmake_build_type.value),
        ("cmake_flags", list(factory.cmake_extra_flags or [])),
        ("variables", environment.variables()),
        ("salt", environment.salt()),
    ))


def versions() -> bytes:
    return environment.compiler("gridtools-cpp", "nanobind")


def request(step: Any, source: Any) -> entries.Request:
    _known(step)
    program, binding = source.program_source, source.binding_source
    return entries.Request(
        _group(source), versions(), options(step.builder_factory), program.source_code,
        bindings=binding.source_code,
        interface=identity.value("interface", (program.entry_point, program.code_spec, source.library_deps)),
    )


def artifact(step: Any, source: Any, tree: Any) -> Any:
    """GT4Py's own artifact, of a module in a tree."""
    return step._make_artifact(private.folder(tree), pathlib.Path(_module(source)), source.program_source.entry_point.name)


def _module(source: Any) -> str:
    return f"{source.program_source.entry_point.name}.{common.python_module_suffix()}"


def _build(step: Any, source: Any, directory: str, work: str) -> dict[str, Any]:
    lifetime = private.Private(work)
    template.bring(step.builder_factory, source, lifetime)
    project = step.builder_factory(source, lifetime)
    project.build()
    data = build_data.read_data(project.root_path)
    if not compiler.is_usable(data, project.root_path) or data.module.name != _module(source):
        raise builds.Unfit("the build left no module")
    shutil.copyfile(project.root_path / data.module, f"{directory}/{_module(source)}")
    commands = template.commands(project.root_path / "compile_commands.json")
    lists = list((project.root_path / "build").glob("*.d"))
    if len(lists) != 1:
        raise builds.Unfit("which headers were read is not known")
    found = builds.headers(lists[0], project.root_path)
    return {
        "features": builds.features(" ".join(commands)),
        "dependencies": builds.dependencies(found, builds.system()) + environment.built_with("cmake"),
    }


def _call(self: Any, inp: Any) -> Any:
    if inp.binding_source is None:
        return _original(self, inp)
    return builds.guarded(
        ":".join(("gt4py", *_group(inp))),
        lambda: request(self, inp),
        lambda found: artifact(self, inp, builds.obtain(found, lambda directory, work: _build(self, inp, directory, work))),
        lambda: _original(self, inp),
        private.FAILED,
    )


def _counting(original: Any) -> Any:
    def _run_build(self: Any) -> None:
        started = process.now()
        original(self)
        builds.compiled(started)

    return _run_build


def change() -> None:
    global _original
    points.fields(compiler.CPPCompiler, "cache_lifetime", "builder_factory", "device_type", "fingerprint_builder_factory", "force_recompile")
    points.fields(compiledb.CompiledbFactory, "cmake_build_type", "cmake_extra_flags", "renew_compiledb")
    call = points.expect(compiler.CPPCompiler, "__call__", "self", "inp")
    points.expect(compiler.CPPCompiler, "_make_artifact", "self", "src_dir", "module", "entry_point_name")
    runs = [points.expect(project, "_run_build", "self") for project in (compiledb.CompiledbProject, cmake.CMakeProject)]
    template.check()
    if _original is None:
        _original = call
        compiler.CPPCompiler.__call__ = _call
        compiledb.CompiledbProject._run_build, cmake.CMakeProject._run_build = map(_counting, runs)
