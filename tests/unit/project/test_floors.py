"""The floors of docs/explanation/architecture.md: who may import, name and look into whom."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What each package may import of the others; `dfpipe.datastore` alone where that is all it needs.
FLOORS = {
    "dfpipe": set(),
    "service": set(),
    "taskqueue": {"dfpipe.datastore", "service"},
    "workflow": {"dfpipe.datastore", "service", "taskqueue"},
    "collector": {"dfpipe", "service", "taskqueue"},
    "launcher": {"dfpipe", "service", "taskqueue", "workflow"},
    "system": {"dfpipe", "service"},
}
# The rooms of dfpipe that a tool without Beam may use.
NO_BEAM = [
    "cli",
    "settings",
    "analysis.pairs",
    "analysis.ranking",
    "analysis.stopwords",
    "analysis.text",
    "datastore",
    "engines.read_ahead",
    "posts.importing",
    "posts.reading",
    "warehouse",
]


# Python's and Beam's: their users are meant to call them.
PUBLIC = {"_replace", "_asdict", "_add_argparse_args"}
# These are words of English too: only as a module, a path or a whole string are they a package.
WORDS = {"service", "system"}
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for package in FLOORS
    for file in sorted((ROOT / package).rglob("*.py"))
}


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(found: ast.Module) -> Iterator[str]:
    """What a module imports, inside functions too, as MODULE or MODULE.NAME."""
    for node in ast.walk(found):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str:
    """The module of ours that an imported name is in; empty for a library's."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """A folder of a package, or a module at its root."""
    return ".".join(module.split(".")[:2])


def may_know(package: str, name: str) -> bool:
    """Whether a package may know the package that a name is in."""
    floor = name.partition(".")[0]
    return floor == package or any(
        name == below or name.startswith(f"{below}.") for below in FLOORS[package]
    )


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of nodes that reach each other, by repeated reachability: the graph is small."""
    reached = {node: set(graph.get(node, ())) for node in graph}
    while True:
        wider = {
            node: found.union(*(reached.get(each, set()) for each in found))
            for node, found in reached.items()
        }
        if wider == reached:
            break
        reached = wider
    rings = {
        frozenset(each for each in found if node in reached.get(each, ()))
        for node, found in reached.items()
        if node in found
    }
    return [set(ring) for ring in rings]


def texts(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def names_in(text: str, package: str) -> bool:
    """Whether a text names a package."""
    if package in WORDS:
        return bool(re.search(rf"^{package}$|\b{package}[./][a-z_]+\b|-m {package}\b", text))
    return bool(re.search(rf"\b{package}\b", text))


@functools.cache
def own_private_names(module: str) -> set[str]:
    """The private names that a module defines: functions, classes, attributes and variables."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return {name for name in found if re.match(r"_[^_]", name)}


@functools.cache
def all_private_names() -> set[str]:
    return set().union(*map(own_private_names, MODULES))


def foreign_private_names(module: str) -> Iterator[str]:
    """The private names of our other modules that a module imports or reads."""
    of_others = all_private_names() - own_private_names(module) - PUBLIC
    for name in imports(tree(module)):
        if module_of(name) and any(re.match(r"_[^_]", part) for part in name.split(".")):
            yield name
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and node.attr in of_others:
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not is_own:
                yield ast.unparse(node)


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_downward(package: str) -> None:
    upward = [
        (module, name)
        for module in MODULES
        if room(module).partition(".")[0] == package
        for name in imports(tree(module))
        if (found := module_of(name)) and not may_know(package, found) and found != "dfpipe"
    ]
    assert upward == []


def test_no_rooms_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        for name in imports(tree(module)):
            found = module_of(name)
            if found and room(found) != room(module):
                graph.setdefault(room(module), set()).add(room(found))
    assert circles(graph) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module: {found for name in imports(tree(module)) if (found := module_of(name))} - {module}
        for module in MODULES
    }
    assert circles(graph) == []


@pytest.mark.parametrize("package", FLOORS)
def test_no_text_names_a_package_above(package: str) -> None:
    above = list(FLOORS)[list(FLOORS).index(package) + 1 :]
    named = [
        (module, each, text[:80])
        for module in MODULES
        if module.partition(".")[0] == package
        for text in texts(module)
        for each in above
        if names_in(text, each)
    ]
    assert named == []


def test_no_module_reads_private_names_of_another() -> None:
    found = {module: sorted(set(foreign_private_names(module))) for module in MODULES}
    read = {module: names for module, names in found.items() if names}
    assert read == {}


def test_the_checks_see_what_they_look_for() -> None:
    assert not may_know("dfpipe", "service.auth")
    assert may_know("taskqueue", "dfpipe.datastore.embedded")
    assert not may_know("taskqueue", "dfpipe.posts")
    found = ast.parse("from a.b import c\ndef f():\n    import d.e\n")
    assert list(imports(found)) == ["a.b.c", "d.e"]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [{"b", "c"}]
    assert names_in("see launcher.app", "launcher")
    assert names_in("python -m system", "system")
    assert not names_in("a file system of a service", "system")
    assert not names_in("a file system of a service", "service")


@pytest.mark.parametrize("room", NO_BEAM)
def test_rooms_that_need_no_beam_do_not_import_it(room: str) -> None:
    check = f"import sys, dfpipe.{room}; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_no_test_module_imports_another() -> None:
    wrong = [
        (str(file.relative_to(ROOT)), name)
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for name in imports(ast.parse(file.read_text(encoding="utf-8")))
        if re.match(r"tests\..*\btest_", name)
    ]
    assert wrong == []


def test_the_helpers_of_tests_are_listed() -> None:
    folder = ROOT / "tests" / "support"
    listed = set(re.findall(r"^\| `(\w+)` \|", (folder / "README.md").read_text(), re.MULTILINE))
    assert listed == {file.stem for file in folder.glob("*.py")} - {"__init__"}
