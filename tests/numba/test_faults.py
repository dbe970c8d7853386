"""Damage, races, strangers: always the right result."""
import os
import time

import pytest

SIMPLE = """
    from numba import njit
    @njit(cache=True)
    def f(x): return x + 1
    print(f(1), f(1.5))
    """
DTYPES = ["int8", "int16", "int32", "int64", "uint8", "float32", "float64", "complex128"]


def _race(project, rounds):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def g(a): return a.sum() + a.dtype.type(1)
        @njit(cache=True)
        def f(a): return g(a) * 2
        """)
    for number in range(rounds):
        project.store = project.work / f"store{number}"
        program = "import numpy as np\nfrom lib import f\nfor d in {}: print(d, f(np.ones(5, d)))"
        started = []
        for k in range(8):
            order = DTYPES[k:] + DTYPES[:k]
            started.append(project.start(program.format(order)))
        results = [project.finish(s) for s in started]
        assert [r.code for r in results] == [0] * 8, results[0].err
        lines = {line for r in results for line in r.out.splitlines()}
        assert len(lines) == 8, lines
        compiled = [e["group"] + e["detail"] for r in results for e in r.of("compiled") if e["flags"] & 2]
        assert len(compiled) == len(set(compiled)), sorted(compiled)
        warm = project.good(program.format(DTYPES))
        assert warm.cacheable() == [] and set(warm.out.splitlines()) == lines


def test_eight_processes_compile_each_signature_once(project):
    _race(project, 1)


@pytest.mark.slow
def test_eight_processes_twelve_rounds(project):
    _race(project, 12)


def test_parallel_processes_and_guvectorize(project):
    program = """
        from numba import guvectorize
        import numpy as np
        @guvectorize(["void(float64[:], float64[:])", "void(float32[:], float32[:])"], "(n)->(n)", cache=True)
        def g(a, out):
            for i in range(len(a)): out[i] = a[i] * 3
        print(g(np.arange(4.0)), g(np.arange(4, dtype=np.float32)))
        """
    results = [project.finish(s) for s in [project.start(program) for _ in range(4)]]
    assert {(r.code, r.out) for r in results} == {(0, "[0. 3. 6. 9.] [0. 3. 6. 9.]\n")}, results[0].err
    assert project.good(program).cacheable() == []


def test_guvectorize_layout_is_in_the_key(project):
    program = """
        from numba import guvectorize
        import numpy as np
        @guvectorize(["void(float64[:], float64[:], float64[:])"], "{}", cache=True)
        def g(a, b, out):
            out[:] = b[b.shape[0] - 1]
        print(g(np.arange(3.0), np.arange({})))
        """
    assert project.good(program.format("(n),(n)->(n)", "3.0")).out == "[2. 2. 2.]\n"
    assert project.good(program.format("(n),(m)->(n)", "5.0")).out == "[4. 4. 4.]\n"
    assert project.good(program.format("(n),(n)->(n)", "3.0")).cacheable() == []


def test_another_processor_name(project):
    program = """
        from numba import njit
        import numpy as np
        @njit(cache=True)
        def f(a): return (a * 2).sum()
        print(f(np.arange(8.0)))
        """
    assert project.good(program, NUMBA_CPU_NAME="broadwell", NUMBA_CPU_FEATURES="").cacheable()
    assert project.good(program, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="").cacheable() == []
    assert project.good(program).cacheable() == []
    project.store = project.work / "other"
    assert project.good(program, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="").cacheable()
    assert project.good(program, NUMBA_CPU_NAME="broadwell", NUMBA_CPU_FEATURES="").cacheable() == []


def test_damaged_entries(project):
    good = project.good(SIMPLE).out
    files = [p for p in project.store.rglob("*") if p.is_file() and p.stat().st_size > 2000]
    assert len(files) >= 2
    for path in files:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        os.chmod(path, 0o644)
        path.write_bytes(raw)
    result = project.good(SIMPLE)
    assert result.out == good
    assert project.good(SIMPLE).out == good


def test_a_failed_compilation_frees_its_claim(project):
    """The first process lives on after its failure; the second must not wait for it."""
    program = """
        from numba import njit
        import os, time
        from saggar.numba import frames
        @njit(cache=True)
        def f(x): return x.nothing_of_the_kind
        for _ in range(2):
            try: f(1)
            except Exception as e: print(type(e).__name__, frames.running(), flush=True)
        open(os.environ["PROJECT"] + "/failed", "w").close()
        end = time.monotonic() + 100
        while {stay} and time.monotonic() < end and not os.path.exists(os.environ["PROJECT"] + "/go"): time.sleep(0.05)
        """
    first = project.start(program.format(stay=True))
    while not (project.root / "failed").exists():
        assert first[0].poll() is None
        time.sleep(0.05)
    begin = time.monotonic()
    second = project.good(program.format(stay=False), SAGGAR_WAIT="60000")
    assert time.monotonic() - begin < 40, "it waited for a claim that should be free"
    (project.root / "go").touch()
    for result in (second, project.finish(first)):
        assert result.out == "TypingError []\n" * 2, result.err


def test_an_interrupted_compilation_frees_its_claim(project):
    program = """
        from numba import njit, types
        from numba.extending import overload
        from saggar.numba import frames
        def boom(x): pass
        @overload(boom)
        def _(x): raise KeyboardInterrupt
        @njit(cache=True)
        def f(x): return boom(x)
        try: f(1)
        except KeyboardInterrupt: print("interrupted", frames.running())
        """
    assert project.good(program).out == "interrupted []\n"
    assert project.good(program).out == "interrupted []\n"


def test_errors_print_as_numba_prints_them(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def f(x):
            return x.missing
        @njit(cache=True)
        def g(x):
            if x < 0:
                raise ValueError("negative", 3)
            return x
        """)
    program = """
        import traceback
        from lib import f, g
        try: f(1)
        except Exception as e: print(e)
        print(g(1))
        try: g(-1)
        except ValueError as e: traceback.print_exc()
        """
    plain = project.good(program, SAGGAR_MODE="off")
    cold, warm = project.good(program), project.good(program)
    assert plain.out == cold.out == warm.out
    assert str(project.root / "lib.py") in cold.out and "return x.missing" in cold.out
    for result in (cold, warm):
        assert 'File "lib.py", line 9, in g' in result.err
        assert "ValueError: ('negative', 3)" in result.err


def test_no_path_is_stored(project):
    project.write("deep/pkg/__init__.py", "")
    project.write("deep/pkg/mod.py", """
        from numba import njit, prange, vectorize, guvectorize
        import numpy as np
        @njit(cache=True)
        def f(x):
            if x < 0: raise ValueError(x)
            assert x != 77, "no"
            return np.ones(x)
        @njit(cache=True, parallel=True)
        def p(a):
            for i in prange(len(a)): a[i] += 1
            return a
        @vectorize(["float64(float64)"], cache=True)
        def v(x): return x + 1
        def make(k):
            @njit(cache=True)
            def inner(x):
                if x > 100: raise KeyError("large")
                return x + k
            return inner
        """)
    program = """
        import sys; sys.path.insert(0, sys.path[0] + "/deep")
        from pkg.mod import *
        print(f(2), p(np.ones(3)), v(1.0), make(1)(1))
        import saggar._saggar as s, saggar.process as process
        """
    capture = """
        import saggar.process as process
        cache = process.cache()
        stored = []
        class Spy:
            def __getattr__(self, name): return getattr(cache, name)
            def publish(self, recipe, **rest):
                stored.append(recipe); stored.extend(rest["parts"].values())
                return cache.publish(recipe, **rest)
        process._cache = Spy()
        """
    check = """
        import os
        blob = b"".join(map(bytes, stored))
        print(len(stored) > 10, os.environ["PROJECT"].encode() in blob, b"site-packages" in blob)
        """
    result = project.good(_plain(capture) + _plain(program) + _plain(check))
    assert result.out.splitlines()[-1] == "True False False"


def test_fork_without_exec(project):
    program = """
        import os
        from numba import njit
        @njit(cache=True)
        def f(x): return x + 1
        @njit(cache=True)
        def g(x): return x * 2
        print(f(1), flush=True)
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                ok = g(4) == 8 and f(1) == 2 and f(1.5) == 2.5
                os._exit(0 if ok else 1)
            pids.append(pid)
        print([os.waitpid(p, 0)[1] for p in pids], g(5))
        """
    assert project.good(program).out == "2\n[0, 0, 0] 10\n"
    again = project.good(program)
    assert again.out == "2\n[0, 0, 0] 10\n" and again.cacheable() == []


def test_threads(project):
    program = """
        from numba import njit
        import threading
        @njit(cache=True)
        def f(x): return x + 1
        out = []
        ts = [threading.Thread(target=lambda k=k: out.append(f(k if k % 2 else float(k)))) for k in range(8)]
        [t.start() for t in ts]; [t.join() for t in ts]
        print(sorted(out))
        """
    project.cold_and_warm(program)


def test_mutual_recursion_in_two_processes(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def even(n):
            if n == 0: return True
            return odd(n - 1)
        @njit(cache=True)
        def odd(n):
            if n == 0: return False
            return even(n - 1)
        """)
    one, two = "from lib import even\nprint(even(10))", "from lib import odd\nprint(odd(10))"
    for _ in range(2):
        results = [project.finish(s) for s in (project.start(one), project.start(two))]
        assert [(r.code, r.out) for r in results] == [(0, "True\n"), (0, "False\n")], results[0].err + results[1].err


def _plain(text):
    import textwrap
    return textwrap.dedent(text)


def test_paths_in_numbas_own_messages(project):
    project.write("lib.py", """
        from numba import njit
        import numpy as np
        @njit(cache=True)
        def f(a, b, c): return np.sqrt((a - b * b) / c)
        """)
    program = """
        import numpy as np
        from lib import f
        try: f(np.ones(3), np.ones(4), np.ones(5))
        except ValueError as e: print(e)
        """
    cold, warm = project.cold_and_warm(program)
    assert "unable to broadcast" in warm.out and str(project.root) not in warm.out


def test_one_wait_for_a_stopped_process(project):
    """It holds the claims of four functions that call each other; the whole of them is waited for once."""
    program = """
        import os, signal, time
        from numba import njit
        from numba.extending import overload
        def slow(x): pass
        @overload(slow)
        def _(x):
            if {stop}:
                open(os.environ["PROJECT"] + "/stopped", "w").close()
                os.kill(os.getpid(), signal.SIGSTOP)
            return lambda x: x
        @njit(cache=True)
        def d(x): return slow(x)
        @njit(cache=True)
        def c(x): return d(x)
        @njit(cache=True)
        def b(x): return c(x)
        @njit(cache=True)
        def a(x): return b(x)
        print(a(1))
        """
    stopped = project.start(program.format(stop=True))
    try:
        while not (project.root / "stopped").exists():
            assert stopped[0].poll() is None
            time.sleep(0.05)
        result = project.good(program.format(stop=False), SAGGAR_WAIT="2")
    finally:
        stopped[0].kill()
        project.finish(stopped)
    assert result.out == "1\n" and [e["value"] > 10**9 for e in result.of("waited")] == [True, False, False, False]
