"""A small writer of Saggar's formats for tests, from docs/FORMAT.md alone: it shares nothing with the library or the reader.

It writes what the document allows, and, where a test asks for it, what the document forbids: `Core.edit` and `Image.edit` change
the rows and the header before digests are taken, so that a file is wrong in one place only and no digest gives it away.
Needs the package `xxhash`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import xxhash


class Encoded(bytes):
    """The bytes of a value, to be put into another one as they are."""


def u32(n: int) -> bytes:
    return struct.pack("<I", n)


def text(s: str) -> bytes:
    data = s.encode("utf-8", "surrogatepass")
    return u32(len(data)) + data


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 64)


def xxh128(data: bytes) -> bytes:
    return xxhash.xxh3_128(data, seed=0).digest()


# Values


def encode(v: Any) -> Encoded:
    """The canonical bytes of a Python value."""
    if isinstance(v, Encoded):
        return v
    if v is None:
        return Encoded(b"\x00")
    if isinstance(v, bool):
        return Encoded(b"\x02" if v else b"\x01")
    if isinstance(v, int):
        if -(1 << 63) <= v < 1 << 63:
            return Encoded(b"\x03" + struct.pack("<q", v))
        size = (abs(v).bit_length() + 7) // 8
        return Encoded(b"\x04" + bytes([v < 0]) + u32(size) + abs(v).to_bytes(size, "little"))
    if isinstance(v, float):
        return Encoded(b"\x05" + struct.pack("<d", v))
    if isinstance(v, complex):
        return Encoded(b"\x06" + struct.pack("<dd", v.real, v.imag))
    if isinstance(v, bytes):
        return Encoded(b"\x07" + u32(len(v)) + v)
    if isinstance(v, str):
        return Encoded(b"\x08" + text(v))
    if isinstance(v, (list, tuple)):
        return Encoded((b"\x09" if isinstance(v, list) else b"\x0a") + u32(len(v)) + b"".join(map(encode, v)))
    if isinstance(v, (set, frozenset)):
        return Encoded((b"\x0b" if isinstance(v, set) else b"\x0c") + u32(len(v)) + b"".join(sorted(map(encode, v))))
    if isinstance(v, dict):
        return Encoded(b"\x0e" + u32(len(v)) + b"".join(encode(k) + encode(i) for k, i in v.items()))
    raise TypeError(f"{type(v)} has no encoding")


def unordered(v: dict[Any, Any]) -> Encoded:
    """A map."""
    return Encoded(b"\x0d" + u32(len(v)) + b"".join(sorted(encode(k) + encode(i) for k, i in v.items())))


def record(name: str, **fields: Any) -> Encoded:
    return Encoded(b"\x0f" + text(name) + u32(len(fields)) + b"".join(text(k) + encode(i) for k, i in fields.items()))


def digest(what: str, sha: bytes) -> Encoded:
    return Encoded(b"\x12" + text(what) + sha)


def back(k: int) -> Encoded:
    return Encoded(b"\x13" + u32(k))


def payload(str_: str, itemsize: int, align: bool = False, metadata: Any = None, fields: Any = None, sub: Any = None) -> Encoded:
    """A dtype's payload."""
    return record("dtype", str=str_, itemsize=itemsize, align=align, metadata=metadata, fields=fields, sub=sub)


def dtype(*args: Any, **named: Any) -> Encoded:
    return Encoded(b"\x10" + payload(*args, **named))


def array(of: Encoded, order: int, flags: int, extents: Iterable[int], items: bytes) -> Encoded:
    shape = list(extents)
    head = bytes([order, flags]) + u32(len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
    return Encoded(b"\x11" + of + head + struct.pack("<Q", len(items)) + items)


def scalar(of: Encoded, item: bytes) -> Encoded:
    return Encoded(b"\x14" + of + u32(len(item)) + item)


# Entries


def recipe(source: Any = "", adapter: Any = ("golden", 1), **more: Any) -> bytes:
    """A recipe; `more` is added behind the mandatory fields."""
    return recipe_of({"adapter": adapter, "compiler": "cc 1.0", "source": source, "options": {}, **more})


def recipe_of(fields: dict[str, Any]) -> bytes:
    return b"SGRECIPE\x01\0\0\0" + u32(len(fields)) + b"".join(text(k) + encode(v) for k, v in fields.items())


def records(*pairs: tuple[int, Any], ordered: bool = True) -> bytes:
    """Requirements or dependencies: kind and payload each."""
    rows = [(kind, bytes(encode(v))) for kind, v in pairs]
    if ordered:
        rows.sort(key=lambda row: (row[0] & 0x7FFF, row[1]))
    return u32(len(rows)) + b"".join(struct.pack("<HHI", kind, 0, len(raw)) + raw for kind, raw in rows)


@dataclass
class Row:
    """A section, and its row in the table. What is None is worked out."""

    kind: int
    raw: bytes
    name: bytes = b""
    codec: int = 0
    stored: bytes | None = None
    zero: bytes = bytes(5)
    offset: int = 0
    stored_length: int = 0
    raw_length: int = 0
    sha: bytes = b""
    xxh: bytes = b""

    def pack(self) -> bytes:
        numbers = struct.pack("<HB5sQQQ", self.kind, self.codec, self.zero, self.offset, self.stored_length, self.raw_length)
        return numbers + self.sha + self.xxh + self.name.ljust(48, b"\0")


@dataclass
class Core:
    """An entry. `edit` is called with the core when rows and header are laid out, before identity and XXH128 are taken."""

    rows: list[Row]
    key: bytes = b""
    edit: Callable[[Core], None] | None = None
    magic: bytes = b"\x89SGE\r\n\x1a\n"
    major: int = 1
    minor: int = 0
    count: int = 0
    size: int = 0
    zero: bytes = bytes(8)
    zero2: bytes = bytes(16)
    identity: bytes = b""
    xxh: bytes = b""
    data: bytearray = field(default_factory=bytearray)

    def __bytes__(self) -> bytes:
        at = 128 * (1 + len(self.rows))
        self.data = bytearray()
        for row in self.rows:
            stored = row.raw if row.stored is None else row.stored
            row.offset, row.stored_length, row.raw_length = at, len(stored), len(row.raw)
            row.sha, row.xxh = sha256(row.raw).digest(), xxh128(stored)
            self.data += padded(stored)
            at += len(padded(stored))
        self.count, self.size, self.identity, self.xxh = len(self.rows), at, b"", b""
        self.key = self.key or next((sha256(row.raw).digest() for row in self.rows if row.kind == 0x8001), bytes(32))
        if self.edit:
            self.edit(self)
        table = b"".join(row.pack() for row in self.rows)
        rows = b"".join(struct.pack("<HQ", r.kind, r.raw_length) + r.sha + r.name.ljust(48, b"\0") for r in self.rows)
        self.identity = self.identity or sha256(b"SGID\0\1\0\0" + self.key + rows).digest()
        front = self.magic + struct.pack("<HHIQ", self.major, self.minor, self.count, self.size) + self.zero
        front += self.key + self.identity
        self.xxh = self.xxh or xxh128(front + bytes(16) + self.zero2 + table)
        return front + self.xxh + self.zero2 + table + bytes(self.data)


def core(
    recipe_bytes: bytes | None = None, *, group: Any = None, requirements: bytes = u32(0), dependencies: bytes = u32(0),
    parts: dict[str, bytes] | None = None, more: Iterable[Row] = (),
) -> Core:  # fmt: skip
    """An entry of these sections; rows come in the order that the document wants."""
    rows = [Row(0x8001, recipe() if recipe_bytes is None else recipe_bytes), *more]
    rows += [Row(0x8003, requirements), Row(0x8004, dependencies)]
    if group is not None:
        rows.append(Row(0x0002, encode(group)))
    rows += [Row(0x0005, raw, name.encode("utf-8", "surrogatepass")) for name, raw in (parts or {}).items()]
    return Core(sorted(rows, key=lambda row: (row.kind & 0x7FFF, row.name)))


def annex(**pairs: Any) -> bytes:
    raw = encode(pairs)
    return b"SGANNEX1" + struct.pack("<II", len(raw), 0) + xxh128(raw) + raw


# Images


@dataclass
class IndexRow:
    key: bytes
    identity: bytes
    features: bytes
    offset: int
    size: int
    group: int
    arch: int
    provenance: int
    flags: int
    zero: bytes = bytes(5)

    def pack(self) -> bytes:
        places = struct.pack("<QQQBBB5s", self.offset, self.size, self.group, self.arch, self.provenance, self.flags, self.zero)
        return self.key + self.identity + self.features + places


def index_row(core: bytes, **known: Any) -> IndexRow:
    """The row of an entry. What it requires is given, as the writer does not read."""
    row = IndexRow(core[32:64], core[64:96], bytes(32), 0, len(core), 0, 0, 0, 0)
    for name, value in known.items():
        setattr(row, name, xxhash.xxh3_64(encode(value), seed=0).intdigest() if name == "group" else value)
    return row


@dataclass
class Image:
    """An image of cores with their rows. `edit` is called with the image before block list, root and XXH128 are taken."""

    entries: list[tuple[bytes, IndexRow]]
    provenance: bytes = b""
    edit: Callable[[Image], None] | None = None
    header: list[Any] = field(default_factory=list)  # major, minor, header, file, n, b, block, table, index, prov, its length, …
    front: bytearray = field(default_factory=bytearray)  # bucket table, index, provenance: what the blocks cover
    zero: bytes = bytes(112)
    after_blocks: bytes | None = None
    trailing: bytes = b""
    sort: bool = True
    more_bits: int = 0
    root: bytes = b""
    xxh: bytes = b""
    body: list[bytes] = field(default_factory=list)

    def __bytes__(self) -> bytes:
        entries = sorted(self.entries, key=lambda e: (e[1].key, e[1].identity)) if self.sort else self.entries
        n = len(entries)
        bits = ((n - 1).bit_length() if n else 0) + self.more_bits
        keys = [int.from_bytes(row.key, "big") >> (256 - bits) for _, row in entries]
        table = padded(struct.pack(f"<{2**bits + 1}I", *(sum(k < i for k in keys) for i in range(2**bits + 1))))
        blocks_at = 256 + len(table) + 128 * n + len(padded(self.provenance))
        m = (blocks_at - 256 + 65535) // 65536
        first = blocks_at + len(padded(bytes(48 * m)))
        at = first
        for data, row in entries:
            row.offset, at = at, at + len(data)
        self.front = bytearray(table + b"".join(row.pack() for _, row in entries) + padded(self.provenance))
        index = 256 + len(table)
        self.header = [1, 0, 256, at, n, bits, 65536, 256, index, index + 128 * n, len(self.provenance), blocks_at, m, first]
        self.body = [data for data, _ in entries]
        if self.edit:
            self.edit(self)
        pieces = [bytes(self.front[i : i + 65536]) for i in range(0, len(self.front), 65536)]
        start = b"\x89SGI\r\n\x1a\n" + struct.pack("<HHIQQII7Q", *self.header)
        root = self.root or sha256(start + bytes(48) + self.zero + b"".join(sha256(p).digest() for p in pieces)).digest()
        head = start + root + (self.xxh or xxh128(start + root + bytes(16) + self.zero)) + self.zero
        blocks = b"".join(sha256(p).digest() + xxh128(p) for p in pieces)
        filled = padded(blocks) if self.after_blocks is None else blocks + self.after_blocks
        return head + bytes(self.front) + filled + b"".join(self.body) + self.trailing
