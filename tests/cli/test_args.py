"""Command lines: help, what is refused and how."""
from __future__ import annotations

import pytest

COMMANDS = ["run", "warm", "bake", "verify", "why", "ls", "show", "stat", "check", "audit", "gc", "doctor", "host"]
GROUPED = ["julia ls", "julia check", "julia why", "julia bake", "julia restore", "julia gc", "julia run"]


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
    assert all(f"  {c} " in text for c in [*COMMANDS, "julia"])
    assert saggar("--version").out.startswith("saggar 0.")


@pytest.mark.parametrize("command", GROUPED)
def test_help_of_groups(saggar, command):
    group, member = command.split()
    text = saggar(group, member, "--help").out
    assert text.startswith(f"saggar {command}: ")
    assert f"usage: saggar {command} " in text and "--json" in text
    assert max(map(len, text.splitlines())) <= 80
    assert saggar("help", group, member).out == text
    overview = saggar(group, "--help").out
    assert f"  {command} " in overview and overview == saggar("help", group).out
    assert max(map(len, overview.splitlines())) <= 80
    result = saggar(group, member, "--frobnicate", status=2)
    assert result.out == "" and f"saggar {command} --help" in result.err


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
    (["gc", "--max-size", "0x10"], "--max-size 0x10"),
    (["gc", "--max-age", "0x1d"], "--max-age 0x1d"),
    (["ls", ""], "an empty argument"),
    ([""], "no command"),
    (["warm", "--plan", "/dev/zero"], "larger than 1024 KiB"),
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
    (["julia"], "saggar julia --help"),
    (["julia", "--frob"], "--frob"),
    (["julia", "frob"], "no command frob"),
    (["julia", "ls"], "an argument is missing"),
    (["julia", "ls", "/nonexistent"], "/nonexistent"),
    (["julia", "check", "."], "--julia-info"),
    (["julia", "why", "--julia-info", "/nonexistent", "."], "."),
    (["bake", "--trail", "/nonexistent", "--all"], "no store"),
])
def test_refused(saggar, arguments, says):
    result = saggar(*arguments, status=2)
    assert result.out == ""
    assert says in result.err
    assert result.err.startswith("saggar") and result.err.count("\n") == 1


def test_closed_descriptors_become_no_file_of_ours(saggar):
    import subprocess
    subprocess.run(["sh", "-c", f'exec {saggar.binary} warm --log-dir lg "echo hi; echo err >&2" <&- >&- 2>&-'], env=saggar.env,
                   cwd=saggar.home, check=True)
    log, = (saggar.home / "lg").iterdir()
    assert log.read_text() == "hi\nerr\n"
    done = subprocess.run(["sh", "-c", f'exec {saggar.binary} host --json >&-'], env=saggar.env, stderr=subprocess.PIPE)
    assert done.returncode == 6 and b"Bad file descriptor" in done.stderr


def test_names_are_escaped_in_messages(saggar):
    result = saggar("ls", b"/no\nsuch\x1b[31m\xff", status=2)
    assert "\\n" in result.err and "\\x1b" in result.err and "\\xff" in result.err
    assert "\x1b" not in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("name, value", [("SAGGAR_MODE", "on"), ("SAGGAR_WAIT", "long"), ("SAGGAR_IMAGE_PATH", "some"),
                                         ("SAGGAR_SIZE", "big"), ("SAGGAR_TARGET", "foo")])
def test_unknown_environment_is_refused(saggar, name, value):
    for arguments in (["run", "--", "true"], ["ls"], ["verify", "--", "true"], ["bake"], ["warm", "true"], ["gc"], ["stat"], ["check"]):
        result = saggar(*arguments, status=2, env={name: value})
        assert f"{name}={value}" in result.err


def test_options_may_follow_names_and_take_equals(saggar):
    saggar.make("entry\tname=f")
    assert saggar("ls", saggar.store, "--json").json == saggar("ls", "--json", f"--store={saggar.store}").json


def test_full_disk_on_stdout(saggar):
    import subprocess
    with open("/dev/full", "w") as full:
        done = subprocess.run([saggar.binary, "host"], stdout=full, stderr=subprocess.PIPE, env=saggar.env)
    assert done.returncode == 6 and b"could not be written: No space left" in done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "run"])
def test_unwritable_output_has_a_status_of_its_own(saggar, command):
    import subprocess
    saggar.make("entry\tname=f", "event\ttype=miss\tname=g")
    saggar("bake", "--all", "-o", "i.saggar")
    key = saggar("ls", "--json").json[0]["key"]
    more = {"warm": ["true"], "verify": ["--", "true"], "bake": ["--all"], "show": [key], "doctor": ["--no-python"]}.get(command, [])
    with open("/dev/full", "w") as full:
        done = subprocess.run([saggar.binary, command, "--json", *more], stdout=full, stderr=subprocess.PIPE, env=saggar.env,
                              cwd=saggar.home)
    assert done.returncode == 6, done.stderr
    assert done.stderr.count(b"could not be written") == 1
    assert "  6  " in saggar(command, "--help").out


@pytest.mark.parametrize("arguments, says", [
    (["verify", "python", "x.py", "--json"], "write: saggar verify -- python ..."),
    (["verify", "--json", "python", "x.py"], "write: saggar verify --json -- python ..."),
    (["run", "python"], "write: saggar run -- python\n"),
    (["run", "python", "-c", "pass"], "write: saggar run -- python ..."),
    (["run", "python", "--store"], "write: saggar run -- python ..."),
    (["run", "python", "--", "x"], "write: saggar run -- python ..."),
    (["run", "--", "--json", "python"], "--json after `--` is no command"),
    (["verify", "--", "-x"], "options of saggar verify stand before `--`"),
    (["warm", "--", "--jobs", "2"], "options of saggar warm stand before `--`"),
    (["warm", "python3 a.py", "--epochs", "3"], "saggar warm -- COMMAND --epochs"),
    (["run", "--frob", "python"], "unknown option --frob"),
    (["ls", "-Z"], "unknown option -Z"),
])
def test_where_options_and_the_command_stand(saggar, arguments, says):
    result = saggar(*arguments, status=2)
    assert says in result.err and result.err.count("\n") == 1 and result.out == ""


@pytest.mark.parametrize("arguments", [
    ["check", "/nonexistent"], ["show", "/nonexistent/x"], ["show", "/etc/passwd"], ["ls", "/nonexistent"], ["stat", "/nonexistent"],
    ["verify", "x"], ["bake", "/nonexistent"], ["why", "--last"], ["gc", "/etc/passwd"], ["host", "--check", "nosuch"], ["warm"],
    ["doctor", "--nosuch"],
])
def test_what_is_refused_is_one_plain_line_with_json_too(saggar, arguments):
    result = saggar(arguments[0], "--json", *arguments[1:], status=2)
    assert result.out == ""
    assert result.err.startswith("saggar ") and result.err.count("\n") == 1
