"""Classes that compiled code raises, makes and compares with: they are the program's own, not copies of them."""
import pytest

RAISES = """
    from numba import njit
    class Mine(Exception):
        def text(self): return "first"
    @njit(cache=True)
    def f(x):
        if x < 0: raise Mine("negative", 3)
        return x
    @njit(cache=True)
    def g(x): return f(x)
    """
CATCHES = """
    for call in (f, g):
        try: call(-1)
        except Mine as error: print("caught", error, error.text())
        except Exception as error: print("missed", type(error), type(error) is Mine)
    """
MAKES = """
    import collections, enum
    from numba import njit
    from numba.experimental import structref
    Pair = collections.namedtuple("Pair", "a b")
    class Colour(enum.Enum):
        RED = 1
        BLUE = 2
    @njit(cache=True)
    def pair(x): return Pair(x, 2)
    @njit(cache=True)
    def colour(x): return Colour.RED if x else Colour.BLUE
    print(type(pair(1)) is Pair, pair(1), colour(1) is Colour.RED, colour(0) == Colour.BLUE)
    """


def test_exceptions_of_a_script(project):
    cold, warm = project.cold_and_warm(RAISES + CATCHES)
    assert warm.out == "caught ('negative', 3) first\n" * 2
    edited = project.good(RAISES.replace("first", "second") + CATCHES)
    assert edited.out == "caught ('negative', 3) second\n" * 2


def test_exceptions_of_a_module(project):
    project.write("lib.py", RAISES)
    _, warm = project.cold_and_warm("\n    from lib import *" + CATCHES)
    assert warm.out == "caught ('negative', 3) first\n" * 2


def test_values_of_a_scripts_classes(project):
    _, warm = project.cold_and_warm(MAKES)
    assert warm.out == "True Pair(a=1, b=2) True True\n"


def test_exceptions_of_local_classes_are_not_stored(project):
    program = """
        from numba import njit
        def make():
            class Mine(Exception): pass
            @njit(cache=True)
            def f(x):
                if x < 0: raise Mine("negative")
                return x
            @njit(cache=True)
            def g(x): return f(x) + 1
            return Mine, f, g
        Mine, f, g = make()
        for call in (f, g):
            try: call(-1)
            except Mine as error: print("caught", error)
        """
    for _ in range(2):
        result = project.good(program)
        assert result.out == "caught negative\n" * 2 and result.names("published") == []
        assert len(result.of("not-stored")) == 2


def test_another_kind_of_enumeration(project):
    lib = """
        import enum
        from numba import njit, types
        from numba.extending import overload
        class E(enum.Enum):
            A = 1
        def g(x): pass
        @overload(g)
        def _g(x):
            if isinstance(x, types.IntEnumMember): return lambda x: 1
            return lambda x: 2
        @njit(cache=True)
        def f(): return g(E.A)
        """
    project.write("lib.py", lib)
    assert project.good("import lib\nprint(lib.f())").out == "2\n"
    project.write("lib.py", lib.replace("enum.Enum", "enum.IntEnum"))
    assert project.good("import lib\nprint(lib.f())").out == "1\n"


READS = """
    import enum, types, dataclasses, numpy as np
    from numba import njit
    from numba.extending import overload
    class E(enum.Enum):
        A = 1
        def __init__(self, value): self.more = 5
        def method(self): return 5
    H = types.MappingProxyType({"a": 5})
    V = {"a": 5}.values()
    W = np.vectorize(lambda x: 5)
    @dataclasses.dataclass
    class D:
        x: int = dataclasses.field(default=0, metadata={"k": 5})
    def g(x): pass
    @overload(g)
    def _g(x):
        k = READ
        return lambda x: x + k
    @njit(cache=True)
    def f(x): return g(x)
    """


@pytest.mark.parametrize("read", ["E.A.more", "E.A.method()", "H['a']", "list(V)[0]", "int(W(1))", "dataclasses.fields(D)[0].metadata['k']"])
def test_what_an_overload_reads(project, read):
    lib = READS.replace("READ", read)
    project.write("lib.py", lib)
    assert project.good("import lib\nprint(lib.f(1))").out == "6\n"
    project.write("lib.py", lib.replace("5", "7"))
    assert project.good("import lib\nprint(lib.f(1))").out == "8\n"


def test_a_wrapped_function_that_an_overload_reads(project):
    wrapt = pytest.importorskip("wrapt")
    lib = """
        import wrapt
        from numba import njit
        from numba.extending import overload
        @wrapt.decorator
        def more(wrapped, instance, args, kwargs): return wrapped(*args) + 5
        @more
        def k(): return 1
        def g(x): pass
        @overload(g)
        def _g(x):
            n = k()
            return lambda x: x + n
        @njit(cache=True)
        def f(x): return g(x)
        """
    assert wrapt
    project.write("lib.py", lib)
    assert project.good("import lib\nprint(lib.f(1))").out == "7\n"
    project.write("lib.py", lib.replace("+ 5", "+ 7"))
    assert project.good("import lib\nprint(lib.f(1))").out == "9\n"


def test_a_module_that_makes_its_attributes(project):
    lazy = "def __getattr__(name):\n    if name == 'K': return 5\n    raise AttributeError(name)\n"
    project.write("lazy.py", lazy)
    project.write("lib.py", """
        from numba import njit
        from numba.extending import overload
        def g(x): pass
        @overload(g)
        def _g(x):
            import lazy as L
            k = L.K
            return lambda x: x + k
        @njit(cache=True)
        def f(x): return g(x)
        """)
    assert project.good("import lib\nprint(lib.f(1))").out == "6\n"
    project.write("lazy.py", lazy.replace("5", "7"))
    assert project.good("import lib\nprint(lib.f(1))").out == "8\n"


def test_a_stencils_global_that_changed_since_its_definition(project):
    program = """
        import numpy as np
        from numba import njit, stencil
        K = 1
        @stencil
        def kernel(a): return a[0] * K
        K = 5
        @njit(cache=True)
        def f(a): return kernel(a)
        print(f(np.ones(3)).tolist())
        """
    for text in (program, program.replace("K = 5", "K = 1"), program.replace("K = 1", "K = 5")):
        plain = project.run(text, SAGGAR_MODE="off").out
        assert project.good(text).out == plain and project.good(text).out == plain


def test_an_overload_that_a_key_stands_above(project):
    result = project.run("""
        import saggar
        from numba import njit
        @saggar.key(1)
        @njit(cache=True)
        def f(x): return x
        """)
    assert result.code == 1 and "below the compiler's decorator" in result.err


def test_a_module_that_is_not_there(project):
    lib = """
        from numba import njit
        from numba.extending import overload
        def g(x): pass
        def available():
            try: import not_there_at_all
            except ImportError: return 1
            return not_there_at_all.K
        @overload(g)
        def _g(x):
            k = available()
            return lambda x: x + k
        @njit(cache=True)
        def f(x): return g(x)
        """
    project.write("lib.py", lib)
    project.cold_and_warm("import lib\nprint(lib.f(1))")
    project.write("not_there_at_all.py", "K = 5")
    assert project.good("import lib\nprint(lib.f(1))").out == "6\n"


def test_an_attribute_that_a_module_gets_later(project):
    program = """
        import cfg
        from numba import njit
        @njit(cache=True)
        def f(x): return x + cfg.K
        try: f(1)
        except Exception: print("none")
        cfg.K = VALUE
        f.recompile() if f.signatures else None
        print(f(1))
        """
    project.write("cfg.py", "")
    for value in "12":
        text = program.replace("VALUE", value)
        assert project.good(text).out == project.run(text, SAGGAR_MODE="off").out


def test_a_value_kept_by_the_first_types(project):
    project.write("lib.py", """
        from numba import njit, types
        from numba.extending import overload
        def g(x): pass
        @overload(g)
        def _g(x):
            if _g.kept is None: _g.kept = 1 if isinstance(x, types.Integer) else 2
            k = _g.kept
            return lambda x: x + k
        _g.kept = None
        @njit(cache=True)
        def f(x): return g(x)
        """)
    assert project.good("import lib\nprint(lib.f(1), lib.f(1.0))").out == "2 2.0\n"
    assert project.good("import lib\nprint(lib.f(1.0))").out == "3.0\n"
