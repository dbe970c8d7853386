"""The trail through the binding."""
from __future__ import annotations

import os

import pytest

from saggar import _saggar as saggar

WORDS = ["adapter", "hit", "miss", "compiled", "published", "not-stored", "fault", "waited", "random-name"]


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "trail").mkdir(mode=0o700)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SAGGAR_")}
    return dict(env, SAGGAR_TRAIL=str(tmp_path / "trail"), XDG_STATE_HOME=str(tmp_path / "state"))


def test_every_event_is_counted(run, environment):
    code = f"""
from saggar import _saggar as s
for i, word in enumerate({WORDS!r}):
    for _ in range(i + 1):
        s.trail(word, flags=s.FLAG_USED | s.FLAG_CACHEABLE, reason="features", value=12, key=bytes(32), group="numba:m:f", detail="d", blob=b"x")
s.trail_close()
print(list(s.trail_counts().items()))
"""
    assert eval(run(code, env=environment)) == [(word, i + 1) for i, word in enumerate(WORDS)]


def test_it_lands_in_the_directory(run, environment, tmp_path):
    run("from saggar import _saggar as s; s.trail('compiled', group='numba:module:name_to_look_for', value=5)", env=environment)
    files = [path for path in (tmp_path / "trail").rglob("*") if path.is_file()]
    assert any(b"name_to_look_for" in path.read_bytes() for path in files)


def test_any_text_is_taken(run, environment):
    code = "from saggar import _saggar as s; s.trail('miss', group='a\\ud800\\0b', detail='x' * 100000, blob=bytes(200000)); print(s.trail_counts()['miss'])"
    assert run(code, env=environment) == "1\n"


def test_wrong_arguments():
    for arguments in (dict(flags="x"), dict(key="text"), dict(group=1), dict(blob="text"), dict(reason=1)):
        with pytest.raises(TypeError):
            saggar.trail("hit", **arguments)
    with pytest.raises(ValueError):
        saggar.trail("no-such-event")
    with pytest.raises(ValueError):
        saggar.trail("hit", reason="no-such-reason")
    assert saggar.FLAG_USED | saggar.FLAG_CACHEABLE | saggar.FLAG_ACTIVE | saggar.FLAG_NESTED == 15
