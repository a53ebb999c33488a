"""Stage `evaluate`: predictions + test labels -> the numbers of the results.

Writes into results/: metrics.csv (one row a cell), influence.parquet (how much each user moves each number),
estimates.csv (means over seeds, with intervals), differences.csv (pairs of methods), calibration.csv, reliability.csv
(of scores that are probabilities), years.csv (earlier films and later ones), probes.csv, probe_changes.csv,
correlations.csv (what a score is made of), sensitivity.csv (single users, seen targets), examples.json (one sample of
generated data), audit.json, metrics.json and plots/. No other stage reads test labels.

Usage: python -m benchmark.stages.evaluate --partial
"""

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import read_json, read_scores, write_bytes, write_json
from benchmark.artifacts.paths import METRICS_CSV, METRICS_JSON, PROBES_CSV, prepared_folder, probe_folder
from benchmark.config.params import Params
from benchmark.diagnostics.calibration import (
    CALIBRATION_COLUMNS,
    CALIBRATION_CSV,
    RELIABILITY_COLUMNS,
    RELIABILITY_CSV,
    calibration,
    probabilities,
)
from benchmark.diagnostics.correlations import (
    CORRELATIONS_COLUMNS,
    CORRELATIONS_CSV,
    correlation_rows,
    share_correlation,
)
from benchmark.diagnostics.examples import EXAMPLES_JSON, examples_of
from benchmark.diagnostics.probing import PROBE_CHANGES_COLUMNS, PROBE_CHANGES_CSV, change_rows, changes_of
from benchmark.diagnostics.sensitivity import SENSITIVITY_COLUMNS, SENSITIVITY_CSV, SeenTargets, sensitivity_rows
from benchmark.diagnostics.slices import YEARS_CSV, years_csv
from benchmark.errors import MissingArtifactError, exit_code_of
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells, is_seeded, probed, rule_cells
from benchmark.methods.language_model_cells import unavailable
from benchmark.schema import Cell, group_of
from benchmark.statistics.auc import Floats
from benchmark.statistics.comparisons import DIFFERENCES_CSV, compare, differences_csv, table_pairs
from benchmark.statistics.estimates import INFLUENCE, Estimate, Estimates, known_of
from benchmark.statistics.influence import Measured
from benchmark.statistics.influence_file import write_influence
from benchmark.statistics.labels import TestRows, in_order, read_test_rows
from benchmark.statistics.metrics import OTHERS, measured
from benchmark.statistics.results import (
    CHANCE,
    ESTIMATES_COLUMNS,
    ESTIMATES_CSV,
    KEY_COLUMNS,
    SHARE_CORRELATION,
    MetricRow,
    Summary,
    csv_bytes,
    summarise,
    write_rows,
)
from benchmark.statistics.uncertainty import over_users
from benchmark.verdicts.audit import AUDIT_JSON, audit, read_prepared

PLOTS = Path("results/plots")
CURVE_COLUMNS = ("n_shots", "auc", "auc_low", "auc_high", "method")
"""What dvc.yaml and .dvc/plots/few_shot.json draw."""

Metrics = Mapping[str, Measured | None]
"""Every metric of a cell, by name."""


def read_cell(cell: Cell, truth: TestRows) -> tuple[str, Floats | None]:
    """The status of a cell, and its scores in the order of `truth` if it is `ok`."""
    scores = read_scores("predictions", cell)
    if scores is None:
        return "missing", None
    values = in_order(scores, truth)
    return ("invalid", None) if values is None else ("ok", values)


def metric_row(cell: Cell, found: Metrics, scores: Floats, rows: TestRows, confidence: float) -> MetricRow:
    """The row of a cell that was run; its interval is over users alone."""
    auc = found["auc"]
    assert auc is not None, "a test set has both labels"
    others = {name: None if (one := found[name]) is None else one.value for name in OTHERS}
    others[SHARE_CORRELATION] = share_correlation(rows, scores)
    over_users_alone = Estimate(auc.value, over_users(auc.influence, auc.n_effective))
    low, high = over_users_alone.interval_of_metric(confidence) or (None, None)
    return MetricRow(cell, "ok", auc.value, low, high, others, len(auc.influence), len(rows.liked))


def estimate_rows(summaries: Iterable[Summary], estimates: Estimates, confidence: float) -> list[tuple[Any, ...]]:
    """Every metric of every group, over users and seeds."""
    rows: list[tuple[Any, ...]] = []
    for summary in summaries:
        group = group_of(summary.cell)
        for metric in ("auc", *OTHERS):
            found = estimates.estimate(group, metric)
            if found is None:
                continue
            ends = found.interval_of_metric(confidence) or (None, None)
            errors = (found.spread.standard_error, found.spread.dof) if found.spread else (None, None)
            values = summary.values(metric)
            sd = statistics.stdev(values) if len(values) > 1 else None
            below = sum(value < CHANCE for value in values)
            told = (found.why_unknown, summary.n_seeds, summary.n_expected, sd, statistics.median(values), below)
            rows.append((*astuple(group)[:-1], metric, found.value, *ends, *errors, *told))
    return rows


def calibration_rows(
    scores: Mapping[Cell, Floats], truth: Mapping[str, TestRows], scoring: str
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Log-loss and calibration error of the cells whose scores are probabilities; and the bins of each."""
    errors: list[tuple[Any, ...]] = []
    bins: list[tuple[Any, ...]] = []
    for cell, values in scores.items():
        meaning = probabilities(cell, values, scoring)
        if meaning:
            name, probability = meaning
            found = calibration(truth[cell.test_domain].liked, probability)
            errors.append((*astuple(cell), name, found.log_loss, found.expected_error))
            bins += [(*astuple(cell), *astuple(one)) for one in found.bins]
    return errors, bins


def probe_metrics(params: Params, truth: Mapping[str, TestRows]) -> dict[tuple[Cell, str], Metrics]:
    """Every metric of every probe of every probed cell; none where it was not run."""
    found: dict[tuple[Cell, str], Metrics] = {}
    for name, cell, probe in probed(params):
        known = truth[cell.test_domain]
        scores = read_scores(probe_folder(name) / probe, cell)
        values = None if scores is None else in_order(scores, known)
        found[cell, probe] = {} if values is None else measured(known, values)
    return found


def probe_rows(found: Mapping[tuple[Cell, str], Metrics]) -> list[tuple[Any, ...]]:
    """AUC and UAUC of every probe of every probed cell; both empty where it was not run."""
    values = {key: [metrics.get(name) for name in ("auc", "uauc")] for key, metrics in found.items()}
    return [
        (*astuple(cell), probe, *(None if one is None else one.value for one in of_probe))
        for (cell, probe), of_probe in values.items()
    ]


def nested_means(summaries: Iterable[Summary]) -> dict[str, Any]:
    """Means over seeds as test domain -> method -> K -> metric, for `dvc metrics diff`; only what was run."""
    means: dict[str, Any] = {}
    for summary in summaries:
        cell = summary.cell
        means_of = {metric: summary.mean(metric) for metric in ("auc", *OTHERS)}
        values = {metric: mean for metric, mean in means_of.items() if mean is not None}
        means.setdefault(cell.test_domain, {}).setdefault(cell.method, {})[f"k{cell.n_shots}"] = values
    return means


def curve_points(summaries: Iterable[Summary], domain: str) -> list[tuple[Any, ...]]:
    """The few-shot curve of a domain, as `CURVE_COLUMNS`: the baselines and all tuned methods, AUC in [0, 1]."""
    return [
        (summary.cell.n_shots, summary.auc, *(summary.interval or (None, None)), summary.cell.method)
        for summary in summaries
        if summary.cell.test_domain == domain and summary.cell.family in ("baseline", "tuned")
    ]


def run(*, partial: bool) -> None:
    """Evaluate the whole grid and write the results at the end.

    Raises:
        MissingArtifactError: a cell has no predictions, is of a model that could be had, and `partial` is False.
        SchemaError: a cell has predictions that are not exactly one finite score a test sample.
    """
    params = load_config()
    domains = params.grid.domains
    confidence = params.evaluate.confidence
    n_train: dict[str, int] = {}
    for domain in domains:
        n_train[domain] = read_json(prepared_folder(domain) / "stats.json")["splits"]["train"]["rows"]
    truth = {name: read_test_rows(name) for domain in domains for name in params.test_sets(domain)}
    grid = list(cells(params, n_train))
    read = {cell: read_cell(cell, truth[cell.test_domain]) for cell in grid}
    scores = {cell: values for cell, (_, values) in read.items() if values is not None}
    told = unavailable(params)
    lacking = [cell for cell in grid if cell not in scores and cell.method not in told]
    if lacking and not partial:
        lost = lacking[0]
        raise MissingArtifactError(
            f"{len(lacking)} of {len(grid)} cells have no valid predictions, e.g. {lost} "
            f"({read[lost][0]}); `dvc repro` makes them, --partial evaluates without them"
        )
    found = {cell: measured(truth[cell.test_domain], values) for cell, values in scores.items()}
    rows: list[MetricRow] = []
    for cell in grid:
        row = MetricRow(cell, read[cell][0])
        if cell in found:
            row = metric_row(cell, found[cell], scores[cell], truth[cell.test_domain], confidence)
        shown = f"AUC x100 {100 * row.auc:.2f}" if row.auc is not None else row.status
        print(f"{cell}: {shown}", file=sys.stderr)
        rows.append(row)
    seeded = {cell for cell in found if is_seeded(params, cell)}
    estimates = Estimates(known_of(found, seeded))
    groups = summarise(rows, estimates, confidence)
    summaries = [summary for summary in groups.values() if summary]
    complete = [group for group, summary in groups.items() if summary and summary.is_complete]
    differences = compare(estimates, table_pairs(complete))
    errors, bins = calibration_rows(scores, truth, params.fidelity.scoring)
    audits = {
        domain: audit(read_prepared(domain, truth[domain], params), params.tune.max_valid_samples) for domain in domains
    }
    for domain in domains:
        points = curve_points(summaries, domain)
        write_bytes(PLOTS / f"few_shot_{domain}.csv", csv_bytes(CURVE_COLUMNS, points))
    probes = probe_metrics(params, truth)
    changes = change_rows(changes_of(probes, found), confidence)
    rules = {name: rule_cells(params, name, n_train[domain]) for domain in domains for name in params.test_sets(domain)}
    sensitivity = sensitivity_rows(scores, truth, SeenTargets(params, n_train))
    write_bytes(PROBES_CSV, csv_bytes((*KEY_COLUMNS, "probe", "auc", "uauc"), probe_rows(probes)))
    write_bytes(PROBE_CHANGES_CSV, csv_bytes(PROBE_CHANGES_COLUMNS, changes))
    write_bytes(CORRELATIONS_CSV, csv_bytes(CORRELATIONS_COLUMNS, correlation_rows(scores, rules)))
    write_bytes(SENSITIVITY_CSV, csv_bytes(SENSITIVITY_COLUMNS, sensitivity))
    write_influence(INFLUENCE, estimates, {name: known.digest for name, known in truth.items()})
    write_bytes(ESTIMATES_CSV, csv_bytes(ESTIMATES_COLUMNS, estimate_rows(summaries, estimates, confidence)))
    write_bytes(DIFFERENCES_CSV, differences_csv(differences, confidence))
    write_bytes(CALIBRATION_CSV, csv_bytes(CALIBRATION_COLUMNS, errors))
    write_bytes(RELIABILITY_CSV, csv_bytes(RELIABILITY_COLUMNS, bins))
    write_bytes(YEARS_CSV, years_csv(scores, truth, seeded, confidence))
    for path, content in ((EXAMPLES_JSON, examples_of(params, scores, truth)), (AUDIT_JSON, audits)):
        write_json(path, content)
    write_json(METRICS_JSON, nested_means(summaries))
    write_rows(METRICS_CSV, rows)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = stage_arguments(__doc__, argv, "partial")
    return exit_code_of(lambda: run(partial=arguments.partial))


if __name__ == "__main__":
    sys.exit(main())
