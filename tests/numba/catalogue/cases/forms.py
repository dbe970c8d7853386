"""Forms of functions: what each decorator and construct does in a second process."""
from ..model import ANY, Step, append, case, edit, names, write

KIND = "Kinds of functions"


def form(name: str, title: str, issues: str, source: str, call: str, **more: object) -> None:
    """Nothing changes: the second process compiles nothing."""
    case(name, KIND, title, issues, source, call, again=False, **more)


form("plain", "a function of numbers", "", "@njit(cache=True)\ndef f(x): return x + 1", "(lib.f(1), lib.f(1.5))")
form("closure", "closures over values", "", "def make(k):\n    @njit(cache=True)\n    def f(x): return x + k\n    return f",
     "(lib.make(1)(1), lib.make(2)(1))")
form("closure_over_dispatcher", "a closure over a dispatcher", "numba#6264, numba_celltree#80", """
    @njit(cache=True)
    def one(x): return x + 1
    def make(g):
        @njit(cache=True)
        def f(x): return g(x) * 2
        return f
    """, "lib.make(lib.one)(1)")
form("closure_over_function", "a closure over a plain function", "numba#8045", """
    from numba.extending import register_jitable
    @register_jitable
    def one(x): return x + 1
    def make(g):
        @njit(cache=True)
        def f(x): return g(x) * 2
        return f
    """, "lib.make(lib.one)(1)")
form("exception_without_module", "a function that exec made raises an error with arguments, behind one that is cached", "", """
    space = {}
    exec("def check(x):\\n    if x > 3: raise ValueError(f'{x} over 3')\\n    return x", space)
    del space["__builtins__"]
    check = njit(space["check"])
    @njit(cache=True)
    def f(x): return check(x)
    def said(x):
        try: return f(x)
        except Exception as error: return repr(error)
    """, "lib.said(5)")
form("parallel_chunksize", "a block with a chunk size for prange", "", """
    import numba
    @njit(cache=True, parallel=True)
    def f(n):
        s = 0
        with numba.parallel_chunksize(4):
            for i in numba.prange(n): s += i
        return s
    """, "lib.f(100)", refusal=True)
form("self_recursion", "a function that calls itself", "numba#6061",
     "@njit(cache=True)\ndef f(n):\n    if n < 2: return n\n    return f(n - 1) + f(n - 2)", "lib.f(10)")
form("self_recursion_typed", "a function with a signature that calls itself", "numba#6061",
     "@njit('i8(i8)', cache=True)\ndef f(n):\n    if n < 2: return n\n    return f(n - 1) + f(n - 2)", "lib.f(10)")
MUTUAL = """
    @njit(cache=True)
    def ev(n):
        if n == 0: return True
        return od(n - 1)
    @njit(cache=True)
    def od(n):
        if n == 0: return False
        return ev(n - 1)
    """
form("mutual_recursion", "functions that call each other", "numba#6061", MUTUAL, "(lib.ev(10), lib.od(10))", refusal=True)
case("mutual_recursion_edited", KIND, "one of two functions that call each other is edited", "numba#6061", MUTUAL, "lib.ev(9)",
     edit("lib.py", "return False", "return True"), needed="ev od", refusal=True)
form("generator", "a generator", "", "@njit(cache=True)\ndef f(n):\n    for i in range(n): yield i * i", "list(lib.f(4))")
case("generator_in_new_function", KIND, "a stored generator, called from a function that is new", "numba#6061", """
    @njit(cache=True)
    def f(n):
        for i in range(n): yield i * i
    """, "list(lib.f(4))", write("more.py", """
    from .lib import f
    @njit(cache=True)
    def g(n):
        s = 0
        for v in f(n): s += v
        return s
    """), needed="g", then="more.g(4)", differs=False)
form("generator_inside", "a generator that a function calls", "", """
    @njit(cache=True)
    def f(n):
        for i in range(n): yield i * i
    @njit(cache=True)
    def g(n):
        s = 0
        for v in f(n): s += v
        return s
    """, "lib.g(4)")
form("generator_given_out", "a generator that another function gives out", "", """
    @njit(cache=True)
    def f(n):
        for i in range(n): yield i * i
    @njit(cache=True)
    def g(n): return f(n)
    """, "list(lib.g(4))")
form("inline_always", "a callee with inline=\"always\"", "", """
    @njit(cache=True, inline="always")
    def one(x): return x + 1
    @njit(cache=True)
    def f(x): return one(x) * 2
    """, "(lib.f(1), lib.one(1))")
form("objmode", "an objmode block", "", """
    from numba import objmode
    @njit(cache=True)
    def f(x):
        with objmode(y="int64"):
            y = int(str(x)) + 1
        return y
    """, "lib.f(10)")
form("objmode_whole", "a function in object mode", "", """
    from numba import jit
    @jit(forceobj=True, looplift=False, cache=True)
    def f(x): return str(x) + "!"
    """, "lib.f([1, 2])")
form("lifted_loop", "a lifted loop in object mode", "", """
    from numba import jit
    @jit(forceobj=True, looplift=True, cache=True)
    def f(n):
        d = {}
        s = 0
        for i in range(n): s += i
        d["s"] = s
        return str(d)
    """, "lib.f(5)", refusal=True)
form("parallel", "a parallel loop", "numba#8085", """
    from numba import prange
    @njit(parallel=True, cache=True)
    def f(n):
        s = 0.0
        for i in prange(n): s += i * 0.5
        return s
    """, "lib.f(100)")
form("parallel_expressions", "parallel array expressions", "numba#8085", """
    @njit(parallel=True, cache=True)
    def f(a): return (a + 1.0) * np.sqrt(a) + np.ones_like(a).sum()
    """, "lib.f(np.arange(6.0))")
form("parallel_allocations", "parallel np.ones and np.arange", "numba#8085", """
    @njit(parallel=True, cache=True)
    def f(n): return np.ones(n) + np.arange(n)
    """, "lib.f(4)")
case("parallel_in_caller", KIND, "a parallel callee, its caller first in a process without threads", "numba#9950", """
    from numba import prange
    @njit(parallel=True, cache=True)
    def inner(n):
        s = 0.0
        for i in prange(n): s += i * 0.5
        return s
    @njit(cache=True)
    def f(n): return inner(n) + 1
    """, "lib.f(100)")
case("parallel_other_layer", KIND, "a parallel function under another threading layer and thread count", "numba#7518", """
    from numba import get_num_threads, prange
    @njit(parallel=True, cache=True)
    def f(n):
        s = 0
        for i in prange(n): s += i
        return s
    """, "lib.f(100)", first={"NUMBA_THREADING_LAYER": "omp"}, env={"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "1"})
form("stencil", "a stencil", "", """
    from numba import stencil
    @stencil
    def k(a): return a[-1] + a[1]
    @njit(cache=True)
    def f(a): return k(a)
    """, "lib.f(np.arange(5.0))")
form("stencil_inside", "a stencil defined in the function, in parallel", "", """
    from numba import stencil
    @njit(cache=True, parallel=True)
    def f(a):
        k = stencil(lambda a: a[-1] + a[1])
        return k(a)
    """, "lib.f(np.arange(5.0))")
form("vectorize", "a ufunc with signatures: kernel and loop", "numba#6199",
     "from numba import vectorize\n@vectorize(['f8(f8, f8)', 'i8(i8, i8)'], cache=True)\ndef u(a, b): return a + 2 * b",
     "(lib.u(np.arange(3.0), 1.0), lib.u(np.arange(3), 2), lib.u.reduce(np.arange(4)))")
form("vectorize_dynamic", "a dynamic ufunc: kernel and loop", "numba#6199",
     "from numba import vectorize\n@vectorize(cache=True)\ndef u(a, b): return a + 2 * b",
     "(lib.u(np.arange(3.0), 1.0), lib.u(np.arange(3), 2))")
form("guvectorize", "a gufunc: kernel and wrapper", "numba#10128", """
    from numba import guvectorize
    @guvectorize(["void(f8[:], f8, f8[:])"], "(n),()->(n)", cache=True)
    def g(a, k, out):
        for i in range(len(a)): out[i] = a[i] * k
    """, "lib.g(np.arange(6.0).reshape(2, 3), 2.0)")
form("guvectorize_dynamic", "a dynamic gufunc: kernel and wrapper", "numba#10128", """
    from numba import guvectorize
    @guvectorize("(n),()->(n)", cache=True)
    def g(a, k, out):
        for i in range(len(a)): out[i] = a[i] * k
    """, "lib.g(np.arange(6.0).reshape(2, 3), 2.0, np.zeros((2, 3)))")
form("guvectorize_parallel", "a gufunc for target=\"parallel\"", "numba#10128", """
    from numba import guvectorize
    @guvectorize(["void(f8[:], f8, f8[:])"], "(n),()->(n)", cache=True, target="parallel")
    def g(a, k, out):
        for i in range(len(a)): out[i] = a[i] * k
    """, "lib.g(np.arange(6.0).reshape(2, 3), 2.0)")
case("gufunc_layout", KIND, "the layout of a gufunc", "numba#10128", {
    "lib.py": """
    from numba import guvectorize
    from .other import LAYOUT
    @guvectorize(["void(f8[:], f8[:], f8[:])"], LAYOUT, cache=True)
    def g(a, b, out): out[:] = b[b.shape[0] - 1]
    def run():
        try: return g(np.arange(3.0), np.arange(5.0))
        except ValueError: return "no"
    """, "other.py": 'LAYOUT = "(n),(m)->(n)"'}, "lib.run()", edit("other.py", "(m)", "(n)"), needed="g loop")
form("cfunc", "a C callback", "", "from numba import cfunc\n@cfunc('f8(f8)', cache=True)\ndef c(x): return x * x", "lib.c.ctypes(3.0)")
form("exceptions", "a function that raises", "", "@njit(cache=True)\ndef f(x):\n    if x > 5: raise ValueError('large', x)\n    return x",
     "lib.f(1)")
case("exception_raised", KIND, "the exception that a stored function raises", "",
     "@njit(cache=True)\ndef f(x):\n    if x > 5: raise ValueError('large', x)\n    return x", "lib.f(1)", then="lib.f(9)", again=False)
form("dot_and_linalg", "BLAS and LAPACK", "pytensor#2212",
     "@njit(cache=True)\ndef f(a): return np.linalg.solve(a, np.dot(a, a))", "lib.f(np.eye(2))", requires=("scipy",))
form("random_numbers", "random numbers", "", "@njit(cache=True)\ndef f():\n    np.random.seed(1)\n    return np.random.random()", "lib.f()")
form("rebound_builtin", "a builtin in a local variable", "", "@njit(cache=True)\ndef f(x):\n    g = abs\n    return g(x)", "lib.f(-1)")
form("ctypes_pointer", "a ctypes function", "FIGARO#11", """
    import ctypes
    labs = ctypes.CDLL(None).labs
    labs.argtypes, labs.restype = [ctypes.c_long], ctypes.c_long
    @njit(cache=True)
    def f(x): return labs(x)
    """, "lib.f(-3)", refusal=True)
case("caller_of_served", KIND, "a callee was served while its caller was compiled and stored", "emscripten-forge#6309", """
    @njit(cache=True)
    def one(x): return x + 1
    @njit(cache=True)
    def f(x): return one(x) * 2
    """, steps=(Step("lib.one(1)", ANY, judged=False), Step("(lib.one(1), lib.f(1))", names("f")), Step("lib.f(1)"),
                Step("(lib.f(1), lib.one(1))")), differs=False)
case("recompile", KIND, "recompile() after a global changed", "numba#3267",
     "K = 1\n@njit(cache=True)\ndef f(x): return x + K", "lib.f(10)", then="setattr(lib, 'K', 2); lib.f.recompile(); lib.f(10)",
     needed="f", differs=True)
case("pickled", KIND, "a dispatcher is pickled and unpickled", "numba#6772", "@njit(cache=True)\ndef f(x): return x + 1", "lib.f(10)",
     then="import pickle; pickle.loads(pickle.dumps(lib.f))(10)", again=False)
LOOPS = """
    from numba import guvectorize, vectorize
    @vectorize(cache=True)
    def mul(a, b): return a * b
    @guvectorize("(n),()->(n)", cache=True)
    def scale(x, k, out):
        for i in range(x.shape[0]): out[i] = x[i] * k
    @njit(cache=True)
    def red(x): return mul(x, x).sum()
    @njit(cache=True)
    def other(x): return red(x) + mul(x, x)[0]
    @njit(cache=True)
    def scaled(x):
        out = np.empty_like(x)
        scale(x, x[1], out)
        return out
    """
case("loop_left_behind", KIND, "a function leaves a loop in a ufunc without signatures, which a later call finds", "", LOOPS,
     steps=(Step("(lib.red(np.arange(4.)), float(lib.mul(2**40, 2**40)), lib.mul.types)", ANY),
            Step("(lib.red(np.arange(4.)), float(lib.mul(2**40, 2**40)), lib.mul.types)"),
            Step("(lib.other(np.arange(4.)), float(lib.mul(2**40, 2**40)), lib.mul.types)", ANY),
            Step("(lib.other(np.arange(4.)), float(lib.mul(2**40, 2**40)), lib.mul.types)")), differs=False)
case("loop_found", KIND, "a ufunc without signatures has a loop already that takes a function's arguments", "", LOOPS,
     steps=(Step("(float(lib.mul(1.5, 2.0)), lib.red(np.arange(4)).dtype.kind)", ANY),
            Step("lib.red(np.arange(4)).dtype.kind", ANY),
            Step("(float(lib.mul(1.5, 2.0)), lib.red(np.arange(4)).dtype.kind)"),
            Step("lib.red(np.arange(4)).dtype.kind")), differs=False)
case("loop_of_a_gufunc", KIND, "a function leaves a loop in a gufunc without signatures", "", LOOPS,
     steps=(Step("(list(lib.scaled(np.arange(4.))), lib.scale.types)", ANY),
            Step("(list(lib.scaled(np.arange(4.))), lib.scale.types)")), differs=False)
