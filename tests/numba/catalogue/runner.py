"""Runs cases in one column (no cache, Numba's own, Saggar) and judges what was observed.

Steps are made in rounds: the first of every case, then the second ... In a round, cases that ask for the same surroundings
share a process and a cache, but for those that say `alone`; with Numba's own cache every case is alone.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .model import ANY, Case, Place, Step

HERE = Path(__file__).parent
ORDER = ("crash", "hang", "wrong", "stale", "error", "lost", "false miss", "right")


@dataclass
class Outcome:
    """What one step of one case did, over all its processes."""

    results: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    compiled: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    died: str = ""

    def names(self) -> set[str]:
        return {text.partition("(")[0] for text in self.compiled}


@dataclass
class Verdict:
    word: str
    detail: str

    def __str__(self) -> str:
        return f"{self.word}: {self.detail}" if self.detail else self.word


class Column:
    """All cases with one kind of cache: "none", "numba" or "saggar"."""

    def __init__(self, column: str, work: Path, workers: int = 2, image: str = "") -> None:
        self.column, self.work, self.workers, self.image = column, work, workers, image
        self.outcomes: dict[str, list[Outcome | None]] = {}
        self.places: dict[str, Place] = {}
        self.jobs = 0

    def run(self, cases: list[Case]) -> dict[str, list[Outcome | None]]:
        for case in cases:
            self._prepare(case)
        for number in range(max(len(case.steps) for case in cases)):
            groups: dict[Any, list[tuple[Case, Step]]] = {}
            for case in cases:
                if number < len(case.steps):
                    step = case.steps[number]
                    for change in step.changes:
                        change(self.places[case.name])
                    if step.judged or self.column != "none":
                        groups.setdefault(self._surroundings(case, step), []).append((case, step))
                    else:
                        self.outcomes[case.name].append(None)
            with ThreadPoolExecutor(self.workers) as pool:
                list(pool.map(self._group, groups.values()))
        return self.outcomes

    def _prepare(self, case: Case) -> None:
        alone = case.alone or self.column == "numba"
        work = self.work / case.name if alone else self.work / "shared"
        place = Place(self.work / case.name, case.name, self.column, work / "cache")
        for name, source in case.files.items():
            place.write(name, source)
        (self.work / case.name / "tmp").mkdir(parents=True, exist_ok=True)
        self.places[case.name] = place
        self.outcomes[case.name] = []

    def _surroundings(self, case: Case, step: Step) -> Any:
        single = step.processes > 1 or step.script or step.dies or step.cwd or case.alone
        if self.column == "none":
            return (case.name if single else "", step.env if case.differs else (), "", step.flags, self._half(case))
        single = single or self.column == "numba"
        return (case.name if single else "", step.env, step.before, step.flags, "" if step.env or step.before else self._half(case))

    def _half(self, case: Case) -> str:
        """The many cases that need nothing of their own share two processes."""
        return str(sum(case.name.encode()) % 2)

    def _group(self, group: list[tuple[Case, Step]]) -> None:
        step = group[0][1]
        remaining = list(group)
        for case, _ in group:
            self.outcomes[case.name].append(Outcome())
        while remaining:
            began = self._processes(remaining, step)
            dead = [i for i, (case, _) in enumerate(remaining) if self._last(case).died]
            if not dead and not step.script and step.processes == 1 and began < len(remaining):
                raise RuntimeError(f"{remaining[began][0].name} was not run")
            remaining = remaining[dead[0] + 1:] if dead and not step.script and step.processes == 1 else []

    def _last(self, case: Case) -> Outcome:
        outcome = self.outcomes[case.name][-1]
        assert outcome is not None
        return outcome

    def _processes(self, group: list[tuple[Case, Step]], step: Step) -> int:
        self.jobs += 1
        number = f"{len(self.outcomes[group[0][0].name])}-{group[0][0].name}-{self.jobs}"
        folder = self.work / "jobs" / number
        (folder / "barrier").mkdir(parents=True)
        events, job = folder / "events", folder / "job.json"
        job.write_text(json.dumps({
            "column": self.column, "events": str(events), "before": step.before if self.column != "none" else "", "processes": step.processes,
            "barrier": str(folder / "barrier") if step.barrier else "",
            "cases": [{"name": case.name, "call": each.call, "path": self.places[case.name].path} for case, each in group]}))
        started = [self._start(group[0][0], step, job, rank) for rank in range(step.processes)]
        codes = []
        for process in started:
            try:
                _, err = process.communicate(timeout=1200)
                codes.append((process.returncode, err))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append((0, process.communicate()[1]))
                self._last(group[-1][0]).died = "hang"
        return self._collect(group, step, events, codes)

    def _start(self, case: Case, step: Step, job: Path, rank: int) -> subprocess.Popen[str]:
        place = self.places[case.name]
        home = self.work / "home" if not case.alone and self.column != "numba" else place.work / "home"
        home.mkdir(parents=True, exist_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "NUMBA_", "PYTHON", "COV_"))}
        cache = place.work / "other" if step.other_cache else place.cache
        env.update(HOME=str(home), XDG_CACHE_HOME=str(home / "cache"), XDG_STATE_HOME=str(home / "state"),
                   IPYTHONDIR=str(home), PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1", CATALOGUE_JOB=str(job), RANK=str(rank),
                   NUMBA_NUM_THREADS="2", SAGGAR_DIR=str(cache), SAGGAR_IMAGE_PATH="none", OPENBLAS_NUM_THREADS="1")
        env["SAGGAR_MODE"] = "use" if self.column == "saggar" else "off"
        if step.other_cache or any(s.other_cache for s in case.steps):
            env["NUMBA_CACHE_DIR"] = str(cache)
        for name, value in step.env:
            value = value.format(cache=cache, work=place.work, root=place.root)
            env[name] = value
            if value == "-":
                del env[name]
        program = str(place.package / step.script) if step.script else str(HERE / "observe.py")
        cwd = place.root / step.cwd if step.cwd else place.work / "tmp"
        return subprocess.Popen([sys.executable, *step.flags, program], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def _collect(self, group: list[tuple[Case, Step]], step: Step, events: Path, codes: list[tuple[int, str]]) -> int:
        lines = [json.loads(text) for text in events.read_text().splitlines()] if events.exists() else []
        by_name = {case.name: self._last(case) for case, _ in group}
        ended = 0
        for line in lines:
            outcome = by_name[line["case"]]
            if "compiled" in line:
                outcome.compiled.append(f"{line['compiled']}({line['args']})")
            elif "result" in line:
                outcome.results.append(line["result"])
            elif "error" in line:
                outcome.errors.append(line["error"])
            elif "event" in line:
                outcome.events.append(line)
            ended += "ended" in line
        for code, err in codes:
            if code == 0 and (step.script or ended >= len(group)):
                continue
            place = min(ended, len(group) - 1)
            outcome = by_name[group[place][0].name]
            if not outcome.died:
                outcome.died = signal.Signals(-code).name if code < 0 else f"exit {code}: {err.strip().splitlines()[-1:]}"
        return ended


def judge(case: Case, seen: list[Outcome | None], reference: list[Outcome | None]) -> Verdict:
    """The worst that was seen in any step."""
    worst = Verdict("right", "")
    for number, step in enumerate(case.steps):
        outcome = seen[number]
        assert outcome is not None
        if not step.dies:
            verdict = _judge(case, number, step, outcome, reference[number], seen)
            if ORDER.index(verdict.word) < ORDER.index(worst.word) or not worst.detail and verdict.word == worst.word:
                worst = verdict
    return worst


def _judge(case: Case, number: int, step: Step, outcome: Outcome, truth: Outcome | None, seen: list[Outcome | None]) -> Verdict:
    faults = [e["detail"] for e in outcome.events if e["event"] == "fault"]
    if faults:
        return Verdict("error", f"fault of the adapter: {faults[0]}")
    if truth is not None and truth.died:
        raise AssertionError(f"{case.name}: the program itself dies: {truth.died}")
    if outcome.died:
        return Verdict("hang" if outcome.died == "hang" else "crash", outcome.died)
    if truth is None:
        if outcome.errors:
            return Verdict("error", outcome.errors[0])
        return Verdict("right", "")
    if (sorted(outcome.results), sorted(set(outcome.errors))) != (sorted(truth.results), sorted(set(truth.errors))):
        there, want = sorted(outcome.results + outcome.errors), sorted(truth.results + truth.errors)
        stale = case.differs and there in [sorted(o.results + o.errors) for o in seen[:number] if o is not None]
        word = "stale" if stale else "error" if outcome.errors and not truth.errors else "wrong"
        there, want = [t for t in there if t not in want], [t for t in want if t not in there]
        return Verdict(word, f"{', '.join(there) or 'nothing'} instead of {', '.join(want)}" if word != "error" else there[0])
    return _compilations(case, step, outcome)


def _compilations(case: Case, step: Step, outcome: Outcome) -> Verdict:
    if step.needed == ANY:
        return Verdict("right", "")
    missing = step.needed - outcome.names()
    if missing and not case.differs and not case.optional:
        return Verdict("stale", f"{' '.join(sorted(missing))} not compiled anew")
    extra = sorted(text for text in set(outcome.compiled) if text.partition("(")[0] not in step.needed
                   and ":block(" not in text)  # a block in object mode is compiled when it runs
    if not extra:
        twice = sorted({text for text in outcome.compiled if outcome.compiled.count(text) > 1})
        if twice and step.processes > 1:
            return Verdict("false miss", f"{twice[0]} compiled {outcome.compiled.count(twice[0])} times")
        return Verdict("right", "")
    refused = [e for e in outcome.events if e["event"] in ("miss", "not-stored") and e.get("reason") == "uncacheable"]
    if case.refusal and refused:
        return Verdict("right", f"not stored: {refused[0]['detail']}")
    return Verdict("lost" if case.lost else "false miss", f"{', '.join(extra)} compiled")


def shows_something(case: Case, seen: list[Outcome | None], reference: list[Outcome | None]) -> bool:
    """Whether the change of a case that says so changes its result."""
    if not case.differs:
        return True
    truth = [o for o in reference if o is not None]
    first = seen[0]
    return first is None or sorted(first.results + first.errors) != sorted(truth[0].results + truth[0].errors) or len(truth) > 2
