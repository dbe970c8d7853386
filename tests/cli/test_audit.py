"""audit: two bodies under one symbol, and entries that this host cannot run."""
from __future__ import annotations

import subprocess
from pathlib import Path

from conftest import line

SHARED = "__attribute__((weak, noinline)) long shared(long x) { return x * 3 + other(x); }\n"


def compiled(folder: Path, name: str, body: str, shared: str = SHARED) -> Path:
    """An object that defines `shared` and a function of its own."""
    source = folder / f"{name}.c"
    source.write_text(f"extern long other(long);\n{body}\n{shared}long {name}(long x) {{ return shared(x) + 1; }}\n")
    subprocess.run(["cc", "-O1", "-c", source.name, "-o", f"{name}.o"], cwd=folder, check=True)
    return folder / f"{name}.o"


def entry(name: str, path: Path, **more: object) -> str:
    return line("entry", name=name, object=path, **more)


def test_equal_code(saggar):
    """The same function in two objects, at other places and beside other constants."""
    saggar.make(entry("f", compiled(saggar.home, "f", "")),
                entry("g", compiled(saggar.home, "g", "const char *text(void) { return \"moved\"; } double d(double x) { return x * 7.5; }")))
    out = saggar("audit").out
    assert out.splitlines()[-1].startswith("2 entries, ") and out.endswith("0 symbol collisions, 0 unmet requirements\n")
    assert saggar("audit", "--json").json["collisions"] == []


def test_two_bodies(saggar):
    saggar.make(entry("f", compiled(saggar.home, "f", "")), entry("g", compiled(saggar.home, "g", "", SHARED.replace("* 3", "* 5"))))
    out = saggar("audit", status=1).out
    assert out.count("\n") == 2 and out.startswith("shared: different code in ")
    assert "test:m:f" in out and "test:m:g" in out and "1 symbol collision, " in out
    found = saggar("audit", "--json", status=1).json
    assert [c["symbol"] for c in found["collisions"]] == ["shared"] and len(found["collisions"][0]["entries"]) == 2
    assert found["entries"] == 2


def test_bodies(saggar):
    """Where entries say what a function was generated from, that decides, not how it was optimised."""
    other = SHARED.replace("* 3", "* 5")
    for name, one, two, expected in (("equal", "a" * 64, "a" * 64, 0), ("unequal", "a" * 64, "b" * 64, 1), ("unsaid", "", "", 1)):
        store = saggar.home / name
        for function, body, source in (("f", one, SHARED), ("g", two, other)):
            said = f"{'0' * 64} share\\x0a{body} shared\\x0a" if body else "damaged"
            saggar.make(entry(function, compiled(saggar.home, function, "", source), store=store, bodies=said))
        found = saggar("audit", "--json", "--store", store, status=1 if expected else 0).json["collisions"]
        assert [each["symbol"] for each in found] == ["shared"] * expected, name


def test_other_references(saggar):
    """Equal bytes that call another function, or read another constant, are other code."""
    for change in (("other(x)", "another(x)"), ("other(x)", "(long)(7.5 * x)"), ):
        store = saggar.home / change[1].replace("*", "times").replace("(", "").replace(")", "")
        body = SHARED.replace("other(x)", "(long)(2.5 * x)") if "7.5" in change[1] else SHARED
        changed = SHARED.replace(*change)
        saggar.make(entry("f", compiled(saggar.home, "f", "extern long another(long);", body), store=store),
                    entry("g", compiled(saggar.home, "g", "extern long another(long);", changed), store=store))
        assert "shared: different code" in saggar("audit", "--store", store, status=1).out


def test_another_target_is_no_collision(saggar):
    saggar.make(entry("f", compiled(saggar.home, "f", ""), cpu="x86-64-v2"),
                entry("g", compiled(saggar.home, "g", "", SHARED.replace("* 3", "* 5")), cpu="x86-64"))
    assert "0 symbol collisions" in saggar("audit", status=None).out


def test_unmet(saggar):
    saggar.make(entry("f", compiled(saggar.home, "f", ""), features="+avx512fp16,+amx-complex"))
    result = saggar("audit", status=None, env={"SAGGAR_TARGET": "x86-64-v2"})
    assert result.status == 1 and "needs " in result.out and "avx512fp16" in result.out and "1 unmet requirement\n" in result.out


def test_damaged_object(saggar):
    """Any bytes may be in an object."""
    good = compiled(saggar.home, "f", "").read_bytes()
    for cut in range(0, len(good), 97):
        path = saggar.home / f"cut{cut}.o"
        path.write_bytes(good[:cut])
        store = saggar.home / "cut"
        saggar.make(entry(f"f{cut}", path, store=store))
    for at in range(16, len(good), 61):
        path = saggar.home / f"flip{at}.o"
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xff]) + good[at + 1:])
        saggar.make(entry(f"flip{at}", path, store=saggar.home / "cut"))
    assert saggar("audit", "--store", saggar.home / "cut", status=1).err
