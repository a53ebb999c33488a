"""The published numbers beside ours: match, close, off, missing, or not comparable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config import read_yaml
from benchmark.errors import ConfigError
from benchmark.params import Params
from benchmark.results import Summary, group_of
from benchmark.schema import Cell

PAPER_YAML = Path(__file__).with_name("paper.yaml")
VERDICTS = ("match", "close", "off", "missing", "not comparable")
KEYS = {
    "table": str,
    "method": str,
    "train_domain": str,
    "test_domain": str,
    "n_shots": int,
    "auc": float,
    "tolerance": float,
    "source": str,
    "status": str,
}


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
class Paper:
    """All of `paper.yaml`."""

    numbers: tuple[PaperNumber, ...]
    sources: Mapping[str, str]
    language_model: str
    test_rows: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a published number and ours say of each other."""

    number: PaperNumber
    observed: Summary | None
    verdict: str
    reason: str


def load_paper(path: Path = PAPER_YAML) -> Paper:
    """The published numbers.

    Raises:
        ConfigError: a key is missing, unknown or of the wrong type, or a number stands twice.
    """
    content = read_yaml(path)
    numbers = tuple(_number(entry, path, position) for position, entry in enumerate(content["numbers"]))
    keys = [(number.table, number.group) for number in numbers]
    for position, number in enumerate(numbers):
        if keys.index(keys[position]) != position:
            raise ConfigError(f"{path}: numbers.{position}: {number.method} stands twice in table {number.table}")
        if number.source not in content["sources"]:
            raise ConfigError(f"{path}: numbers.{position}.source: {number.source!r} is not in sources")
    return Paper(numbers, content["sources"], content["language_model"], content["test_rows"])


def _number(entry: Mapping[str, Any], path: Path, position: int) -> PaperNumber:
    for key in entry.keys() ^ KEYS.keys():
        raise ConfigError(f"{path}: numbers.{position}.{key}: {'missing' if key in KEYS else 'unknown key'}")
    for key, kind in KEYS.items():
        if type(entry[key]) is not kind:
            raise ConfigError(f"{path}: numbers.{position}.{key}: expected {kind.__name__}, got {entry[key]!r}")
    if not 0 <= entry["auc"] <= 1:
        raise ConfigError(f"{path}: numbers.{position}.auc: expected a value in [0, 1], got {entry['auc']}")
    return PaperNumber(**entry)


def why_not_comparable(number: PaperNumber, params: Params, paper: Paper, test_rows: Mapping[str, int]) -> str | None:
    """Why a result under `params` measures something else than the published number; None if it does not.

    Args:
        number: the published number.
        params: the configuration.
        paper: all of `paper.yaml`.
        test_rows: rows of our test set, by domain.
    """
    for domain in dict.fromkeys((number.train_domain, number.test_domain)):
        if domain not in params.grid.domains:
            return f"{domain} is not in the grid"
        if params.domains[domain].source == "embedded":
            return f"the {domain} data are generated"
    expected, rows = paper.test_rows[number.test_domain], test_rows[number.test_domain]
    if rows != expected:
        return f"another test set: {rows} rows, the paper's has {expected}"
    if number.group.family == "tuned" and not re.search(paper.language_model, params.llm.model, re.IGNORECASE):
        return f"another language model: {params.llm.model}"
    return None


def judge(number: PaperNumber, summaries: Mapping[Cell, Summary | None], obstacle: str | None) -> Verdict:
    """The verdict on one number.

    `match`: the published value lies in our interval over users, or between our lowest and highest seed.
    `close`: our mean is within the tolerance. `off`: neither. `missing`: not every seed was run. `not
    comparable`: there is an `obstacle`.
    """
    observed = summaries.get(group_of(number.group))
    if observed is None or not observed.is_complete:
        run = f"{observed.n_seeds} of {observed.n_expected} seeds were run" if observed else "not run"
        return Verdict(number, observed, "missing", run)
    if obstacle:
        return Verdict(number, observed, "not comparable", obstacle)
    if observed.auc_low <= number.auc <= observed.auc_high:
        return Verdict(number, observed, "match", "inside our interval over users")
    if min(observed.aucs) <= number.auc <= max(observed.aucs):
        return Verdict(number, observed, "match", "inside the range of our seeds")
    difference = observed.auc - number.auc
    verdict = "close" if abs(difference) <= number.tolerance else "off"
    return Verdict(number, observed, verdict, f"{100 * difference:+.2f} points")


def judge_all(
    summaries: Mapping[Cell, Summary | None], params: Params, paper: Paper, test_rows: Mapping[str, int]
) -> list[Verdict]:
    """A verdict for each published number, in the order of `paper.yaml`."""
    return [judge(number, summaries, why_not_comparable(number, params, paper, test_rows)) for number in paper.numbers]
