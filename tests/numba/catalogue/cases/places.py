"""Where the source and the cache lie, and how a function came to be: none of it decides the code."""
from ..model import ANY, Change, Place, Step, case, edit, move, names, pack, read_only, touch, write

import shutil

KIND = "Places and origins"
ONE = """
    @njit(cache=True)
    def callee(x): return x + 1
    @njit(cache=True)
    def f(x): return callee(x) * 3
    """
DROP = "observe.drop()"


def place(name: str, title: str, issues: str, source: object = ONE, call: str = "lib.f(10)", *changes: Change, **more: object) -> None:
    """Only the place changes: the second process compiles nothing."""
    more.setdefault("again", False)
    case(name, KIND, title, issues, source, call, *changes, **more)


def copy(there: Place) -> None:
    """A copy with new times, as `COPY` in a Dockerfile or a checkout makes it; the original goes."""
    target = there.work / "copied" / "root"
    shutil.copytree(there.root, target, copy_function=shutil.copyfile)
    shutil.rmtree(there.root)
    there.root, there.path, there.package = target, str(target), target / there.name


place("moved", "the folder moves, with Numba's files in it", "numba#9899", ONE, "lib.f(10)", move)
place("moved_cache_dir", "the folder moves; the cache is elsewhere", "numba#10776", ONE, "lib.f(10)", move,
      first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})
place("copied", "the folder is copied, with new times", "numba#10163", ONE, "lib.f(10)", copy)
place("copied_and_touched", "the folder is copied into an image, the cache is elsewhere", "OasisPlatform#1346", ONE, "lib.f(10)", copy, touch,
      first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})
place("moved_raising", "the folder moves; the function raises", "numba#10776",
      "@njit(cache=True)\ndef f(x):\n    if x < 0: raise ValueError('negative')\n    return np.zeros(x)[x - 1]", "lib.f(3)", move,
      first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})
place("moved_gufunc", "the folder moves; a gufunc", "numba#10776", """
    from numba import guvectorize
    @guvectorize(["void(f8[:], f8[:])"], "(n)->(n)", cache=True)
    def g(a, out):
        for i in range(len(a)): out[i] = a[i] * 3
    """, "lib.g(np.arange(3.0))", move, first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})
place("moved_parallel", "the folder moves; a parallel function", "numba#10776", """
    from numba import prange
    @njit(parallel=True, cache=True)
    def f(n):
        s = 0.0
        for i in prange(n): s += i * 0.5
        return s
    """, "lib.f(100)", move, first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})


def archive(name: str, suffix: str, title: str, issues: str) -> None:
    step = Step("lib.f(10)")
    case(name, KIND, title, issues, ONE, steps=(Step("lib.f(10)", ANY, (pack(suffix),)), step))


archive("zip_import", ".zip", "imported from a zip file", "numba#4908")
archive("egg_import", ".egg", "imported from an egg", "numba#4908")
archive("pyz_import", ".pyz", "imported from a zip application", "numba#4908")
place("zipped_later", "a folder of sources becomes a zip file", "numba#4908", ONE, "lib.f(10)", pack(".zip"),
      first={"NUMBA_CACHE_DIR": "{cache}"}, env={"NUMBA_CACHE_DIR": "{cache}"})


def zip_again(there: Place) -> None:
    """The zip file is made anew, with another file in it."""
    import os
    import zipfile
    os.utime(there.path, (10**9, 10**9))
    with zipfile.ZipFile(there.path, "a") as stream:
        stream.writestr("notes.txt", "n" * 100)


case("zip_made_anew", KIND, "the zip file is made anew around the same module", "numba#10659", ONE, steps=(
    Step("lib.f(10)", ANY, (pack(".zip"),)), Step("lib.f(10)", changes=(zip_again,))))

EXEC = """
    def make(k):
        space = {"njit": njit%s}
        exec("@njit(cache=True)\\ndef f(x): return x + " + str(k), space)
        return space["f"]
    """
place("exec", "a function that exec() made", "numba#3501, #7641", EXEC % ', "__name__": __name__', "(lib.make(1)(1), lib.make(2)(1))")
place("exec_without_name", "a function that exec() made in a namespace without a name", "numba#10485", EXEC % "",
      "(lib.make(1)(1), lib.make(2)(1))")
place("exec_with_file", "a function that exec() made, under the name of a real file", "numba#5128", """
    def make(k):
        space = {"njit": njit, "__name__": __name__}
        exec(compile("@njit(cache=True)\\ndef f(x): return x + " + str(k), __file__, "exec"), space)
        return space["f"]
    """, "(lib.make(1)(1), lib.make(2)(1))")
case("exec_constant", KIND, "the constant in a function that exec() made, under the name of a real file", "numba#5128, pytensor#2051", {
    "lib.py": """
    from .other import K
    space = {"njit": njit, "__name__": __name__}
    exec(compile("@njit(cache=True)\\ndef f(x): return x + " + str(K), __file__, "exec"), space)
    f = space["f"]
    """, "other.py": "K = 1"}, "lib.f(10)", edit("other.py", "K = 1", "K = 2"), needed="f")
CELL = """
    import linecache
    def cell(source, name):
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        space = {"njit": njit, "__name__": "__main__"}
        exec(compile(source, name, "exec"), space)
        return space["f"]
    A = "@njit(cache=True)\\ndef f(x):\\n    return x + 1\\n"
    B = "@njit(cache=True)\\ndef f(x):\\n    return x + 2\\n"
    """
place("notebook_cell", "a notebook's cell, run again in a new kernel", "numba#7325", CELL,
      "lib.cell(lib.A, '<ipython-input-1-0123456789ab>')(10)", requires=("IPython",))
place("notebook_cell_moved", "a notebook's cell that is run at another number", "numba#7325", CELL,
      "lib.cell(lib.A, '<ipython-input-1-0123456789ab>')(10)", then="lib.cell(lib.A, '<ipython-input-7-0123456789ab>')(10)",
      requires=("IPython",))
case("notebook_cell_edited", KIND, "a notebook's cell is edited below its first two lines", "numba#7646", CELL,
     "lib.cell(lib.A, '<ipython-input-1-0123456789ab>')(10)", then="lib.cell(lib.B, '<ipython-input-1-0123456789ab>')(10)",
     needed="f", differs=True, requires=("IPython",))
place("notebook_kernel", "a cell of ipykernel, in a file of the running process", "numba#7798", CELL,
      "lib.cell(lib.A, '/tmp/ipykernel_1234/1234567890.py')(10)", then="lib.cell(lib.A, '/tmp/ipykernel_9876/1234567890.py')(10)",
      requires=("IPython",))
place("notebook_without_ipython", "a prompt that is not IPython's", "numba#7325", CELL, "lib.cell(lib.A, '<input>')(10)")
place("relative_file_name", "a source file named relative to the current folder", "erlabpy#510", """
    def make():
        space = {"njit": njit, "__name__": __name__}
        exec(compile("@njit(cache=True)\\ndef f(x): return x + 1", "app/lib.py", "exec"), space)
        return space["f"]
    """, "lib.make()(10)")
place("other_current_folder", "another current folder", "erlabpy#510", ONE, "lib.f(10)", steps=(
    Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", cwd="/")))

SCRIPT = """
    import observe
    from numba.extending import register_jitable
    @register_jitable
    def one(x): return x + 1
    @njit(cache=True)
    def plain(x): return one(x)
    def make(g):
        @njit(cache=True)
        def f(x): return g(x) * 3
        return f
    if __name__ == "__main__":
        observe.result((plain(1), make(one)(1)))
    """
place("script_moved", "the program itself, from another folder", "numba#8045", {"main.py": SCRIPT}, "", move,
      steps=(Step("", ANY, script="main.py"), Step("", changes=(move,), script="main.py")))
place("script_spawned", "the program itself, then its spawned workers", "numba#8045", {"main.py": """
    import observe, multiprocessing, os
    @njit(cache=True)
    def plain(x): return x + 1
    if __name__ == "__main__":
        multiprocessing.set_start_method("spawn")
        observe.result(plain(1))
        pool = multiprocessing.Pool(1)
        observe.result(pool.map(plain, [1, 2]))
        pool.close()
        pool.join()
    """}, "", steps=(Step("", ANY, script="main.py"), Step("", script="main.py")))


def uninstall(there: Place) -> None:
    """What pip does: the files that it installed go, and the folders that are empty then."""
    for path in sorted(there.package.rglob("*"), reverse=True):
        if path.suffix == ".py":
            path.unlink()
    for path in sorted([there.package, *there.package.rglob("*")], reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


case("uninstalled", KIND, "the package is uninstalled: is it gone?", "numba#9350", ONE, "lib.f(10)", uninstall,
     then="observe.gone()", again=False, differs=False)

def read_only_home(there: Place) -> None:
    home = there.work / "home"
    home.mkdir(exist_ok=True)
    home.chmod(0o555)


R = "Permissions"
case("read_only", R, "everything is read-only, the cache is complete", "numba#4032, #5566", ONE, "lib.f(10)", read_only, before=DROP,
     again=False, alone=True)
case("read_only_home", R, "everything is read-only, the user's home too; the cache is complete", "numba#4032, #5566", ONE, "lib.f(10)", read_only,
     read_only_home, before=DROP, again=False, alone=True)
case("read_only_missing", R, "everything is read-only, one signature is missing", "numba#1771", ONE, "lib.f(10)", read_only,
     then="lib.f(1.5)", needed="callee f", before=DROP, again=False, alone=True, differs=False)
case("no_home", R, "read-only site-packages, no cache yet, no writable home", "numba#5566", ONE, steps=(
    Step("lib.f(10)", ANY, (read_only, read_only_home), before=DROP),),
     alone=True)
case("cache_dir_unwritable", R, "the cache's own folder becomes unwritable", "h2ogpt#1662", ONE, "lib.f(10)",
     lambda there: [p.chmod(p.stat().st_mode & ~0o222) for p in [there.cache, *there.cache.rglob("*")] if p.exists()],
     env={"NUMBA_CACHE_DIR": "{cache}"}, first={"NUMBA_CACHE_DIR": "{cache}"}, before=DROP, alone=True, differs=False)
case("cache_removed", R, "the cache is removed", "", ONE, "lib.f(10)",
     lambda there: [shutil.rmtree(p) for p in {there.cache, there.root / "cache_removed" / "__pycache__"} if p.exists()],
     needed="callee f", differs=False, alone=True)
