"""run: the command's own output and status, the summary, the trail."""
from __future__ import annotations

import json
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
    assert result.err == ("saggar: 2 hits, 1 compiled, 1 stored, 1 not stored (1 process); `saggar why` explains each miss\n"
                          "saggar: marked for caching and cannot be cached, 1 time: the function cannot be cached: test:m:h\n")
    summary = json.loads(saggar("run", "--json", "--", saggar.maker, script).err.splitlines()[-1])
    assert summary["hits"] == 2 and summary["compiled"] == 1 and summary["processes"] == 1 and summary["status"] == 0


def test_what_was_not_stored_is_told_by_reason(saggar):
    full = [line("event", type="not-stored", reason="publish-failed", name=f"g{i}", detail="ENOSPACE: no space left") for i in range(5)]
    never = [[*compiled(name=n), line("event", type="not-stored", reason="uncacheable", name=n, detail=r"a\x0apointer")] for n in "hi"]
    script = saggar.script(adapter(), *full, *never[0], *never[1])
    lines = saggar("run", "--", saggar.maker, script).err.splitlines()
    assert lines[0].startswith("saggar: 0 hits, 2 compiled, 0 stored, 7 not stored (1 process)")
    assert lines[1:] == [
        "saggar: not stored, 5 times: the entry could not be stored (ENOSPACE: no space left): test:m:g0, test:m:g1, test:m:g2 and 2 more",
        r"saggar: marked for caching and cannot be cached, 2 times: the function cannot be cached (a\npointer): test:m:h, test:m:i"]
    report = json.loads(saggar("run", "--json", "--", saggar.maker, script).err.splitlines()[-1])
    assert report["uncacheable"] == 2 and report["not_stored"] == 7
    assert report["reasons"][0] == {"reason": "publish-failed", "detail": "ENOSPACE: no space left", "times": 5,
                                    "functions": [f"test:m:g{i}" for i in range(5)]}
    assert [(r["reason"], r["times"]) for r in report["reasons"]] == [("publish-failed", 5), ("uncacheable", 2)]


def test_a_full_state_directory(saggar):
    (saggar.home / "state").mkdir()
    script = saggar.script(adapter(), line("event", type="hit"))
    result = saggar.mounted(saggar.home / "state", "size=256k", "run", "--", saggar.maker, script)
    assert result.err.startswith("saggar: 1 hit,")  # a temporary place is taken
    assert f"the trail is not kept: {saggar.home}/state" in result.err and "No space left" in result.err and "--trail DIR" in result.err
    filled = saggar.script(adapter(), line("event", type="miss", name="f"))
    assert "saggar why" not in saggar.mounted(saggar.home / "state", "size=256k", "run", "--", saggar.maker, filled).err.splitlines()[0]
    trail = saggar.home / "trail"
    trail.mkdir()
    refused = saggar.mounted(trail, "size=256k", "run", "--trail", trail, "--", saggar.maker, script, status=2)
    assert f"--trail {trail}: trails cannot be written there: No space left" in refused.err


def test_trails_that_could_not_be_written(saggar):
    """The disk is filled, or the size of files limited, while the command runs: its status stays its own."""
    script = saggar.script(adapter(), line("event", type="hit"))
    command = ["sh", "-c", f"ulimit -f 100; {saggar.maker} {script}; exit 3"]
    result = saggar("run", "--", *command, status=3)
    assert "no process used" not in result.err and result.err.count("\n") == 1
    assert f"the trails could not be written in {saggar.home}/state/saggar/trails/" in result.err
    report = json.loads(saggar("run", "--json", "--", *command, status=3).err.splitlines()[-1])
    assert report["processes"] == 0 and str(saggar.home) in report["trouble"]
    assert json.loads(saggar("run", "--json", "--", "true").err.splitlines()[-1])["trouble"] is None
    warmed = saggar("warm", "--json", "--", *command[:2], command[2].replace("exit 3", "exit 0"))
    assert "the trails could not be written in" in warmed.err and warmed.json["trouble"]
    proof = saggar("verify", "--", *command[:2], command[2].replace("exit 3", "exit 0"), status=4)
    assert "1 file was not written whole" in proof.err


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
    error = saggar("run", "--", saggar.maker, script).err
    assert "1 hit," in error and "the trail is not kept" in error and "Not a directory" in error
    assert "the trail is not kept" in saggar("warm", "--", str(saggar.maker), str(script)).err
    assert "not kept" not in saggar("run", "--trail", "t", "--", saggar.maker, script).err
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM])
def test_signals_are_passed_on(saggar, number):
    done = saggar.home / "done"
    child = subprocess.Popen([saggar.binary, "run", "-q", "--", "sh", "-c",
                              f"trap 'echo got > {done}; exit 9' TERM INT HUP USR1 USR2 ALRM; : > {done}.ready; while :; do sleep 0.05; done"],
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
