"""The recorded cases of real Julia, unpacked once; each test gets copies, with the time stamps that were recorded."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "julia"


def sums() -> dict[str, str]:
    """Name and SHA-256 of every recorded file."""
    return {name: digest for digest, name in (line.split() for line in (GOLDEN / "SHA256SUMS").read_text().splitlines())}


def questions() -> list[str]:
    """Every recorded answer: CASE/expected*.json."""
    return sorted(name for name in sums() if "/expected" in name)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's contents; not to be written to."""
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(GOLDEN / "cases.tar.xz") as tar:
        tar.extractall(folder)
    return folder


@dataclass
class Case:
    """A copy of a case, and what Julia said about it."""

    folder: Path
    expected: dict[str, Any]
    answer: Path

    @property
    def julia(self) -> dict[str, Any]:
        return self.expected["julia"]

    def local(self, path: str) -> Path:
        """Where a path of that Julia's lies in the copy."""
        base = "/srv/old/" if path.startswith("/srv/old/") else "/srv/"
        return self.folder / path.removeprefix(base)

    @property
    def depot(self) -> Path:
        return self.local(self.julia["depot_path"][0])

    @property
    def project(self) -> Path:
        return self.local(self.julia["active_project"]).parent

    def stamp(self) -> None:
        """Gives the files the times that they had."""
        for source in self.expected["sources"]:
            if self.local(source["path"]).exists():
                os.utime(self.local(source["path"]), (source["mtime"], source["mtime"]))
        for package in self.expected.get("packages", ()):
            for age, name in enumerate(package["candidates_in_julia_order"]):
                time = os.stat(self.depot / name).st_mtime - 1000 * age
                os.utime(self.depot / name, (time, time))

    def arguments(self) -> list[str]:
        images = ["--pkgimages", "existing"] if "existing" in self.answer.name else []  # which the answer does not tell
        return ["--depot", str(self.depot), "--julia-info", str(self.answer), *images, str(self.project)]


@dataclass
class Saggar:
    """The command under test."""

    binary: str

    def __call__(self, *arguments: object, status: int | None = 0) -> str:
        done = subprocess.run([self.binary, "julia", *map(str, arguments)], capture_output=True, timeout=120,
                              env={**os.environ, "PATH": "/nonexistent", "JULIA_DEPOT_PATH": "/nonexistent", **self.env})
        assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
        self.err = done.stderr.decode()
        self.status = done.returncode
        return done.stdout.decode()

    def json(self, *arguments: object, status: int | None = 0) -> Any:
        return json.loads(self(*arguments, "--json", status=status))

    env: dict[str, str] = field(default_factory=dict)
    err: str = ""
    status: int = 0


@pytest.fixture
def saggar() -> Saggar:
    binary = os.environ.get("SAGGAR_BIN") or shutil.which("saggar")
    assert binary, "set SAGGAR_BIN to the saggar executable"
    if b"built without" in subprocess.run([binary, "julia", "check", "--julia-info", "/", "/"], capture_output=True).stderr:
        pytest.skip("built without toml11 and nlohmann-json")
    return Saggar(str(Path(binary).resolve()))


@pytest.fixture
def case(recorded: Path, tmp_path: Path):
    """case("CASE/expected.json", to="other/folder"): a copy."""

    def make(name: str, to: str = "case") -> Case:
        folder = tmp_path / to
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree((recorded / name).parent, folder)
        made = Case(folder, json.loads((recorded / name).read_text()), folder / Path(name).name)
        made.stamp()
        return made

    return make


def crc32c(data: bytes, table: list[int] = []) -> int:
    """CRC-32C, written apart from the one that is tested."""
    if not table:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
            table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
