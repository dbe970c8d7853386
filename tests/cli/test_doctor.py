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
    assert "1 entries" in tiers[0]["text"]
    image.chmod(0o666)
    off = [f for f in findings(saggar, "--no-python", status=1, env=env) if f["section"] == "tiers"][0]
    assert off["ok"] is False and "off" in off["text"] and "writ" in off["text"]


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
    assert "venv/share/saggar/saggar.saggar: 1 entries" in of(findings(saggar, "--python", fake, env=env), "tiers")["image"]["text"]


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
