"""Command lines: help, what is refused and how."""
from __future__ import annotations

import pytest

COMMANDS = ["run", "warm", "bake", "verify", "why", "ls", "show", "stat", "check", "gc", "doctor", "host"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(saggar, command):
    text = saggar(command, "--help").out
    assert text.startswith(f"saggar {command}: ")
    for part in ("usage:", "options:", "example:", "exit status:", "--json"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    assert saggar("help", command).out == text
    assert saggar(command, "-h").out == text


def test_overview(saggar):
    text = saggar("--help").out
    assert all(f"  {c} " in text for c in COMMANDS)
    assert saggar("--version").out.startswith("saggar 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option(saggar, command):
    result = saggar(command, "--frobnicate", status=2)
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert "--frobnicate" in result.err and f"saggar {command} --help" in result.err


@pytest.mark.parametrize("arguments, says", [
    ([], "--help"),
    (["frob"], "frob"),
    (["run"], "saggar run -- COMMAND"),
    (["run", "ls"], "saggar run -- ls"),
    (["run", "--"], "no command after"),
    (["verify", "python3", "x.py"], "saggar verify -- python3 ..."),
    (["run", "--store"], "--store needs a value"),
    (["run", "--store", "--", "ls"], "--store needs a value"),
    (["run", "--quiet=1", "--", "ls"], "takes no value"),
    (["warm", "--jobs", "0", "--", "ls"], "--jobs 0"),
    (["warm", "--jobs", "two", "--", "ls"], "--jobs two"),
    (["warm"], "no workload"),
    (["warm", "python3", "train.py"], "train.py: no such command"),
    (["warm", "  "], "an empty command"),
    (["gc", "--max-size", "5X"], "--max-size 5X"),
    (["gc", "--max-age", "soon"], "--max-age soon"),
    (["gc", "--max-size", "-1"], "--max-size -1"),
    (["ls", "--", "x"], "takes no command"),
    (["show"], "missing"),
    (["show", "a1", "b2"], "b2"),
    (["show", "nothing here"], "neither a file nor"),
    (["host", "--check", "pentium99"], "pentium99"),
    (["bake", "-o", "x", "--install", "y"], "exclude"),
    (["ls", "/nonexistent"], "/nonexistent"),
    (["check", "/dev/null"], "/dev/null"),
    (["gc", "/dev/null"], "/dev/null"),
    (["run", "--image", "/nonexistent.saggar", "--", "true"], "/nonexistent.saggar"),
    (["verify", "--image", "/etc/passwd", "--", "true"], "/etc/passwd"),
    (["why", "--trail", "/nonexistent"], "/nonexistent"),
    (["why", "--last"], "saggar run"),
    (["bake", "--trail", "/nonexistent", "--all"], "no store"),
])
def test_refused(saggar, arguments, says):
    result = saggar(*arguments, status=2)
    assert result.out == ""
    assert says in result.err
    assert result.err.startswith("saggar") and result.err.count("\n") == 1


def test_names_are_escaped_in_messages(saggar):
    result = saggar("ls", b"/no\nsuch\x1b[31m\xff", status=2)
    assert "\\n" in result.err and "\\x1b" in result.err and "\\xff" in result.err
    assert "\x1b" not in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("name, value", [("SAGGAR_MODE", "on"), ("SAGGAR_WAIT", "long"), ("SAGGAR_IMAGE_PATH", "some")])
def test_unknown_environment_is_refused(saggar, name, value):
    for arguments in (["run", "--", "true"], ["ls"], ["verify", "--", "true"], ["bake"], ["warm", "true"]):
        result = saggar(*arguments, status=2, env={name: value})
        assert f"{name}={value}" in result.err


def test_options_may_follow_names_and_take_equals(saggar):
    saggar.make("entry\tname=f")
    assert saggar("ls", saggar.store, "--json").json == saggar("ls", "--json", f"--store={saggar.store}").json


def test_full_disk_on_stdout(saggar):
    import subprocess
    with open("/dev/full", "w") as full:
        done = subprocess.run([saggar.binary, "host"], stdout=full, stderr=subprocess.PIPE, env=saggar.env)
    assert done.returncode == 1 and b"stdout" in done.stderr
