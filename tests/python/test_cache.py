"""The cache through the binding: find, claim, publish; memory that outlives what it came from; threads and forks."""
from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time

import pytest

from saggar import _saggar as saggar

GROUP = ("compiler", "module", "function")


def make(name: object = "f") -> tuple[bytes, bytes]:
    return saggar.recipe([(field, saggar.encode((name, 1))) for field in ("adapter", "compiler", "source", "options")])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("SAGGAR_")]:
        monkeypatch.delenv(name)
    return saggar.Cache(store=str(tmp_path / "store"), images="")


def test_recipe():
    key, recipe = make()
    assert len(key) == 32 and key == saggar.sha256(recipe) != make("g")[0]
    with pytest.raises(saggar.SaggarError, match="mandatory"):
        saggar.recipe([("adapter", saggar.encode(("a", 1)))])
    for bad in ([("Bad Name", b"\0")], [("a", b"\xff")], [("a", b"\0"), ("a", b"\0")]):
        with pytest.raises(saggar.SaggarError):
            saggar.recipe(bad)
    for bad in (None, [1], [("a", "text")], [(1, b"")]):
        with pytest.raises(TypeError):
            saggar.recipe(bad)


def test_publish_and_find(cache):
    key, recipe = make()
    assert cache.find(key) == (None, "absent", "")
    identity = cache.publish(recipe, group=GROUP, parts={"object": b"code" * 5000, "empty": b""}, seconds=0.5)
    entry, reason, detail = cache.find(key)
    assert (reason, detail) == ("none", "")
    assert entry.identity == identity and entry.tier == cache.tiers()[0]["path"]
    part = entry.part("object")
    assert part == b"code" * 5000 and part.readonly and entry.part("empty") == b"" and entry.part("none") is None
    assert entry.recipe() == recipe
    assert cache.publish(recipe, group=GROUP, parts={"object": b"code" * 5000, "empty": b""}) == identity
    entry.reject()
    assert cache.find(key)[0] is None


def test_views_outlive_entry_and_cache(cache):
    key, recipe = make()
    cache.publish(recipe, group=GROUP, parts={"object": b"x" * 100_000})
    part = cache.find(key)[0].part("object")
    piece = part[10:20]
    del part
    cache.close()
    del cache
    gc.collect()
    assert piece == b"x" * 10
    with pytest.raises(TypeError):
        piece[0] = 1


def test_closed(cache):
    cache.close()
    cache.close()
    for call in (lambda: cache.find(bytes(32)), lambda: cache.claim(bytes(32)), cache.tiers,
                 lambda: cache.publish(make()[1], group=GROUP, parts={})):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_arguments(cache):
    key, recipe = make()
    for call in (lambda: cache.find("text"), lambda: cache.find(), lambda: cache.publish(recipe, parts={}), lambda: cache.publish(recipe, group=GROUP),
                 lambda: cache.publish(recipe, group=("a", "b"), parts={}), lambda: cache.publish(recipe, group=GROUP, parts={"x": "text"}),
                 lambda: cache.publish(recipe, group=GROUP, parts={}, dependencies=[1]), lambda: cache.publish(recipe, group=GROUP, parts={}, symbols=[1]),
                 lambda: cache.publish(recipe, group=GROUP, parts={}, features="avx2"), lambda: saggar.Cache("path"), lambda: saggar.Cache(store=1)):
        with pytest.raises(TypeError):
            call()
    for call in (lambda: cache.find(b"short"), lambda: cache.publish(recipe, group=GROUP, parts={}, arch="vax"),
                 lambda: cache.publish(recipe, group=GROUP, parts={}, dependencies=[("moon", "full")]),
                 lambda: cache.publish(recipe, group=GROUP, parts={}, dependencies=[("value", "r", "n", b"short")])):
        with pytest.raises(ValueError):
            call()
    for call in (lambda: cache.publish(b"not a recipe", group=GROUP, parts={}), lambda: cache.publish(recipe, group=GROUP, parts={"x" * 48: b""})):
        with pytest.raises(saggar.SaggarError):
            call()
    assert cache.find(key)[0] is None
    for type_ in (saggar.Entry, saggar.Claim):
        with pytest.raises(TypeError):
            type_()


def test_features(cache):
    key, recipe = make()
    with pytest.raises(saggar.SaggarError) as error:
        cache.publish(recipe, group=GROUP, parts={"o": b"1"}, features=("no-such-cpu", ""))
    assert error.value.name == "ENOTFOUND" and cache.find(key)[0] is None
    cache.publish(recipe, group=GROUP, parts={"o": b"1"}, arch="any", features=None)
    assert cache.find(key)[0] is not None
    names, unknown = saggar.parse_features("", "")
    assert set(names.split(",")) <= set(saggar.host_features().split(",")) and unknown == ""
    assert saggar.parse_features("", "+no-such-thing")[1] == "no-such-thing"


def test_toolchain(tmp_path):
    assert saggar.toolchain(list=str(tmp_path)) is None and saggar.toolchain("no-such-compiler") is None
    compiler = tmp_path / "c++"
    found = []
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 2\n"):
        compiler.write_text(text)
        compiler.chmod(0o755)
        found.append(saggar.toolchain(list=str(tmp_path)))
        assert found[-1][:2] == (str(compiler), "c++") and saggar.toolchain(str(compiler))[2] == found[-1][2]
    assert found[0][2] != found[1][2]
    assert saggar.flags_target("-O3 -march=native") == ("native", "") and saggar.flags_target("-O2") == ("", "")


def test_other_architecture(cache):
    key, recipe = make()
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    cache.publish(recipe, group=GROUP, parts={"o": b"1"}, arch=other)
    assert cache.find(key)[:2] == (None, "architecture")


class Resolver:
    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def digest(self, code, resolver, name):
        self.asked.append((code, resolver, name))
        return self.answers.get("digest")

    def distribution(self, name):
        return self.answers.get("distribution")

    def root(self, name):
        return self.answers.get("root")

    def symbol(self, name):
        return name in self.answers.get("symbols", ())


def test_dependencies(cache, tmp_path):
    source = tmp_path / "source.py"
    source.write_bytes(b"text")
    key, recipe = make()
    cache.publish(recipe, group=GROUP, parts={"o": b"1"}, symbols=["malloc", "free"], dependencies=[
        ("distribution", "numpy", "1.0"), ("file", "home", "source.py", 4, saggar.sha256(b"text")), ("value", "numba", "module.x", bytes(32)),
        ("code", "numba", "module.f", bytes(32))])
    good = dict(digest=bytes(32), distribution="1.0", root=str(tmp_path), symbols=["malloc", "free"])
    resolver = Resolver(**good)
    assert cache.find(key, resolver)[0] is not None
    assert set(resolver.asked) == {(False, "numba", "module.x"), (True, "numba", "module.f")}
    for change in (dict(digest=b"1" * 32), dict(digest=None), dict(distribution="2.0"), dict(distribution=None), dict(root="/nowhere"), dict(root=5),
                   dict(digest="text"), dict(distribution="1.0" * 1000)):
        assert cache.find(key, Resolver(**{**good, **change}))[:2] == (None, "dependency"), change
    assert cache.find(key, Resolver(**{**good, "symbols": ["free"]}))[:2] == (None, "symbols")
    assert cache.find(key)[1] == "dependency"
    assert cache.find(key, object())[1] == "dependency"
    key, recipe = make("another")
    cache.publish(recipe, group=GROUP, parts={"o": b"1"}, dependencies=[("file", "home", "source.py", 4, saggar.sha256(b"texT"))])
    assert cache.find(key, Resolver(**good))[1] == "dependency"


def test_resolver_that_raises(cache):
    class Bad:
        def digest(self, *_):
            raise RuntimeError("no")

    key, recipe = make()
    cache.publish(recipe, group=GROUP, parts={}, dependencies=[("value", "r", "n", bytes(32))])
    assert cache.find(key, Bad())[:2] == (None, "dependency")


@pytest.mark.parametrize("method", ["digest", "distribution", "root", "symbol"])
def test_resolver_that_is_interrupted(cache, method):
    """What is no Exception (Ctrl-C) is raised when the lookup is over, once, and nothing is asked after it."""
    asked, raised = [], KeyboardInterrupt("now")

    def answer(*_):
        asked.append(method)
        raise raised

    key, recipe = make()
    row = {"digest": [("value", "r", "n", bytes(32))], "distribution": [("distribution", "numpy", "1.0")],
           "root": [("file", "home", "source.py", 4, bytes(32))], "symbol": []}[method]
    cache.publish(recipe, group=GROUP, parts={}, symbols=["malloc"] if method == "symbol" else [], dependencies=row)
    resolver = Resolver(digest=bytes(32), symbols=["malloc"], distribution="1.0")
    setattr(resolver, method, answer)
    references = sys.getrefcount(raised)
    for number in range(3):
        with pytest.raises(KeyboardInterrupt, match="now") as caught:
            cache.find(key, resolver)
        assert caught.value is raised and len(asked) == number + 1 and caught.value.__traceback__ is not None
        raised.__traceback__ = None
        del caught
    assert sys.getrefcount(raised) == references
    good = Resolver(digest=bytes(32), symbols=["malloc"], distribution="1.0")
    assert cache.find(key, good)[1] == ("dependency" if method == "root" else "none")


def test_claims(cache):
    key, _ = make()
    with cache.claim(key) as claim:
        assert claim.outcome == "owned" and claim.waited < 5
        seen = []
        thread = threading.Thread(target=lambda: seen.append(cache.claim(key, 100)))
        thread.start()
        thread.join()
        assert seen[0].outcome == "none" and 0.05 < seen[0].waited < 10
    claim.release()
    assert cache.claim(key).outcome == "owned"  # and gone with its object
    assert cache.claim(key).outcome == "owned"


def test_claim_waits_without_the_interpreter(cache):
    """While one thread waits for a claim, others run, and the owner's release ends the wait."""
    key, _ = make()
    claim, seen = cache.claim(key), []
    thread = threading.Thread(target=lambda: seen.append(cache.claim(key, 20_000)))
    begin = time.monotonic()
    thread.start()
    time.sleep(0.2)
    claim.release()
    thread.join()
    assert seen[0].outcome == "freed" and time.monotonic() - begin < 10


def test_claim_of_another_process(cache):
    key, _ = make()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        claim = cache.claim(key)
        os.write(told, claim.outcome.encode())
        time.sleep(60)
        os._exit(0)
    assert os.read(ready, 10) == b"owned"
    assert cache.claim(key, 200).outcome == "none"
    threading.Timer(0.3, os.kill, (child, signal.SIGKILL)).start()
    assert cache.claim(key, 20_000).outcome == "freed"
    os.waitpid(child, 0)


def test_interrupt_ends_the_wait(cache, run, tmp_path):
    code = f"""
import os, signal, sys, time, threading
from saggar import _saggar as saggar
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored in background jobs
cache = saggar.Cache(store={str(tmp_path / "store")!r}, images="")
key = bytes(32)
owner = []
thread = threading.Thread(target=lambda: owner.append(cache.claim(key)))
thread.start(); thread.join()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    cache.claim(key, 30_000)
except KeyboardInterrupt:
    print(time.monotonic() - begin < 15)
"""
    assert run(code) == "True\n"


def test_close_while_others_wait(cache):
    key, _ = make()
    claim = cache.claim(key)
    threads = [threading.Thread(target=lambda: cache.claim(key, 300)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    cache.close()
    with pytest.raises(ValueError, match="closed"):
        cache.tiers()
    for thread in threads:
        thread.join()
    claim.release()


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer keeps what is freed")
def test_nothing_leaks(cache):
    key, recipe = make()
    cache.publish(recipe, group=GROUP, parts={"o": os.urandom(1 << 20)})
    before = resident()
    for _ in range(150):
        cache.find(key)[0].part("o").tobytes()
    assert resident() - before < 60 << 20


def test_many_threads(cache):
    recipes = [make(str(n)) for n in range(40)]
    wrong = []

    def work():
        for n, (key, recipe) in enumerate(recipes):
            with cache.claim(key):
                entry = cache.find(key)[0]
                if entry is None:
                    cache.publish(recipe, group=GROUP, parts={"o": b"%d" % n})
            if cache.find(key)[0].part("o") != b"%d" % n:
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_after_fork(cache):
    key, recipe = make()
    cache.publish(recipe, group=GROUP, parts={"o": b"1" * 9000})
    part, claim = cache.find(key)[0].part("o"), cache.claim(bytes(32))
    child = os.fork()
    if child == 0:
        ok = part == b"1" * 9000 and cache.find(key)[0].part("o") == part
        claim.release()
        ok = ok and cache.claim(bytes(32), 50).outcome == "none"
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_errors_of_publish(tmp_path):
    cache = saggar.Cache(store="", images="")
    with pytest.raises(saggar.SaggarError) as error:
        cache.publish(make()[1], group=GROUP, parts={"o": b"1"})
    assert error.value.code < 0 and error.value.name.startswith("E")
    read_only = saggar.Cache(store=str(tmp_path / "store"), images="", read_only=True)
    with pytest.raises(saggar.SaggarError):
        read_only.publish(make()[1], group=GROUP, parts={"o": b"1"})
    assert not (tmp_path / "store").exists()


def test_tiers(tmp_path):
    cache = saggar.Cache(store=str(tmp_path / "store"), images=str(tmp_path / "absent.saggar"))
    image, store = [tier for tier in cache.tiers() if "absent" in tier["path"] or tier["kind"] == "store"]
    assert image["kind"] == "image" and image["active"] is False and image["note"]
    assert store["active"] is True and store["trusted"] is True and store["entries"] == 0


def test_symbols():
    assert saggar.register_symbol("test_symbols.a", bytes(32)) and saggar.register_symbol("test_symbols.a", bytes(32))
    assert not saggar.register_symbol("test_symbols.a", b"1" * 32)
    with pytest.raises(saggar.SaggarError):
        saggar.object_symbols(b"not an object")


def test_object_symbols(tmp_path):
    import shutil
    import subprocess

    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source = tmp_path / "a.c"
    source.write_text("int common_one; int far(void); static int near(void) { return far(); } int here(void) { return near(); }")
    subprocess.run(["cc", "-c", "-fcommon", "-O0", source, "-o", tmp_path / "a.o"], check=True)
    symbols = {name: flags for name, *flags in saggar.object_symbols((tmp_path / "a.o").read_bytes())}
    assert symbols["here"] == [True, False] and symbols["far"] == [False, False] and symbols["common_one"][1] is True
    assert "near" not in symbols


def test_interpreters(run):
    """Another interpreter has a module, types and exceptions of its own."""
    code = """
try:
    import _interpreters as i
except ImportError:
    import _xxsubinterpreters as i
import sys
from saggar import _saggar
a = i.create()
error = i.run_string(a, "import sys; sys.path = %r; from saggar import _saggar as s; assert s.decode(s.encode([1, s.Map({1: 2})]))[0] == 1" % (sys.path,))
i.destroy(a)
assert error is None, error
print(_saggar.decode(_saggar.encode([1])))
"""
    assert run(code) == "[1]\n"


def test_an_unknown_setting_is_named(monkeypatch):
    for name in ("SAGGAR_WAIT", "SAGGAR_MODE", "SAGGAR_IMAGE_PATH"):
        monkeypatch.setenv(name, "nonsense")
        with pytest.raises(saggar.SaggarError, match=name):
            saggar.Cache()
        monkeypatch.delenv(name)
