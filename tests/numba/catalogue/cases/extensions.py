"""What only typing reveals: overloads, intrinsics, types, methods and attributes that an extension gives to Numba."""
from ..model import ANY, Step, append, case, edit, names

KIND = "Extensions of Numba"

OVERLOAD = """
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        def impl(x): return x + 1
        return impl
    """
USE = "from .other import g\n@njit(cache=True)\ndef f(x): return g(x) * 3"
change = edit("other.py", "x + 1", "x + 2")


def extension(name: str, title: str, issues: str, other: str, lib: str = USE, changes: tuple = (change,), call: str = "lib.f(10)",
              needed: str = "f", **more: object) -> None:
    case(name, KIND, title, issues, {"lib.py": lib, "other.py": other}, call, *changes, needed=needed, **more)


extension("overload_body", "the body of an @overload", "numba#8396", OVERLOAD)
extension("overload_lambda", "the body of an @overload that is a lambda", "numba#8396", """
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x): return lambda x: x + 1
    """)
extension("overload_global", "a global that an @overload's body reads", "numba#8396",
          OVERLOAD.replace("x + 1", "x + K").replace("def g(x)", "K = 1\n    def g(x)"), changes=(edit("other.py", "K = 1", "K = 2"),))
extension("overload_closure", "a value that an @overload's body closes over", "numba#8396", OVERLOAD.replace("x + 1", "x + k").replace(
    "def impl", "k = 1\n        def impl"), changes=(edit("other.py", "k = 1", "k = 2"),))
extension("overload_helper", "a function that an @overload's body calls", "numba#8396", """
    from numba.extending import overload
    @njit
    def helper(x): return x + 1
    def g(x): pass
    @overload(g)
    def _g(x): return lambda x: helper(x)
    """)
extension("overload_of_overload", "an @overload that another one calls", "numba#8396", OVERLOAD + """
    def h(x): pass
    @overload(h)
    def _h(x): return lambda x: g(x) - 1
    """, "from .other import h\n@njit(cache=True)\ndef f(x): return h(x) * 3")
extension("overload_choice", "which of its bodies an @overload chooses for a type", "numba#8396", """
    from numba import types
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        if isinstance(x, types.Integer): return lambda x: x + 1
        return lambda x: x - 1
    """, changes=(edit("other.py", "types.Integer", "types.Float"),))
extension("overload_chooser", "a Python function by which an @overload chooses", "numba#8396", """
    from numba.extending import overload
    def large(): return 1 > 2
    def g(x): pass
    @overload(g)
    def _g(x):
        if large(): return lambda x: x + 1
        return lambda x: x - 1
    """, changes=(edit("other.py", "1 > 2", "2 > 1"),))
case("overload_asks_directory", KIND, "the directory that an @overload asks for", "", {"lib.py": USE, "other.py": """
    from os import getcwd as where
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        k = len(where())
        return lambda x: x + k
    """}, steps=(Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", names("f"), cwd="/")), differs=True, refusal=True)
case("overload_asks_threads", KIND, "the number of threads that an @overload asks for", "", {"lib.py": USE, "other.py": """
    from numba import get_num_threads
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        k = get_num_threads()
        return lambda x: x + k
    """}, "lib.f(10)", first={"NUMBA_NUM_THREADS": "2"}, env={"NUMBA_NUM_THREADS": "1"}, needed="f", differs=True, refusal=True)
extension("overload_table", "a table by which an @overload chooses", "numba#8396", """
    from numba.extending import overload
    TABLE = {"int64": 1, "float64": 2}
    def g(x): pass
    @overload(g)
    def _g(x):
        if TABLE[str(x)] == 1: return lambda x: x + 1
        return lambda x: x - 1
    """, changes=(edit("other.py", '"int64": 1', '"int64": 2'),))
extension("overload_inlined", "an @overload with inline=\"always\"", "numba#8396", OVERLOAD.replace("overload(g)", 'overload(g, inline="always")'))
extension("overload_options", "the options of an @overload", "numba#8396", """
    from numba.extending import overload
    def g(x): pass
    @overload(g, jit_options={"error_model": "numpy"})
    def _g(x): return lambda x: 1.0 / x
    """, changes=(edit("other.py", '"numpy"', '"python"'),), call="lib.f(0.0)")
case("overload_by_callee", KIND, "an @overload that a callee in a third file uses", "numba#8396", {
    "lib.py": "from .third import callee\n@njit(cache=True)\ndef f(x): return callee(x) * 3",
    "third.py": "from .other import g\n@njit(cache=True)\ndef callee(x): return g(x)", "other.py": OVERLOAD}, "lib.f(10)", change,
     needed="f callee")
case("overload_by_served_callee", KIND, "an @overload of a callee that was served while the caller was compiled", "numba#8396", {
    "lib.py": "from .third import callee\n@njit(cache=True)\ndef f(x): return callee(x) * 3",
    "third.py": "from .other import g\n@njit(cache=True)\ndef callee(x): return g(x)", "other.py": OVERLOAD}, steps=(
    Step("third.callee(10)", ANY, judged=False), Step("lib.f(10)", names("f")),
    Step("lib.f(10)", names("f callee"), (change,)), Step("lib.f(10)")), differs=True)
case("overload_of_numpy", KIND, "an @overload of a NumPy function for a type of its own", "numba#8396", {
    "lib.py": "from .other import Tag, tag\n@njit(cache=True)\ndef f(x): return np.trunc(tag())",
    "other.py": """
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, models, overload, register_model
    class Tag(types.Type):
        def __init__(self): super().__init__(name="Tag")
    register_model(Tag)(models.OpaqueModel)
    @intrinsic
    def tag(context):
        return Tag()(), lambda context, builder, sig, args: context.get_dummy_value()
    @overload(np.trunc)
    def _trunc(x):
        if isinstance(x, Tag): return lambda x: 1
    """}, "lib.f(10)", edit("other.py", "lambda x: 1", "lambda x: 2"), needed="f", alone=True)
extension("overload_method", "an @overload_method of a type", "numba#8396", """
    from numba import types
    from numba.extending import overload_method
    @overload_method(types.Integer, "plus_of_case")
    def _plus(x): return lambda x: x + 1
    """, "from . import other\n@njit(cache=True)\ndef f(x): return x.plus_of_case()")
extension("overload_attribute", "an @overload_attribute of a type", "numba#8396", """
    from numba import types
    from numba.extending import overload_attribute
    @overload_attribute(types.Integer, "next_of_case")
    def _next(x): return lambda x: x + 1
    """, "from . import other\n@njit(cache=True)\ndef f(x): return x.next_of_case")
extension("more_specific_attribute", "an @overload_attribute is added for a class that is nearer to a type of Numba's", "numba#8396", """
    from numba import types
    from numba.extending import overload_attribute
    @overload_attribute(types.Number, "kind_of_case")
    def _number(x): return lambda x: 1
    """, "from . import other\n@njit(cache=True)\ndef f(x): return x.kind_of_case", (append("other.py", """
    @overload_attribute(types.Integer, "kind_of_case")
    def _integer(x): return lambda x: 2
    """),))
extension("more_specific_cast", "a @lower_cast is added for a class that is nearer to a type of Numba's", "numba#8396", """
    from numba import types
    from numba.core.typeconv import Conversion
    from numba.extending import intrinsic, lower_cast, models, register_model
    class Money(types.Type):
        def __init__(self): super().__init__("Money")
        def can_convert_from(self, context, other): return Conversion.safe if isinstance(other, types.Number) else None
    money = Money()
    @register_model(Money)
    class MoneyModel(models.PrimitiveModel):
        def __init__(self, dmm, t): super().__init__(dmm, t, dmm.lookup(types.float64).get_value_type())
    @intrinsic
    def g(context, m): return types.float64(money), lambda context, builder, signature, args: args[0]
    @lower_cast(types.Number, Money)
    def _number(context, builder, fromty, toty, value): return context.cast(builder, value, fromty, types.float64)
    """, changes=(append("other.py", """
    @lower_cast(types.Integer, Money)
    def _integer(context, builder, fromty, toty, value): return context.get_constant(types.float64, 2.0)
    """),))
extension("overload_operator", "an @overload of an operator for a type of its own", "numba#8396", """
    import operator
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, models, overload, register_model
    class Mark(types.Type):
        def __init__(self): super().__init__(name="Mark")
    register_model(Mark)(models.OpaqueModel)
    @intrinsic
    def mark(context):
        return Mark()(), lambda context, builder, sig, args: context.get_dummy_value()
    @overload(operator.add)
    def _add(a, b):
        if isinstance(a, Mark): return lambda a, b: b + 1
    """, "from .other import mark\n@njit(cache=True)\ndef f(x): return mark() + x", (edit("other.py", "b + 1", "b + 2"),), alone=True)
extension("intrinsic_body", "the code that an @intrinsic generates", "numba#8396", """
    from numba.extending import intrinsic
    @intrinsic
    def g(context, x):
        def code(context, builder, sig, args):
            return builder.add(args[0], context.get_constant(sig.return_type, 1))
        return x(x), code
    """, changes=(edit("other.py", "sig.return_type, 1", "sig.return_type, 2"),))
extension("intrinsic_helper", "a Python function that an @intrinsic generates code with", "numba#8396", """
    from numba.extending import intrinsic
    def emit(context, builder, ty, x): return builder.add(x, context.get_constant(ty, 1))
    @intrinsic
    def g(context, x):
        def code(context, builder, sig, args): return emit(context, builder, sig.return_type, args[0])
        return x(x), code
    """, changes=(edit("other.py", "ty, 1", "ty, 2"),))
extension("intrinsic_in_overload", "an @intrinsic that an @overload uses", "numba#8396", """
    from numba.extending import intrinsic, overload
    @intrinsic
    def low(context, x):
        def code(context, builder, sig, args):
            return builder.add(args[0], context.get_constant(sig.return_type, 1))
        return x(x), code
    def g(x): pass
    @overload(g)
    def _g(x): return lambda x: low(x)
    """, changes=(edit("other.py", "sig.return_type, 1", "sig.return_type, 2"),))
extension("lowering", "a @lower_builtin of the low-level interface", "numba#8396", """
    from numba import types
    from numba.core.typing import signature
    from numba.core.typing.templates import AbstractTemplate
    from numba.extending import lower_builtin, type_callable
    def g(x): pass
    @type_callable(g)
    def _type(context):
        def typer(x): return x
        return typer
    @lower_builtin(g, types.Integer)
    def _lower(context, builder, sig, args):
        return builder.add(args[0], context.get_constant(sig.return_type, 1))
    """, changes=(edit("other.py", "sig.return_type, 1", "sig.return_type, 2"),))
OWN_TYPE = """
    from numba import types
    from numba.core import cgutils
    from numba.extending import models, NativeValue, register_model, make_attribute_wrapper, typeof_impl, unbox
    class Own:
        def __init__(self, a, b): self.a, self.b = a, b
    class OwnType(types.Type):
        def __init__(self): super().__init__(name="Own")
    own_type = OwnType()
    @typeof_impl.register(Own)
    def _typeof(value, c): return own_type
    @register_model(OwnType)
    class OwnModel(models.StructModel):
        def __init__(self, dmm, fe_type):
            models.StructModel.__init__(self, dmm, fe_type, [("a", types.int64), ("b", types.int64)])
    make_attribute_wrapper(OwnType, "a", "a")
    make_attribute_wrapper(OwnType, "b", "b")
    @unbox(OwnType)
    def _unbox(typ, obj, c):
        own = cgutils.create_struct_proxy(typ)(c.context, c.builder)
        for name in ("a", "b"):
            item = c.pyapi.object_getattr_string(obj, name)
            setattr(own, name, c.pyapi.long_as_longlong(item))
            c.pyapi.decref(item)
        return NativeValue(own._getvalue())
    """
OWN_USE = "from .other import Own\n@njit(cache=True)\ndef f(o): return o.a * 10 + o.b"
extension("unboxing", "how values of a type of its own are unboxed", "numba#8396", OWN_TYPE, OWN_USE,
          (edit("other.py", 'object_getattr_string(obj, name)', 'object_getattr_string(obj, "a")'),), "lib.f(lib.Own(1, 2))")
extension("data_model", "the fields of a type's data model", "numba#8396", OWN_TYPE, OWN_USE,
          (edit("other.py", '("b", types.int64)', '("b", types.int8)'), edit("other.py", "setattr(own, name, c.pyapi.long_as_longlong(item))",
           "v = c.pyapi.long_as_longlong(item); setattr(own, name, v if name == 'a' else c.builder.trunc(v, c.context.get_value_type(types.int8)))")),
          "lib.f(lib.Own(1, 300))")
extension("attribute_template", "an attribute of a type of its own now leads elsewhere", "numba#8396", OWN_TYPE, OWN_USE,
          (edit("other.py", '"b", "b")', '"a", "b")'),), "lib.f(lib.Own(1, 2))")
extension("type_of_value", "the type that a class's values get", "numba#8396", OWN_TYPE + """
    class Other(types.Type):
        def __init__(self): super().__init__(name="Other")
    """, OWN_USE, (edit("other.py", 'name="Own"', 'name="Owned"'),), "lib.f(lib.Own(1, 2))", differs=False)
extension("external_symbol", "a C function of an extension goes, and another takes its place", "numba#8396, pytensor#2212", """
    import ctypes
    import llvmlite.binding as llvm
    from numba import types
    from numba.extending import intrinsic
    from numba.core import cgutils
    import llvmlite.ir as ir
    NAME, FUNCTION = "catalogue_labs", "labs"
    llvm.add_symbol(NAME, ctypes.cast(getattr(ctypes.CDLL(None), FUNCTION), ctypes.c_void_p).value)
    _g = types.ExternalFunction(NAME, types.int64(types.int64))
    @njit
    def g(x): return _g(x)
    """, changes=(edit("other.py", '"catalogue_labs", "labs"', '"catalogue_toupper", "toupper"'),), call="lib.f(-97)")
extension("jitclass_method", "a method of a jitclass that the function makes inside", "numba#4830", """
    from numba import int64
    from numba.experimental import jitclass
    @jitclass([("a", int64)])
    class Box:
        def __init__(self, a): self.a = a
        def get(self): return self.a + 1
    """, "from .other import Box\n@njit(cache=True)\ndef f(x): return Box(x).get()", (edit("other.py", "self.a + 1", "self.a + 2"),),
          refusal=True)
extension("structref_method", "a method of a StructRef type", "numba#10021", """
    from numba import types
    from numba.core.extending import overload_method
    from numba.experimental import structref
    @structref.register
    class BoxType(types.StructRef):
        def preprocess_fields(self, fields): return tuple((n, types.unliteral(t)) for n, t in fields)
    class Box(structref.StructRefProxy):
        def __new__(cls, a): return structref.StructRefProxy.__new__(cls, a)
    structref.define_proxy(Box, BoxType, ["a"])
    @overload_method(BoxType, "get")
    def _get(self): return lambda self: self.a + 1
    """, "from .other import Box\n@njit(cache=True)\ndef f(x): return Box(x).get()", (edit("other.py", "self.a + 1", "self.a + 2"),), alone=True)
extension("overload_unused", "an @overload that the function does not use", "numba#9316", OVERLOAD + """
    def h(x): pass
    @overload(h)
    def _h(x): return lambda x: x - 1
    """, changes=(edit("other.py", "x - 1", "x - 2"),), needed="")
extension("overload_line_above", "a line above an @overload", "numba#9316", OVERLOAD, changes=(edit("other.py", "def g(x)", "\ndef g(x)"),),
          needed="")
extension("overload_comment", "the comment in an @overload's body", "numba#9316", """
    from numba.extending import overload
    def g(x): pass
    @overload(g)
    def _g(x):
        # first words
        def impl(x):
            # other words
            return x + 1
        return impl
    """, changes=(edit("other.py", "words", "lines"),), needed="")

ELSEWHERE = {"lib.py": "@njit(cache=True)\ndef f(x): return x + 1", "other.py": """
    import operator
    from numba import types
    from numba.extending import make_attribute_wrapper, models, overload, register_model
    class Mark(types.Type):
        def __init__(self): super().__init__(name="Mark")
    @register_model(Mark)
    class MarkModel(models.StructModel):
        def __init__(self, dmm, fe_type): models.StructModel.__init__(self, dmm, fe_type, [("a", types.int64)])
    make_attribute_wrapper(Mark, "a", "a")
    @overload(operator.add)
    def _add(a, b):
        if isinstance(a, Mark): return lambda a, b: b + 1
    """, "tuples.py": """
    import collections
    P = collections.namedtuple("P", "a b")
    @njit(cache=True)
    def g(p): return p.a * 2
    """}
case("overload_elsewhere_edited", KIND, "an @overload of + for a type that the function does not use", "numba#9316", ELSEWHERE,
     "(other.Mark is None, lib.f(10))", edit("other.py", "b + 1", "b + 2"), alone=True)
case("overload_elsewhere_absent", KIND, "a module with an @overload of + for a type of its own is not imported this time", "numba#9316",
     ELSEWHERE, "(other.Mark is None, lib.f(10))", then="(False, lib.f(10))", alone=True)
case("attribute_elsewhere_absent", KIND, "a module with an attribute of a type of its own is not imported this time", "numba#9316",
     ELSEWHERE, "(other.Mark is None, tuples.g(tuples.P(1, 2)))", then="(False, tuples.g(tuples.P(1, 2)))", alone=True)
