"""The regression gate: what it says of each kind of change, and how it fails. How often, is in `tests/harden`."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from typer.testing import CliRunner

from benchmark.artifacts import files, paths
from benchmark.cli import app
from benchmark.config.params import Params
from benchmark.errors import MissingArtifactError, SchemaError
from benchmark.schema import Cell, Prediction
from benchmark.stages import evaluate
from benchmark.statistics.estimates import INFLUENCE, Estimates, Known
from benchmark.statistics.influence import Measured
from benchmark.statistics.metrics import OTHERS
from benchmark.statistics.results import MetricRow, write_rows
from benchmark.verdicts.compared_run import Run, reference_run
from benchmark.verdicts.gate import Finding, compare

TALLREC = Cell("tuned", "tallrec-movie", "movie", "movie", 64, 0)
OTHER = replace(TALLREC, method="rt-movie")
RULE = Cell("control", "liked_share", "movie", "movie", 0, 0)
N_USERS = 16
PATTERN = np.array([1.0, -1.0] * (N_USERS // 2))

Values = Mapping[Cell, Mapping[int, float]]


def run_of(values: Values, *, noise: float = 0.0, test_rows: str = "a", with_influence: bool = True) -> Run:
    """A run; its influences are the value of the group plus and minus `noise`, alternately."""
    rows = [
        MetricRow(replace(group, seed=seed), "ok", value, value - 0.06, value + 0.06, {"uauc": None}, N_USERS, 1000)
        for group, seeds in values.items()
        for seed, value in seeds.items()
    ]
    if not with_influence:
        return Run(rows, Estimates({}), {})
    known = {
        (group, "auc"): Known(
            Measured(float(np.mean(list(seeds.values()))), np.mean(list(seeds.values())) + noise * PATTERN, 9.4),
            tuple(seeds.values()),
            group.family != "control",
        )
        for group, seeds in values.items()
    }
    return Run(rows, Estimates(known), {"movie": test_rows})


def verdicts(before: Run, after: Run) -> list[str]:
    return [found.verdict for found in compare(before, after, alpha=0.05)]


def seeds(*values: float, first: int = 0) -> dict[int, float]:
    return dict(enumerate(values, first))


def test_what_is_the_same_to_the_last_digit_needs_no_test() -> None:
    run = run_of({TALLREC: seeds(0.7, 0.72)})
    assert compare(run, run, alpha=0.05) == [Finding("tallrec-movie movie-movie k64", "auc", "same", 2, 0.71, 0.71)]
    assert verdicts(run, run_of({TALLREC: seeds(0.7, 0.72, 0.1)})) == ["same"]  # one more seed is not compared


def test_at_the_same_seeds_a_change_within_noise_is_told() -> None:
    before = run_of({TALLREC: seeds(0.7, 0.72)})
    (found,) = compare(before, run_of({TALLREC: seeds(0.7, 0.72 - 1e-9)}), alpha=0.05)
    assert (found.verdict, found.interval) == ("changed", "paired")
    assert found.tolerance is not None
    assert found.tolerance > 1e-9
    for value, verdict in ((0.3, "regression"), (0.95, "better")):
        assert verdicts(before, run_of({TALLREC: seeds(value, value + 0.02)}, noise=0.05)) == [verdict]


def test_the_tolerance_at_the_same_seeds_by_hand() -> None:
    """Changes of -0.02 and -0.04, users' influences +-0.03 apart, one test."""
    over_users, over_seeds = 0.03**2 / (N_USERS - 1), 0.01**2 * 2 / 2
    dof = (over_users + over_seeds) ** 2 / (over_users**2 / 8.4 + over_seeds**2 / 1)
    before, after = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(0.68, 0.68)}, noise=0.03)
    (found,) = compare(before, after, alpha=0.05)
    assert found.tolerance == pytest.approx(student.ppf(0.95, dof) * (over_users + over_seeds) ** 0.5)


def test_the_tolerance_at_other_seeds_by_hand() -> None:
    """Seeds with a variance of 0.0002 and 1 degree of freedom against five with none and 4."""
    before, after = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(*5 * [0.7], first=10)})
    (found,) = compare(before, after, alpha=0.05)
    variance = 0.0002 / 5 * (1 / 2 + 1 / 5)
    assert found.tolerance == pytest.approx(student.ppf(0.95, 5) * variance**0.5)
    assert found.verdict == "within noise"


def test_a_method_has_the_largest_scatter_of_its_pool() -> None:
    values = {replace(TALLREC, method=name): seeds(0.7, 0.7) for name in "abcd"}
    lower = {group: seeds(0.66, 0.66) for group in values}
    wild = dict(zip(values, ((0.66, 0.66), (0.8, 0.6), (0.5, 0.8), (0.6, 0.9)), strict=True))
    alone, among = (
        compare(run_of(values), run_of({group: seeds(*pair) for group, pair in after.items()}, noise=0.001), alpha=0.05)
        for after in ({group: tuple(pair.values()) for group, pair in lower.items()}, wild)
    )
    assert alone[0].verdict == "regression"
    assert among[0].verdict == "changed"


def test_a_rule_has_no_noise_of_seeds() -> None:
    before = run_of({RULE: seeds(0.7), replace(RULE, method="random"): seeds(0.5, 0.6)})
    lower = run_of({RULE: seeds(0.69), replace(RULE, method="random"): seeds(0.6, 0.5)})
    found = {row.name.split()[0]: row for row in compare(before, lower, alpha=0.05)}
    assert found["liked_share"].verdict == "regression"
    assert found["liked_share"].tolerance == 0


def test_one_seed_is_compared_with_itself_and_says_nothing_of_another() -> None:
    assert verdicts(run_of({TALLREC: seeds(0.7)}), run_of({TALLREC: seeds(0.3)})) == ["regression"]
    (found,) = compare(run_of({TALLREC: seeds(0.7)}), run_of({TALLREC: seeds(0.3, first=7)}), alpha=0.05)
    assert (found.verdict, found.reason) == ("not comparable", "other seeds, of which one run has one alone")
    # Others of its pool that have several tell.
    more = {OTHER: seeds(0.7, 0.71)}, {OTHER: seeds(0.7, 0.72, first=7)}
    old, new = (run_of({TALLREC: own} | one) for own, one in zip((seeds(0.7), seeds(0.3, first=7)), more, strict=True))
    assert verdicts(old, new)[0] == "regression"


def test_a_small_loss_of_a_whole_family_is_seen_in_its_mean() -> None:
    rng = np.random.default_rng(0)
    methods = [replace(TALLREC, method=f"m{number}") for number in range(20)]
    before = {group: seeds(*rng.normal(0.7, 0.01, 3)) for group in methods}
    lower = {
        group: {seed: value - 0.015 + rng.normal(0, 0.01) for seed, value in values.items()}
        for group, values in before.items()
    }
    found = compare(run_of(before), run_of(lower), alpha=0.05)
    assert {row.verdict for row in found[:-1]} == {"changed"}
    assert (found[-1].name, found[-1].verdict) == ("mean of 20 of tuned on movie", "regression")


def test_more_comparisons_make_each_tolerance_wider() -> None:
    groups = [replace(TALLREC, n_shots=n_shots) for n_shots in range(50)]
    before, after = (run_of({group: seeds(0.7, 0.7 + step) for group in groups}) for step in (0, 0.01))
    alone = compare(run_of({TALLREC: seeds(0.7, 0.7)}), run_of({TALLREC: seeds(0.7, 0.71)}), alpha=0.05)[0].tolerance
    among = compare(before, after, alpha=0.05)[0].tolerance
    assert alone is not None
    assert among is not None
    assert among > 1.2 * alone


def test_users_are_independent_without_influences_or_on_other_rows() -> None:
    before, after = {TALLREC: seeds(0.7, 0.72)}, run_of({TALLREC: seeds(0.7, 0.71)}, noise=0.1)
    paired, other_rows, without = (
        compare(reference, after, alpha=0.05)[0]
        for reference in (
            run_of(before, noise=0.1),
            run_of(before, noise=0.1, test_rows="b"),
            run_of(before, with_influence=False),
        )
    )
    assert [found.interval for found in (paired, other_rows, without)] == ["paired", "independent", "independent"]
    assert paired.tolerance is not None
    assert other_rows.tolerance is not None
    assert other_rows.tolerance > paired.tolerance
    assert without.tolerance == pytest.approx(other_rows.tolerance)  # as uncertain as this run


def test_uauc_is_checked_too() -> None:
    def run(uauc: float | None) -> Run:
        rows = [MetricRow(TALLREC, "ok", 0.7, None, None, {"uauc": uauc}, N_USERS, 1000)]
        value = 0.0 if uauc is None else uauc
        known = {(TALLREC, "uauc"): Known(Measured(value, value + 0.1 * PATTERN, 16.0), (value,), True)}
        return Run(rows, Estimates(known), {"movie": "a"})

    found = compare(run(0.7), run(0.5), alpha=0.05)
    assert [(row.metric, row.verdict) for row in found] == [("auc", "same"), ("uauc", "regression")]
    assert verdicts(run(0.7), run(None)) == ["same", "missing"]
    assert verdicts(run(None), run(0.7)) == ["same"]


def test_what_is_missing_fails_and_what_is_new_does_not() -> None:
    both, one = run_of({TALLREC: seeds(0.7, 0.72)}), run_of({TALLREC: seeds(0.7)})
    nothing = run_of({})
    lost = replace(one, rows=[*one.rows, MetricRow(replace(TALLREC, seed=1), "missing")])
    for run in (nothing, one, lost, replace(nothing, rows=[MetricRow(TALLREC, "missing")])):
        assert verdicts(both, run) == ["missing"]
    assert compare(both, lost, alpha=0.05)[0].reason == "1 of 2 seeds"
    other = run_of({TALLREC: seeds(0.7, first=5)})
    assert verdicts(one, replace(other, rows=[*other.rows, MetricRow(replace(TALLREC, seed=6), "missing")])) == [
        "missing"
    ]
    assert verdicts(one, lost) == ["same"]  # the seed that is missing was not in the reference
    assert verdicts(replace(nothing, rows=[MetricRow(TALLREC, "missing")]), both) == ["new"]
    assert verdicts(nothing, both) == ["new"]


def test_too_few_users_are_not_comparable() -> None:
    few = Measured(0.6, np.full(1, np.nan), 0.0)
    after = run_of({TALLREC: seeds(0.6, 0.61)})
    after = replace(after, estimates=Estimates({(TALLREC, "auc"): Known(few, (0.6, 0.61), True)}))
    (found,) = compare(run_of({TALLREC: seeds(0.7, 0.72)}, with_influence=False), after, alpha=0.05)
    assert (found.verdict, found.reason) == ("not comparable", "too few users")


def _git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def _aucs(against: str) -> Sequence[float | None]:
    return [row.auc for row in reference_run(against).rows]


def test_metrics_are_read_from_a_file_or_a_revision(repository: Path) -> None:
    write_rows(paths.METRICS_CSV, run_of({TALLREC: seeds(0.78, 0.82)}).rows)
    _git("init", "-q")
    _git("add", "results")
    _git("commit", "-qm", "one")
    write_rows(paths.METRICS_CSV, run_of({TALLREC: seeds(0.68, 0.72)}).rows)
    assert _aucs("HEAD") == _aucs("HEAD:results/metrics.csv") == [0.78, 0.82]
    assert _aucs("results/metrics.csv") == [0.68, 0.72]
    assert reference_run("HEAD").test_rows == {}
    with pytest.raises(MissingArtifactError, match=r"--against v0\.9: neither a file nor a git revision"):
        reference_run("v0.9")
    Path("odd.csv").write_text("a,b\n")
    with pytest.raises(SchemaError, match=r"odd\.csv: expected the columns family"):
        reference_run("odd.csv")
    # A revision with other metrics beside AUC can still be compared with.
    ours, none = f",{','.join(OTHERS)},n_users", "," * (len(OTHERS) + 1)
    other = paths.METRICS_CSV.read_text().replace(ours, ",one,two,n_users").replace(none, ",0.25,,")
    Path("other.csv").write_text(other)
    assert [row.others for row in reference_run("other.csv").rows] == [{"one": 0.25, "two": None}] * 2
    Path("twice.csv").write_text(other.replace(",one,two,", ",two,two,"))
    with pytest.raises(SchemaError, match=r"twice\.csv: expected the columns family"):
        reference_run("twice.csv")
    Path("infinite.csv").write_text(other.replace(",0.25,", ",inf,"))
    with pytest.raises(SchemaError, match=r"infinite\.csv: line 2: status ok, but a number is missing or not finite"):
        reference_run("infinite.csv")
    assert repository.exists()


@pytest.fixture
def in_both(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished and evaluated run, and its results of before in `before/`, with and without its influences."""
    monkeypatch.setattr("benchmark.methods.configuration.load_config", lambda *_: params)
    assert evaluate.main([]) == 0
    for name in ("before", "alone"):
        Path(name).mkdir()
        shutil.copy(paths.METRICS_CSV, f"{name}/metrics.csv")
    shutil.copy(INFLUENCE, "before")
    return finished_run


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["check", *arguments])
    return result.exit_code, result.stdout, result.stderr


def _turn_round(seeds: Sequence[int]) -> None:
    """No for Yes."""
    for seed in seeds:
        cell = Cell("tuned", "tallrec-movie", "movie", "movie", 16, seed)
        scores = files.read_scores("predictions", cell) or {}
        turned = [Prediction(sample_id, -score) for sample_id, score in scores.items()]
        files.write_predictions("predictions", cell, turned)
    assert evaluate.main([]) == 0


def test_the_command_is_green_on_the_same_results(in_both: Path) -> None:
    for folder in ("before", "alone"):
        code, out, _ = _run("--against", f"{folder}/metrics.csv")
        assert (code, out.splitlines()) == (0, [out.strip()])
        assert out.startswith("AUC and UAUC: ")
        assert out.endswith(" same\n")
    assert in_both.exists()


def test_the_command_is_red_when_a_scorer_reads_the_wrong_token(in_both: Path) -> None:
    _turn_round((0, 1))
    for folder, interval in (("before", "paired"), ("alone", "independent")):
        code, out, _ = _run("--against", f"{folder}/metrics.csv")
        assert code == 1
        red = [line.split() for line in out.splitlines()[:-1] if line.rstrip().endswith(" regression")]
        assert {tuple(line[:3]) for line in red} == {("tallrec-movie", "movie-movie", "k16")}
        assert {line[-2] for line in red} == {interval}
    assert in_both.exists()


def test_the_command_is_red_when_a_cell_is_missing(in_both: Path) -> None:
    shutil.rmtree(paths.cell_folder("predictions", Cell("baseline", "gru4rec", "movie", "movie", 16, 1)))
    assert evaluate.main(["--partial"]) == 0
    code, out, _ = _run("--against", "before/metrics.csv")
    assert code == 1
    (missing,) = [line for line in out.splitlines() if "missing: " in line]
    assert missing.split()[:5] == ["gru4rec", "movie-movie", "k16", "AUC", "2"]
    assert missing.rstrip().endswith("missing: 1 of 2 seeds")
    assert in_both.exists()


def test_misuse_is_one_line_and_exit_code_2(in_both: Path) -> None:
    shutil.copy("before/influence.parquet", "alone")
    Path("alone/metrics.csv").write_text(Path("before/metrics.csv").read_text().replace("gru4rec", "other"))
    for arguments, message in (
        (("--against", "nothing"), "--against nothing: neither a file nor a git revision"),
        (("--against", "before/metrics.csv", "--alpha", "1.5"), "--alpha: expected a rate above 0 and below 0.5"),
        (("--against", "alone/metrics.csv"), "alone/influence.parquet: not the influences of the rows"),
    ):
        code, _, err = _run(*arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
        assert message in err
    assert _run()[0] == 2
    paths.METRICS_CSV.unlink()
    assert "results/metrics.csv: not there" in _run("--against", "before/metrics.csv")[2]
    assert in_both.exists()


def test_influences_of_a_revision_are_found(in_both: Path) -> None:
    _git("init", "-q")
    _git("add", "results", "alone")
    _git("commit", "-qm", "results")
    _turn_round((1,))
    for against, interval in (("HEAD", "paired"), ("HEAD:alone/metrics.csv", "independent")):
        assert f" {interval} " in _run("--against", against)[1]
    assert in_both.exists()
