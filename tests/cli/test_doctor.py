"""doctor: what is active, what is wrong."""
from __future__ import annotations

import os
import sys

import pytest

from conftest import line


def findings(saggar, *arguments, status=0, env=None):
    return saggar("doctor", "--json", *arguments, status=status, env=env).json


def of(found, section):
    return {f["name"]: f for f in found if f["section"] == section}


def test_all_is_well(saggar):
    found = findings(saggar, "--no-python")
    assert of(found, "saggar")["executable"]["text"] == saggar.binary
    assert of(found, "saggar")["mode"]["text"] == "use"
    assert of(found, "tiers")["store"]["text"].startswith(str(saggar.store))
    assert "level" in of(found, "processor")
    text = saggar("doctor", "--no-python").out
    assert "nothing is wrong" in text and "environment" in text


@pytest.mark.parametrize("name, value, ok", [
    ("SAGGAR_MODE", "require", True), ("SAGGAR_MODE", "on", False), ("SAGGAR_SIZE", "1G", True), ("SAGGAR_SIZE", "big", False),
    ("SAGGAR_MODUS", "use", False), ("SAGGAR_TARGET", "native", True), ("SAGGAR_TARGET", "pdp11", False), ("SAGGAR_WAIT", "5", True),
    ("SAGGAR_IMAGE_PATH", "all", False),
])
def test_environment(saggar, name, value, ok):
    found = findings(saggar, "--no-python", status=0 if ok else 1, env={name: value})
    assert of(found, "environment")[name]["ok"] is ok
    assert value in of(found, "environment")[name]["text"]
    assert ("!" in saggar("doctor", "--no-python", status=None, env={name: value}).out) is not ok


def test_mode_off(saggar):
    assert of(findings(saggar, "--no-python", status=1, env={"SAGGAR_MODE": "off"}), "saggar")["mode"]["ok"] is False


def test_tiers(saggar):
    saggar.make(line("entry", name="f"))
    saggar("bake", "--all", "-o", "i.saggar")
    image = saggar.home / "i.saggar"
    env = {"SAGGAR_IMAGE": f"{image}:{saggar.home}/none.saggar"}
    tiers = [f for f in findings(saggar, "--no-python", status=1, env=env) if f["section"] == "tiers"]
    assert [(t["name"], t["ok"]) for t in tiers] == [("image", True), ("image", False), ("store", True)]
    assert ": 1 entry" in tiers[0]["text"]
    image.chmod(0o666)
    off = [f for f in findings(saggar, "--no-python", status=1, env=env) if f["section"] == "tiers"][0]
    assert off["ok"] is False and "off: untrusted" in off["text"] and "writ" in off["text"] and "SAGGAR_TRUST" in off["text"]


def test_an_unknown_target_switches_the_cache_off(saggar):
    found = findings(saggar, "--no-python", status=1, env={"SAGGAR_TARGET": "foo"})
    assert "ignored" not in str(found)
    for section, name in (("environment", "SAGGAR_TARGET"), ("processor", "ceiling")):
        entry = of(found, section)[name]
        assert entry["ok"] is False and "foo" in entry["text"] and "programs switch the cache off" in entry["text"]
    assert of(found, "tiers") == {"none": {"section": "tiers", "name": "none", "ok": False,
                                           "text": "the cache is off: SAGGAR_TARGET has an unknown value"}}


def test_variables_that_mislead(saggar):
    found = of(findings(saggar, "--no-python", status=1, env={"SAGGAR_DIR": "here", "SAGGAR_TRAIL": "/tmp/x"}), "environment")
    assert found["SAGGAR_DIR"]["ok"] is False and "not an absolute path" in found["SAGGAR_DIR"]["text"]
    assert found["SAGGAR_TRAIL"]["ok"] is False and "set by hand" in found["SAGGAR_TRAIL"]["text"]
    inside = saggar("run", "-q", "--", saggar.binary, "doctor", "--no-python", "--json").json
    assert of(inside, "environment")["SAGGAR_TRAIL"]["ok"] is True


@pytest.mark.parametrize("value, ok", [("1.5", True), ("1.5.2", False), (".5", False), ("9999999", False), ("1.1234", False)])
def test_wait_as_programs_read_it(saggar, value, ok):
    found = of(findings(saggar, "--no-python", status=None, env={"SAGGAR_WAIT": value}), "environment")
    assert found["SAGGAR_WAIT"]["ok"] is ok
    assert saggar("ls", status=None, env={"SAGGAR_WAIT": value}).status == (0 if ok else 2)


def store_row(saggar, **how):
    return of(findings(saggar, "--no-python", status=None, **how), "tiers")["store"]


def test_a_store_that_is_no_directory(saggar):
    saggar.store.parent.mkdir()
    saggar.store.write_text("a file")
    row = store_row(saggar)
    assert row["ok"] is False and "off: not a directory: nothing of it is served, and nothing is stored" in row["text"]
    saggar.store.unlink()
    saggar.store.symlink_to(saggar.home / "gone")
    assert "off: a link that leads nowhere" in store_row(saggar)["text"]
    (saggar.home / "gone").mkdir()
    row = store_row(saggar)
    assert row["ok"] is True and f"a link to {saggar.home}/gone, followed" in row["text"]


@pytest.mark.parametrize("options, says", [("size=64k", "on a full disk"), ("ro", "on a read-only file system")])
def test_a_store_that_cannot_be_written(saggar, options, says):
    saggar.make(line("entry", name="f"))
    row = of(saggar.mounted(saggar.store, options, "doctor", "--no-python", "--json", status=1).json, "tiers")["store"]
    assert row["ok"] is False and says in row["text"] and "what is there is served, nothing is stored" in row["text"]
    row = of(saggar.mounted(saggar.store.parent, options, "doctor", "--no-python", "--json", status=1,
                            env={"SAGGAR_DIR": str(saggar.store.parent / "new")}).json, "tiers")["store"]
    assert "it cannot be made, nothing is stored" in row["text"]
    saggar("bake", "--all", "-o", "i.saggar")  # with an image, a store that is shipped read-only is nothing to mend
    row = of(saggar.mounted(saggar.store, options, "doctor", "--no-python", "--json", status=None,
                            env={"SAGGAR_IMAGE": str(saggar.home / "i.saggar")}).json, "tiers")["store"]
    assert row["ok"] is (options == "ro")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_store_without_permission(saggar):
    saggar.store.mkdir(parents=True)
    saggar.store.chmod(0o755)
    for path in (saggar.home, *saggar.home.parents):
        if path.stat().st_uid == 0 and path.name:
            path.chmod(path.stat().st_mode | 0o055)
    row = of(saggar("doctor", "--no-python", "--json", status=1, user=65534,
                    env={"SAGGAR_DIR": str(saggar.store)}).json, "tiers")["store"]
    assert row["ok"] is False and "without permission to write" in row["text"] and "is served" in row["text"]
    saggar.store.chmod(0o700)
    row = of(saggar("doctor", "--no-python", "--json", status=1, user=65534,
                    env={"SAGGAR_DIR": str(saggar.store)}).json, "tiers")["store"]
    assert "off: permission denied" in row["text"]


@pytest.mark.parametrize("options, says", [("size=64k", "on a full disk"), ("ro", "on a read-only file system")])
def test_a_state_directory_that_cannot_be_written(saggar, options, says):
    (saggar.home / "state").mkdir()
    row = of(saggar.mounted(saggar.home / "state", options, "doctor", "--no-python", "--json", status=1).json, "saggar")["state"]
    assert row["ok"] is False and says in row["text"] and "no trail is kept" in row["text"]


def test_python(saggar):
    fake = saggar.home / "python"
    fake.write_text("#!/bin/sh\nprintf 'prefix\\t%s\\nversion\\t3.99\\n!hook\\tnot installed\\nnoise\\n' " + str(saggar.home / "venv"))
    fake.chmod(0o755)
    found = findings(saggar, "--python", fake, status=1)
    assert of(found, "python")["version"]["text"] == "3.99" and of(found, "python")["hook"]["ok"] is False
    assert "noise" not in str(found)


def test_images_of_the_python(saggar):
    saggar.make(line("entry", name="f"))
    saggar("bake", "--all", "--install", "venv")
    fake = saggar.home / "python"
    fake.write_text(f"#!/bin/sh\nprintf 'prefix\\t{saggar.home}/venv\\nversion\\t3.99\\n'")
    fake.chmod(0o755)
    env = {"SAGGAR_IMAGE_PATH": ""}
    assert "venv/share/saggar/saggar.saggar: 1 entry" in of(findings(saggar, "--python", fake, env=env), "tiers")["image"]["text"]


def test_python_without_the_package(saggar):
    found = findings(saggar, "--python", sys.executable, status=1, env={"PYTHONNOUSERSITE": "1"}) \
        if not _has_package() else None
    if found is None:
        pytest.skip("this Python has the package")
    assert "pip install saggar" in of(found, "python")["package"]["text"]


def _has_package() -> bool:
    import importlib.util
    return importlib.util.find_spec("saggar") is not None


@pytest.mark.skipif(not _has_package(), reason="this Python does not have the package")
def test_python_with_the_package(saggar):
    found = of(findings(saggar, "--python", sys.executable, status=None), "python")
    assert "version" in found and "package" in found and "hook" in found


def test_no_such_python(saggar):
    assert "No such file" in of(findings(saggar, "--python", "/nonexistent/python", status=1), "python")["interpreter"]["text"]
