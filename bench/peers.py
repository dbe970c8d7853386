"""The peers that are at home in Python, and Saggar through its binding, with the same keys and objects: rows as bench.h's.

    python bench/peers.py FOLDER        saggar, diskcache (if it is installed) and sqlite3
"""
from __future__ import annotations

import hashlib
import statistics
import sys
import time
from pathlib import Path
from typing import Callable, Iterable

KEYS, OBJECT, PASSES = 1000, 16384, 5
OBJECTS = [hashlib.shake_128(b"%d" % i).digest(OBJECT) for i in range(KEYS)]


def row(name: str, seconds: float) -> None:
    print(f"{name}\t{seconds * 1e9:.6g}\tns", flush=True)


def passes(name: str, ask: Callable[[object], object], keys: Iterable[object], there: bool) -> None:
    """The median of some passes over all keys, per key."""
    took, keys = [], list(keys)
    for _ in range(PASSES):
        start = time.perf_counter()
        for key in keys:
            answer = ask(key)
        took.append((time.perf_counter() - start) / len(keys))
        if (answer is not None) != there:
            raise SystemExit(f"{name}: wrong answer")
    row(name, statistics.median(took))


def each(name: str, put: Callable[[object, bytes], object], keys: list[object]) -> None:
    """The median of the single puts."""
    took = []
    for key, data in zip(keys, OBJECTS):
        start = time.perf_counter()
        put(key, data)
        took.append(time.perf_counter() - start)
    row(name, statistics.median(took))


def opened(name: str, make: Callable[[], object]) -> None:
    took = []
    for _ in range(20):
        start = time.perf_counter()
        made = make()
        took.append(time.perf_counter() - start)
        made.close()
    row(name, statistics.median(took))


def through_saggar(folder: Path) -> None:
    import saggar._saggar as s
    fixed = [("adapter", s.encode(("bench", 1))), ("compiler", s.encode("cc 12.2.0")), ("options", s.encode(None))]
    recipes = [s.recipe([*fixed, ("source", s.encode(i))]) for i in range(2 * KEYS)]
    cache = s.Cache(store=str(folder / "store-python"), images="")
    found = {key: recipe for key, recipe in recipes[:KEYS]}
    each("Saggar from Python: publish", lambda key, data: cache.publish(found[key], group=("cc", "module", "f"), parts={"object": data}),
         list(found))

    def part(key: bytes) -> object:
        entry = cache.find(key)[0]
        return entry and entry.part("object")

    passes("Saggar from Python: store hit with part", part, found, True)
    passes("Saggar from Python: store miss", part, [key for key, _ in recipes[KEYS:]], False)


def through_diskcache(folder: Path) -> None:
    try:
        import diskcache
    except ImportError:
        print("skipped: diskcache is not installed", file=sys.stderr)
        return
    keys = [hashlib.sha256(b"%d" % i).digest() for i in range(2 * KEYS)]
    cache = diskcache.Cache(str(folder / "diskcache"))
    each("diskcache put", cache.set, keys[:KEYS])
    passes("diskcache hit", cache.get, keys[:KEYS], True)
    passes("diskcache miss", cache.get, keys[KEYS:], False)
    cache.close()
    opened("diskcache open, 1000", lambda: diskcache.Cache(str(folder / "diskcache")))


def through_sqlite(folder: Path) -> None:
    import sqlite3
    path = str(folder / "sqlite.db")

    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=wal", "synchronous=normal", "mmap_size=1073741824"):
            db.execute(f"pragma {pragma}")
        return db

    keys = [hashlib.sha256(b"%d" % i).digest() for i in range(2 * KEYS)]
    db = connect()
    db.execute("create table entries (key blob primary key, object blob) without rowid")

    def get(key: object) -> object:
        return db.execute("select object from entries where key = ?", (key,)).fetchone()

    each("SQLite put", lambda key, data: db.execute("insert into entries values (?, ?)", (key, data)), keys[:KEYS])
    passes("SQLite hit", get, keys[:KEYS], True)
    passes("SQLite miss", get, keys[KEYS:], False)
    db.close()
    opened("SQLite open, 1000", connect)


if __name__ == "__main__":
    through_saggar(Path(sys.argv[1]))
    through_diskcache(Path(sys.argv[1]))
    through_sqlite(Path(sys.argv[1]))
