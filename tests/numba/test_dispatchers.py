"""A dispatcher does as it does without Saggar: unpickled, handed over as a value, when it stops compiling."""
LIB = """
    import numba
    from numba import njit, types
    @njit(cache=True)
    def f(x): return x
    @njit(cache=True)
    def g(x):
        y = x
        return y * 2
    eager = njit("float64(float64)")(f.py_func)
    local = njit(locals={"y": types.float32})(g.py_func)
    """


def test_a_pickled_function_stays_what_it_was(project):
    """A module holds another function under the same name: of other signatures, types of variables, or one that still compiles."""
    project.write("lib.py", LIB)
    file = project.work / "pickled"
    project.good(f"""
        import lib, pickle
        lib.f.compile("float64(float64)")
        lib.f.disable_compile()
        pickle.dump((lib.eager, lib.local, lib.f, lib.g), open({str(file)!r}, "wb"))
        """)
    program = f"""
        import lib, pickle
        eager, local, fixed, same = pickle.load(open({str(file)!r}, "rb"))
        print(eager(3), local(0.1), fixed(3), same is lib.g)
        """
    assert project.good(program).out == "3.0 0.20000000298023224 3.0 True\n"


FAST = """
    from numba import njit, types
    @njit(cache={cache})
    def f(x): return (x + 1e16) - 1e16
    @njit(fastmath=True, cache={cache})
    def fast(x): return f(x)
    @njit(types.float64(types.FunctionType(types.float64(types.float64)), types.float64))
    def apply(function, x): return function(x)
    {first}
    fast(1.0)
    print(f(1.0), apply(f, 1.0), "fast" in f.inspect_llvm((types.float64,)))
    f.disable_compile()
    print(f(1.0), f.signatures)
    """


def test_a_callers_options_end_with_its_compilation(project):
    for cache in (False, True, True):
        for first in ("f(1.0)", ""):
            assert project.good(FAST.format(cache=cache, first=first)).out == "0.0 0.0 False\n0.0 [(float64,)]\n", (cache, first)


def test_declared_signatures_keep_their_order(project):
    """A caller with options of its own takes a function of declared signatures as it is; Numba asks them in their order."""
    project.write("lib.py", """
        import numpy as np
        from numba import njit, types
        @njit(["float32(float32[::1])", types.float32(types.Array(types.float32, 1, "C", readonly=True))])
        def norm(x): return x.sum()
        @njit(cache=True)
        def inner(x): return norm(x) + 1
        @njit(cache=True, error_model="numpy", fastmath=True)
        def outer(x): return inner(x) + norm(x)
        """)
    program = """
        import lib, numpy as np
        before = lib.norm.signatures
        print(lib.outer(np.ones(3, np.float32)), lib.norm.signatures == before)
        """
    first = project.good(program)
    assert first.out == "7.0 True\n" and not first.of("not-stored")
    again = project.good(program)
    assert again.out == "7.0 True\n" and not again.of("miss")
