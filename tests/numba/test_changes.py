"""What changes the code is seen, and what does not is not: neither stale code nor needless compilations."""
import os
import shutil

import pytest

LIB = """
    from numba import njit
    import other
    SCALE = 3
    @njit(cache=True)
    def callee(x):
        return x + 1
    @njit(cache=True{options})
    def f(x):
        "A docstring."
        return callee(x) * SCALE + other.OFFSET
    """
PROGRAM = "from lib import f\nprint(f(10))"


@pytest.fixture
def lib(project):
    project.write("other.py", "OFFSET = 1000\n")
    project.write("lib.py", LIB.format(options=""))
    assert project.good(PROGRAM).out == "1033\n"
    assert project.good(PROGRAM).cacheable() == []
    return project


def test_callee_edited(lib):
    lib.write("lib.py", LIB.format(options="").replace("x + 1", "x + 2"))
    result = lib.good(PROGRAM)
    assert result.out == "1036\n"
    assert result.names("published") == ["callee", "f"]


def test_function_edited(lib):
    lib.write("lib.py", LIB.format(options="").replace("* SCALE", "* SCALE * 2"))
    result = lib.good(PROGRAM)
    assert result.out == "1066\n" and result.names("published") == ["f"]


def test_constant_edited(lib):
    lib.write("lib.py", LIB.format(options="").replace("x + 1", "x + 7"))
    assert lib.good(PROGRAM).out == "1051\n"


def test_global_edited(lib):
    lib.write("lib.py", LIB.format(options="").replace("SCALE = 3", "SCALE = 4"))
    result = lib.good(PROGRAM)
    assert result.out == "1044\n" and result.names("published") == ["f"]


def test_global_of_another_module_edited(lib):
    lib.write("other.py", "OFFSET = 2000\n")
    assert lib.good(PROGRAM).out == "2033\n"


def test_global_of_the_callees_callee(project):
    lib = """
        from numba import njit
        K = 1
        @njit(cache=True)
        def a(x): return x + K
        @njit(cache=True)
        def b(x): return a(x)
        @njit(cache=True)
        def c(x): return b(x)
        """
    project.write("lib.py", lib)
    program = "from lib import c\nprint(c(1))"
    assert project.good(program).out == "2\n"
    project.write("lib.py", lib.replace("K = 1", "K = 2"))
    assert project.good(program).out == "3\n"


@pytest.mark.parametrize("options", [", fastmath=True", ", boundscheck=True", ", error_model='numpy'", ", nogil=True",
                                     ", inline='always'", ", locals={'x': __import__('numba').float32}"])
def test_options_changed(lib, options):
    lib.write("lib.py", LIB.format(options=options))
    result = lib.good(PROGRAM)
    assert "f" in result.names("published"), result.events
    assert result.out in ("1033\n", "1033.0\n")


@pytest.mark.parametrize("variable,value", [
    ("NUMBA_BOUNDSCHECK", "1"), ("NUMBA_OPT", "2"), ("NUMBA_LOOP_VECTORIZE", "0"), ("NUMBA_SLP_VECTORIZE", "1"),
    ("NUMBA_DEBUG_NRT", "1")])
def test_configuration_changed(lib, variable, value):
    result = lib.good(PROGRAM, **{variable: value})
    assert result.names("published") == ["callee", "f"] and result.out == "1033\n"


def test_boundscheck_finds_what_it_should(project):
    program = """
        from numba import njit
        import numpy as np
        @njit(cache=True)
        def f(a, i): return a[i]
        try: print(f(np.arange(3.0), 1), f(np.arange(3.0), 2**20 * 0 + 1))
        except IndexError as e: print("no")
        """
    project.good(program)
    checked = project.good(program.replace("* 0 + 1", ""), NUMBA_BOUNDSCHECK="1")
    assert checked.out == "no\n"


def test_what_was_compiled_before_the_configuration_changed(project):
    """A function that it is linked into is not stored under the new configuration."""
    program = """
        import os
        from numba import njit
        import numpy as np
        @njit
        def g(a, i): return a[i]
        @njit(cache=True)
        def f(a, i): return g(a, i) + 0.0
        if "BEFORE" in os.environ: g(np.arange(3.0), 0)
        os.environ["NUMBA_BOUNDSCHECK"] = "1"
        try: print(f(np.arange(9.0)[:3], 5))
        except IndexError: print("no")
        """
    first = project.good(program, BEFORE="1")
    assert first.out == "5.0\n" and first.names("not-stored") == ["f"]
    assert project.good(program).out == "no\n"


def test_fastmath_set_is_in_the_key_whatever_its_order(project):
    program = """
        from numba import njit
        @njit(cache=True, fastmath={"nnan", "ninf", "arcp", "contract"})
        def f(x): return x * 2.0
        print(f(1.0))
        """
    project.good(program, PYTHONHASHSEED="1")
    for seed in "234":
        assert project.good(program, PYTHONHASHSEED=seed).cacheable() == []


def test_line_inserted_and_comment_changed(lib):
    lib.write("lib.py", "# one\n# two\n\n" + "# three\n" * 20 + _plain(LIB.format(options="")).replace(
        "A docstring.", "Another docstring."))
    assert lib.good(PROGRAM).cacheable() == []


def test_folder_moved_and_touched(lib):
    moved = lib.root.parent / "elsewhere" / "deep"
    moved.parent.mkdir()
    shutil.move(lib.root, moved)
    lib.root = moved
    for path in moved.iterdir():
        os.utime(path, (0, 0))
    result = lib.good(PROGRAM)
    assert result.cacheable() == [] and result.names("hit") == ["f"]


def test_default_values(project):
    program = """
        from numba import njit
        @njit(cache=True)
        def f(x, k={}): return x + k
        print(f(1))
        """
    for value, out in ((1, "2\n"), (2, "3\n"), (1, "2\n")):
        assert project.good(program.format(value)).out == out


def test_array_in_a_closure(project):
    program = """
        from numba import njit
        import numpy as np
        A = np.array([1.0, {}])
        @njit(cache=True)
        def f(x): return x + A[1]
        print(f(1))
        """
    assert project.good(program.format(2.0)).out == "3.0\n"
    assert project.good(program.format(3.0)).out == "4.0\n"
    assert project.good(program.format(2.0)).cacheable() == []


def test_value_changed_between_two_signatures(project):
    program = """
        from numba import njit
        import numpy as np
        A = np.array([1.0])
        K = 1
        @njit(cache=True)
        def f(x): return x + A[0] + K
        print(f(1))
        A[0] = 10.0; K = 100
        print(f(1.5))
        """
    assert project.good(program).out == "3.0\n111.5\n"
    again = project.good(program)
    assert again.out == "3.0\n111.5\n" and again.cacheable() == []


def test_enum_and_named_tuple_values(project):
    program = """
        from numba import njit
        import collections, enum
        class E(enum.IntEnum):
            a = {}
        P = collections.namedtuple("P", "x y")
        p = P(1, {})
        @njit(cache=True)
        def f(): return E.a + p.y
        print(f())
        """
    assert project.good(program.format(1, 2)).out == "3\n"
    assert project.good(program.format(5, 2)).out == "7\n"
    assert project.good(program.format(1, 7)).out == "8\n"


def test_an_option_inherited_from_the_caller(project):
    """Numba compiles a callee with the caller's error model if the callee sets none."""
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def div(a, b): return a / b
        @njit(cache=True, error_model="numpy")
        def caller(a, b): return div(a, b)
        """)
    assert project.good("from lib import caller\nprint(caller(1.0, 0.0))").out == "inf\n"
    result = project.good("from lib import div\ntry: print(div(1.0, 0.0))\nexcept ZeroDivisionError: print('zero')")
    assert result.out == "zero\n"
    for program in ("from lib import caller, div\nprint(caller(1.0, 0.0))",):
        assert project.good(program).out == "inf\n"


def test_inherited_options_do_not_depend_on_what_ran_before(project):
    project.write("lib.py", """
        from numba import njit
        @njit(cache=True)
        def div(a, b): return a / b
        @njit(cache=True, error_model="numpy")
        def caller(a, b): return div(a, b)
        @njit(cache=True, error_model="python")
        def strict(a, b): return div(a, b)
        @njit(cache=True, error_model="numpy")
        def both(a, b):
            try:
                return strict(a, b)
            except Exception:
                return div(a, b)
        def safe(f):
            try: return f(1.0, 0.0)
            except ZeroDivisionError: return "zero"
        """)
    calls = ["caller", "div", "strict", "both"]
    expected = {"caller": "inf", "div": "zero", "strict": "zero", "both": "inf"}
    for order in (calls, calls[::-1], calls[2:] + calls[:2], ["div", "caller", "div", "both"]):
        result = project.good("from lib import *\n" + "\n".join(f"print(safe({c}))" for c in order))
        assert result.out.split() == [expected[c] for c in order], order
    assert result.cacheable() == []


def test_renamed_folder_of_a_package(project):
    project.write("pkg/__init__.py", "")
    project.write("pkg/mod.py", """
        from numba import njit
        @njit(cache=True)
        def f(x): return x + 1
        """)
    project.good("from pkg.mod import f\nprint(f(1))")
    assert project.good("from pkg.mod import f\nprint(f(1))").cacheable() == []


def _plain(text):
    import textwrap
    return textwrap.dedent(text)


def test_a_package_with_the_name_of_one_of_pythons(project):
    project.write("sched/__init__.py", "")
    project.write("sched/helper.py", "from numba import njit\n@njit(cache=True)\ndef helper(x): return x + 1\n")
    project.write("lib.py", """
        from numba import njit
        from sched.helper import helper
        @njit(cache=True)
        def f(x): return helper(x)
        """)
    program = "from lib import f\nprint(f(1))"
    assert project.good(program).out == "2\n"
    project.write("sched/helper.py", "from numba import njit\n@njit(cache=True)\ndef helper(x): return x + 5\n")
    assert project.good(program).out == "6\n"


def test_a_plain_function_that_is_compiled_in(project):
    lib = """
        from numba import njit
        from numba.extending import register_jitable
        K = 1
        @register_jitable
        def helper(x): return x + K
        @njit(cache=True)
        def f(x): return helper(x)
        """
    program = "from lib import f\nprint(f(1))"
    project.write("lib.py", lib)
    assert project.good(program).out == "2\n"
    assert project.good(program).cacheable() == []
    project.write("lib.py", lib.replace("x + K", "x - K"))
    assert project.good(program).out == "0\n"
    project.write("lib.py", lib.replace("K = 1", "K = 9"))
    assert project.good(program).out == "10\n"


@pytest.mark.parametrize("form", ["{}", "(lambda: {})"])
def test_a_part_of_the_key_that_the_author_gives(project, form):
    source = """
        import saggar
        from numba import njit
        def version(): return VERSION
        @njit(cache=True)
        @saggar.key(FORM)
        def callee(x): return x + 1
        @njit(cache=True)
        def caller(x): return callee(x)
        @njit(cache=True)
        def other(x): return x
        """.replace("FORM", form.format("('tables', version())"))
    program = "from lib import *\nprint(caller(1), other(1))"
    project.write("lib.py", source.replace("VERSION", "1"))
    project.cold_and_warm(program)
    project.write("lib.py", source.replace("VERSION", "2"))
    assert project.good(program).names("published") == ["callee", "caller"]
    project.write("lib.py", source.replace("VERSION", "1"))
    assert project.good(program).cacheable() == []


def test_a_key_is_asked_for_once(project):
    """By all that the function is looked at for; and what the key is worked out from does not count."""
    cold, warm = project.cold_and_warm("""
        import os, saggar
        import numpy as np
        from numba import njit
        from numba.extending import overload
        calls, table = [], np.ones(3)
        def version(): return calls.append(open(os.devnull).read()) or "v1"
        def foo(x): pass
        @overload(foo)
        @saggar.key(version)
        def ov(x):
            k = int(table[0])
            return lambda x: x + k
        @njit(cache=True)
        @saggar.key(version)
        def f(x): return foo(x) + table[1]
        f(1), f(1.0), f(1j)
        print(len(calls))
        """)
    assert cold.out == "2\n"


def test_a_key_that_has_no_encoding(project):
    result = project.good("""
        import saggar
        from numba import njit
        @njit(cache=True)
        @saggar.key(open)
        def f(x): return x + 1
        @njit(cache=True)
        @saggar.key(lambda: __import__("threading").Lock())
        def g(x): return x + 1
        print(f(1), g(1))
        """)
    assert result.out == "2 2\n" and result.names("not-stored") == ["f", "g"]


def test_types_of_variables_that_are_set_again(project):
    """Numba adds the variables' versions to what the decorator was given."""
    project.write("lib.py", """
        from numba import njit, types
        @njit("int64(int64)", locals={"i": types.uint16}, cache=True)
        def callee(n):
            i = 0
            while i < n: i = i + 3
            return i
        @njit(cache=True)
        def caller(n): return callee(n)
        """)
    project.cold_and_warm("import lib\nprint(lib.caller(10))")
