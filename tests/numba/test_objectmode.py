"""Where Python runs a part of compiled code: every function keeps its own objects and its own global variables."""
import pytest

OBJECTS = """
    import sys, types
    from numba import jit, njit, objmode
    class Box:
        def __init__(self, v): self.v = v
    def forced(b):
        @jit(forceobj=True, cache={cache})
        def f(): return b.v
        return f
    def block(b):
        @njit(cache={cache})
        def f():
            with objmode(r="int64"): r = b.v
            return r
        return f
    def forced_list(items):
        @jit(forceobj=True, cache={cache})
        def f():
            items.append(1)
            return len(items)
        return f
    def helper(k):
        def python(): return k.v
        @njit(cache={cache})
        def f():
            with objmode(r="int64"): r = python()
            return r
        return f
    for make in (forced, block, helper):
        x, y = make(Box(1)), make(Box(2))
        print(x(), y(), x(), y())
    a, b = [], []
    x, y = forced_list(a), forced_list(b)
    x(), y(), x()
    print(len(a), len(b))
    source = "from numba import jit\\nb = None\\n@jit(forceobj=True, cache=False)\\ndef f(): return b"
    twice = []
    for v in (1, 2):
        module = sys.modules["twice"] = types.ModuleType("twice")
        exec(source, module.__dict__)
        module.b = v
        twice.append(module)
        module.f()
    print([module.f() for module in twice])
    """


@pytest.mark.parametrize("cache", [False, True])
def test_each_function_keeps_its_own_objects(project, cache):
    result = project.good(OBJECTS.format(cache=cache))
    assert result.out.splitlines() == ["1 2 1 2"] * 3 + ["2 1", "[1, 2]"]


def test_an_object_that_changed_is_not_served(project):
    program = """
        import os
        from numba import jit, njit, objmode
        class Box: pass
        def make(b):
            @jit(forceobj=True, cache=True)
            def f(x): return b.v + x
            @njit(cache=True)
            def g(x):
                with objmode(y="int64"): y = b.v + x
                return y
            return f, g
        box = Box()
        box.v = int(os.environ["V"])
        f, g = make(box)
        print(f(1), g(1))
        """
    assert project.good(program, V="1").out == "2 2\n"
    assert project.good(program, V="2").out == "3 3\n"


def test_blocks_over_fixed_values_are_served(project):
    """What PyTensor does to find a LAPACK function: texts, numbers, types and functions of modules."""
    program = """
        import math
        import numpy as np
        from numba import njit, objmode, types
        def make(name, factor, kind, of_module):
            @njit(cache=True)
            def f(x):
                with objmode(y="float64"):
                    y = getattr(math, name)(x) * factor + of_module(0.0) + (kind is types.float64)
                return y
            return f
        print(make("floor", 2, types.float64, math.sin)(1.5))
        """
    cold, warm = project.cold_and_warm(program)
    assert cold.out == warm.out == "3.0\n" and not cold.of("not-stored") and warm.cacheable() == []


def test_a_block_that_is_compiled_for_a_caller(project):
    """It is what it is when it is compiled alone, so that entries from two stores fit."""
    program = """
        import os
        from numba import njit, objmode
        @njit(cache=True)
        def f(x):
            with objmode(y="float64", w="unicode_type"):
                y = x * 2.0
                w = str(x)
            return y, w
        @njit(cache=True)
        def caller(x): return f(x)[0] + 1
        calls = {"f": lambda: f(3), "caller": lambda: caller(3)}
        print(*[calls[name]() for name in os.environ["CALLS"].split()])
        """
    stores = []
    for calls in ("f", "caller"):
        project.store = project.work / calls
        stores.append(str(project.store))
        project.good(program, CALLS=calls)
    served = project.good(program, CALLS="f caller", SAGGAR_DIR=":".join([str(project.work / "new"), *stores]))
    assert served.out == "(6.0, '3') 7.0\n" and served.cacheable() == []
