"""A piece of a model as ICON4Py writes them, in every situation that a model meets: the bytes of its results are those of GT4Py alone."""
import shutil
import subprocess
import sys

import pytest
from support import HERE
from test_gt4py import NONE, from_an_image

slow = pytest.mark.slow
BACKENDS = {"gtfn": {"BACKEND": "gtfn"}, "dace": {"BACKEND": "dace"}, "hooks": {"BACKEND": "dace", "HOOKS": "1"}}
every = pytest.mark.parametrize("env", [pytest.param(env, id=name, marks=[slow, pytest.mark.xdist_group(f"model {name}")])
                                        for name, env in BACKENDS.items()])


def model(project, *edits, constants=(), folder=""):
    """The program and the module of its constants, edited."""
    path = project.script("icon_model.py", *edits, folder=folder)
    text = (HERE / "programs" / "icon_constants.py").read_text()
    for old, new in constants:
        assert old in text
        text = text.replace(old, new)
    (path.parent / "icon_constants.py").write_text(text)
    return path


@pytest.fixture(scope="module")
def cold(warm):
    """The model, run once with each backend into a store that the tests copy."""
    done = {}

    def run(project, env):
        key = tuple(sorted(env.items()))
        if key not in done:
            origin = warm.project("model")
            done[key] = origin, origin.good(model(origin), **env)
        origin, result = done[key]
        project.copy_of(origin.store)
        return result

    return run


def alone(project, script, **env):
    """What GT4Py says without Saggar."""
    done = subprocess.run([sys.executable, "-W", "ignore", script], env=project.environment(SAGGAR_MODE="off", **env), capture_output=True, text=True,
                          cwd=script.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@every
def test_a_model_is_compiled_once(project, cold, env):
    """A blank line, another place, another hash seed: nothing is done again, and each result is GT4Py's own to the bit."""
    first = cold(project, env)
    assert first.compilers and first.translations == 5 and first.keys
    moved = project.good(model(project, ("import os\n", "import os\n\n\n# a comment\n"), folder="some where/else"), PYTHONHASHSEED="77", **env)
    assert (moved.work(), moved.out) == (NONE, first.out), project.why()
    assert alone(project, model(project), **env) == first.out


@every
def test_a_model_from_an_image(project, cold, env):
    """No compiler, nothing that can be written: `verify` proves that nothing was compiled."""
    from_an_image(project, model(project, folder="elsewhere"), cold(project, env).out, env)


ALL = {"diffusion", "to_vertices", "implicit", "precipitate"}
EDITS = {  # what: edits of the program, edits of its constants, the programs that this makes others
    "a comment": ([("import os\n", "import os\n\n# a comment\n")], [], set()),
    "a constant of another module": ([], [("rd = wpfloat(287.04)", "rd = wpfloat(288.0)")], {"implicit"}),
    "a constant that nobody reads": ([], [("cpd =", "cvd = wpfloat(1.0)\n    cpd =")], set()),
    "the precision of another module": ([], [("vpfloat = np.float32", "vpfloat = np.float64")], {"implicit"}),
    "a literal": ([('wpfloat("2.0") * nabla2', 'wpfloat("2.5") * nabla2')], [], {"diffusion"}),
    "a function that a function calls": ([("x = q\n", "x = q + q\n")], [], {"precipitate"}),
    "a field of a named tuple": ([("Species(x=x, flux=flux, active=active)", "Species(x=flux, flux=x, active=active)")], [], {"precipitate"}),
    "the start of a scan": ([("flux=0.0, active=False), rho=0.0", "flux=1.0, active=False), rho=0.0")], [], {"precipitate"}),
    "the direction of a scan": ([("forward=False", "forward=True")], [], {"implicit"}),
    "a static argument": ([('"boundary": gtx.int32(9)', '"boundary": gtx.int32(11)')], [], {"diffusion"}),
    "an argument that is none any more": ([('"levels": levels, "boundary": gtx.int32(9)}', '"boundary": gtx.int32(9)}'),
                                           ("(*first, limited_area", "(*first, levels=levels, limited_area")], [], {"diffusion"}),
    "a level of a boundary": ([("K: (1, levels)", "K: (2, levels)")], [], {"diffusion"}),
    "another width of a table": ([("size=(size[Vertex], 6)", "size=(size[Vertex], 7)")], [], {"diffusion", "to_vertices", "implicit"}),
    "no missing neighbours": ([("rim[::2, 4:] = -1", ""), (", skip_value=-1)", ")")], [], {"diffusion", "to_vertices", "implicit"}),
    "the kind of a reduction": ([("min_over(w(V2C)", "max_over(w(V2C)"), ("min_over", "max_over")], [], {"to_vertices"}),
}


def keys(project, script, **env):
    """By program. They are made as they are looked up; nothing is translated."""
    shutil.copy(HERE / "programs" / "icon_keys.py", script.parent)
    done = subprocess.run([sys.executable, "-W", "ignore", script.parent / "icon_keys.py"], env=project.environment(**env), capture_output=True,
                          text=True, cwd=script.parent)
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


@slow
@pytest.mark.parametrize("backend", ["gtfn", "dace"])
def test_what_an_edit_changes(project, backend):
    """Each edit makes other keys for the programs that it reaches, and for no others."""
    env = BACKENDS[backend]
    first = keys(project, model(project), PYTHONHASHSEED="1", **env)
    assert set(first) == ALL
    for edit, (edits, constants, programs) in EDITS.items():
        found = keys(project, model(project, *edits, constants=constants), PYTHONHASHSEED="2", **env)
        assert {name for name in ALL if found.get(name) != first[name]} == programs, edit


@slow
def test_what_a_hook_changes(project):
    """A hook is what it computes, wherever it stands: its code, and what it reads."""
    env = BACKENDS["hooks"]
    first = keys(project, model(project), **env)
    assert keys(project, model(project, ("def simplify(sdfg):\n", "\n\ndef simplify(sdfg):\n    # a comment\n")), **env) == first
    for edit in (("UNROLL = True", "UNROLL = False"), ("simplify(validate=UNROLL)", "simplify(validate=UNROLL, validate_all=False)"),
                 ('"fuse_tasklets": True', '"fuse_tasklets": False')):
        assert not first.items() & keys(project, model(project, edit), **env).items(), edit


@slow
@pytest.mark.parametrize("backend", ["gtfn", "dace"])
def test_an_edited_model(project, cold, backend):
    """With the results of GT4Py alone, to the bit."""
    env = BACKENDS[backend]
    first = cold(project, env)
    chosen = [EDITS[name] for name in ("a constant of another module", "a field of a named tuple", "a static argument", "another width of a table")]
    script = model(project, *(edit for edits, _, _ in chosen for edit in edits), constants=[edit for _, edits, _ in chosen for edit in edits])
    result = project.good(script, **env)
    assert result.translations == 5 and result.compilers
    assert not {*result.out.splitlines()} & {*first.out.splitlines()}
    assert alone(project, script, **env) == result.out
    assert project.good(script, **env).work() == NONE
