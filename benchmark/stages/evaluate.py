"""Stage `evaluate`: predictions + test labels -> results/metrics.csv, probes.csv, metrics.json, plots/.

No other stage reads test labels.

Usage: python -m benchmark.stages.evaluate [--partial]
"""

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from benchmark.config import load_config
from benchmark.errors import DataError, MissingArtifactError, exit_code_of
from benchmark.files import (
    METRICS_CSV,
    METRICS_JSON,
    PROBES_CSV,
    labels_file,
    prepared_folder,
    read_json,
    read_labels,
    read_samples,
    read_scores,
    write_bytes,
    write_json,
)
from benchmark.grid import cells, probe_cells
from benchmark.metrics import bootstrap_interval, roc_auc, user_auc
from benchmark.params import EvaluateParams, Params
from benchmark.results import KEY_COLUMNS, MetricRow, Summary, csv_bytes, summarise, write_rows
from benchmark.schema import Cell
from benchmark.seeding import derive_seed

PLOTS = Path("results/plots")


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a domain, three sequences in the order of the sample ids."""

    sample_ids: tuple[str, ...]
    users: tuple[str, ...]
    liked: tuple[bool, ...]


def read_answers(domain: str) -> Answers:
    """Test samples of a domain joined with their labels by sample id.

    Raises:
        DataError: a test sample has no label, or a label no test sample.
    """
    users = {sample.sample_id: sample.user_id for sample in read_samples(prepared_folder(domain) / "test.parquet")}
    path = labels_file(domain)
    labels = read_labels(path)
    if stray := sorted(users.keys() ^ labels.keys()):
        raise DataError(f"{path}: {len(stray)} ids are in the labels or the test samples alone, e.g. {stray[0]!r}")
    sample_ids = tuple(sorted(users))
    return Answers(sample_ids, tuple(users[i] for i in sample_ids), tuple(labels[i] for i in sample_ids))


def evaluate(cell: Cell, scores: Mapping[str, float] | None, answers: Answers, params: EvaluateParams) -> MetricRow:
    """The row of one cell; `scores` by sample id, None if the cell was not run."""
    if scores is None:
        return MetricRow(cell, "missing")
    if set(scores) != set(answers.sample_ids) or not all(math.isfinite(score) for score in scores.values()):
        return MetricRow(cell, "invalid")
    values = [scores[sample_id] for sample_id in answers.sample_ids]
    interval = bootstrap_interval(
        answers.liked,
        values,
        answers.users,
        n_resamples=params.n_bootstrap,
        confidence=params.confidence,
        seed=derive_seed("bootstrap", *astuple(cell)),
    )
    uauc = user_auc(answers.liked, values, answers.users)
    n_users = len(set(answers.users))
    return MetricRow(cell, "ok", interval.auc, interval.low, interval.high, uauc, n_users, len(values))


def probe_rows(params: Params, answers: Mapping[str, Answers]) -> list[tuple[Any, ...]]:
    """AUC and UAUC of every probe of every probed cell; both empty where it was not run."""
    rows: list[tuple[Any, ...]] = []
    for variant in params.probe.variants:
        for cell in probe_cells(params, variant):
            known = answers[cell.test_domain]
            for probe in params.probe.inputs:
                scores = read_scores(f"predictions/probe/{variant}/{probe}", cell)
                if scores is None or set(scores) != set(known.sample_ids):
                    rows.append((*astuple(cell), probe, None, None))
                    continue
                values = [scores[sample_id] for sample_id in known.sample_ids]
                auc, uauc = roc_auc(known.liked, values), user_auc(known.liked, values, known.users)
                rows.append((*astuple(cell), probe, auc, uauc))
    return rows


def nested_means(summaries: Iterable[Summary]) -> dict[str, Any]:
    """Means over seeds as test domain -> method -> K -> metric, for `dvc metrics diff`; only what was run."""
    means: dict[str, Any] = {}
    for summary in summaries:
        cell = summary.cell
        values = {"auc": summary.auc} | ({} if summary.uauc is None else {"uauc": summary.uauc})
        means.setdefault(cell.test_domain, {}).setdefault(cell.method, {})[f"k{cell.n_shots}"] = values
    return means


def curve_points(summaries: Iterable[Summary], domain: str) -> list[tuple[int, float, str]]:
    """The few-shot curve of a domain: (n_shots, auc, method) of the baselines and of all tuned methods."""
    return [
        (summary.cell.n_shots, summary.auc, summary.cell.method)
        for summary in summaries
        if summary.cell.test_domain == domain and summary.cell.family in ("baseline", "tuned")
    ]


def run(*, partial: bool) -> None:
    """Evaluate the whole grid and write the results at the end.

    Raises:
        MissingArtifactError: a cell has no predictions and `partial` is False.
        SchemaError: a cell has predictions that are not exactly one finite score a test sample.
    """
    params = load_config()
    domains = params.grid.domains
    n_train: dict[str, int] = {}
    for domain in domains:
        n_train[domain] = read_json(prepared_folder(domain) / "stats.json")["splits"]["train"]["rows"]
    answers = {domain: read_answers(domain) for domain in domains}
    rows: list[MetricRow] = []
    for cell in cells(params, n_train):
        row = evaluate(cell, read_scores("predictions", cell), answers[cell.test_domain], params.evaluate)
        shown = f"auc {row.auc:.4f}" if row.auc is not None else row.status
        print(f"{cell}: {shown}", file=sys.stderr)
        rows.append(row)
    lost = [row for row in rows if row.status != "ok"]
    if lost and not partial:
        raise MissingArtifactError(
            f"{len(lost)} of {len(rows)} cells have no valid predictions, e.g. {lost[0].cell} "
            f"({lost[0].status}); `dvc repro` makes them, --partial evaluates without them"
        )
    summaries = [summary for summary in summarise(rows).values() if summary]
    for domain in domains:
        points = curve_points(summaries, domain)
        write_bytes(PLOTS / f"few_shot_{domain}.csv", csv_bytes(("n_shots", "auc", "method"), points))
    write_bytes(PROBES_CSV, csv_bytes((*KEY_COLUMNS, "probe", "auc", "uauc"), probe_rows(params, answers)))
    write_json(METRICS_JSON, nested_means(summaries))
    write_rows(METRICS_CSV, rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.stages.evaluate", description="Metrics of every cell.")
    parser.add_argument("--partial", action="store_true", help="write missing cells as missing instead of stopping")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: run(partial=arguments.partial))


if __name__ == "__main__":
    sys.exit(main())
