"""Whether a function is the same in two releases of a package: its syntax tree and those of all that it names in the package.

Docstrings, comments and line numbers do not count. A name leads to a function, class or value at the top of a module of the
package, through `import` and `from ... import`.
"""
from __future__ import annotations

import ast
import hashlib
from pathlib import Path


class Module:
    """One source file: what stands at its top, and what it imports."""

    def __init__(self, tree: ast.Module, name: str, is_package: bool) -> None:
        self.defined: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, tuple[str, str]] = {}  # local name: module, name in it ("" for the module)
        base = name if is_package else name.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                self._import_from(node, base)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported[alias.asname or alias.name.partition(".")[0]] = (alias.name if alias.asname else
                                                                                   alias.name.partition(".")[0], "")
        self._define(tree.body)

    def _import_from(self, node: ast.ImportFrom, base: str) -> None:
        parts = base.split(".")
        prefix = ".".join(parts[:len(parts) - node.level + 1]) if node.level else ""
        module = ".".join(p for p in (prefix, node.module) if p)
        for alias in node.names:
            self.imported[alias.asname or alias.name] = (module, alias.name)

    def _define(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.defined.setdefault(node.name, []).append(node)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for part in ast.walk(target):
                        if isinstance(part, ast.Name):
                            self.defined.setdefault(part.id, []).append(node)
            elif isinstance(node, (ast.If, ast.Try)):
                self._define(node.body)
                self._define(node.orelse)


class Package:
    def __init__(self, env: Path, name: str) -> None:
        self.modules: dict[str, Module] = {}
        top = next(env.glob(f"lib/python3*/site-packages/{name}"))
        for file in top.rglob("*.py"):
            parts = list(file.relative_to(top.parent).with_suffix("").parts)
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            self.modules[module] = Module(bare(ast.parse(file.read_text())), module, is_package)

    def digest(self, function: str) -> str | None:
        """The content of a function, "module.qualname", and of all that it names; None if it is not at the top of a module."""
        module, _, name = function.rpartition(".")
        seen: dict[tuple[str, str], str] = {}
        self._reach(module, name, seen)
        if (module, name) not in seen:
            return None
        return hashlib.sha256("\n".join(f"{k}: {v}" for k, v in sorted(seen.items())).encode()).hexdigest()

    def _reach(self, module: str, name: str, seen: dict[tuple[str, str], str]) -> None:
        there = self.modules.get(module)
        if there is None or (module, name) in seen:
            return
        if name in there.defined:
            nodes = there.defined[name]
            seen[module, name] = "\n".join(ast.dump(node) for node in nodes)
            for node in nodes:
                for part in ast.walk(node):
                    if isinstance(part, ast.Name):
                        self._reach(module, part.id, seen)
                    elif isinstance(part, ast.Attribute):
                        self._attribute(module, part, seen)
        elif name in there.imported:
            self._reach(*there.imported[name], seen)

    def _attribute(self, module: str, node: ast.Attribute, seen: dict[tuple[str, str], str]) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.modules[module].imported:
            source, name = self.modules[module].imported[node.value.id]
            self._reach(f"{source}.{name}" if name else source, node.attr, seen)


def bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body[0] = ast.Pass()
    return tree
