"""A real program on a broken cache: the right numbers, exit 0, not a word on stdout or stderr, and a counted reason.

What needs a mount is done in a mount namespace of its own; where neither root nor user namespaces allow one, it is
skipped and says so.
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from functools import lru_cache
from pathlib import Path

import pytest

PROGRAM = """
    import atexit, json, os
    counts = os.open(os.environ["COUNTS"], os.O_WRONLY)
    import saggar.numba
    saggar.numba.install()
    from saggar import _saggar
    atexit.register(lambda: os.write(counts, json.dumps(_saggar.trail_counts()).encode()))
    from numba import njit
    @njit(cache=True)
    def f(x): return x * 2 + 1
    BEFORE
    print(f(20), f(1.5))
    """
NUMBERS = "41 4.0\n"
FUNCTIONS = 2  # of an integer and of a float


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


@lru_cache
def injecting() -> bool:
    """True if strace can make system calls fail here."""
    words = ["strace", "-qq", "-o", os.devnull, "-e", "trace=getppid", "-e", "inject=getppid:error=EPERM", "true"]
    return shutil.which("strace") is not None and subprocess.run(words, capture_output=True).returncode == 0


class Program:
    """The program in an environment where nothing of the user's is seen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = root / "store"
        self.state = root / "state"
        self.counts = root / "counts"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_"))}
        self.env.update(SAGGAR_DIR=str(self.store), SAGGAR_IMAGE_PATH="none", XDG_STATE_HOME=str(self.state),
                        XDG_CACHE_HOME=str(root / "cache"), PYTHONDONTWRITEBYTECODE="1", COUNTS=str(self.counts))

    def start(self, *words: str, before: str = "", **env: str) -> subprocess.CompletedProcess[bytes]:
        """Runs it behind the words of another command."""
        script = self.root / "program.py"
        script.write_text(textwrap.dedent(PROGRAM).replace("BEFORE", textwrap.dedent(before)))
        self.counts.write_text("")
        return subprocess.run([*words, sys.executable, str(script)], env={**self.env, **env}, capture_output=True, timeout=120)

    def run(self, *words: str, before: str = "", mount: str = "", **env: str) -> dict[str, int]:
        """Runs it and checks what must always hold; the events of the process. `mount`: shell commands before it."""
        if mount:
            if not namespace():
                pytest.skip("no mount namespace: neither root nor user namespaces")
            words = (*namespace(), "sh", "-ec", f'{mount}\nexec "$@"', "sh")
            env = {"SAGGAR_TRUST": str(self.root), **env}  # in a user namespace root's directories are nobody's
        done = self.start(*words, before=before, **env)
        assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, NUMBERS, "")
        return json.loads(self.counts.read_text())

    def said(self) -> str:
        """The texts of the misses log."""
        log = self.state / "saggar" / "misses.log"
        return log.read_bytes().decode("utf-8", "replace") if log.exists() else ""

    def refused(self, counts: dict[str, int], why: str) -> None:
        """Nothing could be stored, and each time it is counted with its reason."""
        assert (counts["compiled"], counts["published"], counts["not-stored"]) == (FUNCTIONS, 0, FUNCTIONS)
        assert self.said().count(why) == FUNCTIONS

    def files(self) -> list[Path]:
        return sorted(p for p in self.store.glob("v1/*/*") if len(p.name) == 66)

    def sound(self) -> None:
        """The store serves, after one run that may mend it."""
        self.run()
        counts = self.run()
        assert (counts["hit"], counts["compiled"], counts["fault"]) == (FUNCTIONS, 0, 0)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Ran once, for `warm` to copy."""
    program = Program(tmp_path_factory.mktemp("filled"))
    counts = program.run()
    assert (counts["compiled"], counts["published"]) == (FUNCTIONS, FUNCTIONS)
    return program


@pytest.fixture
def warm(program: Program, filled: Program) -> Program:
    """The program after it ran once."""
    shutil.copytree(filled.store, program.store)
    return program


def test_a_sound_store(warm):
    assert warm.run()["hit"] == FUNCTIONS


# -- Disks and permissions -------------------------------------------------------------------------------------------------

FULL = 'mount -t tmpfs -o size=64k,mode=700 tmpfs "{0}"; dd if=/dev/zero of="{0}/fill" bs=1k 2>/dev/null || true'
READ_ONLY = 'mount --bind "{0}" "{0}"; mount -o remount,bind,ro "{0}"'


def test_full_disk(program):
    program.store.mkdir(mode=0o700)
    program.refused(program.run(mount=FULL.format(program.store)), "ENOSPACE")


def test_disk_that_becomes_full(program):
    """Room for one entry, perhaps two: what was acknowledged is complete."""
    program.store.mkdir(mode=0o700)
    counts = program.run(mount=f'mount -t tmpfs -o size=20k,mode=700 tmpfs "{program.store}"')
    assert counts["published"] + counts["not-stored"] == FUNCTIONS and counts["not-stored"]
    assert "ENOSPACE" in program.said()


def test_read_only_disk(program):
    program.store.mkdir(mode=0o700)
    program.refused(program.run(mount=READ_ONLY.format(program.store)), "EREADONLY")


def test_read_only_disk_with_entries(warm):
    counts = warm.run(mount=READ_ONLY.format(warm.store))
    assert (counts["hit"], counts["compiled"]) == (FUNCTIONS, 0)


@pytest.mark.parametrize("mount", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_state_and_trail(program, mount):
    """The trail cannot be written: nothing else suffers."""
    program.state.mkdir(mode=0o700)
    assert program.run(mount=mount.format(program.state))["published"] == FUNCTIONS
    assert program.run(mount=mount.format(program.state), SAGGAR_TRAIL=str(program.state))["hit"] == FUNCTIONS


def test_trail_that_is_a_file(warm):
    assert warm.run(SAGGAR_TRAIL=str(warm.counts))["hit"] == FUNCTIONS


def test_directory_of_another_user(warm):
    if os.geteuid() != 0:
        pytest.skip("needs root to make a directory of another user")
    os.chown(warm.store, 12345, 12345)
    warm.refused(warm.run(), "EUNTRUSTED")


def test_directory_that_all_may_write(warm):
    warm.store.chmod(0o777)
    warm.refused(warm.run(), "EUNTRUSTED")
    warm.store.chmod(0o700)
    assert warm.run()["hit"] == FUNCTIONS


def test_no_permission(program):
    """As somebody whose own store has lost its rights."""
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv to be another user than root")
        words = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        for path in (program.root, *program.root.parents):
            if not os.stat(path).st_mode & 0o001:
                path.chmod(0o755) if path.name.startswith(("test_", "pytest-")) else pytest.skip("others may not enter here")
        if subprocess.run([*words, sys.executable, "-c", "import numba"], capture_output=True).returncode:
            pytest.skip("another user may not run this Python")
        program.store.mkdir()
        program.state.mkdir()
        (program.root / "counts").write_text("")
        for path in (program.root, program.store, program.state, program.counts):
            os.chown(path, 65534, 65534)
    else:
        words = ()
        program.store.mkdir()
    program.store.chmod(0o500)
    program.refused(program.run(*words), "EACCES")
    program.store.chmod(0)
    assert program.run(*words)["not-stored"] == FUNCTIONS


# -- What lies where the store should be -------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["file", "fifo", "socket", "dangling link", "loop", "below a file", "too long"])
def test_no_store_there(program, kind):
    path = program.store
    if kind in ("file", "below a file"):
        path.write_text("mine")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        os.chdir(program.root)
        socket.socket(socket.AF_UNIX).bind("store")
    elif kind in ("dangling link", "loop"):
        path.symlink_to("store" if kind == "loop" else "nowhere")
    where = {"below a file": f"{path}/x", "too long": f"{path}/" + "x/" * 2040}.get(kind, str(path))
    counts = program.run(SAGGAR_DIR=where)
    assert (counts["compiled"], counts["published"], counts["not-stored"]) == (FUNCTIONS, 0, FUNCTIONS)
    if kind == "file":
        assert path.read_text() == "mine"


def test_odd_names(program):
    where = os.fsdecode(os.fsencode(program.root) + b"/a\nb\xff\xfe'\"$(x):")
    for event in ("published", "hit"):
        assert program.run(SAGGAR_DIR=where)[event] == FUNCTIONS


def test_link_to_a_store(warm):
    warm.store.rename(warm.root / "real")
    warm.store.symlink_to("real")
    assert warm.run()["hit"] == FUNCTIONS


def test_no_home(program):
    nothing = {"SAGGAR_DIR": "", "HOME": "", "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
    counts = program.run(**nothing)
    assert (counts["compiled"], counts["not-stored"]) == (FUNCTIONS, FUNCTIONS)


def test_store_removed_during_the_run(program):
    counts = program.run(before="""
        f(1)
        import shutil
        shutil.rmtree(os.environ["SAGGAR_DIR"])
        """)
    assert counts["published"] == FUNCTIONS and counts["fault"] == 0
    program.sound()


# -- Limits of the process ---------------------------------------------------------------------------------------------------

def test_file_size_limit(program):
    counts = program.run(before="""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python alone ignores it
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        """)
    assert (counts["published"], counts["not-stored"]) == (0, FUNCTIONS)
    assert list(program.store.rglob(".tmp-*")) == []


def test_no_descriptors_left(program):
    before = """
        @njit
        def warm(x): return x + 1
        warm(1), warm(1.5)  # what the compiler opens on first use
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True: held.append(os.dup(1))
        except OSError: pass
        atexit.register(lambda: [os.close(d) for d in held])
        """
    counts = program.run(before=before)
    assert counts["compiled"] == FUNCTIONS + 2 and counts["not-stored"] + counts["fault"] >= FUNCTIONS
    program.run()
    counts = program.run(before=before)  # the same where there is something to read
    assert counts["miss"] + counts["fault"] >= FUNCTIONS
    assert program.run()["hit"] == FUNCTIONS


# -- What lies in the store --------------------------------------------------------------------------------------------------

def _swap(files: list[Path]) -> None:
    contents = [p.read_bytes() for p in files]
    for path, other in zip(files, contents[1:] + contents[:1]):
        path.chmod(0o600)
        path.write_bytes(other)


def _edit(change):
    def edit(files: list[Path]) -> None:
        for path in files:
            path.chmod(0o600)
            path.write_bytes(change(path.read_bytes()))
    return edit


DAMAGE = {
    "cut short": (_edit(lambda b: b[:len(b) // 2]), "damaged"),
    "empty": (_edit(lambda b: b""), "damaged"),
    "a flipped bit": (_edit(lambda b: b[:200] + bytes([b[200] ^ 4]) + b[201:]), "damaged"),
    "a newer major version": (_edit(lambda b: b[:8] + b"\x02\x00" + b[10:]), "newer version"),
    "another kind of file": (_edit(lambda b: b"#!/bin/sh\n" * 100), "not a Saggar file"),
    "under each other's names": (_swap, "not its key"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_bad_entries(warm, kind):
    program = warm
    change, reason = DAMAGE[kind]
    files = program.files()
    assert len(files) == FUNCTIONS
    change(files)
    counts = program.run()
    assert (counts["hit"], counts["compiled"], counts["miss"]) == (0, FUNCTIONS, FUNCTIONS)
    assert reason in program.said()
    if kind == "a newer major version":
        assert len(program.files()) == 2 * FUNCTIONS  # kept for those who can read it
    assert program.run()["hit"] == FUNCTIONS  # repaired


def test_times_and_litter_do_not_matter(warm):
    """A clock that was set back, and what a killed process left."""
    for path, when in zip(warm.files(), (0, 2**33)):
        (path.parent / ".tmp-00000000-1-1-1").write_bytes(path.read_bytes()[:100])
        os.utime(path, (when, when))
    counts = warm.run()
    assert (counts["hit"], counts["compiled"]) == (FUNCTIONS, 0)


# -- System calls ------------------------------------------------------------------------------------------------------------

def strace(call: str, what: str) -> tuple[str, ...]:
    if not injecting():
        pytest.skip("strace may not trace or inject here")
    return ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{what}")


def test_links_refused(program):
    assert program.run(*strace("linkat", "error=EPERM"))["published"] == FUNCTIONS
    assert program.run()["hit"] == FUNCTIONS


def test_a_sick_disk(program):
    program.refused(program.run(*strace("fdatasync", "error=EIO")), "EIO")
    assert list(program.store.rglob(".tmp-*")) == []


def test_killed_while_it_publishes(program):
    done = program.start(*strace("linkat", "signal=SIGKILL:when=2"))
    assert done.returncode in (-9, 137) and len(program.files()) == 1
    counts = program.run()
    assert (counts["hit"], counts["published"]) == (1, 1)
    assert program.run()["hit"] == FUNCTIONS
