"""What `ls` reads from headers is what Julia and an independent reader read; a changed field makes a file stale for that reason."""
from __future__ import annotations

import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from conftest import crc32c, questions
from test_verdicts import by_name, relative

LEAF = "compiled/v1.11/Leaf/Z6f2r_DBYQh.ji"


def check_header(ours: dict, theirs: dict) -> None:
    header = theirs["header"]
    assert (ours["format"], ours["pointer_size"]) == (header["format"], header["pointer_size"])
    for key in ("uname", "arch", "git_branch", "git_commit"):
        assert ours[key] == header[key]
    assert ours["julia"] == header["version"]
    assert ours["header_size"] == header["header_size"]
    assert ours["checksum"] == header.get("checksum", "0x" + 16 * "0")


def check_lists(ours: dict, theirs: dict) -> None:
    assert ours["flags"] == theirs.get("flags", {"byte": "0x00"})["byte"]
    for key in ("provides", "required_modules"):
        assert ours[key] == [{k: m[k] for k in ("name", "uuid", "build_id")} for m in theirs[key]]
    assert ours["requires"] == theirs["requires"]
    assert ours["preferences"] == theirs.get("preferences", [])
    assert ours["preferences_hash"] == theirs.get("preferences_hash", "0x" + 16 * "0")
    assert [(i["path"], i["mtime"]) for i in ours["includes"]] == [(i["path"], i["mtime"]) for i in theirs["includes"]]
    if "fsize" in theirs["includes"][0]:
        assert [(i["size"], i["crc32c"]) for i in ours["includes"]] == [(i["fsize"], i["crc32c"]) for i in theirs["includes"]]
        assert {i["path"] for i in ours["includes"] if i["source_stored"]} == set(theirs["srctext_files"])
    targets = [{k: t[k] for k in ("name", "flags", "enabled", "disabled")} for t in ours["targets"]]
    assert targets == [{k: t[k] for k in ("name", "flags", "enabled", "disabled")} for t in theirs.get("clone_targets", [])]


@pytest.mark.parametrize("name", questions())
def test_ls(saggar, case, name):
    made = case(name)
    found = saggar.json("ls", "--sums", made.depot, status=None)
    files = {str(Path(f["file"]).relative_to(made.depot)): f for f in found["files"]}
    recorded = {f["file"]: f for f in made.expected["files"]}
    assert files.keys() == recorded.keys()
    for path, theirs in recorded.items():
        ours = files[path]
        assert ours["bytes"] == theirs["size"]
        whole = theirs["size"] > 400 and "magic" not in name
        if whole:
            check_header(ours, theirs)
            assert ours["crc"] == theirs["trailer_file_crc"]
            assert ours["crc_holds"] == (theirs["actual_file_crc"] == theirs["trailer_file_crc"])
        if "provides" in theirs:
            check_lists(ours, theirs)
        if theirs.get("so") and whole:
            assert ours["so"].endswith(theirs["so"]) and ours["so_bytes"] == theirs["so_size"]
            assert ours["so_crc_holds"] == (theirs["so_crc32c"] == theirs["trailer_so_crc"])
    damaged = [f for f in files.values() if f["trouble"] is not None]
    assert saggar.status == (1 if damaged else 0)
    assert bool(damaged) == ("e-corrupt" in name and "flags" not in name) or "flipped" in name


def test_leftovers(saggar, case):
    made = case("l-leftovers/expected.json")
    left = saggar.json("ls", made.depot)["leftovers"]
    assert {Path(f["file"]).name.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"): f["what"] for f in left} == {
        "Bsfoj_aXxxC.ji.": "a lock file", "jl_": "a file that a killed build was writing"}
    made = case("l-orphan-so/expected.json", to="orphan")
    [orphan] = saggar.json("ls", made.depot)["leftovers"]
    assert orphan["what"] == "machine code without its .ji"
    assert "left over: " in saggar("ls", made.depot)


# ---- One field changed ----


class Parts:
    """A .ji of 1.11 taken apart at its fixed header; put together again with a right checksum."""

    def __init__(self, data: bytes) -> None:
        assert data[:8] == b"\xfbjli\r\n\x1a\n"
        self.format, self.bom, self.pointers = struct.unpack_from("<HHB", data, 8)
        *texts, rest = data[13:].split(b"\0", 5)
        self.uname, self.arch, self.version, self.branch, self.commit = texts
        self.image, self.checksum, self.start, self.end, self.flags = struct.unpack_from("<BQqqB", rest)
        self.body = rest[26:-4]
        self.before = len(data) - len(rest)

    def whole(self) -> bytes:
        head = b"\xfbjli\r\n\x1a\n" + struct.pack("<HHB", self.format, self.bom, self.pointers)
        head += b"".join(t + b"\0" for t in (self.uname, self.arch, self.version, self.branch, self.commit))
        body = self.body
        data = head + struct.pack("<BQqqB", self.image, self.checksum, self.start, self.end, self.flags) + body
        return data + struct.pack("<I", crc32c(data))


def edit(path: Path, **fields: object) -> None:
    parts = Parts(path.read_bytes())
    assert parts.whole() == path.read_bytes()
    for key, value in fields.items():
        assert hasattr(parts, key)
        setattr(parts, key, value)
    stat = os.stat(path)
    path.write_bytes(parts.whole())
    os.utime(path, (stat.st_atime, stat.st_mtime))


def leaf(saggar, made) -> dict:
    [file] = [f for f in saggar.json("why", *made.arguments())["files"] if relative(made, f["file"]) == LEAF]
    return file


@pytest.mark.parametrize("field, value, reason, says", [
    ("format", 11, "incompatible header", "format 11"),
    ("format", 13, "incompatible header", "format 13 of Julia 1.11.7 is not known"),
    ("bom", 0xFFFE, "incompatible header", "byte order"),
    ("pointers", 4, "incompatible header", "pointers of 4 bytes"),
    ("uname", b"Darwin", "incompatible header", 'system "Darwin" in the file, "Linux" here'),
    ("arch", b"aarch64", "incompatible header", 'architecture "aarch64"'),
    ("version", b"1.11.6", "incompatible header", 'Julia "1.11.6" in the file, "1.11.7" here'),
    ("version", b"1.14.0", "incompatible header", 'Julia "1.14.0" in the file'),
    ("branch", b"HEAD", "incompatible header", 'git branch "HEAD"'),
    ("commit", b"f2b3dbda30a", "incompatible header", 'git commit "f2b3dbda30a"'),
    ("image", 1, "incompatible header", "machine code"),
    ("checksum", 0, "incompatible header", ""),
    ("flags", 0xA2, "mismatched flags", "use_pkgimages=false"),
    ("flags", 0xA1, "mismatched flags", "debug_level=0"),
    ("flags", 0xAB, "mismatched flags", "check_bounds=1"),
    ("flags", 0x83, "mismatched flags", "inline=false"),
    ("flags", 0x63, "mismatched flags", "opt_level=1"),
])
def test_one_field(saggar, case, field, value, reason, says):
    made = case("d-changed/untracked-file/expected.json")
    edit(made.depot / LEAF, **{field: value})
    file = leaf(saggar, made)
    assert (file["verdict"], file["reason"]) == ("stale", reason)
    assert says in file["detail"]
    found = by_name(saggar.json("check", *made.arguments(), status=1))
    assert found["Leaf"]["reason"] == reason and found["Toy"]["reason"] == "missing from the cache"


def replaced(made, old: bytes, new: bytes) -> dict:
    """One place of the body changed, of the same length."""
    path = made.depot / LEAF
    body = Parts(path.read_bytes()).body
    assert body.count(old) == 1 and len(old) == len(new)
    return {"body": body.replace(old, new)}


def uuid_words(text: str) -> bytes:
    digits = text.replace("-", "")
    return struct.pack("<QQ", int(digits[:16], 16), int(digits[16:], 16))


@pytest.mark.parametrize("old, new, verdict", [
    (b"\x04\0\0\0Leaf" + uuid_words("11111111-2222-4333-8444-555566667777"),
     b"\x04\0\0\0Leaf" + uuid_words("11111111-2222-4333-8444-555566667778"), ("stale", "for different pkgid")),
    (b"\x04\0\0\0Leaf" + uuid_words("11111111-2222-4333-8444-555566667777"),
     b"\x04\0\0\0Loaf" + uuid_words("11111111-2222-4333-8444-555566667777"), ("stale", "for different pkgid")),
    (struct.pack("<QI", 318, 0xF8B9BE55), struct.pack("<QI", 319, 0xF8B9BE55), ("stale", "include_dependency fsize change")),
    (struct.pack("<QI", 318, 0xF8B9BE55), struct.pack("<QI", 318, 0xF8B9BE54), ("stale", "include_dependency fhash change")),
    (struct.pack("<QId", 7, 0xBAEEEB40, -1.0), struct.pack("<QId", 7, 0xBAEEEB40, 1.5), ("stale", "include_dependency mtime change")),
    (struct.pack("<QId", 7, 0xBAEEEB40, -1.0), struct.pack("<QId", 7, 0xBAEEEB40, 1709618828.0), ("fresh", "")),
    (struct.pack("<QQ", 0xFDFCFBFA366EC855, 0xFADCDBBEEE4E3856), struct.pack("<QQ", 0xFDFCFBFA366EC855, 0xFADCDBBEEE4E3857),
     ("stale", "wrong julia version")),
    (struct.pack("<QQ", 0xFDFCFBFA366EC855, 0xB702481FAAE9E09C), struct.pack("<QQ", 0xFDFCFBFA366EC856, 0xB702481FAAE9E09C),
     ("stale", "wrong dep version loaded")),
    (uuid_words("9a3f8284-a2c9-5f02-9a11-845980a1fd5c"), uuid_words("9a3f8284-a2c9-5f02-9a11-845980a1fd5d"),
     ("stale", "dep missing source")),
    (b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x20\0\0", b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x20\0\x40", ("stale", "target mismatch")),
    (b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x20\0\0", b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x20\0\x20", ("fresh", "")),
])
def test_one_entry(saggar, case, old, new, verdict):
    made = case("d-changed/untracked-file/expected.json")
    edit(made.depot / LEAF, **replaced(made, old, new))
    file = leaf(saggar, made)
    assert (file["verdict"], file["reason"]) == verdict, file["detail"]


@pytest.mark.parametrize("half", ["low", "high"])
def test_another_build(saggar, case, half):
    """By itself such a file is good, as Julia says too; those that were compiled against the other build are not."""
    made = case("d-changed/untracked-file/expected.json")
    body = Parts((made.depot / LEAF).read_bytes()).body
    at = body.index(b"Leaf") + 4 + 16
    if half == "low":
        edit(made.depot / LEAF, body=body[:at] + bytes.fromhex("aabbccdd") + body[at + 4:])
    else:
        edit(made.depot / LEAF, checksum=0xFAFBFCFD00000001)
    assert leaf(saggar, made)["verdict"] == "fresh"
    found = by_name(saggar.json("check", *made.arguments(), status=1))
    assert found["Leaf"]["fresh"] and found["Toy"]["reason"] == "missing from the cache"


def test_lists_that_cannot_be(saggar, case):
    """Numbers within the lists that contradict each other, behind a right checksum: Julia raises an exception."""
    made = case("d-changed/untracked-file/expected.json")
    whole = Parts((made.depot / LEAF).read_bytes()).body
    total = whole.index(b"Leaf") + 4 + 24 + 4
    first = whole.index(b"@depot/") - 4
    by = first + 4 + struct.unpack_from("<i", whole, first)[0] + 20
    for at, value in ((total, 1), (total, 0xFFFFFFFF), (first, 0x80000000), (by, 2), (by, 0xFFFFFFFF)):
        edit(made.depot / LEAF, body=whole[:at] + struct.pack("<I", value) + whole[at + 4:])
        file = leaf(saggar, made)
        assert (file["verdict"], file["reason"]) == ("throws", "corrupt header")
        edit(made.depot / LEAF, body=whole)
    assert leaf(saggar, made)["verdict"] == "fresh"
    toy = made.depot / "compiled/v1.11/Toy/jjhhA_DBYQh.ji"
    whole = Parts(toy.read_bytes()).body
    by = whole.index(b"\x11\x11\x11\x11Leaf") + 8 + 20
    assert struct.unpack_from("<i", whole, by) == (1,)
    edit(toy, body=whole[:by] + struct.pack("<I", 2) + whole[by + 4:])
    assert by_name(saggar.json("check", *made.arguments(), status=1))["Toy"]["reason"] == "corrupt header"


def test_changed_environment(saggar, case):
    """What the project says decides too: another UUID for a dependency, other preferences, an unknown hash."""
    made = case("d-changed/untracked-file/expected.json", to="uuid")
    manifest = made.project / "Manifest.toml"
    manifest.write_text(manifest.read_text().replace('deps = ["Leaf", "SHA"]\n', 'deps = ["SHA"]\n'))
    found = by_name(saggar.json("check", *made.arguments(), status=1))
    assert found["Toy"]["reason"] == "dep uuid changed"
    made = case("a-fresh/expected.json", to="preferences")
    project = made.project / "Project.toml"
    before = project.read_text()
    for change, reason in (('threads = 5', "preferences hash mismatch"),
                           ('threads = [4]', "undecided: a preference that is a list or a table"),
                           ('threads = 4.0', ""), ('threads = 4\nother = 1', "")):
        project.write_text(before.replace("threads = 4", change))
        found = by_name(saggar.json("check", *made.arguments(), status=1 if reason else 0))
        assert found["Pref"]["reason"] == reason
    project.write_text(before)
    local = made.project / "LocalPreferences.toml"
    for text, reason in (('[Pref]\nthreads = 5\n', "preferences hash mismatch"), ('[Pref]\n__clear__ = ["threads"]\n',
                         "preferences hash mismatch"), ('[Other]\nthreads = 5\n', "")):
        local.write_text(text)
        found = by_name(saggar.json("check", *made.arguments(), status=1 if reason else 0))
        assert found["Pref"]["reason"] == reason
    project.write_text(before.replace("[preferences.Pref]", "[preferences.Nobody]"))
    local.write_text('[Pref]\nbackend = "fast"\nthreads = 4\ndebug = true\nratio = 0.5\n')
    assert by_name(saggar.json("check", *made.arguments()))["Pref"]["fresh"]


def test_targets(saggar, case, recorded):
    """Code for a named processor: that of the session, another one, and one that has too little."""
    made = case("d-changed/untracked-file/expected.json")
    old, new = b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x20\0\0", b"\x01\0\0\0\0\0\0\0\x0b\0\0\0\0\x30\0\x10"  # avx, fma
    edit(made.depot / LEAF, **replaced(made, old, new))
    assert saggar.json("ls", made.depot)["files"][0]["targets"][0]["features"] == "fma cx16 avx"
    assert leaf(saggar, made)["verdict"] == "fresh"
    for target, reason in (("x86-64-v2", "target mismatch"), ("x86-64-v3", ""), ("x86-64-v3,-fma", "target mismatch")):
        file = [f for f in saggar.json("why", "--target", target, *made.arguments())["files"] if relative(made, f["file"]) == LEAF][0]
        assert file["reason"] == reason
    words = json.loads((recorded / "cpu-sessions.json").read_text())
    for session, reason in ((words[0], ""), (words[1], "target mismatch")):
        made.answer.write_text(json.dumps({**made.expected, "julia": {**made.julia, "session_targets": session["session_targets"]}}))
        assert leaf(saggar, made)["reason"] == reason
    saggar("check", "--target", "pentium99", *made.arguments(), status=2)
    assert "pentium99" in saggar.err


def test_several_candidates(saggar, case):
    """The newest file that is good is loaded; one that Julia cannot read at all spoils them all."""
    made = case("d-changed/untracked-file/expected.json")
    stem = made.depot / LEAF
    for name, age in (("Z6f2r_older.ji", 100), ("Z6f2r_newer.ji", -100)):
        for end in (".ji", ".so"):
            copy = stem.with_name(name).with_suffix(end)
            copy.write_bytes(stem.with_suffix(end).read_bytes())
            time = os.stat(stem).st_mtime - age
            os.utime(copy, (time, time))
    found = by_name(saggar.json("check", *made.arguments()))
    assert found["Leaf"]["file"].endswith("Z6f2r_newer.ji")
    newer = stem.with_name("Z6f2r_newer.so")
    newer.write_bytes(newer.read_bytes()[:-1])
    assert by_name(saggar.json("check", *made.arguments()))["Leaf"]["file"].endswith(LEAF)
    older = stem.with_name("Z6f2r_older.ji")
    older.write_bytes(older.read_bytes()[:300])
    found = by_name(saggar.json("check", *made.arguments(), status=1))
    assert found["Leaf"]["reason"] == found["Toy"]["reason"] == "EOFError: read end of file"


def test_nothing_is_written(saggar, case):
    """A read-only copy answers alike, and no time stamp moves."""
    made = case("a-fresh/expected.json")
    before = {p: os.stat(p).st_mtime_ns for p in made.folder.rglob("*")}
    trace = made.folder.parent / "trace"
    done = subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=openat,open,creat,unlink,rename,utimensat,mkdir,link,symlink",
                           saggar.binary, "julia", "check", *made.arguments()], capture_output=True,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # which strace is in the way of
    assert done.returncode == 0, done.stderr
    assert {p: os.stat(p).st_mtime_ns for p in made.folder.rglob("*")} == before
    for line in trace.read_text().splitlines():
        assert "O_WRONLY" not in line and "O_RDWR" not in line and "O_CREAT" not in line
        assert not any(call in line for call in ("unlink(", "rename(", "utimensat(", "mkdir(", "link(", "creat("))
