"""The machine and the installation: processors, versions, and what is around a process."""
from ..model import ANY, Place, Step, case, edit, names

KIND = "Processor and versions"
SUM = """
    @njit(cache=True)
    def f(a):
        s = 0
        for v in a: s += v * 3
        return s
    """
CALL = "lib.f(np.arange(8))"


def cpu(name: str, features: str = "") -> dict[str, str]:
    return {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}


case("cpu_name", KIND, "another processor name with the same features", "OasisPlatform#1398", SUM, CALL, first=cpu("haswell"),
     env=cpu("broadwell", "-adx,-prfchw,-rdseed"))
case("cpu_feature_order", KIND, "the same features in another order", "aeon#849", SUM, CALL, first=cpu("x86-64", "+avx2,+fma,+sse4.2"),
     env=cpu("x86-64", "+sse4.2,+fma,+avx2"))
case("cpu_features_unset", KIND, "code for x86-64-v2 on this processor", "OasisPlatform#1398", SUM, CALL, first=cpu("x86-64-v2"), env={"LANG": "C"})
case("cpu_lower", KIND, "code for x86-64-v3 where x86-64-v2 is asked for", "OasisPlatform#1398", SUM, CALL, first=cpu("x86-64-v3"),
     env={**cpu("x86-64-v2"), "SAGGAR_TARGET": "x86-64-v2"}, needed="f", differs=False)
case("cpu_higher", KIND, "code for x86-64-v2 where x86-64-v3 is asked for", "OasisPlatform#1398", SUM, CALL, first=cpu("x86-64-v2"),
     env=cpu("x86-64-v3"))

case("version_of_numpy", KIND, "another version of NumPy (its version text replaced)", "", SUM, CALL,
     before="import numpy; numpy.__version__ = numpy.__version__.rpartition('.')[0] + '.99'",
     needed="f", differs=False)
case("version_of_llvmlite", KIND, "another version of llvmlite (its version text replaced)", "", SUM, CALL,
     before="import llvmlite; llvmlite.__version__ = '0.99.0'", needed="f", differs=False)
case("version_of_llvm", KIND, "another LLVM below the same llvmlite (its version replaced)", "", SUM, CALL,
     before="import llvmlite.binding as b; b.llvm_version_info = (99, 1, 0)", needed="f", differs=False)
case("version_of_numba", KIND, "another version of Numba (its version text replaced)", "pytensor#1808", SUM, CALL,
     before="import numba; numba.__version__ = '0.99.0'",
     needed="f", differs=False)
case("numpy_features", KIND, "NumPy is told not to use AVX2", "", SUM, CALL, env={"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"})


def release(version: str) -> object:
    """The distribution that the package belongs to, in this version."""
    def change(place: Place) -> None:
        for old in place.root.glob("*.dist-info"):
            for path in old.iterdir():
                path.unlink()
            old.rmdir()
        info = place.root / f"{place.name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {place.name}\nVersion: {version}\n")
        (info / "RECORD").write_text("\n".join(f"{p.relative_to(place.root)},," for p in sorted(place.root.rglob("*.py"))))
    return change


RELEASE = {"lib.py": "__version__ = '1.0'\nfrom .other import callee\n@njit(cache=True)\ndef f(x): return callee(x) * 3\n",
           "other.py": "@njit(cache=True)\ndef callee(x): return x + 1\n@njit(cache=True)\ndef g(x): return x - 1"}
case("release_unchanged", KIND, "a new release of a package, its functions unchanged", "chimeraboost#34", RELEASE, steps=(
    Step("(lib.f(10), other.g(10))", ANY, (release("1.0"),), judged=False),
    Step("(lib.f(10), other.g(10))", changes=(release("1.1"), edit("lib.py", "'1.0'", "'1.1'")))))
case("release_changed", KIND, "a new release of a package, one function changed", "chimeraboost#36", RELEASE, steps=(
    Step("(lib.f(10), other.g(10))", ANY, (release("1.0"),), judged=False),
    Step("(lib.f(10), other.g(10))", names("f callee"), (release("1.1"), edit("lib.py", "'1.0'", "'1.1'"), edit("other.py", "x + 1", "x + 2")))),
     differs=True)
case("around", KIND, "another locale, time zone, umask and user's home", "", SUM, CALL, env={"LANG": "C", "LC_ALL": "C", "TZ": "Asia/Tokyo"},
     before="import os; os.umask(0o077)")
case("hash_seed", KIND, "another hash seed, over functions of many kinds", "numba#10486", """
    from numba import prange, vectorize
    @njit(cache=True, fastmath={"nnan", "nsz", "arcp"})
    def scale(x): return x * 2.0
    @njit(cache=True, parallel=True)
    def f(n):
        s = 0.0
        for i in prange(n): s += scale(i)
        return s
    @njit(cache=True)
    def g(s):
        d = {}
        for c in s: d[c] = 1
        return len(d)
    """, "(lib.f(10), lib.g('abcab'))", first={"PYTHONHASHSEED": "1"}, env={"PYTHONHASHSEED": "2"})
case("optimized_python", KIND, "python -O, and docstrings gone with -OO", "", "@njit(cache=True)\ndef f(x):\n    'Text.'\n    return x + 1",
     steps=(Step("lib.f(10)", ANY, judged=False), Step("lib.f(10)", flags=("-OO",))))
case("assertions", KIND, "python -O, where the function has an assert", "",
     "@njit(cache=True)\ndef f(x):\n    assert x < 5\n    return x + 1", steps=(Step("lib.f(1)", ANY, judged=False), Step(
         "lib.f(10)", names("f"), flags=("-O",))), differs=True)
