"""A project of a few modules as a model: what each thing in it is, its source text, and what its code depends on.

An `Item` is one thing at the top of a module. Expressions are nested lists (see `writer.Writer.expr`), so that an edit can
change one node. `Project.print_of(name)` is what decides the code of a function: the texts of everything that it
reaches, without comments, docstrings and places. Two states of a project need a new compilation of a function if and
only if these differ.
"""
from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .writer import HEAD, Writer, module_name

CALLED = ("func", "product", "stub", "intrinsic", "jitable", "alias")  # name(x)
DISPATCHERS = ("func", "product")
COMPILED = ("func", "array", "hof", "rec", "product", "ufunc", "gufunc", "pingpong")
GIVEN = {"fastmath", "error_model", "forceinline"}  # options that a callee takes over
# The order inside a module: what is needed when the module is executed comes first.
ORDER = ("global", "stub", "jitable", "func", "rec", "pingpong", "hof", "array", "factory", "product", "alias", "table",
         "intrinsic", "overload", "method", "attribute", "ufunc", "gufunc")


@dataclass
class Item:
    kind: str
    name: str
    module: int
    expr: list[Any] = field(default_factory=list)
    other: list[Any] = field(default_factory=list)  # a second branch, or what an array function adds at its end
    value: str = ""  # a global's
    access: list[str] = field(default_factory=list)  # how a global's parts are read
    options: dict[str, str] = field(default_factory=dict)
    cache: bool = True
    target: str = ""  # an overload's stub, a product's factory, an alias's function
    args: list[Any] = field(default_factory=list)
    default: str = ""  # of a second argument: a number, or a global
    local: str = "t"  # the name of a local variable
    literal: bool = False
    comments: int = 0  # what decides nothing, from here on
    doc: str = ""
    notes: bool = False
    place: float = 0.0


def nodes(expr: Any) -> Iterator[list[Any]]:
    """Every node of an expression."""
    if isinstance(expr, list) and expr and isinstance(expr[0], str):
        yield expr
        for part in expr[1:]:
            yield from nodes(part)


class Project:
    """The items by name, and how modules read each other: by `module.name`, or imported by name."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.items: dict[str, Item] = {}
        self.imported: set[tuple[int, str]] = set()  # (reader's module, name)
        self.entries: dict[str, list[Any]] = {}  # what the program calls, by a name of its own
        self.folder = "project"

    def copy(self) -> Project:
        return copy.deepcopy(self)

    def add(self, item: Item) -> Item:
        item.place = item.place or float(len(self.items))
        self.items[item.name] = item
        return item

    def of(self, *kinds: str) -> list[Item]:
        return [item for item in self.items.values() if item.kind in kinds]

    def refs(self, item: Item) -> set[str]:
        """The names that an item's code reads."""
        found = {node[1] for expr in (item.expr, item.other, *item.args) for node in nodes(expr)
                 if node[0] in ("g", "call", "lit", "rec", "meth", "at", "uf", "tab", "ref")}
        for expr in (item.expr, item.other):
            for node in nodes(expr):
                if node[0] == "hof":
                    found |= {node[1], node[2]}
        if item.target:
            found.add(item.target)
        if item.default in self.items:
            found.add(item.default)
        return found

    def depends(self, item: Item) -> set[str]:
        """What an item's code depends on directly."""
        found = self.refs(item)
        if item.kind == "stub":
            found |= {each.name for each in self.of("overload") if each.target == item.name}
        if item.kind == "overload":  # its body, not what it is for
            target, item.target = item.target, ""
            found, item.target = self.refs(item), target
        return found

    def reach(self, name: str) -> set[str]:
        found: set[str] = set()
        todo = [name]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(self.depends(self.items[name]))
        return found

    def print_of(self, name: str) -> str:
        """What decides the code of a function, digested."""
        item = self.items[name]
        reached = self.reach(name)
        if item.kind in ("product", "alias"):
            reached.discard(name)  # a name for what a factory made; what it made is what counts
        texts = sorted(f"{self.items[each].module} {Writer(self, plain=True).item(self.items[each])}" for each in reached)
        what = f"{item.kind} {item.args if item.kind == 'product' else ''}"
        return hashlib.sha256("\0".join([what, *texts]).encode()).hexdigest()[:16]

    def branches(self) -> list[Project]:
        """The project with one implementation alone of each overload that has two: types choose, and the other's callees decide nothing."""
        two = [item.name for item in self.of("overload") if item.other]
        found = []
        for chosen in itertools.product((False, True), repeat=len(two)) if two else ():
            found.append(self.copy())
            for name, other in zip(two, chosen):
                item = found[-1].items[name]
                item.expr, item.other = (item.other if other else item.expr), []
        return found

    def inheriting(self) -> set[str]:
        """Those that reach functions which may take over options from their callers, whether they reach these too or not."""
        reached = {name: self.reach(name) for name in self.items}
        calls = [reached[each] for each, item in self.items.items() if GIVEN & set(item.options)]
        for key in self.entries:
            functions = self.functions_of(key)
            called = set().union(*(reached[name] for name in functions))
            if len(functions) > 1 and any(GIVEN & set(self.items[each].options) for each in called):
                calls.append(called)  # a function calls its argument
        given = set().union(*calls)
        return {name for name in self.items if not given.isdisjoint(reached[name])}

    def functions_of(self, key: str) -> list[str]:
        """The function that a call of the program is for, and those among its arguments."""
        name, args = self.entries[key]
        return [name, *(arg[1] for arg in args if arg[0] == "fn")]

    def is_sound(self) -> bool:
        """All names exist, modules read only those before them, and nothing but recursion calls itself."""
        done: set[str] = set()

        def visit(name: str, above: tuple[str, ...]) -> bool:
            if name in above:
                return False
            if name in done:
                return True
            item = self.items[name]
            for each in self.depends(item):
                target = self.items.get(each)
                if target is None or (target.module > item.module and item.kind != "stub"
                                      and target.kind not in ("method", "attribute")):
                    return False
                if not visit(each, (*above, name)):
                    return False
            done.add(name)
            return True

        return all(visit(name, ()) for name in self.items) and all(
            all(arg[0] != "fn" or arg[1] in self.items for arg in entry[1]) and entry[0] in self.items
            for entry in self.entries.values())

    def used(self) -> set[str]:
        """What the program's calls reach."""
        return set().union(*(self.reach(each) for key in self.entries for each in self.functions_of(key)))

    def group(self, name: str) -> str:
        """Where the function is defined, as the adapter names it."""
        item = self.items[name]
        if item.kind == "product":
            made = self.items[item.target]
            return f"{module_name(made.module)}:{made.name}.<locals>.inner"
        return f"{module_name(item.module)}:{name}"

    def ordered(self) -> list[str]:
        """All names as they stand in the modules."""
        return sorted(self.items, key=lambda name: (self.items[name].module, ORDER.index(self.items[name].kind), self.items[name].place))

    def sources(self, cache: bool = True) -> dict[str, str]:
        """The modules' texts."""
        writer, ordered = Writer(self), [self.items[name] for name in self.ordered()]
        result = {}
        for module in range(self.count):
            mine = [item for item in ordered if item.module == module]
            lines = [HEAD]
            lines += [f"import {module_name(other)}" for other in range(module)]
            for name in sorted({each for item in mine for each in self.refs(item)}):
                target = self.items[name]
                if target.module != module and (module, name) in self.imported and target.kind not in ("method", "attribute"):
                    lines.append(f"from {module_name(target.module)} import {name}")
            body = "\n".join("\n" * (1 + item.comments) + "# comment\n" * item.comments + writer.item(item) for item in mine)
            text = "\n".join(lines) + "\n" + body
            result[f"{module_name(module)}.py"] = text if cache else text.replace("cache=True", "cache=False")
        return result
