"""Numba's own registrations before what others add after the first function was compiled or served: the same in each process."""
import numba
import pytest

HEAD = """
    import operator
    import numpy as np
    from numba import njit, types
    from numba.extending import lower_builtin, overload
    from numba.core.typing.templates import AbstractTemplate, infer_global, signature
    """
SERVED = """
    @njit(cache=True)
    def first(x): return x + 1
    print(first(1))
    """
FIRST = HEAD + SERVED
LATE = """
    @overload(np.sum)
    def late(a):
        if isinstance(a, types.Array): return lambda a: 777.0
    """
SECOND = """
    @njit
    def second(a): return np.sum(a)
    """
CALL = "print(second(np.arange(3.)))\n"


def right(project, program, expected, **env):
    """Three processes with one store: what is expected, and the last two compile nothing that is cacheable."""
    results = [project.good(program, **env) for _ in range(3)]
    assert [result.out for result in results] == [expected] * 3
    assert not any(result.cacheable() for result in results[1:]), results[1].of("miss")


def test_numbas_own_function(project):
    """Registered after the first compilation, it comes too late; a function that Saggar served before it changes nothing."""
    right(project, FIRST + LATE + SECOND.replace("@njit", "@njit(cache=True)") + CALL, "2\n3.0\n")
    right(project, FIRST + LATE + SECOND + CALL, "2\n3.0\n")


def test_template_and_lowering(project):
    """Written by hand, for types that Numba has an implementation for: the later implementation wins, the earlier template."""
    right(project, FIRST + """
    @infer_global(operator.pow)
    class Late(AbstractTemplate):
        def generic(self, args, kws): return signature(types.unicode_type, *args)
    @lower_builtin(operator.pow, types.int64, types.int64)
    def late(context, builder, sig, args): return args[0]
    @njit(cache=True)
    def second(a, b): return a ** b
    print(second(3, 2), second(3., 2.))
    """, "2\n3 9.0\n")


def test_for_a_type_of_its_own(project):
    """What others register for types of their own decides nothing elsewhere, whenever it was registered and read."""
    right(project, HEAD + """
    class Mine(types.Type): pass
    @infer_global(operator.getitem)
    class Early(AbstractTemplate):
        def generic(self, args, kws):
            if isinstance(args[0], Mine): return signature(types.int64, *args)
    """ + SERVED + """
    @overload(operator.getitem)
    def late(a, i):
        if isinstance(a, Mine): return lambda a, i: 0
    @njit(cache=True)
    def second(a): return a[1] + a[0]
    print(second(np.arange(3.)))
    """, "2\n1.0\n")


def extension(project, text):
    """An installed extension of Numba, which nobody imports; the variables with it."""
    project.distribution("site", "ext", "1.0")
    project.write("site/ext-1.0.dist-info/entry_points.txt", "[numba_extensions]\ninit = ext:register\n")
    project.write("site/ext/__init__.py", text)
    return {"PYTHONPATH": str(project.root / "site")}


def test_entry_point(project):
    """It is loaded with Numba's own, or before a call where that comes first."""
    site = extension(project, """
    import operator
    import numpy as np
    from numba import types
    from numba.extending import overload
    def register():
        class Mine(types.Type): pass
        @overload(operator.getitem)
        def item(a, i):
            if isinstance(a, Mine): return lambda a, i: 0
        @overload(np.sum)
        def total(a):
            if isinstance(a, types.Array): return lambda a: 777.0
        print("loaded")
    """)
    program = """
    import numpy as np
    from numba import njit
    {}
    @njit(cache=True)
    def second(a): return a[1] + np.sum(a)
    print(second(np.arange(3.)))
    """
    eager = """
    @njit("float64(float64[:])", cache=True)
    def first(a): return a[0] + a[1]
    """
    calling_nothing = """
    import operator
    from numba import njit, types
    from numba.extending import overload
    @njit("float64(float64)", cache=True)
    def first(a): return a * 2
    @overload(operator.getitem)
    def item(a, i):
        if isinstance(a, types.Float): return lambda a, i: a + i
    @njit("float64(float64)", cache=True)
    def second(a): return a[1]
    print(second.overloads[second.signatures[0]].entry_point(1.0))
    """
    right(project, program.replace("{}", eager), "loaded\n4.0\n", **site)
    plain = project.run(program.replace("{}", ""), SAGGAR_MODE="off", **site).out
    assert plain == "loaded\n778.0\n" or numba.version_info[:2] < (0, 68)
    right(project, program.replace("{}", ""), plain, **site)
    results = [project.good(calling_nothing, **site) for _ in range(3)]
    assert {result.out.split()[-1] for result in results} == {"2.0"} and results[0].cacheable()
    assert not any(result.cacheable() for result in results[1:]), results[1].of("miss")


def test_two_functions_with_others_before_them(project):
    """What stands before the second of them counts, though Numba's own were loaded to see what stands before the first."""
    program = HEAD + """
    import os
    class Mine(types.Type): pass
    if os.environ.get("ED"):
        @overload(np.isscalar)
        def early(a):
            if isinstance(a, types.Float): return lambda a: 777
    """ + SERVED + """
    @overload(np.iscomplexobj)
    def late(a):
        if isinstance(a, Mine): return lambda a: 1.0
    @njit(cache=True)
    def second(a): return np.iscomplexobj(a) + np.isscalar(a)
    print(second(2.5))
    """
    right(project, program, "2\n1\n")
    right(project, program, "2\n777\n", ED="1")


@pytest.mark.parametrize("module", ["numba.cpython.setobj", "numba.cpython.listobj", "numba.typed.dictimpl", "numba.core.boxing"])
def test_one_of_numbas_own_modules_is_imported_first(project, module):
    right(project, FIRST + f"import {module}\n" + LATE + SECOND + CALL, "2\n3.0\n")


def test_another_registry(project):
    """One that Numba installs before the one that everybody uses."""
    right(project, FIRST + """
    from numba.core.typing import npydecl
    @npydecl.infer_global(np.sum)
    class Late(AbstractTemplate):
        def generic(self, args, kws): return signature(types.unicode_type, *args)
    """ + SECOND + CALL, "2\n3.0\n")


def test_another_context(project):
    """Each context of Numba's installs everything once, whoever loads first."""
    right(project, FIRST + """
    from numba.core.typing import context, templates
    def made(i):
        def key(x): pass
        overload(key)(lambda x: lambda x: i)
        return key
    late = [made(i) for i in range(8)]
    other = type("Other", (context.BaseContext,), {})()
    other.refresh()
    njit(lambda a: a.sum())(np.arange(3.))
    other.refresh()
    own = templates.builtin_registry
    print(sum(other._lookup_global(value) is None for value, _ in own.globals),
          sum(len(other._lookup_global(key).templates) > 1 for key in late))
    """, "2\n0 0\n")


def test_loading_that_is_interrupted(project):
    """What was put aside is there again, and behind Numba's own the next time."""
    right(project, FIRST + LATE + SECOND + """
    from numba.core.cpu import CPUContext
    load = CPUContext.load_additional_registries
    def interrupted(self): raise KeyboardInterrupt
    CPUContext.load_additional_registries = interrupted
    try: second(np.arange(3.))
    except KeyboardInterrupt: print("interrupted")
    CPUContext.load_additional_registries = load
    print(second(np.arange(3.)))
    """, "2\ninterrupted\n3.0\n")


def test_extension_is_edited(project):
    """What it registers concerns functions that are served before anything is compiled."""
    project.write("site/lib.py", "def price(x): pass\n")
    site = extension(project, """
    import os
    from lib import price
    def register():
        from numba import types
        from numba.extending import overload
        if os.environ.get("ED"):
            @overload(price)
            def number(x):
                if isinstance(x, types.Number): return lambda x: x * 100
    """)
    program = FIRST.replace("@njit(", "@njit('int64(int64)', ") + """
    from lib import price
    @overload(price)
    def any_price(x): return lambda x: x * 2
    @njit("float64(float64)", cache=True)
    def second(x): return price(x)
    @njit(cache=True)
    def third(x): return price(x)
    print(second(1.5), third(1))
    """
    right(project, program, "2\n3.0 2\n", **site)
    right(project, program, "2\n150.0 100\n", ED="1", **site)


def test_extension_uses_what_the_program_registered(project):
    """Nothing is out of its place while somebody else's code runs."""
    project.write("site/base.py", """
    from numba.extending import overload
    def area(x): pass
    @overload(area)
    def _area(x): return lambda x: x * x
    """)
    site = extension(project, """
    def register():
        from numba import njit
        import base
        @njit("float64(float64)")
        def twice(x): return base.area(x) * 2
        print("ext is there", twice(1.0))
    """)
    right(project, FIRST.replace("@njit(", "@njit('int64(int64)', ") + """
    import base
    @njit(cache=True)
    def second(x): return x + 2
    print(second(1))
    """, "ext is there 2.0\n2\n3\n", **site)


def test_extension_compiles(project):
    """What it compiles while it is loaded is no part of the function that is looked up then, and cached as anything else."""
    site = extension(project, """
    def width(x): pass
    def register():
        import os
        from numba import njit
        from numba.extending import overload
        @overload(width)
        def _width(x):
            count = os.cpu_count()
            return lambda x: x * count
        @njit("int64(int64)", cache=False)
        def kernel(x): return x + 1
        @njit
        def step(x): return x * 2
        @njit
        def counts(x): return width(x)
        print(step(2), counts(0))
    """)
    program = """
    from numba import njit, vectorize
    @vectorize(["float64(float64)"], cache=True)
    def first(x): return x + 1
    print(first(1.0))
    """
    right(project, program, "4 0\n2.0\n", **site)
    cold, *warm = [project.good(program, SAGGAR_NUMBA="all", **site) for _ in range(3)]
    names = [{event["group"].rpartition(".")[2] for event in result.of("compiled")} for result in (cold, *warm)]
    assert {"kernel", "step", "counts"} <= names[0] and names[1:] == [{"counts", "<lambda>"}] * 2


REGISTRY = """
    import math
    from numba import njit, types
    from numba.core.imputils import Registry
    from numba.core.registry import cpu_target
    mine = Registry("mine")
    @mine.lower(math.sqrt, types.Float)
    def _sqrt(context, builder, sig, args): return context.get_constant(types.float64, 42.0)
    cpu_target.target_context.install_registry(mine)
    """


def test_registry_that_is_installed(project):
    """It comes after Numba's own, an extension's or one of the program's."""
    right(project, FIRST + REGISTRY + """
    @njit
    def second(x): return math.sqrt(x)
    print(second(4.0))
    """, "2\n42.0\n")
    site = extension(project, "def register():" + REGISTRY.replace("\n    ", "\n        "))
    right(project, """
    import math
    from numba import njit
    @njit("float64(float64)", cache=True)
    def first(x): return math.sqrt(x)
    print(first(4.0))
    """, "42.0\n", **site)


def test_registry_of_a_package_that_is_being_imported(project):
    """Installing it reads nothing: the package's names do not lead to what is in it yet."""
    project.write("pkg/__init__.py", "from .impl import Grid, GridType\n")
    project.write("pkg/impl.py", """
    from numba import types
    from numba.core.imputils import Registry
    from numba.core.registry import cpu_target
    from numba.extending import NativeValue, models, overload_attribute, register_model, typeof_impl, unbox
    class Grid: pass
    class GridType(types.Type):
        def __init__(self): super().__init__("Grid")
    Grid.__module__ = GridType.__module__ = "pkg"
    register_model(GridType)(models.OpaqueModel)
    grid_type = GridType()
    @typeof_impl.register(Grid)
    def _typeof(value, c): return grid_type
    @unbox(GridType)
    def _unbox(typ, obj, c): return NativeValue(obj)
    @overload_attribute(GridType, "width")
    def _width(g): return lambda g: 3
    cpu_target.target_context.install_registry(registry=Registry("mine"))
    """)
    right(project, FIRST + """
    import pkg
    @njit(cache=True)
    def f(x): return x.width
    print(f(pkg.Grid()))
    """, "2\n3\n")


@pytest.mark.parametrize("filtered,seen", [("", "no licence"), ("warnings.filterwarnings('ignore', module=r'numba\\.')", "none")])
def test_extension_fails(project, filtered, seen):
    """The program sees what it sees without Saggar."""
    site = extension(project, "def register(): raise ValueError('no licence')")
    program = f"""
    import warnings
    warnings.simplefilter("error")
    {filtered}
    from numba import njit
    try:
        njit("int64(int64)", cache=True)(lambda x: x + 1)
        print("none")
    except UserWarning as warning: print("no licence" if "no licence" in str(warning) else warning)
    @njit(cache=True)
    def second(x): return x + 2
    print(second(1))
    """
    right(project, program, f"{seen}\n3\n", **site)


def test_many_overloads_of_what_factories_make(project):
    """Which functions have overloads is read anew when Numba's own come before them."""
    right(project, FIRST + """
    import random
    def make(k):
        def key(x): pass
        @overload(key)
        def _key(x): return lambda x: x + k
        return key
    keys = [make(k) for k in range(20)]
    def noisy(x): pass
    @overload(noisy)
    def _noisy(x): return lambda x: x + 0 * random.random()
    key = keys[5]
    @njit(cache=True)
    def f(x): return key(x)
    print(f(1), njit(lambda a: a + 1)(1))
    @njit(cache=True)
    def g(x): return key(x) * 2
    @njit(cache=True)
    def h(x): return noisy(x)
    print(g(1), h(1))
    """, "2\n6 2\n12 1.0\n")


def test_hits_look_at_the_registries_once(project):
    """What is registered is looked through for the first function alone."""
    program = """
    from numba import njit
    from saggar.numba import order
    plain, looked = order._lists, []
    order._lists = lambda: looked.append(1) or plain()
    @njit("int64(int64)", cache=True)
    def first(x): return x + 1
    for number in range(5):
        @njit(cache=True)
        def again(x): return x + number
        again(1)
    print(len(looked))
    """
    cold, *warm = [project.good(program) for _ in range(3)]
    assert [result.out for result in warm] == ["1\n"] * 2
    assert [len(result.of("hit")) for result in warm] == [6, 6] and cold.cacheable()
