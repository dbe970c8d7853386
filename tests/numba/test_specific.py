"""More specific registrations for a class of a type, and registrations between two compilations."""
import pytest

TYPE = """
    from numba import njit, types
    from numba.core import cgutils
    from numba.core.imputils import lower_getattr, lower_getattr_generic
    from numba.core.typing.templates import AttributeTemplate, infer_getattr
    from numba.extending import (NativeValue, lower_builtin, make_attribute_wrapper, models, overload_attribute, overload_method,
                                 register_model, type_callable, typeof_impl, unbox)
    class Own:
        def __init__(self, a): self.a = a
    class BaseType(types.Type): pass
    class OwnType(BaseType):
        def __init__(self): super().__init__(name="Own")
    own_type = OwnType()
    @typeof_impl.register(Own)
    def _typeof(value, c): return own_type
    @register_model(OwnType)
    class OwnModel(models.StructModel):
        def __init__(self, dmm, fe_type): models.StructModel.__init__(self, dmm, fe_type, [("a", types.int64)])
    make_attribute_wrapper(OwnType, "a", "a")
    @unbox(OwnType)
    def _unbox(typ, obj, c):
        own = cgutils.create_struct_proxy(typ)(c.context, c.builder)
        item = c.pyapi.object_getattr_string(obj, "a")
        own.a = c.pyapi.long_as_longlong(item)
        c.pyapi.decref(item)
        return NativeValue(own._getvalue())
    @overload_method(BaseType, "w")
    def _w(s): return lambda s: 1
    @overload_attribute(BaseType, "v")
    def _v(s): return lambda s: 1
    @infer_getattr
    class Attributes(AttributeTemplate):
        key = BaseType
        def resolve_z(self, t): return types.int64
    @lower_getattr(BaseType, "z")
    def _z(context, builder, typ, value): return context.get_constant(types.int64, 1)
    @infer_getattr
    class Others(AttributeTemplate):
        key = OwnType
        def generic_resolve(self, t, name):
            if name == "y": return types.int64
    @lower_getattr_generic(OwnType)
    def _any(context, builder, typ, value, name): return context.get_constant(types.int64, 1)
    MORE
    @njit(cache=True)
    def callee(x): return READ
    @njit(cache=True)
    def f(x): return callee(x)
    """
METHOD = '@overload_method(OwnType, "w")\n    def _more(s): return lambda s: 2'
ATTRIBUTE = '@overload_attribute(OwnType, "v")\n    def _more(s): return lambda s: 2'
LOWERING = '@lower_getattr(OwnType, "z")\n    def _more(context, builder, typ, value): return context.get_constant(types.int64, 2)'
OF_INSTANCE = LOWERING.replace("(OwnType", "(own_type")
OF_NAME = """@lower_getattr(OwnType, "y")
    def _more(context, builder, typ, value): return context.get_constant(types.int64, 2)"""
IDENTITY = """import operator
    @lower_builtin(operator.is_, types.Any, OwnType)
    def _more(context, builder, sig, args): return context.get_constant(types.boolean, True)"""
USE = "import lib\nprint(lib.f(lib.Own(5)))"


@pytest.mark.parametrize("read,more", [("x.w()", METHOD), ("x.v", ATTRIBUTE), ("x.z", LOWERING), ("x.z", OF_INSTANCE), ("x.y", OF_NAME),
                                       ("2 if 5 is x else 1", IDENTITY)])
def test_something_for_a_derived_class_is_added(project, read, more):
    lib = TYPE.replace("READ", read)
    project.write("lib.py", lib.replace("MORE", ""))
    _, warm = project.cold_and_warm(USE)
    assert warm.out == "1\n"
    project.write("lib.py", lib.replace("MORE", more))
    _, warm = project.cold_and_warm(USE)
    assert warm.out == "2\n"
    project.write("lib.py", lib.replace("MORE", ""))
    back = project.good(USE)
    assert back.out == "1\n" and back.cacheable() == []


OWN = """
    import os
    from numba import njit, types
    from numba.extending import intrinsic, lower_cast, models, overload_attribute, overload_method, register_model
    class Money(types.Type):
        def __init__(self): super().__init__("Money")
        def can_convert_from(self, context, other):
            from numba.core.typeconv import Conversion
            if isinstance(other, types.Number): return Conversion.safe
    money = Money()
    @register_model(Money)
    class MoneyModel(models.PrimitiveModel):
        def __init__(self, dmm, t): super().__init__(dmm, t, dmm.lookup(types.float64).get_value_type())
    @intrinsic
    def value(context, m):
        def generate(context, builder, signature, args): return args[0]
        return types.float64(money), generate
    BASE
    if os.environ.get("MORE"):
        ADDED
    @njit(cache=True)
    def f(x): return READ
    print(f(5))
    """
ANY = "@overload_attribute(types.Number, 'kind')\n    def number(x): return lambda x: 1"
ANY_METHOD = "@overload_method(types.Number, 'kind')\n    def number(x): return lambda x: 1"
ANY_CAST = """@lower_cast(types.Number, Money)
    def _number(context, builder, fromty, toty, val): return context.cast(builder, val, fromty, types.float64)"""
MORE_CAST = """@lower_cast(types.Integer, Money)
        def _integer(context, builder, fromty, toty, val): return context.get_constant(types.float64, 2.0)"""


def nearer(text, cls):
    """The same for a class that is nearer, with another result."""
    return text.replace("Number", cls).replace("number(x): return lambda x: 1", "integer(x): return lambda x: 2").replace("    def", "        def")


@pytest.mark.parametrize("read,base,added,plain", [
    ("x.kind", ANY, nearer(ANY, "Integer"), 1), ("x.kind", ANY, nearer(ANY, "int64"), 1),
    ("x.kind()", ANY_METHOD, nearer(ANY_METHOD, "Integer"), 1), ("value(x)", ANY_CAST, MORE_CAST, 5.0),
    ("2 if hasattr(x, 'kind') else 1", "", nearer(ANY, "Integer"), 1), ("2 if hasattr(5, 'kind') else 1", "", nearer(ANY, "int64"), 1),
    ("2 if hasattr('abc', 'kind') else 1", "", nearer(ANY_METHOD, "UnicodeType"), 1)])
def test_something_for_one_of_numbas_own_classes_is_added(project, read, base, added, plain):
    """Where others, or nobody, resolved it for a class of Numba's before."""
    program = OWN.replace("READ", read).replace("BASE", base).replace("ADDED", added)
    _, warm = project.cold_and_warm(program)
    assert warm.out == f"{plain}\n"
    more = [project.good(program, MORE="1") for _ in range(2)]
    assert [float(result.out) for result in more] == [2.0, 2.0] and more[0].cacheable() and not more[1].cacheable()
    assert project.good(program).out == f"{plain}\n"


def test_somebody_elses_implementation(project):
    """Of another type, for a function of Numba's that serves this one: it does not concern it, whenever it is registered."""
    project.write("geo.py", """
    from numba import njit, types
    from numba.extending import NativeValue, models, register_model, typeof_impl, unbox
    class Point: pass
    class PointType(types.Type):
        def __init__(self): super().__init__("Point")
    point_type = PointType()
    @typeof_impl.register(Point)
    def _typeof(value, c): return point_type
    register_model(PointType)(models.OpaqueModel)
    @unbox(PointType)
    def _unbox(typ, obj, c): return NativeValue(obj)
    @njit(cache=True)
    def known(p): return p is not None
    """)
    project.write("text.py", """
    import operator
    from numba import types
    from numba.extending import lower_builtin, models, register_model
    class MatchType(types.Type):
        def __init__(self): super().__init__("Match")
    register_model(MatchType)(models.OpaqueModel)
    @lower_builtin(operator.is_not, MatchType, types.none)
    def _is_not(context, builder, sig, args): return context.get_constant(types.boolean, False)
    """)
    program = """
    import geo
    from numba import njit
    print(geo.known(geo.Point()))
    import text
    @njit(cache=True)
    def total(p, x): return x + 1 if geo.known(p) else x
    print(total(geo.Point(), 1))
    """
    cold, warm = project.cold_and_warm(program)
    assert cold.out == warm.out == "True\n2\n"


LATER = """
    from numba import njit, types
    from numba.extending import lower_builtin, type_callable
    def s(x): pass
    @type_callable(s)
    def _type(context):
        def typer(x): return x
        return typer
    @lower_builtin(s, types.Number)
    def _one(context, builder, sig, args): return builder.add(args[0], args[0].type(1))
    def more():
        @lower_builtin(s, types.Integer)
        def _more(context, builder, sig, args): return builder.add(args[0], args[0].type(100))
    @njit(cache=True)
    def f(x): return s(x)
    @njit(cache=True)
    def g(x): return f(x) * 10
    """


def test_a_lowering_between_callee_and_caller(project):
    project.write("lib.py", LATER)
    between = project.good("import lib\nprint(lib.f(1)); lib.more(); print(lib.g(1))")
    assert between.out == "2\n20\n" and "g" in between.names("not-stored")
    assert project.good("import lib\nlib.more()\nprint(lib.g(1))").out == "1010\n"


def test_a_type_that_inherits_how_numba_boxes(project):
    project.write("lib.py", """
        import numpy as np
        from numba import njit, types
        from numba.core.datamodel.models import ArrayModel
        from numba.extending import NativeValue, register_model, typeof_impl, unbox
        class ArrayType(types.Array):
            def __init__(self): super().__init__(types.float64, 1, "C", name="Mine")
        class Mine(np.ndarray): pass
        @typeof_impl.register(Mine)
        def _typeof(value, c): return ArrayType()
        register_model(ArrayType)(ArrayModel)
        @unbox(ArrayType)
        def _unbox(typ, obj, c):
            from numba.core.boxing import unbox_array
            return unbox_array(types.float64[::1], obj, c)
        @njit(cache=True)
        def f(x): return len(x)
        """)
    project.cold_and_warm("import lib, numpy as np\nprint(lib.f(np.arange(3.0).view(lib.Mine)))")
