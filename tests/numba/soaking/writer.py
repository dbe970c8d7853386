"""The source text of a project's things."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Item, Project

HEAD = """\
import enum
import math
from collections import namedtuple
import numpy as np
from numba import guvectorize, njit, prange, types, vectorize
from numba.extending import intrinsic, overload, overload_attribute, overload_method, register_jitable
"""


def module_name(module: int) -> str:
    return f"soak_{'abcdef'[module]}"


class Writer:
    """Source text. `plain`: without what decides nothing."""

    def __init__(self, project: Project, plain: bool = False) -> None:
        self.project = project
        self.plain = plain

    def item(self, item: Item) -> str:
        return getattr(self, "_" + item.kind)(item)

    def name(self, item: Item, name: str) -> str:
        """As code that is compiled reads it."""
        if self.plain and item.kind in ("product", "alias", "table"):  # not compiled
            return name
        target = self.project.items.get(name)
        if target is None or target.module == item.module or (item.module, name) in self.project.imported:
            return name
        return f"{module_name(target.module)}.{name}"

    def outer(self, item: Item, name: str) -> str:
        """As code reads it that runs at import alone: what it is called there decides nothing."""
        return name if self.plain else self.name(item, name)

    def expr(self, e: list[Any], item: Item) -> str:
        kind, rest = e[0], e[1:]
        inner = lambda part: self.expr(part, item)  # noqa: E731
        if kind == "v":
            return rest[0]
        if kind == "c":
            return rest[0]
        if kind == "op":
            return f"({inner(rest[1])} {rest[0]} {inner(rest[2])})"
        if kind == "fn":
            return rest[0].replace("@", inner(rest[1]))
        if kind == "if":
            return f"({inner(rest[1])} if x > {rest[0]} else {inner(rest[2])})"
        if kind == "g":
            return rest[1].replace("@", self.name(item, rest[0]))
        if kind == "call":
            return f"{self.name(item, rest[0])}({inner(rest[1])})"
        if kind == "lit":
            return f"{self.name(item, rest[0])}({inner(rest[1])}, {rest[2]})"
        if kind == "rec":
            # No literal where two functions call each other: what Numba itself makes of those crashes at times, without any cache.
            times = "int(x > 0) + 2" if self.project.items[rest[0]].kind == "pingpong" else "2"
            return f"{self.name(item, rest[0])}({times}, {inner(rest[1])})"
        if kind == "hof":
            return f"{self.name(item, rest[0])}({self.name(item, rest[1])}, {inner(rest[2])})"
        if kind == "tab":
            return f"{self.name(item, rest[0])}[{rest[1]}]({inner(rest[2])})"
        if kind == "meth":
            return f"a.{rest[0]}()"
        if kind == "at":
            return f"a.{rest[0]}"
        if kind == "uf":
            return f"{self.name(item, rest[0])}(a).sum()"
        return self.name(item, rest[0])  # ref

    def _def(self, item: Item, name: str, args: list[str], lines: list[str]) -> str:
        noted = item.notes and not self.plain
        head = ", ".join(arg.replace("=", ': "int"=') if "=" in arg else arg + ': "float"' for arg in args) if noted else ", ".join(args)
        doc = [f'"""{item.doc}"""'] if item.doc and not self.plain else []
        body = [*doc, *(["# a comment inside"] * item.comments if not self.plain else []), *lines]
        return f"def {name}({head}){' -> None' if noted else ''}:\n" + "".join(f"    {line}\n" for line in body)

    def _jit(self, item: Item) -> str:
        options = [f"{name}={value}" for name, value in sorted(item.options.items())]
        if item.cache and not self.plain:
            options.insert(0, "cache=True")
        return f"@njit({', '.join(options)})\n"

    def _global(self, item: Item) -> str:
        return item.value.replace("@", item.name) + "\n"

    def _func(self, item: Item) -> str:
        args = ["x"] + ([f"d={self.outer(item, item.default)}"] if item.default else [])
        extra = " + d" if item.default else ""
        return self._jit(item) + self._def(item, item.name, args, [
            f"{item.local} = {self.expr(item.expr, item)}", f"return {item.local}{extra}"])

    def _jitable(self, item: Item) -> str:
        return "@register_jitable\n" + self._def(item, item.name, ["x"], [f"return {self.expr(item.expr, item)}"])

    def _rec(self, item: Item) -> str:
        return self._jit(item) + self._def(item, item.name, ["n", "x"], [
            "if n <= 0:", f"    return float({self.expr(item.other, item)})",
            f"return {item.name}(n - 1, x) + {self.expr(item.expr, item)}"])

    def _pingpong(self, item: Item) -> str:
        """Two functions that call each other."""
        back = f"{item.name}_back"
        return (self._jit(item) + self._def(item, item.name, ["n", "x"], [
            "if n <= 0:", f"    return float({self.expr(item.other, item)})", f"return {back}(n - 1, x) + 1.0"])
            + self._jit(item) + self._def(item, back, ["n", "x"], [
                "if n <= 0:", "    return 0.5", f"return {item.name}(n - 1, x) + {self.expr(item.expr, item)}"]))

    def _hof(self, item: Item) -> str:
        return self._jit(item) + self._def(item, item.name, ["g", "x"], [f"return g(x) + {self.expr(item.expr, item)}"])

    def _array(self, item: Item) -> str:
        loop = "prange" if "parallel" in item.options else "range"
        return self._jit(item) + self._def(item, item.name, ["a"], [
            f"{item.local} = 0.0", f"for i in {loop}(a.shape[0]):", "    x = a[i]",
            f"    {item.local} += {self.expr(item.expr, item)}", f"return {item.local} + {self.expr(item.other, item)}"])

    def _factory(self, item: Item) -> str:
        inner = self._jit(item) + self._def(item, "inner", ["x"], [f"return {self.expr(item.expr, item)}"])
        indented = "".join(f"    {line}\n" for line in inner.splitlines())
        return f"def {item.name}(k, g):\n{indented}    return inner\n"

    def _product(self, item: Item) -> str:
        args = ", ".join(self.expr(arg, item) for arg in item.args)
        return f"{item.name} = {self.name(item, item.target)}({args})\n"

    def _alias(self, item: Item) -> str:
        return f"{item.name} = {self.name(item, item.target)}\n"

    def _table(self, item: Item) -> str:
        return f"{item.name} = ({', '.join(self.expr(arg, item) for arg in item.args)},)\n"

    def _stub(self, item: Item) -> str:
        return f"def {item.name}({'x, n' if item.literal else 'x'}):\n    pass\n"

    def _impl(self, item: Item, args: str, name: str, expr: list[Any]) -> str:
        return f"def {name}({args}):\n        return {self.expr(expr, item)}\n"

    def _overload(self, item: Item) -> str:
        options = "".join(f", {name}={value}" for name, value in sorted(item.options.items()))
        args = "x, n" if item.literal else "x"
        literal = "    v = n.literal_value if isinstance(n, types.IntegerLiteral) else -1\n" if item.literal else ""
        branch = ""
        if item.other:
            branch = ("    if isinstance(x, types.Integer):\n        " + self._impl(item, args, "impl_int", item.other)
                      .replace("\n        ", "\n            ") + "        return impl_int\n")
        return (f"@overload({self.outer(item, item.target)}{options})\ndef {item.name}({args}):\n{literal}{branch}    "
                + self._impl(item, args, "impl", item.expr) + "    return impl\n")

    def _method(self, item: Item) -> str:
        return self._on_array(item, "overload_method")

    def _attribute(self, item: Item) -> str:
        return self._on_array(item, "overload_attribute")

    def _on_array(self, item: Item, decorator: str) -> str:
        return (f"@{decorator}(types.Array, {item.name!r})\ndef ol_{item.name}(a):\n    def impl(a):\n"
                f"        x = a.size\n        return {self.expr(item.expr, item)}\n    return impl\n")

    def _intrinsic(self, item: Item) -> str:
        value = self.expr(item.expr, item)
        return (f"@intrinsic\ndef {item.name}(tyctx, x):\n    def codegen(context, builder, sig, args):\n"
                f"        c = context.get_constant(sig.return_type, {value})\n"
                "        if isinstance(sig.return_type, types.Float):\n            return builder.fadd(args[0], c)\n"
                "        return builder.add(args[0], c)\n    return x(x), codegen\n")

    def _ufunc(self, item: Item) -> str:
        cache = "cache=True" if not self.plain else ""
        return f"@vectorize([\"float64(float64)\"], {cache})\n" + self._def(item, item.name, ["x"], [
            f"return {self.expr(item.expr, item)}"])

    def _gufunc(self, item: Item) -> str:
        cache = "cache=True" if not self.plain else ""
        return f"@guvectorize([\"(float64[:], float64[:])\"], \"(n)->(n)\", {cache})\n" + self._def(item, item.name, ["a", "out"], [
            "for i in range(a.shape[0]):", "    x = a[i]", f"    out[i] = {self.expr(item.expr, item)}"])
