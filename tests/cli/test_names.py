"""Names that no one expects, in every place where a name can stand: escaped for people, valid JSON, one line an item."""
from __future__ import annotations

import json
import os
import subprocess

import pytest

from conftest import adapter, compiled, line

ODD = os.fsdecode(b"odd\n\x1b[31m\xff\xe2\x80\xae")
SHOWN = r"odd\n\x1b[31m\xff"
GROUP = r"test:m:g\x0a\x1b[31m\xff"


def call(saggar, *arguments, status=0):
    done = subprocess.run([saggar.binary, *map(os.fsencode, map(str, arguments))], capture_output=True, env=saggar.env, cwd=saggar.home)
    assert done.returncode == status, done
    for stream in (done.stdout, done.stderr):
        text = stream.decode()  # nothing that is not UTF-8
        assert "\x1b" not in text and ("--json" in arguments or "\u202e" not in text)
    return done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def odd(saggar):
    """A store, an image, a trail and a log directory with such a name, and a function."""
    folder = saggar.home / ODD
    folder.mkdir()
    store, image = folder / "store", folder / "i.saggar"
    saggar.env["SAGGAR_DIR"] = str(store)
    saggar.make(line("entry", name=r"g\x0a\x1b[31m"))
    script = saggar.script(adapter(), line("event", type="hit", flags=3, name="f", detail=str(image).replace("\n", r"\x0a")),
                           line("event", type="miss", flags=3, group=GROUP, detail=r"a\x0ab\xff"),
                           line("event", type="not-stored", reason="uncacheable", group=GROUP, detail=r"a\x0ab\xff"),
                           *compiled(name="h", detail=r"c\x0ad\xff"))
    call(saggar, "bake", "--all", "-o", image)
    return store, image, folder, script


def test_commands_on_tiers(saggar, odd):
    store, image, folder, _ = odd
    for command in ("ls", "stat", "check"):
        for path in (store, image):
            out, _ = call(saggar, command, path)
            assert command != "stat" or out.startswith(str(saggar.home) + "/" + SHOWN)
            json.loads(call(saggar, command, "--json", path)[0])
    assert len(call(saggar, "ls", store)[0].splitlines()) == 2
    key = json.loads(call(saggar, "ls", "--json")[0])[0]["key"]
    assert SHOWN in call(saggar, "show", key)[0]
    assert json.loads(call(saggar, "show", "--json", key)[0])[0]["entry"]["tier"].encode("utf-8", "surrogateescape") == os.fsencode(store)
    for command in (["bake", "--all", "-o", folder / "x.saggar"], ["gc"], ["doctor", "--no-python"]):
        out, _ = call(saggar, *command)
        assert SHOWN in out
        report = json.loads(call(saggar, *command, "--json")[0])
        assert os.fsencode(store.parent) in json.dumps(report, ensure_ascii=False).encode("utf-8", "surrogateescape").replace(b"\\n", b"\n").replace(b"\\u001b", b"\x1b")
    for command in ("ls", "check", "show", "stat", "gc"):
        _, error = call(saggar, command, folder / "nothing", status=2)
        assert SHOWN in error and error.count("\n") == 1


def test_commands_that_run_something(saggar, odd):
    store, image, folder, script = odd
    _, error = call(saggar, "run", "--trail", folder / "t", "--", saggar.maker, script)
    assert r"(a\nb\xff): test:m:g\n\x1b[31m\xff" in error and error.count("\n") == 2
    _, error = call(saggar, "run", "--json", "--", saggar.maker, script)
    assert json.loads(error)["reasons"][0]["functions"] == ["test:m:g\n\x1b[31m\udcff"]
    out, _ = call(saggar, "why")
    assert r"test:m:g\n\x1b[31m\xff" in out
    json.loads(call(saggar, "why", "--json")[0])
    assert SHOWN in call(saggar, "why", "--trail", folder / "t")[0]
    out, error = call(saggar, "warm", "--json", "--log-dir", folder / "logs", "--", saggar.maker, script)
    assert json.loads(out)["workloads"][0]["log"].encode("utf-8", "surrogateescape").startswith(os.fsencode(folder))
    assert r"(a\nb\xff)" in error and all(l.split()[0] in ("start", "ok", "saggar:") for l in error.splitlines())
    for command in (["true"], ["exit 3 # \n" + ODD]):
        out, error = call(saggar, "warm", "--json", *command, status=0 if command == ["true"] else 1)
        json.loads(out)
    _, error = call(saggar, "verify", "--image", image, "--", saggar.maker, script, status=1)
    assert f"{SHOWN}" in error and r"test:m:h (int64): no tier has an entry under this key (c\nd\xff)" in error
    out, _ = call(saggar, "verify", "--json", "--image", image, "--", saggar.maker, script, status=1)
    assert json.loads(out)["images"][0]["path"].encode("utf-8", "surrogateescape") == os.fsencode(image)


@pytest.mark.parametrize("form", ["raw", "python"])
def test_an_image_is_printed_in_one_way(saggar, form):
    """A path that is not UTF-8, as the file system has it and as Python's backslashreplace writes it, is one image."""
    image = saggar.home / os.fsdecode(b"caf\xe9.saggar")
    saggar.make(line("entry", name="f"))
    call(saggar, "bake", "--all", "-o", image)
    detail = image if form == "raw" else str(image).replace("\udce9", r"\udce9")
    script = saggar.script(adapter(), line("event", type="hit", flags=3, name="f", detail=detail))
    _, error = call(saggar, "verify", "--image", image, "--", saggar.maker, script)
    assert error.count(".saggar") == 1 and r"caf\xe9.saggar: 1 entry, 1 hit" in error
