"""A program that does with generated packages what Julia does when it loads them all: pretend.py FOLDER DEPOT LOG [SECONDS [PACKAGE...]].

The packages are those of FOLDER/packages.json. What a file in the depot serves for is loaded, and touched; the rest is compiled into new
builds, under the one name that Julia has for the package, which overwrites whatever lay there. LOG gets a line for each that was compiled.
"""
from __future__ import annotations

import json
import os
import random
import struct
import sys
import time
from pathlib import Path

from generate import Package, text, words


def save(folder: Path, packages: list[Package]) -> None:
    """Tells later runs of this program what the packages are."""
    (folder / "packages.json").write_text(json.dumps([[p.number, p.name, [n.name for n in p.needs]] for p in packages]))


def load(folder: Path) -> list[Package]:
    made: dict[str, Package] = {}
    for number, name, needs in json.loads((folder / "packages.json").read_text()):
        made[name] = Package(number, [made[n] for n in needs], name=name)
    return list(made.values())


def build_of(data: bytes) -> tuple[int, int]:
    """The build id in a generated cache file."""
    at = data.index(b"1.11.7\0\0\0") + 9
    high, = struct.unpack_from("<Q", data, at + 1)
    at += 26
    name, = struct.unpack_from("<i", data, at)
    return high, struct.unpack_from("<Q", data, at + 4 + name + 16)[0]


def serves(data: bytes, package: Package, sources: bytes) -> bool:
    needed = (text(p.name) + words(p.uuid) + struct.pack("<QQ", *p.build) for p in package.all.values())
    return sources in data and all(part in data for part in needed)


def use(package: Package, depot: Path, seconds: float) -> bool:
    """True if it had to be compiled."""
    sources = text(f"{package.recorded}/src/{package.name}.jl")
    folder = depot / f"compiled/v1.11/{package.name}"
    slug = Path(package.stem).name.partition("_")[0]
    for path in sorted(folder.glob(f"{slug}_*.ji"), key=lambda p: -os.stat(p).st_mtime):
        data = path.read_bytes()
        if serves(data, package, sources) and path.with_suffix(".so").exists():
            package.build = build_of(data)
            os.utime(path)
            return False
    package.build = (0xFAFBFCFD00000000 | random.getrandbits(32), random.getrandbits(63))
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"jl_{random.choices('ABCDEFGHIJ', k=6)[0] * 6}"
    temporary.write_bytes(b"")
    time.sleep(seconds)
    code = random.randbytes(3000)
    for suffix, data in ((".so", code), (".ji", package.cache_file(code))):
        temporary.write_bytes(data)
        temporary.rename((depot / package.stem).with_suffix(suffix))
    return True


def main(folder: str, depot: str, log: str, seconds: str = "0", *names: str) -> None:
    for package in load(Path(folder)):
        if names and package.name not in names:
            continue
        if use(package, Path(depot), float(seconds)):
            with open(log, "a") as stream:
                stream.write(f"{package.name}\n")
    print("ran")


if __name__ == "__main__":
    main(*sys.argv[1:])
