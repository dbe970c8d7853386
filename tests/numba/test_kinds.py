"""Every kind of decorator: compiled once, then served in a fresh process with equal results."""
import numba
import pytest

KINDS = {
    "njit": """
        from numba import njit
        @njit(cache=True)
        def f(x, y=3): return x * y
        print(f(2), f(2.5), f(2, y=4))
        """,
    "array": """
        @njit(cache=True)
        def f(a):
            s = 0.0
            for v in a: s += v
            return s
        print(f(np.arange(5.0)), f(np.arange(5.0)[::2]), f(np.arange(4, dtype=np.int32)))
        """,
    "eager": """
        @njit(["int64(int64)", "float64(float64)"], cache=True)
        def f(x): return x + 1
        print(f(1), f(1.5))
        """,
    "object mode": """
        from numba import jit
        @jit(forceobj=True, looplift=False, cache=True)
        def f(x): return str(x) + "!"
        print(f([1, 2]))
        """,
    "vectorize": """
        from numba import vectorize
        @vectorize(["float64(float64, float64)", "int64(int64, int64)"], cache=True)
        def add(a, b): return a + 2 * b
        print(add(np.arange(4.0), 1.0), add(np.arange(4), 2), add.reduce(np.arange(4)))
        """,
    "dynamic ufunc": """
        from numba import vectorize
        @vectorize(cache=True)
        def add(a, b): return a + 2 * b
        print(add(np.arange(4.0), 1.0), add(np.arange(4), 2))
        @njit(cache=True)
        def use(a): return add(a, a)
        print(use(np.arange(3.0)))
        """,
    "guvectorize": """
        from numba import guvectorize
        @guvectorize(["void(float64[:], float64, float64[:])"], "(n),()->(n)", cache=True)
        def scale(a, k, out):
            for i in range(len(a)): out[i] = a[i] * k
        print(scale(np.arange(6.0).reshape(2, 3), 2.0))
        """,
    "cfunc": """
        from numba import cfunc
        @cfunc("float64(float64)", cache=True)
        def square(x): return x * x
        print(square.ctypes(3.0))
        """,
    "parallel": """
        from numba import prange
        @njit(parallel=True, cache=True)
        def total(a):
            s = 0.0
            for i in prange(len(a)): s += a[i] * 2
            return s
        @njit(parallel=True, cache=True)
        def shift(a): return a + 1.0
        print(total(np.arange(100.0)), shift(np.arange(3.0)))
        """,
    "closure": """
        def make(k):
            @njit(cache=True)
            def f(x): return x + k
            return f
        print(make(1)(1), make(2)(1), make(np.arange(3.0))(1.0))
        """,
    "exec": """
        space = {"njit": njit}
        exec("@njit(cache=True)\\ndef f(x): return x + 1", space)
        print(space["f"](1))
        named = {"njit": njit, "__name__": "made_up"}
        exec("@njit(cache=True)\\ndef f(x): return x + 2", named)
        print(named["f"](1))
        """,
    "generator": """
        @njit(cache=True)
        def up(n):
            for i in range(n): yield i
        print(list(up(3)))
        """,
    "strings and lists": """
        @njit(cache=True)
        def f(s, n):
            l = [s + str(i) for i in range(n)]
            return l, (n, s), {1: n}.get(1)
        print(f("a", 2))
        """,
    "random": """
        @njit(cache=True)
        def f(a):
            np.random.seed(1)
            return a.sum() + np.random.random()
        print(f(np.eye(3)))
        """,
    "linear algebra": """
        @njit(cache=True)
        def f(a): return np.dot(a, a)[0, 0]
        print(f(np.eye(3)))
        """,
    "generated": """
        from numba import generated_jit, types
        @generated_jit(nopython=True, cache=True)
        def f(x):
            if isinstance(x, types.Integer): return lambda x: x + 1
            return lambda x: x * 10
        print(f(1), f(1.5))
        """,
    "named tuple": """
        import collections
        Point = collections.namedtuple("Point", "x y")
        @njit(cache=True)
        def f(p): return Point(p.y, p.x)
        print(f(Point(1, 2.5)))
        """,
    "dispatcher argument": """
        @njit(cache=True)
        def one(x): return x + 1
        @njit(cache=True)
        def two(x): return x + 2
        @njit(cache=True)
        def apply(g, x): return g(x)
        print(apply(one, 1), apply(two, 1))
        """,
    "omitted array": """
        @njit(cache=True)
        def f(x, a=(1.0, 2.0), b=None): return x + a[0]
        print(f(1))
        """,
    "stencil": """
        from numba import stencil
        @stencil
        def k(a): return a[-1] + a[1]
        @njit(cache=True)
        def f(a): return k(a)
        print(f(np.arange(5.0)))
        """,
    "recursion": """
        @njit(cache=True)
        def fib(n):
            if n < 2: return n
            return fib(n - 1) + fib(n - 2)
        print(fib(10))
        """,
    "typed containers": """
        from numba.typed import Dict, List
        from numba import types
        @njit(cache=True)
        def f(l):
            d = Dict.empty(types.int64, types.float64)
            for i in range(len(l)): d[i] = l[i]
            return d[1]
        l = List(); l.append(1.0); l.append(2.0)
        print(f(l))
        """,
    "record": """
        t = np.dtype([("a", np.int32), ("b", np.float64)], align=True)
        @njit(cache=True)
        def f(r): return r[0].a + r[0].b
        print(f(np.ones(2, t)))
        """,
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_cold_and_warm(project, kind):
    if kind == "linear algebra":
        pytest.importorskip("scipy")
    if kind == "generated" and not hasattr(numba, "generated_jit"):
        pytest.skip("this Numba has no generated_jit")
    cold, warm = project.cold_and_warm("from numba import njit\nimport numpy as np\n" + _dedent(KINDS[kind]))
    assert cold.count("not-stored") == 0, cold.of("not-stored")
    assert cold.count("random-name") == 0, cold.of("random-name")


def test_library_functions_are_reached(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def inner(x): return x + 1
        @njit(cache=True, inline="always")
        def inlined(x): return x * 2
        @njit(cache=True)
        def outer(x): return inlined(inner(x))
        """)
    cold, warm = project.cold_and_warm("from lib import outer\nprint(outer(1))")
    assert cold.names("published") == ["inlined", "inner", "outer"] or cold.names("published") == ["inner", "outer"]
    assert warm.names("hit") == ["outer"]


def test_a_caller_compiled_against_a_served_callee(project):
    project.write("lib.py", """
        from numba import njit, prange
        @njit(cache=True, parallel=True)
        def inner(a):
            s = 0.0
            for i in prange(len(a)): s += a[i]
            return s
        """)
    project.good("import numpy as np; from lib import inner; print(inner(np.arange(4.0)))")
    program = """
        import numpy as np
        from lib import inner
        from numba import njit
        @njit(cache=True)
        def outer(a): return inner(a) + 1
        print(outer(np.arange(4.0)))
        """
    first = project.good(program)
    assert first.names("hit") == ["inner"]
    again = project.good(program)
    assert again.names("hit") == ["outer"] and again.out == first.out == "7.0\n"


def _dedent(text):
    import textwrap
    return textwrap.dedent(text)


def test_what_was_linked_first_and_asked_for_later_is_used(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def inner(x): return x + 1
        @njit(cache=True)
        def only_linked(x): return x * 2
        @njit(cache=True)
        def outer(x): return only_linked(inner(x))
        """)
    program = "from lib import outer, inner\nprint(outer(1), inner(1), inner(2), outer(2))"
    cold, warm = project.cold_and_warm(program)
    used = {e["group"].rpartition(":")[2] for e in cold.of("published") + cold.of("hit") if e["flags"] & 1}
    assert used == {"outer", "inner"}
    assert {e["group"].rpartition(":")[2] for e in warm.of("hit") if e["flags"] & 1} == used
    project.store = project.work / "other"  # inner is compiled for outer, and then stops compiling
    stopped = "from lib import outer, inner\nprint(outer(1)); inner.disable_compile(); print(inner(1), inner(True))"
    assert project.good(stopped).out == "4\n2 2\n"
