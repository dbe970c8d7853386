"""A soak of the Numba adapter: random projects, one random edit at a time.

After each edit the results with Saggar must equal those without any cache, and nothing is compiled but what the edit
affects. What is found is reduced to a small project, and both of its states are kept.

    python tests/numba/soak.py [--seed N] [--steps N] [--jobs N] [--work DIR] [--show N]
"""
from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))

from soaking import edits, generate, shrink  # noqa: E402
from soaking.model import Project  # noqa: E402
from soaking.runner import Judge, Runner, differences  # noqa: E402

EDITS_OF_ONE = 40  # then another project
ALLOWED = 0.02  # needless compilations among all


class Soak:
    """`found` holds everything that is wrong, as texts."""

    def __init__(self, seed: int, work: Path, show: int = 3, say: Callable[..., None] = print,
                 until: Callable[[Counter[str]], bool] = lambda found: False) -> None:
        self.seed = seed
        self.runner = Runner(work)
        self.judge = Judge()
        self.say = say
        self.show = show
        self.until = until  # ends early
        self.found: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.typing: dict[str, str] = {}  # one example of each of Numba's errors
        self.ways: Counter[str] = Counter()  # beside the one forked child
        self.calls: Counter[str] = Counter()  # how the program's calls ended
        self.step = 0
        self.kept: list[Path] = []
        self.histories = 0

    def run(self, steps: int) -> None:
        number = 0
        while self.step < steps and not self.until(self.found):
            number += 1
            self.project(Random(f"{self.seed} {number}"), steps)

    def project(self, rng: Random, steps: int) -> None:
        """One project and its edits."""
        self.judge.forget()
        self.runner.known.clear()
        store, image = self.runner.store(), ""
        project = generate.project(rng)
        while not project.is_sound():
            project = generate.project(rng)
        self.one(project, project, "a new project", rng, store, image)
        for _ in range(EDITS_OF_ONE):
            if self.step >= steps or self.until(self.found):
                break
            self.step += 1
            before = project
            project, text, deciding = edits.edit(rng, before)
            self.steps[text.split()[0]] += 1
            self.one(before, project, text, rng, store, image)
            if self.step % 100 == 0:
                self.say(f"{self.step} edits, {sum(self.found[what] for what in ('different', 'broken', 'needless', 'served'))} found", flush=True)
            roll = rng.random()
            if roll < 0.05:
                self.ways["fresh processes"] += 1
                answers = self.runner.fresh(project, store, image, str(rng.randint(1, 99999)))
                self.check(before, project, f"{text}, then a fresh process", answers, rng)
            elif roll < 0.08:
                self.ways["images"] += 1
                image, old = self.runner.bake(store, image), store
                store = self.runner.store()
                self.one(project, project, f"{text}, then an image", rng, store, image)
                shutil.rmtree(old, ignore_errors=True)
                if rng.random() < 0.3:  # everything is compiled again
                    image = ""
                    self.judge.forget()
        shutil.rmtree(store, ignore_errors=True)

    def one(self, before: Project, project: Project, text: str, rng: Random, store: str, image: str) -> None:
        root = self.runner.work / "cached"
        if project.folder != before.folder:
            shutil.rmtree(root, ignore_errors=True)
        when = rng.choice([None, 1e9, 0.0]) if "touched" in text else None
        folder = edits.write(project, root, when=when)
        times = 2 if rng.random() < 0.06 else 1
        self.ways["two at once"] += times - 1
        self.reference, answers = self.runner.run(project, folder, store, image, times, trusting=True)
        self.check(before, project, text, answers, rng)

    def check(self, before: Project, project: Project, text: str, answers: list, rng: Random) -> None:
        wrong = self.judge.look(project, answers)
        wrong += [("different", key, "without a cache, from before") for key in self.reference.pop("other", ())]
        self.calls.update("answers" if result[0] != "error" else result[1] for result in self.reference["results"].values())
        for answer in answers:
            for what, key, detail in differences(self.reference, answer):
                if what == "different" and self.explained(project, key, answer["results"].get(key)):
                    self.histories += 1
                else:
                    wrong.append((what, key, detail))
        for key, error in self.reference.get("errors", {}).items():
            if "numba" in error and self.reference["results"][key][1] not in self.typing:
                self.typing[self.reference["results"][key][1]] = error
        for what, name, detail in wrong:
            self.found[what] += 1
            kind = f"{what} after {text.split(' of ')[0].split()[0]}"
            self.found[kind] += 1
            if self.found[kind] <= self.show:
                self.tell(before, project, text, what, name, detail)

    def explained(self, project: Project, key: str, result: object) -> bool:
        """Where functions inherit options, what Numba does depends on what ran before; then it is asked with one call alone."""
        if key not in project.entries:
            return False
        return not project.inheriting().isdisjoint(project.functions_of(key)) and self.runner.with_adapter_alone(project, key) == result

    def tell(self, before: Project, project: Project, text: str, what: str, name: str, detail: str) -> None:
        folder = self.runner.work / f"found{len(self.kept)}-{what}"
        self.kept.append(folder)
        for state, each in (("before", before), ("after", project)):
            edits.write(each, folder / state)
        self.say(f"\n== {what}: {name}: {detail}\n   seed {self.seed}, step {self.step}, edit: {text}\n   kept in {folder}", flush=True)
        small = shrink.smallest(self.runner, before, project, what, name)
        if small is None:
            self.say("   the two states alone do not show it", flush=True)
            return
        for state, each in (("small-before", small[0]), ("small-after", small[1])):
            edits.write(each, folder / state)
        self.say(shrink.text(*small), flush=True)

    def summary(self) -> str:
        counts = self.judge.counts
        share = counts["needless"] / max(1, counts["compiled"])
        lines = [f"{self.step} edits, seed {self.seed}: {self.found['different'] + self.found['broken']} differences, "
                 f"{counts['compiled']} compiled, {counts['needless']} of them needless ({100 * share:.2f} %), {counts['hits']} hits, "
                 f"{counts['served though new']} served though new, {counts['fault']} faults, {counts['not stored']} not stored, "
                 f"{counts['compiled twice at once']} compiled twice at once, {self.histories} explained by what Numba inherits"]
        lines.append("  also: " + ", ".join(f"{count} {what}" for what, count in self.ways.items()))
        lines.append("  calls: " + ", ".join(f"{count} {what}" for what, count in self.calls.most_common()))
        lines += [f"  an example of {name}: ...{' '.join(text.split())[-600:]}" for name, text in self.typing.items()]
        lines += [f"  {count:6d} {what}" for what, count in (self.found + self.judge.reasons).most_common()]
        return "\n".join(lines)

    def good(self) -> bool:
        counts = self.judge.counts
        return (not self.found["different"] and not self.found["broken"] and not self.found["fault"] and not self.found["served"]
                and counts["needless"] <= ALLOWED * counts["compiled"] and counts["hits"] > 0)


def side_by_side(options: argparse.Namespace) -> int:
    """Several soaks at once, each in a process and a folder of its own."""
    root = options.work or Path(tempfile.mkdtemp(prefix="soak"))
    running = []
    for number in range(options.jobs):
        steps = options.steps // options.jobs + (number < options.steps % options.jobs)
        running.append(subprocess.Popen([sys.executable, __file__, "--seed", str(options.seed + number), "--steps", str(steps),
                                         "--work", str(root / str(number)), "--show", str(options.show)]))
    failed = sum(process.wait() != 0 for process in running)
    if not failed and options.work is None:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--show", type=int, default=2, help="how many of one kind are reduced and shown")
    parser.add_argument("--jobs", type=int, default=1, help="run side by side, with seeds that follow one another, the edits shared out")
    options = parser.parse_args()
    if options.jobs > 1:
        return side_by_side(options)
    work = options.work or Path(tempfile.mkdtemp(prefix="soak"))
    soak = Soak(options.seed, work, options.show)
    start = time.monotonic()
    try:
        soak.run(options.steps)
    finally:
        print(soak.summary())
        soak.runner.close()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(f"{time.monotonic() - start:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processors, {work}")
        if soak.good() and options.work is None:
            shutil.rmtree(work, ignore_errors=True)
    return 0 if soak.good() else 1


if __name__ == "__main__":
    sys.exit(main())
