"""Projects of all kinds: packages at paths, the project as a package with extensions, tables of dependencies, shared environments."""
from __future__ import annotations

import shutil

import pytest

from generate import Package, describe
from test_verdicts import by_name

LEAF = "11111111-2222-4333-8444-555566667777"
EXT, BOTH = "ec83694a-78e5-5877-904b-8f6a72e18141", "b754e673-26f1-571e-a33b-93ee62d9c1ca"  # Julia's, of Leaf's extensions


def entry(p: Package, *lines: str, where: str = "") -> str:
    """A package of a manifest."""
    origin = f'path = "{where}"' if where else f'git-tree-sha1 = "{p.tree}"'
    return "\n".join(["", f"[[deps.{p.name}]]", origin, f'uuid = "{p.uuid}"', *lines, ""])


@pytest.fixture
def place(tmp_path):
    """A depot, an app and a description, empty so far."""

    class Place:
        folder, depot, app, info = tmp_path, tmp_path / "depot", tmp_path / "app", tmp_path / "julia.json"

        def write(self, project: str, manifest: str, *packages: Package) -> None:
            self.app.mkdir(exist_ok=True)
            self.depot.mkdir(exist_ok=True)
            (self.app / "Project.toml").write_text(project)
            (self.app / "Manifest.toml").write_text('julia_version = "1.11.7"\nmanifest_format = "2.0"\n' + manifest)
            for package in packages:
                package.write(self.depot, b"code")
            describe(self.info)

        def arguments(self, *more: str) -> list[str]:
            return [*more, "--depot", self.depot, "--julia-info", self.info, self.app]

    return Place()


def test_a_package_at_a_path(saggar, place):
    one = Package(1, [])
    here = Package(2, [one], root=str(place.app / "dev/Package0002"))
    place.write(f'[deps]\nPackage0002 = "{here.uuid}"\n', entry(one) + entry(here, 'deps = ["Package0001"]', where="dev/Package0002"), one, here)
    assert all(p["fresh"] for p in saggar.json("check", *place.arguments())["packages"])
    place.app.rename(place.folder / "elsewhere")
    place.app = place.folder / "elsewhere"
    found = by_name(saggar.json("check", *place.arguments(), status=1))
    assert found["Package0002"]["reason"] == "wrong source" and found["Package0001"]["fresh"]
    describe(place.info, active_project=str(place.folder / "app/Project.toml"))
    saggar.json("check", *place.arguments())
    saggar.json("check", *place.arguments("--here"), status=1)


def test_a_project_with_extensions(saggar, place):
    one, two = Package(1, []), Package(2, [])
    leaf = Package(3, [], name="Leaf", identity=LEAF, root=str(place.app))
    first = Package(4, [leaf, one], name="LeafTrigExt", identity=EXT, root=str(place.app), entry="ext/LeafTrigExt.jl")
    both = Package(5, [leaf, one, two], name="BothExt", identity=BOTH, root=str(place.app), entry="ext/BothExt/BothExt.jl")
    project = (f'name = "Leaf"\nuuid = "{LEAF}"\n[weakdeps]\nPackage0001 = "{one.uuid}"\nPackage0002 = "{two.uuid}"\n'
               '[extensions]\nLeafTrigExt = "Package0001"\nBothExt = ["Package0001", "Package0002"]\n')
    place.write(project, entry(one) + entry(two), one, two, leaf, first, both)
    found = saggar.json("check", *place.arguments())["packages"]
    assert [p["name"] for p in found] == ["Leaf", "Package0001", "Package0002", "BothExt", "LeafTrigExt"]
    place.write(project, entry(one))
    found = saggar.json("check", *place.arguments())["packages"]
    assert [p["name"] for p in found] == ["Leaf", "Package0001", "LeafTrigExt"]
    why = by_name(saggar.json("why", *place.arguments()))
    assert not why["BothExt"]["wanted"] and why["BothExt"]["reason"] == "dep missing source"
    (place.app / "src/Leaf.jl").unlink()  # then the project is no package
    assert "Leaf" not in by_name(saggar.json("check", *place.arguments(), status=1))


def test_an_extension_of_a_package(saggar, place):
    one = Package(1, [])
    leaf = Package(3, [], name="Leaf", identity=LEAF)
    first = Package(4, [leaf, one], name="LeafTrigExt", identity=EXT, root=str(place.folder / "x"), entry="ext/LeafTrigExt.jl")
    first.root, first.folder = "", leaf.folder
    for weak in ('weakdeps = ["Package0001"]', f'weakdeps = {{Package0001 = "{one.uuid}"}}'):
        manifest = entry(one) + entry(leaf, weak, "[deps.Leaf.extensions]", 'LeafTrigExt = ["Package0001"]')
        place.write(f'[deps]\nLeaf = "{LEAF}"\n', manifest, one, leaf, first)
        found = saggar.json("check", *place.arguments())["packages"]
        assert [p["name"] for p in found] == ["Leaf", "Package0001", "LeafTrigExt"]
    other = manifest.replace(one.uuid + '"}', "99999999-0000-4000-8000-000000000000" + '"}')
    place.write(f'[deps]\nLeaf = "{LEAF}"\n', other)
    assert "LeafTrigExt" not in by_name(saggar.json("check", *place.arguments()))


def test_two_packages_of_one_name(saggar, place):
    """Then a manifest tells dependencies by table."""
    one, other = Package(1, []), Package(2, [], name="Package0001", identity="99999999-0000-4000-8000-000000000001")
    user = Package(3, [other])
    manifest = entry(one) + entry(other) + entry(user, "[deps.Package0003.deps]", f'Package0001 = "{other.uuid}"')
    place.write(f'[deps]\nPackage0001 = "{one.uuid}"\nPackage0003 = "{user.uuid}"\n', manifest, one, other, user)
    assert [p["fresh"] for p in saggar.json("check", *place.arguments())["packages"]] == [True] * 3
    place.write(f'[deps]\nPackage0003 = "{user.uuid}"\n', manifest.replace(f'Package0001 = "{other.uuid}"', f'Package0001 = "{one.uuid}"'))
    assert by_name(saggar.json("check", *place.arguments(), status=1))["Package0003"]["reason"] == "dep uuid changed"


def test_names_of_files(saggar, place):
    """JuliaProject.toml, manifests of a version, a manifest elsewhere; each before the plain one."""
    one = Package(1, [])
    place.write("this is no TOML", "nor this", one)
    (place.app / "JuliaProject.toml").write_text(f'[deps]\nPackage0001 = "{one.uuid}"\n')
    (place.app / "Manifest-v1.11.toml").write_text('manifest_format = "2.0"\n' + entry(one))
    saggar.json("check", *place.arguments())
    (place.app / "JuliaManifest-v1.11.toml").write_text("no")
    assert saggar("check", *place.arguments(), status=2) == "" and "JuliaManifest-v1.11.toml" in saggar.err
    (place.app / "Manifest-v1.11.toml").rename(place.folder / "m.toml")
    (place.app / "JuliaProject.toml").write_text(f'manifest = "../m.toml"\n[deps]\nPackage0001 = "{one.uuid}"\n')
    saggar.json("check", *place.arguments())
    saggar.json("check", *place.arguments()[:-1], place.app / "JuliaProject.toml")


def test_the_shared_environment(saggar, place):
    """What the project does not have, the environment of the version in the depot may."""
    one = Package(1, [])
    user = Package(2, [one])
    place.write(f'[deps]\nPackage0002 = "{user.uuid}"\n', entry(user), one, user)
    assert by_name(saggar.json("check", *place.arguments(), status=1))["Package0002"]["reason"] == "dep missing source"
    shared = place.depot / "environments/v1.11"
    shared.mkdir(parents=True)
    (shared / "Project.toml").write_text(f'[deps]\nPackage0001 = "{one.uuid}"\n')
    (shared / "Manifest.toml").write_text('manifest_format = "2.0"\n' + entry(one))
    assert by_name(saggar.json("check", *place.arguments(), status=1))["Package0002"]["reason"] == "dep uuid changed"
    place.write(f'[deps]\nPackage0002 = "{user.uuid}"\n', entry(user, f'deps = {{Package0001 = "{one.uuid}"}}'))
    saggar.json("check", *place.arguments())


def test_the_standard_library(saggar, place):
    one = Package(1, [], root=str(place.folder / "stdlib/Package0001"))
    place.write(f'[deps]\nPackage0001 = "{one.uuid}"\n', f'[[deps.Package0001]]\nuuid = "{one.uuid}"\n', one)
    assert by_name(saggar.json("check", *place.arguments(), status=1))["Package0001"]["reason"].startswith("Cannot locate source")
    describe(place.info, stdlib=str(place.folder / "stdlib"))
    assert by_name(saggar.json("check", *place.arguments(), status=1))["Package0001"]["reason"].startswith("Cannot locate source")
    (place.folder / "stdlib/Package0001/Project.toml").write_text(f'name = "Package0001"\nuuid = "{one.uuid}"\n')
    saggar.json("check", *place.arguments())
    describe(place.info, stdlib=str(place.folder / "moved"), build_stdlib=str(place.folder / "stdlib"))
    (place.folder / "stdlib").rename(place.folder / "moved")
    assert by_name(saggar.json("check", *place.arguments()))["Package0001"]["fresh"]


def test_what_the_manifest_lacks(saggar, place):
    """Julia finds it in the standard library, or fails; it is no package that would be loaded from a cache."""
    one, two, three = Package(1, []), Package(2, []), Package(3, [], root=str(place.folder / "stdlib/Package0003"))
    deps = "".join(f'{p.name} = "{p.uuid}"\n' for p in (one, two, three))
    place.write("[deps]\n" + deps + 'SHA = "ea8e919c-243c-51af-8825-aaa63cd721ce"\n', entry(one), one, two, three)
    (place.folder / "stdlib/Package0003/Project.toml").write_text(f'name = "Package0003"\nuuid = "{three.uuid}"\n')
    describe(place.info, stdlib=str(place.folder / "stdlib"))
    found = by_name(saggar.json("check", *place.arguments(), status=1))
    assert {name: p["fresh"] for name, p in found.items()} == {"Package0001": True, "Package0002": False, "Package0003": True}
    assert found["Package0002"]["reason"].startswith("Cannot locate source")
    image = place.folder / "a.saggar"
    saggar("bake", "-o", image, *place.arguments(), status=1)
    shutil.rmtree(place.depot / "compiled")
    saggar("restore", "--image", image, *place.arguments(), status=1)
    found = by_name(saggar.json("check", *place.arguments(), status=1))
    assert [p["fresh"] for p in found.values()] == [True, False, True]


def test_depots_of_the_environment(saggar, place, monkeypatch):
    """Without --depot and depot_path: JULIA_DEPOT_PATH by Julia's rules, else ~/.julia."""
    one = Package(1, [])
    place.write(f'[deps]\nPackage0001 = "{one.uuid}"\n', entry(one), one)
    saggar.env["HOME"] = str(place.folder)

    def fresh(path: str, status: int = 0) -> None:
        saggar.env["JULIA_DEPOT_PATH"] = path
        saggar("check", "--julia-info", place.info, place.app, status=status)

    monkeypatch.chdir(place.folder)
    for path in (f"/nonexistent:{place.depot}:", "~/depot", "/x:~/depot/", "depot", "x:./depot"):
        fresh(path)
    for path in ("~", "depot2", "~depot", "/x::", ":"):
        fresh(path, status=1)
    fresh("", status=2)
    assert "no depot is known" in saggar.err
    shutil.move(place.depot, place.folder / ".julia")
    for path in (":", ":/x", "~/.julia"):
        fresh(path)
    fresh("/x:", status=1)  # from 1.11 on: what came with Julia alone
    fresh("/x::/y", status=1)
    # What came with Julia is known where the standard library is.
    (place.folder / "share/julia/stdlib/v1.11").mkdir(parents=True)
    describe(place.info, stdlib=str(place.folder / "share/julia/stdlib/v1.11"))
    for part in ("compiled", "packages"):
        shutil.move(place.folder / ".julia" / part, place.folder / "share/julia" / part)
    fresh("/x:")
    fresh(":")
    fresh("/x", status=1)


def test_what_is_named_must_be_that(saggar, place):
    """A depot is a folder, a description a file; the message names what is not."""
    one = Package(1, [])
    place.write(f'[deps]\nPackage0001 = "{one.uuid}"\n', entry(one), one)
    for depot, info, word in ((place.info, place.info, "not a folder"), (place.depot, place.depot, "not a file"), (place.depot, "/dev/zero", "not a file")):
        saggar("check", "--depot", depot, "--julia-info", info, place.app, status=2)
        assert word in saggar.err, saggar.err
    saggar("gc", place.info, status=2)
    assert "no such folder" in saggar.err


@pytest.mark.parametrize("number", ["9223372036854775808", "-9_223_372_036_854_775_809", "0xffffffffffffffff", "0o1777777777777777777777",
                                    "0b" + "1" * 64, "0b" + "0" * 62 + "1", "0b" + "0" * 63 + "x", "[1, 0x1_0000_0000_0000_0000]", "{ b = 99999999999999999999 }"])
def test_a_number_that_does_not_fit(saggar, place, number):
    """Refused by name: toml11 takes another number for it, which would be compared with that of a preference."""
    place.write(f"a = {number}\n", "")
    assert saggar("check", *place.arguments(), status=2) == ""
    assert "Project.toml" in saggar.err and "64 bits" in saggar.err


def test_digits_that_are_no_such_number(saggar, place):
    """In texts, comments, keys, dates and reals; and the greatest and the least that fit."""
    long = "= 0xffffffffffffffffffff"
    place.write(f'''a = "x\\" {long}" # {long}
b = '\\' # {long}
c = """x" \\""" {long}
{long} """" # {long}
d = ''' + "'''x' {long}\n" + f"{long}''''' # {long}\n" + f'''
e = [9223372036854775807, -9223372036854775808, 0x7fff_ffff_ffff_ffff, 0o777777777777777777777, 0b{"1" * 62}]
f = [1.99999999999999999999, 99999999999999999999e1, 2026-01-01T00:00:00.99999999999999999999Z, inf]
"g # " = ["{long}", "{long}"]
99999999999999999999 = "x" # a key
''', "")
    saggar("check", *place.arguments())


def test_a_number_beside_a_text(saggar, place):
    """Where a text ends is known: what follows it is looked at."""
    for text in (r'"\""', '"""a"""', '"""a""""', "'''a'''''", r'"""\""""', r"'\'", '""', "''", '"""#"""'):
        place.write(f"a = [{text}, 9223372036854775808]\n", "")
        saggar("check", *place.arguments(), status=2)
        assert "64 bits" in saggar.err
