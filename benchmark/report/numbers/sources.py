"""Sources of numbers: runs that git holds, the paper, and the papers after it.

A source is a few words, the numbers AUC x100:

- `RUN METHOD TEST_SET K`, e.g. `look sasrec-shared movie 64`: the mean over seeds. Then, in any order, another metric
  (`uauc`; `share_correlation` as it is, with two decimals), one seed (`seed0`), and a form: `0` without decimals, `±`
  with the margin over users and seeds, `±0` both without decimals, `[0]` or `[1]` with the interval (of one seed: over
  users alone).
- `paper METHOD DOMAIN K`: of the paper's main table.
- `papers-after NAME METRIC WHICH`: what papers after TALLRec publish, by method or role, and by source or as the
  `mean`, `lowest` or `highest` of several.
"""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import SchemaError
from benchmark.report.kept import INFLUENCE, METRICS
from benchmark.report.tables.form import points
from benchmark.schema import group_of
from benchmark.statistics.metrics import METRICS as DEFINED
from benchmark.statistics.results import SHARE_CORRELATION
from benchmark.verdicts.compared_run import Run, read_run
from benchmark.verdicts.follow_ups import FOLLOW_UPS_YAML, load_follow_ups
from benchmark.verdicts.paper import PAPER_YAML, load_paper

CONFIDENCE = 0.95
NUMBER = r"[-+]?\d+(?:\.\d+)?"
PATTERNS = {
    "": NUMBER,
    "0": NUMBER,
    "±": rf"{NUMBER} ± {NUMBER}",
    "±0": rf"{NUMBER} ± {NUMBER}",
    "[0]": rf"{NUMBER} \[{NUMBER}, {NUMBER}\]",
    "[1]": rf"{NUMBER} \[{NUMBER}, {NUMBER}\]",
}
"""By form, what a number looks like on a page."""
OF_SEVERAL: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "lowest": min,
    "highest": max,
}


@dataclass(frozen=True, slots=True)
class Cited:
    """A number as it has to stand on a page."""

    text: str
    file: Path
    """That says so."""


def form_of(source: str) -> str:
    """The form of a source: a key of `PATTERNS`."""
    return next((word for word in source.split()[4:] if word in PATTERNS), "")


def cited(source: str, runs: Mapping[str, Path]) -> Cited:
    """The number of a source.

    Args:
        source: as in the head of this module.
        runs: folders with `metrics.csv` and `influence.parquet`, by the name of the run.

    Raises:
        SchemaError: it is no source, or the file has no such number.
        MissingArtifactError: a file is not there.
    """
    name, *words = source.split()
    if name == "paper":
        return Cited(_paper(source, words), PAPER_YAML)
    if name == "papers-after":
        return Cited(_follow_ups(source, words), FOLLOW_UPS_YAML)
    if name not in runs:
        raise SchemaError(f"{source}: expected paper, papers-after or a run of {', '.join(runs)}, got {name!r}")
    return Cited(_run(source, words, runs[name]), runs[name] / METRICS)


def _paper(source: str, words: Sequence[str]) -> str:
    for number in load_paper().numbers:
        if number.table == "main" and [number.method, number.test_domain, str(number.n_shots)] == [*words]:
            return points(number.auc, 1)
    raise SchemaError(f"{source}: expected METHOD DOMAIN K of the main table of {PAPER_YAML.name}")


def _follow_ups(source: str, words: Sequence[str]) -> str:
    name, metric, which = [*words, "", "", ""][:3]
    found = [one for one in load_follow_ups().numbers if name in (one.method, one.role)]
    found = found if which in OF_SEVERAL else [one for one in found if one.source == which]
    if not found or metric not in ("auc", "uauc"):
        raise SchemaError(f"{source}: expected a method or role, auc or uauc, and a source of {FOLLOW_UPS_YAML.name}")
    return points(OF_SEVERAL.get(which, statistics.fmean)([one.value(metric) for one in found]), 1)


def _run(source: str, words: Sequence[str], folder: Path) -> str:
    key, others = [*words[:3]], words[3:]
    names = (*DEFINED, SHARE_CORRELATION)
    metric = next((word for word in others if word in names), "auc")
    seed = next((word.removeprefix("seed") for word in others if word.startswith("seed")), None)
    if unknown := [word for word in others if word not in names and word not in PATTERNS and word != f"seed{seed}"]:
        raise SchemaError(f"{source}: expected a metric, a seed or one of {' '.join(PATTERNS)}, got {unknown[0]!r}")
    run = _read(folder)
    groups = [
        group
        for group, name in run.estimates.known
        if name == "auc" and [group.method, group.test_domain, str(group.n_shots)] == key
    ]
    if len(groups) != 1:
        raise SchemaError(f"{source}: expected one METHOD TEST_SET K of {folder / METRICS}, found {len(groups)}")
    if seed is None and metric in DEFINED:
        estimate = run.estimates.estimate(groups[0], metric)
        value, margin = (estimate.value, estimate.margin(CONFIDENCE)) if estimate else (None, None)
        ends = estimate.interval_of_metric(CONFIDENCE) if estimate else None
    else:
        rows = [row for row in run.rows if group_of(row.cell) == groups[0] and seed in (None, str(row.cell.seed))]
        found = [value for row in rows if (value := row.auc if metric == "auc" else row.others.get(metric)) is not None]
        value = statistics.fmean(found) if found and len(found) == len(rows) else None
        margin, ends = None, None
        if metric == SHARE_CORRELATION and value is not None and not form_of(source):
            return f"{value:.2f}"
        if rows and metric == "auc" and rows[0].auc_low is not None and rows[0].auc_high is not None:
            ends = rows[0].auc_low, rows[0].auc_high
    return _told(source, value, margin, ends)


def _told(source: str, value: float | None, margin: float | None, ends: tuple[float, float] | None) -> str:
    form = form_of(source)
    if value is None or ("±" in form and margin is None) or ("[" in form and ends is None):
        raise SchemaError(f"{source}: not defined there, or without what the form {form!r} asks for")
    n_decimals = 0 if form in ("0", "±0") else 1
    text = points(value, n_decimals)
    if "±" in form and margin is not None:
        text += f" ± {points(margin, n_decimals)}"
    if "[" in form and ends:
        text += f" [{', '.join(points(end, int(form[1])) for end in ends)}]"
    return text


@functools.cache
def _read(folder: Path) -> Run:
    return read_run(folder / METRICS, folder / INFLUENCE)
