"""A place for the builds of `gt4py.next` that ends with them: GT4Py names the directory of a build after its cache's base."""
from __future__ import annotations

import multiprocessing
import pathlib
import shutil
import tempfile
from typing import Any

from gt4py.next import errors
from gt4py.next.otf.compilation import cache, compiler

from . import points

_original: Any = None

FAILED = (errors.CompilationError, compiler.CompilationError)


class Private:
    """A cache lifetime of GT4Py's whose base is ours."""

    def __init__(self, path: str) -> None:
        self.path = pathlib.Path(path)


def folder(tree: Any) -> pathlib.Path:
    """Where a tree's files can be loaded from: what goes with a worker process is copied to where GT4Py's workers leave their files."""
    if tree.shared or multiprocessing.parent_process() is None:
        return pathlib.Path(tree.path)
    copy = pathlib.Path(tempfile.mkdtemp(prefix="saggar-", dir=cache._session_cache_dir_path))
    return pathlib.Path(shutil.copytree(tree.path, copy / "tree"))


def _base(lifetime: Any) -> pathlib.Path:
    return lifetime.path if isinstance(lifetime, Private) else _original(lifetime)


def change() -> None:
    global _original
    base = points.expect(cache, "get_cache_base_path", "lifetime")
    points.expect(cache, "get_cache_folder", "ext_source", "lifetime", "build_context_id")
    if _original is None:
        _original = base
        cache.get_cache_base_path = _base
