"""What only typing and lowering reveal: an edit of it recompiles what was made with it, and nothing else."""
import pytest

EXT = """
    from numba import types
    from numba.core import cgutils
    from numba.experimental import structref
    from numba.extending import (NativeValue, box, intrinsic, lower_builtin, make_attribute_wrapper, models, overload,
                                 overload_attribute, overload_method, register_jitable, register_model, type_callable,
                                 typeof_impl, unbox)
    FACTOR = 5

    @register_jitable
    def helper(x):
        return x + 10

    def plain(x): pass
    @overload(plain)
    def ol_plain(x):
        def impl(x): return helper(x) * FACTOR
        return impl

    def inlined(x): pass
    @overload(inlined, inline="always")
    def ol_inlined(x):
        def impl(x): return x * 7
        return impl

    @overload_method(types.Array, "twice")
    def ol_twice(a):
        def impl(a): return a.sum() * 2
        return impl

    @overload_attribute(types.Array, "hundred")
    def ol_hundred(a):
        def impl(a): return 100
        return impl

    @intrinsic
    def increment(context, x):
        def codegen(context, builder, sig, args):
            return builder.add(args[0], args[0].type(1))
        return x(x), codegen

    @structref.register
    class PointType(types.StructRef):
        def preprocess_fields(self, fields):
            return tuple((name, types.unliteral(t)) for name, t in fields)
    class Point(structref.StructRefProxy):
        def __new__(cls, x): return structref.StructRefProxy.__new__(cls, x)
    structref.define_proxy(Point, PointType, ["x"])
    @overload_method(PointType, "area")
    def ol_area(self):
        def impl(self): return self.x * 4
        return impl

    class Interval:
        def __init__(self, lo, hi): self.lo, self.hi = lo, hi
    class IntervalType(types.Type):
        def __init__(self): super().__init__(name="Interval")
    interval_type = IntervalType()
    @typeof_impl.register(Interval)
    def typeof_interval(value, context): return interval_type
    @type_callable(Interval)
    def type_interval(context):
        def typer(lo, hi): return interval_type
        return typer
    @register_model(IntervalType)
    class IntervalModel(models.StructModel):
        def __init__(self, dmm, fe_type):
            models.StructModel.__init__(self, dmm, fe_type, [("lo", types.float64), ("hi", types.float64)])
    make_attribute_wrapper(IntervalType, "lo", "lo")
    make_attribute_wrapper(IntervalType, "hi", "hi")
    @lower_builtin(Interval, types.Float, types.Float)
    def make_interval(context, builder, sig, args):
        made = cgutils.create_struct_proxy(sig.return_type)(context, builder)
        made.lo, made.hi = args
        return made._getvalue()
    @unbox(IntervalType)
    def unbox_interval(typ, obj, c):
        made = cgutils.create_struct_proxy(typ)(c.context, c.builder)
        for name in ("lo", "hi"):
            held = c.pyapi.object_getattr_string(obj, name)
            setattr(made, name, c.pyapi.float_as_double(held))
            c.pyapi.decref(held)
        return NativeValue(made._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))
    """
LIB = """
    import numpy as np
    from numba import njit, vectorize
    import ext
    from ext import Interval, Point, increment, inlined
    @njit(cache=True)
    def callee(x): return ext.plain(x)
    @njit(cache=True)
    def caller(x): return callee(x) - 1
    @njit(cache=True)
    def inline(x): return inlined(x)
    @njit(cache=True)
    def method(a): return a.twice()
    @njit(cache=True)
    def attribute(a): return a.hundred
    @njit(cache=True)
    def intrinsics(x): return increment(x)
    @njit(cache=True)
    def struct(p): return p.area()
    @njit(cache=True)
    def width(v): return v.hi - v.lo
    @njit(cache=True)
    def build(a, b): return width(Interval(a, b))
    @vectorize(cache=True)
    def loop(x): return ext.plain(x)
    @njit(cache=True)
    def untouched(x): return x + 1
    """
PROGRAM = """
    import numpy as np
    from lib import *
    print(caller(1), inline(1), method(np.ones(2)), attribute(np.ones(2)), intrinsics(1), struct(Point(3)), width(Interval(1., 3.)),
          build(2., 5.), loop(np.arange(2))[1], untouched(1))
    """
BEFORE = "54 7 4.0 100 2 12 2.0 3.0 55 2\n"


@pytest.fixture
def lib(project):
    project.write("ext.py", EXT)
    project.write("lib.py", LIB)
    first = project.good(PROGRAM)
    assert first.out == BEFORE
    assert not [e for e in first.of("not-stored")], first.of("not-stored")
    again = project.good(PROGRAM)
    assert again.out == BEFORE and again.cacheable() == []
    return project


@pytest.mark.parametrize("change, out, compiled", [
    (("x + 10", "x + 20"), "104 7 4.0 100 2 12 2.0 3.0 105 2\n", ["callee", "caller", "loop", "loop"]),
    (("FACTOR = 5", "FACTOR = 6"), "65 7 4.0 100 2 12 2.0 3.0 66 2\n", ["callee", "caller", "loop", "loop"]),
    (("x * 7", "x * 8"), "54 8 4.0 100 2 12 2.0 3.0 55 2\n", ["inline"]),
    (("a.sum() * 2", "a.sum() * 3"), "54 7 6.0 100 2 12 2.0 3.0 55 2\n", ["method"]),
    (("return 100", "return 101"), "54 7 4.0 101 2 12 2.0 3.0 55 2\n", ["attribute"]),
    (("type(1)", "type(2)"), "54 7 4.0 100 3 12 2.0 3.0 55 2\n", ["intrinsics"]),
    (("self.x * 4", "self.x * 5"), "54 7 4.0 100 2 15 2.0 3.0 55 2\n", ["struct"]),
    (("made.lo, made.hi = args", "made.hi, made.lo = args"), "54 7 4.0 100 2 12 2.0 -3.0 55 2\n", ["build"]),
    (('IntervalType, "hi", "hi"', 'IntervalType, "lo", "hi"'), "54 7 4.0 100 2 12 0.0 0.0 55 2\n", ["build", "width"]),
    (('("lo", "hi"):', '("hi", "lo"):'), BEFORE, ["build", "width"]),
], ids=["helper", "global", "inline", "method", "attribute", "intrinsic", "structref", "lowering", "attribute-wrapper", "unbox"])
def test_edit(lib, change, out, compiled):
    assert change[0] in EXT
    lib.write("ext.py", EXT.replace(*change))
    result = lib.good(PROGRAM)
    assert result.out == out
    assert result.names("published") == compiled


def test_what_decides_nothing(lib):
    """Comments, order, another overload of another function."""
    lib.write("ext.py", "    # moved\n\n" + EXT + """
    def another(x): pass
    @overload(another)
    def ol_another(x):
        def impl(x): return x
        return impl
    """)
    result = lib.good(PROGRAM)
    assert result.out == BEFORE and result.cacheable() == []


def test_new_caller_of_a_loaded_callee(lib):
    """The callee is served; what it depends on goes into its new caller."""
    program = """
        from numba import njit
        import lib
        @njit(cache=True)
        def above(x): return lib.callee(x) + 100
        print(above(1))
        """
    assert lib.good(program).out == "155\n"
    assert lib.good(program).cacheable() == []
    lib.write("ext.py", EXT.replace("x + 10", "x + 20"))
    changed = lib.good(program)
    assert changed.out == "205\n" and changed.names("published") == ["above", "callee"]


def test_the_reason_names_it(lib):
    lib.write("ext.py", EXT.replace("a.sum() * 2", "a.sum() * 3"))
    missed = lib.good(PROGRAM).of("miss")
    assert [(e["reason"], "twice" in e["detail"] or "Array" in e["detail"]) for e in missed] == [("dependency", True)]


def test_cached_generator_in_a_new_caller(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def count(n):
            for i in range(n):
                yield i
        """)
    assert project.good("from lib import count\nprint(list(count(3)))").out == "[0, 1, 2]\n"
    result = project.good("""
        from numba import njit
        import lib
        @njit(cache=True)
        def total(n):
            s = 0
            for x in lib.count(n):
                s += x
            return s
        print(list(lib.count(3)), total(4))
        """)
    assert result.out == "[0, 1, 2] 6\n" and result.names("published") == ["total"]


def test_a_generator_that_another_function_gives_out(project):
    program = """
        import sys
        from numba import njit
        @njit(cache=True)
        def count(n):
            for i in range(n):
                yield i
        @njit(cache=True)
        def given(n): return count(n)
        @njit(cache=True)
        def total(n):
            s = 0
            for x in given(n):
                s += x
            return s
        print(list(given(3)), *[total(4) for _ in sys.argv[1:]])
        """
    assert project.good(program).out == "[0, 1, 2]\n"
    warm = project.good(program)
    assert warm.out == "[0, 1, 2]\n" and warm.cacheable() == []
    result = project.good(program.replace("sys.argv[1:]", "[1]"))  # what is served can be iterated over in code that is compiled later
    assert result.out == "[0, 1, 2] 6\n" and result.names("published") == ["total"]


def test_unmarked_functions_on_demand(project):
    """SAGGAR_NUMBA: what nobody marked is cached too."""
    program = """
        from numba import njit
        @njit
        def inner(x): return x + 1
        @njit
        def outer(x): return inner(x) * 2
        print(outer(3))
        """
    assert project.good(program).count("published") == 0
    assert project.good(program, SAGGAR_NUMBA="other").count("published") == 0
    assert project.good(program, SAGGAR_NUMBA="other,__main__").names("published") == ["outer"]
    warm = project.good(program, SAGGAR_NUMBA="all")
    assert warm.out == "8\n" and warm.count("compiled") == 0


def test_exceptions_arguments_use_their_own_constants(project):
    """Two functions raise with arguments of equal layout and different classes."""
    project.cold_and_warm("""
        import collections
        from numba import njit
        P = collections.namedtuple("P", "a b")
        Q = collections.namedtuple("Q", "a b")
        @njit(cache=True)
        def one(x):
            if x > 0:
                raise ValueError("one", P(x, x), x)
            return x
        @njit(cache=True)
        def two(x):
            if x > 1:
                raise KeyError("two", Q(x, x), x)
            return x
        @njit(cache=True)
        def both(x, y): return one(x) + two(y)
        for pair in ((1, 0), (0, 2)):
            try:
                both(*pair)
            except Exception as error:
                print(repr(error))
        """)


STUB = """
    from numba import njit, types
    from numba.extending import overload, overload_attribute
    class Settings:
        step = 1
        def ten(self): return 10
    SETTINGS = Settings()
    SETTINGS.extra = 100
    def stub(x): pass
    @overload(stub)
    def ol_stub(x):
        k = Settings.step + SETTINGS.ten() + SETTINGS.extra
        def impl(x): return x + k
        return impl
    @njit(cache=True)
    def f(x): return stub(x)
    @njit(cache=True)
    def size(a): return a.size
    """
USE = "import numpy as np\nfrom lib import *\nprint(f(1), size(np.ones(3)))"


@pytest.mark.parametrize("change, out, published", [
    (("step = 1", "step = 2"), "113 3\n", ["f"]),
    (("return 10", "return 20"), "122 3\n", ["f"]),
    (("extra = 100", "extra = 200"), "212 3\n", ["f"]),
    (("def stub(x): pass", "def stub(x): return x + 1"), "112 3\n", []),
    (("class Settings:", "class Settings:\n        'A docstring.'"), "112 3\n", []),
], ids=["class", "method", "object", "stub", "docstring"])
def test_what_an_overload_reads_while_numba_compiles(project, change, out, published):
    """Python runs the overload's function: classes and objects matter to it by what they hold."""
    project.write("lib.py", STUB)
    assert project.good(USE).out == "112 3\n"
    project.write("lib.py", STUB.replace(*change))
    result = project.good(USE)
    assert result.out == out and result.names("published") == published


def test_an_attribute_that_numba_has_itself(project):
    """An overload that comes later takes its place."""
    project.write("lib.py", STUB)
    project.good(USE)
    project.write("lib.py", STUB + """
    @overload_attribute(types.Array, "size")
    def ol_size(a):
        def impl(a): return 77
        return impl
    """)
    assert project.good(USE).out == "112 77\n"
    project.write("lib.py", STUB)
    again = project.good(USE)
    assert again.out == "112 3\n" and again.cacheable() == []


def test_recursion_behind_a_loaded_function(project):
    """A call with a literal types the function again with another signature, which it reaches by itself."""
    program = """
        from numba import njit
        @njit(cache=True)
        def down(n, x):
            if n <= 0:
                return float(x)
            return down(n - 1, x) + x
        @njit(cache=True)
        def f(x): return down(2, x)
        print(f(-4.0))
        """
    for _ in range(3):
        assert project.good(program).out == "-12.0\n"


@pytest.mark.parametrize("before, after, out", [
    ("['float64(float64, float64)']", "['int64(int64, int64)', 'float64(float64, float64)']", ("2.0 3.0\n", "2 3\n")),
    ("identity=0", "identity=1", ("2 3\n", "2 4\n")),
], ids=["loops", "identity"])
def test_what_a_ufunc_was_declared_with(project, before, after, out):
    source = """
        from numba import njit, vectorize
        @vectorize(DECLARED, cache=True)
        def u(x, y): return x + y
        @njit(cache=True)
        def f(x): return u(x, x)
        @njit(cache=True)
        def total(a): return u.reduce(a)
        """
    program = "import numpy as np\nfrom lib import f, total\nprint(f(1), total(np.arange(3)))"
    for declared, expected in zip((before, after), out):
        project.write("lib.py", source.replace("DECLARED", declared))
        assert project.good(program).out == expected
        assert project.good(program).cacheable() == []


MEMO = """
    from numba import njit
    from numba.extending import overload
    K = None
    def kept():
        if kept.value is None: kept.value = 5
        return kept.value
    kept.value = None
    def k():
        global K
        if K is None: K = kept() + 1
        return K
    def g(x): pass
    @overload(g)
    def _g(x):
        n = k()
        return lambda x: x + n
    @njit(cache=True)
    def first(x): return g(x)
    @njit(cache=True)
    def second(x): return g(x) * 10
    """


def test_a_value_that_an_overload_keeps(project):
    project.write("lib.py", MEMO)
    cold = project.good("import lib\nprint(lib.first(1), lib.second(1), lib.second(1.5))")
    assert cold.out == "7 70 75.0\n" and cold.of("not-stored") == []
    for program, out in (("lib.second(1.5), lib.second(1), lib.first(1)", "75.0 70 7"), ("lib.k(), lib.first(2.5), lib.first(1)", "6 8.5 7"),
                         ("lib.first(2.5), lib.second(1)", "8.5 70")):
        assert project.good(f"import lib\nprint({program})").out == out + "\n"
    warm = project.good("import lib\nprint(lib.first(2.5), lib.second(1))")
    assert warm.out == "8.5 70\n" and warm.cacheable() == []
    project.write("lib.py", MEMO.replace("kept.value = 5", "kept.value = 7"))
    assert project.good("import lib\nprint(lib.first(1), lib.second(1))").out == "9 90\n"


@pytest.mark.parametrize("form", ["K = (K or 0) + 1", "K = 1 if K is None else K + 1", "K = 0 if K is None else K\n        K += 1"])
def test_a_value_that_counts_the_runs(project, form):
    project.write("lib.py", MEMO.replace("if K is None: K = kept() + 1", form))
    program = "import lib\nprint(lib.first(1), lib.second(2.5), lib.second(1.5))"
    plain = project.run(program, SAGGAR_MODE="off").out
    for _ in range(2):
        result = project.good(program)
        assert result.out == plain and result.names("published") == []


@pytest.mark.parametrize("form", ["if K is None: K = kept() + 1", "if K is not None: return K\n        K = kept() + 1"])
def test_a_value_that_somebody_else_sets(project, form):
    project.write("lib.py", MEMO.replace("if K is None: K = kept() + 1", form))
    for number in range(3):
        result = project.good("import lib\nprint(lib.first(1), setattr(lib, 'K', 50), lib.second(1.5))")
        assert result.out == "7 None 515.0\n" and (number or result.names("not-stored") == ["second"])
    assert project.good("import lib\nprint(lib.second(1.5), lib.first(1))").out == "75.0 7\n"
    assert project.good("import lib\nprint(lib.first(1), lib.second(1.5))").cacheable() == []


LOCATOR = """
    from numba.core import caching
    from numba.extending import overload
    class Locator(getattr(caching, "UserProvidedCacheLocator", None) or caching._UserProvidedCacheLocator):
        def get_disambiguator(self): return "x"
        @classmethod
        def from_function(cls, py_func, py_file): return None
    caching.CacheImpl._locator_classes.insert(0, Locator)
    class Settings:
        K = {}
    def foo(x): pass
    @overload(foo)
    def ov(x):
        k = Settings.K
        return lambda x: x + k
    """


@pytest.mark.parametrize("module", ["lib_of_keys/__init__.py", "lib_of_keys.py"])
def test_a_checkout_before_an_installed_package(project, module):
    """A package with a locator is known by its version only where that is what was loaded."""
    project.write("lib.py", "from numba import njit\nfrom lib_of_keys import foo\n@njit(cache=True)\ndef f(x): return foo(x)\n")
    root = "../env/lib/python/site-packages"
    project.write(f"{root}/lib_of_keys-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lib_of_keys\nVersion: 1.0\n")
    project.write(f"{root}/{module}", LOCATOR.format(1))
    program = "import sys\nsys.path.append(f'{sys.path[0]}/' + %r)\nfrom lib import f\nprint(f(0))" % root
    assert project.good(program).out == "1\n"
    assert project.good(program).cacheable() == []
    for value in (10, 20):
        project.write(module, LOCATOR.format(value))
        assert project.good(program).out == f"{value}\n"
        assert project.good(program).cacheable() == []


def test_an_overload_that_is_registered_again(project):
    """By a module that is loaded again: it is what it was. With another content, nothing tells which one is meant."""
    project.write("lib.py", """
        import os
        from numba import njit
        from numba.extending import overload
        def made(k): return lambda x: lambda x: x + k
        def g(x): pass
        overload(g)(made(int(os.environ["K"])))
        @njit(cache=True)
        def first(x): return x
        @njit(cache=True)
        def f(x): return g(x)
        """)
    program = "import importlib, os, lib\nlib.first(10)\nos.environ['K'] = os.environ['THEN']\nimportlib.reload(lib)\nprint(lib.f(10))"
    assert project.good("import lib\nprint(lib.first(10), lib.f(10))", K="1").cacheable() == ["numba:lib:f", "numba:lib:first"]
    again = project.good(program, K="1", THEN="1")
    assert (again.out, again.cacheable()) == ("11\n", [])
    changed = project.good(program, K="1", THEN="2")
    assert (changed.out, changed.cacheable(), changed.count("published")) == ("12\n", ["numba:lib:f"], 0)
    assert "several things have one name: call lib:g" in changed.of("not-stored")[0]["detail"]
