"""run: the command's own output and status, the summary, the trail."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import ACTIVE, USED, adapter, compiled, line


def test_status_and_output_are_the_commands(saggar):
    result = saggar("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert result.out == "out\n" and result.err.startswith("err\n")
    assert saggar("run", "-q", "--", "sh", "-c", "kill -TERM $$", status=143).err == ""
    assert "not found" in saggar("run", "--", "no-such-command", status=127).err
    assert "could not be started" in saggar("run", "--", "/etc/passwd", status=126).err
    assert saggar("run", "-q", "--", "printf", "%s|", "--json", "-q", "--").out == "--json|-q|--|"


def test_summary(saggar):
    script = saggar.script(adapter(), line("event", type="hit"), line("event", type="hit"), *compiled(name="g"),
                           line("event", type="published", flags=USED, name="g"),
                           line("event", type="not-stored", reason="uncacheable", name="h"))
    result = saggar("run", "--", saggar.maker, script)
    assert result.err == ("saggar: 2 hits, 1 compiled, 1 stored, 1 not stored (1 process); `saggar why` explains each miss\n")
    summary = json.loads(saggar("run", "--json", "--", saggar.maker, script).err.splitlines()[-1])
    assert summary["hits"] == 2 and summary["compiled"] == 1 and summary["processes"] == 1 and summary["status"] == 0


def test_no_adapter_is_said(saggar):
    assert "no process used an adapter" in saggar("run", "--", "true").err
    script = saggar.script(adapter(False, "off: too new"))
    assert "too new" in saggar("run", "--", saggar.maker, script).err


def test_trail(saggar):
    script = saggar.script(adapter(), line("event", type="hit"), line("close"))
    trail = saggar.home / "t"
    for n in (1, 2):  # only what is new is counted
        assert "1 hit," in saggar("run", "--trail", trail, "--", saggar.maker, script).err
        assert len(list(trail.glob("*.trail"))) == n
    kept = saggar.home / "state/saggar/trails/last"
    files = list(kept.glob("*.trail"))
    assert len(files) == 1 and files[0].stat().st_size < 6000  # shrunk from 1 MiB
    assert not list(saggar.home.glob("saggar-*"))
    assert saggar("run", "--trail", script, "--", "true", status=2).err.count("\n") == 1


def test_kept_trails_are_bounded(saggar):
    script = saggar.script(adapter())
    for _ in range(40):
        saggar("run", "-q", "--", saggar.maker, script)
    stores = [p for p in (saggar.home / "state/saggar/trails").iterdir() if p.name != "last"]
    assert len(stores) == 1
    assert len(list(stores[0].iterdir())) <= 33


def test_without_a_state_directory(saggar):
    script = saggar.script(adapter(), line("event", type="hit"))
    (saggar.home / "state").write_text("a file is in the way")
    assert "1 hit," in saggar("run", "--", saggar.maker, script).err
    assert not list(saggar.home.glob("saggar-*"))  # temporary, and gone


def test_without_a_temporary_directory(saggar):
    (saggar.home / "state").write_text("a file is in the way")
    env = {"TMPDIR": "/proc"}  # /tmp is tried then
    assert "1 hit," in saggar("run", "--", saggar.maker, saggar.script(line("event", type="hit")), env=env).err


def test_environment_of_the_command(saggar):
    saggar.make(line("entry", name="f"))
    image = saggar.home / "i.saggar"
    saggar("bake", "--all", "-o", image)
    show = "echo $SAGGAR_DIR $SAGGAR_IMAGE; test -d $SAGGAR_TRAIL"
    out = saggar("run", "--image", "i.saggar", "--store", "s", "--", "sh", "-c", show, env={"SAGGAR_IMAGE": "/a:/b"}).out
    assert out == f"{saggar.home}/s {image}:/a:/b\n"
    assert saggar("run", "--", "sh", "-c", show).out == "\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(saggar, number):
    done = saggar.home / "done"
    child = subprocess.Popen([saggar.binary, "run", "-q", "--", "sh", "-c",
                              f"trap 'echo got > {done}; exit 9' TERM INT HUP; : > {done}.ready; while :; do sleep 0.05; done"],
                             env=saggar.env, stderr=subprocess.PIPE, start_new_session=True)
    while not done.with_suffix(".ready").exists():
        time.sleep(0.01)
    child.send_signal(number)
    assert child.wait(20) == 9 and done.read_text() == "got\n"


def test_the_signal_mask_is_the_users(saggar):
    out = saggar("run", "-q", "--", "cat", "/proc/self/status").out
    mask = next(l for l in out.splitlines() if l.startswith("SigBlk"))
    assert int(mask.split()[1], 16) == 0
    ignored = next(l for l in out.splitlines() if l.startswith("SigIgn"))
    own = next(l for l in open("/proc/self/status") if l.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) & ~int(own.split()[1], 16) == 0


def test_a_survivor_is_not_harmed(saggar):
    """A process that outlives the command still has its trail mapped when that is shrunk."""
    script = saggar.script(adapter(), line("sleep", ms=700), *[line("event", type="hit")] * 200, line("say", text="alive"))
    out = saggar.home / "out"
    saggar("run", "-q", "--", "sh", "-c", f"{saggar.maker} {script} > {out} 2>&1 & sleep 0.3")
    for _ in range(60):
        if out.read_text() == "alive\n":
            break
        time.sleep(0.1)
    assert out.read_text() == "alive\n"
