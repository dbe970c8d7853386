"""Where an exception says it was raised: `package/module.py` and a line, not a path of the machine that compiled.

Numba writes the source file's path into the machine code of every `raise`. Only that place is changed; errors while
compiling print paths and source lines as ever.
"""
from __future__ import annotations

import os
import sys

_logical: dict[str, str] = {}


def logical_path(filename: str) -> str:
    """The path below its root of imports of a module's source file; the base name of any other absolute path."""
    known = _logical.get(filename)
    if known is None:
        known = _logical[filename] = _find(filename)
    return known


def _find(filename: str) -> str:
    if not os.path.isabs(filename):
        return filename.replace(os.sep, "/") if not filename.startswith("..") else os.path.basename(filename)
    base = os.path.basename(filename)
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) == filename and name not in ("__main__", "__mp_main__"):
            parts = name.split(".")
            if base == "__init__.py":
                parts.append("__init__")
            if parts[-1] + ".py" == base:
                return "/".join(parts) + ".py"
    return base


def relocate(exception: tuple[object, ...]) -> tuple[object, ...]:
    """(class, arguments, (function, file, line)) with a logical file."""
    if len(exception) == 3 and isinstance(exception[2], tuple) and len(exception[2]) == 3:
        function, filename, line = exception[2]
        if isinstance(filename, str):
            return exception[0], exception[1], (function, logical_path(filename), line)
    return exception
