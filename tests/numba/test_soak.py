"""Random projects and edits, see soak.py: never stale, hardly ever a needless compilation; and the soak would notice."""
import os
from random import Random

import pytest
from soak import Soak
from soaking import generate
from soaking.model import Item, Project
from soaking.runner import Judge, Known

STEPS = int(os.environ.get("SOAK_STEPS", "200"))


def soak(tmp_path, seed, steps, until=lambda found: False):
    said = []
    run = Soak(seed, tmp_path, show=1, say=lambda text, **_: said.append(text), until=until)
    try:
        run.run(steps)
    finally:
        run.runner.close()
    return run, "\n".join([*said, run.summary()])


@pytest.mark.parametrize("seed", [4, 5])
def test_random_edits(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("SOAK_OPT", "1")  # a quarter cheaper than 3, which `make soak` has; at 0 no caller can be stored
    steps = STEPS // 2
    run, text = soak(tmp_path, seed, steps)
    print(text)
    assert run.good(), text
    assert run.step == steps and run.judge.counts["hits"] > steps and run.judge.counts["compiled"] > steps / 2
    assert run.calls["answers"] > 0.6 * sum(run.calls.values()), run.calls


@pytest.mark.parametrize("how,what,seed", [("stale", "different", 6), ("needless", "needless", 2)])
def test_a_broken_adapter_is_noticed(tmp_path, monkeypatch, how, what, seed):
    monkeypatch.setenv("SOAK_BREAK", how)
    if how == "stale":  # one case that is reduced is enough
        monkeypatch.setattr("soaking.shrink.smallest", lambda *args: None)
    run, text = soak(tmp_path, seed, 60, until=lambda found: found[what] > 0)
    assert run.found[what] and not run.good(), text
    assert (run.kept[0] / "after").is_dir()


def test_what_is_known_of_a_call_ends_with_each_function_it_calls():
    # Also where only its argument may take over options: the first of these calls h_11(f_9), and only f_9 may.
    for seed in ("20261400 30", *map(str, range(20))):
        project = generate.project(Random(seed))
        if not project.is_sound():
            continue
        before = Known.texts(project)
        for key in project.entries:
            for name in project.functions_of(key):
                after = project.copy()
                after.items[name].expr = ["op", "+", after.items[name].expr, ["c", "1"]]
                if after.print_of(name) != project.print_of(name):
                    assert Known.texts(after)[key] != before[key], (seed, key, name)


def test_what_the_other_implementation_of_an_overload_calls_may_change():
    x = ["v", "x"]
    project = Project(1)
    for item in (Item("intrinsic", "in_1", 0, ["c", "77"]), Item("intrinsic", "in_2", 0, ["c", "5"]), Item("stub", "s_3", 0),
                 Item("overload", "ol_4", 0, ["call", "in_1", x], ["call", "in_2", x], target="s_3"), Item("func", "f_5", 0, ["call", "s_3", x])):
        project.add(item)
    judge, event = Judge(), {"name": "f_5", "args": "int32", "inherited": ""}
    assert not judge.look(project, [{"events": [{**event, "event": "compiled"}, {**event, "event": "published"}]}])
    for number, (changed, served) in enumerate((("in_1", False), ("in_2", True))):  # one is not used; then both are others
        project.items[changed].expr = ["c", str(number)]
        wrong = judge.copy().look(project, [{"events": [{**event, "event": "hit"}]}])
        assert [what for what, *_ in wrong] == ["served"] * served
