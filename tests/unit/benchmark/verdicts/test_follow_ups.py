"""Claims about the papers after TALLRec, on estimates whose noise is known."""

import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from benchmark.errors import ConfigError
from benchmark.schema import Cell
from benchmark.statistics.estimates import Estimates
from benchmark.statistics.results import MetricRow, summarise
from benchmark.verdicts.claims import ClaimVerdict, judge_with_follow_ups
from benchmark.verdicts.evidence import Results
from benchmark.verdicts.follow_ups import FOLLOW_UPS_YAML, load_follow_ups

DOMAIN, N_TRAIN, ERROR = "ml-1m", 33_891, 0.01
RULE = Cell("control", "user_item_bias", DOMAIN, DOMAIN, N_TRAIN, 0)
ITEM = Cell("control", "item_bias", DOMAIN, DOMAIN, N_TRAIN, 0)
MOVIE = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
RERUNS = (0.7097, 0.7027, 0.7023, 0.7044, 0.7072, 0.7268, 0.6872)
"""As the seven sources have them."""


@pytest.fixture
def judged(estimates_of: Callable[..., Estimates]) -> Callable[..., dict[str, ClaimVerdict]]:
    def judge(aucs: dict[Cell, float], of_field: tuple[str, ...] = (DOMAIN,)) -> dict[str, ClaimVerdict]:
        rows = [MetricRow(cell, "ok", auc, None, None, {"uauc": auc}, 64, 64) for cell, auc in aucs.items()]
        estimates = estimates_of({cell: (auc, auc) for cell, auc in aucs.items()}, ERROR, n_effective=50.0)
        results = Results(summarise(rows), 0.95, (), model_is_papers=False, estimates=estimates)
        return {claim.id: claim for claim in judge_with_follow_ups(results, of_field)}

    return judge


def test_the_runs_of_tallrec_are_those_of_the_sources() -> None:
    known = load_follow_ups()
    assert tuple(known.reruns("auc")) == RERUNS
    assert known.range("auc") == pytest.approx(0.0396)
    assert known.range("uauc") == pytest.approx(0.0436)
    gains = {(n.method, n.source): known.gain(n, "auc") for n in known.of_role("follow-up")}
    assert gains["CoLLM-MF", "collm"] == pytest.approx(0.0198)
    assert gains["GraphLoRA", "graphlora"] == pytest.approx(0.0428)  # over CoRA's run, whose table it copies
    assert gains["SigLLM", "sigllm"] is None


def test_the_mean_of_the_runs_is_compared_with_the_best_rule(
    judged: Callable[..., dict[str, ClaimVerdict]],
) -> None:
    claim = judged({ITEM: 0.69, RULE: 0.74})["tallrec_beats_rules"]
    assert claim.verdict == "contradicted"
    [found] = claim.evidence
    assert found.distance == pytest.approx(statistics.fmean(RERUNS) - 0.74)
    of_runs = statistics.variance(RERUNS) / 7
    dof = (ERROR**2 + of_runs) ** 2 / (ERROR**4 / 49 + of_runs**2 / 6)
    assert found.margin == pytest.approx(stats.t.ppf(0.975, dof) * (ERROR**2 + of_runs) ** 0.5)
    assert judged({RULE: 0.64})["tallrec_beats_rules"].verdict == "supported"
    assert judged({RULE: 0.70})["tallrec_beats_rules"].verdict == "inconclusive"


def test_a_gain_has_to_exceed_what_the_runs_differ_by(judged: Callable[..., dict[str, ClaimVerdict]]) -> None:
    claim = judged({RULE: 0.74})["gains_exceed_reruns"]
    assert claim.verdict == "contradicted"
    by_method = {item.what.split(":")[0]: item.verdict for item in claim.evidence}
    exceeding = {"ARROW (arrow)", "GraphLoRA (graphlora)", "ThinkRec (thinkrec)"}
    assert {name for name, verdict in by_method.items() if verdict == "supported"} == exceeding
    assert by_method["BinLLM (binllm)"] == by_method["CoRA-MF (cora)"] == "contradicted"
    assert len(by_method) == 9, "SigLLM stands in no table with a TALLRec"


def test_each_follow_up_is_compared_with_the_biases_alone(judged: Callable[..., dict[str, ClaimVerdict]]) -> None:
    claim = judged({ITEM: 0.99, RULE: 0.74})["follow_ups_beat_biases"]
    assert (claim.verdict, len(claim.evidence)) == ("inconclusive", 10)
    few = replace(RULE, n_shots=64)
    assert judged({few: 0.99, RULE: 0.65})["follow_ups_beat_biases"].verdict == "supported"
    assert judged({ITEM: 0.65})["follow_ups_beat_biases"].verdict == "not run"


def test_follow_ups_share_the_rule_and_not_their_own_noise(judged: Callable[..., dict[str, ClaimVerdict]]) -> None:
    """The lowest of ten values is further below the rule than its margin, as one of ten may be by chance."""
    claim = judged({RULE: 0.764})["follow_ups_beat_biases"]
    lowest = min(claim.evidence, key=lambda item: item.distance or 0.0)
    assert (lowest.distance or 0.0) < -(lowest.margin or 0.0)
    assert lowest.verdict == "inconclusive"


def test_each_ledger_is_of_its_own_domains(judged: Callable[..., dict[str, ClaimVerdict]]) -> None:
    assert "beats_controls" not in judged({RULE: 0.74})
    assert "gains_exceed_reruns" not in judged({MOVIE: 0.7}, ())
    both = judged({MOVIE: 0.7, RULE: 0.74, ITEM: 0.7})
    assert {"beats_controls", "gains_exceed_reruns"} <= both.keys()
    assert all(DOMAIN not in item.what for claim in both.values() if claim.of != "field" for item in claim.evidence)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("source: cora}", "source: kora}", "numbers.3.source: 'kora' is not in sources"),
        ("over: arrow,", "over: binllm,", "numbers.10.over: 'binllm' is no source of a run of TALLRec"),
        ("auc: 0.7097", "auc: 70.97", "numbers.0.auc: .*less than or equal to 1"),
        ("role: follow-up", "role: better", "numbers.7.role: "),
        ("test_rows: 7331", "rows: 7331", "rows: unknown key"),
    ],
)
def test_a_wrong_value_is_named(before: str, after: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "follow_ups.yaml"
    text = FOLLOW_UPS_YAML.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(ConfigError, match=message):
        load_follow_ups(path)
