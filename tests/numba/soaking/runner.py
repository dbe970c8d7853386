"""Runs a state of a project with Saggar and without, and says what is wrong with the answer."""
from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from .edits import write
from .model import COMPILED, Project, module_name

SERVER = Path(__file__).with_name("server.py")
Unit = tuple[str, str, str, str]


class Server:
    """A server process: with the adapter, or without."""

    def __init__(self, adapter: bool, errors: Any) -> None:
        self.process = subprocess.Popen([sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment(adapter), stderr=errors)

    def ask(self, jobs: list[dict[str, Any]]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jobs": jobs}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> list[dict[str, Any]]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def environment(adapter: bool, **more: str) -> dict[str, str]:
    result = {name: value for name, value in os.environ.items()
              if not name.startswith(("SAGGAR_", "NUMBA_")) or name == "SAGGAR_MODULE"}
    result.update(PYTHONDONTWRITEBYTECODE="1", NUMBA_NUM_THREADS="2", NUMBA_THREADING_LAYER="workqueue", SAGGAR_IMAGE_PATH="none",
                  PYTHONWARNINGS="ignore", SAGGAR_MODE="use" if adapter else "off",
                  NUMBA_OPT=os.environ.get("SOAK_OPT", "3"), **more)
    return result


def job(project: Project, folder: Path, **env: str) -> dict[str, Any]:
    functions = [[module_name(item.module), item.name] for item in project.of(*COMPILED)]
    functions += [[module, f"{name}_back"] for module, name in functions if project.items[name].kind == "pingpong"]
    entries = {}
    for key, (name, args) in project.entries.items():
        entries[key] = [module_name(project.items[name].module), name, args]
    return {"project": str(folder), "modules": [module_name(n) for n in range(project.count)], "functions": functions,
            "entries": entries, "env": env}


class Judge:
    """What was published so far, and what is wrong with a run: too much compiled, or too little."""

    def __init__(self) -> None:
        self.seen: set[Unit] = set()
        self.branches: set[Unit] = set()  # as they are where an overload has one of its implementations alone
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def copy(self) -> Judge:
        other = Judge()
        other.seen, other.branches = set(self.seen), set(self.branches)
        return other

    def forget(self) -> None:
        self.seen.clear()
        self.branches.clear()

    def units(self, project: Project, event: dict[str, Any], prints: dict[str, str]) -> Unit:
        def name_of(text: str) -> str:
            return text[:-5] if text.endswith("_back") and text not in project.items else text

        def print_of(text: str) -> str:
            text = name_of(text)
            if text not in prints:
                prints[text] = project.print_of(text) if text in project.items else text
            return prints[text]

        name = event["name"]
        group = project.group(name) if name in project.items else name
        args = re.sub(r"<(\w+)>", lambda match: print_of(match[1]), event["args"])
        return group, print_of(name), args, event["inherited"]

    def look(self, project: Project, answers: list[dict[str, Any]], learn: bool = True) -> list[tuple[str, str, str]]:
        """(what, function, detail) of each thing that is wrong."""
        wrong: list[tuple[str, str, str]] = []
        prints: dict[str, str] = {}
        known, new, compiled_by = set(self.seen), set(), Counter()
        parts: set[Unit] = set()

        @cache
        def branches() -> list[tuple[Project, dict[str, str]]]:
            return [(each, {}) for each in project.branches()]

        for answer in answers:
            last: dict[str, Unit] = {}
            mine: set[Unit] = set()
            missed: dict[str, str] = {}
            refused = {event["name"] for event in answer["events"] if event["event"] == "ufunc not-stored"}
            for event in answer["events"]:
                what = event["event"].removeprefix("ufunc ")
                if what in ("fault", "random-name"):
                    self.counts[what] += 1
                    if what == "fault":
                        wrong.append((what, event["group"], event["detail"]))
                    else:
                        self.reasons[f"random name: {event['detail']}"] += 1
                    continue
                if event["event"].startswith("ufunc") and event["name"] not in project.items:
                    continue
                unit = self.units(project, event, prints)
                if what == "miss":
                    missed[event["name"]] = f"{event['why']} {event['detail']}"
                elif what == "compiled":
                    self.counts["compiled"] += 1
                    last[event["name"]] = unit
                    if unit in known:
                        self.counts["needless"] += 1
                        wrong.append(("needless", event["name"], f"{unit} {missed.get(event['name'], '')}"))
                    if unit not in mine:
                        compiled_by[unit] += 1
                    mine.add(unit)
                    if event["event"].startswith("ufunc") and event["name"] not in refused:
                        new.add(unit)
                elif what == "published":
                    new.add(unit)
                    parts.update(self.units(each, event, seen) for each, seen in branches())
                elif what == "not-stored":
                    self.counts["not stored"] += 1
                    self.reasons[re.sub(r"\d+", "N", event.get("detail", ""))] += 1
                elif what == "hit":
                    self.counts["hits"] += 1
                    if (not event["event"].startswith("ufunc") and unit not in known and unit not in new and len(answers) == 1
                            and not any(self.units(each, event, seen) in self.branches for each, seen in branches())):
                        self.counts["served though new"] += 1
                        new.add(unit)  # said once
                        wrong.append(("served", event["name"], str(unit)))
        twice = [unit for unit, count in compiled_by.items() if count > 1 and unit in new]
        if len(answers) > 1 and twice:
            self.counts["compiled twice at once"] += len(twice)
            self.reasons["twice: " + str(twice[0][:1])] += 1
        if learn:
            self.seen |= new
            self.branches |= parts
        return wrong


def differences(reference: dict[str, Any], answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    if answer.get("broken") or reference.get("broken"):
        broken = [text.get("broken", "").strip().splitlines()[-1:] for text in (reference, answer)]
        if not reference.get("broken") or not answer.get("broken"):
            return [("broken", "", f"reference: {broken[0]}, with Saggar: {broken[1]}")]
    if reference.get("broken"):
        return []
    return [("different", key, f"{answer['results'].get(key)} instead of {reference['results'][key]}")
            for key in reference["results"] if answer["results"].get(key) != reference["results"][key]]


class Known:
    """
    What calls gave without a cache. Where every text that a call reaches is as it was, so is the result: it is not asked again, but for one
    run in `TRUSTED`, whose results must be the same. Calls whose result depends on what ran before (inherited options) are known or asked together.
    """

    TRUSTED = 20

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.runs = 0

    def clear(self) -> None:
        self.results.clear()

    def told(self, texts: dict[str, str]) -> dict[str, Any]:
        """The results that are known."""
        self.runs += 1
        if self.runs % self.TRUSTED == 0:
            return {}
        return {key: self.results[text] for key, text in texts.items() if text in self.results}

    def learn(self, texts: dict[str, str], answer: dict[str, Any]) -> list[str]:
        """Takes what was asked; the calls that gave something else before."""
        other = []
        for key, text in texts.items():
            if key in answer["results"] and self.results.setdefault(text, answer["results"][key]) != answer["results"][key]:
                other.append(key)
        return other

    @staticmethod
    def texts(project: Project) -> dict[str, str]:
        """What decides each call's result: what it reaches, or all that may take over options, in its order."""
        found, together = {}, []
        inherit = project.inheriting()
        for key, (_, args) in project.entries.items():
            names = project.functions_of(key)
            if inherit.isdisjoint(names):
                found[key] = " ".join([repr(args), *map(project.print_of, names)])
            else:
                together.append(key)
        called = inherit.union(*map(project.functions_of, together))
        whole = [project.print_of(name) for name in project.ordered() if name in called] + [repr(project.entries[key]) for key in together]
        digest = hashlib.sha256("\0".join(whole).encode()).hexdigest()
        return found | {key: f"{key} {digest}" for key in together}


class Runner:
    """The two servers, the store, and the folders of one soak."""

    def __init__(self, work: Path) -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        self.errors = (work / "stderr").open("ab")
        self.plain, self.cached = Server(False, self.errors), Server(True, self.errors)
        self.known = Known()
        self.stores = 0
        self.made = 0

    def close(self) -> None:
        self.plain.close()
        self.cached.close()
        self.errors.close()

    def store(self) -> str:
        self.stores += 1
        return str(self.work / f"store{self.stores}")

    def env(self, store: str, image: str = "") -> dict[str, str]:
        result = {"SAGGAR_DIR": store, "XDG_STATE_HOME": str(self.work / "state"), "XDG_CACHE_HOME": str(self.work / "cache")}
        return {**result, "SAGGAR_IMAGE": image}

    def run(self, project: Project, folder: Path, store: str, image: str = "", times: int = 1,
            trusting: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """(the answer without a cache, those with it). `trusting`: a result without a cache that is known is not asked again."""
        asked = job(project, write(project, self.work / "plain", cache=False))
        everything, texts = asked["entries"], self.known.texts(project) if trusting else {}
        told = self.known.told(texts) if trusting else {}
        asked["entries"] = {key: entry for key, entry in everything.items() if key not in told}
        if asked["entries"]:
            self.plain.ask([asked])
        self.cached.ask([job(project, folder, **self.env(store, image)) for _ in range(times)])
        answers = self.cached.answer()
        plain = self.plain.answer()[0] if asked["entries"] else {"results": {}, "events": []}
        if told and any(answer.get("broken") for answer in (plain, *answers)):
            self.plain.ask([{**asked, "entries": everything}])
            plain, told = self.plain.answer()[0], {}
        if trusting and not plain.get("broken"):
            plain["other"] = self.known.learn(texts, plain)
            plain["results"].update(told)
        return plain, answers

    def with_adapter_alone(self, project: Project, key: str) -> Any:
        """The result of one call in a process of its own: options inherited from callers as the adapter has them, no cache."""
        folder = write(project, self.work / "alone", cache=False)
        asked = job(project, folder, **self.env(self.store()))
        asked["entries"] = {key: asked["entries"][key]}
        self.cached.ask([asked])
        return self.cached.answer()[0]["results"].get(key)

    def fresh(self, project: Project, store: str, image: str, seed: str) -> list[dict[str, Any]]:
        """One run in a new process, under another hash seed and in another folder."""
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            asked = job(project, write(project, Path(folder)), **self.env(store, image))
            done = subprocess.run([sys.executable, str(SERVER), "--once"], input=json.dumps(asked) + "\n", capture_output=True, text=True,
                                  env=environment(True, PYTHONHASHSEED=seed), timeout=400)
        if done.returncode:
            return [{"results": {}, "events": [], "broken": done.stderr[-2000:] or f"exit {done.returncode}"}]
        return [json.loads(done.stdout)]

    def bake(self, store: str, image: str) -> str:
        """An image of everything in a store and in an image, if there is one; "" if nothing is in them: what has no complete code is not stored."""
        self.made += 1
        given = [path for path in (store, image) if os.path.exists(path)]
        if not given:
            return ""
        baked = str(self.work / f"image{self.made}.saggar")
        binary = os.environ.get("SAGGAR_BIN", str(Path(sys.executable).with_name("saggar")))
        done = subprocess.run([binary, "bake", "--all", "-o", baked, *given], capture_output=True, text=True,
                              env={**environment(True), **self.env(store)})
        if done.returncode and "nothing to bake" not in done.stderr:
            raise RuntimeError(f"saggar bake: exit {done.returncode}: {done.stderr}")
        return "" if done.returncode else baked
