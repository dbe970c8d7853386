#!/usr/bin/env python3
"""A real Julia 1.5.3 loads what Saggar baked, restored elsewhere, and compiles nothing: shipped.py SAGGAR ROOT.

ROOT is the Debian 11 of real.py; needs root. Whether Julia compiled is told by its own debug log and by the files themselves.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from generate import crc32c, slug as slug_of
from real import LEAF, Lab, main as real_main

USING = "using Toy; println(Toy.h())"


def version_slug(package: str, tree: str) -> str:
    return slug_of(crc32c(uuid.UUID(package).int.to_bytes(16, "little") + bytes.fromhex(tree)))


class Shipped(Lab):
    """The project of real.py, baked once, and places that it is restored to."""

    failed = 0

    def saggar_julia(self, *arguments: object, status: int = 0, env: dict[str, str] | None = None) -> str:
        done = subprocess.run([self.saggar, "julia", *map(str, arguments)], capture_output=True, text=True,
                              env={"PATH": "/nonexistent", "HOME": "/nonexistent", "SAGGAR_MODE": "use", **(env or {})})
        if done.returncode != status:
            self.fail(f"saggar julia {' '.join(map(str, arguments))}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def fail(self, what: str) -> None:
        self.failed += 1
        print(f"FAILED: {what}", file=sys.stderr)

    def using(self, depot: str, project: str, what: str, compiles: bool = False) -> None:
        """Loads the packages; says whether that compiled any, by the log and by the files."""
        compiled = self.root / depot.lstrip("/") / "compiled"
        before = {p: p.read_bytes() for p in compiled.rglob("*.ji")}
        done = subprocess.run(["chroot", self.root, "/usr/bin/julia", "--startup-file=no", f"--project={project}", "-e", USING],
                              capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                                                                   "JULIA_DEPOT_PATH": f"{depot}:", "JULIA_DEBUG": "loading"})
        after = {p: p.read_bytes() for p in compiled.rglob("*.ji")}
        said = "Precompiling" in done.stderr
        if done.returncode != 0 or done.stdout != "1\n":
            self.fail(f"{what}: {done.returncode} {done.stdout} {done.stderr}")
        if said != compiles or (before != after) != compiles:
            self.fail(f"{what}: compiled: {said}, files changed: {before != after}; {done.stderr}")
        print(f"{what}: {'compiled' if said else 'nothing compiled'}, {len(after)} cache files")

    def place(self, name: str, project: str = "", packages: bool = True) -> tuple[str, str]:
        """An empty depot with the sources alone, which get new time stamps, and the project."""
        there = self.root / "srv" / name
        shutil.rmtree(there, ignore_errors=True)
        if packages:
            shutil.copytree(self.base / "depot/packages", there / "depot/packages", copy_function=shutil.copyfile)
        shutil.copytree(self.base / "app", there / (project or "app"), copy_function=shutil.copyfile)
        return f"/srv/{name}/depot", f"/srv/{name}/{project or 'app'}"

    def info(self, depot: str, project: str) -> Path:
        found = json.loads((self.base / "julia.json").read_text())
        found["depot_path"][0] = depot
        found["active_project"] = f"{project}/Project.toml"
        path = self.root / "srv" / "info.json"
        path.write_text(json.dumps(found))
        return path

    def restore(self, depot: str, project: str, *more: object, status: int = 0) -> dict:
        out = self.saggar_julia("restore", "--json", "--image", self.image, "--depot", self.root / depot.lstrip("/"),
                                "--julia-info", self.info(depot, project), *more, self.root / project.lstrip("/"), status=status)
        return json.loads(out) if out else {}

    def same_verdicts(self) -> None:
        """On what was restored, Julia and Saggar say the same while sources are touched, edited, added and removed."""
        depot, project = self.place("live")
        self.restore(depot, project)
        aside, self.base = self.base, self.root / "srv/live"
        shutil.copy(aside / "julia.json", self.base)
        self.compare("as restored")
        if self.ours()[1] != {"Leaf": True, "Toy": True}:
            self.fail(f"restored: {self.ours()}")
        self.source("depot/packages/Leaf/4nqMK/src/inner.jl")
        (self.base / "depot/packages/Leaf/4nqMK/src/new.jl").write_text("1\n")
        self.compare("a file added")
        self.base = aside
        print(f"asked {self.asked} times, {self.differ} differ")
        self.failed += self.differ

    def other_version(self, project: Path) -> None:
        """Another Leaf, in a manifest at the same path."""
        manifest = project / "Manifest.toml"
        manifest.write_text(manifest.read_text().replace("1a00", "2b00"))

    def two_versions(self) -> None:
        """Two projects at one path need other versions of Leaf; Julia gives their files the same names."""
        slug = version_slug(LEAF, "2b00000000000000000000000000000000000aa1")
        images = [self.image, self.root / "srv/second.saggar"]
        depot, project = self.place("live")
        here = self.root / "srv/live"
        (here / "depot/packages/Leaf/4nqMK").rename(here / "depot/packages/Leaf" / slug)
        self.other_version(here / "app")
        self.using(depot, project, "the other version", compiles=True)
        self.saggar_julia("bake", "-o", images[1], "--depot", here / "depot", "--julia-info", self.info(depot, project), here / "app")
        depot, project = self.place("live")
        shutil.copytree(here / "depot/packages/Leaf/4nqMK", here / "depot/packages/Leaf" / slug)
        for image in images:
            self.image = image
            self.restore(depot, project)
            if image == images[0]:
                self.using(depot, project, "side by side, the first")
                self.other_version(here / "app")
        self.using(depot, project, "side by side, the second")
        shutil.copy(self.base / "app/Manifest.toml", here / "app")
        self.using(depot, project, "side by side, the first again")
        self.image = images[0]

    def shared_store(self) -> None:
        """What one build compiles is in the store for the next; `verify` proves that that one compiled nothing, from an image."""
        store, state = self.root / "srv/store", {"XDG_STATE_HOME": str(self.root / "srv/state"), "PATH": os.environ["PATH"]}
        shutil.rmtree(store, ignore_errors=True)
        for what, compiled, front in (("the first", 2, ()), ("the second", 0, ()), ("proved", 0, ("verify", "--image", self.image))):
            depot, project = self.place("live")
            command = ["julia", "run", "--json", "--store", store, "--depot", self.root / "srv/live/depot", "--julia-info", self.info(depot, project),
                       "--project", self.root / "srv/live/app", "--", "chroot", self.root, "/usr/bin/env", f"JULIA_DEPOT_PATH={depot}:", "HOME=/root",
                       "/usr/bin/julia", "--startup-file=no", f"--project={project}", "-e", USING]
            if front:
                command = [*front, "--", self.saggar, *[w for w in command if w not in ("--json", "--store", store)]]
            done = subprocess.run([self.saggar, *map(str, command)], capture_output=True, text=True, env={"HOME": "/nonexistent", **state})
            if done.returncode != 0 or done.stdout != "1\n":
                self.fail(f"{what}: {done.returncode} {done.stdout} {done.stderr}")
            elif not front:
                found = json.loads(done.stderr.splitlines()[-1])
                if (found["compiled"], found["stored"], found["restored"]) != (compiled, compiled, 2 - compiled):
                    self.fail(f"{what}: {found}")
            print(f"run, {what}: {done.stderr.splitlines()[-1]}")

    def run(self) -> int:
        self.julia("-e", "using Toy")
        self.describe()
        self.image = self.root / "srv/toy.saggar"
        arguments = ("--depot", self.base / "depot", "--julia-info", self.base / "julia.json", self.base / "app")
        self.saggar_julia("bake", "-o", self.image, *arguments)
        first = self.image.read_bytes()
        self.saggar_julia("bake", "-o", self.image, *arguments)
        if first != self.image.read_bytes():
            self.fail("baked twice: other bytes")

        self.using("/srv/live/depot", "/srv/live/app", "where it was compiled")
        # The same paths on another machine: the depot is made again, its sources have other time stamps.
        shutil.rmtree(self.root / "srv/aside", ignore_errors=True)
        (self.root / "srv/live").rename(self.root / "srv/aside")
        self.base = self.root / "srv/aside"
        depot, project = self.place("live")
        self.restore(depot, project)
        self.using(depot, project, "the same paths, an empty depot, new time stamps")
        depot, project = self.place("live")
        self.restore(depot, project, "--mtime", "946684800")
        stamps = {os.stat(p).st_mtime for p in (self.root / "srv/live/depot").rglob("*.j[il]")}
        if stamps != {946684800.0}:
            self.fail(f"time stamps {stamps}")
        self.using(depot, project, "with fixed time stamps")
        source = self.root / "srv/live/depot/packages/Leaf/4nqMK/src/inner.jl"
        source.write_text(source.read_text() + "# edited\n")
        self.using(depot, project, "after an edit", compiles=True)
        depot, project = self.place("live")
        source.write_text("g() = 3\n")
        self.restore(depot, project, status=1)
        # Elsewhere: the recorded paths do not lead there.
        depot, project = self.place("elsewhere", "other/app")
        found = self.restore(depot, project, status=1)
        if {p["reason"] for p in found["packages"]} != {"wrong source"}:
            self.fail(f"elsewhere without --relocate: {found}")
        found = self.restore(depot, project, "--relocate")
        if found["written"] != 2:
            self.fail(f"written: {found}")
        self.using(depot, project, "elsewhere, with --relocate")
        found = self.restore(depot, project, "--relocate")
        if found["written"] != 0:
            self.fail(f"written again: {found}")
        self.same_verdicts()
        self.two_versions()
        self.shared_store()
        print("shipped: " + (f"{self.failed} failed" if self.failed else "ok"))
        return 1 if self.failed else 0


if __name__ == "__main__":
    sys.exit(real_main(*sys.argv[1:], lab=Shipped))
