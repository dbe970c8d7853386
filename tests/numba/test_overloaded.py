"""Functions that an overload stands in for, read by other overloads: their own bodies decide nothing where Numba compiles the call, and count
where Python runs them."""

LIB = """
    import os
    from numba import njit
    from numba.extending import overload
    K = int(os.environ["ED"])
    def like(function):
        held = {}
        def ask(key):
            if key not in held: held[key] = function(key)
            return held[key]
        return ask
    @like
    def find(key): return iter(key)  # shows nothing of what it holds
    if K: find("a")
    def inner(x): return find("inner") and K
    @overload(inner)
    def ov_inner(x): return lambda x: x + 1
    def outer(x): pass
    """


def runs(project, body):
    """Two runs, in which Python's `inner` gives 1 and 2."""
    project.write("lib.py", LIB + body)
    return [project.good("import lib; print(lib.f(10))", ED=value) for value in "12"]


def test_where_numba_compiles_the_call(project):
    first, second = runs(project, """
    @overload(outer)
    def ov(x):
        scale = 2
        if isinstance(x, str):
            def impl(x): return 0
        else:
            def impl(x):
                def twice(y): return inner(y) * scale
                return twice(x)
        return impl
    @njit(cache=True)
    def f(x): return outer(x)
    """)
    assert first.out == second.out == "22\n"
    assert first.names("published") == ["f"] and second.cacheable() == []


def test_where_numba_compiles_what_calls_it(project):
    """A compiled function that calls it, and is called by what the overload gives."""
    middle = """
    @njit
    def middle(x): return inner(x)
    @overload(outer)
    def ov(x):
        {}
        return lambda x: middle(x)
    @njit(cache=True)
    def f(x): return outer(x)
    """
    first, second = runs(project, middle.format("pass"))
    assert first.out == second.out == "11\n"
    assert first.names("published") == ["f"] and second.cacheable() == []
    first, second = runs(project, middle.format("middle.py_func(x)"))
    assert first.names("not-stored") == ["f"], first.events


def test_where_python_runs_it(project):
    """Directly, in a function inside, or found among the variables: what its body reads cannot be followed."""
    for body in ("k = inner(x)\n        def impl(x): return x + k",
                 "helper = lambda: inner(x)\n        k = helper()\n        def impl(x): return x + k",
                 "def impl(x): return inner(x)\n        k = impl(x)\n        def impl(x): return x + k",
                 "def impl(x): return inner(x)\n        k = locals()['impl'](x)\n        return lambda x: x + k",
                 "look = locals\n        def impl(x): return inner(x)\n        k = list(look().values())[-1](x)\n        return lambda x: x + k",
                 "k = globals()['inner'](x)\n        def impl(x): return x + k + inner(x) * 0"):
        first, second = runs(project, f"""
    @overload(outer)
    def ov(x):
        {body}
        return impl
    @njit(cache=True)
    def f(x): return outer(x)
    """)
        assert (first.out, second.out) == ("11\n", "12\n"), body
        assert first.names("not-stored") == ["f"], body


def test_lowering_that_shows_nothing(project):
    """Numba chooses among implementations by their types: only the one that it takes must show what it reads."""
    project.write("lib.py", """
    import os
    from numba import njit, types
    from numba.extending import lower_builtin
    from numba.core.typing.templates import AbstractTemplate, infer_global, signature
    def size(x): pass
    @infer_global(size)
    class Size(AbstractTemplate):
        def generic(self, args, kws): return signature(types.int64, *args)
    hidden = (c for c in "abc")  # shows nothing of what it holds
    @lower_builtin(size, types.float64)
    def of_float(context, builder, sig, args):
        return context.get_constant(types.int64, 8 if hidden else 0)
    K = int(os.environ["ED"])
    @lower_builtin(size, types.int64)
    def of_int(context, builder, sig, args): return context.get_constant(types.int64, K)
    @njit(cache=True)
    def f(x): return size(x)
    @njit(cache=True)
    def g(x): return size(x)
    """)
    results = [project.good("import lib; print(lib.f(1), lib.g(1.0))", ED=value) for value in "112"]
    assert [result.out for result in results] == ["1 8\n", "1 8\n", "2 8\n"]
    assert results[0].names("published") == ["f"] and [e["detail"][:13] for e in results[0].of("not-stored")] == ["global hidden"]
    assert [result.cacheable() for result in results[1:]] == [["numba:lib:g"], ["numba:lib:f", "numba:lib:g"]]
