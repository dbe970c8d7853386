"""Stencils of `gt4py.cartesian` for the CPU: the generated module and its extension, as one tree.

The key is made of the stencil as GT4Py reads it (its syntax tree without places, the functions and constants that it reaches), the
options, GT4Py's build settings and the compiler flags of this Python. The extension is built in a private directory.
"""
from __future__ import annotations

import inspect
import json
import os
import pathlib
import shutil
import sysconfig
from importlib import machinery, util
from typing import Any

from .. import _saggar, process
from . import builds, entries, environment, points

_BACKENDS = ("gt:cpu_ifirst", "gt:cpu_kfirst")
_NO_OPTIONS = {"name", "module", "build_info", "rebuild", "raise_if_not_cached", "cache_settings", "backend_opts", "_impl_opts"}
_QUIET = {"verbose", "clean"}  # options of a backend that change nothing
_VARIABLES = ("CC", "CFLAGS", "ARCHFLAGS", "LDSHARED", "LDCXXSHARED", "OPT")
_PYTHON = ("CFLAGS", "OPT", "CCSHARED", "LDCXXSHARED", "LDSHARED", "PY_CFLAGS", "PY_CORE_CFLAGS")

_original: Any = None


# -- the key -----------------------------------------------------------------------------------------------------------

def _value(value: Any, open_: tuple[int, ...] = ()) -> Any:
    """A constant, or a function of GTScript with all that it reaches."""
    import numpy

    if value is None or type(value) in (bool, int, float, complex, str) or isinstance(value, (numpy.generic, numpy.dtype)):
        return value
    if type(value) in (tuple, list):
        return [type(value).__name__, *(_value(item, open_) for item in value)]
    if isinstance(value, type) and issubclass(value, numpy.generic):
        return numpy.dtype(value)
    script = getattr(value, "_gtscript_", None)
    if not isinstance(script, dict):
        raise _saggar.Uncacheable(f"{type(value).__qualname__} among the externals")
    if id(value) in open_:
        return "recursive"
    return _script(value, script, (*open_, id(value)))


def _values(items: dict[str, Any], open_: tuple[int, ...] = ()) -> Any:
    """By name; what `eval()` adds to a dictionary is not one of them."""
    return _saggar.Map({name: _value(item, open_) for name, item in items.items() if name != "__builtins__"})


def _script(function: Any, script: dict[str, Any], open_: tuple[int, ...]) -> Any:
    return _saggar.Record("function", (
        ("name", str(script["qualified_name"])),
        ("ast", str(script["canonical_ast"])),
        ("annotations", [str(item) for item in script.get("api_annotations") or ()]),
        ("temporaries", sorted((name, str(item)) for name, item in (script.get("temp_annotations") or {}).items())),
        ("initial", _values(script.get("temp_init_values") or {}, open_)),
        ("imported", sorted((name, sorted(used)) for name, used in (script.get("imported") or {}).items())),
        ("nonlocals", _values(script.get("nonlocals") or {}, open_)),
        ("externals", _values(script.get("externals") or {}, open_)),
    ))


def _flags(words: Any) -> list[str]:
    """Flags without the places of a Python's own build."""
    places = ("-I", "-L", "-Wl,-rpath", "-ffile-prefix-map", "-fdebug-prefix-map", "-fmacro-prefix-map")
    return [word for word in str(words or "").split() if not word.startswith(places)]


def _settings() -> Any:
    from gt4py.cartesian import config

    if "GT_INCLUDE_PATH" in os.environ:
        raise _saggar.Uncacheable("GT_INCLUDE_PATH is set")
    build = config.build_settings
    environment.only_texts("GT4Py's build settings", " ".join(map(str, (*build["extra_compile_args"]["cxx"], *build["extra_link_args"]))))
    return _saggar.Record("settings", (
        ("openmp", _saggar.Map({name: value for name, value in build["openmp"].items()})),
        ("compile", [str(word) for word in build["extra_compile_args"]["cxx"]]),
        ("link", [str(word) for word in build["extra_link_args"]]),
        ("depth", str(build["cpp_template_depth"])),
        ("defaults", [config.GT4PY_COMPILE_OPT_LEVEL, config.GT4PY_EXTRA_COMPILE_OPT_FLAGS]),
        ("python", [_flags(sysconfig.get_config_var(name)) for name in _PYTHON]),
        ("variables", environment.variables(*_VARIABLES)),
    ))


def _group(builder: Any) -> tuple[str, str]:
    return f"cartesian.{builder.options.module}", builder.options.name


def request(builder: Any) -> entries.Request:
    definition = builder.definition
    options = builder.options.as_dict()
    backend = {name: value for name, value in options["backend_opts"].items() if name not in _QUIET}
    return entries.Request(
        _group(builder), environment.compiler("gridtools-cpp", "pybind11", "setuptools", "dace"),
        _saggar.Record("options", (
            ("backend", builder.backend.name),
            ("options", _values({name: value for name, value in options.items() if name not in _NO_OPTIONS})),
            ("backend_options", _values(backend)),
            ("settings", _settings()),
        )),
        _script(definition, definition._gtscript_, (id(definition),)),
        module=(builder.options.module, builder.options.name),
        version=builder.stencil_id.version,  # names in the generated code
        docstring=inspect.getdoc(definition) or "",
        external=_values(builder.externals),
        dtypes=sorted((str(name), str(value)) for name, value in builder.dtypes.items()),
    )


def _left(builder: Any) -> str:
    """Why a stencil is left to GT4Py; "" if it is not."""
    from gt4py.cartesian import caching

    options = builder.options
    if builder.backend.name not in _BACKENDS:
        return f"the backend {builder.backend.name} is left to GT4Py"
    if not (type(builder.backend).__module__.startswith("gt4py.") and builder.frontend.__module__.startswith("gt4py.")):
        return "a backend or a frontend that GT4Py does not bring"
    if type(builder.caching) is not caching.JITCachingStrategy:
        return f"the caching strategy {builder.caching.name}"
    if options.rebuild:
        return "asked to compile again"
    asked = [name for name in ("_impl_opts", "build_info", "raise_if_not_cached") if getattr(options, name) not in (None, False, {})]
    return f"asked for {asked[0].strip('_')}" if asked else ""


# -- building ----------------------------------------------------------------------------------------------------------

def _extension(backend: Any, found: dict[str, Any]) -> Any:
    """In the place of `build_extension_module`: the same, with absolute paths, and a list of the headers that are read."""
    def build(sources: dict[str, Any], options: dict[str, Any], *, uses_cuda: bool = False) -> None:
        from gt4py.cartesian.backend import pyext_builder

        folder = backend.pyext_build_dir_path.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, text in sources.items():
            (folder / name).write_text(text, encoding="utf-8")
            if (folder / name).suffix not in (".h", ".hpp"):
                files.append(str(folder / name))
        flags, link = [*options["extra_compile_args"], "-MD"], list(options.get("extra_link_args") or ())
        if not any(flag.startswith("-g") for flag in flags):  # this Python's own flags may say otherwise
            flags.append("-g0")
            link.append("-s")  # the names of what is not exported have addresses of GT4Py's objects in them
        name, path = pyext_builder.build_pybind_ext(
            name=backend.pyext_module_path, sources=files, build_path=str(folder), target_path=str(backend.builder.pkg_path),
            **{**options, "extra_compile_args": flags, "extra_link_args": link})
        backend.builder.with_backend_data({"pyext_module_name": name, "pyext_file_path": path})
        found.update(path=path, flags=flags, folder=folder)

    return build


def _build(builder: Any, directory: str, work: str) -> dict[str, Any]:
    caching, backend = builder.caching, builder.backend
    places = caching._root_path, caching._dir_name
    found: dict[str, Any] = {}
    caching._root_path, caching._dir_name = work, "cache"
    backend.build_extension_module = _extension(backend, found)
    backend._load = lambda: None
    try:
        backend.generate()
        source = builder.module_path
    finally:
        caching._root_path, caching._dir_name = places
        del backend.build_extension_module, backend._load
        builder._build_data.pop("backend_data", None)
    if not found:
        raise builds.Unfit("no extension was built")
    for path in (source, found["path"]):
        shutil.copyfile(path, os.path.join(directory, os.path.basename(path)))
    with open(os.path.join(directory, "stencil.json"), "w") as stream:
        json.dump({"module": os.path.basename(source), "class": builder.class_name}, stream)
    lists = list(found["folder"].rglob("*.d"))
    if not lists:
        raise builds.Unfit("which headers were read is not known")
    read = sorted({path for item in lists for path in builds.headers(item, found["folder"])})
    flags = [*found["flags"], *_flags(os.environ.get("CFLAGS")), *(word for name in _PYTHON for word in _flags(sysconfig.get_config_var(name)))]
    return {
        "features": builds.features(" ".join(flags), "setuptools"),
        "dependencies": builds.dependencies(read, builds.system("setuptools")) + environment.built_with(compiler="setuptools"),
    }


# -- loading -----------------------------------------------------------------------------------------------------------

class _Loader(machinery.SourceFileLoader):
    """Writes no byte code: a tree is read-only."""

    def set_data(self, *args: Any, **kwargs: Any) -> None:
        pass


def _load(builder: Any, tree: Any) -> Any:
    folder = pathlib.Path(tree.path)
    facts = json.loads((folder / "stencil.json").read_text())
    path = str(folder / facts["module"])
    spec = util.spec_from_file_location(facts["class"], path, loader=_Loader(facts["class"], path))
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stencil = getattr(module, facts["class"])
    stencil.__module__ = builder.module_qualname
    stencil._gt_id_ = builder.stencil_id.version
    stencil.definition_func = staticmethod(builder.definition)
    return stencil


def _stencil(self: Any) -> Any:
    why = _left(self)
    if why:
        return builds.counted(":".join(("gt4py", *_group(self))), lambda: _original(self), why)
    return builds.guarded(
        ":".join(("gt4py", *_group(self))),
        lambda: request(self),
        lambda found: _load(self, builds.obtain(found, lambda directory, work: _build(self, directory, work))),
        lambda: _original(self),
        (),
    )


def _counting(original: Any) -> Any:
    def build_pybind_ext(*args: Any, **kwargs: Any) -> Any:
        started = process.now()
        result = original(*args, **kwargs)
        builds.compiled(started)
        return result

    return build_pybind_ext


def _change() -> None:
    global _original
    from gt4py.cartesian import caching, stencil_builder
    from gt4py.cartesian.backend import base, gtcpp_backend, pyext_builder

    points.expect(caching.JITCachingStrategy, "__init__", "self", "builder", "root_path", "dir_name")
    points.expect(base.BasePyExtBackend, "build_extension_module", "self", "pyext_sources", "pyext_build_opts", "uses_cuda")
    points.expect(base.BaseBackend, "_load", "self")
    points.expect(gtcpp_backend.GTBaseBackend, "generate", "self")
    build = points.expect(stencil_builder.StencilBuilder, "build", "self")
    extension = points.expect(pyext_builder, "build_pybind_ext")
    if _original is None:
        _original = build
        stencil_builder.StencilBuilder.build = _stencil
        pyext_builder.build_pybind_ext = _counting(extension)


def install() -> bool:
    """Called when `gt4py.cartesian` is imported."""
    from . import part

    return part("gt4py.cartesian", _change)
