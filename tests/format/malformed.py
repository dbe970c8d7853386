"""Files for comparing readers: unusual ones that are right, and malformed ones.

A file is a pair of a name and its bytes. Malformed ones come in two kinds: `forged_*` break one rule each with every digest in
place, so that nothing but the rule can refuse them; `damaged_*` flip or cut bytes at random places, with the digests above the
damage taken anew or left as they were.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from hashlib import sha256

import writer as w
from golden import DEPENDENCIES, FULL_ROW, REQUIREMENTS, SHA, feature_set, full, some, variant
from writer import Core, Image, Row

Named = tuple[str, bytes]

# Entries


def of(requirements: list = [], dependencies: list = [], ordered: bool = True, **named: object) -> bytes:  # noqa: B006
    return bytes(w.core(requirements=w.records(*requirements, ordered=ordered), dependencies=w.records(*dependencies), **named))


def rare_entries() -> Iterator[Named]:
    """Unusual, and right."""
    yield "part of one byte", of(parts={"x": b"\1"})
    yield "longest name", of(parts={"n" * 47: b"a"})
    yield "name of a lone surrogate", of(parts={"\ud800": b"a"})
    yield "name with C1 and space", of(parts={" \x80": b"a"})
    yield "253 parts", of(parts={f"p{i:03d}": b"" for i in range(253)})
    yield "dependency on an entry", of(dependencies=[(0x8005, (("a", "b", "c"), bytes(32)))])
    yield "unknown skippable requirement", of([(0x0077, None)])
    yield "unknown skippable dependency", of(dependencies=[(0x7FFF, ())])
    yield "two unknown of one kind", of([(0x0077, None), (0x0077, 1)])
    yield "unknown section with a name", of(more=[Row(0x0123, b"x", b"named"), Row(0x0123, b"", b"other")])
    yield "another architecture", of([(0x8001, ("riscv64", "linux-musl"))])
    yield "no features", of([(0x8002, (3, bytes(32), ()))])
    yield "no symbols", of([(0x8003, ())])
    yield "odd texts", of([(0x8003, ("", "\0", "\ud800", "\U0001f3fa"))])
    yield "largest file", of(dependencies=[(0x8001, ("", "a", 2**63 - 1, w.digest("file", SHA)))])
    yield "path with odd components", of(dependencies=[(0x8001, ("r", "a/.../ b\n", 0, w.digest("file", SHA)))])
    yield "options of any kind", bytes(w.core(w.recipe_of({"options": 1, "source": None, "compiler": (), "adapter": ("", -(2**63))})))
    yield "recipe with 64 characters", bytes(w.core(w.recipe(**{"a" * 64: 1, ".-_0": 2})))
    yield "later minor version", bytes(edited(w.core(), minor=7))
    yield "nesting at the limit", bytes(w.core(w.recipe(w.Encoded(b"\x09\1\0\0\0" * 127 + b"\x09\0\0\0\0"))))
    yield "empty group", of(group=("", "", ""))


def edited(core: Core, **attributes: object) -> Core:
    core.edit = lambda c: [setattr(c, name, value) for name, value in attributes.items()] and None
    return core


def with_row(core: Core, index: int, **attributes: object) -> bytes:
    core.edit = lambda c: [setattr(c.rows[index], name, value) for name, value in attributes.items()] and None
    return bytes(core)


def forged_entries() -> Iterator[Named]:
    """One rule broken each."""
    core = bytes(full())
    yield "magic", bytes(edited(full(), magic=b"\x89SGE\r\n\x1a\0"))
    yield "newer major version", bytes(edited(full(), major=2))
    yield "major version 0", bytes(edited(full(), major=0))
    yield "zero at 24", bytes(edited(full(), zero=b"\0" * 7 + b"\1"))
    yield "zero at 112", bytes(edited(full(), zero2=b"\1" + b"\0" * 15))
    yield "wrong identity", bytes(edited(full(), identity=bytes(32)))
    yield "wrong XXH128 of the head", bytes(edited(full(), xxh=bytes(16)))
    yield "wrong key", bytes(edited(full(), key=bytes(32)))
    yield "size too small", bytes(edited(full(), size=len(core) - 64))
    yield "size not a multiple of 64", bytes(edited(full(), size=len(core) - 1))
    yield "size beyond the file", bytes(edited(full(), size=len(core) + 64))
    yield "huge size", bytes(edited(full(), size=2**64 - 64))
    yield "no sections", bytes(Core([], key=bytes(32)))
    yield "257 sections", of(parts={f"p{i:03d}": b"" for i in range(254)})
    for kind in (0x8001, 0x8003, 0x8004):
        yield f"no section {kind:#x}", bytes(Core([row for row in full().rows if row.kind != kind], key=core[32:64]))
    for i, row in enumerate(full().rows):
        yield f"must-understand bit of section {i}", with_row(full(), i, kind=row.kind ^ 0x8000)
    yield "rows out of order", bytes(Core([full().rows[i] for i in (1, 0, 2, 3, 4, 5, 6)]))
    yield "parts out of order", bytes(Core([full().rows[i] for i in (0, 1, 2, 3, 5, 4, 6)]))
    yield "two recipes", bytes(Core([full().rows[0], *full().rows]))
    yield "two parts of a name", of(more=[Row(5, b"a", b"x"), Row(5, b"b", b"x")])
    yield "unknown section of 4 GiB", with_row(w.core(more=[Row(0x0123, b"x")]), 3, codec=1, raw_length=2**32)
    yield "unknown section of codec 2", with_row(w.core(more=[Row(0x0123, b"x")]), 3, codec=2)
    yield "unknown section that is no frame", of(more=[Row(0x0123, b"abc", codec=1, stored=b"garbage")])
    yield "an image as a store file", bytes(some())
    yield "must-understand section", of(more=[Row(0x8123, b"x")])
    yield "section 0", of(more=[Row(0x0000, b"x")])
    yield "section 0 to be understood", of(more=[Row(0x8000, b"x")])
    yield "part without a name", of(more=[Row(5, b"x")])
    yield "recipe with a name", with_row(full(), 0, name=b"x")
    for name in (b"a\n", b"\x1f", b"\x7f", b"a\0b", b"\xff", b"\xc0\x80", b"x" * 48, b"\xf4\x90\x80\x80"):
        yield f"name {name!r}", of(more=[Row(5, b"x", name)])
    yield "unknown section with a control character", of(more=[Row(0x0123, b"x", b"\n")])
    yield "codec 2", with_row(full(), 6, codec=2)
    yield "zero in a row", with_row(full(), 4, zero=b"\0\0\0\0\1")
    yield "offset too large", with_row(full(), 6, offset=full_row(6).offset + 64)
    yield "offset too small", with_row(full(), 6, offset=full_row(6).offset - 64)
    yield "offset in the head", with_row(full(), 0, offset=0)
    yield "offset of an empty part", with_row(full(), 4, offset=0)
    yield "huge offset", with_row(full(), 6, offset=2**64 - 64)
    yield "stored length beyond the end", with_row(full(), 6, stored_length=6000, raw_length=6000)
    yield "huge length", with_row(full(), 6, stored_length=2**64 - 1, raw_length=2**64 - 1)
    yield "raw length differs", with_row(full(), 6, raw_length=4999)
    yield "raw part of 4 GiB", with_row(full(), 6, codec=1, raw_length=2**32)
    yield "length one less", with_row(full(), 6, stored_length=4999, raw_length=4999)
    yield "wrong SHA-256", with_row(full(), 6, sha=bytes(32))
    yield "wrong XXH128", with_row(full(), 6, xxh=bytes(16))
    yield "wrong SHA-256 of an empty part", with_row(full(), 4, sha=bytes(32))
    yield "wrong XXH128 of an empty part", with_row(full(), 4, xxh=bytes(16))
    for at, name in ((-1, "end"), (-(5000 % 64), "middle")):
        padding = full()
        padding.edit = lambda c, at=at: c.data.__setitem__(at, 1)
        yield f"padding at the {name}", bytes(padding)
    longer = full()
    longer.edit = lambda c: (c.data.extend(bytes(64)), setattr(c, "size", c.size + 64))[0]
    yield "64 bytes more", bytes(longer)
    yield from forged_contents()


def full_row(index: int) -> Row:
    core = full()
    bytes(core)
    return core.rows[index]


def forged_contents() -> Iterator[Named]:
    """Sections that break a rule."""
    good = {"adapter": ("a", 1), "compiler": "c", "source": "s", "options": {}}
    for name in good:
        yield f"recipe without {name}", bytes(w.core(w.recipe_of({k: v for k, v in good.items() if k != name})))
    for name in ("", "A", "a b", "a\n", "é", "a" * 65):
        yield f"recipe with the name {name!r}", bytes(w.core(w.recipe_of({**good, name: 1})))
    for adapter in ("a", ("a",), ("a", "1"), ("a", True), (1, 1), ["a", 1], ("a", 1, 1)):
        yield f"adapter {adapter!r}", bytes(w.core(w.recipe_of({**good, "adapter": adapter})))
    raw = w.recipe_of(good)
    twice = raw.replace(w.u32(4), w.u32(5), 1) + w.text("source") + w.encode("s")
    for name, data in (
        ("magic", b"X" + raw[1:]), ("version 2", raw[:8] + b"\2" + raw[9:]), ("version 0", raw[:8] + b"\0" + raw[9:]), ("reserved", raw[:10] + b"\1" + raw[11:]),
        ("field twice", twice), ("byte behind", raw + b"\0"), ("cut off", raw[:-1]), ("empty", b""), ("head only", raw[:16]),
    ):  # fmt: skip
        yield f"recipe: {name}", bytes(w.core(data))
    yield "recipe with a set out of order", bytes(w.core(w.recipe(w.Encoded(b"\x0b\2\0\0\0\x02\x01"))))
    yield "recipe too deep", bytes(w.core(w.recipe(w.Encoded(b"\x09\1\0\0\0" * 128 + b"\x09\0\0\0\0"))))
    for group in (("a", "b"), ["a", "b", "c"], ("a", "b", "c", "d"), ("a", "b", 1), "a", None):
        yield f"group {group!r}", bytes(w.core(more=[Row(2, w.encode(group))]))
    yield from forged_values()
    yield "group with a byte behind", bytes(w.core(more=[Row(2, w.encode(("a", "b", "c")) + b"\0")]))
    yield "group of no bytes", bytes(w.core(more=[Row(2, b"")]))
    yield "requirements of no bytes", bytes(w.core(requirements=b""))
    yield "dependencies of no bytes", bytes(w.core(dependencies=b""))
    yield "a record more counted", bytes(w.core(requirements=w.u32(1)))
    yield "a huge count", bytes(w.core(requirements=w.u32(2**32 - 1)))
    yield "bytes behind the records", bytes(w.core(requirements=w.records(*REQUIREMENTS) + b"\0"))
    yield "a record less counted", bytes(w.core(dependencies=w.u32(3) + w.records(*DEPENDENCIES)[4:]))
    yield "zero in a record", bytes(w.core(requirements=w.u32(1) + struct.pack("<HHI", 0x8003, 1, 5) + w.encode(())))
    yield "record too long", bytes(w.core(requirements=w.u32(1) + struct.pack("<HHI", 0x8003, 0, 6) + w.encode(()) + b"\0"))
    yield "record cut off", bytes(w.core(requirements=w.u32(1) + struct.pack("<HHI", 0x8003, 0, 6) + w.encode(())))
    yield "records out of order", of(REQUIREMENTS[::-1], ordered=False)
    yield "equal records", of([REQUIREMENTS[3]] * 2)
    for i, kind in ((0, 1), (1, 2), (2, 3), (3, 4)):
        yield f"requirement {kind} without its bit", of([(kind, REQUIREMENTS[i][1])])
        yield f"dependency {kind} without its bit", of(dependencies=[(kind, DEPENDENCIES[i][1])])
    yield "requirement to be understood", of([(0x8006, None)])
    yield "dependency to be understood", of(dependencies=[(0x8006, None)])
    for name, payload in (("no value", b"\xff"), ("nothing", b""), ("too deep", b"\x09\1\0\0\0" * 128 + b"\x09\0\0\0\0")):
        yield f"skipped requirement: {name}", of([(0x0077, w.Encoded(payload))])
        yield f"skipped dependency: {name}", of(dependencies=[(0x0077, w.Encoded(payload))])
    yield "requirement 0", of([(0, None)])
    yield "dependency 0", of(dependencies=[(0x8000, None)])
    yield "two architectures", of([(0x8001, ("any", "any")), (0x8001, ("x86_64", "any"))])
    yield "two feature sets", of([(0x8002, (1, bytes(32), ())), (0x8002, (2, bytes(32), ()))])
    yield "two sets of symbols", of([(0x8003, ("a",)), (0x8003, ("b",))])
    digest, other = w.digest("file", SHA), w.digest("value", SHA)
    for number, payloads in {
        1: [None, "any", ("any",), ("any", 1), ["any", "any"], ("any", "any", "any")],
        2: [None, (2, bytes(32)), (0, bytes(32), ()), (4, bytes(32), ()), (True, bytes(32), ()), (1.0, bytes(32), ()), (2, bytes(31), ()),
            (2, bytes(33), ()), (2, "a" * 32, ()), (2, bytes(32), []), (2, bytes(32), ("b", "a")), (2, bytes(32), ("a", "a")), (2, bytes(32), (1,)),
            (2**70, bytes(32), ()), (-1, bytes(32), ())],
        3: [None, "a", ["a"], ("b", "a"), ("a", "a"), (1,), ("aa", "a"), ("\U0001f3fa", "\ud800")],
        4: [None, ("a",), ("a", 1), ("a", "b", "c")],
        5: [None, ("a", ()), ("a", (), 2), ("a", (), True), (1, (), 1), ("a", ("b", "a"), 1), ("a", (1,), 1), ("a", "b", 1)],
    }.items():  # fmt: skip
        for payload in payloads:
            yield f"requirement {number}: {payload!r}", of([(0x8000 | number, payload)])
    for number, payloads in {
        1: [None, ("r", "a", 1), ("r", "a", -1, digest), ("r", "a", True, digest), ("r", "a", 2**63, digest), ("r", "a", 1, other), ("r", "a", 1, SHA),
            (1, "a", 1, digest), ("r", "a", 1, digest, 1), *(("r", p, 1, digest) for p in ("", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b"))],
        2: [None, ("a",), ("a", 1), ["a", "b"]],
        3: [None, ("r", "n"), ("r", "n", digest), ("r", "n", SHA), (1, "n", other)],
        4: [None, ("r", "n", other)],
        5: [None, (("a", "b"), bytes(32)), (("a", "b", "c"), bytes(31)), (("a", "b", "c"), "x"), (["a", "b", "c"], bytes(32)), ("a", bytes(32))],
    }.items():  # fmt: skip
        for payload in payloads:
            yield f"dependency {number}: {payload!r}", of(dependencies=[(0x8000 | number, payload)])


def forged_values() -> Iterator[Named]:
    """Values that break a rule which only shows in a whole."""
    f8, item = w.payload("<f8", 8), struct.pack("<d", 1)
    fields = {"str": "<f8", "itemsize": 8, "align": False, "metadata": None, "fields": None, "sub": None}
    swapped = {**fields, "sub": None, "fields": None, "other": None}
    del swapped["sub"]
    values = {
        "dtype with a seventh field": b"\x10" + w.record("dtype", **fields, other=None),
        "dtype with another field": b"\x10" + w.record("dtype", **swapped),
        "dtype in another order": b"\x10" + w.record("dtype", **dict(reversed(fields.items()))),
        "dtype with two of one name": b"\x10" + w.record("dtype", **fields).replace(b"sub", b"str"),
        "dtype as a map": b"\x10" + w.encode(fields),
        "scalar that counts one less": b"\x14" + f8 + w.u32(7) + item,
        "scalar that counts one more": b"\x14" + f8 + w.u32(9) + item,
        "array that counts one less": w.array(f8, 0, 3, (1,), item).replace(struct.pack("<Q", 8) + item, struct.pack("<Q", 7) + item),
        "array with a size of 2 to the 64": w.array(f8, 0, 3, (2**61, 1), b""),
    }
    for name, value in values.items():
        yield name, bytes(w.core(w.recipe(w.Encoded(value))))
    yield "value above the limit", bytes(w.core(w.recipe(bytes(16 << 20))))
    yield "group above the limit", bytes(w.core(group=("a", "b", "c" * (16 << 20))))


def damaged_entries(count: int) -> Iterator[Named]:
    """Flips and cuts; in the head, and in sections whose digests are then taken anew."""
    dice, core = random.Random(1), bytes(full())
    for i in range(count):
        at, bit = dice.randrange(len(core)), 1 << dice.randrange(8)
        yield f"bit flipped at {at}", core[:at] + bytes([core[at] ^ bit]) + core[at + 1 :]
        yield f"cut at {at}", core[:at]
        row = dice.randrange(7)
        sealed, noise = full(), dice.getrandbits(32)
        raw = bytearray(sealed.rows[row].raw)
        for _ in range(dice.randrange(1, 3)):
            if raw:
                raw[dice.randrange(len(raw))] = dice.choice([0, 1, 2, 3, 5, 8, 9, 10, 14, 127, 255, dice.randrange(256)])
        sealed.rows[row].raw = bytes(raw)
        yield f"section {row} changed, {i}", bytes(sealed)
        head = full()

        def change(c: Core, noise: int = noise) -> None:
            one, inner = c.rows[noise % 7], random.Random(noise)
            name = inner.choice(["kind", "codec", "offset", "stored_length", "raw_length", "count", "size"])
            target = c if name in ("count", "size") else one
            setattr(target, name, (getattr(target, name) ^ 1 << inner.randrange(8 if name == "codec" else 16)))

        head.edit = change
        yield f"head changed, {noise:#x}", bytes(head)


def zstd(data: bytes, *options: str, stream: bool = False) -> bytes:
    """A frame; of a stream the size is not known beforehand, and not stated."""
    if stream:
        return subprocess.run(["zstd", "-cq", *options], input=data, capture_output=True, check=True).stdout
    return zstd(data, f"--stream-size={len(data)}", *options, stream=True)


def compressed(stored: bytes, raw: bytes) -> bytes:
    return of(more=[Row(5, raw, b"object", codec=1, stored=stored)])


def rare_compressed() -> Iterator[Named]:
    if not shutil.which("zstd"):
        return
    raw = b"abc" * 1000
    yield "frame", compressed(zstd(raw), raw)
    yield "frame without a checksum", compressed(zstd(raw, "--no-check"), raw)
    yield "frame of level 19", compressed(zstd(raw, "-19"), raw)
    yield "long window", compressed(zstd(bytes(1 << 20), "--long=27"), bytes(1 << 20))
    yield "frame of nothing", compressed(zstd(b""), b"")
    yield from ((f"section {i} compressed", with_compressed(i)) for i in range(7))


def with_compressed(i: int) -> bytes:
    core = full()
    core.rows[i].codec, core.rows[i].stored = 1, zstd(core.rows[i].raw)
    return bytes(core)


def forged_compressed() -> Iterator[Named]:
    if not shutil.which("zstd"):
        return
    raw = b"abc" * 1000
    frame, skippable = zstd(raw), b"\x50\x2a\x4d\x18\4\0\0\0abcd"
    yield "size not stated", compressed(zstd(raw, stream=True), raw)
    yield "two frames", compressed(zstd(raw[:1500]) + zstd(raw[1500:]), raw)
    yield "an empty frame behind", compressed(frame + zstd(b""), raw)
    yield "a skippable frame behind", compressed(frame + skippable, raw)
    yield "a skippable frame before", compressed(skippable + frame, raw)
    yield "a byte behind", compressed(frame + b"\0", raw)
    yield "cut off", compressed(frame[:-1], raw)
    yield "wrong checksum", compressed(frame[:-1] + bytes([frame[-1] ^ 1]), raw)
    yield "no bytes", compressed(b"", b"")
    yield "no bytes for some", compressed(b"", raw)
    yield "other content", compressed(zstd(b"abd" * 1000), raw)
    yield "other size", compressed(zstd(raw + b"a"), raw)
    yield "no frame", compressed(raw, raw)
    core = w.core(requirements=bytes(17 << 20))
    core.rows[1].codec, core.rows[1].stored = 1, zstd(bytes(17 << 20))
    yield "requirements above the limit", bytes(core)


# Images


def changed(image: Image, position: int, value: int) -> bytes:
    image.edit = lambda im: im.header.__setitem__(position, value)
    return bytes(image)


HEADER = ("major", "minor", "header", "file", "n", "b", "block", "table", "index", "provenance", "its length", "blocks", "m", "first")


def rare_images() -> Iterator[Named]:
    yield "one entry", bytes(Image([variant(0)]))
    yield "two entries", bytes(Image([variant(0), variant(1)]))
    yield "later minor version", changed(some(), 1, 9)
    yield "empty provenance map", bytes(Image([variant(0)], provenance=w.encode({})))
    yield "provenance alone", bytes(Image([], provenance=w.encode({"b": "", "a": "x" * 70000})))
    if shutil.which("zstd"):
        core = with_compressed(6)
        yield "compressed, minor version 1", changed(Image([(core, w.index_row(core, **FULL_ROW))]), 1, 1)
    odd = of([(0x8001, ("riscv64", "any")), (0x8002, (3, bytes(32), ("x",)))], [(0x0077, None)], group=("", "", ""))
    yield "odd entry", bytes(Image([(odd, w.index_row(odd, group=("", "", ""), arch=255, provenance=3, flags=3))]))


def cross(image: Image) -> None:
    """Puts the first two of three entries, of one size, in each other's place, and says so in the index."""
    one, two = sorted((row for _, row in image.entries), key=lambda row: (row.key, row.identity))[:2]
    at = image.header[8] - 256 + 96
    struct.pack_into("<Q", image.front, at, two.offset)
    struct.pack_into("<Q", image.front, at + 128, one.offset)
    image.body[:2] = reversed(image.body[:2])


def forged_images() -> Iterator[Named]:
    if shutil.which("zstd"):
        core = with_compressed(6)
        yield "compressed, minor version 0", bytes(Image([(core, w.index_row(core, **FULL_ROW))]))
    unknown = of(more=[Row(0x8123, b"x")])
    yield "an entry with a must-understand section", bytes(Image([(unknown, w.index_row(unknown))]))
    skipped = of(dependencies=[(0x0077, None)])
    yield "a skipped dependency that the flags deny", bytes(Image([(skipped, w.index_row(skipped))]))
    twice = w.Encoded(b"\x0e" + w.u32(2) + (w.encode("a") + w.encode("b")) * 2)
    yield "provenance with one name twice", bytes(Image([variant(0)], provenance=twice))
    yield "provenance above the limit", bytes(Image([variant(0)], provenance=w.encode({"a": "x" * (16 << 20)})))
    yield "major version 0", changed(some(), 0, 0)
    for i, name in enumerate(HEADER):
        for value in ({2, 65535} if i == 0 else set() if i == 1 else {0, 1, 64, 2**31 - 1, 2**32 - 1}):
            image = some()
            bytes(image)
            for forged in {value, image.header[i] + value if value <= 64 else value} - {image.header[i]}:
                if forged < 2 ** (16 if i < 2 else 32 if i in (2, 5, 6) else 64):
                    yield f"{name} {forged}", changed(some(), i, forged)
    for name in ("file", "n", "index", "provenance", "its length", "blocks", "m", "first"):
        yield f"huge {name}", changed(some(), HEADER.index(name), 2**64 - 64)
    zero = some()
    zero.zero = b"\1" + bytes(111)
    yield "zero in the header", bytes(zero)
    tail = some()
    tail.trailing = bytes(64)
    yield "64 bytes more", bytes(tail)
    tail = some()
    tail.trailing = bytes(64)
    tail.edit = lambda im: im.header.__setitem__(3, im.header[3] + 64)
    yield "64 bytes more that the header counts", bytes(tail)
    gap = some()
    gap.after_blocks = b"\1" + bytes(15)
    yield "padding behind the block list", bytes(gap)
    for name, where in (("bucket table", -1), ("provenance", None)):
        padding = some()
        padding.edit = lambda im, where=where: im.front.__setitem__(im.header[8] - 257 if where else -1, 1)
        yield f"padding behind the {name}", bytes(padding)
    for i in range(5):
        for by in (1, 255):
            table = some()
            table.edit = lambda im, i=i, by=by: im.front.__setitem__(4 * i, (im.front[4 * i] + by) % 256)
            yield f"bucket {i} changed by {by}", bytes(table)
    for value in ({1: 1}, {"a": 1}, {"a": None}, [("a", "b")], "a", w.unordered({"a": "b"})):
        yield f"provenance {value!r}", bytes(Image([variant(0)], provenance=w.encode(value)))
    yield "provenance with a byte behind", bytes(Image([variant(0)], provenance=w.encode({}) + b"\0"))
    yield "root", bytes(Image([variant(0)], root=bytes(32)))
    yield "XXH128 of the header", bytes(Image([variant(0)], xxh=bytes(16)))
    yield "one bucket bit more", bytes(Image([variant(0)], more_bits=1))
    yield "one bucket bit more than for three", bytes(Image([variant(0), variant(1), variant(2)], more_bits=1))
    twice = Image([variant(0), variant(0)])
    yield "an entry twice", bytes(twice)
    order = Image([variant(0), variant(1)][:: 1 if variant(0)[1].identity > variant(1)[1].identity else -1], sort=False)
    yield "entries out of order", bytes(order)
    for name, value in {
        "key": bytes(32), "identity": bytes(32), "features": feature_set(1), "size": 64, "group": 1, "arch": 2, "provenance": 2, "flags": 1, "zero": b"\1\0\0\0\0",
    }.items():  # fmt: skip
        data, row = variant(0)
        setattr(row, name, value)
        yield f"index row with another {name}", bytes(Image([(data, row)]))
    for flags in (2, 4):
        data, row = variant(0)
        row.flags = flags
        yield f"index row with flags {flags}", bytes(Image([(data, row)]))
    for by in (64, -64, 1, 2**40):
        away = Image([variant(0), variant(1)])
        away.edit = lambda im, by=by: struct.pack_into("<Q", im.front, 64 + 96, im.entries[0][1].offset + by)
        yield f"offset of an entry by {by}", bytes(away)
    data, row = variant(0)
    bad = bytes(edited(full(), identity=bytes(32)))
    yield "a bad entry beside a good one", bytes(Image([(data, row), (bad, w.index_row(bad, **FULL_ROW))]))
    crossed = Image([variant(0), variant(1), variant(2)])
    crossed.edit = cross
    yield "entries in another order than the index", bytes(crossed)
    with_annex = data + w.annex(by="x")
    yield "an annex", bytes(Image([(with_annex, w.index_row(data, group=("cc", "module", "variants"), features=feature_set(0), arch=1, provenance=1))]))


def damaged_images(count: int) -> Iterator[Named]:
    dice, image = random.Random(2), bytes(some())
    front = len(some().provenance)
    for i in range(count):
        at, bit = dice.randrange(len(image)), 1 << dice.randrange(8)
        yield f"bit flipped at {at}", image[:at] + bytes([image[at] ^ bit]) + image[at + 1 :]
        yield f"cut at {at}", image[:at]
        sealed, place = some(), dice.randrange(64 + 4 * 128 + front)
        sealed.edit = lambda im, place=place, bit=bit: im.front.__setitem__(place, im.front[place] ^ bit)
        yield f"front changed at {place}, {bit}", bytes(sealed)


def key_of(core: bytes) -> str:
    """The name that a store gives to this file, from what its header says."""
    return core[32:64].hex() if len(core) >= 64 else sha256(core).hexdigest()
