"""verify: each exit status, and what is listed."""
from __future__ import annotations

import os
import shutil

import pytest

from conftest import CACHEABLE, NESTED, USED, adapter, compiled, line, starting


def image(saggar, *names):
    saggar.make(*(line("entry", name=n) for n in names))
    path = saggar.home / "i.saggar"
    saggar("bake", "--all", "-o", path)
    return path


def verify(saggar, *lines, status, options=()):
    return saggar("verify", *options, "--", saggar.maker, saggar.script(*lines), status=status)


def test_nothing_was_compiled(saggar):
    path = image(saggar, "f")
    lines = adapter(), line("event", type="hit", flags=3, name="f", detail=path), line("close")
    result = verify(saggar, *lines, status=0, options=["--image", path])
    assert f"image {path}: 1 entry, 1 hit\n" in result.err
    assert "saggar verify: nothing was compiled" in result.err
    report = verify(saggar, *lines, status=0, options=["--image", path, "--json"]).json
    assert report["verdict"] == "nothing" and report["status"] == 0 and report["hits"] == 1
    assert report["images"] == [{"path": str(path), "active": True, "note": "", "hits": 1}]
    assert "no image is active" in verify(saggar, adapter(), status=0).err


def test_the_store_is_private_and_empty(saggar):
    saggar.make(line("entry", name="f"))
    show = f"echo $SAGGAR_DIR; ls -d $SAGGAR_DIR; {saggar.maker} {saggar.script(adapter())}"
    result = saggar("verify", "--", "sh", "-c", show)
    path = result.out.strip()
    assert path.startswith(str(saggar.home)) and path != str(saggar.store) and not os.path.exists(path)
    assert len(saggar.files()) == 1


def test_cacheable_was_compiled(saggar):
    inner = [line("event", type="compiled", flags=NESTED, nokey=1, name=f"inner{i}") for i in range(3)]
    lines = [adapter(), line("event", type="miss", flags=3, reason="features", detail="avx512f", name="f"), *inner,
             line("event", type="compiled", flags=USED | CACHEABLE, nokey=1, name="f", detail="(int64)"),
             *compiled(name="g", sig="float64"), *compiled(USED, name="free")]
    result = verify(saggar, *lines, status=1)
    assert "compiled although marked for caching (2):" in result.err
    assert "  test:m:f (int64): this processor lacks a feature that the code needs (avx512f); 3 nested\n" in result.err
    assert "  test:m:g (float64): no tier has an entry under this key\n" in result.err
    assert "never marked for caching by their authors (1):\n  test:m:free (int64)\n" in result.err
    assert "inner" not in result.err and "saggar why" in result.err
    report = verify(saggar, *lines, status=1, options=["--json"]).json
    assert report["compiled"] == {"cacheable": 2, "uncacheable": 0, "unmarked": 4}
    assert report["cacheable"][0] == {"function": "test:m:f", "signature": "(int64)", "reason": "features", "detail": "avx512f",
                                      "times": 1, "processes": 1, "nested": 3}
    assert [r["function"] for r in report["unmarked"]] == ["test:m:free"]
    why = saggar("why").out
    assert "test:m:g" in why and "saggar verify: " in why


def test_cacheable_inside_an_unmarked_one_is_listed(saggar):
    lines = [adapter(), *compiled(NESTED | CACHEABLE, name="callee"), *compiled(USED, name="outer")]
    report = verify(saggar, *lines, status=1, options=["--json"]).json
    assert [r["function"] for r in report["cacheable"]] == ["test:m:callee"]
    assert [(r["function"], r["nested"]) for r in report["unmarked"]] == [("test:m:outer", 1)]


def test_a_nested_one_without_an_outer_one_is_listed(saggar):
    report = verify(saggar, adapter(), *compiled(NESTED | CACHEABLE, name="loop"), status=1, options=["--json"]).json
    assert [r["function"] for r in report["cacheable"]] == ["test:m:loop"]


def test_marked_and_uncacheable(saggar):
    lines = [adapter(), *compiled(name="f"), line("event", type="not-stored", reason="uncacheable", name="f", detail="a pointer")]
    result = verify(saggar, *lines, status=1)
    assert "compiled, marked for caching, and cannot be cached (1):\n  test:m:f (int64): the function cannot be cached (a pointer)" in result.err
    assert "never marked for caching by" not in result.err
    assert "0 that can be cached, 1 marked that cannot be, 0 never marked, 0 hits" in result.err
    assert verify(saggar, *lines, status=1, options=["--json"]).json["uncacheable"][0]["detail"] == "a pointer"
    verify(saggar, *lines, status=1, options=["--allow-uncached"])  # covers what was never marked, and nothing else


def test_only_unmarked(saggar):
    lines = [adapter(), *compiled(USED, name="f"), *compiled(USED, name="f"), *compiled(USED, name="g")]
    result = verify(saggar, *lines, status=3)
    assert "never marked for caching by their authors (2):" in result.err and "2 times in 1 process" in result.err
    assert verify(saggar, *lines, status=3, options=["--json"]).json["verdict"] == "unmarked"
    allowed = verify(saggar, *lines, status=0, options=["--allow-uncached"])
    assert "nothing that can be cached was compiled" in allowed.err and "test:m:g" in allowed.err


def test_all_processes_count(saggar):
    one, two = (saggar.script(adapter(), *compiled(name="f")) for _ in range(2))
    report = saggar("verify", "--json", "--", "sh", "-c", f"{saggar.maker} {one} & {saggar.maker} {two}; wait", status=1).json
    assert report["compiled"]["cacheable"] == 2 and len(report["processes"]) == 2
    assert [(r["times"], r["processes"]) for r in report["cacheable"]] == [(2, 2)]


def test_no_process_reported(saggar):
    result = saggar("verify", "--", "true", status=4)
    assert "no proof: no process reported" in result.err
    assert saggar("verify", "--json", "--", "true", status=4).json["no_proof"]


def test_the_adapter_is_off(saggar):
    result = verify(saggar, adapter(), adapter(False, "off: this Numba is not known"), status=4)
    assert "this Numba is not known" in result.err


def compiler_file(saggar, name="lib/libllvmlite.so"):
    path = saggar.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 5000)
    return path


COMPILERS = ["lib/libllvmlite.so", "site/numba/_dispatcher.cpython-311-x86_64-linux-gnu.so", ".gt4py_cache/p_pyext_1/build/p.so",
             "gt4py_session_x/p/build/libp.so", "run/.gt_cache/py313_1013/gtcpu_ifirst/m/p.so"]


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("how", ["{maker} {script}", "env -i {maker} {script}", "sh -c '{maker} {script}; true'",
                                 "({maker} {script} &) ; sleep 0.1"])
def test_a_process_without_the_adapter(saggar, name, how):
    silent = saggar.script(line("map", path=compiler_file(saggar, name), ms=300))
    good = saggar.script(adapter())
    command = f"{saggar.maker} {good}; " + how.format(maker=saggar.maker, script=silent)
    result = saggar("verify", "--", "sh", "-c", command, status=4)
    says = "could not report: its environment was cleared, SAGGAR_TRAIL is not in it: " if "env -i" in how else \
        "used the compiler without the adapter: "
    assert says in result.err and str(silent) in result.err


def test_a_cleared_environment_is_the_one_reason(saggar):
    silent = saggar.script(line("map", path=compiler_file(saggar), ms=300))
    result = saggar("verify", "--json", "--", "env", "-i", saggar.maker, silent, status=4)
    assert len(result.json["no_proof"]) == 1, result.out
    doubt, = result.json["no_proof"]
    assert "SAGGAR_TRAIL is not in it" in doubt
    result = saggar("verify", "--json", "--", "env", "SAGGAR_MODE=off", saggar.maker, silent, status=4)
    assert "SAGGAR_MODE=off" in result.json["no_proof"][0]


def test_a_process_that_ends_while_it_imports_the_compiler(saggar):
    """A pool ends its workers by SIGTERM: one that is still importing has compiled nothing."""
    lib = compiler_file(saggar)
    worker = saggar.script(starting(), line("map", path=lib, ms=5000))
    good = saggar.script(adapter())
    killed = f"{saggar.maker} {good}; {saggar.maker} {worker} & sleep 0.3; kill $!; wait"
    result = saggar("verify", "--", "sh", "-c", killed, status=0)
    assert "1 process ended while importing a compiler, before it could compile" in result.err
    report = saggar("verify", "--json", "--", "sh", "-c", killed).json
    assert sorted(p["importing"] for p in report["processes"]) == [False, True]
    # no process got further: that proves nothing
    result = saggar("verify", "--", "sh", "-c", f"{saggar.maker} {worker} & sleep 0.3; kill $!; wait", status=4)
    assert "none got to the end of importing" in result.err


def test_an_import_that_ended_is_as_before(saggar):
    lib = compiler_file(saggar)
    verify(saggar, starting(), adapter(), line("map", path=lib, ms=100), status=0)
    verify(saggar, starting(), adapter(), *compiled(name="f"), status=1)
    verify(saggar, starting(), adapter(False, "off: too new"), adapter(), status=4)
    # it went on without the compiler's adapter to its end
    done = saggar.script(starting(), line("map", path=lib, ms=100), line("close"))
    result = saggar("verify", "--", "sh", "-c", f"{saggar.maker} {saggar.script(adapter())}; {saggar.maker} {done}", status=4)
    assert "began to import a compiler, went on to its end, and did not report" in result.err


@pytest.mark.parametrize("first", [starting, adapter])
@pytest.mark.parametrize("second, status", [([], 4), ([adapter()], 0)])
def test_another_program_in_the_same_process(saggar, first, second, status):
    """exec: what the first program reported says nothing of the second."""
    lib = compiler_file(saggar)
    then = saggar.script(*second, line("map", path=lib, ms=300))
    script = saggar.script(first(), line("map", path=lib, ms=200), line("exec", path=saggar.maker, script=then))
    result = saggar("verify", "--", "sh", "-c", f"{saggar.maker} {saggar.script(adapter())}; {saggar.maker} {script}", status=status)
    assert (f"without the adapter: {saggar.maker} {then}" in result.err) is (status == 4)


def test_a_compiler_that_is_loaded_late(saggar):
    silent = saggar.script(line("burn", ms=200), line("map", path=compiler_file(saggar), ms=200))
    result = saggar("verify", "--", "sh", "-c", f"{saggar.maker} {saggar.script(adapter())}; {saggar.maker} {silent}", status=4)
    assert "used the compiler without the adapter" in result.err


@pytest.mark.parametrize("folder, name, status", [(".gt4py_cache/p", "c++", 4), (".gt4py_cache/p", "cc1plus", 4),
                                                  (".gt4py_cache/p", "other", 0), ("elsewhere", "c++", 0)])
def test_a_build_of_gt4py_without_the_adapter(saggar, folder, name, status):
    """Who only compiles loads nothing: its compilers tell."""
    tool = saggar.home / "bin" / name
    tool.parent.mkdir()
    shutil.copy(saggar.maker, tool)
    (saggar.home / folder).mkdir(parents=True)
    silent = f"cd {folder} && {tool} {saggar.script(line('burn', ms=300))}; true"
    inner = f"sh -c '({silent}); true' # the program"
    result = saggar("verify", "--", "sh", "-c", f"{saggar.maker} {saggar.script(adapter())}; {inner}", status=status)
    assert ("used the compiler without the adapter" in result.err) is (status == 4)


@pytest.mark.parametrize("name", ["other/_dispatcher.cpython-311.so", "gt4py/p.so", "py/.cache/p.so"])
def test_other_files_of_like_names_are_not_the_compiler(saggar, name):
    script = saggar.script(line("map", path=compiler_file(saggar, name), ms=200))
    good = saggar.script(adapter())
    saggar("verify", "--", "sh", "-c", f"{saggar.maker} {good}; {saggar.maker} {script}")


def test_processes_with_the_adapter_are_no_doubt(saggar):
    lib = compiler_file(saggar)
    verify(saggar, adapter(), line("map", path=lib, ms=200), line("fork", ms=200), line("close"), status=0)


def test_a_process_that_goes_on(saggar):
    script = saggar.script(adapter(), line("orphan", ms=400))
    assert saggar("verify", "--", saggar.maker, script, status=0).status == 0  # waited for
    late = saggar.script(adapter(), *compiled(name="late"))
    saggar("verify", "--", "sh", "-c", f"(sleep 0.3; {saggar.maker} {late}) &", status=1)
    for_long = saggar.script(adapter(), line("orphan", ms=9000))
    assert "still running" in saggar("verify", "--", saggar.maker, for_long, status=4).err


def test_incomplete_trails(saggar):
    lost = saggar.home / "torn.py"
    lost.write_text("import os, glob\n"
                    "p = glob.glob(os.environ['SAGGAR_TRAIL'] + '/*.trail')[0]\n"
                    "d = bytearray(open(p, 'rb').read())\n"
                    "d[AT] = 9\n"
                    "open(p, 'wb').write(d)\n")
    script = saggar.script(adapter(), line("event", type="hit"))
    for at in ("4100", "0", "56"):  # an event, the magic, the number of lost events
        code = lost.read_text().replace("AT]", at + "]")
        result = saggar("verify", "--", "sh", "-c", f'{saggar.maker} {script}; python3 -c "{code}"', status=4)
        assert "a trail is incomplete" in result.err, at


def test_the_command_fails(saggar):
    result = verify(saggar, adapter(), line("fail", status=7), status=5)
    assert "the command failed: it exited with status 7" in result.err
    report = verify(saggar, adapter(), *compiled(name="f"), line("fail", status=7), status=5, options=["--json"]).json
    assert report["verdict"] == "command-failed" and report["command_status"] == 7 and report["cacheable"]
    assert "signal 9" in saggar("verify", "--", "sh", "-c", "kill -9 $$", status=5).err
    assert "not found" in saggar("verify", "--", "no-such-command", status=2).err


def test_output_is_the_commands(saggar):
    script = saggar.script(adapter(), line("say", text="hello"))
    result = saggar("verify", "--", saggar.maker, script)
    assert result.out == "hello\n" and "hello" not in result.err
    result = saggar("verify", "--json", "--", saggar.maker, script)
    assert result.json["status"] == 0 and "hello" in result.err


def test_untrusted_image_is_refused(saggar):
    path = image(saggar, "f")
    path.chmod(0o666)
    assert "SAGGAR_TRUST" in verify(saggar, adapter(), status=2, options=["--image", path]).err
    result = saggar("verify", "--", saggar.maker, saggar.script(adapter()), env={"SAGGAR_IMAGE": str(path)})
    assert f"image {path}: not active: " in result.err and "no image is active" in result.err


def test_a_damaged_image_is_told(saggar):
    path = image(saggar, "f")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:300])
    assert str(path) in verify(saggar, adapter(), status=2, options=["--image", path]).err


def test_the_reason_of_a_module_with_two_names(saggar):
    lines = [adapter(), line("event", type="miss", flags=3, reason="dependency", module="__main__", name="f"),
             line("event", type="compiled", flags=3, nokey=1, module="__mp_main__", name="f")]
    assert verify(saggar, *lines, status=1, options=["--json"]).json["cacheable"][0]["reason"] == "dependency"
