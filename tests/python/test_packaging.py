"""What `pip install` makes of a checkout: wheel, source distribution, editable install, and the inert package elsewhere.

Slow: builds the extension several times, in fresh virtual environments (deselect with -m 'not slow').
"""
from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="Linux only")]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("SAGGAR_", "PYTHON", "VIRTUAL_ENV"))}
HAS_COMMAND = (ROOT / "src/cli/meson.build").exists()

CHECK = """
import sys
assert 'saggar' not in sys.modules
from saggar import _saggar, __version__
assert _saggar.version() == __version__ and _saggar.decode(_saggar.encode((1, 'a'))) == (1, 'a')
_saggar.Cache(store='', images='').close()
import saggar.numba
assert saggar.numba.status()['active'] is False
print('hook', any(getattr(f, 'name', None) == 'saggar' for f in sys.meta_path))
import saggar_hook
"""


def call(*command: object, cwd: Path = ROOT, **env: str) -> str:
    done = subprocess.run([str(word) for word in command], cwd=cwd, env={**CLEAN, **env}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def make_environment(folder: Path, *packages: str) -> Path:
    call(sys.executable, "-m", "venv", folder)
    if packages:
        call(folder / "bin/python", "-m", "pip", "install", "-q", *packages)
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """An environment with the build tools."""
    return make_environment(tmp_path_factory.mktemp("tools"), "build", "meson-python", "meson", "ninja")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the tree as it is, committed: a source distribution holds what is committed."""
    target = tmp_path_factory.mktemp("checkout") / "saggar"
    names = call("git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    identity = dict(GIT_AUTHOR_NAME="t", GIT_AUTHOR_EMAIL="t@example.org", GIT_COMMITTER_NAME="t", GIT_COMMITTER_EMAIL="t@example.org")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        call("git", *words, cwd=target, **identity)
    return target


@pytest.fixture(scope="module")
def wheel(tools, checkout, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    call(tools / "bin/python", "-m", "build", "-n", "-w", "-o", out, cwd=checkout, PATH=f"{tools / 'bin'}:{CLEAN['PATH']}")
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def sdist(tools, checkout, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    call(tools / "bin/python", "-m", "build", "-n", "-s", "-o", out, cwd=checkout, PATH=f"{tools / 'bin'}:{CLEAN['PATH']}")
    return next(out.glob("*.tar.gz"))


def python_files(root: Path) -> set[str]:
    """What must be in a wheel: everything of the package but C and what Python made."""
    found = {str(path.relative_to(root)) for path in (root / "python/saggar").rglob("*") if path.is_file()}
    return {name.removeprefix("python/") for name in found if "/_ext/" not in name and "__pycache__" not in name and not name.endswith(".so")}


def use(environment: Path, tmp_path: Path) -> None:
    """What an installed Saggar must do."""
    assert call(environment / "bin/python", "-c", CHECK, cwd=tmp_path) == "hook True\n"
    passes = "import sys; print(sys.meta_path[0].find_spec('numba'), 'saggar_hook' in sys.modules)"
    assert call(environment / "bin/python", "-c", passes, cwd=tmp_path, SAGGAR_MODE="off") == "None False\n"
    assert call(environment / "bin/python", "-c", passes, cwd=tmp_path).endswith("True\n")
    if HAS_COMMAND:
        assert "0.1.0" in call(environment / "bin/saggar", "--version", cwd=tmp_path)
    call(environment / "bin/python", "-m", "pip", "check", cwd=tmp_path)


def test_wheel_holds_what_it_should(wheel, checkout):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = email.message_from_bytes(archive.read("saggar-0.1.0.dist-info/METADATA"))
    extension = {name for name in names if name.startswith("saggar/_saggar.") and name.endswith(".so")}
    assert len(extension) == 1
    scripts = {"saggar-0.1.0.data/scripts/saggar"} if HAS_COMMAND else set()
    info = {name for name in names if name.startswith("saggar-0.1.0.dist-info/")}
    assert names - info == python_files(checkout) | {"saggar.pth", "saggar_hook.py"} | extension | scripts
    assert metadata["Name"] == "saggar" and metadata["Version"] == "0.1.0" and metadata["Requires-Dist"] is None


def test_extension_exports_one_name(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.startswith("saggar/_saggar.") and name.endswith(".so"))
        archive.extract(name, tmp_path)
    symbols = call("nm", "-D", "--defined-only", tmp_path / name).split()[2::3]
    assert symbols == ["PyInit__saggar"]
    assert "libsaggar" not in call("readelf", "-d", tmp_path / name)


def test_wheel_installs(wheel, tmp_path):
    environment = make_environment(tmp_path / "environment", str(wheel))
    use(environment, tmp_path)
    call(environment / "bin/python", "-m", "pip", "uninstall", "-y", "-q", "saggar")
    assert not [path for path in environment.rglob("*saggar*")]


def test_checkout_installs(checkout, tmp_path):
    """As a user does it: pip fetches the build tools itself."""
    use(make_environment(tmp_path / "environment", str(checkout)), tmp_path)


def test_sdist_installs(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"pyproject.toml", "meson.build", "include/saggar/saggar.h", "python/backend/saggar_backend.py", "python/saggar.pth"} <= set(names)
    use(make_environment(tmp_path / "environment", str(sdist)), tmp_path)


def test_editable(tools, checkout, tmp_path):
    environment = make_environment(tmp_path / "environment", "meson-python", "meson", "ninja")
    path = f"{environment / 'bin'}:{CLEAN['PATH']}"
    call(environment / "bin/pip", "install", "-q", "--no-build-isolation", "-e", checkout, PATH=path)
    use(environment, tmp_path)
    version = "import saggar; print(saggar.__version__, saggar.__file__)"
    assert call(environment / "bin/python", "-c", version, cwd=tmp_path) == f"0.1.0 {checkout / 'python/saggar/__init__.py'}\n"
    call(environment / "bin/python", "-m", "pip", "uninstall", "-y", "-q", "saggar")
    assert not [path for path in environment.rglob("*saggar*")]


def test_editable_as_a_user_does_it(checkout, tmp_path):
    """With build isolation the build tools are gone afterwards; what was built must work all the same."""
    environment = make_environment(tmp_path / "environment")
    call(environment / "bin/pip", "install", "-q", "-e", checkout)
    use(environment, tmp_path)


def test_elsewhere_it_is_inert(tools, checkout, tmp_path):
    """On another system the package installs without a compiler, can be imported and says that it does nothing."""
    cross = tmp_path / "elsewhere.ini"
    cross.write_text("[binaries]\nc = '/nonexistent/cc'\n[host_machine]\nsystem = 'darwin'\ncpu_family = 'aarch64'\ncpu = 'arm64'\nendian = 'little'\n")
    out = tmp_path / "out"
    call(tools / "bin/meson", "setup", tmp_path / "b", checkout, "-Dpython=true", "--cross-file", cross, "--prefix", out)
    call(tools / "bin/meson", "install", "-C", tmp_path / "b", "--quiet")
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    site = {name.partition("-packages/")[2] for name in names}
    assert site == python_files(checkout) | {"saggar_hook.py"}
    folder = next(path.parent for path in out.rglob("saggar_hook.py"))
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import saggar, saggar.numba as n; print(saggar.__version__, n.install(), n.status()['reason'])"
    assert call(sys.executable, "-I", "-S", "-c", code, cwd=tmp_path) == "0.1.0 False unsupported platform\n"


def test_missing_libraries_are_named(tools, checkout, tmp_path):
    done = subprocess.run([str(tools / "bin/meson"), "setup", str(tmp_path / "b"), str(checkout), "-Dpython=true"], capture_output=True, text=True,
                          env={**CLEAN, "PKG_CONFIG_LIBDIR": str(tmp_path), "CMAKE_PREFIX_PATH": str(tmp_path)})
    assert done.returncode != 0 and "apt-get install libssl-dev libxxhash-dev libzstd-dev pkgconf" in done.stdout


def test_under_the_address_sanitizer(tools, checkout, tmp_path):
    """The extension's own tests, built with ASan: no byte is read or written that is not ours."""
    runtime = Path(call("cc", "-print-file-name=libasan.so").strip())
    if not runtime.is_absolute():
        pytest.skip("no libasan")
    environment = make_environment(tmp_path / "environment", "pytest", "meson-python", "meson", "ninja", "numpy")
    meson = environment / "bin/meson"
    path = f"{environment / 'bin'}:{CLEAN['PATH']}"
    call(meson, "setup", tmp_path / "b", checkout, "-Dpython=true", "-Dtests=false", "-Ddocuments=disabled",
         "-Db_sanitize=address,undefined", "-Db_lundef=false", "--prefix", tmp_path / "out", PATH=path)
    call(meson, "install", "-C", tmp_path / "b", "--quiet", PATH=path)
    site = next((tmp_path / "out").rglob("saggar_hook.py")).parent
    call(environment / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *(checkout / "tests/python" / f"test_{name}.py" for name in
         ("values", "cache", "trail")), "-k", "not interpreters", cwd=tmp_path, LD_PRELOAD=str(runtime.resolve()), PYTHONPATH=str(site),
         PYTHONMALLOC="malloc", ASAN_OPTIONS="detect_leaks=0:abort_on_error=1", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
