"""Switching the adapter on and off."""
import pytest

SIMPLE = """
    from numba import njit
    @njit(cache=True)
    def f(x): return x + 1
    print(f(1))
    """


def test_off(project):
    result = project.good(SIMPLE, SAGGAR_MODE="off")
    assert result.out == "2\n" and result.events == []


def test_disabled_jit(project):
    assert project.good(SIMPLE, NUMBA_DISABLE_JIT="1").out == "2\n"


def test_require(project):
    refused = project.run(SIMPLE, SAGGAR_MODE="require")
    assert refused.code == 1
    assert "RuntimeError" in refused.err or "Required" in refused.err
    assert "__main__.f(int64) would be compiled: absent" in refused.err
    project.good(SIMPLE)
    assert project.good(SIMPLE, SAGGAR_MODE="require").out == "2\n"


def test_require_lets_pass_what_nobody_marked(project):
    assert project.good(SIMPLE.replace("(cache=True)", ""), SAGGAR_MODE="require").out == "2\n"


@pytest.mark.parametrize("change", [
    "del dispatcher.Dispatcher.enable_caching",
    "dispatcher.Dispatcher.enable_caching = lambda self, place: None",
    "bytecode.FunctionIdentity.from_function = classmethod(lambda cls, pyfunc, more: None)",
    "del wrappers.GufWrapperCache"])
def test_an_unknown_numba(project, change):
    program = f"""
        import sys
        from numba.core import dispatcher, bytecode
        from numba.np.ufunc import wrappers
        {change}
        import saggar.numba as a
        a._status.update(installed=False)
        print(a.install(), a.status()["active"], "not known" in a.status()["reason"])
        """
    script = project.start(program, SAGGAR_MODE="off")
    del script
    result = project.run("import os; os.environ['SAGGAR_MODE'] = 'use'\n" + _plain(program), SAGGAR_MODE="off")
    assert result.out == "False False True\n", result.err


def test_an_unknown_python(project):
    """Its byte code would be read wrongly."""
    program = """
        import os, sys
        os.environ["SAGGAR_MODE"] = "use"
        from saggar import process
        process.NEWEST = (3, 9)
        import numba, saggar.numba as a
        a._status.update(installed=False)
        print(a.install(), a.status()["active"], a.status()["reason"] == f"Python 3.{sys.version_info[1]} is not known: up to 3.9 is")
        print("saggar.numba.patch" in sys.modules, a.status()["version"] == numba.__version__)
        """
    result = project.run(_plain(program), SAGGAR_MODE="off")
    assert result.out == "False False True\nFalse True\n", result.err


@pytest.mark.parametrize("where", ["pickles.apply", "watches.apply", "patch._names"])
def test_a_change_that_fails(project, where):
    """Nothing of Saggar's is left in Numba, which works as without it."""
    program = f"""
        import os, sys, types
        os.environ["SAGGAR_MODE"] = "use"
        import numba, saggar.numba as a
        from numba import njit
        from saggar.numba import patch, pickles, watches
        def fail(*_): raise RuntimeError("no")
        {where} = fail
        a._status.update(installed=False)
        print(a.install(), a.status()["reason"])
        for module in [m for name, m in sys.modules.items() if name.startswith("numba.")]:
            for holder in (module, *(c for c in vars(module).values() if isinstance(c, type))):
                for name, value in vars(holder).items():
                    value = getattr(value, "__func__", value)
                    if isinstance(value, types.FunctionType) and "saggar" in value.__code__.co_filename:
                        print("left", holder, name)
        @njit
        def f(x): return x + 1
        print(f(1), numba.vectorize(lambda x: x * 2)(3))
        """
    result = project.run(_plain(program), SAGGAR_MODE="off")
    assert result.out == "False RuntimeError: no\n2 6\n", result.out + result.err


def test_installing_twice(project):
    assert project.good("import saggar.numba as a\nprint(a.install(), a.install())").out == "True True\n"


def test_uncacheable_is_counted_with_its_reason(project):
    program = """
        from numba import njit
        from numba.experimental import jitclass
        from numba import int64
        @jitclass([("v", int64)])
        class Box:
            def __init__(self, v): self.v = v
        @njit(cache=True)
        def f(b): return b.v
        print(f(Box(3)))
        """
    for _ in range(2):
        result = project.good(program)
        assert result.out == "3\n"
        [stored] = [e for e in result.of("not-stored") if e["group"].endswith(":f")]
        assert stored["reason"] == "uncacheable" and "jitclass" in stored["detail"]


def test_statistics_of_numba(project):
    program = SIMPLE.rstrip(" ") + "    s = f.stats; print(sum(s.cache_hits.values()), sum(s.cache_misses.values()), bool(s.cache_path))\n"
    assert project.good(program).out == "2\n0 1 True\n"
    assert project.good(program).out == "2\n1 0 True\n"


def test_zip_import(project):
    import zipfile
    archive = project.root / "lib.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("zipped.py", "from numba import njit\n@njit(cache=True)\ndef f(x): return x + 1\n")
    program = "import sys; sys.path.insert(0, sys.path[0] + '/lib.zip')\nfrom zipped import f\nprint(f(1))"
    project.cold_and_warm(program)


def _plain(text):
    import textwrap
    return textwrap.dedent(text)


def test_processes_that_are_spawned(project):
    project.write("work.py", """
        from numba import njit, types
        import pickle
        @njit(["int64(int64)"], cache=True)
        def helper(x): return x + 1
        @njit(cache=True)
        def f(x): return helper(x) * 2
        def job(x): return f(x)
        """)
    program = """
        import multiprocessing as mp
        from numba import njit
        from work import f, job, helper
        import pickle
        @njit(cache=True)
        def own(x): return x - 1
        def mine(x): return own(x)
        if __name__ == "__main__":
            again = pickle.loads(pickle.dumps(helper))
            print(again is helper, again(1))
            with mp.get_context("spawn").Pool(2) as pool:
                print(pool.map(job, [1, 2, 3]), pool.map(mine, [1, 2]))
            print(own(5))
        """
    cold = project.good(program)
    warm = project.good(program)
    assert warm.out == cold.out == "True 2\n[4, 6, 8] [0, 1]\n4\n", cold.err
    assert warm.cacheable() == []


def test_a_pickled_dispatcher_is_not_compiled_again(project):
    project.write("work.py", """
        from numba import njit
        @njit(["int64(int64)", "float64(float64)"], cache=True)
        def helper(x): return x + 1
        """)
    program = """
        import pickle, work
        from numba.core.dispatcher import Dispatcher
        data = pickle.dumps(work.helper)
        Dispatcher._memo.clear()
        for d in list(Dispatcher._memo.values()): print(d)
        loaded = pickle.loads(data)
        print(loaded is work.helper, loaded(1))
        """
    project.good(program)
    assert project.good(program).cacheable() == []
