"""Random projects, from a random.Random alone: the same seed gives the same project everywhere."""
from __future__ import annotations

from random import Random
from typing import Any

from .model import CALLED, DISPATCHERS, Item, Project, module_name

OPERATORS = ("+", "-", "*", "+", "-", "*", "/", "//", "%")
FUNCTIONS = ("abs(@)", "math.sqrt(abs(@))", "math.sin(@)", "np.floor(@)", "min(@, 7)", "max(@, -3.5)", "np.float64(@)")
GLOBALS = {
    "int": ("@ = {i}", ["@"]),
    "float": ("@ = {f}", ["@"]),
    "nan": ("@ = float({n!r})", ["@"]),
    "bool": ("@ = {b}", ["(1 if @ else 2)"]),
    "str": ("@ = {s!r}", ["len(@)"]),
    "tuple": ("@ = ({i}, {f}, {j})", ["@[0]", "@[1]", "@[2]", "len(@)"]),
    "nested": ("@ = (({i}, {j}), {f})", ["@[0][1]", "@[1]"]),
    "array": ("@ = np.array([{f}, {i}, {j}])", ["@[0]", "@[1]", "@[2]", "@.size"]),
    "ints": ("@ = np.array([[{i}, {j}], [1, 2]], dtype=np.int32)", ["@[0, 1]", "@[0, 0]", "@.sum()"]),
    "named": ("@_class = namedtuple('@_class', 'p q')\n@ = @_class({i}, {f})", ["@.p", "@.q"]),
    "enum": ("class @(enum.IntEnum):\n    one = {i}\n    two = {k}", ["@.one.value", "@.two.value"]),
    "numpy": ("@ = np.float32({f})", ["@"]),
    "small": ("@ = np.int8({t})", ["@"]),
}
OPTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("fastmath", ("True", "{'nnan', 'ninf'}", "{'contract'}")), ("boundscheck", ("True",)), ("error_model", ("'numpy'", "'python'")),
    ("inline", ("'always'",)), ("nogil", ("True",)), ("forceinline", ("True",)))


def number(rng: Random) -> str:
    if rng.random() < 0.5:
        return str(rng.randint(-9, 30))
    return repr(rng.choice([0.5, -1.25, 3.0, 1e300, -0.0, 2.5e-5, rng.randint(-500, 500) / 8]))


def global_value(rng: Random, kind: str) -> str:
    i, k = rng.randint(-20, 99), rng.randint(100, 200)
    # Other texts are other values, as np.float32 too: 1e6 + i is exact there, 1e10 + i is not.
    return GLOBALS[kind][0].format(i=i, j=rng.randint(0, 9), k=k, t=rng.randint(-90, 90), f=rng.choice([0.25, -0.0, 2.5, 1e6, 7.125]) + i,
                                   n=rng.choice(["nan", "inf", "-inf", "-nan"]), b=rng.random() < 0.5, s="s" * rng.randint(1, 9))


class Maker:
    """Makes items and expressions for one project."""

    def __init__(self, rng: Random, project: Project) -> None:
        self.rng = rng
        self.project = project
        self.made = 0

    def fresh(self, prefix: str) -> str:
        while True:
            self.made += 1
            name = f"{prefix}{self.made}"
            if name not in self.project.items:
                return name

    def visible(self, module: int, *kinds: str) -> list[Item]:
        return [item for item in self.project.of(*kinds) if item.module <= module]

    def leaf(self, module: int) -> list[Any]:
        found = self.visible(module, "global")
        if found and self.rng.random() < 0.5:
            item = self.rng.choice(found)
            return ["g", item.name, self.rng.choice(item.access)]
        return ["c", number(self.rng)]

    def call(self, module: int, inner: list[Any]) -> list[Any]:
        """A call of something that is there."""
        rng = self.rng
        kind = rng.choice(("plain", "plain", "plain", "rec", "hof", "table"))
        if kind == "rec" and (found := self.visible(module, "rec", "pingpong")):
            return ["rec", rng.choice(found).name, inner]
        if kind == "hof" and (found := self.visible(module, "hof")) and (given := self.visible(module, *DISPATCHERS)):
            return ["hof", rng.choice(found).name, rng.choice(given).name, inner]
        if kind == "table" and (found := self.visible(module, "table")):
            item = rng.choice(found)
            return ["tab", item.name, str(rng.randrange(len(item.args))), inner]
        found = self.visible(module, *CALLED)
        if not found:
            return inner
        item = rng.choice(found)
        return ["lit", item.name, inner, str(rng.randint(1, 9))] if item.literal else ["call", item.name, inner]

    def expr(self, module: int, depth: int = 2) -> list[Any]:
        rng = self.rng
        roll = rng.random()
        if depth <= 0 or roll < 0.1:
            return ["v", "x"]
        if roll < 0.5:
            return ["op", rng.choice(OPERATORS), self.expr(module, depth - 1), self.leaf(module)]
        if roll < 0.58:
            return ["fn", rng.choice(FUNCTIONS), self.expr(module, depth - 1)]
        if roll < 0.65:
            return ["if", number(rng), self.expr(module, depth - 1), self.leaf(module)]
        return ["op", rng.choice("+-*"), self.call(module, self.expr(module, depth - 2)), self.leaf(module)]

    def options(self, kind: str) -> dict[str, str]:
        rng = self.rng
        if kind == "array" and rng.random() < 0.06:
            return {"parallel": "True"}
        if rng.random() > 0.25:
            return {}
        name, values = rng.choice(OPTIONS)
        if name == "inline" and kind in ("rec", "pingpong"):
            return {}
        return {name: rng.choice(values)}

    def add(self, kind: str, module: int) -> Item | None:
        """Adds one item of a kind; None if there is nothing that it could refer to."""
        make = getattr(self, "_" + kind, None)
        item = make(module) if make else self._function(kind, module)
        return self.project.add(item) if item is not None else None

    def _function(self, kind: str, module: int) -> Item:
        rng = self.rng
        item = Item(kind, self.fresh(kind[0] + "_"), module, self.expr(module), options=self.options(kind))
        item.cache = rng.random() > 0.15
        if kind in ("rec", "pingpong"):
            item.other = self.expr(module, 1)
        if kind == "array":
            item.other = self.tail(module)
        if kind == "func" and rng.random() < 0.25:
            found = [each.name for each in self.visible(module, "global") if each.access == ["@"]]
            item.default = rng.choice([*found, number(rng)])
        return item

    def tail(self, module: int) -> list[Any]:
        rng = self.rng
        found: list[list[Any]] = [["c", number(rng)], ["c", "a.sum()"], ["c", "a.shape[0]"]]
        found += [["meth", item.name] for item in self.project.of("method")] * 2
        found += [["at", item.name] for item in self.project.of("attribute")] * 2
        found += [["uf", item.name] for item in self.visible(module, "ufunc")] * 2
        return rng.choice(found)

    def _global(self, module: int) -> Item:
        kind = self.rng.choice(list(GLOBALS))
        item = Item("global", self.fresh("K"), module, access=list(GLOBALS[kind][1]), value=global_value(self.rng, kind))
        item.doc = kind
        return item

    def _factory(self, module: int) -> Item:
        item = self._function("factory", module)
        item.expr = ["op", self.rng.choice("+-*"), item.expr, ["c", "k"]]
        if self.rng.random() < 0.5:
            item.expr = ["op", "+", item.expr, ["c", "g(x)"]]
            item.literal = True  # it needs a function
        item.default = ""
        return item

    def _product(self, module: int) -> Item | None:
        factories, given = self.visible(module, "factory"), self.visible(module, "func")
        factories = [item for item in factories if given or not item.literal]
        if not factories:
            return None
        made = self.rng.choice(factories)
        second = ["ref", self.rng.choice(given).name] if made.literal else ["c", "None"]
        return Item("product", self.fresh("p_"), module, target=made.name, args=[["c", number(self.rng)], second])

    def _alias(self, module: int) -> Item | None:
        found = self.visible(module, *DISPATCHERS)
        return Item("alias", self.fresh("al_"), module, target=self.rng.choice(found).name) if found else None

    def _table(self, module: int) -> Item | None:
        found = self.visible(module, *DISPATCHERS)
        if not found:
            return None
        return Item("table", self.fresh("T"), module, args=[["ref", self.rng.choice(found).name] for _ in range(2)])

    def _stub(self, module: int) -> Item:
        item = Item("stub", self.fresh("s_"), module, literal=self.rng.random() < 0.3)
        self.project.add(item)
        self.project.add(self.overload(item, self.rng.randint(module, self.project.count - 1)))
        return item

    def overload(self, stub: Item, module: int) -> Item:
        rng = self.rng
        made = Item("overload", self.fresh("ol_"), module, self.expr(module), target=stub.name, literal=stub.literal)
        if stub.literal:
            made.expr = ["op", rng.choice("+-*"), made.expr, ["c", "v"]]
        if rng.random() < 0.4:
            made.other = self.expr(module, 1)
        if rng.random() < 0.25:
            made.options = {"inline": "'always'"}
        return made

    def _intrinsic(self, module: int) -> Item:
        numbers = [item.name for item in self.visible(module, "global") if item.doc in ("int", "float")]
        expr = ["g", self.rng.choice(numbers), "int(@)"] if numbers and self.rng.random() < 0.4 else ["c", str(self.rng.randint(1, 50))]
        return Item("intrinsic", self.fresh("in_"), module, expr)

    def _ufunc(self, module: int) -> Item:
        return Item("ufunc", self.fresh("u_"), module, self.expr(module, 1))

    def _gufunc(self, module: int) -> Item:
        return Item("gufunc", self.fresh("gu_"), module, self.expr(module, 1))


# What a project is made of; earlier ones can be read by later ones.
PARTS = ("global", "global", "global", "func", "func", "stub", "jitable", "func", "factory", "product", "product", "intrinsic",
         "rec", "hof", "func", "alias", "method", "attribute", "table", "array", "func", "stub", "pingpong", "ufunc", "gufunc", "array")
RARE = {"ufunc": 0.2, "gufunc": 0.1, "pingpong": 0.12, "table": 0.4, "alias": 0.4, "rec": 0.5, "method": 0.6, "attribute": 0.6}


def project(rng: Random) -> Project:
    """A new project, with what its program calls."""
    made = Project(rng.randint(2, 4))
    maker = Maker(rng, made)
    module = 0
    for at, kind in enumerate(PARTS):
        if rng.random() > RARE.get(kind, 0.85):
            continue
        module = min(made.count - 1, max(rng.randint(0, made.count - 1), at * made.count // len(PARTS) - 1))
        maker.add(kind, module)
    for item in made.items.values():
        for name in sorted(made.refs(item)):
            if rng.random() < 0.5:
                made.imported.add((item.module, name))
    for item in made.of("func", "product", "rec", "pingpong", "hof", "array", "alias", "ufunc", "gufunc"):
        if rng.random() < 0.75:
            entry(rng, made, item)
    return made


def entry(rng: Random, made: Project, item: Item) -> None:
    """Adds a call to what the program does."""
    given = [each for each in made.of(*DISPATCHERS)]
    scalar = rng.choice([["int", 3], ["float", 2.5], ["int", -7], ["int32", 5], ["float32", 0.75], ["float", -4.0], ["bool", True]])
    if item.kind in ("array", "ufunc", "gufunc"):
        args: list[list[Any]] = [["array", rng.choice(["float64", "float64", "float32", "int64"])]]
    elif item.kind in ("rec", "pingpong"):
        args = [["int", 3], scalar if scalar[0] != "bool" else ["float", 1.5]]
    elif item.kind == "hof":
        if not given:
            return
        each = rng.choice(given)
        args = [["fn", each.name, module_name(each.module)], scalar]
    else:
        args = [scalar]
    made.entries[f"{item.name} {len(made.entries)} {rng.randint(0, 9999)}"] = [item.name, args]
