"""Concurrent writers, killed writers, full disks and damaged files."""
from pathlib import Path

from ..model import ANY, Place, Step, cache_files, case, edit, names, truncate, zeros

RACES = "Concurrent processes"
FAULTS = "Damage and failures"
DTYPES = ["i1", "i2", "i4", "i8", "u1", "f4", "f8", "c16"]
RACE = f"""
    DTYPES = {DTYPES}
    @njit(cache=True)
    def g(a): return a.sum() + a.dtype.type(1)
    @njit(cache=True)
    def f(a): return g(a) * 2
    def order(k): return DTYPES[k:] + DTYPES[:k]
    """
ALL = "[lib.f(np.ones(5, d)) for d in lib.DTYPES]"

case("race_own_signature", RACES, "eight processes, each with a signature of its own", "numba#10486, OasisLMF#2001", RACE, steps=(
    Step("lib.f(np.ones(5, lib.DTYPES[rank]))", ANY, processes=8, barrier=True), Step(ALL)), lost=True, differs=False)
case("race_all_signatures", RACES, "eight processes, all with the same eight signatures: is each compiled once?", "OasisLMF#2001", RACE, steps=(
    Step("sorted(str(lib.f(np.ones(5, d))) for d in lib.order(rank))", names("f g"), processes=8), Step(ALL)), lost=True,
     differs=False)
case("race_gufunc", RACES, "four processes compile a gufunc: kernel and wrapper", "numba#4807, #10128", """
    from numba import guvectorize
    @njit
    def other(x): return x
    def run(k):
        for i in range(k): other((i,) * (i + 1))
        @guvectorize(["void(f8[:], f8[:])", "void(f4[:], f4[:])"], "(n)->(n)", cache=True)
        def g(a, out):
            for i in range(len(a)): out[i] = a[i] * 3
        return g(np.arange(4.0)), g(np.arange(4, dtype="f4"))
    """, steps=(Step("lib.run(rank)", ANY, processes=4), Step("lib.run(0)"), Step("lib.run(3)")), lost=True, differs=False)
GUFUNC = """
    from numba import guvectorize
    @njit
    def other(x): return x
    def run(k):
        for i in range(k): other((i,) * (i + 1))
        @guvectorize(["void(f8[:], f8[:])"], "(n)->(n)", cache=True)
        def g(a, out):
            for i in range(len(a)): out[i] = a[i] * 3
        return g(np.arange(4.0))
    """


def merge(place: Place) -> None:
    """Of two caches of the same code: the kernel of the first, and the rest of the second."""
    import shutil

    other = place.work / "other"
    for path in other.rglob("*"):
        target = place.cache / path.relative_to(other)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif path.name.startswith("guf-") or not target.exists():
            shutil.copy2(path, target)


case("gufunc_mixed", RACES, "a gufunc's kernel of one process and its wrapper of another", "numba#10128, ctapipe#2837", GUFUNC, steps=(
    Step("lib.run(0)", ANY), Step("lib.run(3)", ANY, other_cache=True), Step("lib.run(0)", changes=(merge,))), alone=True, differs=False)
case("race_forked", RACES, "a pool of forked workers, and then their parent", "pytensor#1808", RACE, steps=(
    Step("[observe.forked(lambda: lib.f(np.ones(5, d))) for d in lib.DTYPES[:4]]", ANY),
    Step("[lib.f(np.ones(5, d)) for d in lib.DTYPES[:4]]")), lost=True, differs=False)

ONE = "@njit(cache=True)\ndef f(x): return x * 3 + 1"


def limit(kills: bool, size: int = 3000) -> str:
    return f"observe.limit({size}, {kills})"


case("killed_writing", FAULTS, "a process is killed while it stores", "numba#9348", ONE, steps=(
    Step("lib.f(10)", ANY, before=limit(True), dies=True), Step("lib.f(10)", ANY), Step("lib.f(10)")), differs=False)
case("killed_after_edit", FAULTS, "a process is killed while it stores a function that was edited", "numba#9348", ONE, steps=(
    Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", ANY, (edit("lib.py", "x * 3", "x * 4"),), before=limit(True), dies=True),
    Step("lib.f(10)", names("f")), Step("lib.f(10)")), differs=True)
case("disk_full", FAULTS, "the disk is full while a function is stored", "numba#9348", ONE, steps=(
    Step("lib.f(10)", ANY, before=limit(False)), Step("lib.f(10)", ANY), Step("lib.f(10)")), differs=False)
case("disk_full_after_edit", FAULTS, "the disk is full while an edited function is stored", "numba#9348", ONE, steps=(
    Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", names("f"), (edit("lib.py", "x * 3", "x * 4"),), before=limit(False)),
    Step("lib.f(10)", names("f")), Step("lib.f(10)")), differs=True)


BIG = "@njit(cache=True)\ndef f(x): return x * 987654321012345678"


def flip_constant(path: Path) -> None:
    """One bit of every copy of the constant in the machine code."""
    raw, constant = path.read_bytes(), (987654321012345678).to_bytes(8, "little")
    path.write_bytes(raw.replace(constant, bytes([constant[0] ^ 1]) + constant[1:]))


def damage(name: str, title: str, issues: str, change: object, source: str = ONE, call: str = "lib.f(10)") -> None:
    case(name, FAULTS, title, issues, source, steps=(Step(call, ANY, judged=False), Step(call, names("f"), (change,)), Step(call)),
         differs=False, optional=True)


for ending, what in ((".nbi", "index"), (".nbc", "data")):
    damage(f"{what}_empty", f"an empty file (Numba's {what} file, Saggar's entry)", "numba#10434", cache_files(truncate(0), ending))
    damage(f"{what}_half", f"half a file (Numba's {what} file, Saggar's entry)", "numba#10434", cache_files(truncate(0.5), ending))
damage("index_zeros", "a file of zeros (Numba's index file, Saggar's entry)", "numba#10434", cache_files(zeros, ".nbi"))
damage("bit_flipped", "one bit of the machine code is flipped", "numba#9348", cache_files(flip_constant, ".nbc"), BIG)
damage("file_gone", "a file is gone (Numba's data file, Saggar's entry)", "numba#9348", cache_files(Path.unlink, ".nbc"))
damage("file_unreadable", "a file may not be read (Numba's data file, Saggar's entry)", "numba#1771",
       cache_files(lambda path: (path.unlink(), path.mkdir()), ".nbc"))
