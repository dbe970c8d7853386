"""Writes docs/numba-cases.md from what is observed now: `python tests/numba/catalogue/generate.py [page]`."""
from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    __package__ = "catalogue"

import numba  # noqa: E402

from catalogue import cases  # noqa: E402, F401
from catalogue.model import CASES, Case  # noqa: E402
from catalogue.runner import Column, Verdict, judge, shows_something  # noqa: E402
from catalogue.test_catalogue import runnable  # noqa: E402

HEAD = """\
# What goes wrong with a cache of Numba functions, and what Saggar does

Each row was run as this page was made, on Numba {version}: as a small program of a few files, first without any cache (its results are the
right ones), then with Numba's own cache, then with Saggar; every step in processes of their own. "Right" means the right result, *and*
nothing compiled that a perfect cache would have served. The programs are in `tests/numba/catalogue/cases`; this page is made by
`python tests/numba/catalogue/generate.py`; Saggar's column is tested by `make test-catalogue`.

| word | meaning |
|---|---|
| stale | the result of before the change |
| wrong | another wrong result |
| crash, error | the process dies; an exception that the program without a cache does not raise |
| lost | what was stored is compiled again: it got lost |
| false miss | something is compiled again though nothing that decides it changed |
| right, not stored | nothing is served that could be wrong: it is compiled in each process, counted with the reason |

A full disk is a limit on the size of files, a killed writer one that dies by it; versions are replaced texts, where the row says so.

{totals}
"""


def cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def shown(verdict: Verdict) -> str:
    if verdict.word == "right":
        return "right" + (", not stored" if verdict.detail else "")
    verdict = Verdict(verdict.word, re.sub(r"(?<![\w.])(/[\w.+-]+)+/|\.tmp\.\w+| at 0x[0-9a-f]*|#[0-9a-f]{6,}", "", verdict.detail))
    detail = verdict.detail if len(verdict.detail) <= 70 else verdict.detail[:67] + "..."
    return f"**{verdict.word}**" + (f": {cell(detail)}" if detail else "")


def page(columns: dict[str, dict[str, Verdict]], wanted: list[Case]) -> str:
    counts = {name: sum(v.word == "right" for v in column.values()) for name, column in columns.items()}
    totals = (f"{len(wanted)} cases. Numba's own cache is right in {counts['numba']} ({100 * counts['numba'] // len(wanted)} %), "
              f"Saggar in {counts['saggar']} ({100 * counts['saggar'] // len(wanted)} %).")
    lines = [HEAD.format(version=numba.__version__, totals=totals)]
    for kind in dict.fromkeys(case.kind for case in wanted):
        lines += [f"## {kind}", "", "| what changes, or what it is | upstream | Numba's own cache | Saggar |", "|---|---|---|---|"]
        for case in wanted:
            if case.kind == kind:
                lines.append(f"| {cell(case.title)} | {case.issues} | {shown(columns['numba'][case.name])} | "
                             f"{shown(columns['saggar'][case.name])} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "docs" / "numba-cases.md"
    wanted = [case for case in CASES if runnable(case)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        seen = {name: Column(name, Path(folder) / name).run(wanted) for name in ("none", "saggar", "numba")}
    for case in wanted:
        if not shows_something(case, seen["saggar"][case.name], seen["none"][case.name]):
            raise SystemExit(f"{case.name}: the change is not to be seen in the result")
    columns = {name: {case.name: judge(case, seen[name][case.name], seen["none"][case.name]) for case in wanted}
               for name in ("saggar", "numba")}
    target.write_text(page(columns, wanted))
    skipped = [case.name for case in CASES if case not in wanted]
    print(f"{target}: {len(wanted)} cases" + (f"; not run here: {', '.join(skipped)}" if skipped else ""))


if __name__ == "__main__":
    main()
