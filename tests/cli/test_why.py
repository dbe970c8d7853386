"""why: the reason, and what differs from the nearest entry."""
from __future__ import annotations

import pytest

from conftest import line


def why(saggar, *misses, entries=(), arguments=()):
    if entries:
        saggar.make(*entries)
    saggar("run", "-q", "--", saggar.maker, saggar.script(*misses))
    return saggar("why", *arguments)


def miss(**what):
    return line("event", type="miss", reason=what.pop("reason", "absent"), flags=3, **what)


def test_nested_difference(saggar):
    result = why(saggar, miss(name="f", reads="g:2,h:1"), entries=[line("entry", name="f", reads="g:1,h:1")])
    assert "test:m:f" in result.out and "no tier has an entry under this key" in result.out
    differing = [l.strip() for l in result.out.splitlines() if " != " in l]
    assert len(differing) == 1
    assert differing[0].startswith("source.reads.g: ") and "3131" in differing[0] and "3232" in differing[0]
    assert differing[0].endswith("(now)") and "(entry) != " in differing[0]
    report, = saggar("why", "--json").json
    assert report["reason"] == "absent" and report["nearest"]["tier"] == str(saggar.store)
    assert [d["path"] for d in report["nearest"]["differs"]] == ["source.reads.g"]


@pytest.mark.parametrize("now, path, entry, value", [
    (dict(fastmath=1), "options.fastmath", "false", "true"),
    (dict(source="return 2"), "source.code", '"x"', '"return 2"'),
    (dict(compiler="cc 2.0"), "compiler", '"cc 1.0"', '"cc 2.0"'),
    (dict(sig="float32"), "signature", '"int64"', '"float32"'),
    (dict(reads="g:1,new:1"), "source.reads.new", "absent", None),
    (dict(reads=""), "source.reads[0]", None, "absent"),
])
def test_each_kind_of_difference(saggar, now, path, entry, value):
    why(saggar, miss(name="f", **{"reads": "g:1", **now}), entries=[line("entry", name="f", reads="g:1")])
    difference, = saggar("why", "--json").json[0]["nearest"]["differs"]
    assert difference["path"] == path
    assert entry is None or difference["entry"].lower() == entry
    assert value is None or difference["now"].lower() == value


def test_the_nearest_entry(saggar):
    entries = [line("entry", name="f", sig="int64", source="old", fastmath=1), line("entry", name="f", sig="float32"),
               line("entry", name="f", sig="int64", source="old"), line("entry", name="g", sig="int64")]
    why(saggar, miss(name="f", sig="int64"), entries=entries)
    report, = saggar("why", "--json").json
    assert [d["path"] for d in report["nearest"]["differs"]] == ["source.code"]  # same signature first, then fewest


@pytest.mark.parametrize("near, far", [
    (dict(sig="int64", source="old", fastmath=1), dict(sig="float32")),  # the same signature first
    (dict(reads="g:2,h:2,i:2"), dict(source="old", reads="g:1,h:1,i:1", fastmath=1)),  # then the fewest fields
    (dict(reads="g:2,h:1,i:1"), dict(reads="g:2,h:2,i:1")),  # then the fewest places
])
def test_which_is_nearer(saggar, near, far):
    base = {"name": "f", "reads": "g:1,h:1,i:1"}
    keys = {}
    for which, what in (("near", near), ("far", far)):
        saggar.make(line("entry", **{**base, **what}))
        keys[which] = ({e["key"] for e in saggar("ls", "--json").json} - set(keys.values())).pop()
    why(saggar, miss(**base))
    assert saggar("why", "--json").json[0]["nearest"]["key"] == keys["near"]


def test_images_are_compared_with(saggar):
    saggar.make(line("entry", name="f"))
    saggar("bake", "--all", "-o", "i.saggar")
    saggar("gc", "--max-size", "0")
    saggar("run", "-q", "--", saggar.maker, saggar.script(miss(name="f", fastmath=1)))
    assert "no tier has an entry of this function" in saggar("why").out
    assert "options.fastmath" in saggar("why", "--image", "i.saggar").out
    assert "options.fastmath" in saggar("why", env={"SAGGAR_IMAGE": str(saggar.home / "i.saggar")}).out


def test_what_was_stored_since_is_no_answer(saggar):
    script = saggar.script(miss(name="f"), line("sleep", ms=1100), line("entry", name="f"), line("entry", name="f", fastmath=1))
    saggar("run", "-q", "--", saggar.maker, script)
    assert "no tier had an entry of this function; one has been stored since" in saggar("why").out
    report, = saggar("why", "--json").json
    assert report["nearest"] is None and report["stored_since"] is True


def test_other_reasons(saggar):
    result = why(saggar, miss(name="f", reason="features", detail="avx512f"), miss(name="g", reason="dependency", detail="numpy 2.0"),
                 line("event", type="not-stored", reason="publish-failed", name="h", detail="ENOSPACE: no space left"),
                 line("event", type="fault", nokey=1, group="", detail="the tier fell over"),
                 miss(name="f", reason="features", detail="avx512f"))
    assert "(2 times)" in result.out and "this processor lacks a feature that the code needs: avx512f" in result.out
    assert "something that the code was built from has changed: numpy 2.0" in result.out
    assert "not stored: the entry could not be stored: ENOSPACE" in result.out and "fault: the tier fell over" in result.out
    assert [r["event"] for r in saggar("why", "--json").json] == ["miss", "miss", "not-stored", "fault"]


def test_patterns(saggar):
    why(saggar, miss(name="f", module="a"), miss(name="g", module="b"))
    assert [r["function"] for r in saggar("why", "--json", "test:a:*").json] == ["test:a:f"]
    assert [r["function"] for r in saggar("why", "--json", ":b:").json] == ["test:b:g"]
    assert "nothing that matches" in saggar("why", "zzz").out


def test_where_from(saggar):
    assert "no trail is kept" in saggar("why", status=2).err
    saggar.make(miss(name="logged"))  # an ordinary run
    assert "test:m:logged" in saggar("why").out
    saggar("run", "-q", "--trail", "t", "--", saggar.maker, saggar.script(miss(name="run")))
    assert "test:m:run" in saggar("why").out and "saggar run: " in saggar("why").out
    assert "test:m:logged" in saggar("why", "--log").out
    assert "test:m:run" in saggar("why", "--trail", "t").out and "test:m:run" in saggar("why", "--last").out
    saggar("run", "-q", "--", saggar.maker, saggar.script(line("event", type="hit")))
    assert "nothing missed" in saggar("why").out
    empty = saggar.home / "empty"
    empty.mkdir()
    assert "no trail in it" in saggar("why", "--trail", empty, status=2).err


def test_odd_names(saggar):
    result = why(saggar, miss(group=r"test:m:a\x0a\x1b[31m\xff", detail=r"x\x0ay"))
    assert "\x1b" not in result.out and r"a\n\x1b[31m\xff" in result.out
    assert saggar("why", "--json").json[0]["function"] == "test:m:a\n\x1b[31m\udcff"


def test_many(saggar):
    why(saggar, *(miss(name=f"f{i}", module="many", fastmath=1) for i in range(300)), entries=[line("many", module="many", count=300)])
    reports = saggar("why", "--json").json
    assert len(reports) == 300
    assert all([d["path"] for d in r["nearest"]["differs"]] == ["options.fastmath"] for r in reports)
