"""Runs projects in forked children of a process that has imported Numba, NumPy and (unless SAGGAR_MODE=off) the adapter.

One request a line: {"jobs": [{"project": folder, "modules": [...], "functions": [...], "entries": {...}, "env": {...}}, ...]}. The jobs run at
the same time, each in a child of its own; one line comes back with each job's results and the compilations and hits
that it saw. `python server.py --once` runs one job in this very process, without a fork.
"""
from __future__ import annotations

import hashlib
import importlib
import json
import os
import struct
import sys
import tempfile
import time
import traceback
from typing import Any

LIMIT = 300  # seconds for one job


def bits(value: Any) -> list[Any]:
    """A result by type and bits; NaN is NaN."""
    import numpy as np

    if isinstance(value, (bool, int, str)) or value is None:
        return [type(value).__name__, repr(value)]
    if isinstance(value, float):
        return ["float", "nan" if value != value else struct.pack("<d", value).hex()]
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.array(value)
        if array.dtype.kind == "f":
            array[array != array] = np.nan
        return [str(array.dtype), list(array.shape), array.tobytes().hex()]
    if isinstance(value, tuple):
        return ["tuple", [bits(item) for item in value]]
    return [type(value).__name__, repr(value)]


class Recorder:
    """Notes each compilation with its dispatcher's name in the project, and what the adapter says about it."""

    def __init__(self, functions: list[list[str]]) -> None:
        self.functions = functions
        self.events: list[dict[str, Any]] = []
        self.names: dict[int, str] = {}

    def name(self, dispatcher: Any) -> str:
        known = self.names.get(id(dispatcher), "")
        if not known:
            for module, name in self.functions:
                if dispatcher is getattr(sys.modules.get(module), name, None):
                    known = self.names[id(dispatcher)] = name
                    break
        return known

    def args(self, args: Any) -> str:
        from numba.core import types

        return ", ".join(f"<{self.name(arg.dispatcher)}>" if isinstance(arg, types.Dispatcher) else str(arg) for arg in args)

    def inherited(self, dispatcher: Any) -> str:
        from numba.core.targetconfig import ConfigStack

        top, own = ConfigStack.top_or_none(), dispatcher.targetoptions
        if top is None:
            return ""
        model = "" if "error_model" in own or top.error_model == "python" else str(top.error_model)
        fast = "" if "fastmath" in own or not top.fastmath else ",".join(sorted(top.fastmath.flags))
        inline = "" if "forceinline" in own or not top.forceinline else "inline"
        return f"{model} {fast} {inline}".strip()

    def dispatcher_event(self, event: str, dispatcher: Any, args: Any, **more: Any) -> None:
        from numba.core.caching import NullCache

        name = self.name(dispatcher)
        if name and not isinstance(dispatcher._cache, NullCache):
            self.events.append({"event": event, "name": name, "args": self.args(args), "inherited": self.inherited(dispatcher), **more})

    def listen(self) -> None:
        from numba.core import event

        recorder = self

        class Listener(event.Listener):
            def on_start(self, event: Any) -> None:
                pass

            def on_end(self, event: Any) -> None:
                if event._exc_details is None:
                    recorder.dispatcher_event("compiled", event.data["dispatcher"], event.data["args"])

        event.register("numba:compile", Listener())
        if os.environ.get("SAGGAR_MODE") != "off":
            self._listen_to_adapter()

    def _listen_to_adapter(self) -> None:
        from numba.core import sigutils
        from numba.core.dispatcher import Dispatcher
        from saggar import process
        from saggar.numba import frames

        plain = process.report

        def report(event: str, **details: Any) -> None:
            plain(event, **details)
            running = frames.running()
            owner = running[-1].owner if running else None
            text = {key: value for key, value in details.items() if isinstance(value, (str, int))}
            if event in ("hit", "published", "not-stored", "miss") and isinstance(owner, Dispatcher):
                if text.get("detail") != "this process":
                    args = sigutils.normalize_signature(running[-1].sig)[0]
                    self.dispatcher_event(event, owner, args, why=text.get("reason", ""), detail=text.get("detail", ""))
            elif event in ("fault", "random-name"):
                self.events.append({"event": event, "group": text.get("group", ""), "detail": text.get("detail", "")})
            elif event in ("compiled", "published", "hit", "not-stored") and not isinstance(owner, Dispatcher):
                name = text.get("group", "").rpartition(":")[2]
                self.events.append({"event": f"ufunc {event}", "name": name, "args": text.get("detail", ""), "inherited": "",
                                    "flags": text.get("flags", 0)})

        process.report = report


def argument(spec: list[Any]) -> Any:
    import numpy as np

    kind, value = spec[0], spec[1]
    if kind == "fn":
        return getattr(sys.modules[spec[2]], value)
    if kind == "array":
        return np.linspace(-1.0, 2.0, 5).astype(value)
    return {"int": int, "float": float, "int32": np.int32, "float32": np.float32, "bool": bool}[kind](value)


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Imports the project anew and calls what the job names."""
    os.environ.update(job["env"])
    recorder = Recorder(job["functions"])
    recorder.listen()
    sys.path.insert(0, job["project"])
    results: dict[str, Any] = {}
    errors: dict[str, str] = {}
    try:
        for module in job["modules"]:
            importlib.import_module(module)
    except Exception as error:
        return {"results": {"import": ["error", repr(error)[:2000]]}, "events": recorder.events, "broken": traceback.format_exc()}
    for key, (module, name, args) in job["entries"].items():
        try:
            results[key] = bits(getattr(sys.modules[module], name)(*map(argument, args)))
        except Exception as error:
            own = type(error).__module__ == "builtins"  # the texts of Numba's have paths
            results[key] = ["error", type(error).__name__, repr(error.args) if own else ""]
            errors[key] = traceback.format_exc()[-3000:]
    return {"results": results, "events": recorder.events, "errors": errors}


def child(job: dict[str, Any], path: str) -> None:
    code = 1
    try:
        with open(path, "w") as out:
            json.dump(run_job(job), out)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run_jobs(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    running = []
    for job in jobs:
        handle, path = tempfile.mkstemp()
        os.close(handle)
        pid = os.fork()
        if pid == 0:
            child(job, path)
        running.append((pid, path))
    answers = []
    for pid, path in running:
        status = _wait(pid)
        with open(path) as stream:
            text = stream.read()
        os.unlink(path)
        answers.append(json.loads(text) if status == 0 else {"results": {}, "events": [], "broken": f"ended with status {status}"})
    return answers


def _wait(pid: int) -> int:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -999


def broken(how: str) -> None:
    """Breaks the adapter, to see that the soak notices."""
    from saggar import code
    from saggar.numba import reads

    if how == "stale":
        reads._read_names = lambda *args: None
    elif how == "needless":
        plain = code._digest
        code._digest = lambda found, *args: hashlib.sha256(plain(found, *args) + b"%d" % found.co_firstlineno).digest()


def prepare() -> None:
    """Imports what every child needs, also what Numba imports when it first compiles. Starts no thread."""
    import numba
    import numpy
    from numba.core.registry import cpu_target

    if os.environ.get("SAGGAR_MODE") != "off":
        import saggar.numba

        saggar.numba.install()
        if not saggar.numba.status()["active"]:
            raise SystemExit(f"the adapter is not active: {saggar.numba.status()}")
        broken(os.environ.get("SOAK_BREAK", ""))
    elif hasattr(numba.core.dispatcher.Dispatcher.compile, "__wrapped__"):
        raise SystemExit("the reference must run without the adapter")
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    first = numba.njit(lambda a, b: a.sum() + b)
    first(numpy.ones(3), 1)
    first(numpy.ones(3, "float32"), 1.5)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if "--once" in sys.argv:
        job = json.loads(sys.stdin.readline())
        prepare()
        answers.write(json.dumps(run_job(job)) + "\n")
        answers.flush()
        os._exit(0)
    prepare()
    for line in sys.stdin:
        answers.write(json.dumps(run_jobs(json.loads(line)["jobs"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
