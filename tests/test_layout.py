"""The house rules that a machine can check: who imports whom, how long a module is, what it may be called."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
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
SEEN_OF_THE_HARNESS = {"benchmark.schema", "benchmark.errors", "benchmark.statistics.auc", "benchmark.seeding"}
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


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def repository_files() -> list[Path]:
    return sorted(
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and path.suffix in TEXT_SUFFIXES
        and not WRITTEN & set(path.relative_to(ROOT).parts)
        and not any(part.startswith(".") and part != ".github" for part in path.relative_to(ROOT).parts)
    )


def test_modules_are_found():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(PACKAGES)
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", [path for path in MODULES if ROOT / "benchmark" not in path.parents], ids=name_of)
def test_models_see_the_contract_alone(path: Path):
    of_the_harness = {name for name in imported(parsed(path)) if name.split(".")[0] == "benchmark"}
    assert of_the_harness <= SEEN_OF_THE_HARNESS


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
