#!/usr/bin/env python3
"""Makes the C tables of src/isa from features.tsv and cpus.tsv, and refuses rows that contradict each other.

Usage: gen.py features.tsv cpus.tsv tables.c
"""

from __future__ import annotations

import fnmatch
import re
import sys
from typing import NamedTuple, NoReturn

ARCHES = {"x86-64": ("x86_64", 192), "aarch64": ("aarch64", 256)}
CLASSES = ("isa", "explicit", "os", "hint", "tuning", "group")
REGISTERS = {"eax": 0, "ebx": 1, "ecx": 2, "edx": 3}
HWCAPS = {"hwcap": 0, "hwcap2": 1, "hwcap3": 2}
DROPPED = -1
FEATURE_COLUMNS = "arch bit name class level width linux llvm gcc zydis probe xcr0 implies".split()
CPU_COLUMNS = "arch name aliases parent adds source".split()


class Feature(NamedTuple):
    """One row of features.tsv that has a bit."""

    bit: int
    name: str
    klass: str
    level: str
    width: int
    probe: str
    xcr0: int
    implies: frozenset[str]


def fail(where: str, text: str) -> NoReturn:
    """Ends the build with one line that names the row."""
    sys.exit(f"gen.py: {where}: {text}")


def read_rows(path: str, columns: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table as (place, column -> value); "-" becomes ""."""
    rows = []
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith("#") or not line.strip():
                continue
            place, values = f"{path}:{number}", line.rstrip("\n").split("\t")
            if len(values) != len(columns) or "" in values:
                fail(place, f"{len(values)} columns where {len(columns)} filled ones are expected")
            row = {c: "" if v == "-" else v for c, v in zip(columns, values)}
            if row["arch"] not in ARCHES:
                fail(place, f"no such architecture: {row['arch']}")
            rows.append((place, row))
    return rows


def split(text: str) -> list[str]:
    """The items of a comma-separated cell."""
    return [item.strip() for item in text.split(",")] if text else []


def key(name: str) -> str:
    """How names are compared: lower case, without separators. table.c does the same."""
    return re.sub(r"[-_.: ]", "", name.lower())


class Arch:
    """Everything that is known about one architecture."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ident, self.bits = ARCHES[name]
        self.features: dict[str, Feature] = {}
        self.names: dict[str, int] = {}
        self.groups: list[tuple[str, list[str]]] = []
        self.patterns: list[str] = []
        self.levels: dict[str, frozenset[str]] = {}
        self.models: dict[str, frozenset[str]] = {}
        self.keys: dict[str, str] = {}

    def add_name(self, place: str, name: str, value: int) -> None:
        """Makes a feature's name known; it may mean one thing only."""
        if self.names.setdefault(key(name), value) != value:
            fail(place, f"the name {name} means two things")

    def add_feature(self, place: str, row: dict[str, str]) -> None:
        """A row with a bit."""
        bit, name = int(row["bit"]), row["name"]
        if not 0 <= bit < self.bits:
            fail(place, f"bit {bit} is out of range")
        if name in self.features or any(f.bit == bit for f in self.features.values()):
            fail(place, f"the name {name} or the bit {bit} is there already")
        if row["class"] not in CLASSES[:4] or row["width"] not in ("0", "128", "256", "512"):
            fail(place, "bad class or width")
        if not row["probe"]:
            fail(place, "no probe")
        self.features[name] = Feature(
            bit, name, row["class"], row["level"], int(row["width"]), row["probe"],
            int(row["xcr0"] or "0", 16), frozenset(split(row["implies"])),
        )
        for other in [name, *split(row["linux"]), *split(row["llvm"]), *split(row["gcc"])]:
            self.add_name(place, other, bit)

    def closure(self, place: str, names: frozenset[str] | set[str]) -> frozenset[str]:
        """The names and everything that they imply."""
        out: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in self.features:
                fail(place, f"no such feature: {name}")
            if name not in out:
                out.add(name)
                todo += self.features[name].implies
        return frozenset(out)

    def finish_features(self) -> None:
        """Checks what needs all rows, and makes the levels: each holds the ones before it."""
        order = list(dict.fromkeys(f.level for f in self.features.values() if f.level))
        order.sort(key=lambda level: (len(level) if self.name == "x86-64" else 0, level))
        held: frozenset[str] = frozenset()
        for level in order:
            own = {f.name for f in self.features.values() if f.level == level}
            held = self.closure(level, held | own)
            self.levels[level] = held
        for feature in self.features.values():
            closed = self.closure(feature.name, feature.implies)
            if feature.name in closed:
                fail(feature.name, "implies itself")
            if any(fnmatch.fnmatchcase(feature.name, p) for p in self.patterns):
                fail(feature.name, "matches a name without a bit")
        for name, members in self.groups:
            self.closure(name, set(members))

    def add_model(self, place: str, row: dict[str, str]) -> None:
        """A row of cpus.tsv."""
        base = next(iter(self.levels))
        if not row["parent"]:
            if row["name"] not in self.levels:
                fail(place, "no parent, and not a level")
            held = self.levels[row["name"]]
        else:
            if row["parent"] not in self.models:
                fail(place, f"the parent {row['parent']} is not above")
            held = self.closure(place, self.models[row["parent"]] | set(split(row["adds"])))
        if not held >= self.levels[base]:
            fail(place, f"lacks the baseline {base}")
        if not row["source"]:
            fail(place, "no source")
        for name in [row["name"], *split(row["aliases"])]:
            if key(name) in self.keys or key(name) == "native":
                fail(place, f"the model {name} is there already")
            self.keys[key(name)] = row["name"]
        self.models[row["name"]] = held

    def mask(self, names: frozenset[str] | set[str]) -> str:
        """A saggar_features initialiser."""
        words = [0, 0, 0, 0]
        for name in names:
            bit = self.features[name].bit
            words[bit // 64] |= 1 << bit % 64
        return "{{" + ", ".join(f"{w:#x}u" for w in words) + "}}"

    def probes(self, feature: Feature) -> list[str]:
        """The sg_isa_probe initialisers of a feature: all must hold."""
        out = []
        for term in feature.probe.split("+"):
            if term == "never":
                return []
            if m := re.fullmatch(r"(hwcap[23]?)\.(\d+)", term):
                cells = [HWCAPS[m[1]], 0, 0, int(m[2]), 0]
            elif m := re.fullmatch(r"([0-9a-f]+)\.([0-9a-f]+)\.(e[abcd]x)\.(?:>=)?(\d+)", term):
                least = ".>=" in term
                cells = [int(m[1], 16), int(m[2], 16), REGISTERS[m[3]], 0 if least else int(m[4]), int(m[4]) if least else 0]
            else:
                fail(feature.name, f"bad probe: {term}")
            if cells[3] > 63:
                fail(feature.name, f"bad bit: {term}")
            out.append("{" + ", ".join(f"{c:#x}" for c in [feature.bit, *cells, feature.xcr0]) + "}")
        return out


def read(features: str, cpus: str) -> list[Arch]:
    """Both tables, checked."""
    arches = {name: Arch(name) for name in ARCHES}
    for place, row in read_rows(features, FEATURE_COLUMNS):
        arch = arches[row["arch"]]
        if row["bit"]:
            arch.add_feature(place, row)
        elif row["class"] == "group":
            arch.groups.append((row["name"], split(row["implies"])))
            arch.add_name(place, row["name"], -1 - len(arch.groups))
        elif row["class"] in ("tuning", "os", "hint"):
            if re.search(r"[*?\[]", row["name"]):
                arch.patterns.append(row["name"])
            else:
                arch.add_name(place, row["name"], DROPPED)
        else:
            fail(place, "a row of this class needs a bit")
    for arch in arches.values():
        arch.finish_features()
    for place, row in read_rows(cpus, CPU_COLUMNS):
        arches[row["arch"]].add_model(place, row)
    return list(arches.values())


def array(out: list[str], declaration: str, rows: list[str]) -> str:
    """Adds one C array and returns its length."""
    out.append(f"static const {declaration}[] = {{")
    out += [f"    {row}," for row in rows or ["{0}"]]
    out.append("};\n")
    return str(len(rows))


def emit(arch: Arch) -> list[str]:
    """The C tables of one architecture."""
    out: list[str] = []
    a, features = arch.ident, sorted(arch.features.values(), key=lambda f: f.bit)
    top = features[-1].bit + 1
    by_bit = {f.bit: f for f in features}
    rows, probes = [], []
    for bit in range(top):
        f = by_bit.get(bit)
        if f is None:
            rows.append("{0}")
            continue
        above = {g.name for g in features if f.name in arch.closure(g.name, {g.name})}
        rows.append(f'{{"{f.name}", {f.width}, {arch.mask(arch.closure(f.name, {f.name}))}, {arch.mask(above)}}}')
        probes += arch.probes(f)
    n_features = array(out, f"struct sg_isa_feature features_{a}", rows)
    n_probes = array(out, f"struct sg_isa_probe probes_{a}", probes)
    n_names = array(out, f"struct sg_isa_name names_{a}", [f'{{"{k}", {v}}}' for k, v in sorted(arch.names.items())])
    n_groups = array(out, f"saggar_features groups_{a}", [arch.mask(set(m)) for _, m in arch.groups])
    n_patterns = array(out, f"char *const patterns_{a}", [f'"{p.lower()}"' for p in arch.patterns])
    n_levels = array(out, f"struct sg_isa_model levels_{a}", [f'{{"{n}", {arch.mask(s)}}}' for n, s in arch.levels.items()])
    models = [f'{{"{k}", {arch.mask(arch.models[n])}}}' for k, n in sorted(arch.keys.items())]
    n_models = array(out, f"struct sg_isa_model models_{a}", models)
    out.append(f"const struct sg_isa_table sg_isa_{a} = {{")
    for klass in CLASSES[:4]:
        out.append(f"    .{klass}_mask = {arch.mask({f.name for f in features if f.klass == klass})},")
    for name, count in (("features", n_features), ("probes", n_probes), ("names", n_names), ("groups", n_groups),
                        ("patterns", n_patterns), ("levels", n_levels), ("models", n_models)):
        out.append(f"    .{name} = {name}_{a}, .n_{name} = {count},")
    out.append("};\n")
    return out


def main() -> None:
    """Command line."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    arches = read(sys.argv[1], sys.argv[2])
    out = ["/* Made by src/isa/gen.py from features.tsv and cpus.tsv. */", '#include "isa/table.h"\n']
    for arch in arches:
        out += emit(arch)
    with open(sys.argv[3], "w", encoding="ascii") as file:
        file.write("\n".join(out))


if __name__ == "__main__":
    main()
