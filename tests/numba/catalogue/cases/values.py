"""Values that a function reads when it is compiled: globals, closures, attributes, defaults."""
from ..model import ANY, Step, case, edit, names, write

KIND = "Values"


def value(name: str, title: str, issues: str, old: str, new: str, body: str = "return x + K", call: str = "lib.f(10)",
          setup: str = "", **more: object) -> None:
    """A global whose value stands in another file."""
    case(name, KIND, title, issues, {"lib.py": f"from .other import *\n@njit(cache=True)\ndef f(x): {body}",
                                     "other.py": f"import collections, enum\n{setup}\nK = {old}"},
         call, edit("other.py", f"K = {old}", f"K = {new}"), needed="f", **more)


case("global_same_file", KIND, "a global of the same file", "", "K = 1\n@njit(cache=True)\ndef f(x): return x + K", "lib.f(10)",
     edit("lib.py", "K = 1", "K = 2"), needed="f")
value("global_other_file", "a global imported from another file", "numba#3267", "1", "2")
value("global_one_to_true", "1 becomes True, which is equal", "", "1", "True", "return K", "lib.f(10)")
value("global_one_to_float", "1 becomes 1.0, which is equal", "", "1", "1.0", "return K", "lib.f(10)")
value("global_minus_zero", "0.0 becomes -0.0, which is equal", "", "0.0", "-0.0", "return np.copysign(x, K)", "lib.f(1.0)")
value("global_text", "a text", "", "'a'", "'b'", "return str(x) + K")
value("global_tuple", "an element of a tuple", "", "(1, (2, 'a'))", "(1, (3, 'a'))", "return x + K[1][0]")
value("global_array", "an element of an array", "numba#3267", "np.arange(3.0)", "np.arange(3.0) + 1", "return x + K[1]")
value("global_array_order", "the memory order of an array", "", "np.arange(6).reshape(2, 3)",
      "np.asfortranarray(np.arange(6).reshape(2, 3))", "return K.ravel().strides[0] * x + K.strides[0]")
case("global_enum", KIND, "the value of an enumeration's member", "numba#3267", {
    "lib.py": "from .other import E\n@njit(cache=True)\ndef f(x): return x + E.a.value",
    "other.py": "import enum\nclass E(enum.Enum):\n    a = 1\n    b = 5\n"}, "lib.f(10)", edit("other.py", "a = 1", "a = 2"), needed="f")
value("global_namedtuple", "a field of a named tuple", "numba#3267", "P(1, 2)", "P(1, 3)", "return x + K.y",
      setup='P = collections.namedtuple("P", "x y")')
value("global_dtype", "a NumPy dtype", "", "np.dtype('i4')", "np.dtype('f8')", "return np.ones(x, K)")
value("global_type", "a Numba type", "", "types.int32", "types.float64", "return K(x)", setup="from numba import types")
value("global_function", "a global becomes another function", "numba#1833", "one", "two", "return K(x)",
      setup="@njit\ndef one(x): return x + 1\n@njit\ndef two(x): return x + 2")
value("global_builtin", "a global becomes another builtin", "", "min", "max", "return K(x, 5)")
value("global_module", "a global becomes another module", "", "math", "cmath", "return K.sqrt(x)", "lib.f(4.0)", setup="import math, cmath")
case("global_shadows_builtin", KIND, "a global gets the name of a builtin", "", {
    "lib.py": "from . import other\nfrom .other import *\n@njit(cache=True)\ndef f(x): return abs(x)",
    "other.py": "_abs = abs"}, "lib.f(-10)", write("other.py", "@njit\ndef abs(x): return 5"), needed="f")
case("module_attribute", KIND, "an attribute of a module", "biosteam#169", {
    "lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return x + other.K", "other.py": "K = 1"}, "lib.f(10)",
     edit("other.py", "K = 1", "K = 2"), needed="f")
case("module_attribute_deep", KIND, "an attribute of a module of a package", "biosteam#169", {
    "lib.py": "from . import deep\n@njit(cache=True)\ndef f(x): return x + deep.other.K", "deep/__init__.py": "from . import other",
    "deep/other.py": "K = 1"}, "lib.f(10)", edit("deep/other.py", "K = 1", "K = 2"), needed="f")
case("module_alias", KIND, "an attribute of a module that the function gives another name", "biosteam#169", {
    "lib.py": "from . import other\n@njit(cache=True)\ndef f(x):\n    m = other\n    return x + m.K", "other.py": "K = 1"}, "lib.f(10)",
     edit("other.py", "K = 1", "K = 2"), needed="f")
case("module_attribute_unused", KIND, "an attribute of a module that the function does not read", "biosteam#169", {
    "lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return x + other.K", "other.py": "K = 1\nL = 1"}, "lib.f(10)",
     edit("other.py", "L = 1", "L = 2"))
case("global_of_callee", KIND, "a global that a callee reads", "numba#3267", {
    "lib.py": "from .other import callee\n@njit(cache=True)\ndef f(x): return callee(x)",
    "other.py": "from .third import K\n@njit(cache=True)\ndef callee(x): return x + K", "third.py": "K = 1"}, "lib.f(10)",
     edit("third.py", "K = 1", "K = 2"), needed="f callee")
case("global_from_data", KIND, "a global read from a data file: no source changes", "numba#3267", {
    "lib.py": "import json, os.path\nK = json.load(open(os.path.join(os.path.dirname(__file__), 'data.json')))['k']\n"
              "@njit(cache=True)\ndef f(x): return x + K", "data.json": '{"k": 1}'}, "lib.f(10)", edit("data.json", "1", "2"), needed="f")
case("global_from_environment", KIND, "a global read from an environment variable", "numba#3267",
     "import os\nK = int(os.environ.get('K_OF_CASE', '1'))\n@njit(cache=True)\ndef f(x): return x + K", "lib.f(10)", needed="f",
     env={"K_OF_CASE": "2"}, differs=True)
case("global_set_by_program", KIND, "a global that the program sets before the first call", "numba#3267",
     "K = 1\n@njit(cache=True)\ndef f(x): return x + K", "lib.f(10)", needed="f", then="setattr(lib, 'K', 2); lib.f(10)", differs=True)
case("array_set_by_program", KIND, "an array that the program changes before the first call", "numba#3267",
     "K = np.ones(3)\n@njit(cache=True)\ndef f(x): return x + K[1]", "lib.f(10)", needed="f", then="lib.K.fill(2); lib.f(10)",
     differs=True)
case("array_set_between", KIND, "an array that the program changes between two signatures", "",
     "K = np.ones(3)\n@njit(cache=True)\ndef f(x): return x + K[1]", "a = lib.f(10); lib.K.fill(2); (a, lib.f(10.0))")
case("default_argument", KIND, "the default value of an argument", "", {
    "lib.py": "from .other import K\n@njit(cache=True)\ndef f(x, k=K): return x + k", "other.py": "K = 1"}, "lib.f(10)",
     edit("other.py", "K = 1", "K = 2"), needed="f")
case("default_tuple", KIND, "the default value of an argument, a tuple", "", {
    "lib.py": "from .other import K\n@njit(cache=True)\ndef f(x, k=K): return x + k[0]", "other.py": "K = (1, 2)"}, "lib.f(10)",
     edit("other.py", "K = (1", "K = (2"), needed="f")
case("closure_value", KIND, "a value that a closure holds", "", {
    "lib.py": "from .other import K\ndef make(k):\n    @njit(cache=True)\n    def f(x): return x + k\n    return f\nf = make(K)",
    "other.py": "K = 1"}, "lib.f(10)", edit("other.py", "K = 1", "K = 2"), needed="f")
case("closure_array", KIND, "an array that a closure holds", "", {
    "lib.py": "from .other import K\ndef make(k):\n    @njit(cache=True)\n    def f(x): return x + k[1]\n    return f\nf = make(K)",
    "other.py": "K = np.arange(3)"}, "lib.f(10)", edit("other.py", "np.arange(3)", "np.arange(3) + 1"), needed="f")
case("closure_inner", KIND, "a value that only an inner function reads", "numba#3267", {
    "lib.py": "from .other import K\n@njit(cache=True)\ndef f(x):\n    def inner(y): return y + K\n    return inner(x)",
    "other.py": "K = 1"}, "lib.f(10)", edit("other.py", "K = 1", "K = 2"), needed="f")
case("global_nan", KIND, "nothing: the global is NaN, which is not equal to itself", "", """
    K = float("nan")
    A = np.array([np.nan, 1.0])
    T = (float("nan"), 1)
    @njit(cache=True)
    def f(x): return x + K + A[0] + T[0]
    """, "lib.f(1.0)")
case("global_unused", KIND, "a global that the function does not read", "numba#9316", {
    "lib.py": "from .other import *\n@njit(cache=True)\ndef f(x): return x + K", "other.py": "K = 1\nL = 1"}, "lib.f(10)",
     edit("other.py", "L = 1", "L = 2"))
case("global_object", KIND, "nothing: a global is an object that prints its address", "", """
    class Thing: pass
    THING = Thing()
    LOG = print
    @njit(cache=True)
    def f(x):
        if x > 100: LOG("large")
        return x + 1
    """, "lib.f(10)")
case("dictionary_read_by_python", KIND, "a dictionary and a set that the code is made from, under another hash seed", "numba#10486",
     """
    from numba.extending import overload
    NAMES = {"a", "b", "c", "d", "e"}
    TABLE = {name: len(name) for name in sorted(NAMES)}
    def g(x): pass
    @overload(g)
    def _g(x):
        k = len(NAMES) + TABLE["a"]
        return lambda x: x + k
    @njit(cache=True)
    def f(x): return g(x)
    """, "lib.f(10)", env={"PYTHONHASHSEED": "7"}, first={"PYTHONHASHSEED": "3"})
case("set_in_code", KIND, "a set in the source, under another hash seed", "numba#10486",
     '@njit(cache=True)\ndef f(x): return x in {"a", "b", "cc", "d"}', 'lib.f("cc")',
     env={"PYTHONHASHSEED": "7"}, first={"PYTHONHASHSEED": "3"})
case("fastmath_set_order", KIND, "a set of fast-math flags, under another hash seed", "numba#10486",
     '@njit(cache=True, fastmath={"nnan", "ninf", "nsz", "arcp", "contract"})\ndef f(x): return x * 2.0', "lib.f(1.0)",
     env={"PYTHONHASHSEED": "7"}, first={"PYTHONHASHSEED": "3"})
case("large_array", KIND, "nothing: a global array of 2 MB, which cannot be cached", "numba#3267, FIGARO#11",
     "K = np.ones(250_000)\n@njit(cache=True)\ndef f(x): return x + K[1]", "lib.f(10)", refusal=True)
case("array_read_only", KIND, "global and free arrays were made read-only, which they are to Numba", "", """
    import os
    K = np.ones(3)
    K.flags.writeable = "RO" not in os.environ
    def make(held):
        @njit(cache=True)
        def f(x): return x + K[1] + held[1]
        return f
    """, "lib.make(lib.K)(10)", env={"RO": "1"})
case("value_and_back", KIND, "a global changes and changes back", "", {
    "lib.py": "from .other import K\n@njit(cache=True)\ndef f(x): return x + K", "other.py": "K = 1"}, steps=(
    Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", names("f"), (edit("other.py", "K = 1", "K = 2"),)),
    Step("lib.f(10)", names(""), (edit("other.py", "K = 2", "K = 1"),))), differs=True)
