"""What a function is called with: types that carry functions, values, names and addresses."""
from ..model import ANY, Step, case, edit, names

KIND = "Arguments"
TWO = """
    @njit(cache=True)
    def one(x): return x + 1
    @njit(cache=True)
    def two(x): return x + 2
    @njit(cache=True)
    def apply(g, x): return g(x) * 10
    """


def argument(name: str, title: str, issues: str, source: str, call: str, **more: object) -> None:
    """Nothing changes: the second process compiles nothing."""
    case(name, KIND, title, issues, source, call, again=False, **more)


argument("dispatcher_argument", "a dispatcher", "numba#6772, #6972", TWO, "(lib.apply(lib.one, 1), lib.apply(lib.two, 1))")
case("dispatcher_argument_edited", KIND, "a dispatcher that is edited, in another file", "numba#1833", {
    "lib.py": "@njit(cache=True)\ndef apply(g, x): return g(x) * 10", "other.py": "@njit(cache=True)\ndef one(x): return x + 1"},
     "lib.apply(other.one, 1)", edit("other.py", "x + 1", "x + 2"), needed="apply one")
argument("dispatcher_uncached", "a dispatcher that is not marked for caching", "numba#6772",
         TWO.replace("@njit(cache=True)\n    def one", "@njit\n    def one"), "lib.apply(lib.one, 1)")
argument("dispatcher_closure", "a dispatcher made by a factory", "mcdc#163", """
    def make(k):
        @njit(cache=True)
        def op(x): return x + k
        return op
    @njit(cache=True)
    def apply(g, x): return g(x) * 10
    """, "(lib.apply(lib.make(1), 1), lib.apply(lib.make(2), 1))")
argument("dispatcher_in_tuple", "a tuple of dispatchers", "numba#6772", TWO + """
    @njit(cache=True)
    def both(gs, x): return gs[0](x) * gs[1](x)
    """, "lib.both((lib.one, lib.two), 1)")
argument("first_class_function", "a function with an explicit signature, as a first-class function", "numba#6972", """
    from numba import float64, types
    @njit("f8(f8)", cache=True)
    def one(x): return x + 1
    @njit("f8(f8)", cache=True)
    def two(x): return x + 2
    @njit(types.float64(types.FunctionType(float64(float64)), float64), cache=True)
    def apply(g, x): return g(x) * 10
    """, "(lib.apply(lib.one, 1.0), lib.apply(lib.two, 1.0))", refusal=True)
argument("first_class_tuple", "a tuple of first-class functions, chosen at run time", "numba#6972", """
    @njit("f8(f8)", cache=True)
    def one(x): return x + 1
    @njit("f8(f8)", cache=True)
    def two(x): return x + 2
    @njit(cache=True)
    def choose(gs, i, x): return gs[i](x)
    """, "(lib.choose((lib.one, lib.two), 0, 1.0), lib.choose((lib.one, lib.two), 1, 1.0))", refusal=True)
argument("cfunc_argument", "a C callback", "numba#6972", """
    from numba import cfunc
    @cfunc("f8(f8)", cache=True)
    def one(x): return x + 1
    @njit(cache=True)
    def apply(g, x): return g(x) * 10
    """, "lib.apply(lib.one, 1.0)", refusal=True)
case("first_class_edited", KIND, "a first-class function whose code changes: the caller stays", "numba#6972", {
    "lib.py": "from numba import float64, types\n"
              "@njit(types.float64(types.FunctionType(float64(float64)), float64), cache=True)\ndef apply(g, x): return g(x) * 10",
    "other.py": "@njit('f8(f8)', cache=True)\ndef one(x): return x + 1"}, "lib.apply(other.one, 1.0)",
     edit("other.py", "x + 1", "x + 2"), needed="one", refusal=True, differs=True)
JITCLASS = """
    from numba import int64
    from numba.experimental import jitclass
    @jitclass([("a", int64)])
    class Box:
        def __init__(self, a): self.a = a
        def get(self): return self.a + 1
    """
argument("jitclass_argument", "an instance of a jitclass", "numba#6522, #9659", JITCLASS + """
    @njit(cache=True)
    def f(b): return b.get()
    """, "lib.f(lib.Box(1))", refusal=True)
argument("jitclass_created", "an instance of a jitclass, made inside", "numba#4830", JITCLASS + """
    @njit(cache=True)
    def f(x): return Box(x).get()
    """, "lib.f(1)", refusal=True)
case("jitclass_argument_edited", KIND, "an instance of a jitclass whose method is edited", "numba#4830", {
    "lib.py": "@njit(cache=True)\ndef f(b): return b.get()", "other.py": JITCLASS}, "lib.f(other.Box(1))",
     edit("other.py", "self.a + 1", "self.a + 2"), needed="f", refusal=True)
argument("structref_argument", "an instance of a StructRef", "numba#10021", """
    from numba import types
    from numba.experimental import structref
    @structref.register
    class BoxType(types.StructRef):
        def preprocess_fields(self, fields): return tuple((n, types.unliteral(t)) for n, t in fields)
    class Box(structref.StructRefProxy):
        def __new__(cls, a): return structref.StructRefProxy.__new__(cls, a)
    structref.define_proxy(Box, BoxType, ["a"])
    @njit(cache=True)
    def f(b): return b.a + 1
    """, "lib.f(lib.Box(1))")
argument("omitted", "values left out, of many kinds", "", """
    @njit(cache=True)
    def f(x, a=1, b=2.5, c=None, d="text", e=(1, 2.5), g=True, h=float("nan")):
        return x + a + b + len(d) + e[1] + h
    """, "(lib.f(1), lib.f(1, 2), lib.f(1, a=2, d='long text'))")
argument("literal", "values asked for as literals", "", """
    from numba import literally
    @njit(cache=True)
    def f(x, k):
        if literally(k) > 2: return x + 1.5
        return x * 1.5
    """, "(lib.f(1, 1), lib.f(1, 3))")
argument("literal_unroll", "a tuple of different types, unrolled", "", """
    from numba import literal_unroll
    @njit(cache=True)
    def f(t):
        s = 0.0
        for v in literal_unroll(t): s += v
        return s
    """, "lib.f((1, 2.5, np.float32(3)))")
argument("typed_containers", "typed lists and dictionaries", "", """
    from numba import types
    from numba.typed import Dict, List
    @njit(cache=True)
    def f(l, d): return l[0] + d[1]
    @njit(cache=True)
    def make():
        d = Dict.empty(types.int64, types.float64)
        d[1] = 2.5
        l = List()
        l.append(1)
        return l, d
    """, "lib.f(*lib.make())")
argument("reflected_containers", "lists and sets of Python", "", "@njit(cache=True)\ndef f(l, s): return l[0] + len(s)",
         "lib.f([1, 2], {1.5, 2.5})")
argument("text_argument", "texts and bytes", "", "@njit(cache=True)\ndef f(s, b): return s + 'x', b[0]", "lib.f('abc', b'abc')")
argument("records", "records and structured arrays", "", """
    T = np.dtype([("a", "i4"), ("b", "f8", (2,))], align=True)
    @njit(cache=True)
    def f(r): return r[0].a + r[0].b[1]
    """, "lib.f(np.ones(2, lib.T))")
case("record_layout", KIND, "a structured array whose layout changes", "", {
    "lib.py": "from .other import T\n@njit(cache=True)\ndef f(r): return r[0].a", "other.py": "T = np.dtype([('a', 'i4'), ('b', 'i4')])"},
     "lib.f(np.frombuffer(bytes(range(8)), lib.T))", edit("other.py", "('a', 'i4'), ('b', 'i4')", "('b', 'i4'), ('a', 'i4')"), needed="f")
argument("named_tuple", "a named tuple", "", """
    import collections
    P = collections.namedtuple("P", "x y")
    @njit(cache=True)
    def f(p): return P(p.y, p.x)
    """, "lib.f(lib.P(1, 2.5))")
case("named_tuple_fields", KIND, "a named tuple whose fields change places", "", {
    "lib.py": "from .other import P\n@njit(cache=True)\ndef f(p): return p.x",
    "other.py": "import collections\nP = collections.namedtuple('P', 'x y')"}, "lib.f(lib.P(1, 2))", edit("other.py", "'x y'", "'y x'"),
     needed="f")
argument("enum_argument", "members of enumerations", "", """
    import enum
    class E(enum.Enum):
        a = 1
        b = 2
    class I(enum.IntEnum):
        a = 1
    @njit(cache=True)
    def f(e, i): return e is E.a, i + 1
    """, "lib.f(lib.E.a, lib.I.a)")
argument("dates", "dates and time spans of NumPy", "", "@njit(cache=True)\ndef f(d, t): return (d + t).astype(np.int64) if False else d < d + t",
         "lib.f(np.datetime64('2020-01-01'), np.timedelta64(3, 'D'))")
argument("type_argument", "types and dtypes", "", "@njit(cache=True)\ndef f(t, n): return np.ones(n, t)", "lib.f(np.float32, 2)")
argument("array_kinds", "arrays of many layouts", "", """
    @njit(cache=True)
    def f(a): return a.sum()
    def frozen(a):
        a.flags.writeable = False
        return a
    """, "(lib.f(np.ones((2, 3))), lib.f(np.ones((2, 3)).T), lib.f(np.ones(6)[::2]), lib.f(lib.frozen(np.ones(3))))")
argument("generator_of_random", "a NumPy random generator", "", "@njit(cache=True)\ndef f(r): return r.random()",
         "lib.f(np.random.default_rng(1))")
argument("optional", "None or a value", "", "@njit(cache=True)\ndef f(x, k=None):\n    if k is None: return x\n    return x + k",
         "(lib.f(1), lib.f(1, None), lib.f(1, 2))")
argument("many_signatures", "sixteen signatures of one function", "numba#10128", """
    TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16", "?"]
    @njit(cache=True)
    def f(x): return x
    """, "[str(lib.f(np.ones(1, t)[0])) for t in lib.TYPES]")
case("type_goes_away", KIND, "one signature's type is not to be had any more; another is asked for", "numba#6018", {
    "lib.py": "@njit(cache=True)\ndef f(x): return x\n", "other.py": """
    from numba import types
    from numba.extending import models, register_model, typeof_impl, unbox, NativeValue, box
    class Own: pass
    class OwnType(types.Opaque):
        def __init__(self): super().__init__(name="Own")
    own_type = OwnType()
    @typeof_impl.register(Own)
    def _typeof(value, c): return own_type
    register_model(OwnType)(models.OpaqueModel)
    @unbox(OwnType)
    def _unbox(typ, obj, c): return NativeValue(c.context.get_dummy_value())
    @box(OwnType)
    def _box(typ, val, c): return c.pyapi.make_none()
    """}, "(lib.f(1), lib.f(other.Own()))", lambda place: (place.package / "other.py").unlink(), then="lib.f(1)", differs=False)
