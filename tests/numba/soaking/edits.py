"""One random edit of a project: something that decides code, or something that decides none."""
from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Callable

from . import generate
from .model import COMPILED, Item, Project, nodes

HAS_CODE = (*COMPILED, "jitable", "factory", "overload", "method", "attribute")


def _item(rng: Random, project: Project, *kinds: str) -> Item | None:
    """One of those that the program's calls reach, mostly."""
    found, used = project.of(*kinds), project.used()
    near = [item for item in found if item.name in used]
    if near and rng.random() < 0.85:
        found = near
    return rng.choice(found) if found else None


def constant(rng: Random, project: Project) -> str:
    item = _item(rng, project, *HAS_CODE, "intrinsic")
    found = [node for expr in (item.expr, item.other) for node in nodes(expr) if node[0] == "c" and node[1][-1].isdigit()] if item else []
    if not found:
        return ""
    node = rng.choice(found)
    node[1] = str(rng.randint(1, 50)) if item.kind == "intrinsic" else generate.number(rng)
    return f"constant of {item.name}"


def operator(rng: Random, project: Project) -> str:
    item = _item(rng, project, *HAS_CODE)
    found = [node for node in nodes(item.expr) if node[0] == "op"] if item else []
    if not found:
        return ""
    node = rng.choice(found)
    node[1] = rng.choice([each for each in generate.OPERATORS if each != node[1]])
    return f"operator of {item.name}"


def global_value(rng: Random, project: Project) -> str:
    item = _item(rng, project, "global")
    if item is None:
        return ""
    item.value = generate.global_value(rng, item.doc)
    return f"value of {item.name}"


def default(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func")
    if item is None:
        return ""
    item.default = "" if item.default and rng.random() < 0.3 else generate.number(rng)
    return f"default value of {item.name}"


def option(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "array", "hof", "rec", "factory", "overload")
    if item is None:
        return ""
    if item.kind == "overload":
        item.options = {} if item.options else {"inline": "'always'"}
    else:
        name, values = rng.choice(generate.OPTIONS)
        if name == "inline" and item.kind == "rec":
            return ""
        if item.options.get(name):
            del item.options[name]
        else:
            item.options[name] = rng.choice(values)
    return f"options of {item.name}: {item.options}"


def cache(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "array", "hof", "rec", "factory")
    if item is None:
        return ""
    item.cache = not item.cache
    return f"cache={item.cache} for {item.name}"


def signature(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "product", "rec", "hof", "array", "alias")
    if item is None:
        return ""
    generate.entry(rng, project, item)
    return f"another signature of {item.name}"


def forget(rng: Random, project: Project) -> str:
    if len(project.entries) < 4:
        return ""
    key = rng.choice(list(project.entries))
    del project.entries[key]
    return f"no call of {key}"


def add_call(rng: Random, project: Project) -> str:
    item = _item(rng, project, *HAS_CODE)
    if item is None or not item.expr:
        return ""
    item.expr = ["op", rng.choice("+-*"), item.expr, generate.Maker(rng, project).call(item.module, ["v", "x"])]
    return f"a call in {item.name}"


def remove_call(rng: Random, project: Project) -> str:
    item = _item(rng, project, *HAS_CODE)
    found = [node for node in nodes(item.expr) if node[0] in ("call", "lit", "rec", "hof", "tab")] if item else []
    if not found:
        return ""
    node = rng.choice(found)
    node[:] = ["v", "x"]
    return f"no call in {item.name}"


def tail(rng: Random, project: Project) -> str:
    item = _item(rng, project, "array")
    if item is None:
        return ""
    item.other = generate.Maker(rng, project).tail(item.module)
    return f"what {item.name} adds"


def overload(rng: Random, project: Project) -> str:
    item = _item(rng, project, "overload")
    if item is None:
        return ""
    item.expr = generate.Maker(rng, project).expr(item.module)
    if item.literal and rng.random() < 0.7:
        item.expr = ["op", "+", item.expr, ["c", "v"]]
    return f"overload {item.name}"


def branch(rng: Random, project: Project) -> str:
    item = _item(rng, project, "overload")
    if item is None:
        return ""
    item.other = [] if item.other else generate.Maker(rng, project).expr(item.module, 1)
    return f"a branch of overload {item.name}"


def method(rng: Random, project: Project) -> str:
    item = _item(rng, project, "method", "attribute", "intrinsic")
    if item is None:
        return ""
    item.expr = ["c", str(rng.randint(1, 99))]
    return f"{item.kind} {item.name}"


def made(rng: Random, project: Project) -> str:
    item = _item(rng, project, "product")
    if item is None:
        return ""
    item.args[0] = ["c", generate.number(rng)]
    return f"what {item.name} is made from"


def swap(rng: Random, project: Project) -> str:
    found = project.of("func")
    if len(found) < 2:
        return ""
    one, two = rng.sample(found, 2)
    one.expr, two.expr = two.expr, one.expr
    one.options, two.options = two.options, one.options
    return f"{one.name} and {two.name} swapped"


def more(rng: Random, project: Project) -> str:
    kind = rng.choice(generate.PARTS[:-1])
    if kind in ("ufunc", "gufunc") and rng.random() < 0.7:
        return ""
    item = generate.Maker(rng, project).add(kind, rng.randrange(project.count))
    if item is None:
        return ""
    if item.kind in ("func", "product", "rec", "hof", "array", "alias", "ufunc", "gufunc"):
        generate.entry(rng, project, item)
    return f"{kind} {item.name} added"


def remove(rng: Random, project: Project) -> str:
    needed = {each for item in project.items.values() for each in project.refs(item)} | project.used()
    found = [item for item in project.items.values() if item.name not in needed and item.kind != "overload"]
    if not found:
        return ""
    item = rng.choice(found)
    del project.items[item.name]
    return f"{item.kind} {item.name} removed"


def local(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "array")
    if item is None:
        return ""
    item.local = "u" if item.local == "t" else "t"
    return f"a local variable of {item.name} renamed"


def style(rng: Random, project: Project) -> str:
    item = _item(rng, project, *COMPILED, "jitable", "overload")
    found = [name for name in project.refs(item) if project.items[name].module != item.module] if item else []
    if not found:
        return ""
    project.imported ^= {(item.module, rng.choice(sorted(found)))}
    return f"how module {item.module} reads {found}"


# What decides nothing.

def comments(rng: Random, project: Project) -> str:
    for item in rng.sample(list(project.items.values()), k=min(3, len(project.items))):
        item.comments = rng.randint(0, 4)
    return "comments and blank lines"


def doc(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "rec", "hof", "array", "jitable")
    if item is None:
        return ""
    item.doc = rng.choice(["", "One.", "Another.", "A longer one, of course."])
    return f"docstring of {item.name}: {item.doc!r}"


def notes(rng: Random, project: Project) -> str:
    item = _item(rng, project, "func", "rec", "hof", "array")
    if item is None:
        return ""
    item.notes = not item.notes
    return f"annotations of {item.name}"


def order(rng: Random, project: Project) -> str:
    found = [item for item in project.items.values() if item.kind in ("global", "func", "rec", "hof", "array", "jitable", "intrinsic", "method")]
    places = [item.place for item in found]
    rng.shuffle(places)
    for item, place in zip(found, places):
        item.place = place
    return "functions reordered"


def move(rng: Random, project: Project) -> str:
    project.folder = rng.choice(["project", "moved/deep", "other place", f"p{rng.randint(0, 999)}"])
    return f"folder is {project.folder}"


def touch(rng: Random, project: Project) -> str:
    return "files touched"


def nothing(rng: Random, project: Project) -> str:
    return "nothing"


DECIDING: tuple[tuple[int, Callable[[Random, Project], str]], ...] = (
    (10, constant), (6, operator), (10, global_value), (4, default), (8, option), (2, cache), (6, signature), (2, forget), (6, add_call),
    (4, remove_call), (4, tail), (8, overload), (4, branch), (5, method), (4, made), (3, swap), (6, more), (3, remove), (2, local), (3, style))
NEUTRAL: tuple[tuple[int, Callable[[Random, Project], str]], ...] = (
    (5, comments), (5, doc), (3, notes), (4, order), (3, move), (2, touch), (1, nothing))


def edit(rng: Random, project: Project) -> tuple[Project, str, bool]:
    """(the project after one edit, what it was, whether it may decide code)."""
    while True:
        deciding = rng.random() < 0.72
        table = DECIDING if deciding else NEUTRAL
        change = rng.choices([each for _, each in table], [weight for weight, _ in table])[0]
        after = project.copy()
        text = change(rng, after)
        if text and after.is_sound() and 4 < len(after.items) < 45:
            return after, text, deciding


def write(project: Project, root: Path, cache: bool = True, when: float | None = None) -> Path:
    """Writes the modules below `root`; the folder."""
    folder = root / project.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in project.sources(cache).items():
        (folder / name).write_text(text)
        if when is not None:
            os.utime(folder / name, (when, when))
    return folder
