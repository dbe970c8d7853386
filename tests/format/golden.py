"""The golden files as tests/golden/make_golden.c describes them, made by the writer."""

from __future__ import annotations

import struct

import tree
import writer as w
from writer import Core, Image, Row

SHA = bytes.fromhex("00112233445566778899aabbccddeeff") + bytes(range(1, 17))


def feature_set(*bits: int) -> bytes:
    return sum(1 << bit for bit in bits).to_bytes(32, "little")


def every_value() -> dict[str, w.Encoded]:
    numbers = [300, 299, 298, 297]
    pairs = {300: 299, 298: 297}
    amphora = "\U0001f3fa\ud800"
    scalars = [None, False, True, -1, -(2**64), -0.0, complex(1.5, -2), b"\0\xff", amphora, w.digest("file", SHA), w.back(0)]
    containers = (numbers, tuple(numbers), set(numbers), frozenset(numbers), w.unordered(pairs), pairs, w.record("point", y=2, x=1))
    array = w.array(w.payload("<i2", 2), 1, 3, (2, 2), struct.pack("<4h", 1, 2, 3, 4))
    arrays = (w.dtype(">f8", 8), array, w.scalar(w.payload("|b1", 1), b"\1"))
    return {"scalars": w.encode(scalars), "containers": w.encode(containers), "arrays": w.encode(arrays)}


FULL_ROW = {"group": ("cc", "module", "f.<locals>.g"), "features": feature_set(0, 63, 232), "arch": 2, "provenance": 2, "flags": 3}
REQUIREMENTS = [
    (0x8001, ("aarch64", "linux-gnu")),
    (0x8002, (2, feature_set(0, 63, 232), ("aa-new", "zz-new"))),
    (0x8003, ("exit", "puts")),
    (0x8004, ("GLIBC", "2.34")),
    (0x8004, ("GLIBCXX", "3.4.30")),
]
DEPENDENCIES = [
    (0x8001, ("site-packages", "a/b.py", 123, w.digest("file", SHA))),
    (0x8002, ("numpy", "2.3.4")),
    (0x8003, ("cc", "module.LIMIT", w.digest("value", SHA))),
    (0x8004, ("cc", "module.callee", w.digest("code", SHA))),
]


def full() -> Core:
    """Every section and every record, except the dependency on an entry."""
    return w.core(
        w.recipe("int f(void);", **every_value()), group=FULL_ROW["group"], requirements=w.records(*REQUIREMENTS),
        dependencies=w.records(*DEPENDENCIES),
        parts={"object": bytes(i * i // 97 & 255 for i in range(5000)), "meta": b"\0", "empty": b""},
    )  # fmt: skip


def later() -> Core:
    return w.core(more=[Row(0x0123, b"later")])


def variant(*bits: int) -> tuple[bytes, w.IndexRow]:
    group, needs = ("cc", "module", "variants"), [(0x8001, ("x86_64", "linux-gnu")), (0x8002, (1, feature_set(*bits), ()))]
    data = bytes(w.core(w.recipe("variants"), group=group, requirements=w.records(*needs), parts={"object": b"code"}))
    return data, w.index_row(data, group=group, features=feature_set(*bits), arch=1, provenance=1)


def some() -> Image:
    first, second = bytes(full()), bytes(later())
    entries = [variant(0), (first, w.index_row(first, **FULL_ROW)), (second, w.index_row(second)), variant(0, 1)]
    return Image(entries, provenance=w.encode({"revision": "0123abc", "builder": "ci"}))


def many(count: int = 700) -> Image:
    entries = []
    for name in (f"function {i}" for i in range(count)):
        group = ("cc", "module", name)
        data = bytes(w.core(w.recipe(name), group=group, parts={"object": name.encode()}))
        entries.append((data, w.index_row(data, group=group)))
    return Image(entries)


NODES = [
    tree.directory(0, "lib"),
    tree.file(1, "code.so", b"not an object", executable=True),
    tree.link(1, "code.so.1", "code.so"),
    tree.directory(1, "empty"),
    tree.file(1, "none", b""),
    tree.link(1, "up", "../run"),
    tree.file(0, "lib-x", b"between"),
    tree.file(0, "run", b"#!", executable=True),
]


def with_tree() -> Core:
    needs = [(0x8005, ("libx.so.1", ("A_1", "B_2"), 1)), (0x8005, ("liby.so", (), 0))]
    return w.core(w.recipe("tree"), requirements=w.records(*needs), parts={"tree": tree.pack(NODES)})


GOLDEN = {
    "empty.saggar": lambda: Image([]),
    "full.entry": full,
    "later-minor.entry": later,
    "many.saggar": many,
    "smallest.entry": w.core,
    "some.saggar": some,
    "tree.entry": with_tree,
}
