"""What is published: the numbers of `paper.yaml`, and those of independent runs of the released code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmark.config.reading import read_yaml
from benchmark.errors import ConfigError
from benchmark.schema import Cell

PAPER_YAML = Path(__file__).with_name("paper.yaml")
FILE_KEYS: Mapping[str, tuple[type, ...]] = {
    "sources": (dict,),
    "language_models": (dict,),
    "formats": (dict,),
    "test_rows": (dict,),
    "seed_errors": (dict,),
    "numbers": (list,),
    "repositories": (dict,),
    "independent_runs": (list,),
}
NUMBER_KEYS: Mapping[str, tuple[type, ...]] = {
    "table": (str,),
    "method": (str,),
    "train_domain": (str,),
    "test_domain": (str,),
    "n_shots": (int,),
    "auc": (float,),
    "tolerance": (float,),
    "source": (str,),
    "status": (str,),
}
RUN_KEYS: Mapping[str, tuple[type, ...]] = {
    "repository": (str,),
    "domain": (str,),
    "n_shots": (int, type(None)),
    "seed": (int, type(None)),
    "auc": (float,),
}
REPOSITORY_KEYS: Mapping[str, tuple[type, ...]] = {
    "address": (str,),
    "setting": (str,),
    "trust": (str,),
    "note": (str,),
    "same_setting": (bool,),
}
STATUSES = ("published", "pre-publication")
TRUST = ("fair", "low")


@dataclass(frozen=True, slots=True)
class PaperNumber:
    """One published AUC in [0, 1]."""

    table: str
    method: str
    train_domain: str
    test_domain: str
    n_shots: int
    auc: float
    tolerance: float
    source: str
    status: str
    """`published` or `pre-publication`."""

    @property
    def group(self) -> Cell:
        """The key of our result in `results.summarise`."""
        family = "tuned" if self.method.startswith(("tallrec-", "rt-")) else "baseline"
        return Cell(family, self.method, self.train_domain, self.test_domain, self.n_shots, 0)


@dataclass(frozen=True, slots=True)
class Repository:
    """Where others published a run of the released code."""

    address: str
    setting: str
    """How it differs from the released one."""
    trust: str
    """`fair`: result files are there; `low`: something in them is at odds."""
    note: str
    """Why it is trusted so."""
    same_setting: bool
    """Whether it measures what the paper's number measures, so that it may stand beside it."""


@dataclass(frozen=True, slots=True)
class IndependentRun:
    """One AUC in [0, 1] that others got for TALLRec, tuned and tested on one domain."""

    repository: Repository
    domain: str
    n_shots: int | None
    """None where it is not said."""
    seed: int | None
    auc: float


@dataclass(frozen=True, slots=True)
class Paper:
    """All of `paper.yaml`."""

    numbers: tuple[PaperNumber, ...]
    sources: Mapping[str, str]
    language_models: Mapping[str, str]
    """The paper's model by its exact names, and where each is from."""
    formats: Mapping[str, Mapping[str, Mapping[str, object]]]
    """By domain: the formats that hold the paper's rows, each with the values that choose them."""
    test_rows: Mapping[str, int]
    seed_errors: Mapping[str, Mapping[int, float]]
    """By domain and K: standard error over five seeds of TALLRec tuned and tested on it."""
    independent_runs: tuple[IndependentRun, ...]

    @property
    def errors_over_seeds(self) -> dict[Cell, float]:
        """Standard error over seeds of TALLRec's published numbers, by group, as the public re-runs scatter."""
        return {
            number.group: self.seed_errors[number.test_domain][number.n_shots]
            for number in self.numbers
            if number.method == f"tallrec-{number.test_domain}"
            and number.n_shots in self.seed_errors.get(number.test_domain, {})
        }

    def runs_beside(self, number: PaperNumber) -> list[IndependentRun]:
        """The independent runs that measure what `number` does."""
        cell = number.group
        if cell.method != f"tallrec-{cell.test_domain}":
            return []
        return [
            run
            for run in self.independent_runs
            if run.repository.same_setting and (run.domain, run.n_shots) == (cell.test_domain, cell.n_shots)
        ]


def load_paper(path: Path = PAPER_YAML) -> Paper:
    """The published numbers.

    Raises:
        ConfigError: a key is missing, unknown or of the wrong type, or a number stands twice.
    """
    content = read_yaml(path)
    _check(content, FILE_KEYS, f"{path}: ")
    for key in ("sources", "language_models"):
        _check(content[key], dict.fromkeys(content[key], (str,)), f"{path}: {key}.")
    _check(content["test_rows"], dict.fromkeys(content["test_rows"], (int,)), f"{path}: test_rows.")
    for domain, errors in content["seed_errors"].items():
        _check(errors, dict.fromkeys(errors, (float,)), f"{path}: seed_errors.{domain}.")
    _check(content["formats"], dict.fromkeys(content["formats"], (dict,)), f"{path}: formats.")
    for domain, formats in content["formats"].items():
        _check(formats, dict.fromkeys(formats, (dict,)), f"{path}: formats.{domain}.")
    numbers = tuple(_number(entry, path, position) for position, entry in enumerate(content["numbers"]))
    keys = [(number.table, number.group) for number in numbers]
    for position, number in enumerate(numbers):
        if keys.index(keys[position]) != position:
            raise ConfigError(f"{path}: numbers.{position}: {number.method} stands twice in table {number.table}")
        if number.source not in content["sources"]:
            raise ConfigError(f"{path}: numbers.{position}.source: {number.source!r} is not in sources")
    repositories = {name: _repository(entry, path, name) for name, entry in content["repositories"].items()}
    return Paper(
        numbers=numbers,
        sources=content["sources"],
        language_models=content["language_models"],
        formats=content["formats"],
        test_rows=content["test_rows"],
        seed_errors=content["seed_errors"],
        independent_runs=tuple(
            _run(entry, repositories, path, position) for position, entry in enumerate(content["independent_runs"])
        ),
    )


def _number(entry: Mapping[str, Any], path: Path, position: int) -> PaperNumber:
    where = f"{path}: numbers.{position}."
    _check(entry, NUMBER_KEYS, where)
    if entry["status"] not in STATUSES:
        raise ConfigError(f"{where}status: expected one of {', '.join(STATUSES)}, got {entry['status']!r}")
    return PaperNumber(**entry)


def _repository(entry: Mapping[str, Any], path: Path, name: str) -> Repository:
    where = f"{path}: repositories.{name}."
    _check(entry, REPOSITORY_KEYS, where)
    if entry["trust"] not in TRUST:
        raise ConfigError(f"{where}trust: expected one of {', '.join(TRUST)}, got {entry['trust']!r}")
    return Repository(**entry)


def _run(entry: Mapping[str, Any], repositories: Mapping[str, Repository], path: Path, position: int) -> IndependentRun:
    where = f"{path}: independent_runs.{position}."
    _check(entry, RUN_KEYS, where)
    if entry["repository"] not in repositories:
        raise ConfigError(f"{where}repository: {entry['repository']!r} is not in repositories")
    repository = repositories[entry["repository"]]
    return IndependentRun(repository, entry["domain"], entry["n_shots"], entry["seed"], entry["auc"])


def _check(entry: object, keys: Mapping[str, tuple[type, ...]], where: str) -> None:
    """Exactly `keys`, each of its type, and an AUC and its tolerance in [0, 1].

    Raises:
        ConfigError: otherwise.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{where.rstrip('.: ')}: expected a mapping, got {type(entry).__name__}")
    values = cast("dict[str, Any]", entry)
    for key in values.keys() ^ keys.keys():
        raise ConfigError(f"{where}{key}: {'missing' if key in keys else 'unknown key'}")
    for key, types in keys.items():
        if type(values[key]) not in types:
            expected = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            raise ConfigError(f"{where}{key}: expected {expected}, got {values[key]!r:.80}")
    for key in keys.keys() & {"auc", "tolerance"}:
        if not 0 <= values[key] <= 1:
            raise ConfigError(f"{where}{key}: expected a value in [0, 1], got {values[key]}")
