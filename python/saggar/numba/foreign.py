"""What other packages say about a function's identity: their cache locators.

A package that generates functions may register a locator with Numba (PyTensor does), which knows the functions that
the package made and tells them apart by a key of its own. Two functions that look alike here may differ in that key;
so what a locator says is part of the function's content, beside all that is found by looking at the function: a key
that forgets something cannot make an entry stale, and neither can a function in which something cannot be seen.
The version of the locator's package is part of it too, since such a key is made for one version only.

Only what a locator decides itself counts; where a function is stored, its line and its file's time do not.
"""
from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from numba.core.caching import CacheImpl

from .. import _saggar

_OWN = "numba.core.caching"
_versions: dict[str, str] = {}
_installed: dict[str, str] = {}
_INSTALLED = ("site-packages", "dist-packages")


def parts(python: FunctionType) -> list[tuple[str, object]]:
    """What foreign locators say about a function: (what, value) in their order; empty for nearly every function."""
    result: list[tuple[str, object]] = []
    for cls in CacheImpl._locator_classes:
        if getattr(cls, "__module__", _OWN) == _OWN:
            continue
        methods = [name for name in ("get_disambiguator", "get_source_stamp")
                   if getattr(getattr(cls, name, None), "__module__", _OWN) != _OWN]
        if methods:
            result.extend(_said(cls, methods, python))
    return result


def _said(cls: Any, methods: list[str], python: FunctionType) -> list[tuple[str, object]]:
    where = f"{cls.__module__}.{cls.__qualname__}"
    try:
        locator = cls.from_function(python, python.__code__.co_filename)
        if locator is None:
            return []
        said = [(f"{where}.{name}", getattr(locator, name)()) for name in methods]
    except Exception as error:
        raise _saggar.Uncacheable(f"{where} fails for {python.__qualname__}: {type(error).__name__}: {error}") from None
    return [*said, (f"version of {where}", version(cls.__module__.partition(".")[0]))]


def speaks_for(module: str) -> str:
    """The version of the package that a module belongs to, if that package has a locator; else "".

    Such a package's own objects and classes are known by name and this version; its functions are looked at.
    """
    top = module.partition(".")[0]
    for cls in CacheImpl._locator_classes:
        if getattr(cls, "__module__", _OWN).partition(".")[0] == top != "numba":
            return version(top)
    return ""


def version(package: str) -> str:
    """The version of the distribution that a top-level package was loaded from; else the digest of its sources, "" if it has none."""
    known = _versions.get(package)
    if known is None:
        known = _versions[package] = _version(package)
    return known


def _version(package: str) -> str:
    from importlib import metadata

    file = getattr(sys.modules.get(package), "__file__", None)
    try:
        found = metadata.distribution(package)
        if isinstance(file, str) and _is_of(found, file):  # and not in a checkout that comes first on the path
            return found.version
    except metadata.PackageNotFoundError:
        pass
    return _sources(package)


def _sources(package: str) -> str:
    """The digest of a package's source files, which may be edited without another version."""
    module = sys.modules.get(package)
    digests = []
    for path, name in _files(getattr(module, "__path__", ()), getattr(module, "__file__", None)):
        with open(path, "rb") as source:
            digests.append((name, _saggar.sha256(source.read())))
    return _saggar.sha256(_saggar.encode(tuple(sorted(digests)))).hex() if digests else ""


def _files(roots: Iterable[str], file: str | None) -> Iterator[tuple[str, str]]:
    """(path, name) of each source file of a package, or of a module that is one file."""
    for root in roots:
        for folder, _, names in os.walk(root):
            yield from ((path, os.path.relpath(path, root)) for name in names if name.endswith(".py") and (path := os.path.join(folder, name)))
    if not roots and file is not None and file.endswith(".py"):
        yield file, os.path.basename(file)


def installed(module: str) -> str:
    """The distribution that a module was installed with, and its version; "" if there is none, or it is installed to be edited."""
    known = _installed.get(module)
    if known is None:
        known = _installed[module] = _distribution(module)
    return known


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module, sys.modules.get(top)), "__file__", None)
    if not isinstance(file, str) or not any(os.sep + folder + os.sep in file for folder in _INSTALLED):
        return ""
    found = [one for one in _distributions(top) if _is_of(one, file)]
    return ", ".join(sorted(f"{one.metadata['Name']} {one.version}" for one in found))


def _distributions(top: str) -> list[Any]:
    from importlib import metadata

    try:
        found = metadata.distribution(top)
        if top in (found.read_text("top_level.txt") or "").split() or f"\n{top}/" in "\n" + (found.read_text("RECORD") or ""):
            return [found]
    except metadata.PackageNotFoundError:
        pass
    return [metadata.distribution(name) for name in dict.fromkeys(metadata.packages_distributions().get(top) or ())]


def _is_of(distribution: Any, file: str) -> bool:
    """True if a file is where the distribution was installed, and that is not a folder that people work in."""
    root = os.path.normpath(str(distribution.locate_file("")))
    return (os.path.basename(root) in _INSTALLED and file.startswith(root + os.sep)
            and '"editable"' not in (distribution.read_text("direct_url.json") or ""))
