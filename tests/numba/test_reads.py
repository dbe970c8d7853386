"""What the functions read that Python runs while Numba compiles: under other names, in library objects, from modules that
are not loaded; and objects that raise when they are looked at."""
import json
import os
import subprocess

import numba
import pytest

SAGGAR = os.environ.get("SAGGAR_BIN")
OLD = tuple(map(int, numba.__version__.split(".")[:2])) < (0, 67)  # names constants by their addresses
HEAD = """
    import collections, contextvars, ctypes, datetime, functools, importlib, operator, os, sys, threading, types as T
    from importlib import import_module as im
    from os import environ as en, getenv as ge
    import numpy as np
    from numba import njit, objmode
    from numba.extending import overload
    V = int(os.environ["ED"])
    K = V
    KX = V
    m = T.ModuleType("mm")
    m.K = V
    sys.modules["mm"] = m
    NAME, PLACE = "K", "ED"
    def D(): pass
    gl, ev, ag = globals, eval, operator.attrgetter("K")
    class Day(datetime.date): pass
    class Queue(collections.deque): pass
    class Array(np.ndarray): pass
    class Struct(ctypes.Structure): _fields_ = [("v", ctypes.c_int)]
    class Error(ValueError): pass
    class Local(threading.local): pass
    class Slotted: __slots__ = tuple("abc"[:V])
    class Noted: __annotations__ = dict.fromkeys("abc"[:V], int)
    day, queue, array, struct = Day(2000 + V, 1, 1), Queue([V]), np.array([V]).view(Array), Struct(V)
    error, local, plain_local, made, var = Error(V), Local(), threading.local(), (i for i in [V]), contextvars.ContextVar("v", default=V)
    local.v = plain_local.v = V
    pa, holder = functools.partial(ge, "ED"), T.SimpleNamespace(ask=ge)
    """
ONE = """
    def g{0}(x): pass
    @overload(g{0})
    def ov{0}(x):
        v = {1}
        return lambda x: x + v
    @njit(cache=True)
    def f{0}(x): return g{0}(x)
    """
KEPT = ['int(ge("ED"))', 'int(en["ED"])', 'int(ge(PLACE))', 'int("ED" in en) + int(en.get("ED", "0")) - 1', 'm.__dict__["K"]', 'm.__dict__.get(NAME)',
        'gl()["K"]', 'gl()[NAME]', 'im("mm").K', 'ag(m)', 'getattr(m, NAME)', 'ev("KX")', 'day.year - 2000', 'queue[0]', 'int(array[0])',
        'struct.v', 'error.args[0]', 'local.v', 'plain_local.v', 'len(Slotted.__slots__)', 'ev("m.K")']
REFUSED = ['int(en["E" + "xD"[1:]])', 'int(ge("E%s" % "D"))', 'gl()["K%s" % "X"]', 'ev("K%s" % "X")', 'eval("K%s" % "X")', 'im("m%s" % "m").K',
           'sys._getframe().f_globals["K"]', 'D.__globals__["K"]', 'm.__dict__["".join(["K"])]', 'next(made)', 'var.get()',
           'int(functools.partial(ge, "ED")())', 'int(pa())', 'int(holder.ask("ED"))', '(lambda a, b=ge: int(b(a)))("ED")',
           'm.K * len([name for name in dir(m) if name == "K"])', 'len(Noted.__annotations__)']


def test_what_an_overload_reads(project):
    """Under another name than its own, by a text, or in an object whose class is written in C."""
    reads = [*KEPT, *REFUSED]
    project.write("lib.py", HEAD + "".join(ONE.format(number, read) for number, read in enumerate(reads)))
    program = f"import lib\nprint(*[getattr(lib, f'f{{i}}')(1) for i in range({len(reads)})])"
    for value in "12":
        found = project.good(program, ED=value)
        assert dict(zip(reads, found.out.split())) == dict.fromkeys(reads, str(1 + int(value)))
    again = project.good(program, ED="1")
    assert again.out.split() == ["2"] * len(reads)
    assert [reads[int(name[1:])] for name in again.names("compiled") if name[0] == "f" and int(name[1:]) < len(KEPT)] == []
    assert {int(name[1:]) for name in again.names("not-stored")} == set(range(len(KEPT), len(reads)))


def test_an_overload_that_fails_while_it_is_looked_at(project):
    """A function that has nothing to do with it is compiled."""
    result = project.good("""
        import numpy as np
        from numba import njit, types
        from numba.extending import overload_attribute
        CALC = np.frompyfunc(lambda x: x, 1, 1)
        @overload_attribute(types.Array, "T")
        def my_T(a):
            CALC
            return lambda a: a
        @njit
        def f(x): return x + 1
        @njit(cache=True)
        def g(x): return x + 1
        print(f(1), g(1))
        """)
    assert result.out == "2 2\n" and result.names("not-stored") == ["g"]


@pytest.mark.skipif(OLD, reason="Numba before 0.67 pickles what a block in object mode reads, and raises what that raises")
def test_objects_that_raise_when_they_are_looked_at(project):
    """A module that is loaded when something of it is read; a proxy that is one only inside of a request."""
    result = project.good("""
        import sys, types
        from numba import njit, objmode
        class Lazy(types.ModuleType):
            def __getattr__(self, name): raise ImportError("lazy module: install the extra")
        sys.modules["zz_lazy"] = Lazy("zz_lazy")
        class LocalProxy:
            @property
            def __class__(self): raise RuntimeError("Working outside of application context.")
            def info(self, *a): pass
        logger = LocalProxy()
        @njit(cache=True)
        def f(x):
            if x < 0: raise ValueError("neg")
            return x + 1
        @njit
        def g(x):
            if x < 0:
                with objmode(): logger.info("negative")
            return x + 1
        @njit(cache=True)
        def h(x): return g(x)
        print(f(1), g(1), h(1))
        """)
    assert result.out == "2 2 2\n" and result.names("published") == ["f"]


ATTRIBUTE = """
    import numpy as np
    from numba import njit, types
    from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, signature
    from numba.extending import infer_getattr, lower_builtin
    MORE
    @njit(cache=True)
    def f(a): return a.sum()
    """
MORE = """
    class Mine(AbstractTemplate):
        key = "mine.sum"
        def generic(self, args, kws): return signature(types.int64, recvr=self.this)
    ONE = types.Array(types.float64, 1, "C")
    @infer_getattr
    class A(AttributeTemplate):
        key = ONE
        def RESOLVE
    @lower_builtin("mine.sum", ONE)
    def low(context, builder, sig, args): return context.get_constant(types.int64, 777)
    """


@pytest.mark.parametrize("resolve", ["resolve_sum(self, ary): return types.BoundFunction(Mine, ary)",
                                     "generic_resolve(self, ary, name): return types.BoundFunction(Mine, ary) if name == 'sum' else None"])
def test_an_attribute_template_for_a_type_of_numbas(project, resolve):
    program = "import numpy as np\nfrom lib import f\nprint(f(np.ones(3)))"
    project.write("lib.py", ATTRIBUTE.replace("MORE", ""))
    project.cold_and_warm(program)
    project.write("lib.py", ATTRIBUTE.replace("MORE", MORE.replace("RESOLVE", resolve)))
    plain = project.run(program, SAGGAR_MODE="off").out
    assert plain == "777\n" and project.good(program).out == plain
    project.write("lib.py", ATTRIBUTE.replace("MORE", ""))
    assert project.good(program).cacheable() == []


IMPORTS = """
    from numba import njit, types
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def ov_g(x):
        if isinstance(x, types.UnicodeType):  # not taken
            BRANCH
        return lambda x: x + 1
    def h(x): pass
    @overload(h)
    def ov_h(x):
        from third import K
        return lambda x: x + K
    def t(x): pass
    @overload(t)
    def ov_t(x):
        try:
            from third import K
        except ImportError:
            K = 100
        return lambda x: x + K
    @njit(cache=True)
    def f(x): return g(x)
    @njit(cache=True)
    def u(x): return h(x)
    @njit(cache=True)
    def v(x): return t(x)
    """
DEADLOCK = """
    import faulthandler, threading
    import lib
    faulthandler.dump_traceback_later(60, exit=True)
    started, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: __import__("slow"), daemon=True)
    lib.started, lib.go = started, go
    thread.start()
    started.wait(60)
    print(lib.f(1), flush=True)
    go.set()
    thread.join(50)
    print(thread.is_alive())
    import os
    os._exit(0)
    """


def test_an_import_that_is_not_taken(project):
    """Nothing is imported while Numba's lock is held: another thread may hold the module's, and wait for Numba's."""
    project.write("slow.py", """
        import lib
        lib.started.set()
        lib.go.wait(5)
        from numba import njit
        @njit("f8(f8)")
        def h(x): return x
        """)
    project.write("leave.py", "import sys; sys.exit('needs a license')")
    project.write("lib.py", IMPORTS.replace("BRANCH", "import slow"))
    assert project.good(DEADLOCK).out == "2\nFalse\n"
    project.write("lib.py", IMPORTS.replace("BRANCH", "import leave; from leave import some"))
    _, warm = project.cold_and_warm("import lib, sys\nprint(lib.f(1), 'leave' in sys.modules)")
    assert warm.out == "2 False\n"


def test_an_import_that_is_taken(project):
    """What is not loaded has no content; what an entry was made with must be there when it is served."""
    project.write("lib.py", IMPORTS.replace("BRANCH", "pass"))
    program = "import lib\nprint(lib.v(1))"
    _, absent = project.cold_and_warm(program)
    assert absent.out == "101\n"
    for k in "12":
        project.write("third.py", f"K = {k}")
        assert project.good(program).out == f"{1 + int(k)}\n"
        assert project.good("import lib\nprint(lib.u(1))").out == f"{1 + int(k)}\n"
        _, warm = project.cold_and_warm("import third, lib\nprint(lib.u(1), lib.v(1))")
        assert warm.out == f"{1 + int(k)} {1 + int(k)}\n"


def test_bytes_that_belong_to_no_field(project):
    """What lies between the fields of an aligned record differs from run to run."""
    program = """
        import os, sys
        import numpy as np
        from numba import njit
        one = np.dtype([("a", "i4"), ("b", "f8")], align=True)
        inner = np.dtype([("c", one, (2,)), ("d", "i1")], align=True)
        def array(dtype, shape):
            raw = np.full(np.zeros(shape, dtype).nbytes, int(os.environ["FILL"]), np.uint8)
            made = raw.view(dtype).reshape(shape)
            for row in made.ravel():
                holders = [row] if "a" in dtype.names else [*row["c"]]
                for holder in holders: holder["a"], holder["b"] = 1, 2.0
                if "d" in dtype.names: row["d"] = 5
            return made
        A, B, R = array(one, (2, 2)), array(inner, (3,)), array(one, (1,))[0]
        T = (A[1], 7)
        @njit(cache=True)
        def f(x): return x + A[x, x].a + B[x + 1].c[x].b + B[x - 1].d
        @njit(cache=True)
        def g(x): return x + R.a + R.b
        @njit(cache=True)
        def h(x): return x + T[0][1].b + T[1]
        print(f(1), g(1), h(1))
        """
    stores = []
    for fill in ("3", "250"):
        project.store = project.work / f"store{fill}"
        assert project.good(program, FILL=fill).out == "9.0 4.0 10.0\n"
        if SAGGAR is not None and not OLD:
            listed = subprocess.run([SAGGAR, "ls", "--json"], env={**os.environ, "SAGGAR_DIR": str(project.store)}, capture_output=True, check=True)
            stores.append(sorted((entry["key"], entry["identity"]) for entry in json.loads(listed.stdout)))
    assert project.good(program, FILL="77").cacheable() == []
    assert not stores or len(stores[0]) == 3 and stores[0] == stores[1]


DECIDES = """
    import os
    import conf
    from numba import njit
    def of_class(expr, caller, callee): return conf.C.inline
    def of_object(expr, caller, callee): return conf.OBJ.inline
    def of_environment(expr, caller, callee): return "INLINE" in os.environ
    def of_constant(expr, caller, callee): return conf.FLAG
    class Decider:
        def __call__(self, expr, caller, callee): return conf.C.inline
    def make(decide):
        @njit(inline=decide, error_model="numpy", cache=True)
        def divided(x, y): return x / y
        @njit(cache=True)
        def f(x, y): return divided(x, y)
        return f
    def tried(f):
        try: return f(1.0, 0.0)
        except ZeroDivisionError: return "raised"
    print(*[tried(make(decide)) for decide in (of_class, of_object, of_environment, of_constant, Decider())])
    """


def test_a_function_that_decides_about_inlining(project):
    """Python runs it. One that is inlined loses its own options: to divide by zero is an error then."""
    conf = "class C: inline = {0}\nclass O: pass\nOBJ = O()\nOBJ.inline = {0}\nFLAG = {0}\n"
    project.write("conf.py", conf.format(False))
    first = project.good(DECIDES)
    assert first.out == "inf inf inf inf inf\n" and first.names("not-stored") == ["make.<locals>.divided", "make.<locals>.f"]
    assert all("that decides about inlining" in event["detail"] for event in first.of("not-stored"))
    assert first.names("published") == ["make.<locals>.divided"] * 4 + ["make.<locals>.f"] * 4
    assert project.good(DECIDES).names("compiled") == ["make.<locals>.divided", "make.<locals>.f"]
    project.write("conf.py", conf.format(True))
    assert project.good(DECIDES, INLINE="1").out == "raised raised raised raised raised\n"


TYPED = """
    from numba import njit, types
    from numba.extending import as_numba_type, overload
    import conf
    class Meter: pass
    class Foot: pass
    @overload(Meter)
    def _(x): return lambda x: x
    @overload(Foot)
    def _(x): return lambda x: x
    as_numba_type.register(Meter, conf.KIND)
    @as_numba_type.register
    def inferred(cls): return conf.KIND if cls is Foot else None
    @njit(cache=True)
    def f(x): return isinstance(x, Meter)
    @njit(cache=True)
    def g(x): return isinstance(x, Foot)
    print(f(2.0), f(2), g(2.0), g(2))
    """


def test_what_a_class_is_typed_as(project):
    project.write("conf.py", "from numba import types\nKIND = types.float64\n")
    assert project.good(TYPED).out == "True False True False\n"
    assert project.good(TYPED).cacheable() == []
    project.write("conf.py", "from numba import types\nKIND = types.int64\n")
    assert project.good(TYPED).out == "False True False True\n"
