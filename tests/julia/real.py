#!/usr/bin/env python3
"""Asks a real Julia 1.5.3 and Saggar the same, over and over, while files change between the questions: real.py SAGGAR ROOT.

ROOT is a Debian 11 with its package julia (made with debootstrap if it is not there); needs root. Julia answers by Base.stale_cachefile
for each file, and by loading each package from its caches.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LEAF, TOY = "11111111-2222-4333-8444-555566667777", "22222222-3333-4444-8555-666677778888"
SHA = "ea8e919c-243c-51af-8825-aaa63cd721ce"
ASK = f"""
for (name, uuid) in (("Leaf", "{LEAF}"), ("Toy", "{TOY}"))
    id = Base.PkgId(Base.UUID(uuid), name)
    source = Base.locate_package(id)
    for file in Base.find_all_in_cache_path(id)
        verdict = source === nothing ? "not asked" : try
            Base.stale_cachefile(source, file) === true ? "stale" : "fresh"
        catch
            "throws"
        end
        println("file\\t", file, "\\t", verdict)
    end
    loaded = source !== nothing && try
        !(Base._require_search_from_serialized(id, source) isa Bool)
    catch
        false
    end
    println("package\\t", name, "\\t", loaded)
end
"""


def suite_url() -> str:
    """Where this machine gets Debian from."""
    text = "".join(p.read_text() for p in Path("/etc/apt").glob("sources.list*") if p.is_file())
    text += "".join(p.read_text() for p in Path("/etc/apt/sources.list.d").glob("*"))
    return next((word for word in text.split() if word.startswith("http") and word.rstrip("/").endswith("/debian")), "http://deb.debian.org/debian")


class Lab:
    """A depot and a project inside ROOT, and both who are asked about them."""

    def __init__(self, saggar: str, root: Path) -> None:
        self.saggar, self.root, self.base = saggar, root, root / "srv/live"
        self.asked = self.differ = 0
        shutil.rmtree(self.base, ignore_errors=True)
        for path, text in {
            "depot/packages/Leaf/4nqMK/Project.toml": f'name = "Leaf"\nuuid = "{LEAF}"\nversion = "0.1.0"\n',
            "depot/packages/Leaf/4nqMK/src/Leaf.jl": 'module Leaf\ninclude("inner.jl")\ninclude_dependency("../data.txt")\nf() = 1\nend\n',
            "depot/packages/Leaf/4nqMK/src/inner.jl": "g() = 2\n",
            "depot/packages/Leaf/4nqMK/data.txt": "x\n",
            "app/Project.toml": f'[deps]\nLeaf = "{LEAF}"\nToy = "{TOY}"\n',
            "app/Manifest.toml": f'[[Leaf]]\ngit-tree-sha1 = "1a00000000000000000000000000000000000aa1"\nuuid = "{LEAF}"\nversion = "0.1.0"\n\n'
                                 f'[[SHA]]\nuuid = "{SHA}"\n\n[[Toy]]\ndeps = ["Leaf", "SHA"]\npath = "Toy"\nuuid = "{TOY}"\nversion = "0.3.0"\n',
            "app/Toy/Project.toml": f'name = "Toy"\nuuid = "{TOY}"\nversion = "0.3.0"\n[deps]\nLeaf = "{LEAF}"\nSHA = "{SHA}"\n',
            "app/Toy/src/Toy.jl": "module Toy\nusing Leaf, SHA\nh() = Leaf.f()\nend\n",
        }.items():
            (self.base / path).parent.mkdir(parents=True, exist_ok=True)
            (self.base / path).write_text(text)

    def julia(self, *arguments: str) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/root", "JULIA_DEPOT_PATH": "/srv/live/depot:", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["chroot", self.root, "/usr/bin/julia", "--startup-file=no", "--project=/srv/live/app", *arguments],
                              capture_output=True, text=True, env={**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def describe(self) -> None:
        shutil.copy(HERE.parents[1] / "examples/julia/describe.jl", self.base)
        (self.base / "julia.json").write_text(self.julia("/srv/live/describe.jl"))

    def theirs(self) -> tuple[dict[str, str], dict[str, bool]]:
        lines = [line.split("\t") for line in self.julia("-e", ASK).splitlines()]
        return {a: b for kind, a, b in lines if kind == "file"}, {a: b == "true" for kind, a, b in lines if kind == "package"}

    def ours(self) -> tuple[dict[str, str], dict[str, bool]]:
        done = subprocess.run([self.saggar, "julia", "why", "--json", "--depot", self.base / "depot", "--julia-info", self.base / "julia.json",
                               self.base / "app"], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        files = {f["file"].removeprefix(str(self.root)): f["verdict"] for f in found["files"]}
        return files, {p["name"]: p["fresh"] for p in found["packages"]}

    def compare(self, what: str) -> None:
        theirs, ours = self.theirs(), self.ours()
        self.asked += 1
        packages = {name: fresh for name, fresh in theirs[1].items() if name in ours[1] or fresh}
        if theirs[0] != ours[0] or packages != ours[1] or not ours[0]:
            self.differ += 1
            print(f"{what}: Julia {theirs}, Saggar {ours}", file=sys.stderr)

    def source(self, name: str) -> None:
        """Touched, rounded, edited, removed; and as before after each."""
        path = self.base / name
        old, text = os.stat(path).st_mtime_ns, path.read_text()
        second = 10**9
        times = {"later": old + 5 * second, "rounded down": old // second * second, "rounded up": -(-old // second) * second,
                 "microseconds": old // 1000 * 1000, "1970": second, "half a microsecond": old - 500}
        for what, time in times.items():
            os.utime(path, ns=(time, time))
            self.compare(f"{name}: {what}")
        path.write_text(text + "# edited\n")
        self.compare(f"{name}: edited")
        path.rename(path.with_suffix(".gone"))
        self.compare(f"{name}: removed")
        path.with_suffix(".gone").rename(path)
        path.write_text(text)
        os.utime(path, ns=(old, old))
        self.compare(f"{name}: as before")

    def cache_file(self, path: Path) -> None:
        data = path.read_bytes()
        for what, bad in {"cut by 1": data[:-1], "cut to 500": data[:500], "cut to 20": data[:20], "empty": b"",
                          "flip at its end": data[:-10] + bytes([data[-10] ^ 1]) + data[-9:], "flip at 60": data[:60] + bytes([data[60] ^ 1]) + data[61:],
                          "version": data.replace(b"1.5.3", b"1.5.2", 1)}.items():
            path.write_bytes(bad)
            self.compare(f"{path.name}: {what}")
        path.write_bytes(data)

    def manifest(self) -> None:
        path = self.base / "app/Manifest.toml"
        text = path.read_text()
        toy = text[text.index("[[SHA]]"):].replace('"Leaf", ', "")
        for what, bad in {"a dependency less": text.replace('"Leaf", ', ""), "another tree": text.replace("1a00", "1b00"), "no Leaf": toy}.items():
            path.write_text(bad)
            self.compare(f"manifest: {what}")
        path.write_text(text)

    def run(self) -> int:
        self.julia("-e", "using Toy")
        self.describe()
        self.compare("as compiled")
        assert self.ours()[1] == {"Leaf": True, "Toy": True}
        for name in ("depot/packages/Leaf/4nqMK/src/Leaf.jl", "depot/packages/Leaf/4nqMK/src/inner.jl", "depot/packages/Leaf/4nqMK/data.txt",
                     "app/Toy/src/Toy.jl"):
            self.source(name)
        (self.base / "depot/packages/Leaf/4nqMK/src/new.jl").write_text("1\n")
        self.compare("a file added")
        self.manifest()
        files = sorted((self.base / "depot/compiled").rglob("*.ji"))
        for path in files:
            self.cache_file(path)
        second = files[0].with_name(files[0].name.partition("_")[0] + "_second.ji")
        shutil.copy2(files[0], second)
        self.compare("two files")
        files[0].write_bytes(b"x")
        self.compare("two files, one bad")
        print(f"real Julia 1.5.3 and Saggar: asked {self.asked} times, {self.differ} differ")
        return 1 if self.differ else 0


def main(saggar: str, root: str, lab: type[Lab] = Lab) -> int:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("skipped: a real Julia needs root and debootstrap")
        return 0
    if not (Path(root) / "usr/bin/julia").exists():
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", "--include=julia", "bullseye", root, suite_url()], check=True, stdout=subprocess.DEVNULL)
    proc = Path(root).resolve() / "proc"
    mounted = not (proc / "cpuinfo").exists()  # Julia reads it
    if mounted:
        subprocess.run(["mount", "-t", "proc", "proc", proc], check=True)
    try:
        return lab(str(Path(saggar).resolve()), Path(root).resolve()).run()
    finally:
        if mounted:
            subprocess.run(["umount", proc], check=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
