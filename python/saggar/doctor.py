"""What this Python has to say to `saggar doctor`: lines "name<TAB>value"; a "!" before the name marks what is wrong.

    python -m saggar.doctor

Imports the compilers that have an adapter, so it is as slow as they are.
"""
from __future__ import annotations

import importlib
import importlib.util
import os
import sys

ADAPTERS = ("numba", "gt4py")


def say(name: str, value: object, bad: bool = False) -> None:
    """Prints one finding on one line."""
    text = str(value).replace("\n", " ").replace("\t", " ")
    print(f"{'!' if bad else ''}{name}\t{text}")


def hook() -> None:
    """Is the import hook installed, and did it run at the start of this interpreter?"""
    if os.environ.get("SAGGAR_MODE") == "off":
        say("hook", "off: SAGGAR_MODE=off", bad=True)
    elif any(getattr(finder, "name", None) == "saggar" for finder in sys.meta_path) or "saggar_hook" in sys.modules:
        say("hook", "in place")
    elif importlib.util.find_spec("saggar_hook") is not None:
        say("hook", "installed, but it did not run at the start of this interpreter (python -S, or a folder on PYTHONPATH); "
                    "call saggar.numba.install() in the program", bad=True)
    else:
        say("hook", "not installed", bad=True)


def adapter(name: str) -> None:
    """Is the compiler there, and is its adapter active?"""
    if importlib.util.find_spec(name) is None:
        say(name, "not installed here")
        return
    try:
        module = importlib.import_module(name)
        status = importlib.import_module(f"saggar.{name}").status()
    except Exception as error:
        say(name, f"cannot be imported: {type(error).__name__}: {error}", bad=True)
        return
    version = getattr(module, "__version__", "?")
    if status.get("active"):
        say(name, f"{version}, adapter active")
    else:
        say(name, f"{version}, adapter off: {status.get('reason', '')}", bad=True)


def main() -> None:
    import saggar

    say("version", sys.version.split()[0])
    say("package", saggar.__version__)
    hook()
    for name in ADAPTERS:
        adapter(name)


if __name__ == "__main__":
    main()
