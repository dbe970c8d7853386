"""The independent reader on the shared vectors, on the golden files and on malformed ones, and the library beside it.

Each malformed file is given to both; they must agree on every one, and on the list of entries of every good one. The library
is asked through the command, SAGGAR_BIN. The golden files are made again here, by a writer that also knows only the document:
SHA256SUMS shows that they are the same.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import reader  # noqa: E402

pytest.importorskip("xxhash", reason="the writer needs the package xxhash")
import golden  # noqa: E402
import malformed  # noqa: E402
import writer as w  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SUMS = dict(reversed(line.split()) for line in (ROOT / "tests/golden/SHA256SUMS").read_text().splitlines())
VECTORS = [
    line.split("\t") for line in (ROOT / "tests/vectors/values.tsv").read_text(encoding="utf-8").splitlines() if line[0] != "#"
]
FILES = {name: bytes(make()) for name, make in golden.GOLDEN.items()}
BINARY = os.environ.get("SAGGAR_BIN") or shutil.which("saggar")
needs_command = pytest.mark.skipif(not BINARY, reason="SAGGAR_BIN is not set")
needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="no command zstd")


@pytest.fixture
def saggar(tmp_path: Path) -> Callable[..., Any]:
    """Runs the command and gives its JSON; nothing of the user's is seen."""

    def run(*arguments: object) -> Any:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SAGGAR_IMAGE_PATH": "none", "SAGGAR_TRUST": str(tmp_path)}
        done = subprocess.run([str(BINARY), *map(str, arguments), "--json"], env=env, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    return run


def put(folder: Path, name: str, data: bytes) -> Path:
    """An image as a file, a core as a store of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".saggar"):
        (folder / name).write_bytes(data)
        return folder / name
    key = malformed.key_of(data)
    return put_at(folder / name, f"v1/{key[:2]}/{key}.0", data)


def put_at(store: Path, place: str, data: bytes) -> Path:
    (store / place).parent.mkdir(parents=True)
    (store / place).write_bytes(data)
    (store / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    return store


def read(path: Path, check: bool = True) -> tuple[list[dict[str, Any]], list[str]]:
    """What the reader finds: entries, and what is wrong."""
    found = list(reader.read_path(path, check))
    return [e for _, e in found if isinstance(e, dict)], [why for _, why in found if isinstance(why, str)]


# Values


@pytest.mark.parametrize("verdict", ["ok", "ECORRUPT", "ELIMIT"])
def test_vectors(verdict: str) -> None:
    chosen = [(name, bytes.fromhex(data)) for name, _, data, said in VECTORS if said == verdict]
    assert len(chosen) >= 2
    for name, data in chosen:
        try:
            reader.decode(data)
            said = "ok"
        except ValueError:
            said = "damaged"
        assert (said == "ok") == (verdict == "ok"), name


def test_vectors_are_what_the_writer_writes() -> None:
    made = {"Map": w.unordered, "Record": lambda name, pairs: w.record(name, **dict(pairs)), "Digest": w.digest}
    known = [v for v in VECTORS if v[1] != "-" and "np." not in v[1] and "append" not in v[1] and "update" not in v[1]]
    assert len(known) > 50
    for name, expression, data, _ in known:
        assert w.encode(eval(expression, {"saggar": SimpleNamespace(**made)})).hex() == data, name


def test_every_cut_and_every_tail_is_refused() -> None:
    for name, _, data, verdict in VECTORS:
        raw = bytes.fromhex(data)
        for changed in [raw[:i] for i in range(len(raw))] + [raw + b"\0"] if verdict == "ok" and len(raw) < 400 else []:
            with pytest.raises(ValueError):
                pytest.fail(f"{name}: {reader.decode(changed)}")


# Golden files


def test_golden_sums() -> None:
    assert {name: sha256(data).hexdigest() for name, data in FILES.items()} == SUMS


@pytest.mark.parametrize("name", SUMS)
def test_golden_files_check(name: str, tmp_path: Path) -> None:
    entries, wrong = read(put(tmp_path, name, FILES[name]))
    assert not wrong
    assert len(entries) == {"empty.saggar": 0, "many.saggar": 700, "some.saggar": 4}.get(name, 1)
    assert not reader.NOT_DONE


def test_everything_in_a_full_entry(tmp_path: Path) -> None:
    ((e,), _) = read(put(tmp_path, "full.entry", FILES["full.entry"]))
    assert (e["group"], e["arch"], e["abi"], e["provenance"]) == (("cc", "module", "f.<locals>.g"), "aarch64", "linux-gnu", 2)
    assert (e["bits"], e["extra"]) == (golden.feature_set(0, 63, 232), ("aa-new", "zz-new"))
    assert (e["symbols"], e["libraries"]) == (("exit", "puts"), [("GLIBC", "2.34"), ("GLIBCXX", "3.4.30")])
    assert [number for number, _ in e["dependencies"]] == [1, 2, 3, 4]
    assert e["parts"] == {"empty": 0, "meta": 1, "object": 5000}
    assert list(e["recipe"]) == ["adapter", "compiler", "source", "options", "scalars", "containers", "arrays"]
    scalars = [None, False, True, -1, -(2**64), ("float", 1 << 63), ("complex", tuple(struct.unpack("<QQ", struct.pack("<2d", 1.5, -2))))]
    scalars += [b"\0\xff", "\U0001f3fa\ud800", ("digest", ("file", golden.SHA)), ("back reference", 0)]
    assert e["recipe"]["scalars"] == ("list", tuple(scalars))
    assert [kind for kind, _ in e["recipe"]["containers"].items] == list(reader.CONTAINERS.values())


@needs_command
@pytest.mark.parametrize("name", SUMS)
def test_golden_lists_agree(name: str, tmp_path: Path, saggar: Callable[..., Any]) -> None:
    path = put(tmp_path, name, FILES[name])
    entries, _ = read(path)
    listed = saggar("ls", path)
    assert [(e["key"], e["identity"], e["bytes"], e["group"]) for e in listed] == [
        (e["key"].hex(), e["identity"].hex(), e["size"], ":".join(e["group"] or ())) for e in entries
    ]
    assert saggar("check", path)["findings"] == []
    for e in entries[:5]:
        shown = [s for s in saggar("show", "--in", path, e["key"].hex()) if s["entry"]["identity"] == e["identity"].hex()]
        assert [{part["name"]: part["bytes"] for part in s["parts"]} for s in shown] == [e["parts"]]
        assert list(shown[0]["recipe"]) == list(e["recipe"])
        assert len(shown[0]["dependencies"]) == len(e["dependencies"])


def test_the_program(tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "tests/format/reader.py")]
    image, entry = put(tmp_path, "some.saggar", FILES["some.saggar"]), put(tmp_path, "full.entry", FILES["full.entry"])
    lines = subprocess.run([*program, "--check", image, entry], capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines) and len(lines) == 5
    assert '["aarch64", "linux-gnu", "declared", 0, 63, 232, "aa-new", "zz-new"] {"empty": 0, "meta": 1, "object": 5000}' in lines[0]
    answer = json.loads(subprocess.run([*program, "--json", image], capture_output=True, check=True).stdout)
    assert (len(answer["entries"]), answer["wrong"], answer["not_done"]) == (4, [], [])
    image.write_bytes(FILES["some.saggar"][:-1])
    damaged = subprocess.run([*program, "--check", image], capture_output=True, text=True)
    assert (damaged.returncode, damaged.stdout) == (1, "") and str(image) in damaged.stderr
    assert subprocess.run([*program, "--unknown"], capture_output=True).returncode == 2
    assert len(Path(program[1]).read_text().splitlines()) < 400


def test_without_xxhash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "xxhash", None)
    monkeypatch.setattr(reader, "NOT_DONE", set())
    entries, wrong = read(put(tmp_path, "some.saggar", FILES["some.saggar"]))
    assert (len(entries), wrong, len(reader.NOT_DONE)) == (4, [], 1)
    flipped = FILES["some.saggar"][:-64] + b"\xff" + FILES["some.saggar"][-63:]
    assert len(read(put(tmp_path, "flipped.saggar", flipped))[1]) == 1


@needs_zstd
def test_without_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "e", dict(malformed.rare_compressed())["section 3 compressed"])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(reader, "NOT_DONE", set())
    entries, wrong = read(path)
    assert (len(entries), wrong, reader.NOT_DONE) == (1, [], {"zstd: no command zstd"})


# Rare and malformed files, and the library's word on them


def agree(saggar: Callable[..., Any] | None, folder: Path, files: Iterable[malformed.Named], image: bool) -> dict[str, bool]:
    """Whether the reader accepts each file; with the command, that it says the same."""
    named = list(files)
    assert len({name for name, _ in named}) == len(named)
    paths = [put(folder, f"{i}.saggar" if image else f"{i}.entry", data) for i, (_, data) in enumerate(named)]
    mine = [not read(path)[1] for path in paths]
    for start in range(0, len(paths) if saggar else 0, 100):
        findings = saggar("check", *paths[start : start + 100])["findings"]
        damaged = {Path(f["path"]).relative_to(folder).parts[0] for f in findings}
        for i, path in enumerate(paths[start : start + 100], start):
            assert mine[i] == (path.name not in damaged), (named[i][0], read(path)[1], [f for f in findings if path.name in f["path"]])
    return {name: verdict for (name, _), verdict in zip(named, mine)}


RARE = {"entries": malformed.rare_entries, "images": malformed.rare_images, "compressed": malformed.rare_compressed}
FORGED = {"entries": malformed.forged_entries, "images": malformed.forged_images, "compressed": malformed.forged_compressed}
DAMAGED = {"entries": malformed.damaged_entries, "images": malformed.damaged_images}


@pytest.mark.parametrize("kind", RARE)
def test_rare_files_are_accepted(kind: str, tmp_path: Path) -> None:
    assert [name for name, verdict in agree(None, tmp_path, RARE[kind](), kind == "images").items() if not verdict] == []


@pytest.mark.parametrize("kind", FORGED)
def test_forged_files_are_refused(kind: str, tmp_path: Path) -> None:
    assert [name for name, verdict in agree(None, tmp_path, FORGED[kind](), kind == "images").items() if verdict] == []


@needs_command
@pytest.mark.parametrize("kind", RARE)
def test_library_agrees_on_rare_and_forged_files(kind: str, tmp_path: Path, saggar: Callable[..., Any]) -> None:
    agree(saggar, tmp_path, [*RARE[kind](), *FORGED[kind]()], kind == "images")


@needs_command
@pytest.mark.parametrize("kind", DAMAGED)
def test_library_agrees_on_damaged_files(kind: str, tmp_path: Path, saggar: Callable[..., Any]) -> None:
    verdicts = agree(saggar, tmp_path, ((f"{i} {name}", data) for i, (name, data) in enumerate(DAMAGED[kind](100))), kind == "images")
    assert 0 < sum(verdicts.values()) < len(verdicts)


def test_damage_does_not_touch_its_neighbours(tmp_path: Path) -> None:
    image = bytearray(FILES["many.saggar"])
    first = struct.unpack_from("<Q", image, 88)[0]
    image[first + 40 * 1024] ^= 1
    entries, wrong = read(put(tmp_path, "part.saggar", bytes(image)))
    assert (len(entries), len(wrong)) == (699, 1)
    image = bytearray(FILES["many.saggar"])
    image[struct.unpack_from("<Q", image, 48)[0] + 600 * 128] ^= 1
    entries, wrong = read(put(tmp_path, "block.saggar", bytes(image)))
    assert 400 < len(entries) < 699 and len(wrong) == 1


# Store files

FULL = FILES["full.entry"]
KEY = FULL[32:64].hex()
ANNEX = w.annex(seconds=1.5, published=1700000000, host="h", pid=1, by="x")
PLACES = {  # whether an entry of this key lies there: yes, no, damaged
    f"{KEY[:2]}/{KEY}.0": (1, 0), f"{KEY[:2]}/{KEY}.f": (1, 0), f"{KEY[:2]}/{KEY}.g": (0, 0), f"{KEY[:2]}/{KEY}.00": (0, 0),
    f"{KEY[:2]}/{KEY.upper()}.0": (0, 0), f"00/{KEY}.0": (0, 0), f"{KEY[:2]}/.tmp-x": (0, 0), f"{KEY[:2]}/{KEY}": (0, 0),
    f"{KEY[:2]}/{KEY[:-1]}{'1' if KEY[-1] == '0' else '0'}.0": (0, 1), f"00/{'0' * 64}.0": (0, 1),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_names_in_a_store(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = put_at(tmp_path / "store", f"v1/{place}", FULL)
    entries, wrong = read(store)
    assert (len(entries), len(wrong)) == PLACES[place]
    if BINARY:
        assert len(request.getfixturevalue("saggar")("check", store)["findings"]) == PLACES[place][1]


def test_order_of_slots(tmp_path: Path) -> None:
    """By identity, whatever the slots say."""
    both = sorted([golden.variant(0)[0], golden.variant(0, 1)[0]], key=lambda core: core[64:96], reverse=True)
    key = both[0][32:64].hex()
    folder = tmp_path / "store/v1" / key[:2]
    folder.mkdir(parents=True)
    for slot, core in enumerate(both):
        (folder / f"{key}.{slot}").write_bytes(core)
    program = [sys.executable, str(ROOT / "tests/format/reader.py"), str(tmp_path / "store")]
    lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [line.split()[1] for line in lines] == [core[64:96].hex() for core in reversed(both)]


@pytest.mark.parametrize(
    "tail, wanted",
    {
        "none": (b"", None), "annex": (ANNEX, {"published": 1700000000, "pid": 1}), "nothing in it": (w.annex(), {}), "cut": (ANNEX[:-1], None),
        "longer": (ANNEX + b"\0", None), "flipped": (ANNEX[:40] + b"\xff" + ANNEX[41:], None), "magic": (b"X" + ANNEX[1:], None),
        "reserved": (ANNEX[:12] + b"\1" + ANNEX[13:], None), "zeros": (bytes(64), None), "unknown key": (w.annex(pid=1, more=[]), {"pid": 1}),
    }.values(),
)  # fmt: skip
def test_annex(tail: bytes, wanted: dict[str, Any] | None, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A damaged annex is as none, and not the entry's fault."""
    store = put_at(tmp_path / "store", f"v1/{KEY[:2]}/{KEY}.0", FULL + tail)
    ((entry,), wrong) = read(store)
    assert not wrong and (entry["annex"] is None) == (wanted is None)
    assert {k: v for k, v in (entry["annex"] or {}).items() if k in ("published", "pid")} == (wanted or {})
    if BINARY:
        saggar = request.getfixturevalue("saggar")
        assert saggar("check", store)["findings"] == []
        assert saggar("ls", store)[0]["published"] == (wanted or {}).get("published")
