"""Two warm-ups that differ in path, order, hash seed, umask, locale, time zone and host name bake to the same bytes, for one target."""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

SAGGAR = os.environ.get("SAGGAR_BIN")
PROGRAM = """\
import sys
import saggar.numba
saggar.numba.install()
import numba, numpy

@numba.njit(cache=True, fastmath={"nnan", "arcp", "contract", "ninf"})
def scale(x):
    return x * 2 + 1

@numba.njit(cache=True)
def total(a):
    s = 0.0
    for i in range(a.size):
        s += scale(a[i])
    return s

@numba.vectorize(["f8(f8,f8)"], cache=True)
def join(a, b):
    return a * b + 1

@numba.njit(cache=True, parallel=True)
def spread(a):
    s = 0.0
    for i in numba.prange(a.size):
        s += a[i]
    return s

def make(k):
    @numba.njit(cache=True)
    def closure(x):
        return x + k
    return closure

@numba.njit(cache=True)
def steps(a, b, c, d):
    first, second, third, fourth = a + 1, b * 2, c - 3, d / 4
    for i in range(3):
        yield first * i + second
        first, second, third, fourth = fourth, first, second, third + i

pair = numpy.dtype([("first", "i4"), ("second", "f8")])

@numba.njit(cache=True)
def rows(n):
    return numpy.zeros(n, pair)

@numba.njit(cache=True)
def added(x, y):
    return x + y

@numba.njit(cache=True)
def multiplied(x, y):
    return x * y

@numba.njit(cache=True)
def given_out(a):
    return steps(a, a, a, a)

@numba.njit(cache=True)
def listed(a):
    return sum([x * 2 for x in a])

@numba.njit(inline="always")
def inside(n):
    t = 0
    for i in range(n):
        t += i * n
    return t

@numba.njit(cache=True)
def closed(n):
    def go(m):
        return m * n + inside(m)
    return go(n) + inside(n + 1)

def seldom(expr, caller, callee):
    return False

@numba.njit(cache=True, inline=seldom)
def decided(x):
    return x + 1

@numba.njit(cache=True, parallel=True)
def diagonal(x):
    return numpy.dot(numpy.diag(x), x)

@numba.stencil
def beside(a):
    return a[-1] + a[1]

@numba.njit(cache=True, parallel=True)
def stenciled(a):
    return beside(a) * 1.0

@numba.njit(cache=True)
def blocked(x):
    z = x + 1
    with numba.objmode(y="float64", w="unicode_type"):
        y = z * 1.5
        w = str(z)
    return y + len(w)

@numba.jit(forceobj=True, cache=True)
def python_does(a, b):
    first, second, third = str(a), [b], {a: b}
    return len(first) + len(second) + len(third) + (a if b else first)

@numba.guvectorize(["(f8[:], f8[:])"], "(n)->(n)", cache=True)
def raised(x, out):
    for i in range(x.size):
        out[i] = x[i] + 1

@numba.njit(cache=True)
def texts(a, t):
    return a.sum() + t[0]

calls = [lambda: rows(3).size, lambda: added(numpy.ones((3, 1)), numpy.ones(3)).sum(), lambda: multiplied(numpy.ones(3), numpy.ones(3)).sum(),
         lambda: sum(given_out(1.5)), lambda: listed(numpy.arange(3.0)), lambda: closed(4), lambda: decided(2),
         lambda: diagonal(numpy.arange(6.0)).sum(), lambda: stenciled(numpy.arange(6.0)).sum(), lambda: blocked(3), lambda: python_does(1, 2),
         lambda: raised(numpy.arange(3.0)).sum(), lambda: texts(numpy.arange(3.0), (1, 2.5, "a")), lambda: total(numpy.arange(10.0)), lambda: total(numpy.arange(10, dtype=numpy.float32)),
         lambda: scale(3), lambda: scale(2.5), lambda: sum(steps(1.5, 2.5, 3.5, 4.5)), lambda: spread(numpy.arange(10.0)), lambda: join(1.0, 2.0),
         lambda: make(1)(2), lambda: make(2)(2.0)]
if "reversed" in sys.argv:
    calls.reverse()
print(sum(float(call()) for call in calls))
"""


def image(folder: Path, words: list[str], umask: int, host: str | None, **env: str) -> bytes:
    """Runs the program in the folder and bakes what it used."""
    folder.mkdir(parents=True)
    (folder / "program.py").write_text(PROGRAM)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_", "PYTHON"))}
    clean.update(NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="", SAGGAR_DIR=str(folder / "store"), SAGGAR_IMAGE_PATH="none",
                 XDG_STATE_HOME=str(folder / "state"), NUMBA_NUM_THREADS="2", **env)
    renamed = ["unshare", "-u", "sh", "-c", f'hostname {host}; exec "$@"', "sh"] if host else []
    for command in ([SAGGAR, "run", "--quiet", "--", sys.executable, "program.py", *words], [SAGGAR, "bake", "-o", "out.saggar"]):
        done = subprocess.run([*renamed, *command], cwd=folder, env=clean, capture_output=True, text=True, timeout=300, umask=umask)
        assert done.returncode == 0, done.stderr
    return (folder / "out.saggar").read_bytes()


OLD = tuple(int(n) for n in numba.__version__.split(".")[:2]) < (0, 67)


@pytest.mark.skipif(SAGGAR is None, reason="SAGGAR_BIN is not set")
@pytest.mark.skipif(OLD, reason="Numba before 0.67 names constants by their addresses")
def test_same_bytes(tmp_path: Path) -> None:
    host = "elsewhere" if os.geteuid() == 0 and shutil.which("unshare") else None
    one = image(tmp_path / "one", [], 0o022, None, PYTHONHASHSEED="1")
    two = image(tmp_path / "two" / "deeper", ["reversed"], 0o077, host, PYTHONHASHSEED="77", TZ="Asia/Tokyo", LC_ALL="C")
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(two).hexdigest()
