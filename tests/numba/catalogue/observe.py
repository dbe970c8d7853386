"""The side of a case that runs in a process of its own: evaluates expressions and reports what was compiled for them.

Reports are lines appended to one file, so that forked and killed processes report too. Compilations are counted where
Numba compiles (`CompilerBase._compile_core` and the libraries of ufunc loops), the same with and without Saggar.
"""
from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import re
import sys
import time
from typing import Any

_job: dict[str, Any] = {}
_current = ""
_out = -1
_marked: set[tuple[str, str]] = set()


def report(**line: Any) -> None:
    os.write(_out, (json.dumps({"case": _current, "pid": os.getpid(), **line}) + "\n").encode())


def begin() -> None:
    """Connects the observer to Numba, and Saggar or nothing, as the job says."""
    global _job, _out, _current
    if _job:
        return
    with open(os.environ["CATALOGUE_JOB"]) as stream:
        _job = json.load(stream)
    _out = os.open(_job["events"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    _current = _job["cases"][0]["name"]
    exec(_job["before"], {"observe": sys.modules[__name__]})
    if _job["column"] == "saggar":
        _connect()
    _watch()
    if _job["column"] == "none":
        _without_cache()
    if _job["barrier"]:
        _barrier()


def _connect() -> None:
    import saggar.numba

    saggar.numba.install()
    status = saggar.numba.status()
    if not status["active"]:
        raise SystemExit(f"Saggar is not active: {status}")
    from saggar import process

    plain = process.report

    def told(event: str, **details: Any) -> None:
        plain(event, **details)
        if event in ("miss", "not-stored", "random-name", "fault"):
            report(event=event, **{k: details[k] for k in ("group", "reason", "detail") if k in details})

    process.report = told


def _watch() -> None:
    from numba.core import compiler, codegen
    from numba.core.ccallback import CFunc
    from numba.core.dispatcher import Dispatcher
    from numba.np.ufunc.ufuncbuilder import UFuncDispatcher
    from numba.np.ufunc.wrappers import _GufuncWrapper

    def watch_marks(cls: type) -> None:
        original = cls.enable_caching

        def enable_caching(self: Any) -> None:
            python = getattr(self, "py_func", None) or self._pyfunc
            _marked.add((str(python.__module__), python.__qualname__))
            original(self)

        cls.enable_caching = enable_caching

    for cls in (Dispatcher, CFunc, UFuncDispatcher):
        watch_marks(cls)
    core = compiler.CompilerBase._compile_core

    def _compile_core(self: Any) -> Any:
        inner = self.state.func_ir is not None  # a block of another function
        result = core(self)
        python = self.state.func_id.func
        if (str(python.__module__), python.__qualname__) in _marked:
            name = python.__qualname__.rpartition(".")[2] + (":block" if inner else "")
            report(compiled=name, args=", ".join(map(str, self.state.args)))
            _compiled()
        return result

    compiler.CompilerBase._compile_core = _compile_core
    create = codegen.CPUCodegen.create_library

    def create_library(self: Any, name: str, **kwargs: Any) -> Any:
        if name == "ufunc_wrapper" and sys._getframe(1).f_code.co_name == "build_ufunc_wrapper":
            report(compiled="loop", args="")
        return create(self, name, **kwargs)

    codegen.CPUCodegen.create_library = create_library
    build = _GufuncWrapper._build_wrapper

    def _build_wrapper(self: Any, *args: Any) -> Any:
        if not self.is_parfors:
            report(compiled="loop", args="")
        return build(self, *args)

    _GufuncWrapper._build_wrapper = _build_wrapper


def _compiled() -> None:
    pass


def _without_cache() -> None:
    from numba.core.caching import NullCache
    from numba.core.ccallback import CFunc
    from numba.core.dispatcher import Dispatcher
    from numba.np.ufunc import wrappers
    from numba.np.ufunc.ufuncbuilder import UFuncDispatcher

    for cls in (Dispatcher, CFunc, UFuncDispatcher):
        cls.enable_caching = lambda self: None
    wrappers.GufWrapperCache = lambda py_func: NullCache()


def _barrier() -> None:
    """What each process compiles as its n-th is stored only when every process is that far."""
    folder, count = _job["barrier"], _job["processes"]
    done = 0

    def wait() -> None:
        nonlocal done
        done += 1
        open(f"{folder}/{done}-{os.getpid()}", "w").close()
        end = time.monotonic() + 60
        while sum(name.startswith(f"{done}-") for name in os.listdir(folder)) < count and time.monotonic() < end:
            time.sleep(0.001)

    globals()["_compiled"] = wait


def drop() -> None:
    """Gives up root's power to write where nobody may."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())


def limit(size: int, kills: bool) -> None:
    """No file may grow beyond this size from here on: as on a full disk; or who tries is killed."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kills else signal.SIG_IGN)
    # The report's own file is beyond it soon.
    if not kills:
        globals()["report"] = lambda **line: _unlimited(line, size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _unlimited(line: dict[str, Any], size: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    os.write(_out, (json.dumps({"case": _current, "pid": os.getpid(), **line}) + "\n").encode())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def show(value: Any) -> str:
    """A value as a text that says its type."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.tolist()}"
    if isinstance(value, np.generic):
        return f"{value.dtype}({value.item()!r})"
    if type(value) in (tuple, list):
        return "(" + ", ".join(map(show, value)) + ")"
    return re.sub(r"0x[0-9a-f]{6,}", "0x", repr(value))


def result(value: Any) -> None:
    report(result=show(value))


def gone() -> bool:
    """Whether the case's package cannot be imported any more."""
    return importlib.util.find_spec(_current) is None


def forked(function: Any, *args: Any) -> str:
    """What a forked child computes."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = show(function(*args))
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def run() -> None:
    """Evaluates the expression of each case."""
    global _current
    begin()
    import numpy as np

    for entry in _job["cases"]:
        _current = entry["name"]
        report(began=True)
        if entry["path"]:
            sys.path.insert(0, entry["path"])
        try:
            space: dict[str, Any] = {"np": np, "os": os, "observe": sys.modules[__name__],
                                     "rank": int(os.environ.get("RANK", "0"))}
            for word in dict.fromkeys(re.findall(r"\b([a-z_]\w*)\.", entry["call"])):
                if word not in space and importlib.util.find_spec(f"{_current}.{word}"):
                    space[word] = importlib.import_module(f"{_current}.{word}")
            *lines, last = entry["call"].split("; ")
            exec("\n".join(lines), space)
            result(eval(last, space))
        except BaseException as error:
            text = str(error).strip() or type(error).__name__
            report(error=f"{type(error).__name__}: {text.splitlines()[0]}"[:300])
        report(ended=True)


if "CATALOGUE_JOB" in os.environ:
    if __name__ == "__main__":
        sys.modules["observe"] = sys.modules[__name__]
        run()
    else:
        begin()
