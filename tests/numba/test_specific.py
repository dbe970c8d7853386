"""More specific registrations for a class of a type, and registrations between two compilations."""
import pytest

TYPE = """
    from numba import njit, types
    from numba.core import cgutils
    from numba.core.imputils import lower_getattr
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
USE = "import lib\nprint(lib.f(lib.Own(5)))"


@pytest.mark.parametrize("read,more", [("x.w()", METHOD), ("x.v", ATTRIBUTE), ("x.z", LOWERING), ("x.z", OF_INSTANCE)])
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
