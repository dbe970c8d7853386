"""What the code under each content-derived name was generated from, so that a second body under one name is noticed.

Equal names must mean equal code. That rests on `names` taking in all that decides a function's code; here it is checked. What Numba
generates for a symbol has a digest, as it is before LLVM optimises it: that is the same in every process, while the machine
code depends on what it was linked with. A function whose name has another body already is compiled again, under a random
name; an entry with another body than this process has is not used.

The part `bodies` of an entry has a line for each function that its object defines: the digest in hexadecimal, a space, the symbol; in the
symbols' order.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from .. import _saggar
from . import frames

TAG = re.compile(r"B28v([cr][a-z2-7]{26})")
PART = "bodies"
_FUNCTION = re.compile(r'^define [^@\n]*@("[^"\n]*"|[-\w.$]+)\(.*?^}', re.M | re.S)
# What has another name in each run: labels, values, attributes, metadata, addresses.
_NUMBERED = re.compile(r'^"?[^\s":]+"?:|%"[^"]*"|%[-\w.$]+|[!#]\d+|\.\d{9,}| at 0x[0-9a-f]+|numba\.dynamic\.globals\.[0-9a-f]+', re.M)
_names: set[str] = set()  # the content-derived names that were given here, or came with entries
_known: dict[str, bytes] = {}  # the bodies, by the symbols that such a name is in
_doubtful: set[str] = set()  # names with two bodies in this process


class Second(Exception):
    """What is being compiled has a name that stands for another body."""


def named(name: str) -> None:
    """A content-derived name was given to a function here, or came with an entry."""
    _names.add(name)


def is_named(name: str) -> bool:
    return name in _names


def is_doubtful(name: str) -> bool:
    return name in _doubtful


def generated(text: str) -> None:
    """Takes in a module in LLVM's language that Numba has generated. Raises Second if it can be compiled under another name."""
    for match in _FUNCTION.finditer(text):
        symbol = match[1].strip('"')
        tag = TAG.search(symbol)
        # A kernel's name has an address in it, and is known in its own module alone.
        if tag is None or tag[1][0] == "r" or symbol.startswith(".kernel."):
            continue
        body = "\n".join(sorted(_NUMBERED.sub("%", match[0]).split("\n")))
        if not _take(symbol, hashlib.sha256(body.encode()).digest()):
            frame = frames.running()[-1] if frames.running() else None
            if frame is not None and frame.repeats and not frame.doubted:
                raise Second(symbol)
            _doubtful.add(tag[1])


def _take(symbol: str, digest: bytes) -> bool:
    """False if the symbol has another body already."""
    if _known.get(symbol) != digest:
        if not _saggar.register_symbol(symbol, digest):
            return False
        _known[symbol] = digest
    return True


def defined(symbols: Iterable[str]) -> bytes:
    """The part for an object that defines these symbols."""
    return "".join([f"{_known[symbol].hex()} {symbol}\n" for symbol in sorted(symbols) if symbol in _known]).encode()


def admit(part: bytes) -> str | None:
    """Takes in the part of an entry; the symbol that has another body here, or None."""
    for line in part.decode().splitlines():
        digest, _, symbol = line.partition(" ")
        if not _take(symbol, bytes.fromhex(digest)):
            return symbol
    return None
