#!/usr/bin/env python3
"""Writes values.tsv, the vectors of canonical values (docs/FORMAT.md section 2).

    make_values.py > values.tsv

Columns: name, Python expression, hexadecimal bytes, what a reader says: `ok`, `ECORRUPT` or `ELIMIT`. The expression is `-`
where Python has no such value or the bytes are damaged. It may use `np` (numpy) and `saggar` (Record, Map, Digest). The
encoder below was written from the document alone and shares nothing with the library, which is tested against its output.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

NONE, FALSE, TRUE = b"\x00", b"\x01", b"\x02"


def u32(n: int) -> bytes:
    return struct.pack("<I", n)


def u64(n: int) -> bytes:
    return struct.pack("<Q", n)


def integer(n: int) -> bytes:
    return b"\x03" + struct.pack("<q", n)


def big(n: int) -> bytes:
    magnitude = abs(n).to_bytes((abs(n).bit_length() + 7) // 8, "little")
    return b"\x04" + bytes([n < 0]) + u32(len(magnitude)) + magnitude


def real(x: float) -> bytes:
    return b"\x05" + struct.pack("<d", x)


def bits(word: int) -> bytes:
    return b"\x05" + u64(word)


def blob(b: bytes) -> bytes:
    return b"\x07" + u32(len(b)) + b


def raw_text(s: str) -> bytes:
    b = s.encode("utf-8", "surrogatepass")
    return u32(len(b)) + b


def text(s: str) -> bytes:
    return b"\x08" + raw_text(s)


def seq(tag: int, *members: bytes) -> bytes:
    return bytes([tag]) + u32(len(members)) + b"".join(members)


def pairs(tag: int, *members: bytes) -> bytes:
    return bytes([tag]) + u32(len(members) // 2) + b"".join(members)


def listed(*m: bytes) -> bytes:
    return seq(0x09, *m)


def tup(*m: bytes) -> bytes:
    return seq(0x0A, *m)


def record(type_name: str, *fields: tuple[str, bytes]) -> bytes:
    return b"\x0f" + raw_text(type_name) + u32(len(fields)) + b"".join(raw_text(n) + v for n, v in fields)


def digest(what: str, sha: bytes) -> bytes:
    return b"\x12" + raw_text(what) + sha


def back(level: int) -> bytes:
    return b"\x13" + u32(level)


def payload(
    str_: str, itemsize: int, align: bool = False, metadata: bytes = NONE, fields: bytes = NONE, sub: bytes = NONE
) -> bytes:
    return record(
        "dtype",
        ("str", text(str_)),
        ("itemsize", integer(itemsize)),
        ("align", TRUE if align else FALSE),
        ("metadata", metadata),
        ("fields", fields),
        ("sub", sub),
    )


def dtype(*args: object, **kw: object) -> bytes:
    return b"\x10" + payload(*args, **kw)  # type: ignore[arg-type]


def array(pay: bytes, order: int, flags: int, extents: Iterable[int], items: bytes) -> bytes:
    e = list(extents)
    return b"\x11" + pay + bytes([order, flags]) + u32(len(e)) + b"".join(map(u64, e)) + u64(len(items)) + items


def scalar(pay: bytes, items: bytes) -> bytes:
    return b"\x14" + pay + u32(len(items)) + items


def nested(n: int) -> bytes:
    return b"\x09\x01\x00\x00\x00" * (n - 1) + b"\x09\x00\x00\x00\x00"


def good() -> Iterable[tuple[str, str, bytes]]:
    yield "none", "None", NONE
    yield "false", "False", FALSE
    yield "true", "True", TRUE
    for n in (0, 1, -1, 255, -256, 2**31, 2**63 - 1, -(2**63)):
        yield f"int {n}", str(n), integer(n)
    for n in (2**63, -(2**63) - 1, 2**64, -(2**64), 2**64 - 1, 10**40, -(10**40)):
        yield f"int {n}", str(n), big(n)
    yield "zero", "0.0", real(0.0)
    yield "negative zero", "-0.0", real(-0.0)
    yield "one", "1.0", real(1.0)
    yield "infinity", "float('inf')", real(float("inf"))
    yield "negative infinity", "float('-inf')", real(float("-inf"))
    yield "smallest float", "5e-324", real(5e-324)
    for word in (0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8DEADBEEF0001, 0x7FF0000000000001):
        yield f"nan {word:x}", f"__import__('struct').unpack('<d', ({word}).to_bytes(8, 'little'))[0]", bits(word)
    yield "complex", "complex(1.5, -0.0)", b"\x06" + struct.pack("<dd", 1.5, -0.0)
    yield "bytes", "b'\\x00\\xff'", blob(b"\0\xff")
    yield "empty bytes", "b''", blob(b"")
    yield "empty text", "''", text("")
    yield "text", "'saggar'", text("saggar")
    yield "text of every length", "'a\\u00e9\\u20ac\\U0001f600'", text("a\u00e9\u20ac\U0001f600")
    yield "last code point", "'\\U0010ffff'", text("\U0010ffff")
    yield "zero byte in text", "'a\\0b'", text("a\0b")
    yield "lone surrogate", "'\\ud800'", text("\ud800")
    yield "last surrogate", "'x\\udfff'", text("x\udfff")
    yield "surrogate pair is two", "'\\ud83d\\ude00'", b"\x08" + u32(6) + b"\xed\xa0\xbd\xed\xb8\x80"
    yield "text by eights", "'12345678abcdefg\\u00e9'", text("12345678abcdefg\u00e9")
    yield "empty list", "[]", listed()
    yield "empty tuple", "()", tup()
    yield "empty set", "set()", seq(0x0B)
    yield "empty frozen set", "frozenset()", seq(0x0C)
    yield "empty dict", "{}", pairs(0x0E)
    yield "empty map", "saggar.Map({})", pairs(0x0D)
    yield "true is not 1", "[True, 1, 1.0]", listed(TRUE, integer(1), real(1.0))
    yield "list in tuple", "(1, [2, None])", tup(integer(1), listed(integer(2), NONE))
    # By encoding, not by value: the least significant byte of an integer comes first, a text's length before it.
    yield "set by encoding", "{256, 1, 2}", seq(0x0B, integer(256), integer(1), integer(2))
    yield "set by length", "{'b', 'aa', ''}", seq(0x0B, text(""), text("b"), text("aa"))
    yield "set by tag", "{'a', 1, None, b'a'}", seq(0x0B, NONE, integer(1), blob(b"a"), text("a"))
    yield "set of negatives", "{-1, 0, 1}", seq(0x0B, integer(0), integer(1), integer(-1))
    yield "prefix first", "{(1,), (1, 2)}", seq(0x0B, tup(integer(1)), tup(integer(1), integer(2)))
    yield "frozen set", "frozenset({2, 1})", seq(0x0C, integer(1), integer(2))
    twenty = [integer(i) for i in range(20)]
    yield "set of twenty", "set(range(20))", seq(0x0B, *twenty)
    yield "set of sets", "{frozenset({1}), frozenset()}", seq(0x0B, seq(0x0C), seq(0x0C, integer(1)))
    yield "map", "saggar.Map({'b': 1, 'a': 2})", pairs(0x0D, text("a"), integer(2), text("b"), integer(1))
    yield "dict keeps order", "{'b': 1, 'a': 2}", pairs(0x0E, text("b"), integer(1), text("a"), integer(2))
    yield "dict of twenty", "{i: i for i in range(19, -1, -1)}", pairs(0x0E, *[t for t in reversed(twenty) for _ in (0, 1)])
    yield "equal seconds", "{1: 'x', 2: 'x'}", pairs(0x0E, integer(1), text("x"), integer(2), text("x"))
    yield "record", "saggar.Record('p', [('y', 1), ('x', None)])", record("p", ("y", integer(1)), ("x", NONE))
    yield "empty record", "saggar.Record('', [])", record("")
    yield "record of forty", "saggar.Record('r', [(f'f{i:02d}', i) for i in range(39, -1, -1)])", record(
        "r", *[(f"f{i:02d}", integer(i)) for i in range(39, -1, -1)]
    )
    yield "digest", "saggar.Digest('file', bytes(range(32)))", digest("file", bytes(range(32)))
    yield "list in itself", "(lambda a: a.append(a) or a)([])", listed(back(0))
    yield "list in a list that holds it", "(lambda a: a.append([a, 1]) or a)([])", listed(listed(back(0), integer(1)))
    yield "inner list in itself", "[(lambda a: a.append(a) or a)([])]", listed(listed(back(1)))
    yield "dict in itself", "(lambda d: d.update(x=d) or d)({})", pairs(0x0E, text("x"), back(0))
    yield "shared is not a cycle", "(lambda a: [a, a])([])", listed(listed(), listed())
    yield "nested 128", "(lambda n, a=[]: [a := [a] for _ in range(n)][-1])(127)", nested(128)
    f8, i4 = dtype("<f8", 8), dtype("<i4", 4)
    yield "dtype f8", "np.dtype('<f8')", f8
    yield "dtype big-endian", "np.dtype('>i4')", dtype(">i4", 4)
    yield "dtype bool", "np.dtype('?')", dtype("|b1", 1)
    yield "dtype text", "np.dtype('<U3')", dtype("<U3", 12)
    point = tup(tup(text("x"), NONE, integer(0), f8), tup(text("n"), NONE, integer(8), i4))
    yield "dtype structure", "np.dtype([('x', '<f8'), ('n', '<i4')])", dtype("|V12", 12, fields=point)
    yield "dtype aligned structure", "np.dtype([('x', '<f8'), ('n', '<i4')], align=True)", dtype(
        "|V16", 16, align=True, fields=point
    )
    yield "dtype with title", "np.dtype([(('long', 'x'), '<f8')])", dtype(
        "|V8", 8, fields=tup(tup(text("x"), text("long"), integer(0), f8))
    )
    cube = dtype("|V24", 24, sub=tup(f8, tup(integer(3))))
    yield "dtype with a subarray", "np.dtype([('v', '<f8', (3,))])", dtype(
        "|V24", 24, fields=tup(tup(text("v"), NONE, integer(0), cube))
    )
    yield "dtype with metadata", "np.dtype('<f8', metadata={'unit': 'm'})", dtype(
        "<f8", 8, metadata=pairs(0x0E, text("unit"), text("m"))
    )
    items = struct.pack("<6d", *range(6))
    p8 = payload("<f8", 8)
    yield "array", "np.arange(6.0).reshape(2, 3)", array(p8, 0, 3, (2, 3), items)
    transposed = struct.pack("<6d", 0, 1, 2, 3, 4, 5)
    yield "array in Fortran order", "np.arange(6.0).reshape(2, 3).T", array(p8, 1, 3, (3, 2), transposed)
    yield "strided array", "np.arange(6.0)[::2]", array(p8, 2, 3, (3,), struct.pack("<3d", 0, 2, 4))
    yield "empty array", "np.zeros((0, 5))", array(p8, 0, 3, (0, 5), b"")
    yield "array of one item", "np.ones((1, 1))", array(p8, 0, 3, (1, 1), struct.pack("<d", 1))
    yield "array without dimensions", "np.array(2.0)", array(p8, 0, 3, (), struct.pack("<d", 2))
    yield "read-only array", "(lambda a: a.setflags(write=False) or a)(np.ones(1))", array(p8, 0, 2, (1,), struct.pack("<d", 1))
    yield "array scalar", "np.int32(7)", scalar(payload("<i4", 4), u32(7))
    yield "array scalar is no float", "np.float64(1.0)", scalar(p8, struct.pack("<d", 1))
    yield "array in a list", "[np.float64(1.0), 1.0]", listed(scalar(p8, struct.pack("<d", 1)), real(1.0))
    # Values that Python's own types do not show.
    yield "back reference out of a dtype", "-", listed(dtype("<f8", 8, metadata=pairs(0x0E, text("x"), back(0))))
    yield "dtype at the nesting limit", "-", b"\x09\x01\x00\x00\x00" * 127 + f8
    yield "title of any kind", "-", dtype("|V8", 8, fields=tup(tup(text("x"), tup(integer(1)), integer(0), f8)))


def bad() -> Iterable[tuple[str, bytes, str]]:
    yield "nothing", b"", "ECORRUPT"
    yield "unknown tag 15", b"\x15", "ECORRUPT"
    yield "unknown tag ff", b"\xff", "ECORRUPT"
    yield "byte behind the value", NONE + NONE, "ECORRUPT"
    yield "int cut off", integer(1)[:-1], "ECORRUPT"
    yield "float cut off", real(1.0)[:-1], "ECORRUPT"
    yield "complex cut off", b"\x06" + b"\0" * 15, "ECORRUPT"
    for n in (0, 1, 2**63 - 1, -(2**63), -1):
        if n == 0:
            yield "big integer of no bytes", b"\x04\x00" + u32(0), "ECORRUPT"
        yield f"big integer that fits: {n}", b"\x04" + bytes([n < 0]) + u32(8) + u64(abs(n)), "ECORRUPT"
    yield "big integer with a zero on top", b"\x04\x00" + u32(10) + b"\1" * 9 + b"\0", "ECORRUPT"
    yield "big integer with sign 2", b"\x04\x02" + u32(9) + b"\1" * 9, "ECORRUPT"
    yield "big integer cut off", big(2**64)[:-1], "ECORRUPT"
    yield "bytes cut off", blob(b"abc")[:-1], "ECORRUPT"
    yield "bytes with a huge count", b"\x07" + u32(0xFFFFFFFF), "ECORRUPT"
    yield "count cut off", b"\x07\x00\x00", "ECORRUPT"
    for name, b in (
        ("over-long 2", b"\xc0\x80"),
        ("over-long slash", b"\xc1\xaf"),
        ("over-long 3", b"\xe0\x9f\xbf"),
        ("over-long 4", b"\xf0\x8f\xbf\xbf"),
        ("above the last", b"\xf4\x90\x80\x80"),
        ("lead f5", b"\xf5\x80\x80\x80"),
        ("no continuation", b"\xe2\x82\x28"),
        ("continuation alone", b"\x80"),
        ("sequence cut off", b"\xe2\x82"),
        ("late", b"12345678\xff"),
    ):
        yield f"text: {name}", b"\x08" + u32(len(b)) + b, "ECORRUPT"
    yield "list with a member missing", b"\x09" + u32(2) + NONE, "ECORRUPT"
    yield "list with a huge count", b"\x09" + u32(0xFFFFFFFF) + NONE, "ECORRUPT"
    yield "set out of order", seq(0x0B, integer(2), integer(1)), "ECORRUPT"
    yield "set out of order by length", seq(0x0B, text("aa"), text("b")), "ECORRUPT"
    yield "set with equal members", seq(0x0B, integer(1), integer(1)), "ECORRUPT"
    yield "frozen set out of order", seq(0x0C, integer(2), integer(1)), "ECORRUPT"
    yield "map out of order", pairs(0x0D, text("b"), NONE, text("a"), NONE), "ECORRUPT"
    yield "map with equal keys", pairs(0x0D, text("a"), NONE, text("a"), TRUE), "ECORRUPT"
    yield "map with half a pair", b"\x0d" + u32(1) + text("a"), "ECORRUPT"
    yield "dict with equal keys", pairs(0x0E, text("a"), NONE, text("b"), NONE, text("a"), TRUE), "ECORRUPT"
    many = [x for i in [*range(40), 7] for x in (integer(i), NONE)]
    yield "large dict with equal keys", pairs(0x0E, *many), "ECORRUPT"
    yield "record with equal names", record("r", ("a", NONE), ("a", TRUE)), "ECORRUPT"
    yield "record with a bad name", b"\x0f" + raw_text("r") + u32(1) + u32(1) + b"\xff" + NONE, "ECORRUPT"
    yield "record with a bad type", b"\x0f" + u32(1) + b"\xff" + u32(0), "ECORRUPT"
    yield "digest cut off", digest("file", bytes(31)), "ECORRUPT"
    yield "back reference to nothing", back(0), "ECORRUPT"
    yield "back reference to itself", listed(back(1)), "ECORRUPT"
    yield "back reference to a closed list", listed(listed(), back(1)), "ECORRUPT"
    part = dtype("|V8", 8, sub=tup(dtype("<f8", 8), tup(integer(1))))
    whole = dtype("|V8", 8, fields=tup(tup(text("x"), NONE, integer(0), part)))
    yield "back reference to a closed dtype", listed(whole, back(1)), "ECORRUPT"
    yield "nested 129", nested(129), "ELIMIT"
    yield "nested 129 by a dtype", b"\x09\x01\x00\x00\x00" * 128 + dtype("<f8", 8), "ELIMIT"
    p8 = payload("<f8", 8)
    one = struct.pack("<d", 1)
    yield "dtype of a list", b"\x10" + listed(), "ECORRUPT"
    yield "dtype of another record", b"\x10" + record("type", ("str", text("<f8"))), "ECORRUPT"
    yield "dtype in native order", b"\x10" + payload("=f8", 8), "ECORRUPT"
    yield "dtype with a negative size", b"\x10" + payload("<f8", -8), "ECORRUPT"
    yield "dtype with a field missing", b"\x10" + p8.replace(u32(6), u32(5), 1), "ECORRUPT"
    yield "dtype with metadata of the wrong kind", b"\x10" + payload("<f8", 8, metadata=tup()), "ECORRUPT"
    yield "dtype with a list of fields", b"\x10" + payload("|V8", 8, fields=listed()), "ECORRUPT"
    yield "dtype with a record for a field's dtype", b"\x10" + payload(
        "|V8", 8, fields=tup(tup(text("x"), NONE, integer(0), p8))
    ), "ECORRUPT"
    yield "dtype with a negative offset", b"\x10" + payload(
        "|V8", 8, fields=tup(tup(text("x"), NONE, integer(-1), b"\x10" + p8))
    ), "ECORRUPT"
    yield "dtype with a negative extent", b"\x10" + payload("|V8", 8, sub=tup(b"\x10" + p8, tup(integer(-1)))), "ECORRUPT"
    yield "array too short", array(p8, 0, 3, (2,), one), "ECORRUPT"
    yield "array too long", array(p8, 0, 3, (1,), one * 2), "ECORRUPT"
    yield "array of order 3", array(p8, 3, 3, (1,), one), "ECORRUPT"
    yield "array with an unknown flag", array(p8, 0, 4, (1,), one), "ECORRUPT"
    yield "vector in Fortran order", array(p8, 1, 3, (2, 1), one * 2), "ECORRUPT"
    yield "one item, strided", array(p8, 2, 3, (1, 1), one), "ECORRUPT"
    yield "no items, strided", array(p8, 2, 3, (0, 2), b""), "ECORRUPT"
    yield "array with extents that overflow", array(p8, 0, 3, (2**33, 2**33), b""), "ECORRUPT"
    yield "array with a huge number of dimensions", b"\x11" + p8 + b"\0\3" + u32(0xFFFFFFFF), "ECORRUPT"
    yield "array with a huge count", b"\x11" + p8 + b"\0\3" + u32(0) + u64(2**64 - 1), "ECORRUPT"
    yield "array without items", b"\x11" + p8, "ECORRUPT"
    yield "array scalar too short", scalar(p8, one[:-1]), "ECORRUPT"
    yield "array scalar too long", scalar(p8, one + b"\0"), "ECORRUPT"


def main() -> None:
    print("# name\tPython expression\tbytes\tverdict")
    for name, expression, encoded in good():
        print(f"{name}\t{expression}\t{encoded.hex()}\tok")
    for name, encoded, verdict in bad():
        print(f"{name}\t-\t{encoded.hex()}\t{verdict}")


main()
