"""Rules of the repository, as tests: sizes, the map, the locks, the targets, and what no file may name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from tests.repository.tree import ROOT, modules, texts

if TYPE_CHECKING:
    from pathlib import Path

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70
TARGETS: Final = (
    "bench", "chaos", "clean", "demo", "faults", "format", "help", "imports", "lint", "lock", "setup", "test",
    "types",
)  # fmt: skip
# Written in pieces, so that this file does not name what it forbids.
REGISTRIES: Final = tuple(
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"), ("pythonhosted", "org"), ("registry", "npmjs"), ("repo", "maven"), ("repo1", "maven"),
        ("crates", "io"), ("proxy", "golang"), ("deb", "debian"), ("anaconda", "org"),
    )
)  # fmt: skip
INDEX_OPTIONS: Final = re.compile(
    "|".join("--" + name for name in ("index-url", "find-links", "trusted-host"))
)
MACHINE_PATHS: Final = re.compile(
    r"(?<![\w.$}~-])/(?:" + "|".join(("ro" + "ot", "wo" + "rk", "ho" + "me")) + r")/\w"
)
# `uv` options that keep an index out of the locks name it.
OPTION_NAMED_IN: Final = frozenset({"Makefile"})


def ids(path: Path) -> str:
    return path.as_posix()


@pytest.mark.parametrize("path", modules(), ids=ids)
def test_a_module_says_what_it_is_and_stays_small(path: Path) -> None:
    source = (ROOT / path).read_text()
    tree = ast.parse(source)
    lines = source.count("\n")
    assert lines <= MODULE_LINES_MAX, f"{path} has {lines} lines, at most {MODULE_LINES_MAX} are read at once"
    assert ast.get_docstring(tree) or not tree.body, f"{path} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{path}:{node.lineno} {node.name} has {length} lines"


def map_entries() -> list[str]:
    """Return the paths that the tables of the architecture map name first."""
    page = ROOT / "docs" / "ARCHITECTURE.md"
    assert page.is_file(), "docs/ARCHITECTURE.md is missing: it holds the map of all modules"
    return re.findall(r"^\| `((?:schemas|streams|agents)/[^`]*)` \|", page.read_text(), flags=re.MULTILINE)


def test_the_map_names_only_what_exists_and_nothing_twice() -> None:
    entries = map_entries()
    gone = [entry for entry in entries if not (ROOT / entry).exists()]
    twice = [entry for entry, times in Counter(entries).items() if times > 1]
    assert not gone, f"docs/ARCHITECTURE.md names what does not exist: {gone}"
    assert not twice, f"docs/ARCHITECTURE.md names twice: {twice}"


def test_the_map_names_every_module_or_its_folder() -> None:
    entries = map_entries()
    folders = tuple(entry for entry in entries if entry.endswith("/"))
    named = [path.as_posix() for path in modules() if path.name != "__init__.py"]
    unmapped = [path for path in named if path not in entries and not path.startswith(folders or ("\0",))]
    both = [path for path in named if path in entries and path.startswith(folders or ("\0",))]
    assert not unmapped, f"docs/ARCHITECTURE.md does not name: {unmapped}"
    assert not both, f"docs/ARCHITECTURE.md names a module beside its folder: {both}"


@pytest.mark.parametrize("path", texts(), ids=ids)
def test_a_file_names_no_registry_and_no_path_of_a_machine(path: Path) -> None:
    text = (ROOT / path).read_text(errors="replace")
    named = [host for host in REGISTRIES if host in text]
    assert not named, f"{path} names a package registry: {named}"
    paths = MACHINE_PATHS.findall(text)
    assert not paths, f"{path} names a path of one machine: {paths}"
    if path.as_posix() not in OPTION_NAMED_IN:
        assert not INDEX_OPTIONS.search(text), f"{path} sets a package index"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(name: str) -> set[str]:
    """Return the distributions that a list asks for, those of the lists it includes too."""
    found: set[str] = set()
    for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found |= wanted(line.removeprefix("-r ").removesuffix(".in"))
        elif requirement := re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line):
            found.add(canonical(requirement.group()))
    return found


def locked(name: str) -> dict[str, set[str]]:
    """Return the versions of each distribution in a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found: dict[str, set[str]] = {}
    for distribution, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, flags=re.MULTILINE):
        found.setdefault(canonical(distribution), set()).add(version)
    return found


@pytest.mark.parametrize("name", ["build", "run", "dev"])
def test_a_lock_holds_what_its_list_asks_for_and_a_hash_for_each(name: str) -> None:
    missing = wanted(name) - locked(name).keys()
    assert not missing, f"requirements/{name}.txt lacks {sorted(missing)}: run `make lock`"
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    for block in re.split(r"\n(?=[A-Za-z0-9])", text):
        assert "==" not in block or "--hash=sha256:" in block, f"no hash: {block.splitlines()[0]}"


def test_developers_run_the_versions_that_users_run() -> None:
    developers = locked("dev")
    differing = {name for name, versions in locked("run").items() if developers.get(name) != versions}
    assert not differing, f"requirements/run.txt and dev.txt differ in {sorted(differing)}: run `make lock`"


def test_there_is_one_way_to_lock() -> None:
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_target_and_explains_it(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:.*## \S", makefile, flags=re.MULTILINE), (
        f"Makefile has no `{target}: ... ## why`"
    )


def test_what_is_left_to_the_compiled_run_lies_in_it() -> None:
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^compiled:.*\n\t(.*)$", makefile, flags=re.MULTILINE)
    assert recipe
    folders = re.findall(r"tests/[\w/.]+", recipe.group(1))
    mark = ".".join(("mark", "compiled"))  # in pieces: this file has no such test
    marked = [
        path.as_posix() for path in texts() if path.suffix == ".py" and mark in (ROOT / path).read_text()
    ]
    assert marked
    assert [path for path in marked if not path.startswith(tuple(folders))] == []
