"""`gt4py.cartesian` asks the compiler for its name whenever it is imported, and cannot be imported where there is none.

What it makes of GCC's and Clang's answer is always the same, unless nothing is to be optimised: that is given without asking, and where
there is no compiler too.
"""
from __future__ import annotations

import functools
from typing import Any


def _change() -> None:
    from gt4py.cartesian.utils import compiler

    from . import environment, points

    original = points.expect(compiler, "cxx_compiler_defaults", "optimization_level")
    points.fields(compiler.CxxCompilerDefaults, "name", "open_mp_flag", "enable_openmp", "cxx_compile_flags")

    @functools.wraps(original)
    def cxx_compiler_defaults(optimization_level: str) -> Any:
        try:
            found = environment.toolchain("setuptools") if optimization_level != "0" else ("", "other", b"")
            if found is None or found[1].startswith(("gcc ", "clang ")):
                name = compiler.CxxCompilerName.CLANG if found and found[1].startswith("clang ") else compiler.CxxCompilerName.DEFAULT
                return compiler.CxxCompilerDefaults(name, "-fopenmp", True, "")
        except Exception:
            pass
        return original(optimization_level)

    compiler.cxx_compiler_defaults = cxx_compiler_defaults


def install() -> bool:
    """Called when `gt4py.cartesian.utils.compiler` is imported."""
    from . import part

    return part("gt4py.cartesian.utils.compiler", _change)
