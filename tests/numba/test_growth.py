"""What Saggar's own work and memory grow with: counts of what is read, kept alive and nested, beside what Numba does alone."""
import json
import textwrap

import pytest

COUNT = """
    import json
    from saggar.numba import environments, identity, values
    counts = {}
    def counted(holder, name, label):
        plain = getattr(holder, name)
        def wrapper(*args, **kwargs):
            counts[label] = counts.get(label, 0) + 1
            return plain(*args, **kwargs)
        setattr(holder, name, wrapper)
    counted(identity, "_build", "built")
    counted(identity, "_assemble", "assembled")
    counted(environments, "obtain", "environments")
    from numba.core.codegen import JITCPUCodegen
    counted(JITCPUCodegen, "set_env", "slots")
"""


def chain(length, cache=True):
    lines = ["import numpy as np", "from numba import njit", "A = np.arange(4.0)"]
    for i in range(length):
        lines += [f"@njit(cache={cache})", f"def f{i}(x):", f"    return {f'f{i - 1}(x)' if i else 'x'} + A[1]"]
    return "\n".join(lines)


@pytest.mark.parametrize("calls", ["each", "last"])
def test_a_chain_of_functions(project, calls):
    """Each function is read a fixed number of times, whatever calls it, an array that all of them read included."""
    length = 20
    project.write("chain.py", chain(length))
    program = textwrap.dedent(COUNT) + textwrap.dedent(f"""
        import chain
        for i in range({length}) if {calls == "each"} else [{length - 1}]:
            getattr(chain, f"f{{i}}")(1.0)
        print(json.dumps(counts))
    """)
    cold, warm = project.good(program), project.good(program)
    assert len(cold.of("published")) == length and not warm.cacheable()
    for result in cold, warm:
        counts = json.loads(result.out)
        assert counts["built"] <= 3 * length, counts
        assert counts["assembled"] <= 3 * length, counts
        assert counts["slots"] <= 2 * length, counts


def test_what_a_caller_was_made_with(project):
    """A function that is checked as a part of its caller is not checked again for itself."""
    project.write("chain.py", chain(12, cache=False))
    program = """
        from saggar.numba import dependencies
        import chain
        for i in range(12):
            getattr(chain, f"f{i}")(1.0)
        print(max(sum(isinstance(one, dependencies.Made) for one in made) for made in dependencies._of_library.values()))
    """
    assert project.good(program).out == "1\n"


@pytest.mark.parametrize("cache", [False, True])
def test_functions_are_collected(project, cache):
    """Functions that are dropped go away, with what they hold."""
    program = f"""
        import gc, weakref
        import numpy as np
        from numba import njit
        def make(i):
            k, T = float(i), np.arange(2.0)
            def helper(): return owner
            @njit(cache={cache})
            def f(x): return x + k + T[0]
            f.py_func.owner = owner = np.zeros(10)
            return f, owner
        kept = []
        for i in range(4):
            f, owner = make(i)
            f(2.0)
            kept += [weakref.ref(f), weakref.ref(f.py_func), weakref.ref(owner)]
        del f, owner
        gc.collect()
        print(sum(one() is not None for one in kept))
    """
    assert project.run(program, SAGGAR_MODE="off").out == "0\n", "Numba keeps none"
    assert project.good(program).out == "0\n"


LIBRARY = """
    VERSION = 1
    def deep{i}(x): return deep{j}(x){plus}
    class C{i}:
        def first(self): return deep{i}(self)
        def second(self): return C{j}
"""


def install(project, size, version="1.0", plus=" + 1"):
    """An installed package, `size` functions and classes that lead to each other."""
    root = f"lib{version}/site-packages"
    source = "".join(textwrap.dedent(LIBRARY.format(i=i, j=(i + 1) % size, plus=plus)) for i in range(size))
    project.write(f"{root}/biglib/__init__.py", source + "class Top(C0):\n    limit = 1\n")
    project.distribution(root, "biglib", version)
    return f"import sys; sys.path.insert(0, {str(project.root / root)!r})\n"


USE = """
    import biglib, numba
    from numba import njit
    from numba.extending import overload
    {before}
    def g(x): pass
    @overload(g)
    def ov(x):
        v = 1 if isinstance(x, biglib.Top) else 2
        return lambda x: x + v
    @njit(cache=True)
    def f(x): return g(x)
    print(f(1))
    from saggar.numba import identity
    found = identity.content(ov, interpreted=True)
    print(found.digest.hex(), found.installed, len(found.nodes))
"""


def use(project, where, before=""):
    result = project.good(where + textwrap.dedent(USE).replace("{before}", before))
    value, content = result.out.splitlines()
    digest, installed, nodes = content.split()
    return value, digest, installed == "True", int(nodes), len(result.cacheable())


def test_a_small_package_counts_by_content(project):
    one, two = install(project, 10), install(project, 10, "1.1")
    other = install(project, 10, "1.2", " + 2")
    value, digest, installed, nodes, compiled = use(project, one)
    assert (value, installed, compiled) == ("3", False, 1) and nodes > 10
    assert use(project, two)[1::3] == (digest, 0), "another version with the same content"
    assert use(project, other)[1] != digest


def test_a_large_package_counts_by_version(project):
    one, two = install(project, 2000), install(project, 2000, "1.1")
    value, digest, installed, nodes, compiled = use(project, one)
    assert (value, installed, nodes, compiled) == ("3", True, 1, 1)
    assert use(project, one)[1::3] == (digest, 0), "found again"
    walked = "from saggar.numba import identity; identity.known_digest(biglib.deep5); identity.known_digest(biglib.C3.first)"
    assert use(project, one, walked)[1::3] == (digest, 0), "whatever was walked before"
    assert use(project, two)[1] != digest, "another version"
    for change in ("biglib.Top.first = lambda self: 1", "biglib.C0.second = lambda self: 1", "biglib.Top.limit = 2",
                   "biglib.Top.more = lambda self: 1", "class Top(biglib.C0): pass\nbiglib.Top = Top"):
        assert use(project, one, change)[1] != digest, change


def test_a_large_program_of_ones_own_has_no_content(project):
    where = install(project, 2000)
    (project.root / "lib1.0" / "site-packages").rename(project.root / "lib1.0" / "checkout")
    result = project.good(where.replace("site-packages", "checkout") + textwrap.dedent(USE).replace("{before}", "").split("from saggar")[0])
    assert result.out == "3\n"
    assert ["more than" in event["detail"] for event in result.of("not-stored")] == [True] or not result.of("published")


def test_nested_compilations_have_room(project):
    """Saggar's frames between two nested compilations do not bring Python's recursion limit nearer."""
    program = """
        import sys
        from numba import njit
        from numba.extending import overload
        seen = []
        def g(x): pass
        @overload(g)
        def ov(x):
            frame, own, all = sys._getframe(), 0, 0
            while frame:
                own += "saggar" in frame.f_code.co_filename
                frame, all = frame.f_back, all + 1
            seen.append((own, sys.getrecursionlimit()))
            return lambda x: x
        @njit
        def a(x): return g(x)
        @njit
        def b(x): return a(x)
        @njit
        def c(x): return b(x)
        before = sys.getrecursionlimit()
        c(1)
        (own, limit), = seen
        assert 0 < own <= limit - before, (own, limit, before)
        assert sys.getrecursionlimit() == before
    """
    project.good(program)


def test_the_highest_recursion_limit(project):
    project.cold_and_warm("""
        import sys
        sys.setrecursionlimit(2**31 - 1)
        from numba import njit
        @njit
        def g(x): return x + 1
        @njit(cache=True)
        def f(x): return g(x)
        print(f(1), sys.getrecursionlimit())
        """)


def test_what_a_large_graph_of_compiled_functions_reads(project):
    """As PyTensor makes them: each of many functions calls another that a factory made with its overload."""
    project.good("""
    from numba import njit
    from numba.extending import overload
    from saggar.numba import identity
    def make(i):
        def g(x): pass
        @overload(g)
        def ov(x): return lambda x: x + i
        return njit(lambda x: g(x))
    made = {f"f{i}": make(i) for i in range(700)}
    exec("def f(x): return " + " + ".join(f"{name}(x)" for name in made), made)
    found = identity.content(njit(made["f"]))
    assert not found.installed and sum(node.size for node in found.nodes) > identity.LARGEST
    """)
