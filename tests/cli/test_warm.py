"""warm: workloads side by side, logs, failures, signals."""
from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from conftest import CACHEABLE, USED, adapter, compiled, line


def workload(saggar, name):
    """A command that compiles and publishes one function."""
    return f"{saggar.maker} " + str(saggar.script(adapter(), *compiled(name=name), line("entry", name=name),
                                                 line("event", type="published", flags=USED | CACHEABLE, name=name)))


def test_warm_then_bake(saggar):
    result = saggar("warm", workload(saggar, "f"), workload(saggar, "g"), "--", *workload(saggar, "h").split())
    assert result.out == ""
    lines = result.err.splitlines()
    assert sorted(l.split()[0] for l in lines) == ["ok"] * 3 + ["saggar:"] + ["start"] * 3
    assert lines[-1].startswith("saggar: 3 workloads in ") and lines[-1].endswith("3 ok, 0 failed; 3 compiled (3 marked for caching), 0 hits")
    saggar.make(line("entry", name="unused"))
    assert saggar("bake", "--json").json["entries"] == 3
    saggar("warm", workload(saggar, "i"))
    assert saggar("bake", "--json").json["entries"] == 4  # warm-ups add up


def test_plan(saggar):
    plan = saggar.home / "plan.txt"
    plan.write_text(f"# what to warm\n\nfirst: {workload(saggar, 'f')}\n  second:  echo \"a  b\" && exit 0   \n"
                    f"echo http://x:80 # not a name\n")
    result = saggar("warm", "--plan", plan, "--jobs", "1", "--log-dir", "logs", "--json")
    jobs = result.json["workloads"]
    assert [j["name"] for j in jobs] == ["first", "second", "3-echo"]
    assert [j["compiled"] for j in jobs] == [1, 0, 0] and all(j["state"] == "ok" for j in jobs)
    assert (saggar.home / "logs/second.log").read_text() == "a  b\n"
    assert jobs[1]["log"] == str(saggar.home / "logs/second.log") and jobs[0]["status"] == 0


@pytest.mark.parametrize("text, says", [
    ("", "no command in it"), ("# only\n\n", "no command in it"), ("a: true\nb: true\na: false\n", "plan:3: the name a"),
    ("a:\n", "plan:1: no command"), ("true\n\0\n", "zero byte"), (".x: true\n", "plan:1: the name .x"),
])
def test_bad_plans(saggar, text, says):
    plan = saggar.home / "plan"
    plan.write_text(text)
    result = saggar("warm", "--plan", plan, status=2)
    assert says in result.err and result.err.count("\n") == 1
    assert "No such file" in saggar("warm", "--plan", "nope", status=2).err
    assert "directory" in saggar("warm", "--plan", saggar.home, status=2).err


def test_a_failure_does_not_stop_the_others(saggar):
    noisy = "seq 1 50; printf 'odd\\033[31m\\377 end'; exit 3"
    result = saggar("warm", "--jobs", "2", noisy, workload(saggar, "f"), "kill -SEGV $$", "true", status=1)
    text = result.err
    assert "1-seq: exited with status 3" in text
    assert "signal 11" in text
    assert text.splitlines()[-2:] == ["saggar: failed: 1-seq", "saggar: failed: 3-kill"]
    assert "2 ok, 2 failed; 1 compiled" in text
    tail = [l.strip() for l in text.splitlines() if l.startswith("    ")]
    assert tail[0] == "32" and tail[18] == "50" and tail[19] == r"odd\x1b[31m\xff end" and tail[20].startswith("log: ")
    assert "\x1b" not in text
    states = [j["state"] for j in saggar("warm", "--json", "false", "true", status=1).json["workloads"]]
    assert states == ["failed", "ok"]


def test_what_was_not_stored_is_told(saggar):
    full = [line("event", type="not-stored", reason="publish-failed", name=n, detail="ENOSPACE: no space left") for n in "fg"]
    never = [*compiled(name="h"), line("event", type="not-stored", reason="uncacheable", name="h", detail="a pointer")]
    one, two = (f"{saggar.maker} {saggar.script(adapter(), *events)}" for events in (full, [*full, *never]))
    result = saggar("warm", "--json", one, two)
    assert result.err.splitlines()[-3].endswith("1 compiled (1 marked for caching), 0 hits, 5 not stored")
    assert result.err.splitlines()[-2:] == [
        "saggar: not stored, 4 times: the entry could not be stored (ENOSPACE: no space left): test:m:f, test:m:g",
        "saggar: marked for caching and cannot be cached, 1 time: the function cannot be cached (a pointer): test:m:h"]
    first, second = result.json["workloads"]
    assert (first["not_stored"], first["uncacheable"]) == (2, 0) and (second["not_stored"], second["uncacheable"]) == (3, 1)
    assert first["reasons"] == [{"reason": "publish-failed", "detail": "ENOSPACE: no space left", "times": 2,
                                 "functions": ["test:m:f", "test:m:g"]}]


def test_logs_that_cannot_be_written(saggar):
    error = saggar("warm", "--log-dir", "/proc/logs", "true", status=2).err
    assert "--log-dir /proc/logs: no log can be written there: " in error and "give another directory with --log-dir DIR" in error
    assert error.count("\n") == 1
    (saggar.home / "logs").mkdir()
    (saggar.home / "logs/1-true.log").symlink_to("/dev/null")
    error = saggar("warm", "--log-dir", "logs", "true", status=1).err
    assert f"its log {saggar.home}/logs/1-true.log cannot be written: " in error and "with --log-dir DIR" in error
    (saggar.home / "kept").mkdir()
    (saggar.home / "blocked").write_text("")
    assert "could not be made" in saggar("warm", "--trail", "blocked/x", "true", status=2).err


def test_a_command_that_is_not_there(saggar):
    result = saggar("warm", "--", "no-such-command", status=1)
    assert "could not be started" in result.err
    assert "exited with status 127" in saggar("warm", "no-such-command now", status=1).err


def test_jobs(saggar):
    count = "date +%s%N > $$.begin; sleep 0.3; date +%s%N > $$.end"
    saggar("warm", "--jobs", "2", *[f"cd {saggar.home}; {count}"] * 5)
    times = sorted([(int(p.read_text()), 1) for p in saggar.home.glob("*.begin")]
                   + [(int(p.read_text()), -1) for p in saggar.home.glob("*.end")])
    running = [sum(step for _, step in times[:i + 1]) for i in range(len(times))]
    assert len(times) == 10 and max(running) == 2
    begin = time.monotonic()
    saggar("warm", "sleep 0.6", "sleep 0.6")  # at least two at a time
    assert time.monotonic() - begin < 1.15


def test_given_trail(saggar):
    saggar("warm", "--trail", "t", workload(saggar, "f"), workload(saggar, "g"))
    assert len(list((saggar.home / "t").glob("*/*.trail"))) == 2
    assert saggar("bake", "--trail", "t", "--json").json["entries"] == 2
    err = saggar("warm", "--trail", "t", workload(saggar, "f")).err
    assert "; 1 compiled" in err  # what lay there before is not counted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all(saggar, number):
    mark = saggar.home / "mark"
    child = subprocess.Popen([saggar.binary, "warm", "--jobs", "2", "true", f"touch {mark}; sleep 100 & sleep 100", "sleep 100",
                              "echo never"], env=saggar.env, stderr=subprocess.PIPE, cwd=saggar.home)
    while not mark.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    child.send_signal(number)
    err = child.communicate(timeout=20)[1].decode()
    assert child.returncode == 128 + number
    assert "1 ok, 0 failed, 2 stopped, 1 not started" in err
    assert subprocess.run(["pgrep", "-g", "0", "-f", "sleep 100"], stdout=subprocess.PIPE).stdout == b""


def test_a_stubborn_one_is_killed(saggar):
    mark = saggar.home / "mark"
    child = subprocess.Popen([saggar.binary, "warm", f"trap '' INT; touch {mark}; while :; do sleep 0.1; done"], env=saggar.env,
                             stderr=subprocess.PIPE)
    while not mark.exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(3) == 130


def test_children_end_with_us(saggar):
    mark = saggar.home / "mark"
    child = subprocess.Popen([saggar.binary, "warm", "--", "sh", "-c", f"echo $$ > {mark}; exec sleep 100"], env=saggar.env,
                             stderr=subprocess.DEVNULL)
    while not mark.exists() or not mark.read_text():
        time.sleep(0.01)
    child.kill()
    child.wait()
    pid = int(mark.read_text())
    for _ in range(100):
        if not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split()[2] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("the workload outlived the command")


def test_progress_on_a_terminal(saggar):
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    child = subprocess.Popen([saggar.binary, "warm", "sleep 0.8", "false"], stderr=there, env={**saggar.env, "TERM": "xterm"})
    os.close(there)
    out = b""
    try:
        while chunk := os.read(here, 65536):
            out += chunk
    except OSError:
        pass
    assert child.wait(20) == 1
    text = out.decode()
    assert "running 1-sleep" in text and "\x1b[" in text and "of 2 done" in text
    assert "start " not in text and "2-false: exited with status 1" in text
    assert text.splitlines()[-1].endswith("failed: 2-false")
