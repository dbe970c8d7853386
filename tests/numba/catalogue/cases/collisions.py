"""Functions that Numba gives one symbol name to: the reproductions of numba#10486 and pytensor#2051, and their kin."""
from ..model import ANY, Step, case, names

KIND = "Symbols that collide"
FACTORY = """
    def make(kind):
        if kind == "add":
            @njit(cache=True%(inline)s)
            def op(x): return x + 7
        else:
            @njit(cache=True%(inline)s)
            def op(x): return x - 7
        @njit(cache=True)
        def run(n):
            s = 0
            for i in range(n): s += op(i)
            return s
        return run
    """


def collide(name: str, title: str, issues: str, source: object, one: str, two: str, both: str, **more: object) -> None:
    """One process compiles one, another the other, a third uses both, and a fourth again."""
    case(name, KIND, title, issues, source, steps=(Step(one, ANY), Step(two, ANY), Step(both, more.pop("needed", names(""))), Step(both)),
         differs=False, **more)


BIG = """
    def make(kind):
        if kind == "add":
            @njit(cache=True)
            def op(x):
                s = 0.0
                for i in range(x):
                    s += np.sin(i) if i % 3 else np.cos(i)
                if x < -5: print(x, s)
                return int(s) + 7 + x
        else:
            @njit(cache=True)
            def op(x):
                s = 0.0
                for i in range(x):
                    s += np.sin(i) if i % 3 else np.cos(i)
                if x < -5: print(x, s)
                return int(s) - 7 - x
        @njit(cache=True)
        def run(n):
            s = 0
            for i in range(n): s += op(i)
            return s
        return run
    """
collide("factory_not_inlined", "a closure factory, the callee is not inlined", "numba#10486", BIG, "lib.make('add')(10)", "lib.make('sub')(10)",
        "(lib.make('add')(10), lib.make('sub')(10))")
collide("factory_inlined", "a closure factory, the callee is inlined by LLVM", "numba#10486", FACTORY % {"inline": ""}, "lib.make('add')(10)",
        "lib.make('sub')(10)", "(lib.make('add')(10), lib.make('sub')(10))")
collide("factory_inline_always", "a closure factory, the callee has inline=\"always\"", "numba#10486",
        FACTORY % {"inline": ", inline='always'"}, "lib.make('add')(10)", "lib.make('sub')(10)",
        "(lib.make('add')(10), lib.make('sub')(10))")
collide("environment", "a closure factory whose functions hold different constants", "numba#10486", """
    def make(kind):
        if kind == "float":
            @njit(cache=True)
            def op(n): return np.ones(n, np.float64)
        else:
            @njit(cache=True)
            def op(n): return np.ones(n, np.int32)
        return op
    """, "lib.make('float')(2)", "lib.make('int')(2)", "(lib.make('float')(2), lib.make('int')(2))")
GENERATED = """
    import os
    def load(name):
        path = os.path.join(os.path.dirname(__file__), name + ".py")
        space = {"__name__": "generated"}
        with open(path) as stream: exec(compile(stream.read(), path, "exec"), space)
        return space["op"]
    """
PART = """
    @njit(cache=True)
    def part(x):
        if x < -5: print(x, x)
        return %s
    @njit(cache=True)
    def op(x): return part(x) + 1
    """
collide("generated_unimportable", "two generated files, one module name that cannot be imported", "numba#10485", {
    "lib.py": GENERATED, "one.py": PART % "x * 2", "two.py": PART % "x * 50"}, "lib.load('one')(10)", "lib.load('two')(10)",
        "(lib.load('one')(10), lib.load('two')(10))")
GENERATED = GENERATED.replace('"generated"', "__name__")
collide("generated_files", "two generated files, one module name, callees of one name", "numba#10486, #5128", {
    "lib.py": GENERATED, "one.py": PART % "x * 2", "two.py": PART % "x * 50"}, "lib.load('one')(10)", "lib.load('two')(10)",
        "(lib.load('one')(10), lib.load('two')(10))")
collide("generated_files_environment", "two generated files, one module name, callees that hold different constants", "numba#10486, #5128", {
    "lib.py": GENERATED, "one.py": PART % "np.ones(x, np.int8).sum()", "two.py": PART % "np.full(x, 3.5).sum()"}, "lib.load('one')(10)",
        "lib.load('two')(10)", "(lib.load('one')(10), lib.load('two')(10))")
NEW = """
    def make(k):
        @njit(cache=True)
        def op(x): return x * k + (100 if k > 1 else 0)
        return op
    def new():
        a, b = make(1), make(2)
        @njit
        def both(n): return a(n) * 1000 + b(n)
        return both
    def choose(kind):
        if kind == 0:
            @njit(cache=True)
            def op(x): return x + 1
        else:
            @njit(cache=True)
            def op(x): return x * 50
        return op
    def new_of(a, b):
        @njit
        def both(n): return a(n) * 1000 + b(n)
        return both
    """
collide("served_into_new", "two served callees, linked into a function that is new", "numba#10486", NEW, "lib.choose(0)(10)", "lib.choose(1)(10)",
        "(lambda a, b: (a(10), b(10), lib.new_of(a, b)(10)))(lib.choose(0), lib.choose(1))")
case("poisoned", KIND, "a caller is compiled and stored beside a callee of the same name", "numba#5128", NEW.replace(
    "@njit\n        def both", "@njit(cache=True)\n        def both"),
     steps=(Step("lib.choose(0)(10)", ANY), Step("lib.choose(1)(10)", ANY),
            Step("(lambda a, b: (a(10), b(10), lib.new_of(a, b)(10)))(lib.choose(0), lib.choose(1))", names("both")),
            Step("(lambda a, b: lib.new_of(a, b)(10))(lib.choose(0), lib.choose(1))")), differs=False)
collide("forked", "two forked children of one parent compile, a third process uses both", "numba#10486, pytensor#2051", BIG,
        "(observe.forked(lambda: lib.make('add')(10)), observe.forked(lambda: lib.make('sub')(10)))",
        "observe.forked(lambda: lib.make('sub')(10))", "(lib.make('add')(10), lib.make('sub')(10))")
collide("spawned", "two spawned workers compile, a third process uses both, under another hash seed", "numba#10486", BIG,
        "lib.make('add')(10)", "lib.make('sub')(10)", "(lib.make('sub')(10), lib.make('add')(10))")
WRAPPER = """
    from numba.core.caching import CacheImpl, _CacheLocator
    import os
    KNOWN = {}
    class Locator(_CacheLocator):
        "PyTensor's: the key of a function stands in a table; no file, one stamp for ever."
        def __init__(self, python, file): self.key = KNOWN[python.__name__, id(python)]
        def ensure_cache_path(self): os.makedirs(self.get_cache_path(), exist_ok=True)
        def get_cache_path(self): return os.environ["SAGGAR_DIR"] + "-foreign"
        def get_source_stamp(self): return 0
        def get_disambiguator(self): return self.key
        @classmethod
        def from_function(cls, python, file): return cls(python, file) if (python.__name__, id(python)) in KNOWN else None
    CacheImpl._locator_classes.insert(0, Locator)
    def wrap(key, inner):
        "An Op's function is called by one that exec made, and only its key tells them apart."
        space = {"jitable_func": njit(inner), "__name__": __name__}
        exec("def op(*args): return jitable_func(*args)", space)
        KNOWN["op", id(space["op"])] = key
        return njit(space["op"], cache=True)
    def op(kind):
        if kind == "add":
            def inner(x): return x + 1.5
        elif kind == "times":
            def inner(x): return x * 100.0
        elif kind == "large":
            def inner(x):
                if x < -5: print(x)
                return x + 3.5
        elif kind == "larger":
            def inner(x):
                if x < -5: print(x)
                return x * 200.0
        elif kind == "ones":
            def inner(x): return np.ones(3, np.int8)
        else:
            def inner(x): return np.ones(3, np.float64)
        return wrap(kind, inner)
    def graph(*kinds):
        "A function of several Ops."
        space = {"abc"[i]: op(kind) for i, kind in enumerate(kinds)}
        space["__name__"] = __name__
        exec(f"def graph(x): return ({', '.join(k + '(x)' for k in 'abc'[:len(kinds)])},)", space)
        KNOWN["graph", id(space["graph"])] = "graph-" + "-".join(kinds)
        return njit(space["graph"], cache=True)
    """
for name, title, one, two in (("pytensor_inlined", "two Ops with inner functions of one name", "add", "times"),
                              ("pytensor_large", "two Ops with inner functions that are not inlined", "large", "larger"),
                              ("pytensor_constants", "two Ops whose inner functions hold different constants", "ones", "zeros")):
    collide(name, title + ", in PyTensor's form", "pytensor#2051, pytensor#1992", WRAPPER, f"lib.op('{one}')(2.0)", f"lib.op('{two}')(2.0)",
            f"(lambda a, b: (a(2.0), b(2.0)))(lib.op('{one}'), lib.op('{two}'))")
    collide(name.replace("_", "_graph_"), title + ", used in one graph, in PyTensor's form", "pytensor#2051", WRAPPER, f"lib.graph('{one}')(2.0)",
            f"lib.graph('{two}')(2.0)", f"lib.graph('{one}', '{two}')(2.0)", needed=names("graph"))
collide("pytensor_forked", "two forked children compile graphs, a third process uses both Ops in one, in PyTensor's form", "pytensor#2051", WRAPPER,
        "(observe.forked(lambda: lib.graph('add')(2.0)), observe.forked(lambda: lib.graph('times')(2.0)))", "lib.graph('times')(2.0)",
        "lib.graph('add', 'times')(2.0)", needed=names("graph"))
case("pytensor_body", KIND, "an Op's inner function is edited, its key stays, in PyTensor's form", "pytensor#1810", WRAPPER, "lib.op('add')(2.0)",
     lambda place: (place.package / "lib.py").write_text((place.package / "lib.py").read_text().replace("x + 1.5", "x + 2.5")),
     needed="op")
collide("named_tuples", "named tuples of one name and different fields", "numba#10486", """
    import collections
    def make(fields):
        P = collections.namedtuple("P", fields)
        @njit(cache=True)
        def f(x): return P(x, x + 1)
        return f
    """, "lib.make('a b')(1)", "lib.make('c d')(1)", "(repr(lib.make('a b')(1)), repr(lib.make('c d')(1)))", refusal=True)
collide("same_name_twice", "a function defined twice under one name in one file", "numba#10486", """
    @njit(cache=True)
    def f(x): return x + 1
    first = f
    @njit(cache=True)
    def f(x): return x * 50
    @njit(cache=True)
    def both(x): return first(x) * 1000 + f(x)
    """, "lib.first(10)", "lib.f(10)", "(lib.first(10), lib.f(10), lib.both(10))", needed=names("both"))
collide("lambdas", "lambdas on one line", "numba#10486", """
    a, b = njit(lambda x: x + 1, cache=True), njit(lambda x: x * 50, cache=True)
    """, "lib.a(10)", "lib.b(10)", "(lib.a(10), lib.b(10))")
collide("lambdify", "functions that a code generator made under one name and file", "numba#5128", """
    def make(text):
        space = {"njit": njit, "__name__": __name__}
        exec(compile("@njit(cache=True)\\ndef _lambdifygenerated(x): return " + text, __file__, "exec"), space)
        return space["_lambdifygenerated"]
    """, "lib.make('x + 1')(10)", "lib.make('x + 2')(10)", "(lib.make('x + 1')(10), lib.make('x + 2')(10))")
collide("parallel_loops", "parallel functions of a factory", "numba#10486", """
    from numba import prange
    def make(k):
        @njit(cache=True, parallel=True)
        def f(n):
            s = 0
            for i in prange(n): s += i * k
            return s
        return f
    """, "lib.make(1)(10)", "lib.make(2)(10)", "(lib.make(1)(10), lib.make(2)(10))")
DECLARED = """
    from numba import int8
    def half(x):
        s = 0
        for i in range(x):
            if i % 7 == 3: s += i * x
        return (s + x) / 2
    def wide(x):
        y, s = x + 100, 0
        for i in range(x):
            if i % 7 == y % 7: s += i * y
            elif i % 11 == 3: s -= y
        return s + y * 1000
    tofloat, toint = njit("float64(int64)", cache=True)(half), njit("int64(int64)", cache=True)(half)
    a, b = njit(cache=True)(wide), njit(cache=True, locals={"y": int8})(wide)
    @njit(cache=True)
    def float_only(x): return tofloat(x) + 1
    @njit(cache=True)
    def int_only(x): return toint(x) + 1
    @njit(cache=True)
    def a_only(x): return a(x) + 1
    @njit(cache=True)
    def b_only(x): return b(x) + 1
    @njit(cache=True)
    def both(x): return tofloat(x) + toint(x)
    """
collide("declared_results", "one function under two declared results", "numba#10486", DECLARED, "lib.float_only(15)", "lib.int_only(15)",
        "(lib.float_only(15), lib.int_only(15), lib.both(15))", needed=names("both"))
collide("declared_variables", "one function, a variable declared as another type", "numba#10486", DECLARED, "lib.a_only(100)", "lib.b_only(100)",
        "(lib.a_only(100), lib.b_only(100))")
collide("pipelines", "one function under two compiler pipelines", "numba#10486", """
    from numba.core import ir
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.compiler_machinery import FunctionPass, register_pass
    from numba.core.untyped_passes import IRProcessing
    @register_pass(mutates_CFG=False, analysis_only=False)
    class Twist(FunctionPass):
        _name = "twist"
        def __init__(self): super().__init__()
        def run_pass(self, state):
            found = [a for block in state.func_ir.blocks.values() for a in block.find_insts(ir.Assign) if isinstance(a.value, ir.Const)]
            for a in found:
                if a.value.value == 7: a.value = ir.Const(70, a.value.loc)
            return True
    class Twisted(CompilerBase):
        def define_pipelines(self):
            made = DefaultPassBuilder.define_nopython_pipeline(self.state)
            made.add_pass_after(Twist, IRProcessing)
            made.finalize()
            return [made]
    def f(x):
        s = 0
        for i in range(x):
            if i % 3 == 1: s += i * x
        return s + 7
    plain, twisted = njit(f, cache=True), njit(pipeline_class=Twisted, cache=True)(f)
    @njit(cache=True)
    def plain_only(x): return plain(x) * 2
    @njit(cache=True)
    def twisted_only(x): return twisted(x) * 2
    """, "lib.plain_only(10)", "lib.twisted_only(10)", "(lib.plain_only(10), lib.twisted_only(10))")
collide("cfuncs", "one function under two signatures of @cfunc", "numba#10486", """
    from numba import cfunc
    def half(x): return x / 2
    tofloat, toint = cfunc("float64(int64)", cache=True)(half), cfunc("int64(int64)", cache=True)(half)
    """, "lib.tofloat.ctypes(3)", "lib.toint.ctypes(3)", "(lib.tofloat.ctypes(3), lib.toint.ctypes(3), lib.tofloat.ctypes(5))")
for name, title, made, k in (
        ("overload", "an @overload", "@overload(g)\n        def _g(x): return lambda x: x + k", "k"),
        ("lowering", "a @type_callable and a @lower_builtin", """@type_callable(g)
        def _type(context):
            def typer(x): return types.int64
            return typer
        @lower_builtin(g, types.int64)
        def _lower(context, builder, sig, args): return builder.add(args[0], context.get_constant(types.int64, k))""", "k"),
        ("overload_of_functions", "an @overload that calls a function of its own", "k = njit(k)\n        @overload(g)\n        "
         "def _g(x): return lambda x: k(x)", "(lambda x: x + 1) if k == 1 else (lambda x: x * 3)")):
    collide(f"factory_of_{name}", f"a factory that makes a stub, {title}, and a function that calls it", "", f"""
    from numba import types
    from numba.extending import lower_builtin, overload, type_callable
    def made_of(k):
        def g(x): pass
        {made}
        @njit(cache=True)
        def f(x): return g(x)
        return f
    def make(k): return made_of({k})
    def both(a, b): return a(10), b(10)
    """, "lib.both(lib.make(1), lib.make(2))", "lib.make(1)(10)", "lib.both(lib.make(2), lib.make(1))", refusal=True)
