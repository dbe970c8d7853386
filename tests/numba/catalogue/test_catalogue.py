"""Every case of the catalogue with Saggar: right, or expected to fail with a reason."""
from __future__ import annotations

import fcntl
import importlib.util
import pickle

import numba
import pytest

from . import cases  # noqa: F401
from .known import KNOWN
from .model import CASES
from .runner import Column, judge, shows_something

VERSION = tuple(map(int, numba.__version__.split(".")[:2]))


def _parameter(case):
    marks = [pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}") for name in case.requires]
    marks.append(pytest.mark.skipif(case.since > VERSION, reason=f"needs Numba {case.since}"))
    if case.name in KNOWN:
        marks.append(pytest.mark.xfail(strict=True, reason=KNOWN[case.name]))
    return pytest.param(case, id=case.name, marks=marks)


def runnable(case):
    return case.since <= VERSION and all(importlib.util.find_spec(name) is not None for name in case.requires)


@pytest.fixture(scope="session")
def outcomes(request, tmp_path_factory):
    """What was seen of every chosen case, run once for all workers of the test runner."""
    chosen = {item.callspec.params["case"].name for item in request.session.items
              if item.path.name == "test_catalogue.py" and hasattr(item, "callspec")}
    wanted = [case for case in CASES if case.name in chosen and runnable(case)]
    columns = ["none", "saggar"] + (["numba"] if request.config.getoption("--with-numba", default=False) else [])
    shared = hasattr(request.config, "workerinput")
    work = tmp_path_factory.getbasetemp().parent if shared else tmp_path_factory.getbasetemp()
    with open(work / "catalogue.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = work / "catalogue.result"
        if not result.exists():
            seen = {column: Column(column, work / f"catalogue-{column}").run(wanted) for column in columns}
            result.write_bytes(pickle.dumps(seen))
        return pickle.loads(result.read_bytes())


def test_names():
    names = {case.name for case in CASES}
    assert len(names) == len(CASES) >= 60 and set(KNOWN) <= names


@pytest.mark.parametrize("case", [_parameter(case) for case in CASES])
def test_saggar(case, outcomes):
    seen, truth = outcomes["saggar"][case.name], outcomes["none"][case.name]
    verdict = judge(case, seen, truth)
    assert verdict.word == "right", f"{case.title}: {verdict}"
    assert shows_something(case, seen, truth), "the change is not to be seen in the result"
