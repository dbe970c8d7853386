"""Saggar's verdicts are those of real Julia, file by file and package by package, with their reasons."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conftest import questions, sha256, sums

ASIDE = ("Unable to resolve @depot tag", "At least one include() file")  # lines of Julia's that are no verdict


def relative(case, path: str | None) -> str | None:
    """A path of ours as it is recorded."""
    return None if path is None else str(Path(path).relative_to(case.depot.resolve()))


def verdict_lines(lines: list[str]) -> list[str]:
    """The lines in which Julia says why; the package is not always named in them."""
    return [without_package(line) for line in lines if not line.startswith(ASIDE)]


def without_package(line: str) -> str:
    return re.sub(r'PkgId\((UUID\("[0-9a-f-]+"\), "\w+"|nothing, "")\)', "PKG", line)


def same_line(ours: str, theirs: str) -> bool:
    """Ours may say more in parentheses."""
    return ours != "" and without_package(ours).partition(" (Julia ")[0].startswith(theirs)


def check_file(ours: dict, theirs: dict) -> None:
    verdict = theirs["verdict"]
    word = verdict["stale_cachefile"].split(":")[0]
    assert ours["verdict"] == word, (ours, verdict)
    assert ours["source"] == verdict["located_source"]
    assert (ours["name"], ours["uuid"]) == (verdict["package"]["name"], verdict["package"]["uuid"])
    if "reason" in verdict:
        assert ours["reason"] == verdict["reason"]
    if word == "throws":
        assert ours["reason"] == verdict["exception"]
    if word == "not asked":
        assert ours["reason"] == "no source"
    assert (word == "fresh") == (ours["reason"] == "")
    if word == "stale":
        [line] = verdict_lines(verdict["debug"])
        assert same_line(ours["detail"], line), (ours["detail"], line)


def check_package(case, ours: dict, theirs: dict, files: list[dict]) -> None:
    assert ours["fresh"] is (theirs["isprecompiled"] is True)
    assert relative(case, ours["file"]) == theirs["julia_would_load"]
    assert [relative(case, c) for c in ours["candidates"]] == theirs["candidates_in_julia_order"]
    for ours_key, theirs_key in (("source", "located_source"), ("would_write", "would_write"), ("pidfile", "pidfile")):
        assert ours[ours_key] == theirs[theirs_key]
    if isinstance(theirs["isprecompiled"], str):
        assert theirs["isprecompiled"] == f"throws: {ours['reason']}"
    elif ours["fresh"]:
        assert ours["reason"] == ""
    elif not ours["candidates"]:
        assert ours["reason"] == "no cache file"
    elif ours["reason"] != "missing from the cache":  # Julia says it of each file; we say that of the first one here
        assert same_line(ours["detail"], verdict_lines(theirs["isprecompiled_debug"])[0])
    else:  # what Julia prints then is about a dependency
        [line] = verdict_lines(theirs["isprecompiled_debug"])
        assert any(same_line(f["detail"], line) for f in files if f["name"] != ours["name"])


def check_all(saggar, case) -> None:
    """Everything that is recorded about a case."""
    found = saggar.json("why", *case.arguments())
    files = {relative(case, f["file"]): f for f in found["files"]}
    packages = {p["name"]: p for p in found["packages"]}
    theirs = {f["file"]: f for f in case.expected["files"]}
    assert files.keys() == theirs.keys()
    for name, file in theirs.items():
        check_file(files[name], file)
    recorded = {p["name"]: p for p in case.expected.get("packages", ())}
    if recorded:
        assert packages.keys() == recorded.keys()
    for name, package in recorded.items():
        check_package(case, packages[name], package, found["files"])
    own = {p["name"]: p for p in packages.values() if p["wanted"]}
    stale = [p for p in own.values() if not p["fresh"]]
    checked = saggar.json("check", *case.arguments(), status=1 if stale else 0)["packages"]
    assert [p["name"] for p in checked] == [p["name"] for p in packages.values() if p["wanted"]]
    for p in checked:
        assert p == {k: own[p["name"]][k] for k in ("name", "uuid", "fresh", "file", "reason", "detail")}


def test_recorded_files_are_whole(recorded):
    assert {str(p.relative_to(recorded)): sha256(p) for p in recorded.rglob("*") if p.is_file()} == sums()


@pytest.mark.parametrize("name", questions())
def test_verdicts(saggar, case, name):
    check_all(saggar, case(name))


@pytest.mark.parametrize("name", questions())
def test_moved_and_renamed(saggar, case, name):
    check_all(saggar, case(name, to="somewhere else/ünï/x" * 3))


def test_all_kinds_are_there():
    """A guard over the tests themselves: nothing of what was recorded is left out."""
    assert len(questions()) == 44


def by_name(found) -> dict[str, dict]:
    return {p["name"]: p for p in found["packages"]}


def test_a_dependency_that_is_stale(saggar, case):
    for name in ("included-same-size", "included-other-size", "included-missing", "data-same-size", "data-missing"):
        made = case(f"d-changed/{name}/expected.json", to=name)
        found = by_name(saggar.json("check", *made.arguments(), status=1))
        log = (made.folder / "load.log").read_text()
        assert found["Toy"]["reason"] == "missing from the cache"
        assert found["Toy"]["detail"] in log.replace("Base.", "")


@pytest.mark.parametrize("name", [q for q in questions() if q.endswith("/expected.json") and q.replace("expected.json", "load.log") in sums()])
def test_a_real_using(saggar, case, name):
    """What a real `using` loaded is what we would load; what it rejected is not."""
    made = case(name)
    log = (made.folder / "load.log").read_text()
    found = by_name(saggar.json("check", *made.arguments(), status=None))
    loaded = re.findall(r"Loading object cache file /srv/depot/(\S+)\.so for (\w+) ", log)
    for file, package in loaded:
        assert found[package]["fresh"] and relative(made, found[package]["file"]) == f"{file}.ji"
    for path in re.findall(r"Rejecting (?:stale )?cache file /srv/depot/(\S+) ", log):
        assert path not in [relative(made, p["file"]) for p in found.values()]
    assert loaded or not any(p["fresh"] for p in found.values() if p["name"] in log)


def test_for_the_place_where_it_lies_now(saggar, case):
    """A depot that was moved stays good where paths are relative to it, and nowhere else."""
    made = case("a-fresh/expected.json", to="moved")
    saggar.json("check", "--here", *made.arguments())
    made = case("a-named-root/expected.json", to="moved root")
    found = by_name(saggar.json("check", "--here", *made.arguments(), status=1))
    assert found["Leaf"]["fresh"] and found["Demo"]["reason"] == "wrong source"
    made = case("v1.5.3-fresh/expected.json", to="moved 1.5.3")
    found = by_name(saggar.json("check", "--here", *made.arguments(), status=1))
    assert found["Leaf"]["reason"] == "wrong source"


def test_1_5_packages(saggar, case):
    """Of 1.5.3 the answers about files are recorded; a package needs its dependencies besides."""
    wanted = {"fresh": (True, True), "touched": (False, False), "moved": (False, False)}
    for name, (leaf, toy) in wanted.items():
        made = case(f"v1.5.3-{name}/expected.json", to=name)
        found = by_name(saggar.json("check", *made.arguments(), status=None))
        assert (found["Leaf"]["fresh"], found["Toy"]["fresh"]) == (leaf, toy)
        why = by_name(saggar.json("why", *made.arguments()))
        for written in made.expected["would_write"]:
            assert why[written["name"]]["would_write"] == written["path"]
    assert found.keys() == {"Leaf", "Toy"}


def test_an_extension_without_its_trigger(saggar, case):
    made = case("j-extension/expected-app2-no-trigger.json")
    assert list(by_name(saggar.json("check", *made.arguments()))) == ["Trig"]
    why = by_name(saggar.json("why", *made.arguments()))
    assert not why["LeafTrigExt"]["wanted"] and why["LeafTrigExt"]["reason"] == "dep missing source"


def test_text(saggar, case):
    made = case("b-touched/expected.json")
    table = saggar("check", *made.arguments(), status=1)
    assert "Mtim         no     include_dependency mtime change" in table
    assert "6 packages: 1 would be compiled" in table
    text = saggar("why", *made.arguments(), "Mtim")
    assert "has changed (mtime 1.735787045e9, before 1.709618828e9)" in text and "Leaf" not in text
    saggar("why", *made.arguments(), "Nothing", status=2)
    assert "Nothing: no package of this project" in saggar.err


@pytest.mark.parametrize("change, says", [
    ({"version": "1.13.0"}, "Julia 1.13.0 is not known"),
    ({"version": "1.6.7"}, "Julia 1.6.7 is not known"),
    ({"version": None}, "version is missing"),
    ({"sysimage_modules": None}, "sysimage_modules is missing"),
    ({"session_cacheflags": {"byte": "0x1a3"}}, "session_cacheflags"),
    ({"session_targets": ["rocketlake"]}, "session_targets"),
    ({"depot_path": ["depot"]}, "absolute"),
    ({"active_project": "app/Project.toml"}, "absolute"),
])
def test_refused_descriptions(saggar, case, change, says):
    made = case("a-fresh/expected.json")
    info = {**made.julia, **change}
    made.answer.write_text(json.dumps({k: v for k, v in info.items() if v is not None}))
    out = saggar("check", *made.arguments(), status=2)
    assert out == "" and says in saggar.err and saggar.err.count("\n") == 1


def test_refused(saggar, case):
    made = case("a-fresh/expected.json")
    saggar("check", str(made.project), status=2)
    assert "--julia-info" in saggar.err
    saggar("check", "--julia-info", made.answer, made.folder, status=2)
    assert "neither a project file" in saggar.err
    (made.project / "Manifest.toml").write_text("[[deps.Leaf]\n")
    saggar("check", *made.arguments(), status=2)
    assert "Manifest.toml" in saggar.err
    (made.project / "Manifest.toml").unlink()
    saggar("check", *made.arguments(), status=2)
    assert "no manifest" in saggar.err
    for bad in (b"x = '\x9c'\n", b'x = "\xff"', b"x = '\xc3", b"# \xed\xa0\x80\n"):
        (made.project / "Project.toml").write_bytes(bad)
        saggar("check", *made.arguments(), status=2)
        assert "Project.toml: not UTF-8" in saggar.err
    (made.project / "Project.toml").write_text("x = " + "[" * 100000)
    saggar("check", *made.arguments(), status=2)
    assert "nested too deeply" in saggar.err
    made.answer.write_text("[" * 100000)
    saggar("check", *made.arguments(), status=2)
    saggar("ls", made.folder, status=2)
    saggar("frob", status=2)
    assert "saggar julia --help" in saggar.err
    saggar(status=2)
