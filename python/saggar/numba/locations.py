"""Where an exception says it was raised: `package/module.py` and a line, not a path of the machine that compiled.

Numba writes the source file's path into the machine code of every `raise`. Only that place is changed; errors while
compiling print paths and source lines as ever.
"""
from __future__ import annotations

import os
import re
import sys
from typing import Any

_logical: dict[str, str] = {}
_FILE = re.compile(r'File "([^"\n]+)", line')


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
        if _file(module) == filename and name not in ("__main__", "__mp_main__"):
            parts = name.split(".")
            if base == "__init__.py":
                parts.append("__init__")
            if parts[-1] + ".py" == base:
                return "/".join(parts) + ".py"
    return base


def _file(module: Any) -> object:
    """Where a module says it comes from. One that is loaded when something of it is read is left alone."""
    try:
        return vars(module).get("__file__")
    except Exception:
        return None


def logical(loc: Any) -> Any:
    """A location in Numba's IR with a logical file; parallel functions print it where sizes of arrays differ."""
    return type(loc)(logical_path(loc.filename), loc.line, loc.col)


def relocate(exception: tuple[object, ...]) -> tuple[object, ...]:
    """(class, arguments, (function, file, line)) with a logical file; some of Numba's own messages name one too."""
    if len(exception) != 3:
        return exception
    cls, arguments, place = exception
    if isinstance(place, tuple) and len(place) == 3 and isinstance(place[1], str):
        place = (place[0], logical_path(place[1]), place[2])
    if isinstance(arguments, tuple) and any(type(item) is str and "File " in item for item in arguments):
        arguments = tuple([_FILE.sub(lambda m: f'File "{logical_path(m[1])}", line', item) if type(item) is str else item
                           for item in arguments])
    return cls, arguments, place
