"""Inside the guest: the checks, once for each version of NFS. Prints a line per check, `ROW name version figures`, or `RED`.

    inside.py [CHECK...]
"""
from __future__ import annotations

import os
import sys
import time

from lab import EXPORT, USER, VERSIONS, Client, Server, Worker, Wrong, sh

CHECKS: dict[str, "callable"] = {}
FLEET, KEYS, WORK_MS = 16, 10, 300  # processes on each client
SEEN = 2  # seconds; a tenth of one is usual here, and half a minute without Saggar's care
BOUND = 8  # seconds: the library waits five, and this machine is slow
SERVER: list[Server] = []


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


class Bench:
    """The two clients on a store of one version, fresh for each check."""

    def __init__(self, version: str, name: str, clients: list[Client]) -> None:
        self.version, self.clients = version, clients
        self.path = f"users/{name}-{version}"
        self.home, self.there = f"/mnt/{version}/{self.path}", EXPORT / self.path  # on the clients; as the server sees it
        self.store = f"{self.home}/store"
        self.workers: list[Worker] = []
        self.there.mkdir(parents=True)
        os.chown(self.there, USER, USER)

    def worker(self, client: int, **environment: str) -> Worker:
        made = Worker(self.clients[client], self.store, **environment)
        self.workers.append(made)
        return made

    def check_stores(self) -> None:
        """The command agrees, on each client, that every entry is whole."""
        for client in self.clients:
            client.sh(f"for s in {self.home}/*/; do [ ! -d $s/v1 ] || SAGGAR_TRUST={self.home} LD_LIBRARY_PATH=/payload /payload/saggar check $s; done")

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
    first = at_most(until(two, "find 1", "hit", 40), SEEN, "seen by the other client")
    two.expect("find 3", "miss absent")
    one.expect("publish 3", "ok")
    later = at_most(until(two, "find 3", "hit", 40), SEEN, "seen after a miss")
    two.expect("publish 2", "ok")
    back = at_most(until(one, "find 2", "hit", 40), SEEN, "seen the other way round")
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
def no_locks(b: Bench) -> str:
    """Locks that hold on one client only (nolock), or none at all: keys may be compiled twice, the results are right."""
    options, told = VERSIONS[b.version], []
    for mount, extra in (("no-daemon", ""), ("nolock", ",nolock")) if b.version == "v3" else (("local", ",local_lock=all"),):
        for client in b.clients:
            client.mount(f"{b.version}-{mount}", f"{options},nosharecache{extra}")
        if mount == "no-daemon":
            SERVER[0].status_daemons(b.clients, False)
        try:
            told.append(f"{mount}: {fleet_without_locks(b, f'/mnt/{b.version}-{mount}/{b.path}/{mount}')}")
        finally:
            if mount == "no-daemon":
                SERVER[0].status_daemons(b.clients, True)
    return "; ".join(told)


def fleet_without_locks(b: Bench, store: str) -> str:
    fleet = [Worker(b.clients[i % 2], store) for i in range(4)]
    b.workers += fleet
    for worker in fleet:
        worker.tell(f"fleet 300 4 {WORK_MS}")
    answers = [worker.answer() for worker in fleet]
    sums = totals([words for _, words in answers])
    if sums["wrong"] or sums["unstored"] or not 4 <= sums["built"] <= 16:
        raise Wrong(f"{store}: {sums}")
    for worker in fleet:
        at_most(worker.expect("want 301 0", "found"), 2, "a later look")
    return f"{sums['built']} compiled for 4 keys by 4 processes, {sums['none']} without a claim, {max(seconds for seconds, _ in answers):.1f} s"


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
        second.must_wait("the owner of a claim")
        start = time.monotonic()
        first.kill()
        _, words = second.answer()
        taken.append(at_most(time.monotonic() - start, 5, "taken over"))
        if words != "built":
            raise Wrong(f"the heir {words}")
        at_most(b.worker(owner).expect(f"want {key} 0", "found"), 1, "a later start")
    return f"taken over after {taken[0]:.2f} s on the same client, {taken[1]:.2f} s on the other"


@check
def trees(b: Bench) -> str:
    """Directory trees: built once among both clients, each has it on its own disk; a killed builder is followed."""
    seconds, sums = run_fleet(b, "trees")
    if sums["wrong"] or sums["unstored"] or not KEYS <= sums["built"] <= 1.1 * KEYS:
        raise Wrong(f"{2 * FLEET} processes, {KEYS} trees: {sums}")
    first, second = b.worker(0), b.worker(1)
    first.tell("tree 510 60000")
    time.sleep(2)
    second.tell("tree 510 0")
    time.sleep(2)
    second.must_wait("the builder")
    start = time.monotonic()
    first.kill()
    _, words = second.answer()
    taken = at_most(time.monotonic() - start, 5, "taken over")
    if not words.startswith("built /") or "/mnt/" in words:
        raise Wrong(f"the heir: {words}")
    return f"{2 * FLEET} processes, {KEYS} trees: {sums['built']} built, {seconds:.1f} s; taken over by the other client after {taken:.2f} s"


@check
def deleted(b: Bench) -> str:
    """The other client deletes what is in use: who has it goes on, who looks misses, and it can be published again."""
    one, two, three = b.worker(0), b.worker(1), b.worker(0)
    two.expect("publish 1", "ok")
    one.expect("hold 1", "hit")
    if not two.ask("tree 2 0")[1].startswith("built"):
        raise Wrong("no tree")
    if not one.ask("tree 2 0")[1].startswith("found"):
        raise Wrong("the tree is not seen")
    b.clients[1].sh(f"rm -rf {b.store}")
    b.clients[0].sh("echo 3 > /proc/sys/vm/drop_caches")
    one.expect("use", "right")
    one.expect("look", "right")
    gone = until(three, "find 1", "miss absent", 40)
    three.expect("publish 1", "ok")
    again = at_most(until(two, "find 1", "hit", 40), SEEN, "published again")
    if one.ask("find 1")[1] != "hit":
        raise Wrong("not found again")
    # Deleted again and again while both read: never wrong bytes.
    end = time.monotonic() + 6
    counts = {"hit": 0, "miss": 0}
    while time.monotonic() < end:
        one.tell("find 1")
        three.tell("want 1 0")
        two.expect("publish 1", "ok")
        for answer in (one.answer()[1], three.answer()[1]):
            word = {"found": "hit", "built": "miss"}.get(answer.split()[0], answer.split()[0])
            if word not in counts or answer in ("miss corrupt", "built unstored"):
                raise Wrong(f"a reader beside a deletion: {answer}")
            counts[word] += 1
        b.clients[1].sh(f"rm -f {b.store}/v1/*/*.0")
    return f"missed after {gone:.2f} s, again after {again:.2f} s; {counts['hit']} hits and {counts['miss']} misses beside deletions"


@check
def corrupt(b: Bench) -> str:
    """An entry that was overwritten or replaced by the other client is a miss, and the next publish puts it right."""
    one, two = b.worker(0), b.worker(1)
    figures = []
    for key, harm in ((1, "printf xxxx | dd of=$f bs=1 seek=9000 conv=notrunc status=none"), (2, "truncate -s 5000 $f"),
                      (3, "cp -a $f $f.new; printf xxxx | dd of=$f.new bs=1 seek=9000 conv=notrunc status=none; mv $f.new $f"), (4, ": > $f")):
        one.expect(f"publish {key}", "ok")
        two.expect(f"find {key}", "hit")
        one.expect(f"hold {key}", "hit")
        b.clients[1].sh(f"f=$(ls -t {b.store}/v1/*/*.0 | head -1); {harm}")
        one.expect("use", "right")
        start = time.monotonic()
        while True:  # the client may show its own copy for a while: that is the right one
            _, words = one.ask(f"find {key}")
            if words != "hit":
                break
            if time.monotonic() - start > 70:
                raise Wrong(f"harm {key} is never seen")
            time.sleep(0.2)
        if words not in ("miss corrupt", "miss absent"):
            raise Wrong(f"harm {key}: {words}")
        figures.append(time.monotonic() - start)
        one.expect(f"publish {key}", "ok")
        at_most(until(two, f"find {key}", "hit", 40), SEEN, "put right")
    return f"a miss {', '.join(f'{seconds:.1f}' for seconds in figures)} s after the harm (until then the client's own good copy)"


def ask_in_vain(one: Worker, two: Worker) -> str:
    """A look, a compilation, a tree and a publish while the server is silent."""
    first = at_most(one.expect("find 2", "miss io", 60), BOUND, "the first miss")
    then = at_most(one.expect("find 1", "miss io", 60), 0.5, "the next miss")
    compiled = at_most(one.expect("want 3 0", "built unstored", 60), 1, "compiled without the store")
    seconds, words = one.ask("tree 4 0", 60)
    if not words.startswith("built"):
        raise Wrong(f"a tree without the store: {words}")
    at_most(seconds, BOUND, "a tree without the store")
    published = at_most(two.expect("publish 5", "ETIMEOUT", 60), BOUND, "a publish")
    return f"miss after {first:.1f} s, then {then:.2f} s; compiled {compiled:.2f} s, publish {published:.1f} s"


def start_and_end(b: Bench, owner: Worker, waiter: Worker) -> str:
    """Who waits for a claim goes on, who has one gives it back, a program starts, and all of them come to their end."""
    waited, words = waiter.answer(60)
    if words != "built unstored":
        raise Wrong(f"whoever waits for a claim: {words}")
    at_most(owner.ask("release", 60)[0], 2 * BOUND, "a release")
    started = Worker(b.clients[0], b.store, wait=False)
    b.workers.append(started)
    opened = at_most(started.answer(60)[0], BOUND, "a start")
    started.expect("find 1", "miss io")
    ended = max(at_most(worker.end(60), BOUND, "an end") for worker in (started, owner, waiter))
    return f"wait for a claim {waited:.1f} s, start {opened:.1f} s, end {ended:.1f} s"


@check
def silent(b: Bench) -> str:
    """The server stops answering: a bounded wait, then misses at once; when it is back all is as it was."""
    one, two = b.worker(0, XDG_STATE_HOME=b.home), b.worker(1)  # the log of misses lies there too
    for key in (1, 2):
        two.expect(f"publish {key}", "ok")
    one.expect("find 1", "hit")
    owner, waiter = b.worker(0), b.worker(1)
    owner.expect("claim 7 0", "owned")
    waiter.tell("want 7 0")
    time.sleep(1)
    b.clients[0].sh("echo 3 > /proc/sys/vm/drop_caches")
    SERVER[0].silence()
    try:
        told = f"{ask_in_vain(one, two)}, {start_and_end(b, owner, waiter)}"
    finally:
        SERVER[0].speak()
    back = until(one, "find 2", "hit", 150)
    one.expect("find 1", "hit")
    one.expect("publish 6", "ok")
    until(two, "find 6", "hit", 150)
    until(two, "publish 5", "ok", 150)
    at_most(b.worker(1).expect("want 7 0", "built", 150), 30, "a claim that was given back while the server was silent")
    return f"{told}; back {back:.1f} s after the server"


def main() -> int:
    wanted = sys.argv[1:] or list(CHECKS)
    start = time.monotonic()
    server = Server()
    SERVER.append(server)
    clients = [Client(1), Client(2)]
    print(f"ROW setup both {time.monotonic() - start:.1f} s", flush=True)
    red = 0
    for version in VERSIONS:
        for name in wanted:
            bench = Bench(version, name, clients)
            start = time.monotonic()
            try:
                text = CHECKS[name](bench)
                bench.check_stores()
                print(f"ROW {name} {version} {text} [{time.monotonic() - start:.0f} s]", flush=True)
            except Wrong as error:
                red += 1
                print(f"RED {name} {version} {error}", flush=True)
            finally:
                server.speak()
                bench.close()
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
