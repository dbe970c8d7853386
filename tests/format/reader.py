#!/usr/bin/env python3
"""An independent reader of Saggar's formats, written from docs/FORMAT.md alone: it shares nothing with the library.

    reader.py [--check] [--json] [--features TABLE] FILE...

FILE is an image, a store file, a bare core, or the directory of a store. Each entry is one line: key, identity, group,
processor, parts with their raw sizes. `--check` verifies every digest, padding and order. Exit: 0 well, 1 something is
damaged (a line each on stderr), 2 wrong usage. XXH3 is checked where the package `xxhash` can be imported, sections under
zstd are opened by the package `zstandard` or the command `zstd`; what could not be checked is named as not done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

try:
    import xxhash
except ImportError:
    xxhash = None  # type: ignore[assignment]
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment]

MIB16, MUST, CONTAINERS = 16 << 20, 0x8000, {9: "list", 10: "tuple", 11: "set", 12: "frozen set", 13: "map", 14: "ordered map"}
DTYPE = ("str", "itemsize", "align", "metadata", "fields", "sub")
NOT_DONE: set[str] = set()


class Damaged(ValueError):
    """The bytes are not what the document allows."""


class NotUnderstood(Damaged):
    """Well formed, but of a later version: an entry that this reader must not use."""


class Tagged(NamedTuple):
    """A value that needs its kind beside it: everything but none, booleans, integers, bytes and text."""

    kind: str
    items: Any


def need(condition: object, message: str, error: type[Damaged] = Damaged) -> None:
    """Refuses unless the condition holds."""
    if not condition:
        raise error(message)


def sha256(data: Any) -> bytes:
    return hashlib.sha256(data).digest()


def xxh_differs(data: Any, wanted: bytes) -> bool:
    """Whether XXH128 (16 bytes) or XXH64 (8) of the data is another one; false where that cannot be told."""
    if xxhash is None:
        NOT_DONE.add("XXH3: no package xxhash")
        return False
    if len(wanted) == 8:
        return xxhash.xxh3_64_intdigest(data) != int.from_bytes(wanted, "little")
    return xxhash.xxh3_128_digest(data) != wanted


def pad(n: int) -> int:
    return -n % 64


# Values (section 2)


class Cursor:
    """Takes bytes from the front and never goes past the end."""

    def __init__(self, data: Any) -> None:
        self.data, self.at = bytes(data), 0

    def take(self, n: int) -> bytes:
        need(n <= len(self.data) - self.at, "cut off")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def count(self) -> int:
        """A count of things that take at least a byte each."""
        n = self.number(4)
        need(n <= len(self.data) - self.at, "more counted than there is")
        return n

    def text(self) -> str:
        return utf8(self.take(self.number(4)))

    def end(self) -> None:
        need(self.at == len(self.data), "bytes behind the end")


def utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Damaged(f"not UTF-8: {error.reason}") from None


def decode(data: bytes) -> Any:
    """The one value that these bytes are."""
    need(len(data) <= MIB16, "a value above 16 MiB")
    cursor = Cursor(data)
    result = value(cursor, 0)
    cursor.end()
    return result


def value(c: Cursor, depth: int) -> Any:
    """One value inside `depth` containers."""
    tag = c.number(1)
    if tag == 0x00:
        return None
    if tag in (0x01, 0x02):
        return tag == 0x02
    if tag == 0x03:
        return c.number(8, signed=True)
    if tag == 0x04:
        sign, magnitude = c.number(1), c.take(c.number(4))
        need(sign <= 1 and magnitude and magnitude[-1], "an integer that is not canonical")
        n = int.from_bytes(magnitude, "little") * (-1 if sign else 1)
        need(not -(2**63) <= n < 2**63, "a small integer written as a big one")
        return n
    if tag == 0x05:
        return Tagged("float", c.number(8))
    if tag == 0x06:
        return Tagged("complex", (c.number(8), c.number(8)))
    if tag == 0x07:
        return c.take(c.number(4))
    if tag == 0x08:
        return c.text()
    if tag in CONTAINERS or tag == 0x0F:
        need(depth < 128, "nested too deep")
        return container(c, tag, depth + 1)
    if tag == 0x10:
        return Tagged("dtype", dtype(c, depth))
    if tag in (0x11, 0x14):
        return array(c, tag, depth)
    if tag == 0x12:
        return Tagged("digest", (c.text(), c.take(32)))
    if tag == 0x13:
        k = c.number(4)
        need(k < depth, "a back reference to nothing")
        return Tagged("back reference", k)
    raise Damaged(f"unknown tag {tag:#04x}")


def container(c: Cursor, tag: int, depth: int) -> Tagged:
    if tag == 0x0F:
        name = c.text()
        pairs = [(c.text(), value(c, depth)) for _ in range(c.count())]
        need(len({n for n, _ in pairs}) == len(pairs), "a record with two fields of one name")
        return Tagged("record", (name, tuple(pairs)))
    items: list[Any] = []
    firsts: list[bytes] = []
    for _ in range(c.count()):
        start = c.at
        item = value(c, depth)
        firsts.append(c.data[start : c.at])
        items.append((item, value(c, depth)) if tag in (0x0D, 0x0E) else item)
    if tag in (0x0B, 0x0C, 0x0D):
        need(all(a < b for a, b in zip(firsts, firsts[1:])), f"a {CONTAINERS[tag]} out of order")
    if tag == 0x0E:
        need(len(set(firsts)) == len(firsts), "an ordered map with equal keys")
    return Tagged(CONTAINERS[tag], tuple(items))


def size_of(v: Any) -> bool:
    return type(v) is int and 0 <= v < 2**63


def dtype(c: Cursor, depth: int) -> Tagged:
    """A dtype's payload (2.1)."""
    record = value(c, depth)
    need(kind(record) == "record" and record.items[0] == "dtype", "a dtype that is no dtype record")
    need(tuple(n for n, _ in record.items[1]) == DTYPE, "a dtype with other fields")
    of = dict(record.items[1])
    need(type(of["str"]) is str and of["str"][:1] in ("<", ">", "|"), "a dtype without its byte order")
    need(size_of(of["itemsize"]) and type(of["align"]) is bool, "a dtype with a wrong size or alignment")
    need(kind(of["metadata"]) in ("none", "ordered map"), "a dtype with wrong metadata")
    for one in of["fields"].items if kind(of["fields"]) == "tuple" else ():
        need(kind(one) == "tuple" and len(one.items) == 4, "a dtype with a wrong field")
        name, _, offset, inner = one.items
        need(type(name) is str and size_of(offset) and kind(inner) == "dtype", "a dtype with a wrong field")
    need(kind(of["fields"]) in ("none", "tuple") and kind(of["sub"]) in ("none", "tuple"), "a dtype with wrong fields")
    if of["sub"] is not None:
        need(len(of["sub"].items) == 2 and [kind(v) for v in of["sub"].items] == ["dtype", "tuple"], "a wrong subarray")
        need(all(size_of(n) for n in of["sub"].items[1].items), "a subarray with a wrong shape")
    return record


def array(c: Cursor, tag: int, depth: int) -> Tagged:
    """An array (2.2) or an array scalar."""
    record = dtype(c, depth)
    count = dict(record.items[1])["itemsize"]
    if tag == 0x14:
        item = c.take(c.number(4))
        need(len(item) == count, "an array scalar of another size")
        return Tagged("array scalar", (record, item))
    order, flags = c.number(1), c.number(1)
    need(order <= 2 and flags <= 3, "an array of unknown order or flags")
    extents = tuple(c.number(8) for _ in range(c.count()))
    long = sum(n > 1 for n in extents)
    need(order == 0 or (0 not in extents and long >= (2 if order == 1 else 1)), "an array that is C contiguous")
    for n in extents:
        count *= n
    n = c.number(8)
    need(n == count, "an array of another size")
    return Tagged("array", (record, order, flags, extents, c.take(n)))


def kind(v: Any) -> str:
    if isinstance(v, Tagged):
        return v.kind
    return {type(None): "none", bool: "boolean", int: "integer", bytes: "bytes", str: "text"}[type(v)]


def plain(v: Any) -> Any:
    """A value as JSON can carry it."""
    if isinstance(v, bytes):
        return {"bytes": v.hex()}
    if isinstance(v, Tagged):
        return {v.kind: plain(v.items)}
    return [plain(i) for i in v] if isinstance(v, tuple) else v


# Entries (sections 3 and 4)


def read_recipe(data: bytes) -> dict[str, Any]:
    """The fields of a recipe; its key is sha256(data)."""
    need(len(data) <= MIB16, "a recipe above 16 MiB")
    c = Cursor(data)
    need(c.take(8) == b"SGRECIPE" and c.number(2) == 1 and c.number(2) == 0, "no recipe of version 1")
    fields: dict[str, Any] = {}
    for _ in range(c.count()):
        name = c.text()
        need(re.fullmatch(r"[a-z0-9_.-]{1,64}", name) and name not in fields, "a recipe with a wrong or repeated name")
        start = c.at
        fields[name] = value(c, 0)
        need(c.at - start <= MIB16, "a value above 16 MiB")
    c.end()
    need({"adapter", "compiler", "source", "options"} <= fields.keys(), "a recipe without a mandatory field")
    need(fits(fields["adapter"], str, int), "a recipe with a wrong adapter")
    return fields


def fits(v: Any, *shape: Any) -> bool:
    """Whether the value is a tuple of this shape: types, or functions that say."""
    return kind(v) == "tuple" and len(v.items) == len(shape) and all(
        type(i) is s if isinstance(s, type) else s(i) for i, s in zip(v.items, shape)
    )


def texts(v: Any) -> bool:
    """Whether this is a tuple of texts, ascending."""
    if kind(v) != "tuple" or not all(type(i) is str for i in v.items):
        return False
    raw = [i.encode("utf-8", "surrogatepass") for i in v.items]
    return all(a < b for a, b in zip(raw, raw[1:]))


def group(v: Any) -> bool:
    return fits(v, str, str, str)


def hash32(v: Any) -> bool:
    return type(v) is bytes and len(v) == 32


def path(v: Any) -> bool:
    return type(v) is str and "\0" not in v and all(p not in ("", ".", "..") for p in v.split("/"))


def digest(what: str) -> Callable[[Any], bool]:
    return lambda v: kind(v) == "digest" and v.items[0] == what


SECTIONS = {1: 0x8001, 2: 0x0002, 3: 0x8003, 4: 0x8004, 5: 0x0005, 0: 0}
REQUIREMENTS: dict[int, Callable[[Any], bool]] = {
    1: lambda v: fits(v, str, str),
    2: lambda v: fits(v, lambda p: type(p) is int and 1 <= p <= 3, hash32, texts),
    3: texts,
    4: lambda v: fits(v, str, str),
}
DEPENDENCIES: dict[int, Callable[[Any], bool]] = {
    1: lambda v: fits(v, str, path, size_of, digest("file")),
    2: lambda v: fits(v, str, str),
    3: lambda v: fits(v, str, str, digest("value")),
    4: lambda v: fits(v, str, str, digest("code")),
    5: lambda v: fits(v, group, hash32),
}


def read_records(data: bytes, shapes: dict[int, Callable[[Any], bool]], once: tuple[int, ...]) -> list[tuple[int, Any]]:
    """Number and payload of each record that this reader knows, after the number of all."""
    need(len(data) <= MIB16, "records above 16 MiB")
    c, found, before = Cursor(data), [], (-1, b"")
    for _ in range(c.count()):
        code, zero, length = c.number(2), c.number(2), c.number(4)
        payload = c.take(length)
        number = code & ~MUST
        need(zero == 0 and (number, payload) > before, "records out of order")
        need(not (number in once and number == before[0]), "a record that may stand once stands twice")
        before = (number, payload)
        if number in shapes:
            need(code & MUST, "a record with a wrong must-understand bit")
            found.append((number, decode(payload)))
            need(shapes[number](found[-1][1]), f"a wrong record of kind {number}")
        else:
            need(number and not code & MUST, f"a record of kind {code:#06x}", NotUnderstood if number else Damaged)
            decode(payload)
    c.end()
    return found


class Section(NamedTuple):
    code: int
    codec: int
    at: int
    stored: int
    raw: int
    sha: bytes
    xxh: bytes
    name: bytes


@dataclass
class Entry:
    """What an entry says. `bits` is the feature set; `extra` the feature names without an index."""

    key: bytes
    identity: bytes
    size: int
    recipe: dict[str, Any] = field(default_factory=dict)
    group: tuple[str, ...] | None = None
    group_raw: bytes | None = None
    arch: str = "any"
    abi: str = "any"
    provenance: int = 0
    bits: bytes = bytes(32)
    extra: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    libraries: list[tuple[str, ...]] = field(default_factory=list)
    dependencies: list[tuple[int, Any]] = field(default_factory=list)
    depends: bool = False
    parts: dict[str, int] = field(default_factory=dict)
    annex: dict[str, Any] | None = None


def unzstd(data: bytes, raw: int) -> bytes | None:
    """The content of one zstd frame that states its size; None where there is nothing to open it with."""
    c = Cursor(data)
    need(c.take(4) == b"\x28\xb5\x2f\xfd", "no zstd frame")
    head = c.number(1)
    single = head >> 5 & 1
    c.take((1 - single) + (0, 1, 2, 4)[head & 3])
    width = (single, 2, 4, 8)[head >> 6]
    need(width and c.number(width) + (256 if width == 2 else 0) == raw, "a zstd frame that does not state its size")
    last = 0
    while not last:
        block = c.number(3)
        last = block & 1
        c.take(1 if block >> 1 & 3 == 1 else block >> 3)
    c.take(4 if head & 4 else 0)
    c.end()
    try:
        if zstandard:
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)
        if program := shutil.which("zstd"):
            return subprocess.run([program, "-dcq"], input=data, capture_output=True, check=True).stdout
    except (subprocess.CalledProcessError, zstandard.ZstdError if zstandard else OSError):
        raise Damaged("a damaged zstd frame") from None
    NOT_DONE.add("zstd: neither the package zstandard nor the command zstd")
    return None


def read_core(data: memoryview, check: bool) -> Entry:
    """The core of an entry, which is all of `data`; with `check` its parts and paddings too."""
    c = Cursor(data[:128])
    need(c.take(8) == b"\x89SGE\r\n\x1a\n", "no entry")
    need(c.number(2) == 1, "another major version", NotUnderstood)
    c.number(2)
    n, size = c.number(4), c.number(8)
    need(1 <= n <= 256 and size == len(data) <= 8 << 30 and size % 64 == 0 and 128 * (1 + n) <= size, "a wrong size")
    need(c.take(8) == bytes(8), "bytes that are not zero")
    entry = Entry(c.take(32), c.take(32), size)
    xxh, head = c.take(16), bytearray(data[: 128 * (1 + n)])
    need(c.take(16) == bytes(16), "bytes that are not zero")
    head[96:112] = bytes(16)
    need(not xxh_differs(bytes(head), xxh), "XXH128 of the head differs")
    identity, at = hashlib.sha256(b"SGID\0\1\0\0" + entry.key), len(head)
    before, known = (-1, b""), {}
    unknown = ""
    for i in range(n):
        c = Cursor(head[128 * (1 + i) : 128 * (2 + i)])
        code, codec, zero = c.number(2), c.number(1), c.number(5)
        s = Section(code, codec, c.number(8), c.number(8), c.number(8), c.take(32), c.take(16), c.take(48))
        number, name = code & ~MUST, s.name.rstrip(b"\0")
        need(zero == 0 and (number, name) > before, "sections out of order")
        before = (number, name)
        need(len(name) < 48 and not re.search(r"[\0-\x1f\x7f]", utf8(name)), "a wrong name")
        need(bool(name) == (number == 5) or number not in SECTIONS, "a name where there is none, or none")
        need(number not in SECTIONS or code == SECTIONS[number], "a section with a wrong must-understand bit")
        if number not in SECTIONS and code & MUST or codec > 1:
            unknown = unknown or f"a section of kind {code:#06x}, codec {codec}"
        need(s.at == at and s.stored <= size - at and (codec or s.raw == s.stored), "sections that do not lie one after another")
        need(s.raw < 1 << 32 and (s.raw <= MIB16 or number not in (1, 2, 3, 4)), "a section above its limit")
        at += s.stored + pad(s.stored)
        need(at <= size, "a section behind the end")
        need(not check or not any(data[s.at + s.stored : at]), "padding that is not zero")
        identity.update(code.to_bytes(2, "little") + s.raw.to_bytes(8, "little") + s.sha + s.name)
        if number == 5:
            entry.parts[utf8(name)] = s.raw
        if not unknown and (check or number in (1, 2, 3, 4)):
            known[number] = content(data, s)
    need(at == size, "bytes behind the last section")
    need(identity.digest() == entry.identity, "the identity differs")
    need(not unknown, unknown, NotUnderstood)
    need({1, 3, 4} <= known.keys(), "a mandatory section is missing")
    understand(entry, known)
    return entry


def content(data: memoryview, s: Section) -> bytes | None:
    """The raw bytes of a section, both digests checked; None if they cannot be had here."""
    stored = data[s.at : s.at + s.stored]
    need(not xxh_differs(stored, s.xxh), f"XXH128 of section {s.code:#06x} differs")
    raw = unzstd(bytes(stored), s.raw) if s.codec else bytes(stored)
    need(raw is None or (len(raw) == s.raw and sha256(raw) == s.sha), f"SHA-256 of section {s.code:#06x} differs")
    return raw


def understand(entry: Entry, known: dict[int, bytes | None]) -> None:
    """Decodes the sections; those that could not be opened are passed over."""
    if known[1] is not None:
        entry.recipe = read_recipe(known[1])
        need(sha256(known[1]) == entry.key, "the key is not that of the recipe")
    if (raw := known.get(2)) is not None:
        named = decode(raw)
        need(group(named), "a wrong group")
        entry.group, entry.group_raw = named.items, raw
    for number, v in read_records(known[3], REQUIREMENTS, (1, 2, 3)) if known[3] is not None else ():
        if number == 1:
            entry.arch, entry.abi = v.items
        elif number == 2:
            entry.provenance, entry.bits, entry.extra = v.items[0], v.items[1], v.items[2].items
        elif number == 3:
            entry.symbols = v.items
        else:
            entry.libraries.append(v.items)
    if known[4] is not None:
        entry.dependencies = read_records(known[4], DEPENDENCIES, ())
        entry.depends = known[4][:4] != bytes(4)


def read_annex(data: bytes) -> dict[str, Any] | None:
    """An annex, or None for none and for a damaged one."""
    try:
        c = Cursor(data)
        need(c.take(8) == b"SGANNEX1", "no annex")
        n, zero, xxh = c.number(4), c.number(4), c.take(16)
        raw = c.take(n)
        c.end()
        need(zero == 0 and not xxh_differs(raw, xxh), "a damaged annex")
        pairs = decode(raw)
        need(kind(pairs) == "ordered map" and all(type(k) is str for k, _ in pairs.items), "no map")
        return {k: plain(v) for k, v in pairs.items}
    except Damaged:
        return None


# Images (section 5)


@dataclass
class Report:
    """Everything that was found: entries with the file they were in, and what is wrong with which of them."""

    check: bool = True
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def core(self, where: str, data: memoryview) -> Entry | None:
        try:
            return read_core(data, self.check)
        except Damaged as error:
            self.wrong.append((where, str(error)))
            return None


def read_image(name: str, data: memoryview, report: Report) -> None:
    """Adds an image's entries to the report; what is damaged does not touch its neighbours."""
    need(len(data) >= 256, "cut off")
    c, head = Cursor(data[:256]), bytearray(data[:256])
    c.take(8)
    need(c.number(2) == 1, "another major version", NotUnderstood)
    c.number(2)
    need(c.number(4) == 256 and c.number(8) == len(data), "a wrong size")
    n, b, block = c.number(8), c.number(4), c.number(4)
    table, index, prov, prov_len, blocks, m, first = (c.number(8) for _ in range(7))
    root, xxh = c.take(32), c.take(16)
    need(not any(c.take(112)), "bytes that are not zero")
    head[128:144] = bytes(16)
    need(not xxh_differs(bytes(head), xxh), "XXH128 of the header differs")
    need(n < 1 << 31 and b == max(n - 1, 0).bit_length() and block == 65536 and table == 256, "a wrong header")
    need(index == 256 + 4 * (2**b + 1) + pad(4 * (2**b + 1)) and prov == index + 128 * n, "a wrong layout")
    need(prov_len <= MIB16 and blocks == prov + prov_len + pad(prov_len) and m == -(-(blocks - 256) // block), "a wrong layout")
    need(first == blocks + 48 * m + pad(48 * m) and first <= len(data), "a wrong layout")
    head[96:128], bad, sums = bytes(32), set(), b""
    for i in range(m):
        part, row = data[256 + i * block : min(256 + (i + 1) * block, blocks)], data[blocks + 48 * i : blocks + 48 * (i + 1)]
        sums += row[:32]
        if sha256(part) != row[:32] or xxh_differs(part, bytes(row[32:])):
            bad.add(i)
            report.wrong.append((name, f"block {i} is damaged"))
    whole = not bad
    need(sha256(bytes(head) + sums) == root, "the root differs")
    need(not any(data[blocks + 48 * m : first]), "padding that is not zero")
    if whole:
        need(not any(data[table + 4 * (2**b + 1) : index]) and not any(data[prov + prov_len : blocks]), "padding that is not zero")
        if prov_len:
            pairs = decode(bytes(data[prov : prov + prov_len]))
            need(kind(pairs) == "ordered map" and all(type(k) is type(v) is str for k, v in pairs.items), "a wrong provenance")
    counts, at, before = [0] * (2**b + 1), first, b""
    for i in range(n):
        row = index + 128 * i
        if {(row - 256) // block, (row + 127 - 256) // block} & bad:
            at = -1
            continue
        c = Cursor(data[row : row + 128])
        both, bits, where, size = c.take(64), c.take(32), c.number(8), c.number(8)
        rest = (c.take(8), c.number(1), c.number(1), c.number(1), c.number(5))
        need(both > before, "an index out of order")
        need(at in (-1, where) and where % 64 == 0 and first <= where <= len(data) - size, "an index with a wrong offset")
        before, at = both, where + size
        counts[(int.from_bytes(both[:32], "big") >> (256 - b)) + 1] += 1
        if entry := report.core(f"{name}: {both[:32].hex()}", data[where : where + size]):
            flags = (1 if entry.extra else 0) | (2 if entry.depends else 0)
            arch = {"any": 0, "x86_64": 1, "aarch64": 2}.get(entry.arch, 255)
            same = (entry.key + entry.identity, entry.bits, arch, entry.provenance, flags, 0) == (both, bits, *rest[1:])
            if not same or (rest[0] != bytes(8) if entry.group is None else xxh_differs(entry.group_raw, rest[0])):
                report.wrong.append((f"{name}: {both[:32].hex()}", "the index says something else than the entry"))
            else:
                report.entries.append((name, entry))
    if whole:
        need(at == len(data), "bytes behind the last entry")
        total = 0
        for i in range(2**b + 1):
            total += counts[i]
            need(int.from_bytes(data[table + 4 * i : table + 4 * i + 4], "little") == total, "a wrong bucket table")


def read_file(file: Path, report: Report, store: bool = False) -> None:
    """Adds what is in a file to the report."""
    try:
        data = memoryview(file.read_bytes())
        if data[:8] == b"\x89SGI\r\n\x1a\n":
            return read_image(str(file), data, report)
        need(len(data) >= 128, "cut off")
        size = int.from_bytes(data[16:24], "little")
        need(size <= len(data), "cut off")
        if entry := report.core(str(file), data[:size]):
            entry.annex = read_annex(bytes(data[size:]))
            in_name = (file.parent.name + "/" + file.name)[:67] == f"{entry.key.hex()[:2]}/{entry.key.hex()}"
            need(in_name or not store, "an entry under a wrong name")
            report.entries.append((str(file), entry))
    except Damaged as error:
        report.wrong.append((str(file), str(error)))
    except OSError as error:
        report.wrong.append((str(file), error.strerror or str(error)))


def read_path(path: Path, report: Report) -> None:
    """A file, or a store."""
    if not path.is_dir():
        return read_file(path, report)
    files = [f for f in path.glob("v1/??/*") if re.fullmatch(r"[0-9a-f]{64}\.[0-9a-f]", f.name)]
    start = len(report.entries)
    for file in sorted(files):
        read_file(file, report, store=True)
    report.entries[start:] = sorted(report.entries[start:], key=lambda e: (e[1].key, e[1].identity))


# The program


def shown(text: str) -> str:
    return "".join(ch if ch.isprintable() and not ch.isspace() else f"\\u{ord(ch):04x}" for ch in text)


def feature_names(entry: Entry, names: dict[tuple[str, int], str]) -> Iterator[str]:
    for i in range(256):
        if entry.bits[i // 8] >> i % 8 & 1:
            yield names.get((entry.arch.replace("x86_64", "x86-64"), i), f"bit{i}")
    yield from entry.extra


def as_dict(file: str, entry: Entry, names: dict[tuple[str, int], str]) -> dict[str, Any]:
    """An entry for JSON."""
    return {
        "file": file, "key": entry.key.hex(), "identity": entry.identity.hex(), "size": entry.size, "group": entry.group,
        "arch": entry.arch, "abi": entry.abi, "provenance": (None, "scanned", "declared", "assumed")[entry.provenance],
        "features": list(feature_names(entry, names)), "symbols": entry.symbols, "libraries": entry.libraries,
        "dependencies": [[number, plain(v.items)] for number, v in entry.dependencies], "parts": entry.parts,
        "recipe": {n: plain(v) for n, v in entry.recipe.items()}, "annex": entry.annex,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an image, a store file or a store")
    parser.add_argument("--check", action="store_true", help="verify every digest, padding and order")
    parser.add_argument("--json", action="store_true", help="one object: entries, wrong, not_done")
    parser.add_argument("--features", type=Path, default=Path(__file__).parents[2] / "src/isa/features.tsv", metavar="TABLE")
    options = parser.parse_args(arguments)
    names: dict[tuple[str, int], str] = {}
    if options.features.exists():
        rows = (line.split("\t") for line in options.features.read_text().splitlines() if not line.startswith("#"))
        names = {(row[0], int(row[1])): row[2] for row in rows if row[1].isdigit()}
    report = Report(options.check)
    for file in options.files:
        read_path(file, report)
    listed = [as_dict(file, entry, names) for file, entry in report.entries]
    if options.json:
        print(json.dumps({"entries": listed, "wrong": report.wrong, "not_done": sorted(NOT_DONE)}, indent=1))
        return bool(report.wrong)
    for e in listed:
        parts = " ".join(f"{shown(name)}={size}" for name, size in e["parts"].items())
        processor = f"{e['arch']}/{e['abi']}:{e['provenance'] or ''}:{','.join(e['features'])}"
        print(e["key"], e["identity"], shown(":".join(e["group"] or ["-"])), shown(processor), parts)
    for where, what in report.wrong:
        print(f"{shown(where)}: {what}", file=sys.stderr)
    for what in sorted(NOT_DONE):
        print(f"not done: {what}", file=sys.stderr)
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
