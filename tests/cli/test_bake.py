"""bake: what was used goes in, the same bytes come out."""
from __future__ import annotations

import hashlib
import os
import shutil
import stat

import pytest

from conftest import CACHEABLE, NESTED, USED, adapter, compiled, line


def warmed(saggar, *names, used=None):
    """Entries in the store, and a trail that says which of them were used."""
    saggar.make(*(line("entry", name=n) for n in names))
    lines = [adapter()]
    for n in names if used is None else used:
        lines.append(line("event", type="published", flags=USED | CACHEABLE, name=n))
    saggar("run", "-q", "--", saggar.maker, saggar.script(*lines))


def baked(saggar, path):
    return {e["group"].split(":")[2] for e in saggar("ls", "--json", path).json}


def test_only_what_was_used(saggar):
    warmed(saggar, "f", "g", "h", used=["f", "g"])
    out = saggar("bake", "-o", "x.saggar").out
    image = saggar.home / "x.saggar"
    assert baked(saggar, image) == {"f", "g"}
    assert "2 entries" in out and "left out: 1 that nothing used" in out
    assert hashlib.sha256(image.read_bytes()).hexdigest() in out
    assert image.stat().st_mode & 0o777 == 0o444
    report = saggar("bake", "--json", "-o", "y.saggar").json
    assert report["entries"] == 2 and report["unused"] == 1 and report["bytes"] == image.stat().st_size
    assert report["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    saggar("bake", "--all")
    assert baked(saggar, saggar.home / "saggar.saggar") == {"f", "g", "h"}


@pytest.mark.parametrize("kind, flags, taken", [
    ("hit", USED, True), ("hit", NESTED, False), ("published", USED, True), ("published", NESTED, False),
    ("compiled", USED, True), ("miss", USED, False), ("not-stored", USED, False),
])
def test_what_counts_as_used(saggar, kind, flags, taken):
    saggar.make(line("entry", name="f"), line("entry", name="sure"))
    event = [line("event", type=kind, flags=flags, name="f")] if kind else []
    miss, done = compiled(name="outer")
    saggar("run", "-q", "--", saggar.maker, saggar.script(line("event", type="hit", flags=USED, name="sure"), miss, *event, done,
                                                          line("event", type="published", flags=USED, name="outer")))
    saggar("bake", "-o", "x.saggar")
    assert baked(saggar, saggar.home / "x.saggar") == ({"f", "sure"} if taken else {"sure"})


@pytest.mark.parametrize("outer", [
    compiled(USED, name="outer"),  # not marked: compiled in every process
    [*compiled(name="outer"), line("event", type="not-stored", flags=USED, reason="uncacheable", name="outer")],
    [*compiled(name="outer"), *compiled(name="next"), line("event", type="published", flags=USED, name="next")],
    [],  # its compilation failed
])
@pytest.mark.parametrize("kind", ["hit", "published"])
def test_what_a_function_that_is_not_stored_calls(saggar, outer, kind):
    saggar.make(line("entry", name="callee"), line("entry", name="sure"))
    sure = line("event", type="hit", flags=USED, name="sure")
    before = [e for e in outer[:1] if "type=miss" in e]
    saggar("run", "-q", "--", saggar.maker,
           saggar.script(sure, *before, line("event", type=kind, flags=NESTED, name="callee"), *outer[len(before):]))
    saggar("bake", "-o", "x.saggar")
    assert baked(saggar, saggar.home / "x.saggar") == {"callee", "sure"}


def test_all_variants_of_a_used_key(saggar):
    saggar.make(*(line("entry", name="f", cpu=f"x86-64-v{v}", variant=v) for v in (2, 3, 4)))
    saggar("run", "-q", "--", saggar.maker, saggar.script(line("event", type="hit", flags=USED, name="f")))
    assert saggar("bake", "--json", "-o", "x.saggar").json["entries"] == 3


def test_no_trail(saggar):
    saggar.make(line("entry", name="f"))
    error = saggar("bake", "-o", "x.saggar", status=2).err
    assert "saggar warm" in error and "--all" in error and error.count("\n") == 1
    assert not (saggar.home / "x.saggar").exists()
    empty = saggar.home / "empty"
    empty.mkdir()
    assert f"--trail {empty}: no trail there" in saggar("bake", "--trail", empty, status=2).err


def test_given_trails(saggar):
    saggar.make(line("entry", name="f"), line("entry", name="g"))
    for name in "fg":
        saggar("run", "-q", "--trail", name, "--", saggar.maker, saggar.script(line("event", type="hit", flags=USED, name=name)))
    assert saggar("bake", "--trail", "f", "--json").json["entries"] == 1
    assert saggar("bake", "--trail", "f", "--trail", "g", "--json").json["entries"] == 2
    assert saggar("bake", "--json").json["entries"] == 2  # the kept ones


def test_trails_belong_to_their_store(saggar):
    other = saggar.home / "other"
    warmed(saggar, "f")
    saggar.make(line("entry", name="f", store=other))
    assert "first" in saggar("bake", "--store", other, status=2).err
    saggar("run", "-q", "--store", other, "--", saggar.maker, saggar.script(line("event", type="hit", flags=USED, name="f")))
    assert saggar("bake", "--store", other, "--json").json["entries"] == 1
    assert saggar("bake", other, "--json").json["entries"] == 1


def test_same_bytes(saggar):
    warmed(saggar, "f", "g", "h")
    first = saggar("bake", "--json", "-o", "x.saggar").json["sha256"]
    second = saggar.home / "second"
    saggar.make(*(line("entry", name=n, store=second, seconds=9) for n in "hgf"))
    assert saggar("bake", "--all", second, "--json", "-o", "y.saggar", env={"TZ": "Asia/Tokyo"}).json["sha256"] == first
    assert saggar("bake", "--all", second, saggar.store, "x.saggar", "--json", "-o", "z.saggar").json == {
        "path": "z.saggar", "sha256": first, "entries": 3, "bytes": (saggar.home / "x.saggar").stat().st_size,
        "unused": 0, "unmatched": 0, "missing": 0, "damaged": 0, "untrusted": 0}
    assert saggar("bake", "x.saggar", "--json", "-o", "w.saggar").json["sha256"] == first  # the default store's trails


def test_install(saggar):
    warmed(saggar, "f")
    prefix = saggar.home / "prefix"
    assert str(prefix / "share/saggar/saggar.saggar") in saggar("bake", "--install", prefix).out
    saggar("bake", "--install", prefix, "--name", "model")
    assert sorted(p.name for p in (prefix / "share/saggar").iterdir()) == ["model.saggar", "saggar.saggar"]
    saggar("bake", "--install", prefix, "--name", "../x", status=2)
    saggar("bake", "--install", saggar.script(""), status=2)


def test_provenance(saggar):
    warmed(saggar, "f")
    plain = saggar("bake", "--json", "-o", "x.saggar").json["sha256"]
    told = saggar("bake", "--json", "-o", "y.saggar", "--provenance", "commit=abc", "--provenance", "by=me").json["sha256"]
    assert told != plain
    assert b"abc" in (saggar.home / "y.saggar").read_bytes()
    assert "NAME=TEXT" in saggar("bake", "--provenance", "abc", status=2).err


def test_damaged_entry_is_left_out(saggar):
    warmed(saggar, "f", "g")
    path = saggar.files()[0]
    data = bytearray(path.read_bytes())
    data[-300] ^= 1
    data[200] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    result = saggar("bake", "-o", "x.saggar", status=1)
    assert str(path) in result.err and "left out: 1 damaged" in result.out
    assert len(baked(saggar, saggar.home / "x.saggar")) == 1
    report = saggar("bake", "-o", "x.saggar", "--json", status=1).json
    assert report["damaged"] == 1 and report["entries"] == 1


def test_used_but_gone(saggar):
    warmed(saggar, "f", "g")
    saggar.files()[0].unlink()
    assert "not there: 1 that was used and is in no source" in saggar("bake").out
    assert saggar("bake", "--json").json["missing"] == 1
    shutil.rmtree(saggar.store / "v1")
    os.mkdir(saggar.store / "v1")
    result = saggar("bake", "-o", "new.saggar", status=1)
    assert "nothing to bake" in result.err and not (saggar.home / "new.saggar").exists()


def test_group(saggar):
    warmed(saggar, "f", "g")
    assert saggar("bake", "--group", "test:m:f", "--json").json["entries"] == 1


def test_what_is_no_file_stays(saggar):
    warmed(saggar, "f")
    os.mkfifo(saggar.home / "fifo")
    done = saggar("bake", "--all", "-o", "fifo", status=2)
    assert "not a file" in done.err and stat.S_ISFIFO((saggar.home / "fifo").stat().st_mode)


def test_unwritable(saggar):
    warmed(saggar, "f")
    error = saggar("bake", "-o", "/proc/x.saggar", status=2).err
    assert "/proc/x.saggar" in error and error.count("\n") == 1
    assert "/nonexistent/x.saggar" in saggar("bake", "-o", "/nonexistent/x.saggar", status=2).err


def test_killed_process_still_counts(saggar):
    saggar.make(line("entry", name="f"))
    script = saggar.script(line("event", type="hit", flags=USED, name="f"), line("say", text="x"), line("sleep", ms=20000))
    saggar("run", "-q", "--", "sh", "-c", f"{saggar.maker} {script} | {{ read x; kill -9 $(pgrep -P $$ -f make_store); }}", status=None)
    assert saggar("bake", "--json").json["entries"] == 1
