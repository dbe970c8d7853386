#!/usr/bin/env python3
"""An independent reader of Saggar's formats, written from docs/FORMAT.md alone: it shares nothing with the library.

    reader.py [--check] [--json] FILE...

FILE is an image, a store file, a bare core, or the directory of a store. Each entry is one line: key, identity, group,
processor, parts with their raw sizes. `--check` verifies every digest, padding and order. Exit: 0 well, 1 something is
damaged (a line each on stderr), 2 wrong usage. XXH3 is checked where the package `xxhash` can be imported, sections under
zstd are opened by the command `zstd`; what could not be checked is named as not done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

try:
    import xxhash
except ImportError:
    xxhash = None  # type: ignore[assignment]

LIMIT, MUST = 16 << 20, 0x8000
NOT_DONE: set[str] = set()


class Damaged(ValueError):
    """The bytes are not what the document allows, or (it says so) are of a later version."""


@dataclass(frozen=True)
class Tagged:
    """A value that needs its kind beside it: everything but none, booleans, integers, bytes and text."""

    kind: str
    items: Any


def need(condition: object, message: str) -> None:
    if not condition:
        raise Damaged(message)


def same_xxh(data: Any, wanted: bytes) -> bool:
    """Whether this is the data's XXH128 (16 bytes) or XXH64 (8); true where that cannot be told."""
    if xxhash is None:
        NOT_DONE.add("XXH3: no package xxhash")
        return True
    return wanted == (xxhash.xxh3_128_digest(data) if len(wanted) == 16 else xxhash.xxh3_64_digest(data)[::-1])


def sha256(data: Any) -> bytes:
    return hashlib.sha256(data).digest()


def padded(n: int) -> int:
    return n + -n % 64


class Cursor:
    """Takes bytes from the front and never goes past the end."""

    def __init__(self, data: Any, limit: int = LIMIT) -> None:
        need(len(data) <= limit, "above 16 MiB")
        self.data, self.at = bytes(data), 0

    def take(self, n: int) -> bytes:
        need(n <= len(self.data) - self.at, "cut off")
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def blob(self) -> bytes:
        return self.take(self.number(4))

    def text(self) -> str:
        return utf8(self.blob())

    def times(self) -> range:
        """As often as the next count says; each time takes at least a byte."""
        n = self.number(4)
        need(n <= len(self.data) - self.at, "more counted than there is")
        return range(n)

    def whole(self, result: Any) -> Any:
        need(self.at == len(self.data), "bytes behind the end")
        return result


def utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Damaged(f"not UTF-8: {error.reason}") from None


# Values: section 2


def decode(data: bytes) -> Any:
    """The one value that these bytes are."""
    cursor = Cursor(data)
    return cursor.whole(value(cursor, 0))


def big(c: Cursor) -> int:
    sign, magnitude = c.number(1), c.blob()
    need(sign <= 1 and magnitude and magnitude[-1], "an integer that is not canonical")
    n = int.from_bytes(magnitude, "little") * (-1 if sign else 1)
    need(not -(2**63) <= n < 2**63, "a small integer written as a big one")
    return n


SCALARS: dict[int, Callable[[Cursor], Any]] = {
    0x00: lambda c: None,
    0x01: lambda c: False,
    0x02: lambda c: True,
    0x03: lambda c: c.number(8, signed=True),
    0x04: big,
    0x05: lambda c: Tagged("float", c.number(8)),
    0x06: lambda c: Tagged("complex", (c.number(8), c.number(8))),
    0x07: Cursor.blob,
    0x08: Cursor.text,
    0x12: lambda c: Tagged("digest", (c.text(), c.take(32))),
}
CONTAINERS = {9: "list", 10: "tuple", 11: "set", 12: "frozen set", 13: "map", 14: "ordered map", 15: "record"}


def value(c: Cursor, depth: int) -> Any:
    """One value inside `depth` containers."""
    tag = c.number(1)
    if tag in SCALARS:
        return SCALARS[tag](c)
    if tag == 0x10:
        return Tagged("dtype", dtype(c, depth))
    if tag in (0x11, 0x14):
        return array(c, tag, depth)
    if tag == 0x13:
        k = c.number(4)
        need(k < depth, "a back reference to nothing")
        return Tagged("back reference", k)
    need(tag in CONTAINERS and depth < 128, f"unknown tag {tag:#04x}, or nested too deep")
    kind, name, items, firsts = CONTAINERS[tag], c.text() if tag == 0x0F else "", [], []
    for _ in c.times():
        start = c.at
        first = c.text() if kind == "record" else value(c, depth + 1)
        firsts.append(c.data[start : c.at])
        items.append((first, value(c, depth + 1)) if tag >= 0x0D else first)
    if kind in ("set", "frozen set", "map"):
        need(all(a < b for a, b in zip(firsts, firsts[1:])), f"a {kind} out of order")
    need(tag < 0x0D or len(set(firsts)) == len(firsts), f"a {kind} with equal names")
    return Tagged(kind, (name, tuple(items)) if kind == "record" else tuple(items))


def dtype(c: Cursor, depth: int) -> dict[str, Any]:
    """A dtype's payload."""
    record = value(c, depth)
    need(fits(record, "record") and record.items[0] == "dtype", "a dtype that is no dtype record")
    fields = dict(record.items[1])
    need(list(fields) == ["str", "itemsize", "align", "metadata", "fields", "sub"], "a dtype with other fields")
    need(fits(Tagged("tuple", tuple(fields.values())), DTYPE), "a dtype with a wrong field")
    return fields


def array(c: Cursor, tag: int, depth: int) -> Tagged:
    """An array or an array scalar."""
    items = dtype(c, depth)
    count = items["itemsize"]
    if tag == 0x14:
        item = c.blob()
        need(len(item) == count, "an array scalar of another size")
        return Tagged("array scalar", (items, item))
    order, flags, extents = c.number(1), c.number(1), tuple(c.number(8) for _ in c.times())
    need(order <= 2 and flags <= 3, "an array of unknown order or flags")
    need(order == 0 or (0 not in extents and sum(n > 1 for n in extents) >= 3 - order), "an array that is C contiguous")
    for n in extents:
        count *= n
    need(c.number(8) == count, "an array of another size")
    return Tagged("array", (items, order, flags, extents, c.take(count)))


def fits(v: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, a kind, a tuple of shapes, [shape] for a tuple of any length, or a test."""
    if isinstance(shape, type):
        return type(v) is shape
    if isinstance(shape, str):
        return isinstance(v, Tagged) and v.kind == shape
    if isinstance(shape, list):
        return fits(v, "tuple") and all(fits(i, shape[0]) for i in v.items)
    if isinstance(shape, tuple):
        return fits(v, "tuple") and len(v.items) == len(shape) and all(map(fits, v.items, shape))
    return bool(shape(v))


def ascending(v: Any) -> bool:
    raw = [i.encode("utf-8", "surrogatepass") for i in v.items] if fits(v, [str]) else [b"", b""]
    return all(a < b for a, b in zip(raw, raw[1:]))


def size(v: Any) -> bool:
    return type(v) is int and 0 <= v < 2**63


def maybe(shape: Any) -> Callable[[Any], bool]:
    return lambda v: v is None or fits(v, shape)


def digest(what: str) -> Callable[[Any], bool]:
    return lambda v: fits(v, "digest") and v.items[0] == what


DTYPE = (
    lambda v: type(v) is str and v[:1] in ("<", ">", "|"), size, bool, maybe("ordered map"),
    maybe([(str, lambda title: True, size, "dtype")]), maybe(("dtype", [size])),
)  # fmt: skip
HASH, GROUP = lambda v: type(v) is bytes and len(v) == 32, (str, str, str)  # noqa: E731
PATH = lambda v: type(v) is str and "\0" not in v and not {"", ".", ".."} & set(v.split("/"))  # noqa: E731
REQUIREMENTS = {1: (str, str), 2: (lambda v: type(v) is int and 1 <= v <= 3, HASH, ascending), 3: ascending, 4: (str, str)}
DEPENDENCIES = {
    1: (str, PATH, size, digest("file")), 2: (str, str), 3: (str, str, digest("value")), 4: (str, str, digest("code")), 5: (GROUP, HASH),
}  # fmt: skip
SECTIONS = {0: 0x0000, 1: 0x8001, 2: 0x0002, 3: 0x8003, 4: 0x8004, 5: 0x0005}


# Entries: sections 3 and 4


def read_recipe(data: bytes) -> dict[str, Any]:
    """The fields of a recipe; its key is sha256(data)."""
    c, fields = Cursor(data), {}
    need(c.take(12) == b"SGRECIPE\1\0\0\0", "no recipe of version 1")
    for _ in c.times():
        name = c.text()
        need(re.fullmatch(r"[a-z0-9_.-]{1,64}", name) and name not in fields, "a recipe with a wrong or repeated name")
        fields[name] = value(c, 0)
    need({"adapter", "compiler", "source", "options"} <= fields.keys(), "a recipe without a mandatory field")
    need(fits(fields["adapter"], (str, int)), "a recipe with a wrong adapter")
    return c.whole(fields)


def read_records(data: bytes, shapes: dict[int, Any], once: int = 0) -> list[tuple[int, Any]]:
    """Number and payload of each record that is known; numbers up to `once` may stand once."""
    c, found, before = Cursor(data), [], (-1, b"")
    for _ in c.times():
        code, zero, length = struct.unpack("<HHI", c.take(8))
        number, payload = code & ~MUST, c.take(length)
        need(zero == 0 and (number, payload) > before, "records out of order")
        need(number > once or number != before[0], "a record that may stand once stands twice")
        before, known = (number, payload), decode(payload)
        need(number in shapes or number and not code & MUST, f"not understood: a record of kind {code:#06x}")
        if number in shapes:
            need(code & MUST and fits(known, shapes[number]), f"a wrong record of kind {code:#06x}")
            found.append((number, known))
    return c.whole(found)


def unzstd(data: bytes, raw: int) -> bytes | None:
    """The content of a zstd frame that states its size; None where there is nothing to open it with."""
    c = Cursor(data, 1 << 32)
    need(c.take(4) == b"\x28\xb5\x2f\xfd", "no zstd frame")
    head = c.number(1)
    width = (head >> 5 & 1, 2, 4, 8)[head >> 6]
    c.take((0 if head & 0x20 else 1) + (0, 1, 2, 4)[head & 3])
    need(width and c.number(width) + (256 if width == 2 else 0) == raw, "a zstd frame that does not state its size")
    if program := shutil.which("zstd"):
        done = subprocess.run([program, "-dcq"], input=data, capture_output=True)
        need(done.returncode == 0, "a damaged zstd frame")
        return done.stdout
    NOT_DONE.add("zstd: no command zstd")
    return None


def read_core(data: memoryview, check: bool) -> dict[str, Any]:
    """The core of an entry, which is all of `data`; with `check` its parts and paddings too."""
    need(len(data) >= 128, "cut off")
    magic, major, _, n, length, zero, key, identity, xxh, zero2 = struct.unpack("<8sHHIQ8s32s32s16s16s", data[:128])
    need(magic == b"\x89SGE\r\n\x1a\n", "no entry")
    need(major == 1, "not understood: another major version")
    at = 128 * (1 + n)
    need(1 <= n <= 256 and at <= length == len(data) <= 8 << 30 and length % 64 == 0, "a wrong size")
    need(not any(zero + zero2), "bytes that are not zero")
    need(same_xxh(bytes(data[:96]) + bytes(16) + bytes(data[112:at]), xxh), "XXH128 of the head differs")
    hashed, before, unknown, rows, raws = hashlib.sha256(b"SGID\0\1\0\0" + key), (-1, b""), "", [], {}
    for code, codec, zero, start, stored, raw, sha, xxh, field in struct.iter_unpack("<HB5sQQQ32s16s48s", data[128:at]):
        number, name = code & ~MUST, field.rstrip(b"\0")
        need(not any(zero) and (number, name) > before, "sections out of order")
        before = (number, name)
        need(len(name) < 48 and not re.search(r"[\0-\x1f\x7f]", utf8(name)), "a wrong name")
        need(number not in SECTIONS or code == SECTIONS[number] and bool(name) == (number == 5), "a wrong kind or name")
        if codec > 1 or number not in SECTIONS and code & MUST:
            unknown = f"not understood: a section of kind {code:#06x}, codec {codec}"
        need((codec or raw == stored) and raw < 1 << 32 and (raw <= LIMIT or number > 4), "a wrong length")
        need(start == at and padded(at + stored) <= length, "sections that do not lie one after another")
        at = padded(start + stored)
        need(not check or not any(data[start + stored : at]), "padding that is not zero")
        hashed.update(struct.pack("<HQ32s48s", code, raw, sha, field))
        rows.append((number, name, codec, data[start : start + stored], raw, sha, xxh))
    need(at == length, "bytes behind the last section")
    need(hashed.digest() == identity, "the identity differs")
    need(not unknown, unknown)
    for number, _, codec, stored, raw, sha, xxh in rows:
        if check or 1 <= number <= 4:
            need(same_xxh(stored, xxh), f"XXH128 of a section of kind {number} differs")
            raws[number] = unzstd(bytes(stored), raw) if codec else bytes(stored)
            good = raws[number] is None or len(raws[number]) == raw and sha256(raws[number]) == sha
            need(good, f"SHA-256 of a section of kind {number} differs")
    need({1, 3, 4} <= raws.keys(), "a mandatory section is missing")
    need(raws[1] is None or sha256(raws[1]) == key, "the key is not that of the recipe")
    parts = {utf8(name): raw for number, name, _, _, raw, *_ in rows if number == 5}
    return {"key": key, "identity": identity, "size": length, **understand(raws), "parts": parts}


def understand(raws: dict[int, bytes | None]) -> dict[str, Any]:
    """What the sections say; those that could not be opened are passed over."""
    none = bytes(4)
    group, records = raws.get(2) and decode(raws[2]), read_records(raws[3] or none, REQUIREMENTS, once=3)
    need(2 not in raws or raws[2] is None or fits(group, GROUP), "a wrong group")
    last = {number: v.items for number, v in records}
    (arch, abi), (provenance, bits, extra) = last.get(1, ("any", "any")), last.get(2, (0, bytes(32), Tagged("tuple", ())))
    flags = (1 if extra.items else 0) | (2 if any((raws[4] or none)[:4]) else 0)
    index = ({"any": 0, "x86_64": 1, "aarch64": 2}.get(arch, 255), provenance, flags, bytes(5))
    return {
        "group": group and group.items, "arch": arch, "abi": abi, "provenance": provenance, "bits": bits, "extra": extra.items,
        "symbols": last.get(3, ()), "libraries": [v.items for number, v in records if number == 4], "index": index,
        "dependencies": read_records(raws[4] or none, DEPENDENCIES), "group_raw": raws.get(2),
        "recipe": raws[1] and read_recipe(raws[1]),
    }  # fmt: skip


def text_map(raw: bytes, shape: Any) -> dict[str, Any]:
    """An ordered map from texts to values of the shape."""
    v = decode(raw)
    need(fits(v, "ordered map") and all(fits(k, str) and fits(i, shape) for k, i in v.items), "no ordered map of texts")
    return dict(v.items)


def read_annex(data: bytes) -> dict[str, Any] | None:
    """An annex, or None for none and for a damaged one."""
    try:
        c = Cursor(data, LIMIT + 32)
        need(c.take(8) == b"SGANNEX1", "no annex")
        n, zero, xxh = c.number(4), c.number(4), c.take(16)
        need(zero == 0 and n == len(data) - 32 and same_xxh(data[32:], xxh), "a damaged annex")
        return text_map(data[32:], lambda v: True)
    except Damaged:
        return None


# Images: section 5, and the program


class Report:
    """What was found: entries, each with its file, and what is wrong where."""

    def __init__(self, check: bool) -> None:
        self.check, self.entries, self.wrong = check, [], []  # type: ignore[var-annotated]

    def core(self, file: str, data: memoryview, row: tuple[Any, ...] | None = None, annex: bytes = b"", name: str = "") -> None:
        """Reads a core; `row` is what an image's index says of it, `name` the key in a store file's name."""
        try:
            e = {"file": file, **read_core(data, self.check), "annex": read_annex(annex)}
            need(not name or name == e["key"].hex(), "an entry under a wrong name")
            if row:
                group, xxh = e["group_raw"], row[3]
                need(row[:3] + row[4:] == (e["key"], e["identity"], e["bits"], *e["index"]), "the index says something else")
                need(same_xxh(group, xxh) if group is not None else not any(xxh), "the index has another group")
            self.entries.append(e)
        except Damaged as error:
            self.wrong.append((f"{file}: {row[0].hex()}" if row else file, str(error)))

    def image(self, file: str, data: memoryview) -> None:
        """Reads an image; an entry or a block that is damaged does not touch its neighbours."""
        need(len(data) >= 256, "cut off")
        _, major, _, header, length, n, b, block, *layout, root, xxh, zero = struct.unpack("<8sHHIQQII7Q32s16s112s", data[:256])
        table, index, prov, prov_length, blocks, m, first = layout
        need(major == 1, "not understood: another major version")
        need((header, length, block) == (256, len(data), 65536) and not any(zero), "a wrong header")
        need(same_xxh(bytes(data[:128]) + bytes(16) + bytes(data[144:256]), xxh), "XXH128 of the header differs")
        need(n < 1 << 31 and b == max(n - 1, 0).bit_length() and prov_length <= LIMIT, "a wrong header")
        end = 256 + 4 * (2**b + 1)
        wanted = [256, padded(end), padded(end) + 128 * n, prov_length, padded(prov + prov_length), -((256 - blocks) // block)]
        need(layout == [*wanted, padded(blocks + 48 * m)] and first <= length, "a wrong layout")
        bad, sums = set(), b""
        for i, (sha, xxh) in enumerate(struct.iter_unpack("<32s16s", data[blocks : blocks + 48 * m])):
            part, sums = data[256 + i * block : min(256 + (i + 1) * block, blocks)], sums + sha
            if sha256(part) != sha or not same_xxh(part, xxh):
                bad.add(i)
                self.wrong.append((file, f"block {i} is damaged"))
        need(sha256(bytes(data[:96]) + bytes(48) + bytes(data[144:256]) + sums) == root, "the root differs")
        gaps = [(blocks + 48 * m, first)] + ([(end, index), (prov + prov_length, blocks)] if not bad else [])
        need(not any(any(data[start:stop]) for start, stop in gaps), "padding that is not zero")
        if prov_length and not bad:
            text_map(bytes(data[prov : prov + prov_length]), str)
        at, before, counts = first, b"", [0] * (2**b + 1)
        for i in range(n):
            start = index + 128 * i
            if {(start - 256) // block, (start - 129) // block} & bad:
                at = -1
                continue
            key, identity, bits, where, size, group, *rest = struct.unpack_from("<32s32s32sQQ8sBBB5s", data, start)
            need(key + identity > before, "an index out of order")
            need(at in (-1, where) and where % 64 == 0 and first <= where <= length - size, "an index with a wrong offset")
            at, before = where + size, key + identity
            counts[(int.from_bytes(key, "big") >> 256 - b) + 1] += 1
            self.core(file, data[where:at], (key, identity, bits, group, *rest))
        need(bad or at == length, "bytes behind the last entry")
        need(bad or list(struct.unpack_from(f"<{2**b + 1}I", data, table)) == list(accumulate(counts)), "a wrong bucket table")

    def file(self, path: Path, store: bool = False) -> None:
        """Reads an image, or a core with what follows it."""
        try:
            data = memoryview(path.read_bytes())
            if data[:8] == b"\x89SGI\r\n\x1a\n":
                return self.image(str(path), data)
            length = int.from_bytes(data[16:24], "little")
            need(128 <= length <= len(data), "cut off")
            self.core(str(path), data[:length], None, bytes(data[length:]), path.name[:64] if store else "")
        except (Damaged, OSError) as error:
            self.wrong.append((str(path), str(error)))


def shown(text: str) -> str:
    return "".join(ch if ch.isprintable() and not ch.isspace() else f"\\u{ord(ch):04x}" for ch in text)


def finish(e: dict[str, Any], names: dict[tuple[str, int], str]) -> dict[str, Any]:
    """An entry as it is printed: the features by name where the table has them."""
    bits = [i for i in range(256) if e["bits"][i // 8] >> i % 8 & 1]
    e["features"] = [names.get((e["arch"].replace("_", "-"), i), f"bit{i}") for i in bits] + list(e["extra"])
    e |= {"key": e["key"].hex(), "identity": e["identity"].hex(), "provenance": ("", "scanned", "declared", "assumed")[e["provenance"]]}
    return {k: v for k, v in e.items() if k not in ("bits", "extra", "index", "group_raw")}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an image, a store file or a store")
    parser.add_argument("--check", action="store_true", help="verify every digest, padding and order")
    parser.add_argument("--json", action="store_true", help="one object: entries, wrong, not_done")
    options = parser.parse_args(arguments)
    report, table, names = Report(options.check), Path(__file__).parents[2] / "src/isa/features.tsv", {}
    if table.exists():
        rows = (line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#"))
        names = {(row[0], int(row[1])): row[2] for row in rows if row[1].isdigit()}
    for path in options.files:
        for file in sorted(path.glob("v1/??/*")) if path.is_dir() else [path]:
            if file == path or re.fullmatch(r"[0-9a-f]{64}\.[0-9a-f]", file.name):
                report.file(file, store=file != path)
    report.entries.sort(key=lambda e: (e["key"], e["identity"]))
    listed = [finish(e, names) for e in report.entries]
    if options.json:
        result = {"entries": listed, "wrong": report.wrong, "not_done": sorted(NOT_DONE)}
        print(json.dumps(result, indent=1, default=lambda v: {"bytes": v.hex()} if isinstance(v, bytes) else {v.kind: v.items}))
        return bool(report.wrong)
    for e in listed:
        processor = f"{e['arch']}/{e['abi']}:{e['provenance']}:{','.join(e['features'])}"
        parts = [f"{shown(name)}={size}" for name, size in e["parts"].items()]
        print(e["key"], e["identity"], shown(":".join(e["group"] or "-")), shown(processor), *parts)
    for where, what in report.wrong + [("not done", what) for what in sorted(NOT_DONE)]:
        print(f"{shown(where)}: {what}", file=sys.stderr)
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
