"""What a score is made of, what hangs on single users and seen targets, and what a change of the inputs does."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.diagnostics.correlations import correlation_rows, share_correlation
from benchmark.diagnostics.probing import changes_of
from benchmark.diagnostics.sensitivity import SeenTargets, sensitivity_rows, without_each_user
from benchmark.methods.grid import rule_cells
from benchmark.schema import Cell, Interaction, Prediction
from benchmark.stages import evaluate, report
from benchmark.statistics.influence import Measured
from benchmark.statistics.labels import TestRows, read_test_rows
from benchmark.statistics.metrics import measured
from benchmark.statistics.results import SHARE_CORRELATION, read_rows

BASELINE = Cell("baseline", "gru4rec", "movie", "movie", 16, 0)
TUNED = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)


def rows_of(users: list[int], liked: list[bool]) -> TestRows:
    ids = tuple(f"s{row:04d}" for row in range(len(users)))
    return TestRows(ids, tuple(f"u{user:02d}" for user in users), tuple(liked), (0.5,) * len(users))


@pytest.fixture
def rows() -> TestRows:
    rng = np.random.default_rng(3)
    return rows_of(rng.integers(0, 7, 200).tolist(), (rng.random(200) < 0.4).tolist())


def _lines(name: str) -> list[dict[str, str]]:
    with Path("results", name).open() as stream:
        return list(csv.DictReader(stream))


def test_the_auc_without_a_user_is_that_of_all_other_rows(rows: TestRows) -> None:
    scores = np.random.default_rng(0).integers(0, 12, 200).astype(float)  # with many ties
    found = without_each_user(rows, scores)
    for user in range(7):
        others = rows.user_numbers != user
        expected = roc_auc_score(rows.is_liked[others], scores[others])
        assert found[user] == pytest.approx(expected, abs=1e-12)


def test_a_user_without_whom_one_label_is_left_alone_leaves_no_auc() -> None:
    rows = rows_of([0, 0, 1, 1], [True, False, True, True])
    found = without_each_user(rows, np.array([1.0, 0.0, 0.5, 0.2]))
    assert np.isnan(found[0])
    assert found[1] == 1.0


def test_correlations_are_spearmans_and_means_over_seeds(rows: TestRows) -> None:
    rng = np.random.default_rng(1)
    rule = rng.integers(0, 5, 200).astype(float)
    seeds = [rule + rng.normal(size=200), rng.normal(size=200).round(1)]
    constant = replace(RULE, method="constant")
    scores = {RULE: rule, constant: np.zeros(200)} | {
        replace(BASELINE, seed=seed): values for seed, values in enumerate(seeds)
    }
    found = {(row[1], row[5]): row[6:] for row in correlation_rows(scores, {"movie": {"r": RULE, "c": constant}})}
    expected = np.mean([spearmanr(values, rule).statistic for values in seeds])
    assert found["gru4rec", "r"] == (pytest.approx(expected, abs=1e-12), 2)
    assert found["liked_share", "r"] == (pytest.approx(1.0), 1)
    assert found["gru4rec", "c"] == found["constant", "r"] == (None, 0)  # a constant has no order
    assert list(correlation_rows({BASELINE: seeds[0]}, {"movie": {"r": RULE}})) == []  # a rule that was not run


def test_the_correlation_with_the_share_of_likes_is_that_with_the_rule(rows: TestRows) -> None:
    rng = np.random.default_rng(1)
    shares = rng.choice([-1.0, 0.25, 0.5, 0.75], 200)  # -1: an empty history, which the rule gives one half
    known, scores = replace(rows, shares=tuple(shares.tolist())), rng.normal(size=200).round(1)
    rule = np.where(shares == -1, 0.5, shares)
    assert share_correlation(known, scores) == pytest.approx(spearmanr(scores, rule).statistic, abs=1e-12)
    assert (share_correlation(known, rule), share_correlation(known, -rule)) == (1, -1)
    assert share_correlation(known, np.zeros(200)) is share_correlation(rows, scores) is None


def test_every_cell_has_its_correlation_with_the_share_of_likes(finished_run: Path, params: Params) -> None:
    for domain in params.grid.domains:
        for test_set in params.test_sets(domain):
            path = finished_run / paths.test_file(test_set)
            samples = [
                replace(sample, history=(Interaction("i1", liked=number % 3 == 0),))
                for number, sample in enumerate(files.read_samples(path))
            ]
            files.write_samples(path, samples)
    assert evaluate.main([]) == 0
    for row in read_rows(paths.METRICS_CSV):
        known = read_test_rows(row.cell.test_domain)
        scores = files.read_scores("predictions", row.cell) or {}
        expected = spearmanr([scores[sample_id] for sample_id in known.sample_ids], known.shares).statistic
        assert row.others[SHARE_CORRELATION] == pytest.approx(expected, abs=1e-12)


def test_the_rules_know_all_that_they_can(params: Params) -> None:
    found = rule_cells(params, "movie-extended", 100)
    assert {name: (cell.test_domain, cell.n_shots, cell.seed) for name, cell in found.items()} == {
        "liked_share": ("movie-extended", 0, 0),
        "item_mean": ("movie-extended", 100, 0),
    }


def _metric(value: float, noise: np.ndarray) -> dict[str, Measured | None]:
    return {"auc": Measured(value, value + noise, 9.0), "uauc": None}


def test_a_change_is_paired_by_users_and_by_seeds() -> None:
    """Users and seeds move both sides by ten points and more; the change is the same everywhere."""
    noise = np.array([0.3, -0.2, 0.1, -0.4, 0.2, 0.0])
    small = np.array([0.001, -0.001, 0.0, 0.001, -0.001, 0.0])
    cells = [replace(BASELINE, seed=seed) for seed in (0, 1)]
    unchanged = {cell: _metric(value, noise) for cell, value in zip(cells, (0.6, 0.8), strict=True)}
    changed = {
        (cell, "likes_swapped"): _metric(value - 0.05, noise + small)
        for cell, value in zip(cells, (0.6, 0.8), strict=True)
    }
    found = changes_of(changed, unchanged)
    estimate = found.estimate(BASELINE, "likes_swapped auc")
    assert estimate is not None
    assert estimate.value == pytest.approx(-0.05)
    assert estimate.spread is not None
    assert estimate.spread.variance == pytest.approx(small.var(ddof=1) / 6, rel=1e-6)
    assert found.estimate(BASELINE, "likes_swapped uauc") is None
    # A model that is asked for dislikes and knows it has one minus its AUC, from user to user.
    asked = {(cell, "dislike_asked"): _metric(1 - value, -noise) for cell, value in zip(cells, (0.6, 0.8), strict=True)}
    of_asked = changes_of(asked, unchanged).estimate(BASELINE, "dislike_asked auc")
    assert of_asked is not None
    assert (of_asked.value, of_asked.margin(0.95)) == (pytest.approx(0.0), pytest.approx(0.0, abs=1e-9))


def test_a_probe_that_lacks_a_seed_has_no_change() -> None:
    cells = [replace(BASELINE, seed=seed) for seed in (0, 1)]
    noise = np.zeros(6)
    unchanged = {cell: _metric(0.6, noise) for cell in cells}
    found = changes_of({(cells[0], "likes_swapped"): _metric(0.5, noise), (cells[1], "likes_swapped"): {}}, unchanged)
    assert found.estimate(BASELINE, "likes_swapped auc") is None
    one = changes_of({(cells[0], "likes_swapped"): _metric(0.5, noise)}, unchanged).estimate(
        BASELINE, "likes_swapped auc"
    )
    assert one is not None
    assert (one.spread, one.why_unknown) == (None, "one seed")


def test_evaluate_writes_changes_and_the_page_shows_them(finished_run: Path, params: Params) -> None:
    (probe, *_) = params.probe.inputs
    for seed in (0, 1):
        cell = replace(BASELINE, seed=seed)
        scores = files.read_scores("predictions", cell) or {}
        turned = [Prediction(i, -score) for i, score in scores.items()]
        files.write_predictions(paths.probe_folder("gru4rec-movie") / probe, cell, turned)
    assert evaluate.main([]) == 0
    (line,) = (one for one in _lines("probe_changes.csv") if (one["method"], one["metric"]) == ("gru4rec", "auc"))
    rows = [read_test_rows("movie")] * 2
    aucs = []
    for seed, known in enumerate(rows):
        scores = files.read_scores("predictions", replace(BASELINE, seed=seed)) or {}
        found = measured(known, np.array([scores[i] for i in known.sample_ids]))["auc"]
        assert found is not None
        aucs.append(found.value)
    assert (line["probe"], line["against"], line["n_seeds"]) == (probe, "unchanged", "2")
    assert float(line["change"]) == pytest.approx(1 - 2 * np.mean(aucs), abs=1e-12)
    assert float(line["low"]) < float(line["change"]) < float(line["high"])
    assert report.main([]) == 0
    with (finished_run / "results/tables/probes.csv").open() as stream:
        shown = next(one for one in csv.DictReader(stream) if one["name"] == "gru4rec on movie")
    margin = 50 * (float(line["high"]) - float(line["low"]))
    assert shown[probe.replace("_", " ")].endswith(f" · {100 * float(line['change']):+.1f} ± {margin:.1f}")


def test_rows_are_seen_whose_target_stands_in_the_training_rows(finished_run: Path, params: Params) -> None:
    path = paths.test_file("movie")
    samples = files.read_samples(path)
    targets = ["i2", "i5", "i19", "unknown"]  # of rows that K = 4 draws, K = 16 draws, all have, none has
    files.write_samples(path, [replace(s, target_item_id=targets[n % 4]) for n, s in enumerate(samples)])
    seen = SeenTargets(params, {"movie": 20, "book": 100})
    shares = {
        n_shots: float(found.mean())
        for n_shots in (4, 16, 20)
        if (found := seen.of(replace(BASELINE, n_shots=n_shots))) is not None
    }
    assert shares == {4: 0.25, 16: 0.5, 20: 0.75}
    assert seen.of(RULE) is None
    assert seen.of(Cell("icl", "icl-base-gpt", "movie", "movie", 2, 0)) is None
    assert seen.of(Cell("tuned", "rt-book", "book", "movie", 4, 0)) is None
    both = seen.of(Cell("tuned", "rt-both", "both", "movie", 4, 0))
    assert both is not None
    assert both.mean() == 0.25
    known = read_test_rows("movie")
    scores = {replace(BASELINE, seed=s): np.random.default_rng(s).random(60) for s in (0, 1)}
    ((*_, n_seeds, low, high, share, auc_seen, auc_unseen),) = sensitivity_rows(scores, {"movie": known}, seen)
    chosen = np.array([n % 4 < 2 for n in range(60)])
    for is_seen, found in ((True, auc_seen), (False, auc_unseen)):
        part = chosen == is_seen
        expected = np.mean([roc_auc_score(known.is_liked[part], values[part]) for values in scores.values()])
        assert found == pytest.approx(expected, abs=1e-12)
    assert (n_seeds, share) == (2, 0.5)
    assert low < np.mean([roc_auc_score(known.is_liked, values) for values in scores.values()]) < high
    assert finished_run.exists()


def test_the_page_shows_correlations_single_users_and_seen_targets(finished_run: Path) -> None:
    labels = files.read_labels(paths.labels_file("movie"))
    files.write_predictions("predictions", RULE, [Prediction(i, 1.0) for i in labels])  # every history is liked
    assert evaluate.main([]) == 0
    assert report.main([]) == 0

    def table(name: str) -> dict[str, dict[str, str]]:
        with (finished_run / f"results/tables/{name}.csv").open() as stream:
            return {line["name"]: line for line in csv.DictReader(stream)}

    made_of = table("correlations_movie")
    (line,) = (
        one
        for one in _lines("correlations.csv")
        if (one["method"], one["test_domain"], one["n_shots"], one["rule"]) == ("gru4rec", "movie", "16", "item_mean")
    )
    assert made_of["gru4rec"]["item_mean"] == f"{float(line['rank_correlation']):+.2f}"
    assert made_of["item_mean"]["item_mean"] != "+1.00"  # of K rows, and of all
    assert made_of["gru4rec"]["liked_share"] == "not defined"  # a constant here
    assert set(made_of["gru4rec"]) == {"name", "group", "K", "liked_share", "item_mean"}
    sensitivity = table("sensitivity_movie")
    assert sensitivity["gru4rec"]["rows seen"] == "100.0%"
    assert sensitivity["gru4rec"]["AUC unseen"] == "not defined"
    assert sensitivity["liked_share"]["AUC seen"] == "\u2013"
    low, high = (float(end) for end in sensitivity["gru4rec"]["without one user"].split(" to "))
    assert low < float(sensitivity["gru4rec"]["AUC"].split()[0]) < high
    main = table("main_movie")
    (line,) = (
        one
        for one in _lines("estimates.csv")
        if (one["method"], one["test_domain"], one["n_shots"], one["metric"])
        == ("gru4rec", "movie", "16", "equal_share_auc")
    )
    assert main["gru4rec"]["k16_at_equal_share"].startswith(f"{100 * float(line['value']):.2f} [")
    # The rule has one half: rows that it can tell apart are never compared.
    assert main["liked_share"]["k16_at_equal_share"] == "50.00 [50.0, 50.0]"
    for metric in ("equal_share_auc", "uauc"):
        assert table(f"differences_{metric}_movie")["gru4rec"]["TALLRec (tiny LM) minus it, K=16"]
    assert not (finished_run / "results/tables/differences_uauc_book.csv").exists()
