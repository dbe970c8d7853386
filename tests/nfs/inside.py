"""Inside the guest: the checks, once for each version of NFS. Prints a line per check, `ROW name version figures`, or `RED`.

    inside.py [CHECK...]
"""
from __future__ import annotations

import sys
import time
from pathlib import Path

from lab import EXPORT, VERSIONS, Client, Server, Worker, Wrong, sh

CHECKS: dict[str, "callable"] = {}
FLEET, KEYS, WORK_MS = 8, 10, 300


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


class Bench:
    """The two clients on a store of one version, fresh for each check."""

    def __init__(self, version: str, name: str, clients: list[Client]) -> None:
        self.version, self.clients = version, clients
        self.path = f"stores/{name}-{version}"
        self.store = f"/mnt/{version}/{self.path}"
        self.there = EXPORT / self.path  # as the server sees it
        self.workers: list[Worker] = []
        (EXPORT / "stores").mkdir(exist_ok=True)

    def worker(self, client: int, **environment: str) -> Worker:
        made = Worker(self.clients[client], self.store, **environment)
        self.workers.append(made)
        return made

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()


def at_most(seconds: float, bound: float, what: str) -> float:
    if seconds > bound:
        raise Wrong(f"{what}: {seconds:.2f} s, allowed {bound} s")
    return seconds


def until(worker: Worker, command: str, words: str, bound: float) -> float:
    """Asks again and again; the seconds until the answer came."""
    start = time.monotonic()
    while True:
        _, got = worker.ask(command)
        if got == words:
            return time.monotonic() - start
        if got.startswith("WRONG") or time.monotonic() - start > bound:
            raise Wrong(f"{command}: {got!r} after {time.monotonic() - start:.1f} s, expected {words!r}")
        time.sleep(0.05)


@check
def visible(b: Bench) -> str:
    """What one client publishes the other sees, also after it had looked and missed."""
    one, two = b.worker(0), b.worker(1)
    for worker in (one, two):
        worker.expect("find 1", "miss absent")  # not even a store
        worker.expect("find 2", "miss absent")
    one.expect("publish 1", "ok")
    first = at_most(until(two, "find 1", "hit", 40), 1, "seen by the other client")
    two.expect("find 3", "miss absent")
    one.expect("publish 3", "ok")
    later = at_most(until(two, "find 3", "hit", 40), 1, "seen after a miss")
    two.expect("publish 2", "ok")
    back = at_most(until(one, "find 2", "hit", 40), 1, "seen the other way round")
    return f"first {first:.2f} s, after a miss {later:.2f} s, the other way {back:.2f} s"


def totals(answers: list[str]) -> dict[str, int]:
    """Of answers such as "built 1 wrong 0": the sums."""
    sums: dict[str, int] = {}
    for words in (answer.split() for answer in answers):
        for name, number in zip(words[::2], words[1::2]):
            sums[name] = sums.get(name, 0) + int(number)
    return sums


def run_fleet(b: Bench, command: str) -> tuple[float, dict[str, int]]:
    fleet = [b.worker(i % 2) for i in range(2 * FLEET)]
    for i, worker in enumerate(fleet):
        worker.tell(f"{command} {100 + i % KEYS} {KEYS} {WORK_MS}")
    answers = [worker.answer() for worker in fleet]
    return max(seconds for seconds, _ in answers), totals([words for _, words in answers])


@check
def cold_start(b: Bench) -> str:
    """Both clients ask for the same keys at once: each is compiled once."""
    seconds, sums = run_fleet(b, "fleet")
    if sums["wrong"] or sums["unstored"] or not KEYS <= sums["built"] <= 1.1 * KEYS:
        raise Wrong(f"{2 * FLEET} processes, {KEYS} keys: {sums}")
    return f"{2 * FLEET} processes, {KEYS} keys: {sums['built']} compiled, {sums['none']} without a claim, {seconds:.1f} s"


@check
def killed(b: Bench) -> str:
    """The one that compiles is killed: the next goes on, here and on the other client, and nothing is left."""
    taken = []
    for owner, heir in ((0, 0), (0, 1)):
        first, second = b.worker(owner), b.worker(heir)
        key = 10 + heir
        first.expect(f"claim {key} 0", "owned")
        second.tell(f"want {key} 0")
        time.sleep(2)
        start = time.monotonic()
        first.kill()
        _, words = second.answer()
        taken.append(at_most(time.monotonic() - start, 5, "taken over"))
        if words != "built":
            raise Wrong(f"the heir {words}")
        at_most(b.worker(owner).expect(f"want {key} 0", "found"), 1, "a later start")
    return f"taken over after {taken[0]:.2f} s on the same client, {taken[1]:.2f} s on the other"


def main() -> int:
    wanted = sys.argv[1:] or list(CHECKS)
    start = time.monotonic()
    server = Server()
    clients = [Client(1), Client(2)]
    print(f"ROW setup both {time.monotonic() - start:.1f} s", flush=True)
    red = 0
    for version in VERSIONS:
        for name in wanted:
            bench = Bench(version, name, clients)
            start = time.monotonic()
            try:
                print(f"ROW {name} {version} {CHECKS[name](bench)} [{time.monotonic() - start:.0f} s]", flush=True)
            except Wrong as error:
                red += 1
                print(f"RED {name} {version} {error}", flush=True)
            finally:
                server.speak()
                bench.close()
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
