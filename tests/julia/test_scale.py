"""A generated depot of many packages: one edit makes stale what it must, and nothing else."""
from __future__ import annotations

import resource
import struct
import subprocess

import pytest

from generate import Package, generate, text
from test_verdicts import by_name


@pytest.fixture
def many(tmp_path):
    packages = generate(tmp_path, 80, 100)
    return packages, tmp_path, ["--depot", tmp_path / "depot", "--julia-info", tmp_path / "julia.json", tmp_path / "app"]


def stale(saggar, arguments, status=1) -> dict[str, str]:
    return {p["name"]: p["reason"] for p in saggar.json("check", *arguments, status=status)["packages"] if not p["fresh"]}


def test_an_edit(saggar, many):
    packages, folder, arguments = many
    assert stale(saggar, arguments, status=0) == {}
    for chosen in packages[::13]:
        users = {p.name for p in packages if chosen.name in p.all}
        source = folder / "depot" / chosen.folder / "src/more.jl"
        before = source.read_text()
        source.write_text(before.replace("#", "%"))
        assert stale(saggar, arguments) == {chosen.name: "include_dependency fhash change"} | dict.fromkeys(users, "missing from the cache")
        source.unlink()
        assert stale(saggar, arguments)[chosen.name] == "missing sourcefile"
        source.write_text(before)
    assert stale(saggar, arguments, status=0) == {}


def test_a_lost_file(saggar, many):
    packages, folder, arguments = many
    chosen = packages[7]
    file = folder / "depot" / (chosen.stem + ".ji")
    file.unlink()
    found = stale(saggar, arguments)
    assert found.pop(chosen.name) == "no cache file"
    assert found == dict.fromkeys((p.name for p in packages if chosen.name in p.all), "missing from the cache")
    assert found


def test_why_and_ls_agree(saggar, many):
    packages, folder, arguments = many
    why = saggar.json("why", *arguments)
    assert len(why["packages"]) == len(why["files"]) == len(packages)
    assert {f["verdict"] for f in why["files"]} == {"fresh"}
    listed = saggar.json("ls", folder / "depot", "--sums")
    assert all(f["so_crc_holds"] and f["trouble"] is None for f in listed["files"]) and listed["leftovers"] == []
    assert len(listed["files"]) == len(packages) and by_name(why)[packages[3].name]["fresh"]


def test_several_depots(saggar, many, tmp_path):
    """Files and sources are found in any depot of the path; include()d files must all come from one."""
    packages, folder, arguments = many
    second = tmp_path / "second"
    chosen = packages[11]
    for part in (chosen.folder, f"compiled/v1.11/{chosen.name}"):
        (second / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / "depot" / part).rename(second / part)
    assert set(stale(saggar, arguments)) >= {chosen.name}
    assert stale(saggar, ["--depot", folder / "depot", "--depot", second, *arguments[2:]], status=0) == {}
    half = folder / "depot" / chosen.folder / "src"
    half.mkdir(parents=True)
    (second / chosen.folder / "src/more.jl").rename(half / "more.jl")
    found = stale(saggar, ["--depot", second, "--depot", folder / "depot", *arguments[2:]])
    assert found[chosen.name] == "wrong source"
    entry = f"src/{chosen.name}.jl"
    (folder / "depot" / chosen.folder / entry).hardlink_to(second / chosen.folder / entry)  # complete, and the very same file
    found = stale(saggar, ["--depot", second, "--depot", folder / "depot", *arguments[2:]])
    assert found[chosen.name] == "wrong source"
    assert stale(saggar, ["--depot", folder / "depot", "--depot", second, *arguments[2:]], status=0) == {}


def limited(saggar, *arguments) -> subprocess.CompletedProcess:
    """With 15 seconds of the processor, of which it needs one."""
    return subprocess.run([saggar.binary, "julia", *map(str, arguments)], capture_output=True, text=True, timeout=200,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (15, 15)))


def test_a_file_of_many_sources(saggar, tmp_path):
    """The time that a header takes grows with its length, and not with its square."""
    count = 200_000
    whole = Package(1, []).cache_file(b"")
    at = whole.index(text("Package0001")) + len(text("Package0001")) + 24 + 4
    lists = b"".join(text(f"/{i:07}") + struct.pack("<QIdi", 0, 0, -1.0, 0) for i in range(count)) + struct.pack("<iiQ", 0, 0, 0)
    head = whole[:at] + struct.pack("<Q", len(lists) + 8) + lists
    stored = b"".join(text(f"/{i:07}") + bytes(8) for i in reversed(range(count)))
    file = tmp_path / "compiled/v1.11/Package0001/x.ji"
    file.parent.mkdir(parents=True)
    file.write_bytes(head + struct.pack("<qii", len(head) + 16, 0, 0) + stored + bytes(12))
    done = limited(saggar, "ls", "--json", tmp_path)
    assert done.returncode == 1 and "its checksum is wrong" in done.stderr, (done.returncode, done.stderr)
    assert done.stdout.count('"source_stored": true') == count


def test_a_key_of_many_parts(saggar, many):
    """Text that would take minutes to read is refused; text that only has as many dots is not."""
    packages, folder, arguments = many
    project = folder / "app/Project.toml"
    rest = project.read_text()
    project.write_text("#" + "." * 5000 + "\n[x]\nx = [" + ", ".join(["1.5"] * 5000) + "]\n" + rest)
    assert limited(saggar, "check", *arguments).returncode == 0
    for key in ("{} = 1\n", "[{}]\nx = 1\n", "y = {{ {} = 1 }}\n", "y = {{ x = 1, {} = 1 }}\n"):
        project.write_text(key.format(".".join("a" * 200_000)) + rest)
        done = limited(saggar, "check", *arguments)
        assert done.returncode == 2 and "nested too deeply" in done.stderr, (key, done.returncode, done.stderr)
