"""ls, show, stat, check, gc and host."""
from __future__ import annotations

import os
import subprocess

import pytest

from conftest import line


def bake(saggar, *arguments):
    path = saggar.home / "all.saggar"
    saggar("bake", "--all", "-o", path, *arguments)
    return path


# -- ls and show -------------------------------------------------------------------------------------------------------

def test_ls(saggar):
    saggar.make(line("entry", name="f", module="pack.a", seconds=2, size=5000, cpu="x86-64-v3"),
                line("entry", name="g", module="pack.b"))
    text = saggar("ls").out
    assert text.splitlines()[0].split() == ["KEY", "BYTES", "TOOK", "TARGET", "FUNCTION"]
    assert "test:pack.a:f" in text and "2.0 s" in text and "x86-64-v3" in text
    rows = {e["group"]: e for e in saggar("ls", "--json").json}
    assert set(rows) == {"test:pack.a:f", "test:pack.b:g"}
    f = rows["test:pack.a:f"]
    assert f["seconds"] == 2 and f["bytes"] > 500 and len(f["key"]) == len(f["identity"]) == 64
    assert f["published"] > 1600000000 and f["tier"] == str(saggar.store)
    image = bake(saggar)
    shipped = {e["group"]: e for e in saggar("ls", "--json", image).json}
    assert {k: v["identity"] for k, v in shipped.items()} == {k: v["identity"] for k, v in rows.items()}
    assert shipped["test:pack.a:f"]["seconds"] is None
    both = saggar("ls", "--all", env={"SAGGAR_IMAGE": str(image)}).out
    assert f"{image}: 2 entries" in both and f"{saggar.store}: 2 entries" in both


@pytest.mark.parametrize("pattern, names", [("pack.*", set()), ("test:pack.*", {"f", "g"}), ("pack.a", {"f"}), ("nope", set())])
def test_ls_group(saggar, pattern, names):
    saggar.make(line("entry", name="f", module="pack.a"), line("entry", name="g", module="pack.b"))
    assert {e["group"].split(":")[2] for e in saggar("ls", "--json", "--group", pattern).json} == names


def test_ls_of_nothing(saggar):
    assert "0 entries" in saggar("ls").out
    assert saggar("ls", "--json").json == []
    assert not saggar.store.exists()  # looking makes nothing
    assert "HOME" in saggar("ls", status=2, env={"HOME": "", "XDG_CACHE_HOME": ""}).err


def test_odd_names(saggar):
    odd = r"a\x0ab\x1b[31m\xed\xb3\xbf\xe2\x80\xae"
    saggar.make(line("entry", name=odd))
    text = saggar("ls").out
    assert "\x1b" not in text and "\u202e" not in text and len(text.splitlines()) == 2
    assert r"a\nb\x1b[31m\xed\xb3\xbf" in text
    entry, = saggar("ls", "--json").json
    assert entry["group"].startswith("test:m:a\nb\x1b[31m")
    shown = saggar("show", entry["key"][:8])
    assert "\x1b" not in shown.out and r"a\nb" in shown.out
    assert saggar("show", entry["key"], "--json").json[0]["entry"]["function"].startswith("test:m:a\nb")
    assert "\x1b" not in saggar("stat").out


def test_show(saggar):
    saggar.make(line("entry", name="f", source="return 1", reads="g:1", dep="numpy:2.1.0", size=20000, features="+avx2"))
    key = saggar("ls", "--json").json[0]["key"]
    text = saggar("show", key[:6]).out
    for part in ("test:m:f", key, "recipe", "return 1", "adapter", "requirements", "avx2", "declared by the compiler",
                 "memcpy", "GLIBC 2.34 or newer", "numpy", "2.1.0", "object", "20.0 kB", "0.500 s", "linux-gnu"):
        assert part in text, part
    entry, = saggar("show", key, "--json").json
    assert list(entry) == ["entry", "recipe", "requirements", "dependencies", "parts"]
    assert [p["name"] for p in entry["parts"]] == ["meta", "object"]
    assert entry["parts"][1]["bytes"] == 20000 >= entry["parts"][1]["stored_bytes"]
    assert {r["kind"] for r in entry["requirements"]} == {"features", "architecture", "symbols", "library"}
    assert saggar("show", saggar.files()[0], "--json").json[0]["recipe"] == entry["recipe"]
    image = bake(saggar)
    assert saggar("show", "--in", image, key, "--json").json[0]["recipe"] == entry["recipe"]
    assert "saggar ls" in saggar("show", image, status=2).err
    assert "begins with" in saggar("show", "00" * 32, status=1).err
    assert "not a Saggar file" in saggar("show", "/etc/passwd", status=2).err


def test_variants_are_all_shown(saggar):
    saggar.make(line("entry", name="f", cpu="x86-64-v2"), line("entry", name="f", cpu="x86-64-v3"))
    rows = saggar("ls", "--json").json
    assert len(rows) == 2 and len({r["key"] for r in rows}) == 1
    assert {r["target"] for r in rows} == {"x86-64-v2", "x86-64-v3"}
    assert len(saggar("show", "--json", rows[0]["key"]).json) == 2


def test_links(saggar):
    saggar.make(line("entry", name="f"))
    (saggar.home / "link.saggar").symlink_to(bake(saggar))
    (saggar.home / "store").symlink_to(saggar.store)
    (saggar.home / "entry").symlink_to(saggar.files()[0])
    assert len(saggar("ls", "link.saggar", "--json").json) == len(saggar("ls", "store", "--json").json) == 1
    assert saggar("check", "link.saggar", "store").out.startswith("2 entries")
    assert len(saggar("show", "./entry", "--json").json) == 1
    assert saggar("run", "-q", "--image", "link.saggar", "--", "sh", "-c", "echo $SAGGAR_IMAGE").out == f"{saggar.home}/all.saggar\n"


# -- stat --------------------------------------------------------------------------------------------------------------

def test_stat(saggar):
    saggar.make(*(line("entry", name=f"f{i}", module="big", size=1000) for i in range(3)), line("entry", name="g", module="small"))
    text = saggar("stat").out
    assert "4 entries" in text and "big" in text and "2.0 s to compile" in text
    tier, = saggar("stat", "--json").json["tiers"]
    assert tier["kind"] == "store" and tier["entries"] == 4
    assert [(m["module"], m["entries"]) for m in tier["modules"]] == [("big", 3), ("small", 1)]
    assert sum(m["bytes"] for m in tier["modules"]) == tier["bytes"]
    saggar("run", "--", saggar.maker, saggar.script(line("event", type="hit"), line("event", type="hit")))
    assert saggar("stat", "--json").json["last"]["hits"] == 2
    assert "2 hits" in saggar("stat").out


# -- check -------------------------------------------------------------------------------------------------------------

def test_check_good(saggar):
    saggar.make(line("many", count=20))
    image = bake(saggar)
    assert "20 entries" in saggar("check").out
    assert "every digest agrees" in saggar("check", image, saggar.store).out
    assert saggar("check", "--json", image).json["findings"] == []


def test_check_finds_each_flipped_byte(saggar):
    saggar.make(line("entry", name="f", size=100))
    path, = saggar.files()
    good = path.read_bytes()
    core = saggar("ls", "--json").json[0]["bytes"]
    for at in range(0, core, 37):
        path.chmod(0o644)
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        result = saggar("check", status=1)
        assert len(result.out.splitlines()) == 2 and str(path) in result.out, at
        finding, = saggar("check", "--json", status=1).json["findings"]
        assert finding["path"] == str(path) and finding["error"].startswith("E")


def test_check_image(saggar):
    saggar.make(line("entry", name="f"), line("entry", name="g"))
    image = bake(saggar)
    good = image.read_bytes()
    image.chmod(0o644)
    image.write_bytes(good[:-40] + b"x" + good[-39:])
    result = saggar("check", image, status=1)
    assert str(image) in result.out
    assert saggar("check", image, "--json", status=1).json["findings"]
    image.write_bytes(good[:1000])
    assert saggar("check", image, status=1).out
    image.write_bytes(b"")
    assert saggar("check", image, status=1).out


def test_wrong_name_is_told(saggar):
    saggar.make(line("entry", name="f"))
    path, = saggar.files()
    wrong = path.with_name(path.name[:2] + "0" * 62 + ".0")
    path.rename(wrong)
    result = saggar("check", status=1)
    assert str(wrong) in result.out and "not its key" in result.out
    assert str(wrong) in saggar("ls", status=1).err
    assert "damaged" in saggar("stat", "--json", status=1).out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_untrusted_store_and_image(saggar):
    saggar.make(line("entry", name="f"))
    image = bake(saggar)
    image.chmod(0o666)
    error = saggar("ls", image, status=2).err
    assert str(image) in error and "SAGGAR_TRUST" in error
    assert saggar("ls", image, env={"SAGGAR_TRUST": str(saggar.home)}).out
    saggar("verify", "--image", image, "--", "true", status=2)
    saggar.store.chmod(0o777)
    assert str(saggar.store) in saggar("ls", status=2).err
    assert "every digest agrees" in saggar("check", image).out  # whoever owns it


# -- gc ----------------------------------------------------------------------------------------------------------------

def test_gc(saggar):
    saggar.make(line("many", count=10, size=3000))
    for i, path in enumerate(saggar.files()):
        os.utime(path, (1700000000 + i, 1700000000 + i))
    dry = saggar("gc", "--max-age", "1d", "--dry-run").out
    assert "would remove 10 entries" in dry and len(saggar.files()) == 10
    one = saggar.files()[0].stat().st_size
    stats = saggar("gc", "--max-size", str(one * 4), "--json").json
    assert stats["removed_entries"] >= 6 and len(saggar.files()) == 10 - stats["removed_entries"]
    assert saggar("gc", "--max-age", "1d", "--json").json["entries"] == 10 - stats["removed_entries"]
    assert saggar.files() == []
    assert "removed 0 entries" in saggar("gc").out


def test_gc_only_touches_stores(saggar):
    folder = saggar.home / "precious"
    folder.mkdir()
    (folder / "file").write_text("x")
    assert "not a store" in saggar("gc", folder, status=2).err
    assert "not a store" in saggar("gc", "--store", folder, status=2).err
    assert (folder / "file").exists()
    assert saggar("gc", env={"SAGGAR_DIR": str(saggar.home / "none")}).status == 0
    assert "SAGGAR_SIZE" in saggar("gc", status=2, env={"SAGGAR_SIZE": "huge"}).err


# -- many --------------------------------------------------------------------------------------------------------------

def test_ten_thousand(saggar):
    saggar.make(line("many", count=10000, size=10))
    rows = saggar("ls", "--json").json
    assert len(rows) == 10000 and rows == sorted(rows, key=lambda r: r["key"])
    image = bake(saggar)
    assert saggar("stat", image, "--json").json["tiers"][0]["entries"] == 10000
    assert saggar("check", image, "--json").json["entries"] == 10000
    assert len(saggar("ls", image).out.splitlines()) == 10001


# -- host --------------------------------------------------------------------------------------------------------------

def test_host(saggar):
    host = saggar("host", "--json").json
    assert host["architecture"] in ("x86_64", "aarch64") and host["features"]
    assert "level" in saggar("host").out
    assert "runs here" in saggar("host", "--check", "native").out
    if host["architecture"] == "x86_64":
        assert saggar("host", "--check", "x86-64", "--json").json["runs"] is True
        low = {"SAGGAR_TARGET": "x86-64-v2"}
        lacking = saggar("host", "--check", "x86-64-v3", "--json", status=1, env=low).json
        assert lacking["runs"] is False and "avx2" in lacking["missing"]
        assert "avx2" in saggar("host", "--check", "avx2,fma", status=1, env=low).out
        assert "SAGGAR_TARGET" in saggar("host", env={"SAGGAR_TARGET": "pdp11"}).err


def test_colour_only_on_a_terminal(saggar):
    pty = pytest.importorskip("pty")
    saggar.make(line("entry", name="f"))

    def on_terminal(**extra):
        here, there = pty.openpty()
        subprocess.run([saggar.binary, "ls"], stdout=there, stderr=there, env={**saggar.env, "TERM": "xterm", **extra})
        os.close(there)
        out = b""
        try:
            while chunk := os.read(here, 65536):
                out += chunk
        except OSError:
            pass
        os.close(here)
        return out

    assert b"\x1b[1m" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")
    assert b"\x1b" not in on_terminal(TERM="dumb")
    assert "\x1b" not in saggar("ls").out
