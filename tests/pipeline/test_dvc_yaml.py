"""`dvc.yaml` as text: every stage is a module, and nothing that decides its result is left undeclared."""

import ast
import re
from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.params import Params
from benchmark.config.pipeline import pipeline_stages, stage_counts
from benchmark.config.reading import read_yaml

ROOT = Path(__file__).parents[2]
STAGES: dict[str, dict[str, Any]] = pipeline_stages(ROOT)
PARAMS = read_yaml(ROOT / "params.yaml")
PARAMS["grid"]["other_models"], PARAMS["icl"]["models"] = ["served"], {"served": {}}  # else that stage has no item
PARAMS["memory"]["domains"] = ["movie"]
PARAMS["external"] = [{"name": "fm", "path": "fm.csv", "test_domain": "movie", "n_shots": 64, "seed": 0}]
WORD = re.compile(r"\$\{([\w.]+)(?:\[0\])?\}")
COMMAND = re.compile(r"python -m benchmark\.stages\.(\w+)\b")


def module_files() -> dict[str, Path]:
    files: dict[str, Path] = {}
    for package in ("benchmark", "baselines", "tallrec"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


MODULES = module_files()


# Without influence on what a stage computes: how an error or a progress line looks, how `params.yaml` is read and
# checked (the keys that count are tracked as params), where a file lies (what a stage reads and writes is declared),
# what is noted about a run or told to a tracker, how its processes are started, what their command lines are called
# (the commands are tracked), and how a file is downloaded.
EXEMPT = {
    *(name for name, path in MODULES.items() if path.name == "__init__.py" and not path.read_text().count("import ")),
    *(name for name in MODULES if name.startswith("benchmark.config.")),
    *("benchmark.errors", "benchmark.arguments", "benchmark.progress"),
    *("benchmark.artifacts.paths", "benchmark.artifacts.provenance"),
    *("benchmark.data.download", "tallrec.telling", "tallrec.reporting"),
    *(f"benchmark.methods.{name}" for name in ("configuration", "launching", "rules", "pinning", "baseline_values")),
    *("benchmark", "benchmark.stages"),
}


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def first_party_imports(module: str) -> frozenset[str]:
    """First-party modules that `module` imports, inside functions too; not those that it names in types alone."""
    return frozenset(_first_party_imports(module))


def _first_party_imports(module: str) -> Iterator[str]:
    pending: list[ast.AST] = [parsed(module)]
    while pending:
        node = pending.pop()
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            pending.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (name for name in (f"{node.module}.{alias.name}" for alias in node.names) if name in MODULES)
            if node.module in MODULES:
                yield node.module


def closure(module: str) -> set[str]:
    found: set[str] = set()
    pending = {module}
    while pending:
        module = pending.pop()
        found.add(module)
        if module not in EXEMPT:
            pending |= first_party_imports(module) - found
    return found - EXEMPT


def entries(stage: dict[str, Any], key: str) -> list[str]:
    """Paths (or params) under `key`, without their options."""
    return [name for entry in stage.get(key, []) for name in (entry if isinstance(entry, dict) else [entry])]


def unfolded(name: str, key: str) -> list[str]:
    """`entries` for every item of the matrix of stage `name`."""
    matrix = {axis: resolved(values) for axis, values in STAGES[name].get("matrix", {}).items()}
    paths: list[str] = []
    for chosen in product(*matrix.values()):
        item = dict(zip(matrix, chosen, strict=True))
        for entry in entries(STAGES[name], key):
            paths.append(WORD.sub(partial(resolved_word, item), entry))
    return paths


def resolved_word(item: dict[str, Any], found: re.Match[str]) -> str:
    """What DVC puts in the place of `${...}`: a value of the matrix, a value of params.yaml, or the first of a list."""
    value = value_at(found[1], {**PARAMS, "item": item})
    return str(value[0] if found[0].endswith("[0]}") else value)


def resolved(values: Any) -> list[Any]:
    return value_at(values[2:-1]) if isinstance(values, str) else values


def value_at(dotted: str, values: Any = PARAMS) -> Any:
    value = values
    for part in dotted.split("."):
        value = value[part]
    return value


def test_a_stage_is_a_module_and_a_module_is_a_stage():
    modules = {path.stem for path in (ROOT / "benchmark" / "stages").glob("*.py")} - {"__init__"}
    assert set(STAGES) == modules
    assert len(modules) >= 8


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_its_own_module(name: str):
    assert COMMAND.match(STAGES[name]["cmd"]).group(1) == name


@pytest.mark.parametrize("name", STAGES)
def test_code_that_a_stage_imports_is_a_dependency(name: str):
    declared = [Path(dep) for dep in unfolded(name, "deps")]
    needed = {MODULES[module].relative_to(ROOT) for module in closure(f"benchmark.stages.{name}")}
    undeclared = [path for path in needed if not any(dep == path or dep in path.parents for dep in declared)]
    assert not sorted(map(str, undeclared))


# Whatever is edited in one of these, the stage takes seconds, or stops at an output that is equal.
FOLDERS_AS_A_WHOLE = {
    *(("raw", "benchmark/data/domains"), ("prepare", "benchmark/data/domains"), ("base", "benchmark/data/world")),
    *(("instruct", "benchmark/data/world"), ("report", "benchmark/verdicts"), ("evaluate", "benchmark/statistics")),
    *(("report", "benchmark/statistics"), ("report", "benchmark/report"), ("report", "tallrec/prompts/styles")),
    ("memorised", "tallrec/models"),  # all of it but the adapters
}


@pytest.mark.parametrize("name", STAGES)
def test_a_folder_of_code_is_a_dependency_where_all_of_it_is_imported(name: str):
    needed = {MODULES[module] for module in closure(f"benchmark.stages.{name}")}
    if name == "efficiency":  # it starts a process of this module
        needed |= {MODULES[module] for module in closure("tallrec.cost.measuring")}
    for folder in (dep for dep in unfolded(name, "deps") if dep.split("/")[0] in ("benchmark", "tallrec")):
        if (ROOT / folder).is_dir() and (name, folder) not in FOLDERS_AS_A_WHOLE:
            assert set((ROOT / folder).rglob("[!_]*.py")) <= needed, folder


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"instruct"}))  # which asks no sample
def test_a_stage_that_renders_prompts_depends_on_their_styles(name: str):
    """They are imported by their names, which the code does not show."""
    asks = "tallrec.prompts.rendering" in closure(f"benchmark.stages.{name}")
    assert asks == any(dep.startswith("tallrec/prompts/styles") for dep in unfolded(name, "deps"))


@pytest.mark.parametrize("name", sorted(STAGES.keys() - {"report"}))  # which prints every value
def test_a_stage_reads_the_sections_that_it_tracks(name: str):
    code = [parsed(module) for module in closure(f"benchmark.stages.{name}")]
    read = {node.attr for tree in code for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {key.split(".")[0] for key in unfolded(name, "params")} <= read


@pytest.mark.parametrize("name", STAGES)
def test_code_among_the_dependencies_exists(name: str):
    code = [dep for dep in unfolded(name, "deps") if dep.split("/")[0] in ("benchmark", "baselines", "tallrec")]
    assert code
    assert [dep for dep in code if not (ROOT / dep).exists()] == []


@pytest.mark.parametrize("name", STAGES)
def test_tracked_params_exist(name: str):
    for key in unfolded(name, "params"):
        value_at(key)  # raises KeyError
        assert key.split(".")[0] in Params.model_fields


def test_every_section_of_params_is_tracked():
    tracked = {key.split(".")[0] for name in STAGES for key in unfolded(name, "params")}
    # Where the raw files lie does not change them; `tallrec-bench verify` says if those in a mirror have changed.
    assert set(Params.model_fields) - tracked <= {"data"}


def test_no_two_stages_write_the_same_place():
    outs = [(name, Path(out)) for name in STAGES for key in ("outs", "metrics", "plots") for out in unfolded(name, key)]
    assert len(outs) >= len(STAGES)
    clashes = [
        (one, other)
        for i, one in enumerate(outs)
        for other in outs[i + 1 :]
        if one[1] == other[1] or one[1] in other[1].parents or other[1] in one[1].parents
    ]
    assert not clashes


def test_only_evaluate_and_its_followers_read_test_labels():
    readers = {name for name in STAGES if any(dep.startswith("data/labels") for dep in unfolded(name, "deps"))}
    assert "evaluate" in readers
    assert readers <= {"evaluate", "report"}


def test_unfolded_stages_are_counted():
    counts = stage_counts(STAGES, PARAMS)
    assert set(counts) == set(STAGES)
    assert all(counts.values())
