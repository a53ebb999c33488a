"""The regression gate: how often it turns red by noise alone, what it must catch, and how it fails."""

import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark.statistics.other_metrics import OTHER_METRICS
from benchmark.statistics.resampling import percentile_interval
from typer.testing import CliRunner

from benchmark.artifacts import files, paths
from benchmark.cli import app
from benchmark.config.params import Params
from benchmark.errors import ConfigError, MissingArtifactError, SchemaError
from benchmark.schema import Cell, Prediction
from benchmark.stages import evaluate
from benchmark.statistics.comparisons import cell_metrics
from benchmark.statistics.labels import TrueLabels
from benchmark.statistics.results import MetricRow, write_rows
from benchmark.verdicts.compared_run import fetch_predictions, reference_rows
from benchmark.verdicts.gate import FAILURES, Finding, PairedSpreads, check, compare, paired_spreads

ROOT = Path(__file__).parents[4]
N_ROWS, N_USERS, N_RESAMPLES = 300, 15, 100  # the movie test set of smoke
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
TALLREC = Cell("tuned", "tallrec-movie", "movie", "movie", 64, 0)
GROUPS = (
    RULE,
    *(Cell("control", "item_mean", "movie", "movie", n_shots, 0) for n_shots in (16, 64)),
    *(Cell("baseline", name, "movie", "movie", k, 0) for name in ("gru4rec", "caser", "sasrec") for k in (16, 64)),
    *(
        Cell("tuned", f"{recipe}-{train}", train, "movie", n_shots, 0)
        for recipe in ("tallrec", "rt")
        for train in ("movie", "book")
        for n_shots in (16, 64)
    ),
)
POINTS_PER_STEP = 0.28
"""How much the AUC of scores with unit noise changes with the distance of the classes, near chance."""

Run = dict[Cell, dict[str, float]]


class World:
    """Methods whose seeds scatter as real ones do: medians of 2 points of AUC, a few methods of 10 and more."""

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        users = np.arange(N_ROWS) % N_USERS
        liked = rng.random(N_ROWS) < rng.uniform(0.2, 0.8, N_USERS)[users]
        ids = tuple(f"s{row:03d}" for row in range(N_ROWS))
        self.number = number
        self.truth = TrueLabels(ids, tuple(f"u{user:02d}" for user in users), tuple(liked.tolist()))
        self.distance = {group: rng.uniform(0.4, 1.2) for group in GROUPS}
        self.scatter = {group: min(0.12, rng.lognormal(np.log(0.018), 0.8)) / POINTS_PER_STEP for group in GROUPS}
        self.distance[TALLREC], self.scatter[TALLREC] = 1.2, 0.02 / POINTS_PER_STEP  # an AUC near 80, as in smoke
        self.common = {group: rng.normal(size=N_ROWS) for group in GROUPS}

    def run(self, seeds: tuple[int, ...]) -> Run:
        """Scores of every cell; a rule without randomness has one and the same result for every seed."""
        found: Run = {}
        for group in GROUPS:
            for seed in seeds[:1] if group == RULE else seeds:
                key = [self.number, zlib.crc32(str(group).encode()), 0 if group == RULE else seed]
                rng = np.random.default_rng(key)
                step = self.distance[group] + (0 if group == RULE else self.scatter[group] * rng.normal())
                noise = 0.7 * self.common[group] + 0.7 * rng.normal(size=N_ROWS)
                scores = step * np.array(self.truth.liked) + noise
                cell = replace(group, seed=seed)
                found[cell] = dict(zip(self.truth.sample_ids, scores.tolist(), strict=True))
        return found

    def rows(self, run: Run) -> list[MetricRow]:
        arrays = {cell: np.array(list(scores.values())) for cell, scores in run.items()}
        rows: list[MetricRow] = []
        for cell, found in cell_metrics("auc", arrays, self.truth, N_RESAMPLES).items():
            interval = percentile_interval(found.resampled, 0.95)
            rows.append(MetricRow(cell, "ok", found.value, *interval, {}, N_USERS, N_ROWS))
        return rows

    def failures(self, before: Run, after: Run) -> dict[str, set[Cell]]:
        """What turns red, with the predictions of both runs and without."""
        spreads = {"paired": paired_spreads(before, after, {"movie": self.truth}, N_RESAMPLES), "independent": None}
        rows = self.rows(before), self.rows(after)
        return {
            name: {
                found.cell
                for found in compare(*rows, alpha=0.05, confidence=0.95, paired=paired)
                if found.verdict in FAILURES
            }
            for name, paired in spreads.items()
        }


def _red_by_noise(n_seeds: int) -> dict[str, int]:
    """How many of 100 changes of all seeds turn red."""
    red = {"paired": 0, "independent": 0}
    for number in range(100):
        world = World(number)
        before, after = (world.run(tuple(range(first, first + n_seeds))) for first in (0, 10))
        for name, failed in world.failures(before, after).items():
            red[name] += bool(failed)
    return red


def test_a_mere_change_of_seed_stays_green_in_95_of_100_runs() -> None:
    assert max(_red_by_noise(n_seeds=2).values()) <= 5


@pytest.mark.slow
def test_with_five_seeds_too() -> None:
    assert max(_red_by_noise(n_seeds=5).values()) <= 5


def test_a_draw_with_flipped_labels_turns_it_red() -> None:
    """Flipping the labels of TALLRec's draw of K = 64, seed 0, in smoke left an AUC of 55 of 80: hardly any signal."""
    for number in range(20):
        world = World(number)
        before, flipped = world.run((0, 1)), World(number)
        flipped.distance[TALLREC], flipped.scatter[TALLREC] = 0.18, 0.0
        after = before | {TALLREC: flipped.run((0, 1))[TALLREC]}
        assert world.failures(before, after) == {"paired": {TALLREC}, "independent": {TALLREC}}


def test_a_scorer_that_reads_the_wrong_token_turns_it_red() -> None:
    """No for Yes turns every score round; it does so with the released rule, too."""
    for number in range(20):
        world = World(number)
        before = world.run((0, 1))
        wrong = {
            cell: {sample_id: -score for sample_id, score in scores.items()}
            for cell, scores in before.items()
            if cell.family == "tuned"
        }
        for failed in world.failures(before, before | wrong).values():
            assert TALLREC in failed
            assert {cell.family for cell in failed} == {"tuned"}


def test_the_same_cell_may_not_change_where_it_has_no_noise() -> None:
    world = World(0)
    before = world.run((0, 1))
    spreads = paired_spreads(before, before, {"movie": world.truth}, N_RESAMPLES)
    rows = world.rows(before)
    assert {found.tolerance for found in compare(rows, rows, alpha=0.05, confidence=0.95, paired=spreads)} == {0.0}
    worse = [replace(row, auc=row.auc - 1e-6) if row.cell == RULE else row for row in rows]
    findings = compare(rows, worse, alpha=0.05, confidence=0.95, paired=spreads)
    assert [found.cell for found in findings if found.verdict == "regression"] == [RULE]


def _rows(auc: float, seeds: tuple[int, ...] = (0, 1), group: Cell = TALLREC, scatter: float = 0.02) -> list[MetricRow]:
    """Rows whose mean is `auc`."""
    steps = [scatter * (2 * place / (len(seeds) - 1) - 1) if len(seeds) > 1 else 0.0 for place in range(len(seeds))]
    return [
        MetricRow(replace(group, seed=seed), "ok", auc + step, auc + step - 0.06, auc + step + 0.06, {}, 15, 300)
        for seed, step in zip(seeds, steps, strict=True)
    ]


def _verdicts(before: list[MetricRow], after: list[MetricRow], **changes: object) -> list[str]:
    settings: dict = {"alpha": 0.05, "confidence": 0.95}
    return [found.verdict for found in compare(before, after, **(settings | changes))]


def test_worse_better_and_within_the_noise() -> None:
    for seeds in ((0, 1), (2, 3)):
        found = [set(_verdicts(_rows(0.7), _rows(auc, seeds))) for auc in (0.3, 0.68, 0.95)]
        assert found == [{"regression"}, {"same"}, {"better"}]


def test_the_same_seeds_are_compared_cell_by_cell_and_others_by_their_mean() -> None:
    one_lower = [_rows(0.7)[0], replace(_rows(0.7)[1], auc=0.57)]
    assert _verdicts(_rows(0.7), one_lower) == ["same", "regression"]
    assert _verdicts(_rows(0.7), one_lower, by_mean=True) == ["same"]
    assert _verdicts(_rows(0.7), _rows(0.7, (0, 1, 2))) == ["same", "same"]
    assert _verdicts(_rows(0.7), _rows(0.7, (1, 2))) == ["same"]


def test_the_tolerance_by_hand() -> None:
    """Two intervals of half-width 0.06; for means, two seeds that differ by 0.04: a variance of 0.0008 of one seed."""
    over_users, over_seeds = 2 * (0.06 / 1.95996) ** 2, 0.0008 * (1 / 2 + 1 / 2)
    # Two of 14 degrees of freedom each, and one.
    dof = (over_users + over_seeds) ** 2 / (over_users**2 / 28 + over_seeds**2 / 1)
    assert dof == pytest.approx(9.34, abs=0.01)
    (mean,) = compare(_rows(0.7), _rows(0.7), alpha=0.025, confidence=0.95, by_mean=True)
    assert mean.tolerance == pytest.approx(2.249 * (over_users + over_seeds) ** 0.5, rel=0.001)  # Student's t at 9.34
    cells = compare(_rows(0.7), _rows(0.7), alpha=0.05, confidence=0.95)
    assert [cell.tolerance for cell in cells] == pytest.approx([2.048 * over_users**0.5] * 2, rel=0.001)  # at 28
    assert {found.interval for found in (mean, *cells)} == {"independent"}


def test_more_comparisons_make_each_tolerance_wider() -> None:
    others = [replace(TALLREC, n_shots=n_shots) for n_shots in range(100, 150)]
    alone = compare(_rows(0.7), _rows(0.7), alpha=0.05, confidence=0.95)[0]
    rows = [row for group in (TALLREC, *others) for row in _rows(0.7, group=group)]
    assert compare(rows, rows, alpha=0.05, confidence=0.95)[0].tolerance > 1.2 * alone.tolerance


def test_what_is_missing_fails_and_what_is_new_does_not() -> None:
    lost = [MetricRow(row.cell, "missing") for row in _rows(0.7)]
    assert _verdicts(_rows(0.7), []) == ["missing"]
    assert _verdicts(_rows(0.7), lost) == ["missing", "missing"]
    assert _verdicts(_rows(0.7), [_rows(0.7)[0], lost[1]]) == ["same", "missing"]
    assert _verdicts(_rows(0.7), _rows(0.7)[:1]) == ["missing"]  # half of the seeds
    assert _verdicts(_rows(0.7), [_rows(0.7, (5, 6))[0], replace(lost[1], cell=replace(TALLREC, seed=6))]) == [
        "missing"
    ]
    assert _verdicts(lost, _rows(0.7)) == ["new"]
    assert _verdicts([], _rows(0.7)) == ["new"]


def test_one_seed_says_nothing_of_another() -> None:
    assert _verdicts(_rows(0.7, (0,)), _rows(0.3, (7,))) == ["not comparable"]
    assert _verdicts(_rows(0.7, (0,)), _rows(0.7, (7,))) == ["same"]
    assert _verdicts(_rows(0.7, (0,)), _rows(0.3, (0,))) == ["regression"]


def test_predictions_of_another_test_set_are_not_paired() -> None:
    world = World(0)
    before, after = world.run((0, 1)), world.run((2, 3))
    other = {sample_id.replace("s", "x"): score for sample_id, score in before[TALLREC].items()}
    spreads = paired_spreads(before | {TALLREC: other}, after, {"movie": world.truth}, N_RESAMPLES)
    assert GROUPS[1] in spreads.means
    assert TALLREC not in spreads.means
    assert TALLREC not in spreads.cells
    assert paired_spreads(dict.fromkeys(before), after, {"movie": world.truth}, N_RESAMPLES) == PairedSpreads()
    assert paired_spreads(before, after, {}, N_RESAMPLES) == PairedSpreads()


def _git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_metrics_are_read_from_a_file_or_a_revision(repository: Path) -> None:
    write_rows(paths.METRICS_CSV, _rows(0.8))
    _git("init", "-q")
    _git("add", "results")
    _git("commit", "-qm", "one")
    write_rows(paths.METRICS_CSV, _rows(0.7))
    expected = pytest.approx([0.78, 0.82])
    assert [row.auc for row in reference_rows("HEAD")] == expected
    assert [row.auc for row in reference_rows("HEAD:results/metrics.csv")] == expected
    assert [row.auc for row in reference_rows("results/metrics.csv")] == pytest.approx([0.68, 0.72])
    with pytest.raises(MissingArtifactError, match=r"--against v0\.9: neither a file nor a git revision"):
        reference_rows("v0.9")
    Path("odd.csv").write_text("a,b\n")
    with pytest.raises(SchemaError, match=r"odd\.csv: expected the columns family"):
        reference_rows("odd.csv")
    # A revision with other metrics beside AUC can still be compared with.
    ours, none = f",{','.join(OTHER_METRICS)},n_users", "," * (len(OTHER_METRICS) + 1)
    other = paths.METRICS_CSV.read_text().replace(ours, ",one,two,n_users").replace(none, ",0.25,,")
    Path("other.csv").write_text(other)
    assert [row.others for row in reference_rows("other.csv")] == [{"one": 0.25, "two": None}] * 2
    Path("twice.csv").write_text(other.replace(",one,two,", ",two,two,"))
    with pytest.raises(SchemaError, match=r"twice\.csv: expected the columns family"):
        reference_rows("twice.csv")
    Path("infinite.csv").write_text(other.replace(",0.25,", ",inf,"))
    with pytest.raises(SchemaError, match=r"infinite\.csv: line 2: status ok, but a number is missing or not finite"):
        reference_rows("infinite.csv")
    assert repository.exists()


@pytest.fixture
def in_both(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished and evaluated run, and its predictions and metrics of before in `before/`."""
    monkeypatch.setattr("benchmark.methods.configuration.load_config", lambda *_: params)
    assert evaluate.main([]) == 0
    shutil.copytree("predictions", "before/predictions")
    shutil.copy(paths.METRICS_CSV, "before/metrics.csv")
    return finished_run


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_is_green_on_the_same_results(in_both: Path) -> None:
    code, out, _ = _run("--against", "before/metrics.csv")
    assert (code, out.splitlines()[-1]) == (0, "AUC x100: 123 same")
    assert " independent " in out
    code, out, _ = _run("--against", "before/metrics.csv", "--predictions", "before/predictions")
    assert code == 0
    assert " paired " in out
    assert " independent " not in out
    assert in_both.exists()


def test_the_command_is_red_when_a_scorer_reads_the_wrong_token(in_both: Path, params: Params) -> None:
    for seed in (0, 1):
        cell = Cell("tuned", "tallrec-movie", "movie", "movie", 16, seed)
        scores = files.read_scores("predictions", cell) or {}
        turned = [Prediction(sample_id, -score) for sample_id, score in scores.items()]
        files.write_predictions("predictions", cell, turned)
    assert evaluate.main([]) == 0
    for added in ((), ("--predictions", "before/predictions")):
        code, out, _ = _run("--against", "before/metrics.csv", *added)
        assert code == 1
        red = [line.split()[:4] for line in out.splitlines() if line.rstrip().endswith(" regression")][:-1]
        assert red == [["tallrec-movie", "movie-movie", "k16", f"seed{seed}"] for seed in (0, 1)]
    assert in_both.exists()


def test_the_command_is_red_when_a_cell_is_missing(in_both: Path) -> None:
    shutil.rmtree(paths.cell_folder("predictions", Cell("baseline", "gru4rec", "movie", "movie", 16, 1)))
    assert evaluate.main(["--partial"]) == 0
    code, out, _ = _run("--against", "before/metrics.csv")
    assert code == 1
    missing = [line.split()[:4] for line in out.splitlines() if line.rstrip().endswith(" missing")]
    assert missing[:-1] == [["gru4rec", "movie-movie", "k16", "seed1"]]  # the last line counts
    assert in_both.exists()


def test_misuse_is_one_line_and_exit_code_2(in_both: Path) -> None:
    for arguments, message in (
        (("--against", "nothing"), "--against nothing: neither a file nor a git revision"),
        (("--against", "before/metrics.csv", "--alpha", "1.5"), "--alpha: expected a rate above 0 and below 0.5"),
        (("--against", "before/metrics.csv", "--predictions", "nowhere"), "nowhere: no such folder"),
        (("--against", "before/metrics.csv", "--predictions", "data"), "no cell of both runs"),
    ):
        code, _, err = _run(*arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
        assert message in err
    assert _run()[0] == 2
    paths.METRICS_CSV.unlink()
    assert "results/metrics.csv: not there" in _run("--against", "before/metrics.csv")[2]
    assert in_both.exists()


def test_predictions_that_dvc_keeps_of_a_revision_are_found(in_both: Path, params: Params) -> None:
    Path("dvc.yaml").write_text("stages:\n  all:\n    cmd: 'true'\n    outs: [predictions]\n")
    _git("init", "-q")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["init", "-q"], ["commit", "-q", "-f"]):
        subprocess.run([*dvc, *command], check=True, capture_output=True)
    _git("add", "dvc.yaml", "dvc.lock", "results", ".dvc", ".gitignore")
    _git("commit", "-qm", "results")
    assert {found.interval for found in check("HEAD", None, params, alpha=0.05)} == {"paired"}
    assert _run("--against", "HEAD:results/metrics.csv")[0] == 0
    shutil.rmtree(".dvc/cache")
    assert not fetch_predictions("HEAD", Path("again"))
    assert {found.interval for found in check("HEAD", None, params, alpha=0.05)} == {"independent"}
    with pytest.raises(ConfigError):
        check("HEAD", None, params, alpha=0.0)
    assert isinstance(check("HEAD", None, params, alpha=0.05)[0], Finding)
    assert in_both.exists()


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".ci/run"])
def test_ci_checks_against_the_kept_metrics(file: str) -> None:
    assert "check --against tests/smoke/metrics.csv" in (ROOT / file).read_text()


def test_the_kept_metrics_can_be_read() -> None:
    rows = reference_rows(str(ROOT / "tests/smoke/metrics.csv"))
    assert len(rows) > 80
    assert {row.status for row in rows} == {"ok"}
    assert _verdicts(rows, rows) == ["same"] * len(rows)
