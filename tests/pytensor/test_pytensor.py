"""PyTensor and PyMC, unmodified: the right numbers, nothing compiled twice, nothing stale."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SAGGAR = os.environ.get("SAGGAR_BIN", "saggar")
OP = """
    import numpy as np, pytensor, pytensor.tensor as pt
    from pytensor.graph import Apply, Op
    from pytensor.link.numba.dispatch import basic
    class Scaled(Op):
        __props__ = ("by",)
        def __init__(self, by): self.by = by
        def make_node(self, x): return Apply(self, [pt.as_tensor(x)], [pt.vector(dtype="float64")])
        def perform(self, node, inputs, outputs): raise NotImplementedError
    @basic.register_funcify_default_op_cache_key(Scaled)
    def scaled(op, node=None, **kwargs):
        by = float(op.by)
        @basic.numba_njit
        def impl(x):
            return x * by {edit}
        return impl
    """
USE = """
    import numpy as np, pytensor, pytensor.tensor as pt
    from ops import Scaled
    x = pt.vector("x")
    print(pytensor.function([x], Scaled(2)(x), mode="NUMBA")(np.arange(3.0)).tolist())
    """


def numbers(text):
    return [float(word) for word in text.replace("[", " ").replace("]", " ").replace(",", " ").split()
            if word not in ("nodes", "True")]


def same(one, other):
    """Reassociated sums may differ in the last places, with and without Saggar: cold and warm runs link differently."""
    assert numbers(one.out) == pytest.approx(numbers(other.out), rel=1e-9, abs=1e-12)


def check(project, program):
    plain = project.run(program, SAGGAR_MODE="off")
    assert plain.code == 0, plain.err
    cold = project.good(program)
    same(cold, plain)
    assert cold.cacheable() and not cold.of("not-stored") and not cold.of("random-name")
    warm = project.good(program)
    same(warm, plain)
    assert warm.cacheable() == [] and warm.count("hit") == 1, [e for e in warm.events if e["event"] == "miss"]
    moved = project.work / "elsewhere" / "store"
    moved.parent.mkdir()
    shutil.move(project.store, moved)
    for path in moved.rglob("*"):
        os.utime(path, (1, 1))
    project.store = moved
    again = project.good(program, PYTHONHASHSEED="77")
    same(again, plain)
    assert again.cacheable() == []
    return cold


def test_model(project):
    pytest.importorskip("pymc")
    check(project, project.program("model.py"))


def test_graph_with_lapack(project):
    """Its Cholesky factor and its solver find LAPACK's functions in blocks of object mode."""
    check(project, project.program("graph.py"))


def test_eight_processes_do_the_work_of_one(project):
    pytest.importorskip("pymc")
    program = project.program("model.py")
    one = project.good(program)
    project.store = project.work / "fresh"
    eight = [project.finish(s, timeout=900) for s in [project.start(program) for _ in range(8)]]
    assert [r.code for r in eight] == [0] * 8, eight[0].err
    for result in eight:
        same(result, one)
    total = sum(len(r.cacheable()) for r in eight)
    assert total <= 1.1 * len(one.cacheable()), (total, len(one.cacheable()))


def right(form):
    return [[3.0, 3.0], [300.0, 300.0]] if form == "constants" else [[2.0, 2.0], [101.0, 101.0]]


@pytest.mark.parametrize("form", ["inlined", "called", "constants", "fork"])
def test_inner_functions_of_one_name(project, form):
    program = project.program("ops.py")
    env = {"FORM": form, "PYTHONHASHSEED": "0"}
    if form == "fork":
        assert project.run(program, KS="1 2", **env).out.strip() == str(right(form))
    else:
        for k in "12":
            assert project.good(program, KS=k, **env).out.strip() == str([right(form)[int(k) - 1]])
    assert project.good(program, KS="1 2", **env).out.strip() == str(right(form))
    assert project.good(program, KS="2 1", **env).out.strip() == str(right(form) if form == "fork" else right(form)[::-1])


def test_all_of_them_from_one_image(project):
    program = project.program("ops.py")
    forms = ["inlined", "called", "constants"]
    for form in forms:
        for ks in ("1", "2", "1 2"):
            project.good(program, KS=ks, FORM=form)
    image = project.work / "all.saggar"
    done = subprocess.run([SAGGAR, "bake", "--all", "-o", image, project.store], capture_output=True, text=True,
                          env=dict(os.environ, XDG_STATE_HOME=str(project.work / "state")))
    assert done.returncode == 0, done.stderr
    project.store = project.work / "empty"
    for form in forms:
        result = project.good(program, KS="1 2", FORM=form, SAGGAR_IMAGE=str(image))
        assert result.out.strip() == str(right(form)) and result.cacheable() == []


def test_an_edited_implementation_is_compiled_again(project):
    project.write("ops.py", OP.replace("{edit}", ""))
    assert project.good(USE).out == "[0.0, 2.0, 4.0]\n"
    project.write("ops.py", OP.replace("{edit}", "+ 1"))
    edited = project.good(USE)
    assert edited.out == "[1.0, 3.0, 5.0]\n" and edited.cacheable()
    project.write("ops.py", "\n    # a comment\n\n" + OP.replace("{edit}", "+ 1"))
    moved = project.good(USE)
    assert moved.out == "[1.0, 3.0, 5.0]\n" and moved.cacheable() == []


def test_another_version_of_pytensor_is_not_served(project):
    project.write("ops.py", OP.replace("{edit}", ""))
    cold, _ = project.cold_and_warm(USE)
    project.write("pytensor-99.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: pytensor\nVersion: 99.1\n")
    other = project.good(USE)
    assert other.out == cold.out and other.cacheable() == cold.cacheable()


def test_damaged_entries_are_misses(project):
    project.write("ops.py", OP.replace("{edit}", ""))
    cold = project.good(USE)
    entries = [path for path in project.store.rglob("*") if path.is_file()]
    assert entries
    for path in entries:
        path.chmod(0o644)
        os.truncate(path, 40)
    damaged = project.good(USE)
    assert damaged.out == cold.out and damaged.cacheable()
    assert project.good(USE).cacheable() == [], "it was not repaired"


def test_a_store_that_cannot_be_written(project):
    project.write("ops.py", OP.replace("{edit}", ""))
    project.store = Path("/proc/nowhere")
    result = project.run(USE)
    assert result.code == 0 and result.out == "[0.0, 2.0, 4.0]\n"


def test_pytensors_own_folder_stays_empty(project):
    project.write("ops.py", OP.replace("{edit}", ""))
    project.good(USE)
    assert not list((project.work / "pytensor").rglob("*.nbi"))


def test_entries_are_the_same_bytes_for_every_hash_seed(project):
    """Also those with blocks of object mode, whose pickles stand in the machine code."""
    program = """
        import numpy as np, pytensor, pytensor.tensor as pt
        x, y = pt.vector("x"), pt.vector("y")
        print(pytensor.function([x, y], pt.dot(x, y), mode="NUMBA")(np.ones(3), np.ones(3)))
        """
    images = []
    for seed in "12":
        project.store = project.work / f"store{seed}"
        assert not project.good(program, PYTHONHASHSEED=seed).of("not-stored")
        images.append(project.work / f"{seed}.saggar")
        subprocess.run([SAGGAR, "bake", "--all", "-o", images[-1], project.store], check=True, capture_output=True,
                       env=dict(os.environ, XDG_STATE_HOME=str(project.work / "state")))
    assert images[0].read_bytes() == images[1].read_bytes()
