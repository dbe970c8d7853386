"""The text of a function or of one that it calls changes: what must be seen, and what must not."""
from ..model import append, case, edit, keep_time, names, prepend, Step, ANY, touch, write

KIND = "Edited source"

CALLER = """
    from .other import callee
    @njit(cache=True)
    def f(x):
        "What it does."
        return callee(x) * 3
    """
CALLEE = """
    @njit(cache=True)
    def callee(x): return x + 1
    """
TWO = {"lib.py": CALLER, "other.py": CALLEE}
change_callee = edit("other.py", "x + 1", "x + 2")

case("own_body", KIND, "the function's own body", "", CALLEE, "lib.callee(10)", edit("lib.py", "x + 1", "x + 2"), needed="callee")
case("own_constant", KIND, "a constant in the function, its size and time kept", "", CALLEE, "lib.callee(10)",
     keep_time(edit("lib.py", "x + 1", "x + 2")), needed="callee")
case("callee_same_file", KIND, "a callee in the same file", "", """
    @njit(cache=True)
    def callee(x): return x + 1
    @njit(cache=True)
    def f(x): return callee(x) * 3
    """, "lib.f(10)", edit("lib.py", "x + 1", "x + 2"), needed="f callee")
case("callee_other_file", KIND, "a callee in another file", "numba#1833", TWO, "lib.f(10)", change_callee, needed="f callee")
case("callee_uncached", KIND, "a callee in another file that is not marked for caching", "numba#8926",
     {"lib.py": CALLER, "other.py": CALLEE.replace("(cache=True)", "")}, "lib.f(10)", change_callee, needed="f")
case("module_made_attribute", KIND, "an attribute that a module makes (PEP 562), the module under another name", "", {"lib.py": """
    from . import lazy
    @njit(cache=True)
    def f(x):
        m = lazy
        return x + m.K
    @njit(cache=True)
    def g(x):
        def inner(m): return x + m.K
        return inner(lazy)
    """, "lazy.py": "def __getattr__(name):\n    if name == 'K': return 5\n    raise AttributeError(name)\n"},
     "(lib.f(10), lib.g(10))", edit("lazy.py", "5", "7"), needed="f g")
case("callee_by_module", KIND, "a callee reached as an attribute of its module", "numba#9483", {"lib.py": """
    from . import other
    @njit(cache=True)
    def f(x): return other.callee(x) * 3
    """, "other.py": CALLEE}, "lib.f(10)", change_callee, needed="f callee")
case("callee_by_package", KIND, "a callee reached through its package", "numba#8851", {"lib.py": """
    from . import deep
    @njit(cache=True)
    def f(x): return deep.other.callee(x) * 3
    """, "deep/__init__.py": "from . import other", "deep/other.py": CALLEE}, "lib.f(10)",
     edit("deep/other.py", "x + 1", "x + 2"), needed="f callee")
case("callee_of_callee", KIND, "the callee of a callee's callee, three files away", "numba#8851", {
    "lib.py": "from .a import a\n@njit(cache=True)\ndef f(x): return a(x) * 3",
    "a.py": "from .b import b\n@njit(cache=True)\ndef a(x): return b(x) + 1",
    "b.py": "from .other import callee\n@njit(cache=True)\ndef b(x): return callee(x) - 1", "other.py": CALLEE},
     "lib.f(10)", change_callee, needed="f a b callee")
case("callee_of_many", KIND, "a callee: what does not call it stays", "numba#9316", {"lib.py": CALLER + """
    @njit(cache=True)
    def g(x): return x - 1
    """, "other.py": CALLEE + """
    @njit(cache=True)
    def beside(x): return x * 7
    """}, "(lib.f(10), lib.g(10), other.beside(10))", change_callee, needed="f callee")
case("callee_inlined", KIND, "a callee with inline=\"always\"", "numba#1833",
     {"lib.py": CALLER, "other.py": CALLEE.replace("cache=True", 'cache=True, inline="always"')}, "lib.f(10)",
     change_callee, needed="f callee")
case("callee_in_closure", KIND, "a callee that a closure holds", "numba#1833", {"lib.py": """
    from .other import callee
    def make(g):
        @njit(cache=True)
        def f(x): return g(x) * 3
        return f
    f = make(callee)
    """, "other.py": CALLEE}, "lib.f(10)", change_callee, needed="f callee")
case("callee_renamed_in", KIND, "another function under the same name: the import changes", "numba#1833",
     {"lib.py": "from . import names\ncallee = names.callee\n@njit(cache=True)\ndef f(x): return callee(x) * 3",
      "names.py": "from .other import callee", "other.py": CALLEE + """
    @njit(cache=True)
    def another(x): return x - 100
    """}, "lib.f(10)", edit("names.py", "import callee", "import another as callee"), needed="f another")
case("callee_default", KIND, "the default value of a callee's argument", "numba#1833",
     {"lib.py": CALLER, "other.py": "@njit(cache=True)\ndef callee(x, k=1): return x + k"}, "lib.f(10)",
     edit("other.py", "k=1", "k=2"), needed="f callee")
case("helper_jitable", KIND, "a @register_jitable helper", "numba#1833", {"lib.py": CALLER, "other.py": """
    from numba.extending import register_jitable
    @register_jitable
    def callee(x): return x + 1
    """}, "lib.f(10)", change_callee, needed="f")
case("callee_by_ufunc", KIND, "the function that a dynamic @vectorize calls", "numba#6199", {"lib.py": """
    from numba import vectorize
    from .other import callee
    @vectorize(cache=True)
    def u(x): return callee(x) * 3
    @njit(cache=True)
    def f(x): return u(x) + 1
    """, "other.py": CALLEE}, "lib.f(10.0)", change_callee, needed="f u callee loop")
case("ufunc_as_callee", KIND, "a ufunc (DUFunc) that a function calls", "numba#6199", {
    "lib.py": "from .other import u\n@njit(cache=True)\ndef f(a): return u(a) * 3",
    "other.py": "from numba import vectorize\n@vectorize(cache=True)\ndef u(x): return x + 1"},
     "lib.f(np.arange(3.0))", edit("other.py", "x + 1", "x + 2"), needed="f u loop")
case("callee_by_gufunc", KIND, "the function that a @guvectorize kernel calls", "numba#6199", {"lib.py": """
    from numba import guvectorize
    from .other import callee
    @guvectorize(["void(f8[:], f8[:])"], "(n)->(n)", cache=True)
    def g(a, out):
        for i in range(len(a)): out[i] = callee(a[i])
    """, "other.py": CALLEE}, "lib.g(np.arange(3.0))", change_callee, needed="g callee loop")
case("gufunc_as_callee", KIND, "a gufunc that a function calls", "numba#6199", {"lib.py": """
    from .other import g
    @njit(cache=True)
    def f(a):
        out = np.zeros_like(a)
        g(a, out)
        return out
    """, "other.py": """
    from numba import guvectorize
    @guvectorize("(n)->(n)", cache=True)
    def g(a, out):
        for i in range(len(a)): out[i] = a[i] + 1
    """}, "lib.f(np.arange(3.0))", edit("other.py", "] + 1", "] + 2"), needed="f g loop")
case("gufunc_loops", KIND, "the types that a gufunc's loops are made for", "", {"lib.py": """
    from .other import g
    @njit(cache=True)
    def f(a):
        out = np.zeros(a.size)
        g(a, out)
        return out
    """, "other.py": """
    from numba import guvectorize
    @guvectorize(["void(float32, float64[:])"], "()->()", cache=True)
    def g(a, out): out[0] = np.float32(1) / a
    """}, "lib.f(np.array([3, 5], np.float32))", edit("other.py", '(float32,', '(float64,'), needed="f g loop")
case("default_by_wraps", KIND, "a default value of the function that a callee is a functools.wraps of", "", {
    "lib.py": "from .other import g\n@njit(cache=True)\ndef f(x): return g(x)", "other.py": """
    import functools
    def outer(x, k=3): pass
    @njit(cache=True)
    @functools.wraps(outer)
    def g(x, k): return x * k
    """}, "lib.f(10)", edit("other.py", "k=3", "k=4"), needed="f outer")
case("default_by_signature", KIND, "a default value in a callee's __signature__", "", {
    "lib.py": "from .other import g\n@njit(cache=True)\ndef f(x): return g(x)", "other.py": """
    import inspect
    def g(x, k): return x * k
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    g.__signature__ = inspect.Signature([inspect.Parameter("x", kind), inspect.Parameter("k", kind, default=3)])
    g = njit(cache=True)(g)
    """}, "lib.f(10)", edit("other.py", "default=3", "default=4"), needed="f g")
case("callee_by_cfunc", KIND, "the function that a @cfunc calls", "numba#1833", {"lib.py": """
    from numba import cfunc
    from .other import callee
    @cfunc("f8(f8)", cache=True)
    def c(x): return callee(x) * 3
    """, "other.py": CALLEE}, "lib.c.ctypes(10.0)", change_callee, needed="c callee")
case("stencil_body", KIND, "a stencil's kernel", "numba#1833", {
    "lib.py": "from .other import k\n@njit(cache=True)\ndef f(a): return k(a)",
    "other.py": "from numba import stencil\n@stencil\ndef k(a): return a[-1] + a[1]"},
     "lib.f(np.arange(5.0))", edit("other.py", "a[-1] +", "a[-1] -"), needed="f")
case("callee_in_objmode", KIND, "a Python function that an objmode block calls", "", {"lib.py": """
    from numba import objmode
    from .other import plain
    @njit(cache=True)
    def f(x):
        with objmode(y="int64"):
            y = plain(x)
        return y
    """, "other.py": "def plain(x): return x + 1"}, "lib.f(10)", edit("other.py", "x + 1", "x + 2"), needed="f")
case("callee_in_parallel", KIND, "a callee inside a prange loop", "numba#1833", {"lib.py": """
    from numba import prange
    from .other import callee
    @njit(cache=True, parallel=True)
    def f(n):
        s = 0
        for i in prange(n): s += callee(i)
        return s
    """, "other.py": CALLEE}, "lib.f(10)", change_callee, needed="f callee")
case("edited_and_back", KIND, "a callee is edited and edited back", "numba#9316", TWO, steps=(
    Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", names("f callee"), (change_callee,)),
    Step("lib.f(10)", names(""), (edit("other.py", "x + 2", "x + 1"),))), differs=True)

case("comment_changed", KIND, "comments in the function", "numba#9316", "@njit(cache=True)\ndef f(x):\n    # one\n    return x + 1\n",
     "lib.f(10)", edit("lib.py", "# one", "# two, and longer"))
case("comment_appended", KIND, "a comment at the end of the file", "numba#9316", TWO, "lib.f(10)", append("lib.py", "\n# end\n"))
case("docstring_changed", KIND, "the docstring", "numba#9316", TWO, "lib.f(10)", edit("lib.py", "What it does.", "How it does it."))
case("future_annotations", KIND, "annotations as texts (from __future__ import annotations)", "", TWO, "lib.f(10)",
     prepend("lib.py", "from __future__ import annotations\n"))
case("docstring_added", KIND, "a docstring where there was none", "numba#9316", "@njit(cache=True)\ndef f(x):\n    return x + 1\n",
     "lib.f(10)", edit("lib.py", "    return", "    'What it does.'\n    return"))
case("reformatted", KIND, "the layout of the function's lines", "numba#9316", TWO, "lib.f(10)",
     edit("lib.py", "return callee(x) * 3", "return (\n            callee(x)\n            * 3\n        )"))
case("line_above", KIND, "a blank line above the function", "numba#9316", TWO, "lib.f(10)", prepend("lib.py", "\n"))
case("raising_line_above", KIND, "a blank line above a function that raises", "numba#9316",
     "@njit(cache=True)\ndef f(x):\n    if x < 0: raise ValueError('negative')\n    return x + 1", "lib.f(10)", prepend("lib.py", "\n"))
case("neighbour_edited", KIND, "another function of the file", "numba#9316", {"lib.py": CALLER + """
    @njit(cache=True)
    def g(x): return x - 1
    """, "other.py": CALLEE}, "(lib.f(10), lib.g(10))", edit("lib.py", "x - 1", "x - 2"), needed="g", differs=True)
case("neighbour_removed", KIND, "another function of the file goes", "numba#9316",
     "@njit(cache=True)\ndef g(x): return x\n@njit(cache=True)\ndef f(x): return x + 1", "lib.f(10)",
     edit("lib.py", "@njit(cache=True)\ndef g(x): return x\n", ""))
case("plain_code_edited", KIND, "Python code of the file that no function uses", "numba#9316", {"lib.py": CALLER + """
    def plain(): return 1
    VERSION = "1.0"
    """, "other.py": CALLEE}, "lib.f(10)", edit("lib.py", '"1.0"', '"1.1"'), edit("lib.py", "return 1", "return 2"))
case("type_hints", KIND, "type hints", "numba#9316", "@njit(cache=True)\ndef f(x):\n    return x + 1", "lib.f(10)",
     edit("lib.py", "def f(x):", "def f(x: int) -> int:"))
case("callee_commented", KIND, "comments in a callee's file", "numba#9316", TWO, "lib.f(10)", append("other.py", "\n# end\n"))
case("unused_import", KIND, "an import that the function does not use", "numba#9316", TWO, "lib.f(10)",
     prepend("lib.py", "import json\n"))
case("touched", KIND, "only the time of the files", "numba#10163", TWO, "lib.f(10)", touch)
case("callee_moved", KIND, "a callee moves to another module, unchanged", "numba#9316",
     {"lib.py": "from .names import callee\n@njit(cache=True)\ndef f(x): return callee(x) * 3",
      "names.py": "from .other import callee", "other.py": CALLEE}, "lib.f(10)", write("elsewhere.py", CALLEE),
     edit("names.py", ".other", ".elsewhere"), needed="f callee", differs=False)
