"""The adapter's parts by themselves: what has which digest, the file cache, the lock, and what is not GT4Py's own."""
import copy
import functools
import os
import pickle
import sys
import types

import pytest

import gt4py.next as gtx
import numpy as np
from gt4py._core import filecache, locking
from gt4py.eve import concepts
from gt4py.next.iterator import ir
from gt4py.next.iterator.ir_utils import ir_makers as im
from gt4py.next.otf import workflow
from gt4py.next.program_processors.runners import gtfn

import saggar.gt4py
from saggar import _saggar, process
from saggar.gt4py import builds, entries, environment, functions, identity

pytestmark = pytest.mark.skipif(not saggar.gt4py.status()["active"], reason="needs an environment with saggar.pth")


def located(node, line):
    node = copy.deepcopy(node)
    for child in node.pre_walk_values().if_isinstance(ir.Node).to_list():
        child.location = concepts.SourceLocation(f"file{line}.py", line, 1)
    return node


def test_places_are_not_in_a_digest_and_types_are():
    sum_ = im.plus(im.literal("1.0", "float64"), "x")
    assert identity.digest(located(sum_, 1)) == identity.digest(located(sum_, 2)) == identity.digest(sum_)
    assert identity.digest(sum_) != identity.digest(im.plus(im.literal("1.0", "float32"), "x"))  # not told apart without types
    assert ir.lenient_ir_fingerprinter(sum_) == ir.lenient_ir_fingerprinter(im.plus(im.literal("1.0", "float32"), "x"))


def test_arrays_count_by_content():
    a = np.arange(6, dtype=np.int32).reshape(2, 3)
    same = [a.copy(), np.asfortranarray(a)]
    assert {identity.digest(item) for item in same} == {identity.digest(a)}
    others = [a + 1, a.astype(np.int64), a.reshape(3, 2), a.astype(">i4")]
    assert len({identity.digest(item) for item in [a, *others]}) == 5


def somebodys(text, name="somebodys", **more):
    module = types.ModuleType(name)
    module.__dict__.update(more)
    exec(text, module.__dict__)
    return module


def test_what_only_a_name_stands_for_has_no_digest(monkeypatch):
    for name in ("somebodys", "code"):  # the standard library has a module of this name, which is not this one
        module = somebodys("""
import functools, os, pathlib
from os import getenv as variable
class Step: pass
PLACE, evaluate = pathlib.Path("x"), eval
def aliased(x): return variable(x)
def place(x): return PLACE.name
def evaluates_too(x): return evaluate(x)
def imports(x):
    import json
    return json.dumps(x)
@functools.cache
def cached(x): return x
def outside(x): return os.environ.get(x)
def evaluates(x): return eval(x)
def reads(x): return Step
def has(x): return x
has.attribute = 1
""", name, __file__="/somewhere/code.py")
        monkeypatch.setitem(sys.modules, name, module)
        functions.known.cache_clear()
        for thing in (module.Step, module.Step(), module.imports, module.cached, module.outside, module.aliased, module.place, module.evaluates,
                      module.evaluates_too, module.reads, module.has, {"hook": module.reads}, [].append):
            with pytest.raises(_saggar.Uncacheable):
                identity.digest(thing)
    monkeypatch.undo()
    functions.known.cache_clear()


def test_a_function_counts_by_what_it_computes():
    text = "import math\nLIMIT = {'a': [1]}\ndef inner(x): return x + 1\ndef hook(x, by=2): return inner(x) * by + math.sin(LIMIT['a'][0])\n"
    first = identity.digest(somebodys(text).hook)
    assert identity.digest(somebodys("# elsewhere\n\n" + text, "another").hook) == first
    edits = ("x + 1", "x + 2"), ("[1]", "[1.0]"), ("by=2", "by=3"), ("math.sin", "math.cos"), ("'a': [1]", "'b': 2, 'a': [1]")
    assert len({first, *(identity.digest(somebodys(text.replace(*edit)).hook) for edit in edits)}) == 1 + len(edits)
    assert identity.digest(somebodys(text + "def unread(): pass\n").hook) == first

    def made(by):
        return lambda x: x + by

    assert identity.digest(made(1)) == identity.digest(made(1)) != identity.digest(made(2))
    assert identity.digest(functools.partial(made(1), 1)) != identity.digest(functools.partial(made(1), 2))
    cycle = somebodys("def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)\n")
    assert identity.digest(cycle.even) != identity.digest(cycle.odd)


def test_the_toolchain_of_gt4py_is_connected():
    step = gtfn.run_gtfn.executor.translation
    assert isinstance(step, workflow.CachedStep) and type(step.cache).__module__ == "saggar.gt4py.filecache"
    assert pickle.loads(pickle.dumps(step)).cache.path == step.cache.path
    assert saggar.gt4py.status()["off"] == {}


def test_file_cache(tmp_path):
    cache = filecache.FileCache(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(KeyError):
        cache["key"]
    cache["key"] = {"value": 1}
    cache[("a", 2)] = "other"
    assert cache["key"] == {"value": 1} and cache[("a", 2)] == "other" and "key" in cache and "none" not in cache
    again = pickle.loads(pickle.dumps(cache))
    assert again["key"] == {"value": 1} and again.path == cache.path
    path = cache._get_path("key")
    path.write_bytes(path.read_bytes()[:300])
    damaged = filecache.FileCache(tmp_path / "cache")
    with pytest.raises(KeyError):
        damaged["key"]
    damaged["key"] = "new"
    assert filecache.FileCache(tmp_path / "cache")["key"] == "new"
    del damaged["key"]
    assert "key" not in damaged
    with pytest.raises(KeyError):
        del damaged["key"]


def test_nothing_fails_where_nothing_can_be_written():
    cache = filecache.FileCache("/proc/nowhere")
    cache["key"] = 1
    assert "key" not in cache
    with locking.lock("/proc/nowhere/file.pkl"):
        pass


def test_lock_excludes(tmp_path):
    with locking.lock(tmp_path):
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
        with pytest.raises(TimeoutError):
            locking._lock_constructor(str(next(tmp_path.iterdir())))._lock.__class__(str(next(tmp_path.iterdir())), timeout=0).acquire()


def test_values_are_made_once_and_repaired(tmp_path, monkeypatch):
    monkeypatch.setattr("saggar.process._cache", _saggar.Cache(store=str(tmp_path / "store")))
    made = []

    def make():
        made.append(1)
        return {"n": len(made)}

    def request():
        return entries.Request(("test", "value"), environment.compiler(), None, "text")

    assert [entries.obtain(request(), make) for _ in range(3)] == [{"n": 1}] * 3
    assert entries.peek(request())[0] == {"n": 1}
    for path in (tmp_path / "store").rglob("*.0"):
        path.write_bytes(path.read_bytes()[:-400] + b"\1" * 400)
    assert entries.obtain(request(), make) == {"n": 2} and entries.obtain(request(), make) == {"n": 2}
    with pytest.raises(ZeroDivisionError):
        entries.obtain(entries.Request(("test", "value"), environment.compiler(), None, "other"), lambda: 1 / 0)
    assert entries.obtain(entries.Request(("test", "value"), environment.compiler(), None, "other"), make) == {"n": 3}


@pytest.mark.parametrize("said, wait", [("", 900_000), ("5", -1)])
def test_who_builds_is_waited_for_as_long_as_builds_take(monkeypatch, said, wait):
    """A minute, as for a function, is not enough: all who waited would build it too, at once."""
    monkeypatch.setenv("SAGGAR_WAIT", said)
    assert entries.wait_ms() == wait


def test_compiler_as_a_dependency(monkeypatch, tmp_path):
    (kind, resolver, name, digest), *more = environment.built_with("cmake")
    assert (kind, resolver) == ("value", "gt4py") and environment.resolver.digest(False, resolver, name) == digest
    other = f"{name.rpartition(' ')[0]} {'0' * 64}"
    assert environment.resolver.digest(False, resolver, other) != _saggar.sha256(other.encode())
    monkeypatch.setenv("PATH", str(tmp_path))  # no compiler: what any compiler made will do
    assert environment.resolver.digest(False, resolver, other) == _saggar.sha256(other.encode())


def test_headers(tmp_path):
    own = tmp_path / "own"
    (own / "build").mkdir(parents=True)
    inside = os.path.join(environment.package("nanobind"), "include", "nanobind", "nanobind.h")
    (own / "build" / "x.d").write_text(f"x.o: ../x.cpp \\\n {inside} \\\n /usr/include/stdio.h {tmp_path}/a\\ b.h\n")
    found = builds.headers(own / "build" / "x.d", own)
    assert found == sorted([os.path.realpath(inside), "/usr/include/stdio.h", f"{os.path.realpath(tmp_path)}/a b.h"])
    with pytest.raises(_saggar.Uncacheable):
        builds.dependencies(found, builds.system())
    (kind, root, path, size, _), = builds.dependencies([path for path in found if "a b" not in path], builds.system())
    assert (kind, root, path, size) == ("file", "nanobind", "include/nanobind/nanobind.h", os.path.getsize(inside))


def test_settings_are_in_the_key(monkeypatch):
    before = environment.settings()
    monkeypatch.setattr(gtx.config, "ADD_GPU_TRACE_MARKERS", True)
    assert environment.settings() != before
    monkeypatch.setenv("CXXFLAGS", "-march=native")
    assert environment.variables()["CXXFLAGS"] == "-march=native"
    monkeypatch.setenv("CXX", "ccache g++ -m64")
    assert environment.variables()["CXX"] == "-m64"


def test_files_that_decide_are_not_in_the_key(monkeypatch):
    for name, text in (("CXXFLAGS", "-O2 @flags.txt"), ("CXX", "g++ -specs=my.specs"), ("LDFLAGS", "-fplugin=x.so"), ("CMAKE_TOOLCHAIN_FILE", "x")):
        with monkeypatch.context() as here, pytest.raises(_saggar.Uncacheable, match=name):
            here.setenv(name, text)
            environment.variables()
    for text in ("-O2 @x", "-DCMAKE_TOOLCHAIN_FILE=x", "-DCMAKE_CXX_FLAGS=@x"):
        with pytest.raises(_saggar.Uncacheable, match="here"):
            environment.only_texts("here", text)
    environment.only_texts("here", "-O2 -DMAIL=a@b -fprofile-generate")


def test_flags_behind_the_name_of_the_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "g++ -march=native")
    assert builds.features("-O2") == ("native", "")
    assert builds.features("-march=x86-64") == ("x86-64", "")


def test_a_build_that_has_no_room_is_done_elsewhere(tmp_path, monkeypatch):
    """In GT4Py's own way; a program that does not compile fails at once, and with its own error."""
    monkeypatch.setattr("saggar.process._cache", _saggar.Cache(store=str(tmp_path / "store")))
    tries = []

    def build(error):
        def run(directory, work):
            tries.append(directory)
            raise error
        return run

    def ask(error):
        request = entries.Request(("test", "tree"), environment.compiler(), None, repr(error))
        return builds.guarded("g", lambda: request, lambda found: builds.obtain(found, build(error)), lambda: "GT4Py's own", (RuntimeError,))

    for error in (RuntimeError("as: x.o: No space left on device"), RuntimeError("Disk quota exceeded"), OSError(28, "full")):
        assert ask(error) == "GT4Py's own"
    with pytest.raises(RuntimeError, match="no such function"):
        ask(RuntimeError("no such function"))
    assert len(tries) == 4 and not any(os.path.exists(path) for path in tries)


def test_no_place_of_the_installation_in_an_sdfg():
    from saggar.gt4py import dace

    inside = os.path.join(environment.package("dace"), "sdfg", "sdfg.py")
    sdfg = {"source_files": [inside, "/somebody's/program.py", 1], "nodes": []}
    dace.without_places(sdfg)
    assert sdfg == {"source_files": ["dace/sdfg/sdfg.py", "program.py", 1], "nodes": []}
    dace.without_places("text")


def test_what_is_left_to_gt4py_is_counted_where_it_compiles(monkeypatch):
    """A miss, what was not stored and why, and the compilation; nothing where GT4Py's own cache served it."""
    said = []
    monkeypatch.setattr(process, "report", lambda event, **more: said.append((event, more.get("group"), more.get("reason"))))
    builds.counted("g", lambda: None, "because")
    assert said == []
    builds.counted("g", lambda: builds.compiled(process.now()), "because")
    assert said == [(event, "g", "uncacheable") for event in ("miss", "not-stored", "compiled")]
