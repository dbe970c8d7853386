"""A small catastrophe-model run made of OasisLMF's own Numba kernels: one process, generated input, checked totals.

    python losses.py RUNDIR [--insured]

events -> gulmc (ground-up losses) [-> fmpy (insured losses)] -> summarypy -> eltpy, aalpy, lecpy

The input (footprint, vulnerability, portfolio, occurrences) is written by oasislmf's own dummy-model generator from a seed; the
kernels are called through the managers of the package, unmodified. The last line is a digest over all output; the exit code is 0 only
if the totals are the expected ones, which depend neither on the version of Numba nor on the processor.
"""
from __future__ import annotations

import argparse
import csv
import hashlib
import logging
import math
import os
import shutil
import sys
import time
from pathlib import Path

SAMPLES = 10
MODEL = dict(num_vulnerabilities=20, num_intensity_bins=10, num_damage_bins=10, num_events=50, num_areaperils=40, num_periods=100,
             num_randoms=0, random_seed=42, num_locations=30, coverages_per_location=2)
# output file: (rows, sum of its loss column)
EXPECTED = {
    "gul_aal.csv": (2, 14732636.5), "gul_ept.csv": (1760, 36194543686.25), "gul_melt.csv": (100, 1473263660.0),
    "il_aal.csv": (2, 4269791.25), "il_melt.csv": (100, 426979121.0),
}
SETTINGS = ('{"model_supplier_id": "OasisLMF", "model_name_id": "dummy", "model_settings": {}, "number_of_samples": %d, '
            '"gul_output": true, "gul_summaries": [{"id": 1, "ord_output": {"elt_moment": true}}]}')


def write_input(run: Path) -> None:
    """Writes the model, the portfolio and the maps that the stages below read."""
    import numpy as np
    from oasislmf.computation.generate.losses import GenerateLossesDummyModel
    from oasislmf.pytools.common.data import correlations_dtype, items_dtype

    class Input(GenerateLossesDummyModel):
        """The generator without its run(), which pipes 17 processes together by a shell script."""

        def run(self) -> None:
            self.gul = self.il = True
            self._validate_input_arguments()
            self._create_target_directory(label="losses")
            super(GenerateLossesDummyModel, self)._prepare_run_directory()
            self._get_model_file_objects()
            self._get_gul_file_objects()
            self._get_fm_file_objects()
            for part in self.model_files + self.gul_files + self.fm_files:
                part.write_file()

    settings = run.with_name(run.name + "-settings.json")
    settings.write_text(SETTINGS % SAMPLES)
    Input(analysis_settings_json=str(settings), target_dir=str(run), **MODEL).run()
    items = np.fromfile(run / "input/items.bin", dtype=items_dtype)
    correlations = np.zeros(len(items), dtype=correlations_dtype)
    correlations["item_id"] = items["item_id"]
    correlations["peril_correlation_group"] = 1
    correlations["damage_correlation_value"] = 0.4
    correlations["hazard_group_id"] = items["group_id"]
    correlations["hazard_correlation_value"] = 0.2
    correlations.tofile(run / "input/correlations.bin")
    for name, column in (("gul_summary_map.csv", "item_id"), ("fm_summary_map.csv", "output_id")):
        lines = [f"{(int(item['coverage_id']) + 1) // 2},{item['item_id']},1\n" for item in items]
        (run / "input" / name).write_text(f"loc_id,{column},building_id\n" + "".join(lines))


def stage(name: str, function, *args, **kwargs) -> None:
    start = time.perf_counter()
    function(*args, **kwargs)
    print(f"  {name:12s} {time.perf_counter() - start:7.2f} s", flush=True)


def run_model(insured: bool) -> None:
    """Runs the stages in the current directory."""
    from oasislmf.pytools.aal.manager import main as aal
    from oasislmf.pytools.elt.manager import main as elt
    from oasislmf.pytools.gulmc import manager as gulmc
    from oasislmf.pytools.lec.manager import main as lec
    from oasislmf.pytools.summary import manager as summary

    stage("gulmc", gulmc.run, ".", set(), SAMPLES, 0.0, 0, 0, 2, file_in="input/events.bin", file_out="gul.bin")
    streams = [("gul", "gul.bin")]
    if insured:
        from oasislmf.pytools.fm import manager as fm
        stage("fm setup", fm.run, True, allocation_rule=2, static_path="input")
        stage("fmpy", fm.run, False, allocation_rule=2, static_path="input", files_in=["gul.bin"], files_out=["il.bin"],
              net_loss=None, storage_method="sparse", low_memory=False, sort_output=False)
        streams.append(("il", "il.bin"))
    for kind, stream in streams:
        work = Path("work", kind)
        work.mkdir(parents=True, exist_ok=True)
        stage(f"summary {kind}", summary.main, create_summarypy_files=False, low_memory=True, output_zeros=False,
              static_path="input", run_type=kind, files_in=[stream], summary_sets_output=["-1", str(work / "S1.bin")])
        stage(f"elt {kind}", elt, run_dir=".", files_in=str(work / "S1.bin"), ext="csv", melt=f"out/{kind}_melt.csv")
        stage(f"aal {kind}", aal, run_dir=".", subfolder=kind, aal=f"out/{kind}_aal.csv", ext="csv")
    stage("lec gul", lec, run_dir=".", subfolder="gul", ept="out/gul_ept.csv", agg_full_uncertainty=True, occ_full_uncertainty=True,
          ext="csv")


def check_output() -> bool:
    """Compares the totals with the expected ones and prints a digest over all output."""
    good, digest = True, hashlib.sha256()
    for path in sorted(Path("out").iterdir()):
        digest.update(path.read_bytes())
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        column = "MeanLoss" if "MeanLoss" in rows[0] else "Loss"
        total = math.fsum(float(row[column]) for row in rows)
        count, expected = EXPECTED[path.name]
        same = len(rows) == count and abs(total - expected) <= 1e-5 * expected
        good &= same
        print(f"  {path.name:14s} {len(rows):5d} rows, {column} {total:.2f} {'ok' if same else 'DIFFERS'}")
    print("result", digest.hexdigest())
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rundir", type=Path)
    parser.add_argument("--insured", action="store_true", help="also the financial module (twice as many kernels)")
    args = parser.parse_args()
    run = args.rundir.resolve()
    shutil.rmtree(run, ignore_errors=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    write_input(run)
    logging.disable(logging.INFO)
    os.chdir(run)
    Path("out").mkdir(exist_ok=True)
    run_model(args.insured)
    return 0 if check_output() else 1


if __name__ == "__main__":
    sys.exit(main())
