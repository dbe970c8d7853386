"""saggar.pth and saggar_hook: the adapter runs right after its package was imported, however that is done, and nothing else changes.

Each test starts real interpreters of a bare environment that has saggar.pth, the hook, and an adapter that only says that it ran.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[2] / "python"
ADAPTER = "import sys\ndef install():\n    sys.modules['numba'].adapted = getattr(sys.modules['numba'], 'adapted', 0) + 1\n"
NUMBA = "import sys\nhere = __name__\nfrom . import part\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    root = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    site = next((root / "lib").glob("python3.*/site-packages"))
    for name in ("saggar.pth", "saggar_hook.py"):
        shutil.copy(PYTHON / name, site)
    hook = site / "saggar_hook.py"  # one package: what happens when the last one was imported is tested too
    hook.write_text(re.sub(r"^TABLE = \{.*?^\}", 'TABLE = {"numba": "saggar.numba"}', hook.read_text(), flags=re.S | re.M))
    (site / "saggar" / "numba").mkdir(parents=True)
    (site / "saggar" / "__init__.py").touch()
    (site / "saggar" / "numba" / "__init__.py").write_text(ADAPTER)
    write_numba(site)
    return root / "bin" / "python", site


def write_numba(folder: Path, text: str = NUMBA) -> None:
    (folder / "numba").mkdir(parents=True, exist_ok=True)
    (folder / "numba" / "__init__.py").write_text(text)
    (folder / "numba" / "part.py").write_text("x = 1\n")


@pytest.fixture
def python(environment, tmp_path):
    """Runs code in the environment. It must end well and be silent; what it printed comes back."""

    def python(code: str, *options: str, **env: str) -> str:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "PYTHON"))}
        done = subprocess.run([environment[0], *options, "-c", code], env={**clean, **env}, cwd=tmp_path, capture_output=True, text=True,
                              timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    return python


LEFT = "any(getattr(f, 'name', None) == 'saggar' for f in sys.meta_path)"


@pytest.mark.parametrize("statement", ["import numba", "from numba import part", "import numba.part", "__import__('numba')",
                                       "import importlib; importlib.import_module('numba')", "from numba.part import x"])
def test_import(python, statement):
    code = f"import sys; print({LEFT}); {statement}; m = sys.modules['numba']; print(m.adapted, {LEFT}, sys.modules['saggar_hook'].state)"
    assert python(code) == "True\n1 False {'numba': 'done'}"


def test_nothing_else_changes(python):
    """Type of the loader, spec and attributes are those of an import without the hook."""
    code = ("import sys, numba; s = numba.__spec__; print(type(s.loader), type(numba.__loader__), s.origin, numba.__file__, numba.__path__, s.cached, "
            "numba.__package__, sorted(vars(s.loader)), sorted(set(dir(numba)) - {'adapted'}), s.loader is numba.__loader__)")
    assert python(code) == python(code, SAGGAR_MODE="off")


def test_without_numba(python):
    code = "import sys, json, asyncio; print('saggar_hook' in sys.modules, 'saggar' in sys.modules, 'threading' in sys.modules)"
    assert python(code.replace(", asyncio", "")).startswith("False False")
    assert python(code, SAGGAR_MODE="off").startswith("False False")


@pytest.fixture(scope="module")
def bare(environment, tmp_path_factory):
    """The same environment with an empty .pth in the place of saggar.pth."""
    root = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    next((root / "lib").glob("python3.*/site-packages")).joinpath("saggar.pth").write_text("# nothing\n")
    return root / "bin" / "python"


def run_bare(python: Path, *command: object) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "PYTHON"))}
    return subprocess.run([*map(str, command), python, "-c", "import sys; print(len(sys.modules), *sorted(sys.modules))"], capture_output=True,
                          text=True, check=True, env={**clean, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}).stdout


def test_start_imports_nothing(environment, bare):
    assert run_bare(environment[0]) == run_bare(bare)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_start_makes_no_system_calls(environment, bare, tmp_path):
    """Memory apart (brk, mmap), a start makes the same calls as with an empty file."""
    def calls(python: Path) -> int:
        run_bare(python, "strace", "-f", "-qq", "-e", "trace=!brk,mmap,munmap,mprotect", "-o", tmp_path / "calls")
        return len((tmp_path / "calls").read_text().splitlines())

    assert min(calls(environment[0]) for _ in range(3)) == min(calls(bare) for _ in range(3))


def test_finder_keeps_nothing_alive(python):
    """Globals of its own: with those of `site`, the end of every process takes longer."""
    assert python(f"import sys; f = next(f for f in sys.meta_path if getattr(f, 'name', None) == 'saggar'); "
                  "print(sorted(f.find_spec.__globals__), f.find_spec('x', None, None), f.find_spec.__closure__)") == "['__builtins__'] None None"


def test_mode_is_read_when_numba_is_imported(python):
    assert python("import os; os.environ['SAGGAR_MODE'] = 'off'; import numba; print(hasattr(numba, 'adapted'))") == "False"


@pytest.mark.parametrize("options, env, adapted", [((), {"SAGGAR_MODE": "off"}, 0), (("-S",), {}, 0), (("-I",), {}, 1), (("-E",), {}, 1), (("-O",), {}, 1),
                                                   ((), {"SAGGAR_MODE": "use"}, 1), ((), {"SAGGAR_MODE": ""}, 1)])
def test_modes(python, environment, options, env, adapted):
    code = f"import sys; sys.path.append({str(environment[1])!r}); import numba; print(getattr(numba, 'adapted', 0))"
    assert python(code, *options, **env) == str(adapted)


def test_reload(python):
    code = f"import sys, importlib, numba; importlib.reload(numba); importlib.reload(numba); print(numba.adapted, {LEFT})"
    assert python(code) == "1 False"


def test_imported_again_after_it_was_removed(python):
    code = "import sys, numba; del sys.modules['numba'], numba; import numba; print(hasattr(numba, 'here'))"
    assert python(code) == "True"


def test_find_spec_alone(python, environment):
    code = f"""
import sys, importlib.util
for _ in range(3):
    spec = importlib.util.find_spec('numba')
print(type(spec.loader).__name__, spec.origin, 'numba' in sys.modules, {LEFT})
import numba
print(numba.adapted, {LEFT})
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
print(numba.adapted)
"""
    assert python(code).splitlines() == [f"SourceFileLoader {environment[1]}/numba/__init__.py False True", "1 False", "1"]


def test_by_hand_from_a_spec(python):
    code = """
import sys, importlib.util
spec = importlib.util.find_spec('numba')
module = sys.modules['numba'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.adapted)
"""
    assert python(code) == "1"


def test_lazy_loader(python):
    code = """
import sys, importlib.util
spec = importlib.util.find_spec('numba')
spec.loader = importlib.util.LazyLoader(spec.loader)
module = sys.modules['numba'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print('numba.part' in sys.modules, module.here, module.adapted)
"""
    assert python(code) == "False numba 1"


def test_import_that_fails_and_then_works(python, tmp_path):
    write_numba(tmp_path / "bad", "import sys\nif not hasattr(sys, 'ready'): raise ImportError('not yet')\n")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path / "bad")!r})
try:
    import numba
except ImportError as error:
    print(error, {LEFT}, 'numba' in sys.modules)
sys.ready = True
import numba; print(numba.adapted, {LEFT})
"""
    assert python(code).splitlines() == ["not yet True False", "1 False"]


def test_absent(python, tmp_path):
    code = """
import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]
try:
    import numba
except ModuleNotFoundError as error:
    print(error)
import traceback
"""
    assert python(code) == "No module named 'numba'"


def test_hook_is_absent(python, tmp_path):
    """A program takes site-packages off sys.path before it imports: no hook, but no error either."""
    write_numba(tmp_path / "elsewhere")
    code = f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(tmp_path / 'elsewhere')!r}]; import numba; print(numba.here)"
    assert python(code) == "numba"


def test_adapter_that_raises(python, environment, tmp_path):
    (tmp_path / "a" / "saggar" / "numba").mkdir(parents=True)
    (tmp_path / "a" / "saggar" / "__init__.py").touch()
    for text, said in (("def install(): raise RuntimeError('no luck')", "RuntimeError: no luck"), ("import no_such_module", "ModuleNotFoundError"),
                       ("x = ", "SyntaxError")):
        (tmp_path / "a" / "saggar" / "numba" / "__init__.py").write_text(text)
        code = f"import sys; sys.path.insert(0, {str(tmp_path / 'a')!r}); import numba, saggar_hook; print(saggar_hook.state['numba'], {LEFT})"
        assert python(code, "-B").startswith(f"saggar.numba: {said}") and python(code, "-B").endswith("False")


def test_zip(python, tmp_path):
    with zipfile.ZipFile(tmp_path / "numba.zip", "w") as archive:
        archive.writestr("numba/__init__.py", NUMBA)
        archive.writestr("numba/part.py", "x = 1")
        archive.writestr("other/__init__.py", "")
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path / "numba.zip")!r})
import other, numba
print(numba.adapted, type(numba.__loader__).__name__, numba.__loader__ is numba.__spec__.loader, numba.__loader__.get_data(numba.__file__)[:10])
"""
    assert python(code) == "1 zipimporter True b'import sys'"


FINDER = """
import sys, importlib.util, importlib.machinery
class Loader:
    def create_module(self, spec): return None
    def exec_module(self, module): module.here = 'custom'
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'numba': return importlib.machinery.ModuleSpec(name, {loader})
sys.meta_path.insert({place}, Finder())
import numba
print(numba.here, getattr(numba, 'adapted', 0), type(numba.__spec__.loader).__name__)
"""


@pytest.mark.parametrize("place, adapted", [(0, 0), (1, 1)])
def test_other_finders(python, place, adapted):
    """A finder in front of ours decides alone; one behind it is watched."""
    assert python(FINDER.format(loader="Loader()", place=place)) == f"custom {adapted} Loader"


def test_loader_that_is_a_class(python):
    code = FINDER.replace("def create_module(self,", "@staticmethod\n    def create_module(").replace("def exec_module(self,", "@staticmethod\n    def exec_module(")
    assert python(code.format(loader="Loader", place=1)) == "custom 1 type"


def test_finders_that_delegate(python):
    """Another post-import hook, in front, that asks importlib.util.find_spec again and wraps the loader; and one behind."""
    code = """
import sys, importlib.util
class Proxy:
    def __init__(self, loader): self.__dict__['loader'] = loader
    def __getattr__(self, name): return getattr(self.loader, name)
    def __setattr__(self, name, value): setattr(self.loader, name, value)
    def exec_module(self, module): self.loader.exec_module(module); module.seen = True
class Finder:
    busy = False
    def find_spec(self, name, path=None, target=None):
        if name != 'numba' or self.busy: return None
        self.busy = True
        try: spec = importlib.util.find_spec(name)
        finally: self.busy = False
        spec.loader = Proxy(spec.loader)
        return spec
sys.meta_path.insert(PLACE, Finder())
import numba
print(numba.adapted, numba.seen)
"""
    assert python(code.replace("PLACE", "0")) == "1 True"
    assert python(code.replace("PLACE", "1")) == "1 True"


def test_finders_in_front_are_asked_once(python):
    code = """
import sys
class Finder:
    asked = 0
    def find_spec(self, name, path=None, target=None): self.asked += name == 'numba'
finder = Finder(); sys.meta_path.insert(0, finder)
import numba; print(finder.asked, numba.adapted)
"""
    assert python(code) == "1 1"


def test_tool_that_wraps_every_finder(python):
    """Such as a profiler of imports: our finder is not in sys.meta_path itself any more."""
    code = """
import sys
asked = []
class Wrapped:
    def __init__(self, finder): self.finder = finder
    def find_spec(self, name, path=None, target=None):
        asked.append(name)
        return self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Wrapped(finder) for finder in sys.meta_path]
import numba, json; print(numba.adapted, sys.modules['saggar_hook'].state, asked.count('numba') < 12)
"""
    assert python(code) == "1 {'numba': 'done'} True"


def test_loader_without_exec_module(python):
    """The old protocol, as far as this Python has it: our finder passes it on unchanged."""
    code = """
import sys, types, importlib.machinery, importlib.util, warnings
warnings.simplefilter('ignore')
class Loader:
    def load_module(self, name): pass
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'numba': return importlib.machinery.ModuleSpec(name, Loader())
sys.meta_path.insert(1, Finder())
print(type(importlib.util.find_spec('numba').loader).__name__)
import saggar_hook; print(saggar_hook.state)
"""
    assert python(code).splitlines() == ["Loader", "{'numba': 'loader without exec_module: Loader'}"]


def test_finder_that_raises(python):
    code = f"""
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'numba': raise KeyError('mine')
finder = Finder(); sys.meta_path.insert(1, finder)
try:
    import numba
except KeyError as error:
    print(error)
sys.meta_path.remove(finder)
import numba; print(numba.adapted, {LEFT})
"""
    assert python(code).splitlines() == ["'mine'", "1 False"]


def test_namespace_package(python, tmp_path):
    (tmp_path / "ns" / "numba").mkdir(parents=True)
    code = f"import sys; sys.path = [p for p in sys.path if 'site-packages' not in p] + [{str(tmp_path / 'ns')!r}]; import numba; print(list(numba.__path__))"
    assert python(code) == str([str(tmp_path / "ns" / "numba")])


def test_threads(python):
    code = f"""
import sys, threading
errors, start = [], threading.Barrier(8)
def work(i):
    start.wait()
    try:
        import numba
        assert numba.here == 'numba'
        __import__(['json', 'csv', 'decimal', 'fractions', 'html', 'wave', 'shelve', 'bz2'][i])
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(errors, sys.modules['numba'].adapted, {LEFT})
"""
    for _ in range(5):
        assert python(code) == "[] 1 False"


def test_removal_disturbs_no_search(python):
    """Somebody walks over sys.meta_path, in a finder, while ours goes away: the walk misses nothing."""
    code = """
import sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == 'colorsys': import numba
sys.meta_path.insert(1, Finder())
import colorsys, numba
print(numba.adapted)
"""
    assert python(code) == "1"


def test_interpreters(python):
    code = """
try:
    import _interpreters as i
except ImportError:
    import _xxsubinterpreters as i
a = i.create()
error = i.run_string(a, "import numba; assert numba.adapted == 1")
i.destroy(a)
import numba
print(error, numba.adapted)
"""
    assert python(code) == "None 1"


def test_child_processes(python):
    code = "import sys, subprocess; subprocess.run([sys.executable, '-c', 'import numba; print(numba.adapted)'], check=True)"
    assert python(code) == "1"


TRAIL = """
events = []
FLAG_STARTING = 16
def trail(event, **details):
    import sys
    events.append((event, details["flags"], details["group"], "numba.part" in sys.modules))
"""


def test_the_trail_begins_with_the_import(python, environment, tmp_path):
    """So that a process that is ended while it imports is not taken for one without the adapter. Only where a trail is kept."""
    shutil.copytree(environment[1] / "saggar", tmp_path / "saggar", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "saggar" / "_saggar.py").write_text(TRAIL)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import numba; print('saggar._saggar' in sys.modules)"
    assert python(code) == "False"
    code += "; import saggar._saggar; print(saggar._saggar.events, numba.adapted)"
    assert python(code, SAGGAR_TRAIL=str(tmp_path)) == "True\n[('adapter', 16, 'numba', False)] 1"
    again = code.replace("import numba", "import numba, importlib; importlib.reload(numba)")
    assert python(again, SAGGAR_TRAIL=str(tmp_path)) == python(code, SAGGAR_TRAIL=str(tmp_path))
    (tmp_path / "saggar" / "_saggar.py").write_text("raise OSError")
    assert python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import numba; print(numba.adapted)", SAGGAR_TRAIL=str(tmp_path)) == "1"


def test_packages_inside_packages(environment, tmp_path):
    """Each is told right after its import, and the finder stays until all were."""
    python, site = environment
    (tmp_path / "site" / "saggar").mkdir(parents=True)
    for name in ("saggar_hook.py",):
        (tmp_path / "site" / name).write_text(re.sub(
            r"^TABLE = \{.*?^\}", 'TABLE = {"outer": "saggar.one", "outer.inner": "saggar.two"}', (PYTHON / name).read_text(), flags=re.S | re.M))
    (tmp_path / "site" / "saggar" / "__init__.py").touch()
    for name, module in (("one", "outer"), ("two", "outer.inner")):
        (tmp_path / "site" / "saggar" / f"{name}.py").write_text(f"import sys\ndef install():\n    sys.modules['{module}'].told = 1\n")
    (tmp_path / "site" / "outer").mkdir()
    (tmp_path / "site" / "outer" / "__init__.py").touch()
    (tmp_path / "site" / "outer" / "inner.py").write_text("import outer\nseen = hasattr(outer, 'told')\n")
    pth = (PYTHON / "saggar.pth").read_text()
    start = pth.index("n in (")
    pth = pth[:start] + "n in ('outer', 'outer.inner')" + pth[pth.index(")", start) + 1:]
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); sys.meta_path = [f for f in sys.meta_path if getattr(f, 'name', '') != 'saggar']\n" \
           f"{pth}\nprint({LEFT}); import outer; print({LEFT}, outer.told); import outer.inner; print({LEFT}, outer.inner.told, outer.inner.seen)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("True\nTrue 1\nFalse 1 True\n", "")


def test_names_agree():
    """saggar.pth names exactly the packages of the hook's table, and is one line that `site` executes."""
    sys.path.insert(0, str(PYTHON))
    try:
        import saggar_hook
    finally:
        sys.path.pop(0)
    text = (PYTHON / "saggar.pth").read_text()
    assert text.startswith("import ") and text.count("\n") == 1
    names = text.partition("n in (")[2].partition(")")[0]
    assert sorted(name.strip(" '") for name in names.split(",")) == sorted(saggar_hook.TABLE)
