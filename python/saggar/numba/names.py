"""Content-derived symbol names.

Numba numbers the functions that it compiles, so two processes give the same symbol to different functions. Here the
number is replaced by a text made from what the function is compiled from, so that equal name means equal code: its
content, and of whoever compiles it the options, declared types and pipeline that Numba does not mangle. A function whose
content has no encoding gets a random name, is counted, and whatever contains it is not stored.

Names: `c` and 26 letters or digits of a digest, or `r` and 26 random ones; Numba puts them into every symbol as the
ABI tag `v<name>`.
"""
from __future__ import annotations

import base64
import os
import re
from typing import Any

from .. import _saggar, process
from . import bodies, descriptions, frames, identity, kinds, recipe, values

GENERATED = ("__numba_parfor_gufunc", "__numba_stencil", "__numba_array_expr", "__numba_dummy_stencil")
_TAG = re.compile(bodies.TAG.pattern.encode())
_COUNTED = re.compile(rb"_ZN[0-9A-Za-z_]*?[A-Za-z_]B(\d{1,2})v(\d{1,9})(?![0-9])")


def _text(raw: bytes) -> str:
    return base64.b32encode(raw[:16]).decode("ascii").rstrip("=").lower()


def of_content(digest: bytes) -> str:
    """The name for a content digest."""
    name = "c" + _text(digest)
    bodies.named(name)
    return name


def random(why: str, group: str = "") -> str:
    """A name that no other process has."""
    process.report("random-name", group=group, detail=why[:400], reason="uncacheable")
    return "r" + _text(os.urandom(16))


def for_function(identity_object: Any) -> str:
    """The name of a function that is about to be compiled. Never raises."""
    func = identity_object.func
    qualname = identity_object.func_qualname
    group = frames.group_text(getattr(func, "__module__", None), qualname)
    for prefix in GENERATED:
        if qualname.startswith(prefix):
            return derived(prefix, b"", group)
    try:
        return of_content(_saggar.sha256(b"function" + recipe.environment()[1] + _compiled_from(func)))
    except _saggar.Uncacheable as error:
        return random(str(error), group)
    except Exception as error:
        process.fault(f"naming: {type(error).__name__}: {error}", group)
        return random(str(error), group)


def _compiled_from(func: Any) -> bytes:
    """
    What decides a function's code, beside its arguments' types and the options in force, which Numba mangles. One Python function
    may be compiled by several owners: with other types of variables, another declared result, another pipeline.
    """
    from numba.core import sigutils

    frame = frames.running()[-1] if frames.running() else None
    if frame is not None and frame.doubted:
        raise _saggar.Uncacheable("another function has its name")
    if frame is None or func is not getattr(frame.owner, "py_func", getattr(frame.owner, "_pyfunc", None)):
        return identity.content(func).digest
    returned = sigutils.normalize_signature(frame.sig)[1]
    return _encoder().encode((identity.content(frame.owner).digest, returned))


def _encoder() -> values.Encoder:
    return values.Encoder(lambda target: _saggar.Digest("function", identity.content(target).digest), run=descriptions.by_content)


def derived(what: str, base: bytes, group: str) -> str:
    """The name of a function that Numba made while it compiled another one: that one's content, and an ordinal."""
    running = frames.running()
    if not running:
        return random(f"{what} outside of a compilation", group)
    frame = running[-1]
    if frame.doubted:
        return random("another function has its name", group)
    outer = frame_digest(frame)
    if outer is None:
        return random(f"{what} inside a function without a key", group)
    ordinal = frame.ordinal(what + base.hex())
    return of_content(_saggar.sha256(
        _saggar.encode(("derived", what, base, recipe.environment()[1], outer, ordinal))))


def frame_digest(frame: frames.Frame) -> bytes | None:
    """The digest of what a frame compiles: content, signature, options in force."""
    if frame.base is False:
        frame.base = None
        try:
            frame.base = _frame_digest(frame)
        except Exception:
            pass
    return frame.base  # type: ignore[return-value]


def _frame_digest(frame: frames.Frame) -> bytes:
    from numba.core import sigutils, targetconfig

    content = identity.content(frame.owner)
    args, return_type = sigutils.normalize_signature(frame.sig)
    top = targetconfig.ConfigStack.top_or_none()
    return _saggar.sha256(_encoder().encode((
        content.digest, recipe.signature_value(args, return_type),
        None if top is None else recipe.flags_value(top))))


def inside(*blobs: bytes) -> tuple[list[str], str]:
    """The names inside machine code or bitcode, ascending; and why it must not be stored, or ""."""
    found: set[bytes] = set()
    for blob in blobs:
        for match in _TAG.finditer(blob):
            found.add(match.group(1))
        counted = _COUNTED.search(blob)
        if counted is not None and len(counted.group(2)) + 1 == int(counted.group(1)):
            return [], "it contains a function that was compiled before Saggar was there"
    result = [raw.decode("ascii") for raw in sorted(found)]
    for name in result:
        if name[0] == "r":
            return [], "it contains a function with a random name"
        if not bodies.is_named(name):
            return [], "it contains a function of unknown content"
        if bodies.is_doubtful(name):
            return [], "it contains a function whose name has two bodies"
    return result, ""


_type_texts = kinds.ByType()


def for_type(t: Any) -> str | None:
    """The text that stands for a type in a symbol, or None where Numba's own says everything."""
    code = getattr(t, "_code", -1)
    if code in _type_texts:
        return _type_texts[code]
    text = None
    stable = True
    if not kinds.is_plain(t):
        try:
            text = f"{type(t).__name__}.{_text(_saggar.sha256(_encoder().encode(t)))}"
        except Exception:
            text = None
        stable = not _holds_function(t)
    if stable:
        _type_texts[code] = text
    return text


def _holds_function(t: Any) -> bool:
    from numba.core import types

    if isinstance(t, (types.Callable, types.Omitted)):
        return True
    return any(isinstance(item, types.Type) and _holds_function(item)
               for item in (t if isinstance(t, types.BaseTuple) else ()))


class ExceptionArguments:
    """
    The LLVM type of an exception's arguments. Numba names the function that turns them into Python objects by the text of
    their type alone, though it uses the constants of the function that raises: here the text names that one too.
    """

    __slots__ = ("_type", "_text")

    def __init__(self, llvm_type: Any, arguments: Any, owner: str) -> None:
        self._type = llvm_type
        self._text = f"{llvm_type} {', '.join(map(str, arguments))} {owner}"

    def as_pointer(self) -> Any:
        return self._type.as_pointer()

    def __repr__(self) -> str:
        return self._text
