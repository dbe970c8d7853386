"""saggar.Cache: a dictionary on disk; and trees through the binding."""
from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest

import saggar
from saggar import _saggar


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("SAGGAR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAGGAR_IMAGE_PATH", "none")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def cache(tmp_path):
    return saggar.Cache(tmp_path / "store")


class Opaque:
    """Not a value of the format."""


class Breaks:
    """Pickles, and raises when it comes back."""

    def __reduce__(self):
        return _raise, (self.__class__.__name__,)


def _raise(name: str) -> None:
    raise MemoryError(name)


def test_made_without_side_effects(cache, tmp_path):
    assert "key" not in cache and len(cache) == 0 and list(cache) == [] and cache.get("key", 7) == 7
    with pytest.raises(KeyError):
        cache["key"]
    with pytest.raises(KeyError):
        del cache["key"]
    cache.clear()
    assert list(tmp_path.iterdir()) == []


def test_as_a_dictionary(cache):
    values = {"foo": {"a": 1, "b": [2]}, b"foo": b"bytes", 1: "int", 1.0: "float", ("a", 2): None, None: "none", "": "", "\ud800": "lone"}
    cache.update({"foo": {"a": 1, "b": [2]}, b"foo": b"bytes", ("a", 2): None, None: "none", "": "", "\ud800": "lone"})
    cache[1], cache[1.0], cache[True] = "int", "float", "bool"
    assert cache["foo"] == values["foo"] and cache[b"foo"] == b"bytes" and cache[("a", 2)] is None and cache[""] == ""
    assert (cache[1], cache[1.0], cache[True]) == ("int", "float", "bool")
    assert len(cache) == len(list(cache)) == 9 and {repr(key) for key in cache} >= {"'foo'", "b'foo'", "1", "1.0", "True", "None", "('a', 2)"}
    assert cache.pop(b"foo") == b"bytes" and b"foo" not in cache
    assert cache.setdefault("foo", 1) == values["foo"] and cache.setdefault("new", 1) == 1
    cache["foo"] = "other"
    assert cache["foo"] == "other" and saggar.Cache(cache.directory)["foo"] == "other"
    del cache["foo"]
    with pytest.raises(KeyError):
        del cache["foo"]
    cache.clear()
    assert len(cache) == 0 and not dict(cache.items())


def test_names_and_stores_are_apart(cache, tmp_path):
    cache["key"] = 1
    assert "key" not in saggar.Cache(cache.directory, name="other") and "key" not in saggar.Cache(tmp_path / "elsewhere")


def test_the_environments_store(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGGAR_DIR", str(tmp_path / "shared"))
    saggar.Cache()["key"] = 1
    assert saggar.Cache()["key"] == saggar.Cache(tmp_path / "shared")["key"] == 1


def test_keys_that_are_none(cache):
    for key in (Opaque(), [Opaque()], ("a", Opaque())):
        assert key not in cache and cache.get(key) is None
        with pytest.raises(KeyError):
            cache[key]
        with pytest.raises(KeyError):
            del cache[key]
        with pytest.raises(TypeError):
            cache[key] = 1
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        cache["key"] = lambda: None
    assert "key" not in cache


def test_values_that_do_not_come_back(cache, tmp_path):
    cache["key"] = Breaks()
    assert "key" in cache
    with pytest.raises(KeyError):
        cache["key"]
    cache["key"] = 1
    assert cache["key"] == 1
    for path in (tmp_path / "store/v1").rglob("*.0"):
        data = bytearray(path.read_bytes())
        for at in range(0, len(data), 41):
            damaged = data.copy()
            damaged[at] ^= 0x20
            path.write_bytes(damaged)
            try:
                assert saggar.Cache(cache.directory)["key"] == 1  # the annex
            except KeyError:
                pass
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
            with pytest.raises(KeyError):
                saggar.Cache(cache.directory)["key"]
            saggar.Cache(cache.directory)["key"] = 1
            assert cache["key"] == 1


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", "/proc/none", "/dev/null/x"):
        cache = saggar.Cache(place)
        cache["key"] = 1
        assert "key" not in cache and len(cache) == 0
        with pytest.raises(KeyError):
            cache["key"]


def test_unknown_settings_are_a_miss(cache, monkeypatch):
    monkeypatch.setenv("SAGGAR_WAIT", "nonsense")
    cache["key"] = 1
    assert "key" not in cache and list(cache) == []
    with pytest.raises(KeyError):
        cache["key"]


def test_pickled(cache):
    cache["key"] = 1
    again = pickle.loads(pickle.dumps(cache))
    assert again["key"] == 1 and again != cache and again.directory == cache.directory and hash(cache) == hash(cache)
    assert repr(cache) == f"Cache({cache.directory!r}, name='')"


class Sub(saggar.Cache):
    pass


def test_subclass(tmp_path):
    cache = Sub(tmp_path, name="n")
    assert type(pickle.loads(pickle.dumps(cache))) is Sub


def test_threads(cache):
    def work(n: int) -> None:
        for i in range(50):
            cache[n, i] = i
            assert cache[n, i] == i and cache.get((n + 1, i), i) == i

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == 400


def in_child(cache: saggar.Cache, n: int) -> int:
    cache["from", n] = n
    return cache["parent"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(cache, method):
    cache["parent"] = 5
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert pool.starmap(in_child, [(cache, n) for n in range(6)]) == [5] * 6
    assert [cache["from", n] for n in range(6)] == list(range(6))


def compute(cache: saggar.Cache, log: str) -> int:
    try:
        return cache["key"]
    except KeyError:
        with cache.claim("key") as claim:
            if claim.outcome != "freed" or "key" not in cache:
                with open(log, "a") as file:
                    file.write("x")
                cache["key"] = 7
        return cache["key"]


def test_claims(cache, tmp_path):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert pool.starmap(compute, [(cache, str(tmp_path / "log"))] * 32) == [7] * 32
    assert (tmp_path / "log").read_text() == "x"


# -- trees -----------------------------------------------------------------------------------------------------------------


def make(name: object = "f") -> bytes:
    return _saggar.recipe([(field, _saggar.encode((name, 1))) for field in ("adapter", "compiler", "source", "options")])[1]


GROUP = ("compiler", "module", "function")


def test_get_or_build_is_interrupted(tmp_path):
    """By Ctrl-C while a resolver answers: nothing is built, and the key is free."""
    cache = _saggar.Cache(store=str(tmp_path / "store"))
    built = []

    def build(directory: str) -> dict:
        built.append(directory)
        return {"dependencies": [("distribution", "pytest", "1")]}

    class Resolver:
        raises = False

        def distribution(self, name: str) -> str:
            if self.raises:
                raise KeyboardInterrupt
            return "1"

    cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())
    Resolver.raises = True
    with pytest.raises(KeyboardInterrupt):
        cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())
    Resolver.raises = False
    assert not cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())[1]["built"] and len(built) == 1


def test_get_or_build(tmp_path):
    cache = _saggar.Cache(store=str(tmp_path / "store"))
    seen = []

    def build(directory: str) -> dict:
        seen.append(directory)
        Path(directory, "a").mkdir()
        Path(directory, "a/b.txt").write_text("text")
        return {"parts": {"meta": b"m"}, "dependencies": [("distribution", "pytest", pytest.__version__)]}

    class Resolver:
        version = pytest.__version__

        def distribution(self, name: str) -> str:
            return self.version

    tree, info = cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())
    assert info["built"] and info["stored"] and info["reason"] == "absent" and tree.shared and len(info["identity"]) == 32
    assert Path(tree.path, "a/b.txt").read_text() == "text" and not Path(seen[0]).exists()
    again, info = cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())
    assert not info["built"] and again.path == tree.path and len(seen) == 1
    Resolver.version = "another"
    again, info = cache.get_or_build(make(), build, group=GROUP, resolver=Resolver())
    assert info["built"] and info["reason"] == "dependency" and len(seen) == 2
    Resolver.version = pytest.__version__
    entry = cache.find(_saggar.sha256(make()), Resolver())[0]
    assert entry.part("meta") == b"m" and entry.tree().path == tree.path
    fd = entry.tree_file("a/b.txt")
    with open(fd, "rb") as file:
        assert file.read() == b"text"
    for wrong in ("a", "b.txt", "/a/b.txt"):
        with pytest.raises(_saggar.SaggarError):
            entry.tree_file(wrong)
    cache.publish(make("g"), group=GROUP, parts={"o": b"1"})
    assert cache.find(_saggar.sha256(make("g")))[0].tree() is None


def test_build_raises(tmp_path):
    cache = _saggar.Cache(store=str(tmp_path / "store"))

    def build(directory: str) -> None:
        Path(directory, "half").write_text("x")
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        cache.get_or_build(make(), build, group=GROUP)
    assert list((tmp_path / "store/v1/trees").iterdir()) == []
    for wrong in (lambda d: 1, lambda d: {"parts": 1}, lambda d: {"features": 1}, lambda d: {"dependencies": 1}, lambda d: {"dependencies": [1]}):
        with pytest.raises(TypeError):
            cache.get_or_build(make(), wrong, group=GROUP)
    with pytest.raises(TypeError):
        cache.get_or_build(make(), build)
    with pytest.raises(TypeError):
        _saggar.Tree()
    tree, info = cache.get_or_build(make(), lambda d: os.mkfifo(os.path.join(d, "pipe")), group=GROUP)
    path = tree.path
    assert info["built"] and not info["stored"] and info["error"] == "EINVAL" and "pipe" in info["detail"] and not tree.shared
    assert Path(path, "pipe").exists()
    del tree
    assert not Path(path).exists()


def test_waiting_is_interrupted(tmp_path):
    """A signal is heard while another process builds."""
    store, there = str(tmp_path / "store"), tmp_path / "there"

    def build_for_ever(directory: str) -> None:
        there.write_text("")
        time.sleep(60)

    other = multiprocessing.get_context("fork").Process(target=lambda: _saggar.Cache(store=store).get_or_build(make(), build_for_ever, group=GROUP))
    other.start()
    while not there.exists():
        time.sleep(0.01)

    def on_alarm(number, frame):
        raise InterruptedError("heard")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(1)
    try:
        with pytest.raises(InterruptedError, match="heard"):
            _saggar.Cache(store=store).get_or_build(make(), lambda directory: None, group=GROUP, wait_ms=30000)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        other.kill()
        other.join()


def build_once(store: str, log: str) -> str:
    def build(directory: str) -> None:
        with open(log, "a") as file:
            file.write("x")
        Path(directory, "file").write_text("text")

    tree, _ = _saggar.Cache(store=store).get_or_build(make(), build, group=GROUP)
    return Path(tree.path, "file").read_text()


def test_built_once(tmp_path):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        assert pool.starmap(build_once, [(str(tmp_path / "store"), str(tmp_path / "log"))] * 32) == ["text"] * 32
    assert (tmp_path / "log").read_text() == "x"
