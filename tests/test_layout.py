"""The house rules that a machine can check: who imports whom, how long a module is, what it may be called."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "baselines", "tallrec")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# The files of the repository itself, without what a run or a tool writes.
TEXT_SUFFIXES = {".py", ".yaml", ".yml", ".md", ".toml", ".txt", ".cfg", ".sh", ".html", ".css", ".jinja"}
WRITTEN = {
    ".git",
    ".venv",
    ".dvc",
    "data",
    "models",
    "predictions",
    "probes",
    "results",
    "runs",
    "build",
    "dist",
}
SEEN_OF_THE_HARNESS = {
    "benchmark.schema",
    "benchmark.errors",
    "benchmark.statistics.auc",
    "benchmark.seeding",
    "benchmark.threads",
    "benchmark.weights",
}
ROOMS: dict[str, set[str]] = {
    "artifacts": set(),
    "config": {"artifacts"},
    "data": {"artifacts", "config"},
    "methods": {"artifacts", "config", "data"},
    "statistics": {"artifacts", "config", "data", "methods"},
    "diagnostics": {"artifacts", "config", "data", "methods", "statistics"},
    "verdicts": {"artifacts", "config", "data", "methods", "statistics"},
    "planning": {"artifacts", "config", "data", "methods", "statistics", "verdicts"},
    "doctor": {"artifacts", "config", "data", "methods"},
    "report": {"artifacts", "config", "data", "methods", "statistics", "diagnostics", "verdicts", "planning"},
}
"""Room of `benchmark/` -> the rooms that it may use; data flows down this list."""
ROOMS_OF_TALLREC: dict[str, set[str]] = {
    "prompts": set(),
    "models": set(),
    "conversion": {"models"},
    "scoring": {"prompts", "models"},
    "memorisation": {"models", "scoring"},
    "training": {"prompts", "models", "scoring"},
    "tiny": {"prompts", "models", "scoring", "training"},
    "api": {"prompts"},
    "cost": {"prompts", "models", "scoring", "training", "tiny"},
}
"""The same for `tallrec/`."""
EVERY_ROOM = {"stages", "sweep", "warm"}
"""Folders whose modules may use all of `benchmark/`, and that no room uses."""
OF_ONE_KIND = {"benchmark/stages", "benchmark/data/domains", "tallrec/prompts/styles", "baselines"}
"""Folders whose modules are instances of one kind, or hold them: there may be more than `MOST_MODULES`."""
MOST_MODULES = 15
HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes"}
MAX_LINES = 300
DISTRIBUTIONS = {
    "pynvml": "nvidia-ml-py",
    "sklearn": "scikit-learn",
    "ruamel": "ruamel.yaml",
    "yaml": "pyyaml",
    "typing_extensions": "pydantic",
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    """Every absolutely imported module below `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def imported_at_module_level(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        is_for_types = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        if not is_for_types and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from imported(statement)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def repository_files() -> list[Path]:
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in TEXT_SUFFIXES
        and path.relative_to(ROOT).parts[0] not in WRITTEN
        and not any(part.startswith(".") and part != ".github" for part in path.relative_to(ROOT).parts)
    )


def test_modules_are_found():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(PACKAGES)
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "benchmark" not in path.parents], ids=name_of)
def test_models_see_the_contract_alone(path: Path):
    of_the_harness = {name for name in imported(parsed(path)) if name.split(".")[0] == "benchmark"}
    assert of_the_harness <= SEEN_OF_THE_HARNESS


def room_of(module: str) -> str:
    """The folder right below the package that a module lies in; none for a module beside the rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir() else ""


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "baselines" not in path.parents], ids=name_of)
def test_a_room_uses_those_before_it(path: Path):
    package, *folders = path.relative_to(ROOT).parts[:-1]
    if not folders or folders[0] in EVERY_ROOM:
        return
    permitted = (ROOMS if package == "benchmark" else ROOMS_OF_TALLREC)[folders[0]] | {folders[0], ""}
    used = {room_of(name) for name in imported(parsed(path)) if name.split(".")[0] == package}
    assert used <= permitted


def test_the_table_of_rooms_is_that_of_the_folders():
    for package, rooms in (("benchmark", {*ROOMS, *EVERY_ROOM}), ("tallrec", {*ROOMS_OF_TALLREC})):
        assert {path.parent.name for path in (ROOT / package).glob("*/__init__.py")} == rooms


def test_no_module_imports_itself_by_way_of_others():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    uses: dict[str, set[str]] = {}
    for name, path in names.items():
        found = {other for node in ast.walk(parsed(path)) for other in names_in(node) if other in names}
        uses[name] = found - {name}
    tuple(TopologicalSorter(uses).static_order())  # raises CycleError


def names_in(node: ast.AST) -> Iterator[str]:
    """Modules that an import may mean: that of its `from`, or of the names that it takes."""
    if isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if not any((ROOT / node.module.replace(".", "/") / f"{alias.name}.py").exists() for alias in node.names):
            yield node.module
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)


def test_a_folder_is_small_and_not_deep():
    folders = {path.parent.relative_to(ROOT) for path in MODULES}
    assert len(folders) > 15
    assert not [folder for folder in folders if len(folder.parts) > 3]
    crowded = {folder for folder in folders if len([*(ROOT / folder).glob("[!_]*.py")]) > MOST_MODULES}
    assert {folder.as_posix() for folder in crowded} <= OF_ONE_KIND


def test_unit_tests_mirror_the_folders():
    folders = {path.parent.relative_to(ROOT / "tests/unit") for path in (ROOT / "tests/unit").rglob("test_*.py")}
    assert len(folders) > 15
    assert not [folder for folder in folders if not (ROOT / folder).is_dir()]


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "baselines" in path.parents], ids=name_of)
def test_baselines_do_without_language_models(path: Path):
    assert not {name for name in imported(parsed(path)) if name.split(".")[0] == "tallrec"}


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "benchmark" in path.parents], ids=name_of)
def test_the_harness_imports_models_inside_functions(path: Path):
    roots = {name.split(".")[0] for name in imported_at_module_level(parsed(path))}
    assert not roots & (HEAVY | {"baselines", "tallrec"})


@pytest.mark.parametrize("module", ["benchmark.stages.evaluate", "benchmark.stages.report", "benchmark.cli"])
def test_torch_is_not_loaded(module: str):
    script = f"import sys, {module}; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short(path: Path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is(path: Path):
    assert ast.get_docstring(parsed(path))


def named_texts() -> Iterator[tuple[str, str]]:
    """Name and value of every text or path that a module gives a name to."""
    for path in MODULES:
        for node in parsed(path).body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Constant(value=str()) | ast.Call(func=ast.Name(id="Path"), args=[ast.Constant()]),
                ):
                    yield name, ast.unparse(node.value)
                case _:
                    continue


def test_a_text_has_its_name_in_one_module():
    found = list(named_texts())
    assert len(found) > 10
    assert [one for one in sorted(set(found)) if found.count(one) > 1] == []


def test_no_module_is_a_drawer():
    drawers = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [path for path in MODULES if drawers & {*path.relative_to(ROOT).with_suffix("").parts}]


def test_no_path_of_one_machine_is_written_down():
    files = repository_files()
    assert len(files) > len(MODULES)
    own_folder = re.compile(r"(?<![\w.$}])/(?:" + "|".join(("root", "home", "work", "tmp", "Users")) + r")/\w")
    assert not [name_of(path) for path in files if own_folder.search(path.read_text(encoding="utf-8"))]


def test_every_imported_distribution_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    names = {re.split(r"[<>=\[;~! ]", requirement)[0].lower().replace("_", "-") for requirement in declared}
    roots = {name.split(".")[0] for path in MODULES for name in imported(parsed(path))}
    third_party = roots - sys.stdlib_module_names - set(PACKAGES)
    assert {DISTRIBUTIONS.get(root, root.replace("_", "-")).lower() for root in third_party} <= names | {
        "pydantic-core"
    }
