"""What an extension puts into Numba's registries by hand, into registries of its own, or in the place of Numba's own."""
from ..model import append, case, edit
from .extensions import KIND, OWN_TYPE, extension

ISSUE = "numba#8396"
BOXED = OWN_TYPE + """
    from numba.extending import box, lower_builtin, type_callable
    @box(OwnType)
    def _box(typ, value, c):
        own = cgutils.create_struct_proxy(typ)(c.context, c.builder, value=value)
        items = [c.pyapi.long_from_longlong(getattr(own, name)) for name in ("a", "b")]
        cls = c.pyapi.unserialize(c.pyapi.serialize_object(Own))
        made = c.pyapi.call_function_objargs(cls, items)
        for item in (*items, cls): c.pyapi.decref(item)
        return made
    @type_callable(Own)
    def _call(context):
        def typer(a, b): return own_type
        return typer
    @lower_builtin(Own, types.Integer, types.Integer)
    def _make(context, builder, sig, args):
        own = cgutils.create_struct_proxy(sig.return_type)(context, builder)
        own.a, own.b = args
        return own._getvalue()
    """
boxed = edit("other.py", 'name)) for name in ("a", "b")', 'name)) for name in ("b", "a")')
unboxed = edit("other.py", "object_getattr_string(obj, name)", 'object_getattr_string(obj, "a")')
OWN = "from .other import Own\n@njit(cache=True)\ndef f(o): return "

extension("boxing_of_result", "how values of a type of its own go back to Python, made inside", ISSUE, BOXED,
          "from .other import Own\n@njit(cache=True)\ndef f(x): return Own(x, 2)", (boxed,), "vars(lib.f(1))")
extension("boxing_passed_through", "the same, of an argument that is only returned", ISSUE, BOXED, OWN + "o", (boxed,),
          "vars(lib.f(lib.Own(1, 2)))")
extension("boxing_in_tuple", "the same, of an item of a tuple", ISSUE, BOXED, OWN + "o[0]", (boxed,),
          "vars(lib.f((lib.Own(1, 2), 3)))")
extension("unboxing_in_tuple", "how an item of a tuple is unboxed that is only passed to a callee", ISSUE, BOXED, """
    from .other import Own
    @njit(cache=True)
    def g(t): return t[0]
    @njit(cache=True)
    def f(o): return g((o, 1))
    """, (unboxed,), "vars(lib.f(lib.Own(1, 2)))", needed="f g")
extension("type_class_attribute", "an attribute of a type's class, read while code is generated", ISSUE,
          OWN_TYPE.replace("class OwnType(types.Type):", "class OwnType(types.Type):\n        FACTOR = 3") + """
    from numba.extending import intrinsic
    @intrinsic
    def factor(context, o):
        return types.int64(o), lambda context, builder, sig, args: context.get_constant(types.int64, sig.args[0].FACTOR)
    """, "from .other import Own, factor\n@njit(cache=True)\ndef f(o): return factor(o)", (edit("other.py", "FACTOR = 3", "FACTOR = 4"),),
          "lib.f(lib.Own(1, 2))")
extension("template_class_attribute", "an attribute of a template's class", ISSUE, """
    from numba import types
    from numba.core.typing.templates import CallableTemplate, infer_global
    from numba.extending import lower_builtin
    def g(x): pass
    @infer_global(g)
    class Template(CallableTemplate):
        RESULT = types.int64
        def generic(self):
            def typer(x): return self.RESULT
            return typer
    @lower_builtin(g, types.Integer)
    def _lower(context, builder, sig, args): return context.cast(builder, args[0], sig.args[0], sig.return_type)
    """, changes=(edit("other.py", "RESULT = types.int64", "RESULT = types.float64"),))
extension("cast", "a @lower_cast from a type of its own", ISSUE, OWN_TYPE.replace('super().__init__(name="Own")', """super().__init__(name="Own")
        def can_convert_to(self, context, other):
            from numba.core.typeconv import Conversion
            return Conversion.safe if other == types.int64 else None""") + """
    from numba.extending import lower_cast
    @lower_cast(OwnType, types.Integer)
    def _cast(context, builder, fromty, toty, value):
        return cgutils.create_struct_proxy(fromty)(context, builder, value=value).a
    """, """
    from .other import Own
    @njit("int64(int64)", cache=True)
    def g(x): return x
    @njit(cache=True)
    def f(o): return g(o)
    """, (edit("other.py", "value=value).a", "value=value).b"),), "lib.f(lib.Own(1, 2))")
extension("rewrite", "a rewrite of Numba's intermediate code", ISSUE, """
    from numba.core import ir
    from numba.core.rewrites import Rewrite, register_rewrite
    @register_rewrite("before-inference")
    class Sevens(Rewrite):
        def match(self, func_ir, block, typemap, calltypes):
            self.block = block
            self.found = [i for i in block.body if isinstance(i, ir.Assign) and isinstance(i.value, ir.Const) and i.value.value == 7]
            return bool(self.found)
        def apply(self):
            block = self.block.copy()
            block.body = [ir.Assign(ir.Const(100, i.loc), i.target, i.loc) if i in self.found else i for i in block.body]
            return block
    """, "from . import other\n@njit(cache=True)\ndef f(x): return x + 7", (edit("other.py", "ir.Const(100", "ir.Const(101"),), alone=True)
case("lowering_added", KIND, "a @lower_builtin for Numba's own types, added later", ISSUE,
     {"lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return len(x)", "other.py": ""}, "lib.f(np.zeros(3))",
     append("other.py", """
    from numba import types
    from numba.extending import lower_builtin
    @lower_builtin(len, types.Array)
    def _len(context, builder, sig, args): return context.get_constant(types.intp, 77)
    """), needed="f", alone=True)
case("cast_added", KIND, "a @lower_cast between Numba's own types, added later", ISSUE,
     {"lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return x + 1.5", "other.py": ""}, "lib.f(3)", append("other.py", """
    from numba import types
    from numba.extending import lower_cast
    @lower_cast(types.int64, types.float64)
    def _cast(context, builder, fromty, toty, value): return context.get_constant(types.float64, 77.0)
    """), needed="f", alone=True)
case("model_added", KIND, "a data model of Numba's own type, replaced later", ISSUE,
     {"lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return (x > 1) + 1", "other.py": ""}, "lib.f(3)", append("other.py", """
    from numba import types
    from numba.core.datamodel import models
    from numba.extending import register_model
    @register_model(types.Boolean)
    class Model(models.BooleanModel): pass
    """), needed="f", differs=False, alone=True)
ADDED = """
    import math, operator
    from numba import types
    from numba.extending import lower_builtin, overload, type_callable
    """
for name, title, expression, argument, added in (
        ("overload", "an @overload of a function of NumPy's", "np.sum(x)", "np.ones(3)", "@overload(np.sum)\n    def _own(a): return lambda a: 777"),
        ("overload_inside", "an @overload of what Numba's own np.average uses", "np.average(x)", "np.ones(3)",
         "@overload(np.mean)\n    def _own(a): return lambda a: 777"),
        ("overload_of_builtin", "an @overload of a built-in function", "sorted(x)", "np.ones(2)",
         "@overload(sorted)\n    def _own(iterable): return lambda iterable: 777"),
        ("overload_of_operator", "an @overload of an operator, for texts", "len(x + x)", "'ab'", """@overload(operator.add)
    def _own(a, b):
        if isinstance(a, types.UnicodeType): return lambda a, b: 'longer'"""),
        ("overload_for_target", "an @overload for this kind of processor", "x + 1", "3", """@overload(operator.add, target="cpu")
    def _own(a, b): return lambda a, b: 777"""),
        ("type_callable", "a @type_callable and a @lower_builtin", "np.cumsum(x)[0]", "np.ones(3)", """@type_callable(np.cumsum)
    def _type(context):
        def typer(a): return types.Array(types.float64, 1, "C")
        return typer
    @lower_builtin(np.cumsum, types.Array)
    def _lower(context, builder, sig, args): return context.compile_internal(builder, lambda a: np.full(3, 777.0), sig, args)""")):
    case(f"own_function_{name}", KIND, f"{title}, for Numba's own types, added later", ISSUE,
         {"lib.py": f"from . import other\n@njit(cache=True)\ndef f(x): return {expression}", "other.py": ""}, f"lib.f({argument})",
         append("other.py", ADDED + added), needed="f", alone=True)
case("own_function_of_own_type", KIND, "an @overload of an operator and of a function of NumPy's, for a type of its own, added later", "numba#9316",
     {"lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return np.mean(x) + x[0] * len(x)", "other.py": ""}, "lib.f(np.ones(3))",
     append("other.py", ADDED + """
    class Own(types.Type): pass
    @overload(operator.mul)
    def _times(a, b):
        if isinstance(a, Own): return lambda a, b: 777
    @overload(np.sum)
    def _sum(a):
        if isinstance(a, Own): return lambda a: 777
    """), alone=True)
REGISTRY = """
    from numba import types
    from numba.core.imputils import Registry as Implementations
    from numba.core.registry import cpu_target
    from numba.core.typing import signature
    from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, Registry
    typing, implementations = Registry(), Implementations("catalogue")
    """
INSTALL = """
    cpu_target.typing_context.install_registry(typing)
    cpu_target.target_context.install_registry(implementations)
    """
OWN_REGISTRY = REGISTRY + """
    def g(x): pass
    class Template(AbstractTemplate):
        key = g
        def generic(self, args, kws): return signature(types.int64, args[0])
    typing.register_global(g)(Template)
    @implementations.lower(g, types.Integer)
    def _lower(context, builder, sig, args):
        one = builder.add(args[0], args[0].type(1))
        return context.cast(builder, one, sig.args[0], sig.return_type)
    """ + INSTALL
extension("own_registry_lowering", "an implementation in a registry of its own", ISSUE, OWN_REGISTRY,
          changes=(edit("other.py", "args[0].type(1)", "args[0].type(2)"),))
extension("own_registry_typing", "a template in a registry of its own", ISSUE, OWN_REGISTRY,
          changes=(edit("other.py", "signature(types.int64", "signature(types.float64"),))
extension("own_registry_attribute", "an attribute in a registry of its own", ISSUE, OWN_TYPE + REGISTRY + """
    class Attributes(AttributeTemplate):
        key = OwnType
        def resolve_first(self, typ): return types.int64
    typing.register_attr(Attributes)
    @implementations.lower_getattr(OwnType, "first")
    def _first(context, builder, typ, value):
        return cgutils.create_struct_proxy(typ)(context, builder, value=value).a
    """ + INSTALL, "from .other import Own\n@njit(cache=True)\ndef f(o): return o.first", (edit("other.py", "value=value).a", "value=value).b"),),
          "lib.f(lib.Own(1, 2))")
IMPORTED = {"third.py": "K = 1\nL = 10", "lib.py": "from .other import g\n@njit(cache=True)\ndef f(x): return g(x) * 3"}
third = edit("third.py", "K = 1", "K = 2")
case("import_in_overload", KIND, "a name that an @overload imports when it is called", ISSUE, {**IMPORTED, "other.py": """
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        from .third import K
        return lambda x: x + K
    """}, "lib.f(10)", third, needed="f", refusal=True)
case("import_in_intrinsic", KIND, "a module that an @intrinsic imports while it generates code", ISSUE, {**IMPORTED, "other.py": """
    from numba.extending import intrinsic
    @intrinsic
    def g(context, x):
        def code(context, builder, sig, args):
            from . import third
            return builder.add(args[0], context.get_constant(sig.return_type, third.K))
        return x(x), code
    """}, "lib.f(10)", third, needed="f", refusal=True)
case("import_of_something_else", KIND, "another name in a module that an @overload imports from", "numba#9316", {**IMPORTED, "other.py": """
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        from .third import K
        return lambda x: x + K
    """}, "lib.f(10)", edit("third.py", "L = 10", "L = 20"), needed="", refusal=True)
case("overload_asks_once", KIND, "an @overload whose answer another function got first", ISSUE, {"other.py": """
    from numba import types
    from numba.core.registry import cpu_target
    from numba.extending import overload
    def h(x): pass
    @overload(h)
    def _h(x): return lambda x: x + 1
    def g(x): pass
    @overload(g)
    def _g(x):
        asked = cpu_target.typing_context.resolve_value_type(h)
        found = cpu_target.typing_context.resolve_function_type(asked, (x,), {}).return_type
        if isinstance(found, types.Float): return lambda x: 200
        return lambda x: 100
    """, "lib.py": """
    from .other import g
    @njit(cache=True)
    def first(x): return g(x)
    @njit(cache=True)
    def f(x): return g(x) + 1
    """}, "(lib.first(10), lib.f(10))", edit("other.py", "x + 1", "x + 1.5"), needed="f first", then="(lib.first(10), lib.f(10))")
extension("boxing_of_base", "unboxing that is registered for a base class of the type", ISSUE,
          OWN_TYPE.replace("class OwnType(types.Type):", "class Base(types.Type): pass\n    class OwnType(Base):").replace("@unbox(OwnType)", "@unbox(Base)"),
          "from .other import Own\n@njit(cache=True)\ndef f(o): return o.a * 10 + o.b", (unboxed,), "lib.f(lib.Own(1, 2))")
extension("attribute_of_own_type", "an @overload_attribute of a type of its own", ISSUE, OWN_TYPE + """
    from numba.extending import overload_attribute
    @overload_attribute(OwnType, "total")
    def _total(o): return lambda o: o.a + o.b
    """, "from .other import Own\n@njit(cache=True)\ndef f(o): return o.total", (edit("other.py", "o.a + o.b", "o.a - o.b"),),
          "lib.f(lib.Own(1, 2))")
extension("type_key_of_objects", "two types whose keys differ in an object's attribute", ISSUE, OWN_TYPE.replace(
    "def __init__(self, a, b): self.a, self.b = a, b", "def __init__(self, a, b, of): self.a, self.b, self.of = a, b, of").replace(
    'def __init__(self): super().__init__(name="Own")', """def __init__(self, of):
            self.of = of
            super().__init__(name="Own")
        @property
        def key(self): return self.of""").replace("own_type = OwnType()", """import dataclasses
    @dataclasses.dataclass(frozen=True)
    class Of: n: int""").replace("return own_type", "return OwnType(value.of)") + """
    from numba.extending import intrinsic
    @intrinsic
    def which(context, o):
        return types.int64(o), lambda context, builder, sig, args: context.get_constant(types.int64, sig.args[0].of.n * 1)
    """, "from .other import Own, Of, which\n@njit(cache=True)\ndef f(o): return which(o)", (edit("other.py", "of.n * 1", "of.n * 2"),),
          "(lib.f(lib.Own(1, 2, lib.Of(1))), lib.f(lib.Own(1, 2, lib.Of(2))))")
extension("external_function", "the signature of an external function", ISSUE, """
    from numba import types
    g = types.ExternalFunction("labs", types.int64(types.int64))
    """, changes=(edit("other.py", "types.int64(types.int64)", "types.int32(types.int32)"),), call="lib.f(-(1 << 40) - 5)")
READS = """
    import collections, functools, types as python_types
    from numba.extending import overload
    {made}
    def g(x): pass
    @overload(g)
    def _g(x):
        k = {read}
        return lambda x: x + k
    """
for name, title, made, read in (
        ("lru_cache", "a function behind functools.lru_cache", "@functools.lru_cache\n    def h(): return 1", "h()"),
        ("ordered", "an OrderedDict", "h = collections.OrderedDict(a=1)", 'h["a"]'),
        ("namespace", "a SimpleNamespace", "h = python_types.SimpleNamespace(a=1)", "h.a"),
        ("slots", "an object with slots", "class H:\n        __slots__ = ('a',)\n    h = H()\n    h.a = 1", "h.a"),
        ("property", "a property of a class", "class H:\n        @property\n        def a(self): return 1\n    h = H()", "h.a"),
        ("enum_method", "a method of an enumeration", "import enum\n    class H(enum.Enum):\n        A = 5\n        def a(self): return 1", "H.A.a()"),
        ("function_attribute", "an attribute of a function", "def h(): pass\n    h.a = 1", "h.a"),
        ("made_class", "a class that dataclasses made", "import dataclasses\n    H = dataclasses.make_dataclass('H', [('a', int, dataclasses.field(default=1))])",
         "H().a"),
        ("globals", "globals() by a text", "h = 1", "globals()['h']"),
        ("text", "source code that it makes", "@njit\n    def h(): return 1\n    def make():\n        space = {}\n        "
         "exec('def made(): return h()', globals(), space)\n        return njit(space['made'])", "make()()")):
    extension(f"overload_reads_{name}", f"{title}, read by an @overload", ISSUE, READS.format(made=made, read=read),
              changes=(edit("other.py", "return 1", "return 2") if "return 1" in made else
                       edit("other.py", "default=1", "default=2") if "default=1" in made else edit("other.py", "a=1", "a=2") if "a=1" in made else
                       edit("other.py", "a = 1", "a = 2") if "a = 1" in made else edit("other.py", "h = 1", "h = 2"),))
for name, title, made, read, old, new in (
        ("class_order", "the order of a class's attributes", "class H:\n        a = 1; b = 2",
         "[value for name, value in vars(H).items() if not name.startswith('__')][0]", "a = 1; b = 2", "b = 2; a = 1"),
        ("object_order", "the order of an object's attributes", "class H:\n        def __init__(self, **given): self.__dict__.update(given)\n    "
         "h = H(a=1, b=2)", "list(h.__dict__.values())[0]", "a=1, b=2", "b=2, a=1"),
        ("bases", "an empty base of a class", "class A: pass\n    class B: pass\n    class H(A): pass", "int(issubclass(H, A))", "H(A)", "H(B)"),
        ("metaclass", "an empty metaclass", "class A(type): pass\n    class B(type): pass\n    class H(metaclass=A): pass", "int(type(H) is A)",
         "metaclass=A", "metaclass=B"),
        ("registered_class", "a class registered with an abstract one", "import abc\n    class A(abc.ABC): pass\n    class H: pass",
         "int(issubclass(H, A))", "class H: pass", "class H: pass\nA.register(H)"),
        ("registered_with_derived", "a class registered with one that is derived from an abstract one", "import abc\n    class A(abc.ABC): pass\n    "
         "class B(A): pass\n    class H: pass", "int(issubclass(H, A))", "class H: pass", "class H: pass\nB.register(H)")):
    extension(f"overload_reads_{name}", f"{title}, read by an @overload", ISSUE, READS.format(made=made, read=read), changes=(edit("other.py", old, new),))
extension("overload_of_source", "an @overload whose implementation is made from source code", ISSUE, """
    from numba.extending import overload
    @njit
    def h(x): return x + 1
    def g(x): pass
    @overload(g)
    def _g(x):
        space = {}
        exec("def made(x): return h(x)", globals(), space)
        return space["made"]
    """)
case("getattr_of_module", KIND, "a module's attribute by a text", ISSUE, {
    "lib.py": "from . import other\n@njit(cache=True)\ndef f(x): return x + getattr(other, 'K')", "other.py": "K = 1"}, "lib.f(10)",
     edit("other.py", "K = 1", "K = 2"), needed="f")
case("module_in_module", KIND, "a module in a module, under a local name", ISSUE, {
    "lib.py": "from . import other\n@njit(cache=True)\ndef f(x):\n    m = other\n    n = m.third\n    return x + n.K", "other.py": "from . import third",
    "third.py": "K = 1"}, "lib.f(10)", edit("third.py", "K = 1", "K = 2"), needed="f")
case("callee_signature", KIND, "the signature that a callee is restricted to", ISSUE, {
    "lib.py": "from .other import callee\n@njit(cache=True)\ndef f(x): return callee(x)",
    "other.py": "@njit('int64(int64)')\ndef callee(x): return x / 2"}, "lib.f(3)", edit("other.py", "int64(int64)", "float64(float64)"),
     needed="f callee", optional=True)
HISTORY = """
    K = 1
    @njit(cache=True)
    def callee(x): return x + K
    @njit(cache=True)
    def f(x): return callee(x) * 10
    """
case("changed_between", KIND, "a global that was changed after the callee was compiled and before its caller was", ISSUE, HISTORY,
     "(lib.callee(1), setattr(lib, 'K', 5), lib.f(1))", then="(setattr(lib, 'K', 5), lib.f(1))", needed="callee f", alone=True)
case("typed_class", KIND, "what as_numba_type was told of a class", "", {"lib.py": """
    from .other import Meter
    @njit(cache=True)
    def f(x): return isinstance(x, Meter)
    """, "other.py": """
    from numba import types
    from numba.extending import as_numba_type, overload
    class Meter: pass
    @overload(Meter)
    def _meter(x): return lambda x: x
    as_numba_type.register(Meter, types.float64)
    """}, "lib.f(2.0)", edit("other.py", "types.float64", "types.int64"), needed="f")
