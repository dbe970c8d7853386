"""A whole run of OasisLMF's toy model: 17 Numba processes over FIFOs, started by a shell script; one digest of all outputs."""
from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from shared import WORK

SUMMARY = {"id": 1, "ord_output": {name: True for name in (
    "elt_moment", "elt_sample", "plt_moment", "plt_sample", "alt_period", "ept_full_uncertainty_aep", "ept_full_uncertainty_oep")}}
SETTINGS = {"model_supplier_id": "OasisLMF", "model_name_id": "dummy", "model_settings": {}, "number_of_samples": 10,
            "gul_output": True, "gul_summaries": [SUMMARY], "il_output": True, "il_summaries": [SUMMARY]}
DIGEST = re.compile(r"sha256 of all outputs: (\w+)")


def _script(folder: Path) -> Path:
    """toy.py stands beside the folder of applications."""
    return folder.parent / "oasis" / "toy.py"


def is_there(folder: Path) -> bool:
    """False, and says so, if there is no toy model to run."""
    found = _script(folder).exists()
    if not found:
        print(f"skipped: {_script(folder)} is not there", flush=True)
    return found


def arguments(folder: Path) -> list[Path]:
    """The program, with its settings beside it, and the folder that it runs in."""
    copy = WORK / "toy" / "toy.py"
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(_script(folder), copy)
    copy.with_name("settings.json").write_text(json.dumps(SETTINGS))
    return [copy, WORK / "toy" / "run"]


def digest(output: str) -> str:
    """Of all that the run gave, "none" if it did not end well."""
    found = DIGEST.search(output)
    return "none" if found is None else found[1]
