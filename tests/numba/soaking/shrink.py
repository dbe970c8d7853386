"""Makes what was found small: calls, things and parts of expressions are left out as long as it still happens."""
from __future__ import annotations

import shutil
from collections.abc import Iterator

from .edits import write
from .model import Project, nodes
from .runner import Judge, Runner, differences

TRIES = 60


def happens(runner: Runner, before: Project, after: Project, what: str, name: str) -> bool:
    """True if going from one state to the other, with a store of its own, shows it."""
    if not before.is_sound() or not after.is_sound() or not after.entries:
        return False
    store, judge = runner.store(), Judge()
    root = runner.work / "small"
    try:
        for state in (before, after):
            shutil.rmtree(root, ignore_errors=True)
            reference, answers = runner.run(state, write(state, root), store)
            wrong = judge.look(state, answers) + differences(reference, answers[0])
        return any(kind == what and (found == name or what in ("broken", "fault")) for kind, found, _ in wrong)
    finally:
        shutil.rmtree(store, ignore_errors=True)


def smallest(runner: Runner, before: Project, after: Project, what: str, name: str) -> tuple[Project, Project] | None:
    """The smallest pair of states found that shows it, or None if these two do not."""
    if not happens(runner, before, after, what, name):
        return None
    tries, again = 0, True
    while again and tries < TRIES:
        again = False
        for smaller in _smaller(before, after):
            tries += 1
            if happens(runner, *smaller, what, name):
                before, after = smaller
                again = True
                break
            if tries >= TRIES:
                break
    return before, after


def _smaller(before: Project, after: Project) -> Iterator[tuple[Project, Project]]:
    keys = list(dict.fromkeys([*before.entries, *after.entries]))
    for some in (*_halves(keys), *([key] for key in keys)):
        pair = before.copy(), after.copy()
        for each in pair:
            for key in some:
                each.entries.pop(key, None)
        if pair[1].entries:
            yield pair
    unused = [name for name in before.items if name not in before.used() and name not in after.used()]
    for some in (unused, *([name] for name in unused)):
        pair = before.copy(), after.copy()
        for each in pair:
            for name in some:
                each.items.pop(name, None)
            _unused_overloads(each)
        if some:
            yield pair
    for name in before.items:  # a whole expression, then each of its nodes
        for which in ("expr", "other"):
            if name not in after.items or not getattr(before.items[name], which):
                continue
            same = getattr(before.items[name], which) == getattr(after.items[name], which)
            if not same or len(list(nodes(getattr(before.items[name], which)))) < 2:
                continue
            for part in getattr(before.items[name], which)[1:]:
                if isinstance(part, list):
                    pair = before.copy(), after.copy()
                    for each in pair:
                        setattr(each.items[name], which, part)
                    yield pair


def _halves(keys: list[str]) -> list[list[str]]:
    return [keys[: len(keys) // 2], keys[len(keys) // 2:]] if len(keys) > 3 else []


def _unused_overloads(project: Project) -> None:
    for item in project.of("overload"):
        if item.target not in project.items:
            del project.items[item.name]


def text(before: Project, after: Project) -> str:
    """Both states, the second as what differs from the first."""
    import difflib

    one, two = before.sources(), after.sources()
    lines = []
    for name in two:
        old, new = (_without_head(each.get(name, "")) for each in (one, two))
        lines.append(f"   -- {name}")
        lines += ["   " + line for line in old.splitlines() if line.strip()]
        if old != new:
            lines.append("   -- becomes")
            lines += ["   " + line for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)][2:]
    lines.append(f"   -- calls: {[(key.split()[0], args) for key, (_, args) in after.entries.items()]}")
    return "\n".join(lines)


def _without_head(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if not line.startswith(("from numba", "import enum", "import math",
                                                                                   "import numpy", "from collections")))
