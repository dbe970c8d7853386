"""GT4Py unmodified: the right numbers; nothing is translated or compiled twice, and nothing stale is served."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from support import SAGGAR

NONE = (0, 0, 0)
NAMES = ["gtfn", "dace", "cartesian"]
slow = pytest.mark.slow


def programs(*marks):
    """Each backend; the tests of one backend share what they start from."""
    rows = [("lap.py", {"BACKEND": "gtfn"}), ("lap.py", {"BACKEND": "dace"}), ("cart.py", {})]
    return pytest.mark.parametrize("name, env", [
        pytest.param(*row, id=name, marks=[pytest.mark.xdist_group(name), *marks]) for row, name in zip(rows, NAMES)])


every = programs()


@every
def test_a_second_start_elsewhere(project, warm, name, env):
    """A blank line, another place, another hash seed, another working directory: nothing is done again."""
    origin, cold = warm(name, **env)
    assert cold.compilers and cold.translations and cold.keys and "as written" in cold.out
    project.copy_of(origin.store)
    first = cold.out.splitlines()[0]
    edits = ("import numpy as np\n", "import numpy as np\n\n\n# a comment\n")
    moved = project.good(project.script(name, edits, folder="some where/else"), PYTHONHASHSEED="77", **env)
    assert (moved.work(), moved.out.splitlines()[0]) == (NONE, first), (moved.compilers, project.why())


@every
def test_from_an_image_without_a_compiler(project, warm, name, env):
    """On a read-only disk, with nothing on PATH: no compiler, no translation, no key; and `verify` proves it."""
    origin, cold = warm(name, **env)
    project.copy_of(origin.store)
    from_an_image(project, project.script(name, folder="elsewhere"), cold.out, env)


def from_an_image(project, script, out, env):
    """What the store has is baked, and serves a script as the only tier: it prints what it did, and nothing is compiled."""
    place = script.parent
    image = shutil.move(project.bake("--all"), place / "x.saggar")
    shutil.rmtree(project.store)
    project.store.mkdir()
    verify = [SAGGAR, "verify", "--json", "--image", image, "--", sys.executable, "-W", "ignore", script]
    done = subprocess.run([*read_only(project.store, place), *verify],
                          env=project.environment(COMPILER_LOG=f"{project.root}/c", TRANSLATION_LOG=f"{project.root}/t", PATH="/nowhere",
                                                  PYTHONDONTWRITEBYTECODE="1", **env), capture_output=True, text=True, cwd=project.root)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert not (project.root / "c").exists() and not (project.root / "t").exists() and project.keys() == 0
    assert out in done.stdout + done.stderr


def read_only(*folders):
    """What makes a command see the folders read-only; nothing where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    text = " && ".join(f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'" for folder in folders)
    command = [shutil.which("unshare"), "-m", shutil.which("sh"), "-c",
               f"PATH=/usr/sbin:/usr/bin:/sbin:/bin; {text} && cd '{folders[-1]}' && PATH=/nowhere && exec \"$@\"", "sh"]
    return [] if subprocess.run([*command, "/bin/true"], capture_output=True).returncode else command


def edited(project, warm, name, env, *edits, **more):
    origin, cold = warm(name, **env)
    project.copy_of(origin.store)
    return cold, project.good(project.script(name, *edits), **{**env, **more})


@programs(slow)
@pytest.mark.parametrize("old, new", [("-4.0 * a", "-5.0 * a"), ("a(J + 1)|a[0, 1, 0]", "a(J + 2)|a[1, 1, 0]")], ids=["constant", "offset"])
def test_an_edit_gives_the_new_result(project, warm, name, env, old, new):
    which = name == "cart.py" and "|" in old
    pick = (lambda text: text.split("|")[which] if "|" in text else text.replace("a", "a[0, 0, 0]") if name == "cart.py" else text)
    cold, result = edited(project, warm, name, env, (pick(old), pick(new)))
    assert result.translations == 1 and result.compilers and result.out != cold.out and "edited" in result.out


@slow
@pytest.mark.parametrize("backend", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("gtfn", "dace")])
def test_another_type_gives_the_new_result(project, warm, backend):
    cold, result = edited(project, warm, "lap.py", {"BACKEND": backend}, ("gtx.float64", "gtx.float32"),
                          ("np.float64", "np.float32"), ("-4.0 * a +", "float32(-4.0) * a +"), ("+ 2.0\n", "+ float32(2.0)\n"),
                          ("import numpy as np\n", "import numpy as np\nfrom gt4py.next import float32\n"))
    assert result.translations == 2 and "float32" in result.out and "as written" in result.out


@slow
@pytest.mark.xdist_group("cartesian")
def test_another_type_of_a_stencil_gives_the_new_result(project, warm):
    cold, result = edited(project, warm, "cart.py", {}, ("Field[np.float64], out: Field[np.float64]", "Field[np.float64], out: Field[np.float32]"),
                          ("aligned_index=(1, 1, 0)) for _ in range(2))", "aligned_index=(1, 1, 0), dtype=t) for t in (np.float32, np.float64))"))
    assert result.translations == 1 and result.compilers and result.out != cold.out and "as written" in result.out


@slow
@pytest.mark.xdist_group("cartesian")
def test_k_first(project, warm):
    """The other layout for the CPU: an entry of its own, found again."""
    edits = ("gt:cpu_ifirst", "gt:cpu_kfirst")
    cold, result = edited(project, warm, "cart.py", {}, edits)
    assert result.translations == 1 and result.compilers and result.out == cold.out
    again = project.good(project.script("cart.py", edits, folder="else where"), PYTHONHASHSEED="7")
    assert (again.work(), again.out) == (NONE, cold.out), project.why()


@slow
@pytest.mark.xdist_group("cartesian")
def test_what_is_left_to_gt4py_is_counted(project):
    """The dace backends of gt4py.cartesian write beside their modules: GT4Py's own cache keeps them, and Saggar says why it does not."""
    script = project.script("cart.py", ("gt:cpu_ifirst", "dace:cpu"))
    cold = project.run(script)
    assert cold.code == 0 and "as written" in cold.out and cold.summary["faults"] == 0, cold.err
    assert cold.compilers and cold.compiled() == 1 and cold.summary["uncacheable"] == 1 and cold.keys == 0
    assert "the backend dace:cpu is left to GT4Py" in project.why()
    again = project.run(script)
    assert again.code == 0 and not again.compilers and again.compiled() == 0 and again.summary["uncacheable"] == 0


@slow
def test_an_external_gives_the_new_result(project, warm):
    cold, result = edited(project, warm, "cart.py", {}, ("SCALE = 0.5", "SCALE = 0.25"))
    assert result.translations == 1 and result.compilers and result.out != cold.out and "as written" in result.out


@slow
@pytest.mark.xdist_group("dace")
def test_code_for_another_processor_is_not_served(project, warm):
    """GT4Py compiles for dace with -march=native: below a ceiling, what this machine's features were used for is compiled again."""
    cold, result = edited(project, warm, "lap.py", {"BACKEND": "dace"}, SAGGAR_TARGET="x86-64" if os.uname().machine == "x86_64" else "armv8-a")
    assert result.translations == 0 and result.compilers and "processor" in project.why()


@slow
@pytest.mark.parametrize("name, env, option, again", [
    ("lap.py", {"BACKEND": "gtfn"}, {"GT4PY_CMAKE_BUILD_TYPE": "debug"}, 1),
    ("lap.py", {"BACKEND": "dace"}, {"CXXFLAGS": "-O1 -fPIC"}, 1),
    ("cart.py", {}, {"GT4PY_COMPILE_OPT_LEVEL": "1"}, 1),
], ids=NAMES)
def test_an_option_compiles_again(project, warm, name, env, option, again):
    cold, result = edited(project, warm, name, env, **option)
    assert result.compilers and result.out == cold.out and result.compiled() >= again


@programs(slow)
def test_another_compiler_compiles_again(project, warm, name, env):
    """And what the first one made is there still, for those who have it."""
    origin, cold = warm(name, **env)
    project.copy_of(origin.store)
    other = project.make_tools("others", "another compiler")
    result = project.good(project.script(name), PATH=f"{other}:{os.environ['PATH']}", **env)
    assert result.compilers and result.out == cold.out
    assert name == "cart.py" or result.translations == 0
    assert "compiler" in project.why()
    assert project.good(project.script(name), **env).work() == NONE
    assert project.good(project.script(name), PATH=f"{other}:{os.environ['PATH']}", **env).work() == NONE


@pytest.mark.xdist_group("gtfn")
def test_worker_processes_and_an_edit(project, warm):
    """GT4Py's default: workers compile, what was edited and nothing else. A warm start needs none."""
    origin, cold = warm("lap.py", BACKEND="gtfn")
    project.copy_of(origin.store)
    workers = {"BACKEND": "gtfn", "GT4PY_BUILD_JOBS_MODE": None, "GT4PY_BUILD_JOBS": "2"}
    script = project.script("lap.py", ("-4.0 * a", "-5.0 * a"))
    first = project.good(script, **workers)
    assert first.translations == 1 and first.compiled() == 2 and first.summary["processes"] > 1 and "edited" in first.out
    again = project.good(script, **workers)
    assert (again.work(), again.out, again.summary["processes"]) == (NONE, first.out, 1), project.why()


@slow
@pytest.mark.xdist_group("gtfn")
@pytest.mark.parametrize("backend", ["gtfn", "dace"])
def test_nowhere_to_store(project, backend):
    """No store, no place for trees: workers compile, and the program loads what they made after they are gone."""
    wait = "    smooth.compile(offset_provider={})\n    gtx.wait_for_compilation()\n"
    script = project.script("lap.py", ("    smooth(field", f"{wait}    smooth(field"))
    nowhere = {"SAGGAR_DIR": "/proc/nowhere", "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "GT4PY_BUILD_JOBS_MODE": None}
    result = project.run(script, BACKEND=backend, **nowhere)
    assert result.code == 0 and "as written" in result.out, result.err
    assert result.summary["faults"] == 0 and result.compiled() >= 4 and result.summary["stored"] == 0, project.why()


def test_off_is_off(project):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", "import sys; import gt4py.next; print('saggar.gt4py' in sys.modules)"],
                          env=project.environment(SAGGAR_MODE="off"), capture_output=True, text=True, cwd=project.root)
    assert done.stdout.strip() == "False", done.stderr


@slow
@pytest.mark.parametrize("backend", ["gtfn", "dace"])
def test_programs_like_those_of_icon(project, backend):
    """Neighbours on a mesh, a scan, static arguments, offsets with content: other neighbours are another program for GT4Py."""
    script = project.script("icon.py")
    cold = project.good(script, BACKEND=backend)
    assert cold.translations == 3
    warm = project.good(script, BACKEND=backend, PYTHONHASHSEED="5")
    assert (warm.work(), warm.out) == (NONE, cold.out), project.why()
    more = project.good(project.script("icon.py", ("levels = 12, 6, 5", "levels = 12, 6, 9")), BACKEND=backend)
    assert more.out != cold.out


@slow
def test_verify_sees_gt4py_without_the_adapter(project):
    """`python -S` reads no .pth file. Cold its compilers tell, warm what it loads."""
    script = project.script("lap.py")
    env = {"BACKEND": "gtfn", "GT4PY_BUILD_CACHE_LIFETIME": "persistent", "PYTHONPATH": f"{project.site}:{os.path.dirname(np.__path__[0])}"}
    for turn in ("cold", "warm"):
        done = subprocess.run([SAGGAR, "verify", "--", sys.executable, "-S", "-W", "ignore", str(script)], env=project.environment(**env),
                              capture_output=True, text=True, cwd=script.parent)
        assert done.returncode == 4 and "as written" in done.stdout, (turn, done.stdout, done.stderr)
        assert "used the compiler without the adapter" in done.stderr, (turn, done.stderr)


@slow
@pytest.mark.parametrize("backend", ["gtfn", "dace"])
def test_a_program_that_does_not_compile(project, backend):
    """"new" is no name in C++. The error is GT4Py's own, after one try; it is no fault, and nothing is stored of the build."""
    script = project.script("lap.py", ("def smooth(a: F, out: F)", "def smooth(a: F, new: F)"), ("out=out[2:-2, 2:-2]", "out=new[2:-2, 2:-2]"),
                            ("    smooth(field", "    try:\n        smooth(field"), ("offset_provider={})\n    scale(", """offset_provider={})
    except Exception as error:
        print(type(error).__module__, type(error).__qualname__, type(error.__cause__).__qualname__)
        raise SystemExit(0)
    scale("""))
    said = subprocess.run([sys.executable, "-W", "ignore", script], env=project.environment(SAGGAR_MODE="off", BACKEND=backend), capture_output=True,
                          text=True, cwd=script.parent).stdout
    result = project.good(script, BACKEND=backend)
    assert result.out == said and "CompilationError" in said
    again = project.good(script, BACKEND=backend)
    assert (again.out, again.translations, again.keys) == (said, 0, 0) and len(again.compilers) <= len(result.compilers)
