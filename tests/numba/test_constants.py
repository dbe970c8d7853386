"""Objects of installed classes that a package has a Numba type for, as global variables: `lower_constant` makes constants of what they hold."""

CLASS = """
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    @property
    def total(self): return self.a + self.b * {factor}
"""
TYPES = """
    from numba import types
    from numba.core import cgutils
    from numba.core.imputils import lower_constant
    from numba.extending import make_attribute_wrapper, models, register_model, typeof_impl
    from pairs import Pair
    class PairType(types.Type):
        def __init__(self): super().__init__("Pair")
    @typeof_impl.register(Pair)
    def typeof_pair(value, c): return PairType()
    @register_model(PairType)
    class PairModel(models.StructModel):
        def __init__(self, manager, kind): super().__init__(manager, kind, [("total", types.int64)])
    make_attribute_wrapper(PairType, "total", "total")
    @lower_constant(PairType)
    def constant(context, builder, kind, value):
        made = cgutils.create_struct_proxy(kind)(context, builder)
        made.total = context.get_constant(types.int64, value.total {more})
        return made._getvalue()
    """
PROGRAM = """
    import os, sys
    sys.path.insert(0, {root!r})
    from numba import njit
    import pairtypes
    from pairs import Pair
    K = Pair(1, int(os.environ["B"]))
    K.more = None
    @njit(cache=True)
    def f(x): return x + K.total
    print(f(10))
    """


def install(project, version="1.0", factor=10):
    """The package of the class; what a program needs to import it."""
    root = f"lib{version}/site-packages"
    project.write(f"{root}/pairs/__init__.py", CLASS.format(factor=factor))
    project.distribution(root, "pairs", version)
    return PROGRAM.format(root=str(project.root / root))


def test_what_an_object_holds_counts(project):
    project.write("pairtypes.py", TYPES.format(more=""))
    program = install(project)
    assert project.good(program, B="2").names("published") == ["f"]
    assert project.good(program, B="2").cacheable() == []
    other = project.good(program, B="3")
    assert other.out == "41\n" and other.names("published") == ["f"]
    assert project.good(program, B="2").cacheable() == []


def test_how_constants_are_made_of_it_counts(project):
    project.write("pairtypes.py", TYPES.format(more=""))
    first = project.good(install(project), B="2")
    project.write("pairtypes.py", TYPES.format(more="+ 5"))
    second = project.good(install(project), B="2")
    assert (first.out, second.out) == ("31\n", "36\n") and second.names("published") == ["f"]
    third = project.good(install(project, "2.0", 100), B="2")  # its property gives something else
    assert third.out == "216\n" and third.names("published") == ["f"]


def test_what_its_class_reads_counts(project):
    """Changed while the program runs: a table of the class, a function of the object's, a module's variable."""
    source = CLASS.format(factor="Pair.TABLE['k'] * SCALE + (self.more or len)('')") + "    TABLE = {'k': 10}\nSCALE = 1\n"
    project.write("pairtypes.py", TYPES.format(more=""))
    program = install(project)
    project.write("lib1.0/site-packages/pairs/__init__.py", source)
    assert project.good(program, B="2").out == "31\n" and project.good(program, B="2").cacheable() == []
    for change, out in (("Pair.TABLE['k'] = 20", "51"), ("K.more = lambda text: 5", "36"), ("import pairs; pairs.SCALE = 3", "71")):
        result = project.good(program.replace("K.more = None", f"K.more = None\n    {change}"), B="2")
        assert result.out == out + "\n" and result.names("published") == ["f"], change


def test_an_object_that_changes_while_the_program_runs(project):
    """Another signature is compiled with what it holds then."""
    project.write("pairtypes.py", TYPES.format(more=""))
    program = install(project)
    first = project.good(program + "K.b = 3\n    print(f(10.0))\n", B="2")
    assert first.out == "31\n41.0\n"
    assert project.good(program + "print(f(10.0))\n", B="2").out == "31\n31.0\n"


def test_an_object_of_no_distribution(project):
    project.write("pairtypes.py", TYPES.format(more=""))
    project.write("pairs.py", CLASS.format(factor=10))
    result = project.good(install(project).replace("sys.path.insert", "len; (lambda *args: None)"), B="2")
    assert result.out == "31\n" and result.names("not-stored") == ["f"]
