"""The tables themselves: gen.py refuses contradictions, and every name that LLVM reports is known.

Arguments: the folder src/isa. Names of LLVM come from llvmlite if a Python that has it runs this or is named in
SAGGAR_TEST_PYTHONS (colon-separated); without one that test is skipped.
"""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv.pop(1))
sys.path.insert(0, str(SOURCE))
sys.dont_write_bytecode = True
import gen  # noqa: E402

ASK = "import llvmlite.binding as b; print(sorted(b.get_host_cpu_features())); print(b.get_host_cpu_name())"


def tables() -> dict[str, gen.Arch]:
    """Both tables as gen.py reads them."""
    return {a.name: a for a in gen.read(str(SOURCE / "features.tsv"), str(SOURCE / "cpus.tsv"))}


class Refusals(unittest.TestCase):
    """Each change makes the tables contradict themselves."""

    def refused(self, features: str, cpus: str) -> str:
        """What gen.py says about the texts; fails if it takes them."""
        with tempfile.TemporaryDirectory() as d:
            paths = [Path(d, "features.tsv"), Path(d, "cpus.tsv")]
            for path, text in zip(paths, (features, cpus)):
                path.write_text(text, encoding="ascii")
            done = subprocess.run([sys.executable, SOURCE / "gen.py", *paths, Path(d, "out.c")], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr

    def changed(self, name: str, column: str, value: str, arch: str = "x86-64") -> str:
        """features.tsv with one cell changed, refused."""
        at, lines = gen.FEATURE_COLUMNS.index(column), []
        for line in self.features.splitlines():
            cells = line.split("\t")
            if cells[:1] == [arch] and cells[2] == name:
                cells[at] = value
            lines.append("\t".join(cells))
        text = "\n".join(lines) + "\n"
        self.assertNotEqual(text, self.features)
        return self.refused(text, self.cpus)

    def setUp(self) -> None:
        self.features = (SOURCE / "features.tsv").read_text(encoding="ascii")
        self.cpus = (SOURCE / "cpus.tsv").read_text(encoding="ascii")

    def test_features(self) -> None:
        self.assertIn("there already", self.changed("avx2", "bit", "16"))
        self.assertIn("out of range", self.changed("avx2", "bit", "192"))
        self.assertIn("no such feature", self.changed("avx2", "implies", "avx3"))
        self.assertIn("implies itself", self.changed("sse", "implies", "avx2"))
        self.assertIn("means two things", self.changed("avx2", "linux", "avx"))
        self.assertIn("bad class", self.changed("avx2", "class", "isaa"))
        self.assertIn("bad probe", self.changed("avx2", "probe", "7.0.exx.5"))
        self.assertIn("no probe", self.changed("avx2", "probe", "-"))
        self.assertIn("no such architecture", self.changed("avx2", "arch", "vax"))
        self.assertIn("columns", self.changed("avx2", "implies", "avx\tavx"))

    def test_models(self) -> None:
        row = "x86-64\tnewlake\t-\thaswell\t-\tl22\n"
        for old, new, says in (
            ("newlake", "haswell", "there already"),
            ("newlake", "native", "there already"),
            ("\thaswell", "\tnolake", "not above"),
            ("\t-\tl22", "\tfrob\tl22", "no such feature"),
            ("l22", "-", "no source"),
            ("haswell", "-", "not a level"),
        ):
            self.assertIn(says, self.refused(self.features, self.cpus + row.replace(old, new)))


class Contents(unittest.TestCase):
    """What the rows say."""

    def test_the_first_bits_are_frozen(self) -> None:
        """The bits are in files: these may be added to, never changed. A new digest here is never the answer."""
        for name, count, digest in (
            ("x86-64", 128, "982a9bde78f884752f8def3255a023ceb3e002900b1a9ff0cc0107538d1f5a82"),
            ("aarch64", 113, "8966f8e07472773ccd107faea7169588abda01ae89941e47ff4c5143a60ae3f7"),
        ):
            rows = sorted((f.bit, f.name) for f in tables()[name].features.values() if f.bit < count)
            text = "".join(f"{bit} {feature}\n" for bit, feature in rows)
            self.assertEqual(hashlib.sha256(text.encode()).hexdigest(), digest, name)

    def test_every_model_has_its_level_and_its_parents(self) -> None:
        for arch in tables().values():
            rows = [r for _, r in gen.read_rows(str(SOURCE / "cpus.tsv"), gen.CPU_COLUMNS) if r["arch"] == arch.name]
            self.assertGreater(len(rows), 50)
            for row in rows:
                held = arch.models[row["name"]]
                self.assertGreaterEqual(held, next(iter(arch.levels.values())), row["name"])
                if row["parent"]:
                    self.assertGreaterEqual(held, arch.models[row["parent"]], row["name"])

    def test_known_models(self) -> None:
        models = tables()["x86-64"].models
        for name, has, lacks in (
            ("nehalem", "sse4.2", "avx"), ("sandybridge", "avx", "avx2"), ("haswell", "avx2", "adx"),
            ("broadwell", "adx", "clflushopt"), ("skylake", "aes", "avx512f"), ("skylake-avx512", "avx512vl", "avx512vnni"),
            ("znver3", "vaes", "avx512f"), ("znver4", "avx512bf16", "avx512fp16"), ("alderlake", "avxvnni", "avx512f"),
            ("sapphirerapids", "amx-int8", "amx-fp16"), ("graniterapids", "amx-fp16", "avx10.2"),
            ("diamondrapids", "egpr", "sse4a"), ("x86-64-v4", "avx512dq", "avx512vnni"),
        ):
            self.assertIn(has, models[name])
            self.assertNotIn(lacks, models[name])

    def test_llvm_names(self) -> None:
        arches, seen = tables(), 0
        for python in [sys.executable, *filter(None, os.environ.get("SAGGAR_TEST_PYTHONS", "").split(":"))]:
            done = subprocess.run([python, "-c", ASK], capture_output=True, text=True)
            if done.returncode != 0:
                continue
            seen += 1
            arch = arches[{"x86_64": "x86-64"}.get(os.uname().machine, os.uname().machine)]
            names, model = done.stdout.splitlines()
            unknown = [n for n in ast.literal_eval(names) if gen.key(n) not in arch.names]
            self.assertEqual(unknown, [], python)
            self.assertIn(gen.key(model), arch.keys, python)
        if not seen:
            self.skipTest("no Python with llvmlite (name some in SAGGAR_TEST_PYTHONS)")


if __name__ == "__main__":
    unittest.main(verbosity=2)
