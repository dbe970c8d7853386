"""The probe on other processors (QEMU's) and under SAGGAR_TARGET. Argument: the program `probe`."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import unittest
from typing import NamedTuple

PROBE = sys.argv.pop(1)
QEMU = shutil.which("qemu-x86_64")
X86 = platform.machine() == "x86_64"


class Probed(NamedTuple):
    """What the program printed."""

    error: str
    level: str
    features: set[str]
    note: str


def probe(cpu: str | None = None, target: str | None = None) -> Probed:
    """Runs the probe, on an emulated processor if `cpu` is given."""
    env = {k: v for k, v in os.environ.items() if k != "SAGGAR_TARGET"}
    if target is not None:
        env["SAGGAR_TARGET"] = target
    command = [QEMU, "-cpu", cpu, PROBE] if cpu and QEMU else [PROBE]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    assert done.returncode == 0, done
    error, level, features, note = done.stdout.split("\n")[:4]
    return Probed(error, level, set(features.split(",")), note)


@unittest.skipUnless(X86 and QEMU, "no qemu-x86_64 (Debian: qemu-user)")
class Emulated(unittest.TestCase):
    """QEMU 7.2 emulates AVX2 and no AVX-512, whatever the model promises."""

    def test_nehalem(self) -> None:
        found = probe("Nehalem")
        self.assertEqual(found.level, "x86-64-v2")
        self.assertIn("sse4.2", found.features)
        self.assertFalse({"avx", "avx2", "fma", "xsave", "avx512f", "movbe"} & found.features)

    def test_haswell(self) -> None:
        found = probe("Haswell")
        self.assertEqual(found.level, "x86-64-v3")
        self.assertIn("avx2", found.features)
        self.assertFalse({f for f in found.features if f.startswith(("avx512", "avx10", "amx"))})
        self.assertNotIn("rtm", found.features)

    def test_oldest(self) -> None:
        found = probe("qemu64,-sse3,-cx16")
        self.assertEqual(found.level, "x86-64")
        self.assertNotIn("sse3", found.features)

    def test_no_avx_without_the_operating_system(self) -> None:
        self.assertFalse({"avx", "avx2", "fma", "f16c"} & probe("Haswell,-xsave").features)

    def test_avx2_without_avx_counts_for_nothing(self) -> None:
        self.assertFalse({"avx2", "fma"} & probe("Haswell,-avx").features)


@unittest.skipUnless(X86, "names of x86-64")
class Ceiling(unittest.TestCase):
    """SAGGAR_TARGET takes away and never adds."""

    def test_level(self) -> None:
        host, below = probe(), probe(target="x86-64-v2")
        self.assertEqual((below.error, below.level), ("OK", "x86-64-v2"))
        self.assertLess(below.features, host.features | {""})
        self.assertFalse({f for f in below.features if f.startswith("avx")})
        self.assertIn("SAGGAR_TARGET=x86-64-v2", below.note)

    def test_above_the_host(self) -> None:
        host, same = probe(), probe(target="diamondrapids")
        self.assertLessEqual(same.features, host.features)
        self.assertEqual(same.error, "OK")

    def test_native_less_something(self) -> None:
        host, less = probe(), probe(target="native,-sse4.1")
        self.assertEqual(less.level, "x86-64")
        self.assertEqual(less.features & {"ssse3"}, host.features & {"ssse3"})

    def test_unknown_names_leave_the_host(self) -> None:
        for bad in ("pentium9", "haswell,+frob", "+"):
            found = probe(target=bad)
            self.assertEqual(found.error, "EINVAL")
            self.assertEqual(found.features, probe().features)
            self.assertIn("SAGGAR_TARGET is ignored", found.note)

    def test_empty_is_unset(self) -> None:
        self.assertEqual(probe(target=""), probe())


if __name__ == "__main__":
    unittest.main(verbosity=2)
