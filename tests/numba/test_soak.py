"""Random projects and edits, see soak.py: never stale, hardly ever a needless compilation; and the soak would notice."""
import os

import pytest
from soak import Soak

STEPS = int(os.environ.get("SOAK_STEPS", "200"))


def soak(tmp_path, seed, steps, until=lambda found: False):
    said = []
    run = Soak(seed, tmp_path, show=1, say=lambda text, **_: said.append(text), until=until)
    try:
        run.run(steps)
    finally:
        run.runner.close()
    return run, "\n".join([*said, run.summary()])


@pytest.mark.parametrize("seed", [1, 3])
def test_random_edits(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("SOAK_OPT", "0")  # a third cheaper; `make soak` optimizes
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
