"""The independent reader and writer of trees beside the library: the same bytes, and the same verdict on every damaged tree."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tree  # noqa: E402

golden = pytest.importorskip("golden", reason="the writer needs the package xxhash")
saggar = pytest.importorskip("saggar._saggar", reason="needs the Python package")
GROUP = ("c", "m", "q")


def recipe(number: int) -> bytes:
    return saggar.recipe([(field, saggar.encode((field, number))) for field in ("adapter", "compiler", "source", "options")])[1]


def make(root: Path, nodes: list[tree.Node]) -> None:
    path: list[bytes] = []
    for node in nodes:
        path[node.depth :] = [node.name]
        at = os.path.join(os.fsencode(root), *path)
        if node.kind == tree.DIRECTORY:
            os.mkdir(at)
        elif node.kind == tree.LINK:
            os.symlink(node.content, at)
        else:
            with open(at, "wb") as file:
                file.write(node.content)
            os.chmod(at, 0o755 if node.kind == tree.EXECUTABLE else 0o644)


def grown(dice: random.Random, depth: int = 0) -> list[tree.Node]:
    """A random tree, in its order."""
    names = {bytes(dice.choice(b"abAB.-_\xc3\xff0 ") for _ in range(dice.randrange(1, 4))) for _ in range(dice.randrange(5))}
    nodes = []
    for name in sorted(names - {b".", b".."}):
        kind = dice.randrange(1, 5)
        if kind == tree.LINK:
            nodes.append(tree.Node(kind, depth, name, b"/".join([b".."] * dice.randrange(depth + 1) + [b"x"] * dice.randrange(1, 3))))
        elif kind == tree.DIRECTORY:
            nodes += [tree.Node(kind, depth, name), *(grown(dice, depth + 1) if depth < 4 else [])]
        else:
            nodes.append(tree.Node(kind, depth, name, dice.randbytes(dice.choice([0, 1, 63, 64, 65, 200]))))
    return nodes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> saggar.Cache:
    for name in [name for name in os.environ if name.startswith("SAGGAR_")]:
        monkeypatch.delenv(name)
    return saggar.Cache(store=str(tmp_path / "store"), images="")


def test_golden() -> None:
    assert tree.read(tree.pack(golden.NODES)) == golden.NODES


@pytest.mark.parametrize("seed", range(30))
def test_same_bytes(cache: saggar.Cache, seed: int) -> None:
    nodes = grown(random.Random(seed))
    cache.get_or_build(recipe(seed), lambda folder: make(Path(folder), nodes), group=GROUP)
    entry = cache.find(saggar.sha256(recipe(seed)))[0]
    packed = bytes(entry.part("tree"))
    assert packed == tree.pack(nodes) and tree.read(packed) == nodes
    assert Path(entry.tree().path).name == saggar.sha256(packed).hex()


def test_same_verdict(cache: saggar.Cache) -> None:
    """Each byte changed in several ways: both refuse, or both read the same tree."""
    good, verdicts, dice = tree.pack(golden.NODES), set(), random.Random(1)
    for at in range(len(good)):
        for value in {good[at] ^ 1, 0x2F, 0x2E, 0, dice.randrange(256)} - {good[at]}:
            data = good[:at] + bytes([value]) + good[at + 1 :]
            number = at * 256 + value
            cache.publish(recipe(number), group=GROUP, parts={"tree": data})
            entry = cache.find(saggar.sha256(recipe(number)))[0]
            try:
                nodes = tree.read(data)
            except tree.Malformed:
                nodes = None
            try:
                place = entry.tree().path
            except saggar.SaggarError:
                place = None
            assert (nodes is None) == (place is None), (at, value)
            verdicts.add(nodes is None)
    assert verdicts == {True, False}
