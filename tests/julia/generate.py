"""Writes a depot and a project of Julia 1.11 with many packages, as Julia would have left them: for scale, not for truth.

    python3 tests/julia/generate.py FOLDER [PACKAGES [BYTES]]

Package k needs up to five earlier ones. The cache files hold what the reader looks at; the machine code is filler of BYTES.
FOLDER/julia.json describes the Julia.
"""
from __future__ import annotations

import json
import random
import struct
import sys
import uuid
from pathlib import Path

from conftest import crc32c

SYSTEM = [("Core", None, 1), ("Base", None, 2), ("Main", None, 3), ("SHA", "ea8e919c-243c-51af-8825-aaa63cd721ce", 4)]
SYSTEM_HIGH = 0xFDFCFBFA00000001
SLUG = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def slug(crc: int) -> str:
    text = ""
    for _ in range(5):
        crc, digit = divmod(crc, 62)
        text += SLUG[digit]
    return text


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<i", len(data)) + data


def words(value: str | None) -> bytes:
    number = uuid.UUID(value).int if value else 0
    return struct.pack("<QQ", number >> 64, number & (1 << 64) - 1)


class Package:
    """One generated package, with what its cache file says about it."""

    def __init__(self, number: int, needs: list["Package"], name: str = "", identity: str = "", root: str = "", entry: str = "") -> None:
        """`root`: an absolute folder instead of one of the depot's; `entry`: its first source instead of src/NAME.jl."""
        self.name, self.needs, self.root = name or f"Package{number:04d}", needs, root
        self.number = number
        self.uuid = identity or str(uuid.uuid5(uuid.NAMESPACE_DNS, self.name))
        self.tree = f"{number:040x}"
        self.build = (0xFAFBFCFD00000000 | number, 1000 + number)
        self.target = ("generic", 0, [0] * 11)
        self.all: dict[str, Package] = {}
        for need in needs:
            self.all |= need.all | {need.name: need}
        little = uuid.UUID(self.uuid).int.to_bytes(16, "little")
        self.folder = f"packages/{self.name}/{slug(crc32c(little + bytes.fromhex(self.tree)))}"
        self.stem = f"compiled/v1.11/{self.name}/{slug(crc32c(little))}_made0"
        self.sources = {entry or f"src/{self.name}.jl": f"module {self.name}\ninclude(\"more.jl\")\nend\n", f"src/more{number if entry else ''}.jl": f"# {number}\n" * 100}

    @property
    def recorded(self) -> str:
        """Where the cache file says that the sources are."""
        return self.root or f"@depot/{self.folder}"

    def cache_file(self, code: bytes) -> bytes:
        head = b"\xfbjli\r\n\x1a\n" + struct.pack("<HHB", 12, 0xFEFF, 8) + b"Linux\0x86_64\0001.11.7\0\0\0"
        head += struct.pack("<BQqqB", 0, self.build[0], 0, 0, 0xA3)
        head += text(self.name) + words(self.uuid) + struct.pack("<Qi", self.build[1], 0)
        lists = b""
        for path, source in self.sources.items():
            data = source.encode()
            lists += text(f"{self.recorded}/{path}") + struct.pack("<QIdi", len(data), crc32c(data), -1.0, 0)
        for need in self.needs:
            packed = b"\0" + uuid.UUID(need.uuid).int.to_bytes(16, "little") + need.name.encode()
            lists += text(packed) + struct.pack("<QIdii", 0, 0, 0.0, 1, 0)
        lists += struct.pack("<iiQ", 0, 0, 0)
        after = b"".join(text(n) + words(u) + struct.pack("<QQ", SYSTEM_HIGH, b) for n, u, b in SYSTEM)
        after += b"".join(text(p.name) + words(p.uuid) + struct.pack("<QQ", *p.build) for p in self.all.values())
        name, kind, enabled = self.target
        target = struct.pack("<III", 1, kind, 11) + struct.pack("<22I", *enabled, *[0] * 11) + text(name) + text("")
        after += struct.pack("<i", 0) + text(target)
        start = len(head) + 8 + len(lists) + 8
        stored = b"".join(text(f"{self.recorded}/{p}") + struct.pack("<Q", len(s)) + s.encode() for p, s in self.sources.items())
        data = head + struct.pack("<Q", len(lists) + 8) + lists + struct.pack("<q", start + len(after)) + after + stored
        data += struct.pack("<iI", 0, crc32c(code))
        return data + struct.pack("<I", crc32c(data))

    def write(self, depot: Path, code: bytes) -> None:
        for path, source in self.sources.items():
            file = (Path(self.root) if self.root else depot / self.folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        file = depot / (self.stem + ".ji")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.cache_file(code))
        file.with_suffix(".so").write_bytes(code)


def generate(folder: Path, count: int = 300, size: int = 20000) -> list[Package]:
    """Writes depot/, app/ and julia.json below the folder."""
    chance = random.Random(count)
    packages: list[Package] = []
    code = chance.randbytes(size)
    for number in range(count):
        packages.append(Package(number, chance.sample(packages, min(len(packages), chance.randrange(6)))))
        packages[-1].write(folder / "depot", code)
    project(folder / "app", packages)
    describe(folder / "julia.json")
    return packages


def project(app: Path, packages: list[Package]) -> None:
    """Writes a project that has all of the packages."""
    app.mkdir(exist_ok=True)
    app.joinpath("Project.toml").write_text("[deps]\n" + "".join(f'{p.name} = "{p.uuid}"\n' for p in packages))
    manifest = 'julia_version = "1.11.7"\nmanifest_format = "2.0"\n'
    for p in packages:
        manifest += f'\n[[deps.{p.name}]]\ndeps = {json.dumps([n.name for n in p.needs])}\ngit-tree-sha1 = "{p.tree}"\nuuid = "{p.uuid}"\n'
    app.joinpath("Manifest.toml").write_text(manifest)


def describe(file: Path, **more: object) -> None:
    """Writes the description of the Julia that all of these files are of."""
    loaded = [{"name": n, "uuid": u, "build_id": f"0x{SYSTEM_HIGH:016x}{b:016x}"} for n, u, b in SYSTEM]
    file.write_text(json.dumps({"version": "1.11.7", "uname": "Linux", "arch": "x86_64", "sysimage_modules": loaded,
                                "session_cacheflags": {"byte": "0xa3"}, **more}))


if __name__ == "__main__":
    generate(Path(sys.argv[1]), *map(int, sys.argv[2:]))
