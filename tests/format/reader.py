#!/usr/bin/env python3
"""An independent reader of Saggar's formats, written from docs/FORMAT.md alone: it shares nothing with the library.

    reader.py [--check] [--json] FILE...

FILE is an image, a store file, a bare core, or a store's directory. Each entry is a line, in order of key and identity: key,
identity, group, processor, parts with raw sizes. `--check` verifies every digest, padding and order. Exit: 0 well, 1 damage (a
line each on stderr), 2 wrong usage. XXH3 needs the package `xxhash`, zstd the command `zstd`; else that is named as not done.
"""

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

xxhash = importlib.import_module("xxhash") if importlib.util.find_spec("xxhash") else None
LIMIT, MUST = 16 << 20, 0x8000
NOT_DONE: set[str] = set()
padded = lambda n: n + -n % 64  # noqa: E731


class Damaged(ValueError):
    """The bytes are not what the document allows, or (it says so) are of a later version. Wrong UTF-8 is any ValueError."""


class Tagged(NamedTuple):
    """A value that needs its kind beside it: everything but none, booleans, integers, bytes and text."""

    kind: str
    items: Any


def need(condition: object, message: str) -> None:
    if not condition:
        raise Damaged(message)


def same_xxh(data: Any, wanted: bytes) -> bool:
    """Whether this is the data's XXH128 (16 bytes) or XXH64 (8; 0 for no data); true where that cannot be told."""
    if data is None:
        return not any(wanted)
    if xxhash is None:
        NOT_DONE.add("XXH3: no package xxhash")
        return True
    return wanted == (xxhash.xxh3_128_digest(data) if len(wanted) == 16 else xxhash.xxh3_64_digest(data)[::-1])


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

    def times(self) -> range:
        n = self.number(4)  # of things that take at least a byte each
        need(n <= len(self.data) - self.at, "more counted than there is")
        return range(n)

    def whole(self, result: Any) -> Any:
        need(self.at == len(self.data), "bytes behind the end")
        return result


def utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """The one value that these bytes are (section 2)."""
    cursor = Cursor(data)
    return cursor.whole(value(cursor, 0))


def big(c: Cursor) -> int:
    sign, magnitude = c.number(1), c.blob()
    need(sign <= 1 and magnitude and magnitude[-1], "an integer that is not canonical")
    n = int.from_bytes(magnitude, "little")
    need(n > 2**63 or n == 2**63 and not sign, "a small integer written as a big one")
    return -n if sign else n


SCALARS: dict[int, Any] = {
    0x00: lambda c: None, 0x01: lambda c: False, 0x02: lambda c: True, 0x03: lambda c: c.number(8, signed=True), 0x04: big,
    0x05: lambda c: Tagged("float", c.number(8)), 0x06: lambda c: Tagged("complex", (c.number(8), c.number(8))),
    0x07: Cursor.blob, 0x08: lambda c: utf8(c.blob()), 0x12: lambda c: Tagged("digest", (utf8(c.blob()), c.take(32))),
}  # fmt: skip
CONTAINERS = {9: "list", 10: "tuple", 11: "set", 12: "frozen set", 13: "map", 14: "ordered map", 15: "record"}


def value(c: Cursor, depth: int) -> Any:
    """One value inside `depth` containers."""
    tag = c.number(1)
    if tag in SCALARS:
        return SCALARS[tag](c)
    if tag in (0x10, 0x11, 0x14):
        return Tagged("dtype", dtype(c, depth)) if tag == 0x10 else array(c, tag, depth)
    if tag == 0x13:
        k = c.number(4)
        need(k < depth, "a back reference to nothing")
        return Tagged("back reference", k)
    need(tag in CONTAINERS and depth < 128, f"unknown tag {tag:#04x}, or nested too deep")
    kind, name, items, firsts = CONTAINERS[tag], utf8(c.blob()) if tag == 0x0F else "", [], []
    for _ in c.times():
        start = c.at
        first = utf8(c.blob()) if kind == "record" else value(c, depth + 1)
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
    need(" ".join(fields) == "str itemsize align metadata fields sub", "a dtype with other fields")
    need(fits(Tagged("tuple", tuple(fields.values())), DTYPE), "a dtype with wrong fields")
    return fields


def array(c: Cursor, tag: int, depth: int) -> Tagged:
    """An array or an array scalar."""
    items = dtype(c, depth)
    count = items["itemsize"]
    if tag == 0x14:
        need(c.number(4) == count, "an array scalar of another size")
        return Tagged("array scalar", (items, c.take(count)))
    order, flags, extents = c.number(1), c.number(1), tuple(c.number(8) for _ in c.times())
    fit = order == 0 or (order <= 2 and 0 not in extents and sum(n > 1 for n in extents) >= 3 - order)
    need(fit and flags <= 3, "an array of wrong order or flags")
    need(c.number(8) == prod(extents, start=count), "an array of another size")
    return Tagged("array", (items, order, flags, extents, c.take(prod(extents, start=count))))


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


SIZE = lambda v: type(v) is int and 0 <= v < 2**63  # noqa: E731
DTYPE = (
    lambda v: type(v) is str and v[:1] in ("<", ">", "|"), SIZE, bool, lambda v: v is None or fits(v, "ordered map"),
    lambda v: v is None or fits(v, [(str, lambda title: True, SIZE, "dtype")]), lambda v: v is None or fits(v, ("dtype", [SIZE])),
)  # fmt: skip
FILE, VALUE, CODE = (lambda v, what=what: fits(v, "digest") and v.items[0] == what for what in ("file", "value", "code"))
HASH, GROUP = lambda v: type(v) is bytes and len(v) == 32, (str, str, str)  # noqa: E731
PATH = lambda v: type(v) is str and "\0" not in v and not {"", ".", ".."} & set(v.split("/"))  # noqa: E731
REQUIREMENTS = {1: (str, str), 2: (lambda v: type(v) is int and 1 <= v <= 3, HASH, ascending), 3: ascending, 4: (str, str), 5: (str, ascending, lambda v: v in (0, 1) and type(v) is int)}
DEPENDENCIES = {1: (str, PATH, SIZE, FILE), 2: (str, str), 3: (str, str, VALUE), 4: (str, str, CODE), 5: (GROUP, HASH)}
SECTIONS = {1: 0x8001, 2: 0x0002, 3: 0x8003, 4: 0x8004, 5: 0x0005}


def read_recipe(data: bytes) -> dict[str, Any]:
    """The fields of a recipe (section 3)."""
    c, fields = Cursor(data), {}
    need(c.take(12) == b"SGRECIPE\1\0\0\0", "no recipe of version 1")
    for _ in c.times():
        name = utf8(c.blob())
        need(re.fullmatch(r"[a-z0-9_.-]{1,64}", name) and name not in fields, "a recipe with a wrong or repeated name")
        fields[name] = value(c, 0)
    adapter = fits(fields.get("adapter"), (str, lambda v: type(v) is int and -(2**63) <= v < 2**63))
    need(adapter and {"compiler", "source", "options"} <= fields.keys(), "a recipe without a mandatory field")
    return c.whole(fields)


def read_records(data: bytes, shapes: dict[int, Any], once: int = 0) -> list[tuple[int, Any]]:
    """Number and payload of each record that is known; numbers up to `once` may stand once."""
    c, found, before = Cursor(data), [], (-1, b"")
    for _ in c.times():
        code, zero, length = struct.unpack("<HHI", c.take(8))
        number, payload = code & ~MUST, c.take(length)
        need(zero == 0 and (number, payload) > before and (number > once or number != before[0]), "records out of order, or twice")
        before, known = (number, payload), decode(payload)
        need(number in shapes or number and not code & MUST, f"not understood: a record of kind {code:#06x}")
        if number in shapes:
            need(code & MUST and fits(known, shapes[number]), f"a wrong record of kind {code:#06x}")
            found.append((number, known))
    return c.whole(found)


def unzstd(data: bytes, raw: int) -> bytes | None:
    """The content of one zstd frame that states its size; None where there is nothing to open it with."""
    c = Cursor(data, 1 << 32)
    magic, head = struct.unpack("<IB", c.take(5))
    width, last = (head >> 5 & 1, 2, 4, 8)[head >> 6], 0
    c.take((0 if head & 0x20 else 1) + (0, 1, 2, 4)[head & 3])
    stated = c.number(width) + (256 if width == 2 else 0)
    need(magic == 0xFD2FB528 and width and stated == raw, "no zstd frame that states its size")
    while not last:
        block = c.number(3)
        last = block & 1
        c.take(1 if block >> 1 & 3 == 1 else block >> 3)
    c.whole(c.take(head & 4))
    if program := shutil.which("zstd"):
        done = subprocess.run([program, "-dcq"], input=data, capture_output=True)
        need(done.returncode == 0 and len(done.stdout) == raw, "a damaged zstd frame")
        return done.stdout
    NOT_DONE.add("zstd: no command zstd")
    return None


def read_core(data: memoryview, check: bool) -> dict[str, Any]:
    """The core of an entry (section 4), which is all of `data`; with `check` its parts and paddings too."""
    fixed = Cursor(data[:128]).take(128)
    magic, major, _, n, length, zero, key, identity, xxh, zero2 = struct.unpack("<8sHHIQ8s32s32s16s16s", fixed)
    need(magic == b"\x89SGE\r\n\x1a\n", "no entry")
    need(major == 1, "not understood: another major version")
    at = 128 * (1 + n)
    need(1 <= n <= 256 and at <= length == len(data) <= 8 << 30 and length % 64 == 0, "a wrong size")
    need(not any(zero + zero2), "bytes that are not zero")
    need(same_xxh(fixed[:96] + bytes(16) + bytes(data[112:at]), xxh), "XXH128 of the head differs")
    hashed, before, unknown, rows, raws = sha256(b"SGID\0\1\0\0" + key), (-1, b""), "", [], {}
    for code, codec, zero, start, stored, raw, sha, xxh, field in struct.iter_unpack("<HB5sQQQ32s16s48s", data[128:at]):
        number, name = code & ~MUST, field.rstrip(b"\0")
        need(number and not any(zero) and (number, name) > before, "sections out of order")
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
            raws[number] = plain = unzstd(bytes(stored), raw) if codec else bytes(stored)
            need(plain is None or sha256(plain).digest() == sha, f"SHA-256 of a section of kind {number} differs")
    need({1, 3, 4} <= raws.keys() and (raws[1] is None or sha256(raws[1]).digest() == key), "no section, or another key")
    parts = {utf8(name): raw for number, name, _, _, raw, *_ in rows if number == 5}
    compressed = any(codec for _, _, codec, *_ in rows)
    return {"key": key, "identity": identity, "size": length, **understand(raws), "compressed": compressed, "parts": parts}


def understand(raws: dict[int, bytes | None]) -> dict[str, Any]:
    """What the sections say; those that could not be opened are passed over."""
    recipe, group = raws[1], raws.get(2)
    requirements, dependencies = (bytes(4) if raws[number] is None else raws[number] for number in (3, 4))
    named, records = None if group is None else decode(group), read_records(requirements, REQUIREMENTS, once=3)
    need(group is None or fits(named, GROUP), "a wrong group")
    last = {number: v.items for number, v in records}
    (arch, abi), (provenance, bits, extra) = last.get(1, ("any", "any")), last.get(2, (0, bytes(32), Tagged("tuple", ())))
    flags = (1 if extra.items else 0) | (2 if any(dependencies[:4]) else 0)
    return {
        "group": named and named.items, "arch": arch, "abi": abi, "provenance": provenance, "bits": bits, "extra": extra.items,
        "symbols": last.get(3, ()), "libraries": [v.items for number, v in records if number == 4], "group_raw": group,
        "index": ({"any": 0, "x86_64": 1, "aarch64": 2}.get(arch, 255), provenance, flags, bytes(5)),
        "dependencies": read_records(dependencies, DEPENDENCIES), "recipe": None if recipe is None else read_recipe(recipe),
    }  # fmt: skip


def text_map(raw: bytes, shape: Any) -> dict[str, Any]:
    v = decode(raw)
    need(fits(v, "ordered map") and all(fits(k, str) and fits(i, shape) for k, i in v.items), "no ordered map of texts")
    return dict(v.items)


def read_annex(data: bytes) -> dict[str, Any] | None:
    """An annex, or None for none and for a damaged one."""
    try:
        magic, n, zero, xxh = struct.unpack("<8sII16s", Cursor(data, LIMIT + 32).take(32))
        need((magic, n, zero) == (b"SGANNEX1", len(data) - 32, 0) and same_xxh(data[32:], xxh), "a damaged annex")
        return text_map(data[32:], lambda v: True)
    except ValueError:
        return None


def read_entry(file: str, data: Any, check: bool, row: tuple = (), annex: bytes = b"", name: str = "") -> tuple[str, Any]:
    """Where, and an entry or what is wrong with it; `row` is what an image's index says, `name` the key in a file's name."""
    try:
        e = {"file": file, **read_core(data, check), "annex": read_annex(annex)}
        need(not name or name == e["key"].hex(), "an entry under a wrong name")
        need(not row or row[1:] == (e["key"], e["identity"], e["bits"], *e["index"]), "the index says something else")
        need(not row or same_xxh(e["group_raw"], row[0][0]), "the index has another group")
        need(not row or not row[0][1] or not e["compressed"], "a compressed section in an image of minor version 0")
        return file, e
    except ValueError as error:
        return (f"{file}: {row[1].hex()}" if row else file), str(error)


def read_image(file: str, data: memoryview, check: bool) -> Iterator[tuple[str, Any]]:
    """The entries of an image (section 5); one that is damaged, or a damaged block, does not touch its neighbours."""
    fixed = Cursor(data[:256]).take(256)
    _, major, minor, header, length, n, b, block, *layout, root, xxh, zero = struct.unpack("<8sHHIQQII7Q32s16s112s", fixed)
    table, index, prov, prov_length, blocks, m, first = layout
    need(major == 1, "not understood: another major version")
    need(same_xxh(fixed[:128] + bytes(16) + fixed[144:], xxh), "XXH128 of the header differs")
    need((header, length, block, zero) == (256, len(data), 65536, bytes(112)), "a wrong header")
    need(n < 1 << 31 and b == max(n - 1, 0).bit_length() and prov_length <= LIMIT, "a wrong header")
    end = 256 + 4 * (2**b + 1)
    wanted = [256, padded(end), padded(end) + 128 * n, prov_length, padded(prov + prov_length), -((256 - blocks) // block)]
    need(layout == [*wanted, padded(blocks + 48 * m)] and first <= length, "a wrong layout")
    bad, sums = set(), b""
    for i, (sha, xxh) in enumerate(struct.iter_unpack("<32s16s", data[blocks : blocks + 48 * m])):
        part, sums = data[256 + i * block : min(256 + (i + 1) * block, blocks)], sums + sha
        if sha256(part).digest() != sha or not same_xxh(part, xxh):
            bad.add(i)
            yield file, f"block {i} is damaged"
    need(sha256(fixed[:96] + bytes(48) + fixed[144:] + sums).digest() == root, "the root differs")
    gaps = [data[blocks + 48 * m : first], data[end:index], data[prov + prov_length : blocks]][: 1 if bad else 3]
    need(not any(map(any, gaps)), "padding that is not zero")
    text_map(bytes(data[prov : prov + prov_length]) if prov_length and not bad else b"\x0e\0\0\0\0", str)
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
        yield read_entry(file, data[where:at], check, ((group, check and not minor), key, identity, bits, *rest))
    need(bad or at == length, "bytes behind the last entry")
    need(bad or list(struct.unpack_from(f"<{2**b + 1}I", data, table)) == list(accumulate(counts)), "a wrong bucket table")


def read_path(path: Path, check: bool, store: bool = False) -> Iterator[tuple[str, Any]]:
    """Where, and an entry or what is wrong: of an image, of a core with what follows it, or of all files of a store."""
    try:
        if path.is_dir():
            for file in sorted(path.glob("v1/??/*")):
                if re.fullmatch(r"([0-9a-f]{2})/\1[0-9a-f]{62}\.[0-9a-f]", f"{file.parent.name}/{file.name}"):
                    yield from read_path(file, check, store=True)
        elif (data := memoryview(path.read_bytes()))[:8] == b"\x89SGI\r\n\x1a\n" and not store:
            yield from read_image(str(path), data, check)
        else:
            length = int.from_bytes(data[16:24], "little")  # where it is wrong, read_core says so
            yield read_entry(str(path), data[:length], check, (), bytes(data[length:]), path.name[:64] if store else "")
    except (ValueError, OSError) as error:
        yield str(path), str(error)


def main(arguments: list[str]) -> int:
    options, paths = {a for a in arguments if a[:2] == "--"}, [Path(a) for a in arguments if a[:2] != "--"]
    if not paths or options - {"--check", "--json"}:
        print(__doc__, file=sys.stderr)
        return 2
    found = [result for path in paths for result in read_path(path, "--check" in options)]
    wrong = [result for result in found if isinstance(result[1], str)]
    for e in (entries := sorted((e for _, e in found if isinstance(e, dict)), key=lambda e: (e["key"], e["identity"]))):
        bits = [i for i in range(256) if e["bits"][i // 8] >> i % 8 & 1]
        e |= {"key": e["key"].hex(), "identity": e["identity"].hex(), "bits": bits, "group_raw": None}
        if "--json" not in options:
            processor = [e["arch"], e["abi"], ("", "scanned", "declared", "assumed")[e["provenance"]], *bits, *e["extra"]]
            print(e["key"], e["identity"], *map(json.dumps, (e["group"], processor, e["parts"])))
    if "--json" in options:
        print(json.dumps({"entries": entries, "wrong": wrong, "not_done": sorted(NOT_DONE)}, indent=1, default=bytes.hex))
    for where, what in wrong + [("not done", what) for what in sorted(NOT_DONE)]:
        print(f"{where!r}: {what}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
