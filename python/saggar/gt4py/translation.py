"""Translations of `gt4py.next`: the step from GT4Py's intermediate form to C++ or to an SDFG, kept by `CachedStep.persistent`.

The key is made of the program without its locations, the types and static values of its arguments, the offsets, the step with its
options, settings and versions. What has no such key goes GT4Py's own way, with GT4Py's own key and files.
"""
from __future__ import annotations

from typing import Any

from gt4py.next.iterator import ir
from gt4py.next.otf import arguments, workflow

from .. import _saggar, process
from . import entries, environment, filecache, identity, points

_original_call: Any = None
_original_key: Any = None


def _backend(step: Any) -> str:
    return "dace" if ".dace." in type(step.step).__module__ else "gtfn" if ".gtfn." in type(step.step).__module__ else ""


def applies(step: Any, inp: Any) -> bool:
    """True for a persistent cache of translations, as `gt4py.next` makes them."""
    return (isinstance(step.cache, filecache.FileCache) and isinstance(inp, workflow.ConcreteArtifact)
            and isinstance(inp.data, ir.Program) and isinstance(inp.args, arguments.CompileTimeArgs))


def _group(step: Any, inp: Any) -> tuple[str, str]:
    return f"{_backend(step) or type(step.step).__name__}.translation", str(inp.data.id)


def request(step: Any, inp: Any) -> entries.Request:
    """Uncacheable: something that decides has no digest."""
    backend = _backend(step)
    args = inp.args
    return entries.Request(
        _group(step, inp),
        environment.compiler(*(("dace", "sympy", "networkx") if backend == "dace" else ())),
        _saggar.Record("options", (
            ("step", identity.value("step", step.step)),
            ("settings", environment.settings()),
            ("salt", environment.salt()),
            *((("dace", _dace()),) if backend == "dace" else ()),
        )),
        identity.value("program", inp.data),
        arguments=identity.value("arguments", (args.args, args.kwargs)),
        offsets=identity.value("offsets", (list(args.offset_provider.items()), args.column_axis)),
        static=identity.value("static", args.argument_descriptor_contexts),
    )


def _dace() -> Any:
    from . import dace

    return dace.configuration()


def _request(step: Any, inp: Any) -> entries.Request | None:
    if type(step) is not workflow.CachedStep or not applies(step, inp):
        return None
    try:
        return request(step, inp)
    except _saggar.Uncacheable as error:
        entries.uncacheable(":".join(("gt4py", *_group(step, inp))), str(error))
    except Exception as error:
        process.fault(f"making a key: {type(error).__name__}: {error}", ":".join(("gt4py", *_group(step, inp))))
    return None


def _make(step: Any, inp: Any) -> Any:
    made = step.step(inp)
    if _backend(step) == "dace":
        from . import dace

        dace.without_places(made.source_code)
    return made


def _call(self: Any, inp: Any) -> Any:
    found = _request(self, inp)
    return _original_call(self, inp) if found is None else entries.obtain(found, lambda: _make(self, inp))


def _cache_key(self: Any, inp: Any) -> Any:
    if type(self) is workflow.CachedStep and applies(self, inp):
        try:
            return request(self, inp).key.hex()
        except Exception:
            pass
    return _original_key(self, inp)


def change() -> None:
    global _original_call, _original_key
    points.fields(workflow.CachedStep, "step", "input_fingerprinter", "step_fingerprinter", "cache")
    points.fields(arguments.CompileTimeArgs, "args", "kwargs", "offset_provider", "column_axis", "argument_descriptor_contexts")
    points.fields(workflow.ConcreteArtifact, "data", "args")
    call = points.expect(workflow.CachedStep, "__call__", "self", "inp")
    key = points.expect(workflow.CachedStep, "cache_key", "self", "inp")
    if _original_call is None:
        _original_call, _original_key = call, key
        workflow.CachedStep.__call__ = _call
        workflow.CachedStep.cache_key = _cache_key
