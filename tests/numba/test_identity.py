"""The content of functions: what is in a digest, what is not, and what has none."""
import enum
import gc
import sys
import types
import weakref

import numba
import numpy as np
import pytest

from saggar import _saggar
from saggar.numba import identity, kinds, values


def function(source, name="f", **space):
    space.setdefault("__name__", "somewhere")
    space.setdefault("np", np)
    exec(compile(source, "made.py", "exec"), space)
    return space[name]


def digest(source, name="f", **space):
    return identity.content(function(source, name, **space)).digest


def test_equal_sources_have_equal_digests():
    assert digest("def f(x): return x + 1") == digest("\n\n# here\ndef f(x):\n    'doc'\n    return x + 1")


@pytest.mark.parametrize("body", ["return x + 1", "for i in range(3): x += 2.5\n return x", "'not the docstring'\n return x"])
def test_a_docstring_that_is_optimized_away(body):
    source, spaces = f"def f(x):\n 'doc'\n {body}", ({"np": np, "__name__": "somewhere"}, {"np": np, "__name__": "somewhere"})
    for space, level in zip(spaces, (0, 2), strict=True):
        exec(compile(source, "made.py", "exec", optimize=level), space)
    one, two = (identity.content(space["f"]).digest for space in spaces)
    assert one == two != digest(source.replace("'doc'", "x += 1"))


@pytest.mark.parametrize("one,two", [
    ("def f(x): return x + 1", "def f(x): return x + 2"),
    ("def f(x): return x + 1", "def f(x): return x + 1.0"),
    ("def f(x): return x + 1", "def f(x): return x + True"),
    ("def f(x, k=1): return x", "def f(x, k=2): return x"),
    ("def f(x, *, k=1): return x", "def f(x, *, k=2): return x"),
    ("def f(x): return 'a'", "def f(x): return 'b'"),
    ("def f(x): return [y + 1 for y in x]", "def f(x): return [y + 2 for y in x]"),
    ("def f(x): return x in (1, 2)", "def f(x): return x in (1, 3)"),
    ("def f(x):\n 'a'\n return 'a'", "def f(x):\n 'b'\n return 'b'"),
    ("def f(x): return x * 2 + 3", "def f(x): return x * 3 + 2"),
    ("def f(g, x): return g(a=x, b=1)", "def f(g, x): return g(b=x, a=1)"),
    ("def f(x): return np.sin(x)", "def f(x): return np.cos(x)"),
])
def test_what_differs(one, two):
    assert digest(one) != digest(two)


@pytest.mark.parametrize("one,two", [
    (1, 2), (1, True), (1.0, -1.0), (0.0, -0.0), ("a", "b"), ((1, 2), (1, 3)), (np.float32(1), np.float64(1)),
    (np.arange(3), np.arange(1, 4)), (np.arange(4).reshape(2, 2), np.asfortranarray(np.arange(4).reshape(2, 2))),
    ([1], [2]), ({"a": 1}, {"a": 2}), (numba.int64, numba.float64), (np.dtype("i4"), np.dtype("i8")),
])
def test_globals(one, two):
    source = "def f(x): return x + K"
    assert digest(source, K=one) != digest(source, K=two)
    assert digest(source, K=one) == digest(source, K=one)


def test_only_what_is_read_counts():
    assert digest("def f(x): return x", K=1) == digest("def f(x): return x", K=2)


def test_an_array_that_was_changed():
    array = np.zeros(2)
    f = function("def f(x): return A[0]", A=array)
    before = identity.content(f).digest
    array[0] = 1
    assert identity.content(f).digest != before


def test_a_global_that_was_rebound():
    f = function("def f(x): return K", K=1)
    before = identity.content(f).digest
    assert identity.content(f).digest == before
    f.__globals__["K"] = 2
    assert identity.content(f).digest != before


def test_an_object_that_is_gone():
    class Thing:
        pass
    f = function("def f(x): return K", K=Thing())
    before = identity.content(f).digest
    f.__globals__["K"] = None
    gc.collect()
    assert identity.content(f).digest != before


def test_a_callee_that_is_gone():
    f = function("@njit\ndef g(x): return x\n@njit\ndef f(x): return g(x)", njit=numba.njit)
    before, gone = identity.content(f).digest, weakref.ref(f.py_func.__globals__["g"])
    f.py_func.__globals__["g"] = None
    gc.collect()
    assert gone() is None and identity.content(f).digest != before


def test_equal_arrays_in_each_others_place():
    f = function("def f(x): return A[0]", A=np.zeros(2))
    node = identity.content(f).nodes[0]
    before = identity.content(f).digest
    f.__globals__["A"] = np.zeros(2)
    assert identity.content(f).digest == before and identity.content(f).nodes[0] is node, "nothing is built anew"
    f.__globals__["A"] = np.zeros(3)
    assert identity.content(f).digest != before


def test_a_name_that_appears_later_hides_the_builtin():
    f = function("def f(x): return len(x)")
    before = identity.content(f).digest
    f.__globals__["len"] = 5
    assert identity.content(f).digest != before


def test_module_attributes(monkeypatch):
    module = types.ModuleType("settings")
    module.K, module.unused = 1, 1
    monkeypatch.setitem(sys.modules, "settings", module)
    f = function("def f(x): return settings.K", settings=module)
    before = identity.content(f).digest
    module.unused = 2
    assert identity.content(f).digest == before
    module.K = 2
    assert identity.content(f).digest != before


def test_a_module_under_another_name(monkeypatch):
    module = types.ModuleType("settings")
    module.K = 1
    f = function("def f(x):\n m = settings\n return m.K", settings=module)
    before = identity.content(f).digest
    module.K = 2
    assert identity.content(f).digest != before


CYCLE = """
@njit
def a(n): return b(n - 1) + {0}
@njit
def b(n): return c(n - 1)
@njit
def c(n): return a(n - 1) + b(n)
def d(n): return c(n)
"""


def test_cycles_do_not_depend_on_where_the_walk_starts():
    one = function(CYCLE.format(1), "a", njit=numba.njit).py_func.__globals__
    two = function(CYCLE.format(1), "a", njit=numba.njit).py_func.__globals__
    for name in "abcd":
        identity.content(one[name])
    for name in "dcba":
        identity.content(two[name])
    for name in "abcd":
        assert identity.content(one[name]).digest == identity.content(two[name]).digest
    other = function(CYCLE.format(2), "a", njit=numba.njit).py_func.__globals__
    for name in "abcd":
        assert identity.content(other[name]).digest != identity.content(one[name]).digest
    assert len({identity.content(one[name]).digest for name in "abcd"}) == 4


def test_what_has_no_encoding_is_named():
    class Config:
        _numba_type_ = numba.int64
    f = function("def f(x): return cfg", cfg=Config())
    with pytest.raises(_saggar.Uncacheable, match=r"^global cfg of somewhere\.f: type test_identity\..*Config$"):
        identity.content(f)


def test_a_large_array_is_refused():
    with pytest.raises(_saggar.Uncacheable, match="an array of 8000000 bytes"):
        digest("def f(x): return A", A=np.zeros(10**6))


def test_enum_members_count():
    one, two = enum.IntEnum("E", {"a": 1}), enum.IntEnum("E", {"a": 2})
    assert digest("def f(x): return E.a", E=one) != digest("def f(x): return E.a", E=two)


def test_options_of_a_callee_count():
    source = "def f(x): return g(x)"
    def g(x): return x
    one, two = numba.njit(g), numba.njit(fastmath=True)(g)
    assert digest(source, g=one) != digest(source, g=two) != digest(source, g=g)


def test_closures():
    source = "def make(k):\n def f(x): return x + k\n return f"
    make = function(source, "make")
    assert identity.content(make(1)).digest != identity.content(make(2)).digest
    assert identity.content(make(1)).digest == identity.content(make(1)).digest


def test_types():
    encode = values.Encoder(lambda target: target.py_func.__name__).encode
    array = numba.typeof(np.zeros(3))
    assert encode(array) == encode(numba.types.Array(numba.float64, 1, "C"))
    assert encode(array) != encode(numba.types.Array(numba.float64, 1, "C", readonly=True))
    assert encode(array) != encode(numba.types.Array(numba.float64, 1, "C", aligned=False))
    assert encode(numba.types.literal(1)) != encode(numba.types.literal(2)) != encode(numba.int64)
    assert encode(numba.types.Omitted(np.arange(3))) != encode(numba.types.Omitted(np.arange(1, 4)))
    assert encode(numba.types.Omitted(np.arange(3))) == encode(numba.types.Omitted(np.arange(3)))
    one, two = numba.njit(lambda x: x), numba.njit(lambda x: x)
    one.py_func.__name__, two.py_func.__name__ = "one", "two"
    assert encode(numba.typeof(one)) != encode(numba.typeof(two))
    assert not kinds.ADDRESS.search(kinds.short((numba.typeof(one),)))


def test_environments():
    from numba.core.environment import Environment
    from saggar.numba import environments

    class Descriptor:
        env_name = "made up"

        def lookup_globals(self):
            return globals()

    first = environments.from_fndesc(Environment, Descriptor())
    assert environments.from_fndesc(Environment, Descriptor()) is first, "one compilation has one"
    first.consts.append(1)
    second = environments.from_fndesc(Environment, Descriptor())
    assert second is not first and not len(second.consts), "the next compilation starts with an empty one"
    second.consts.append(1)
    encoded = environments.constants(second)
    assert environments.remember(second, encoded)
    assert environments.obtain("made up", encoded, globals()) in (first, second)
    second.consts.append(2)
    assert not environments.remember(second, environments.constants(second)), "other constants under one name"
    assert environments.obtain("made up", environments.constants(second), {"__name__": "elsewhere"}) is None


def test_a_set_of_functions():
    """Their addresses give it another order in each process."""
    made = []
    for _ in range(20):
        space = {}
        exec("def p(): return 1\ndef q(): return 2\ndef r(): return 3\nclass C: held = [{p, q, r}, frozenset([(p, 1), (q, 2)])]\n"
             "def f(): return [g() for g in C.held[0]]", space)
        made.append(space)
    assert len({tuple(space["C"].held[0]).index(space["p"]) for space in made}) > 1, "the order is to be seen"
    assert len({identity.content(space["f"], interpreted=True).digest for space in made}) == 1


def test_a_set_of_functions_that_have_one_name():
    def made(k): return lambda: k
    held = {made(1), made(2)}
    def f(): return held
    with pytest.raises(_saggar.Uncacheable, match="a set of functions that have one name"):
        identity.content(f, interpreted=True)
