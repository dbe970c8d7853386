"""ls, show, stat, check, gc and host."""
from __future__ import annotations

import ctypes
import ctypes.util
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
    for arguments in (["ls"], ["bake", "--all", "-o", "x.saggar"], ["bake", "--all", "-o", "x.saggar", saggar.store]):
        error = saggar(*arguments, status=2).err
        assert f"{saggar.store}: untrusted: " in error and f"SAGGAR_TRUST={saggar.store}" in error and error.count("\n") == 1
    saggar.store.chmod(0o700)
    os.chown(saggar.store, 12345, 12345)
    error = saggar("bake", "--all", "-o", "x.saggar", status=2).err
    assert "untrusted" in error and "belongs to user 12345" in error and "SAGGAR_TRUST" in error
    saggar("bake", "--all", "-o", "x.saggar", env={"SAGGAR_TRUST": str(saggar.store)})
    os.chown(saggar.store, 0, 0)
    os.chown(saggar.files()[0], 12345, 12345)
    result = saggar("bake", "--all", "-o", "y.saggar", status=1)
    assert f"{saggar.files()[0]}: left out: untrusted" in result.err and "SAGGAR_TRUST" in result.err
    assert "untrusted" in saggar("ls", status=1).err and "untrusted" in saggar("check", status=1).out
    saggar.store.chmod(0o777)
    assert "every digest agrees" in saggar("check", image).out  # whoever owns it


def test_ls_and_stat_tell_of_damage_in_what_they_read(saggar):
    saggar.make(line("entry", name="f"))
    path, = saggar.files()
    good = path.read_bytes()
    rows = int.from_bytes(good[12:16], "little")
    for kind in (0x0002, 0x8003):  # the group, the requirements
        at = next(128 * (1 + i) for i in range(rows) if int.from_bytes(good[128 * (1 + i):][:2], "little") == kind)
        offset = int.from_bytes(good[at + 8:at + 16], "little")
        path.chmod(0o644)
        path.write_bytes(good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1:])
        for command in ("ls", "stat"):
            assert "damaged" in saggar(command, status=1).err
            saggar(command, "--json", status=1).json
        assert len(saggar("ls", "--json", status=1).json) == 1  # it is in the list all the same


def test_show_tells_of_an_entry_that_cannot_be_read(saggar):
    saggar.make(line("entry", name="f"))
    key = saggar("ls", "--json").json[0]["key"]
    path, = saggar.files()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:200])
    error = saggar("show", key[:8], status=1).err
    assert str(path) in error and "begins with" not in error


def test_check_of_a_single_entry(saggar):
    saggar.make(line("entry", name="f"))
    path, = saggar.files()
    assert saggar("check", path).out.startswith("1 entry, ")
    copy = saggar.home / "copied"
    copy.write_bytes(path.read_bytes())
    assert saggar("check", copy, "--json").json["entries"] == 1
    copy.write_bytes(path.read_bytes()[:-500])
    assert "header" not in saggar("check", copy, status=1).out
    wrong = saggar.home / ("0" * 64 + ".0")
    wrong.write_bytes(path.read_bytes())
    assert "not its key" in saggar("check", wrong, status=1).out
    error = saggar("ls", path, status=2).err
    assert "an entry, neither an image nor a store" in error and "saggar show" in error


def xxh128(data):
    library = ctypes.util.find_library("xxhash")
    if library is None:
        pytest.skip("no libxxhash")
    digest = ctypes.CDLL(library).XXH3_128bits
    digest.argtypes, digest.restype = [ctypes.c_char_p, ctypes.c_size_t], type("Hash", (ctypes.Structure,), {
        "_fields_": [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]})
    value = digest(data, len(data))
    return value.high.to_bytes(8, "big") + value.low.to_bytes(8, "big")


@pytest.mark.parametrize("newer", ["version", "record"])
def test_what_a_newer_saggar_made(saggar, newer):
    saggar.make(line("entry", name="f"))

    def change(core):
        if newer == "version":
            core[8] = 2
        else:
            rows = int.from_bytes(core[12:16], "little")
            core[128 * rows:128 * rows + 2] = (0x8fff).to_bytes(2, "little")  # the last section, a part, has another kind
            core[96:112] = bytes(16)
            core[96:112] = xxh128(bytes(core[:128 * (1 + rows)]))

    image = bake(saggar)
    data = bytearray(image.read_bytes())
    at = int.from_bytes(data[88:96], "little")
    core = data[at:]
    change(core)
    image.chmod(0o644)
    image.write_bytes(bytes(data[:at]) + bytes(core))
    result = saggar("check", image, status=1).out
    assert "a newer Saggar is needed" in result and "head is damaged" not in result
    assert "a newer Saggar is needed" in saggar("check", image, "--json", status=1).json["findings"][0]["text"]


def test_check_leaves_out_no_image_that_is_off(saggar):
    saggar.make(line("entry", name="f"))
    image = bake(saggar)
    damaged = saggar.home / "damaged.saggar"
    damaged.write_bytes(b"X" + image.read_bytes()[1:])
    env = {"SAGGAR_IMAGE": f"{image}:{damaged}"}
    assert str(damaged) in saggar("check", status=1, env=env).out
    for arguments in (["ls", "--all"], ["stat"]):
        assert f"the image {damaged} is off: " in saggar(*arguments, env=env).err
    assert f"the image {damaged} is off: " in saggar("run", "--", "true", env=env).err
    assert saggar("run", "-q", "--", "true", env=env).err == ""
    assert f"{damaged}.gone" in saggar("check", status=2, env={"SAGGAR_IMAGE": f"{damaged}.gone"}).err


@pytest.mark.parametrize("command", [["run"], ["warm"]])
def test_a_store_that_cannot_be_used_is_refused(saggar, command):
    (saggar.home / "file").write_text("")
    mark = saggar.home / "ran"
    error = saggar(*command, "--store", "file", "--", "touch", mark, status=2).err
    assert f"the store {saggar.home}/file is off: not a directory" in error and not mark.exists()
    saggar.store.parent.mkdir()
    saggar.store.write_text("")
    result = saggar(*command, "--", "touch", mark)  # the one of the environment: the command runs
    assert f"the store {saggar.store} is off: not a directory" in result.err and mark.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_stores_of_others(saggar):
    for path in (saggar.home, *saggar.home.parents):
        if path.stat().st_uid == 0 and path.name:
            path.chmod(path.stat().st_mode | 0o055)
    saggar.make(line("many", count=40))
    saggar.store.chmod(0o755)
    saggar.store.parent.chmod(0o755)
    (saggar.store / "v1").chmod(0o700)
    error = saggar("ls", saggar.store, status=2, user=65534).err
    assert error.count("\n") == 1 and f"{saggar.store}/v1: Permission denied" in error
    loose = saggar.home / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    for command in ("ls", "stat"):
        error = saggar(command, status=2, user=65534, env={"XDG_CACHE_HOME": str(loose)}).err
        assert "untrusted: " in error and "SAGGAR_TRUST" in error and "No such file" not in error


@pytest.mark.parametrize("count", [1, 2])
def test_ls_of_a_group_that_is_not_there(saggar, count):
    saggar.make(line("many", count=count))
    entries = "1 entry" if count == 1 else "2 entries"
    assert saggar("ls", "--group", "nosuch").out == f"{saggar.store}: no function of its {entries} matches --group\n"


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


def test_gc_of_trees(saggar):
    saggar.make(line("many", count=1))
    trees = saggar.store / "v1/trees"
    for i in range(3):
        (trees / (f"{i}" * 64)).mkdir(parents=True)
        (trees / (f"{i}" * 64) / "file").write_text("x" * 1000)
        os.utime(trees / (f"{i}" * 64), (1700000000 + i, 1700000000 + i))
    (trees / "note").write_text("mine")
    trees.chmod(0o700)
    assert "would remove 3 finished trees" in saggar("gc", "--max-age", "1d", "--dry-run").out and len(list(trees.iterdir())) == 4
    stats = saggar("gc", "--max-size", "2000", "--json").json
    assert (stats["trees"], stats["trees_bytes"], stats["removed_trees"], stats["removed_trees_bytes"]) == (3, 3000, 1, 1000)
    assert {path.name for path in trees.iterdir()} == {"1" * 64, "2" * 64, "note"}
    assert "removed 2 finished trees (2.0 kB)" in saggar("gc", "--max-age", "1d").out or not list(trees.glob("[12]*"))
    assert [path.name for path in trees.iterdir()] == ["note"]


def test_gc_of_trees_without_a_store(saggar):
    for folder in ("cache/saggar-trees", "run/saggar/trees"):
        tree = saggar.home / folder / ("0" * 64)
        tree.mkdir(parents=True, mode=0o700)
        (tree / "file").write_text("x" * 1000)
        os.utime(tree, (1700000000, 1700000000))
        tree.parent.chmod(0o700)
    env = {"XDG_CACHE_HOME": str(saggar.home / "cache"), "XDG_RUNTIME_DIR": str(saggar.home / "run")}
    assert "removed 2 finished trees (2.0 kB); 0 left" in saggar("gc", "--max-age", "1d", env=env).out
    assert not list(saggar.home.glob("cache/saggar-trees/*")) and not list(saggar.home.glob("run/saggar/trees/*"))
    assert not (saggar.home / "cache/saggar").exists()


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
        refused = saggar("host", status=2, env={"SAGGAR_TARGET": "pdp11"})
        assert "SAGGAR_TARGET=pdp11" in refused.err and "programs switch the cache off" in refused.err and refused.out == ""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names of x86-64")
def test_host_check_asks_for_what_code_can_need(saggar):
    low = {"SAGGAR_TARGET": "x86-64-v2"}
    missing = saggar("host", "--check", "haswell", "--json", status=1, env=low).json["missing"]
    assert "avx2" in missing and not {"monitor", "hle", "rdrnd", "fsgsbase", "invpcid"} & set(missing)
    assert "aes" not in saggar("host", "--check", "broadwell", "--json", status=1, env=low).json["missing"]
    # what is named itself is asked for
    assert "aes" in saggar("host", "--check", "x86-64-v2,+aes", "--json", status=1, env=low).json["missing"]
    assert "rdseed" in saggar("host", "--check", "rdseed", "--json", status=1, env=low).json["missing"]
    assert saggar("host", "--check", "haswell,-avx", "--json", env={"SAGGAR_TARGET": "haswell,-avx"}).json["runs"] is True


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
