"""Functions that Numba gives one symbol name to: the reproductions of numba#10486 and their kin."""
FACTORY = """
    from numba import njit
    import numpy as np
    def make(kind, inline):
        if kind == "add":
            @njit(cache=True, inline=inline)
            def op(x): return x + {big}
        else:
            @njit(cache=True, inline=inline)
            def op(x): return x - {big}
        @njit(cache=True)
        def run(n):
            s = 0
            for i in range(n):
                s += op(i)
            return s
        return run
    def filled(dtype):
        @njit(cache=True)
        def op(n): return np.ones(n, dtype)
        return op
    def wrap(kind):
        op = filled(np.float64 if kind == "float" else np.int32)
        @njit(cache=True)
        def run(n): return op(n)
        return run
    """.format(big="n_[0]").replace("n_[0]", "7")


def _three(project, one, two, both):
    project.write("lib.py", FACTORY)
    first = project.good("from lib import *\n" + one)
    second = project.good("from lib import *\n" + two)
    third = project.good("from lib import *\n" + both)
    again = project.good("from lib import *\n" + both)
    assert again.out == third.out and again.cacheable() == []
    return first.out, second.out, third.out


def test_callee_that_is_not_inlined(project):
    outs = _three(project, "print(make('add', 'never')(10))", "print(make('sub', 'never')(10))",
                  "print(make('add', 'never')(10), make('sub', 'never')(10))")
    assert outs == ("115\n", "-25\n", "115 -25\n")


def test_callee_that_is_inlined(project):
    outs = _three(project, "print(make('add', 'always')(10))", "print(make('sub', 'always')(10))",
                  "print(make('add', 'always')(10), make('sub', 'always')(10))")
    assert outs == ("115\n", "-25\n", "115 -25\n")


def test_served_callees_in_a_new_caller(project):
    new = """
        from numba import njit
        a, b = make('add', 'never'), make('sub', 'never')
        @njit(cache=True)
        def both(n): return a(n) * 1000 + b(n)
        print(both(10))
        """
    project.write("lib.py", FACTORY)
    project.good("from lib import *\nprint(make('add', 'never')(10))")
    project.good("from lib import *\nprint(make('sub', 'never')(10))")
    source = "from lib import *\n" + _plain(new)
    assert project.good(source).out == "114975\n"
    assert project.good(source).out == "114975\n"


def test_constants_stay_with_their_code(project):
    outs = _three(project, "print(wrap('float')(2))", "print(wrap('int')(2))",
                  "print(wrap('float')(2), wrap('int')(2), wrap('float')(2))")
    assert outs == ("[1. 1.]\n", "[1 1]\n", "[1. 1.] [1 1] [1. 1.]\n")


def test_named_tuples_of_one_name(project):
    project.write("lib.py", """
        from numba import njit
        import collections
        def make(names):
            P = collections.namedtuple("P", names)
            @njit(cache=True)
            def f(x): return P(x, x + 1)
            return f
        """)
    project.good("from lib import make\nprint(make('a b')(1))")
    project.good("from lib import make\nprint(make('c d')(1))")
    assert project.good("from lib import make\nprint(make('a b')(1), make('c d')(1))").out == "P(a=1, b=2) P(c=1, d=2)\n"


def test_equal_closures_in_one_process(project):
    program = """
        from numba import njit
        import numpy as np, gc
        def make(k):
            @njit{cache}
            def f(n):
                if n < 0: raise ValueError("negative")
                return np.ones(n, np.int32) + k, str(n)
            return f
        fs = [make(1) for _ in range(3)]
        print([f(2) for f in fs])
        del fs[0]; gc.collect()
        print([f(2) for f in fs])
        for f in fs:
            try: f(-1)
            except ValueError as e: print(e)
        @njit{cache}
        def g(n): return fs0(n)
        fs0 = fs[0]
        print(g(2))
        """
    plain = project.good(program.replace("{cache}", ""))
    for _ in range(2):
        assert project.good(program.replace("{cache}", "(cache=True)")).out == plain.out


def test_constants_of_equal_functions_that_nobody_marked(project):
    program = """
        from numba import njit
        import numpy as np
        def make():
            @njit
            def op(n): print(np.ones(n, np.int32), (n, "a"))
            return op
        one, two = make(), make()
        @njit(cache=True)
        def first(n): one(n)
        @njit(cache=True)
        def second(n): two(n + 1)
        first(2); second(2)
        """
    cold, warm = project.cold_and_warm(program)
    assert cold.out.count("[1 1 1]") == 1 and cold.count("not-stored") == 0


def test_recompile(project):
    program = """
        from numba import njit
        K = 1
        @njit(cache=True)
        def f(x): return x + K
        print(f(1))
        f.recompile()
        print(f(1))
        K = 5
        f.recompile()
        print(f(1))
        """
    for _ in range(2):
        result = project.good(program)
        assert result.out == "2\n2\n6\n"
        assert "recompile" in [e["reason"] for e in result.of("miss")]


def _plain(text):
    import textwrap
    return textwrap.dedent(text)
