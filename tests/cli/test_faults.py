"""Faults of disks, rights, files and users' arguments: one clear line, a documented status, and nothing lost."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from functools import lru_cache

import pytest

from conftest import USED, line


@lru_cache
def namespace() -> tuple[str, ...]:
    """What to put before a command so that it may mount; empty: nothing works here."""
    for words in (("unshare", "-m"), ("unshare", "-r", "-m")):
        try:
            if subprocess.run([*words, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0:
                return words
        except OSError:
            pass
    return ()


class Mounted:
    """The command behind shell commands that mount, in a namespace of its own."""

    def __init__(self, saggar, mount: str) -> None:
        if not namespace():
            pytest.skip("no mount namespace: neither root nor user namespaces")
        self.saggar, self.mount = saggar, mount

    def __call__(self, *words, status=0, env=None):
        saggar = self.saggar
        done = subprocess.run([*namespace(), "sh", "-ec", f'{self.mount}\nexec "$@"', "sh", saggar.binary, *map(str, words)],
                              env={**saggar.env, "SAGGAR_TRUST": str(saggar.home), **(env or {})}, cwd=saggar.home,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done


def full(path) -> str:
    return f"mount -t tmpfs -o size=16k,mode=700 tmpfs '{path}'; dd if=/dev/zero of='{path}/fill' bs=1k 2>/dev/null || true"


def read_only(path) -> str:
    return f"mount --bind '{path}' '{path}'; mount -o remount,bind,ro '{path}'"


def one_line(result, *parts: str) -> None:
    assert len(result.stderr.splitlines() if hasattr(result, "stderr") else result.err.splitlines()) == 1
    for part in parts:
        assert part in (result.stderr if hasattr(result, "stderr") else result.err), part


@pytest.fixture
def filled(saggar):
    """A store with three entries and an image of it."""
    saggar.make(line("many", count=3))
    saggar("bake", "--all", "-o", saggar.home / "a.saggar")
    return saggar


# -- Disks -----------------------------------------------------------------------------------------------------------------

def test_full_disk(filled):
    out = filled.home / "out"
    out.mkdir()
    script = filled.script(line("event", type="adapter", flags=4, nokey=1), line("event", type="hit", flags=USED, name="f1"),
                           line("close"))
    one_line(Mounted(filled, full(out) + f"; cd '{out}'")("bake", "--all", "-o", out / "x.saggar", status=2), str(out / "x.saggar"), "space")
    ended = Mounted(filled, full(out))("run", "--", filled.maker, script, env={"XDG_STATE_HOME": str(out)})
    assert "1 hit" in ended.stderr.splitlines()[0]  # the trail went to the temporary directory
    Mounted(filled, full(out))("warm", "--", filled.maker, script, env={"XDG_STATE_HOME": str(out)})
    Mounted(filled, full(out))("run", "--", "sh", "-c", "exit 9", status=9, env={"XDG_STATE_HOME": str(out), "TMPDIR": str(out)})


def test_full_disk_keeps_the_older_image(filled):
    """The old image stays whole, and no unfinished file beside it."""
    out = filled.home / "out"
    out.mkdir()
    mount = f"mount -t tmpfs -o size=64k,mode=700 tmpfs '{out}'; cp '{filled.home}/a.saggar' '{out}'"
    after = f"""{mount}; dd if=/dev/zero of='{out}/fill' bs=1k 2>/dev/null || true
        '{filled.binary}' bake --all -o '{out}/a.saggar' && exit 1
        test "$(ls -A '{out}')" = "$(printf 'a.saggar\\nfill')"; set --  "$1" check '{out}/a.saggar'"""
    done = Mounted(filled, after)("ignored")
    assert "every digest agrees" in done.stdout


def test_read_only_disk(filled):
    """What only reads works; what writes says so."""
    ro = Mounted(filled, read_only(filled.home))
    key = filled("ls", "--json").json[0]["key"]
    for words in (("ls",), ("show", key), ("stat",), ("check",), ("check", filled.home / "a.saggar"), ("host",)):
        ro(*words)
    one_line(ro("bake", "--all", "-o", filled.home / "b.saggar", status=2), "b.saggar", "ead-only")
    one_line(ro("run", "--trail", filled.home / "t", "--", "true", status=2), str(filled.home / "t"))
    ro("run", "--", "sh", "-c", "exit 9", status=9)
    ro("gc", "--max-size", "0", status=1)
    ro("verify", "--image", filled.home / "a.saggar", "--", "true", status=4)
    assert len(filled.files()) == 3 and filled("check").out


# -- Rights ----------------------------------------------------------------------------------------------------------------

def test_a_store_of_somebody_else(filled):
    if os.geteuid() != 0:
        pytest.skip("needs root to make a store of another user")
    os.chown(filled.store, 12345, 12345)
    for words in (("ls",), ("gc",), ("bake", "--all"), ("stat",), ("check",)):
        one_line(filled(*words, status=2), str(filled.store))
    assert "12345" in filled("doctor", status=1).out or "belongs" in filled("doctor", status=1).out
    assert not (filled.home / "saggar.saggar").exists()


def test_a_store_that_all_may_write(filled):
    filled.store.chmod(0o777)
    one_line(filled("ls", status=2), str(filled.store), "writ")
    assert filled("ls", env={"SAGGAR_TRUST": str(filled.store)}).out


# -- What lies where something else should -----------------------------------------------------------------------------------

@pytest.fixture
def odd(filled):
    """Paths that are neither stores nor images."""
    home = filled.home
    (home / "file").write_text("x" * 1000)
    os.mkfifo(home / "fifo")
    (home / "loop").symlink_to("loop")
    (home / "empty").write_bytes(b"")
    (home / "folder").mkdir()
    here = os.getcwd()
    os.chdir(home)
    socket.socket(socket.AF_UNIX).bind("socket")
    os.chdir(here)
    return filled


@pytest.mark.parametrize("name", ["file", "fifo", "loop", "empty", "folder", "socket", "file/x", "/dev/null", "/dev/zero"])
def test_neither_store_nor_image(odd, name):
    path = os.path.join(odd.home, name)
    for words in (("ls", path), ("stat", path), ("gc", "--store", path), ("bake", "--all", "--store", path),
                  ("run", "--image", path, "--", "true"), ("verify", "--image", path, "--", "true")):
        if name == "loop" and words[0] == "bake":
            continue
        result = odd(*words, status=2, timeout=10)
        assert result.out == ""
        one_line(result, path)
    assert not (odd.home / "saggar.saggar").exists()
    for kind in ("fifo", "loop", "file", "socket"):
        assert os.path.lexists(odd.home / kind)


def test_a_plan_that_is_a_folder(odd):
    one_line(odd("warm", "--plan", odd.home / "folder", status=2), "folder")
    one_line(odd("warm", "--plan", odd.home / "empty", status=2), "empty")
    one_line(odd("warm", "--plan", odd.home / "none", status=2), "none")


def test_links_to_a_store_and_an_image(filled):
    (filled.home / "s").symlink_to(filled.store)
    (filled.home / "i.saggar").symlink_to("a.saggar")
    for path in ("s", "i.saggar"):
        assert len(filled("ls", "--json", filled.home / path).json) == 3
    assert "removed 3 entries" in filled("gc", "--max-size", "0", "--store", filled.home / "s").out


# -- What lies in a store ------------------------------------------------------------------------------------------------------

def copies(saggar, good: bytes, change) -> list:
    """A changed copy for each position, checked in one call: the numbers of those that are not found bad."""
    folder = saggar.home / "copies"
    folder.mkdir()
    for at in range(len(good)):
        (folder / f"{at:05d}").write_bytes(change(at))
    names = sorted(folder.iterdir())
    bad = set()
    for start in range(0, len(names), 4000):
        result = saggar("check", *names[start:start + 4000], status=1)
        bad |= {text.split(":")[0] for text in result.out.splitlines()}
    return [p.name for p in names if str(p) not in bad]


@pytest.mark.parametrize("kind", ["entry", "image"])
def test_every_byte_and_every_length(saggar, kind):
    saggar.make(line("entry", name="f", size=60))
    path = saggar.files()[0]
    size = saggar("ls", "--json").json[0]["bytes"]  # without the annex, which decides nothing
    if kind == "image":
        path = saggar.home / "a.saggar"
        saggar("bake", "--all", "-o", path)
        size = path.stat().st_size
    good = path.read_bytes()[:size]
    assert copies(saggar, good, lambda at: good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1:]) == []
    shutil.rmtree(saggar.home / "copies")
    assert copies(saggar, good, lambda at: good[:at]) == []


def test_newer_versions_are_kept(filled):
    path = filled.files()[0]
    data = bytearray(path.read_bytes())
    data[8:10] = b"\x02\x00"
    path.chmod(0o600)
    path.write_bytes(data)
    found = filled("check", status=1).out
    assert str(path) in found and "newer version" in found
    assert len(filled("ls", "--json", status=1).json) == 2
    filled("bake", "--all", "-o", filled.home / "b.saggar", status=None)
    assert len(filled("ls", "--json", filled.home / "b.saggar").json) == 2
    filled("gc")
    assert path.read_bytes() == data
    image = filled.home / "a.saggar"
    data = bytearray(image.read_bytes())
    data[8:10] = b"\x02\x00"
    image.chmod(0o600)
    image.write_bytes(data)
    assert "newer version" in filled("check", image, status=1).out
    one_line(filled("ls", image, status=2), str(image), "newer version")
    one_line(filled("verify", "--image", image, "--", "true", status=2), str(image), "newer version")


def test_unfinished_files(filled):
    """Old ones go, young ones stay: somebody may be writing them."""
    folder = filled.files()[0].parent
    old, young = folder / ".tmp-00000000-1-1-1", folder / ".tmp-00000000-2-2-2"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90000,) * 2)
    assert len(filled("ls", "--json").json) == 3 and "agrees" in filled("check").out
    assert "1 unfinished file" in filled("gc").out
    assert young.exists() and not old.exists() and len(filled.files()) == 3


def test_clock_set_back(filled):
    """Entries from the future are as good as others, and no reason to remove anything."""
    for path in filled.files():
        os.utime(path, (time.time() + 10**8,) * 2)
    assert "removed 0 entries" in filled("gc", "--max-age", "1d").out
    assert "agrees" in filled("check").out


def test_a_store_that_is_removed_meanwhile(filled):
    """Under `run`: the program makes it anew. Under the readers: what was read is right, the status is documented."""
    script = filled.script(line("entry", name="new"))
    filled("run", "--", "sh", "-c", f"rm -rf '{filled.store}'; exec '{filled.maker}' '{script}'")
    assert [e["group"] for e in filled("ls", "--json").json] == ["test:m:new"]
    filled.make(line("many", count=200))
    remover = subprocess.Popen(["sh", "-c", f"for d in '{filled.store}'/v1/*; do rm -rf \"$d\"; done"])
    for words in (("ls",), ("check",), ("stat",), ("gc",)):
        assert filled(*words, status=None).status in (0, 1)
    assert remover.wait() == 0


# -- Streams, signals, limits ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(filled, closed):
    """Each command ends with a documented status, and writes into no file by mistake."""
    before = {p: p.read_bytes() for p in filled.files()}
    for words, good in (("ls", 0), ("check", 0), ("gc", 0), ("bake --all -o c.saggar", 0), ("run -- true", 0),
                        ("verify -- true", 4)):
        done = subprocess.run(["sh", "-c", f'exec "$0" {words} {closed}', filled.binary], env=filled.env, cwd=filled.home,
                              capture_output=True, timeout=60)
        assert done.returncode in (good, 6), words  # 6: what was to be printed could not be
        if ">&-" in closed.split() and words in ("ls", "check"):
            assert done.returncode == 6
    assert {p: p.read_bytes() for p in filled.files()} == before
    assert "agrees" in filled("check", filled.home / "c.saggar").out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_verify_is_interrupted(filled, number):
    """The command gets the signal, no process and no private store is left, and the status says that there is no verdict."""
    done = subprocess.Popen([filled.binary, "verify", "--", "sh", "-c", "echo up; exec sleep 60"], env=filled.env, cwd=filled.home,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert done.stdout.readline() == "up\n"
    done.send_signal(number)
    _, err = done.communicate(timeout=20)
    assert done.returncode in (5, 128 + number) and "signal" in err
    assert list(filled.home.glob("saggar-??????")) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(done.pid, 0)


def test_bake_is_killed(filled):
    """At whatever point: the older image stays whole or the newer one is there."""
    filled.make(line("many", count=300, module="other", size=20000))
    image = filled.home / "a.saggar"
    for delay in (0.002, 0.005, 0.01, 0.02, 0.04):
        done = subprocess.Popen([filled.binary, "bake", "--all", "-o", image], env=filled.env, cwd=filled.home,
                                stdout=subprocess.DEVNULL)
        time.sleep(delay)
        done.kill()
        done.wait()
        assert "agrees" in filled("check", image).out
    assert len(filled.files()) == 303


def test_little_memory(filled):
    """Out of memory is one line and a status, never a crash."""
    if b"__asan_init" in open(filled.binary, "rb").read():
        pytest.skip("the address sanitizer needs more room than that")
    for limit in (9000, 12000, 20000, 40000):
        for words in ("ls", "check", "stat", "gc"):
            done = subprocess.run(["sh", "-c", f'ulimit -v {limit} && exec "$0" {words}', filled.binary], env=filled.env,
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode in (0, 1, 2, 127), (limit, words, done.returncode)
    assert len(filled.files()) == 3


def test_few_descriptors_and_many_images(filled):
    folder = filled.home / "images"
    folder.mkdir()
    for number in range(300):
        shutil.copy(filled.home / "a.saggar", folder / f"{number}.saggar")
    images = ":".join(map(str, folder.iterdir()))
    done = subprocess.run(["sh", "-c", 'ulimit -n 24 && exec "$0" ls --all --json', filled.binary],
                          env={**filled.env, "SAGGAR_IMAGE": images}, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout.count(b'"test:m:f0"') == 301


# -- Arguments ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("words, part", [
    (("run", "python3", "x.py"), "`--` is missing"),
    (("verify", "python3"), "`--` is missing"),
    (("run", "--"), "no command"),
    (("run", "--image", "a.saggar", "--", "/nonexistent/x\ny"), "x\\ny"),
    (("gc", "--max-size", "1e30"), "1e30"),
    (("gc", "--max-size", "nan"), "nan"),
    (("gc", "--max-size", "-1"), "-1"),
    (("gc", "--max-age", "99999999999999999999w"), "99999999999999999999w"),
    (("warm", "--jobs", "99999999999999999999", "true"), "99999999999999999999"),
    (("ls", b"\xff\xfe\n"), "\\xff\\xfe\\n"),
    (("ls", "x" * 300), "x" * 300),
    (("ls", "x/" * 2500), "x/x/"),
    (("bake", "--all", "-o", "x" * 300), "x" * 300),
])
def test_arguments(filled, words, part):
    result = filled(*words, status=127 if "\\n" in part and words[0] == "run" else 2)
    one_line(result, part)
    assert result.out == "" and len(filled.files()) == 3


def test_odd_names_of_files(filled):
    """Newlines and bytes that are no text, in the names of a store, an image and a command."""
    home = os.fsencode(filled.home)
    store, image = home + b"/s\n\xff", home + b"/i\n\xff.saggar"
    filled.make(line("many", count=2, store=os.fsdecode(store).replace("\n", r"\x0a")))
    assert "\n" not in filled("bake", "--all", "--store", store, "-o", image).out[:-1]
    assert len(filled("ls", "--json", image).json) == 2
    assert "agrees" in filled("check", store, image).out
    assert "2 entries" in filled("gc", "--max-size", "0", "--store", store).out
