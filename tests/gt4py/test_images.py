"""Shipped bytes: the same program compiled in two directories, by two processes that have nothing in common but the machine.

What differs is printed, down to the sections of the shared objects. GT4Py writes the fields of a cartesian stencil in the order of a
set, which changes with the hash seed: it is all that differs.
"""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Project

pytestmark = pytest.mark.slow
BACKENDS = {"gtfn": ("lap.py", {"BACKEND": "gtfn"}), "dace": ("lap.py", {"BACKEND": "dace"}), "cartesian": ("cart.py", {})}


def entries(project: Project, image: Path) -> dict[str, tuple[str, str]]:
    """By key: group and identity."""
    return {row["key"]: (row["group"], row["identity"]) for row in json.loads(project.saggar("ls", "--json", image).stdout)}


def sections(path: Path) -> dict[str, bytes]:
    """The content of an ELF file's sections by name; of another file, all of it."""
    done = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.partition("]")[2].split()
        if len(words) > 5 and words[1] != "NOBITS" and all(set(word) <= set("0123456789abcdef") for word in words[3:5]):
            start, size = int(words[3], 16), int(words[4], 16)
            found[words[0]] = path.read_bytes()[start:start + size]
    return found or {"all": path.read_bytes()}


def files(project: Project) -> dict[str, Path]:
    return {path.name: path for path in sorted(project.store.glob("v1/trees/*/**/*")) if path.is_file()}


def differences(one: Project, other: Project) -> dict[str, set[str]]:
    """Of the trees' files: names of the sections that differ."""
    found = {}
    for (name, first), (other_name, second) in zip(files(one).items(), files(other).items(), strict=True):
        assert name == other_name
        a, b = sections(first), sections(second)
        if first.read_bytes() != second.read_bytes():
            found[name] = {s for s in {*a, *b} if a.get(s) != b.get(s)} or {"outside of its sections"}
    return found


@pytest.mark.parametrize("backend, seeds, same", [("gtfn", "12", True), ("dace", "12", True), ("cartesian", "11", True), ("cartesian", "12", False)])
def test_two_directories_one_image(tmp_path, capsys, backend, seeds, same):
    name, env = BACKENDS[backend]
    projects = Project(tmp_path / "one"), Project(tmp_path / "another-place" / "of-other-length")
    images, outs = [], set()
    for seed, project in zip(seeds, projects):
        script = project.script(name, folder=project.root.name)
        outs.add(project.good(script, PYTHONHASHSEED=seed, CCACHE_DISABLE="1", **env).out)
        images.append(project.bake("--all"))
    a, b = (entries(project, image) for project, image in zip(projects, images))
    differ = differences(*projects)
    with capsys.disabled():
        digests = {hashlib.sha256(image.read_bytes()).hexdigest()[:16] for image in images}
        print(f"\n{backend}, hash seeds {', '.join(seeds)}: {len(a)} entries, image {' and '.join(digests)}", file=sys.stderr)
        print(*(f"  other bytes: {a[key][0]}" for key in a.keys() & b.keys() if a[key] != b[key]),
              *(f"  {file}: {', '.join(sorted(names))}" for file, names in differ.items()), sep="\n", file=sys.stderr)
    assert len(outs) == 1 and set(a) == set(b)
    assert not same or len(digests) == 1 and not differ
    places = [tmp_path, sys.prefix]  # not the folder of this Python's libraries, which its own configuration puts into a cartesian extension
    assert not [place for place in places if os.fsencode(place) in images[0].read_bytes()]
