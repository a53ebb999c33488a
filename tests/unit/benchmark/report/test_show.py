"""The main table in the terminal, and what was found in sentences."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.config.run_names import method_name
from benchmark.report import finding
from benchmark.report.finding import findings
from benchmark.report.inputs import Inputs, read_inputs
from benchmark.report.page import build_page
from benchmark.report.show import lines
from benchmark.schema import Cell
from benchmark.stages import evaluate
from benchmark.verdicts.paper import load_paper


@pytest.fixture
def inputs(finished_run: Path) -> Inputs:
    """The small run, evaluated."""
    assert finished_run.exists()
    assert evaluate.main([]) == 0
    return read_inputs()


def test_each_test_set_has_a_table_with_every_method_and_its_margin(inputs: Inputs) -> None:
    shown = list(lines(inputs, load_paper(), is_markdown=False))
    heads = [line.split()[0] for line in shown if "K = 4" in line and "within users" in line]
    assert heads == ["movie", "movie-extended", "book"]
    movie = shown[: shown.index("")]
    named = [line.strip().split("  ")[0] for line in movie if line.startswith("  ")]
    methods = dict.fromkeys(g.method for g in inputs.groups if g.test_domain == "movie")
    assert named == [method_name(inputs.params, method, "movie") for method in methods]
    line = next(line for line in movie if line.startswith("  TALLRec (tiny LM)  "))
    estimate = inputs.estimates.estimate(next(g for g in inputs.groups if g.method == "tallrec-movie"))
    assert estimate is not None
    assert f"{100 * estimate.value:.1f} ±{100 * (estimate.margin(0.95) or 0):.1f}" in line
    assert "the same" in next(line for line in movie if line.startswith("  liked_share"))
    # Generated data are not the paper's rows: no number of it stands beside ours.
    assert not any("(" in line.replace("(tiny LM)", "") for line in movie)


def test_each_number_of_demonstrations_is_a_row_whether_or_not_a_k_of_the_grid(inputs: Inputs) -> None:
    plain = next(g for g in inputs.groups if g.family == "icl" and g.test_domain == "movie")
    summary = inputs.groups[plain]
    assert summary is not None
    name = method_name(inputs.params, plain.method, "movie")
    both = {**inputs.groups, replace(plain, n_shots=2): replace(summary, auc=0.875, margin=None)}
    alone = {group: one for group, one in both.items() if group != plain}
    for groups in (both, alone):
        shown = list(lines(replace(inputs, groups=groups), load_paper(), is_markdown=False))
        (line,) = [line for line in shown if line.strip().startswith(f"{name} (2 shown) ")]
        assert line.split()[3:6] == ["87.5", "the", "same"]


def test_scores_from_elsewhere_at_another_k_have_a_row_that_names_it(inputs: Inputs) -> None:
    summary = next(summary for summary in inputs.groups.values() if summary)
    theirs = {Cell("external", "sota", "movie", "movie", k, 0): replace(summary, auc=0.8 + k / 1e5) for k in (4, 1000)}
    shown = list(lines(replace(inputs, groups={**inputs.groups, **theirs}), load_paper(), is_markdown=False))
    (own,) = [line for line in shown if line.startswith("  sota (K = 1000) ")]
    assert "81.0" in own
    (of_grid,) = [line for line in shown if line.startswith("  sota  ")]
    assert "80.0" in of_grid
    assert "81.0" not in of_grid


def test_a_mean_over_some_of_the_seeds_says_so(inputs: Inputs) -> None:
    best = max((g for g, s in inputs.groups.items() if s and g.test_domain == "movie"), key=lambda g: _auc(inputs, g))
    summary = inputs.groups[best]
    assert summary is not None
    partly = replace(inputs, groups={**inputs.groups, best: replace(summary, n_expected=5)})
    shown = list(lines(partly, load_paper(), is_markdown=False))
    assert sum("2 of 5 seeds" in line for line in shown) == 2, "in the table, and in the sentence on the best"
    assert not any("seeds" in line for line in lines(inputs, load_paper(), is_markdown=False) if " of " in line)


def _auc(inputs: Inputs, group: Cell) -> float:
    summary = inputs.groups[group]
    return summary.auc if summary and group.family != "control" and group.train_domain in ("movie", "both") else 0.0


def test_markdown_has_a_row_for_each_line_of_the_table(inputs: Inputs) -> None:
    plain = list(lines(inputs, load_paper(), is_markdown=False))
    table = list(lines(inputs, load_paper(), is_markdown=True))
    n_lines = next(number for number, line in enumerate(plain) if line.startswith("AUC x100"))
    rows = [line for line in table if line.startswith("| ")]
    assert len(rows) == sum(bool(line) for line in plain[:n_lines])
    assert {line.count("|") for line in rows} == {5}


def test_the_finding_compares_the_best_rule_and_the_best_model_on_the_same_users(inputs: Inputs) -> None:
    found = findings(inputs, load_paper())
    assert len([sentence for sentence in found if sentence.startswith("On ")]) == 2
    assert len(found) == 4
    assert found[2].startswith("The paper's setting, TALLRec with LLaMA-7B, was not run: the language model is tiny LM")
    assert re.search(
        r"^Small differences cannot be told: \d+ test users of \w+ leave .* a margin of ± \d+\.\d\.$", found[3]
    )
    groups = {group: summary for group, summary in inputs.groups.items() if summary and group.test_domain == "movie"}
    rule = next(group for group in groups if group.method == "liked_share")
    best = max((g for g in groups if g.family in ("baseline", "tuned")), key=lambda group: groups[group].auc)
    difference = inputs.estimates.difference(best, rule)
    assert difference is not None
    assert any(f"{100 * difference.value:+.1f} ±" in sentence for sentence in found)
    assert "(generated data)" in found[0]
    sure = inputs.params.evaluate.model_copy(update={"confidence": 0.001})  # so that any difference exceeds its margin
    told_apart = findings(replace(inputs, params=inputs.params.model_copy(update={"evaluate": sure})), load_paper())
    assert "; the margin does not count that each was chosen as the best of its kind)" in told_apart[0]


def test_a_rule_that_learns_ranks_best_where_it_does_so_at_a_k_of_the_grid(inputs: Inputs) -> None:
    def found(auc: float, n_shots: tuple[int, ...]) -> str:
        raised = {
            g: replace(s, auc=auc) if s and g.method == "item_mean" and g.n_shots in n_shots else s
            for g, s in inputs.groups.items()
        }
        return findings(replace(inputs, groups=raised), load_paper())[0]

    grid = inputs.params.grid.n_shots
    whole = tuple({g.n_shots for g in inputs.groups if g.method == "item_mean"} - {*grid})
    assert whole
    first, rest = found(0.999, grid).split(" ranks best")
    assert "item_mean at K = " in first
    assert all(what in rest for what in ("; the best model, ", "; the best rule without training, "))
    assert "item_mean at" not in found(0.999, whole)
    assert "item_mean at" not in found(0.001, grid)


def test_random_scores_are_no_rule_however_well_they_rank_by_chance(inputs: Inputs) -> None:
    lucky = {g: replace(s, auc=0.999) if s and g.method == "random" else s for g, s in inputs.groups.items()}
    assert not any("random" in sentence for sentence in findings(replace(inputs, groups=lucky), load_paper()))


def test_no_verdict_on_a_published_number_is_left_out(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"equivalent": 0, "at chance": 2, "different": 1, "cannot tell": 3, "not comparable": 4, "missing": 5}
    monkeypatch.setattr(finding, "verdict_counts", lambda *_: {"published": counts})
    assert findings(inputs, load_paper())[-1] == (
        "Published numbers beside ours, 6 in all: 2 at chance on both sides, 1 different, 3 not to be told from the "
        "same or from another."
    )
    counts |= {"different with reservation": 2, "equivalent with reservation": 1}
    said = "1 equivalent (1 with reservation), 2 at chance on both sides, 3 different (2 with reservation)"
    assert said in findings(inputs, load_paper())[-1]


def test_methods_that_were_not_run_are_counted_and_not_listed(finished_run: Path) -> None:
    shutil.rmtree(finished_run / "predictions/tuned/rt-both")
    assert evaluate.main(["--partial"]) == 0
    shown = "\n".join(lines(read_inputs(), load_paper(), is_markdown=False))
    assert shown.count("tuned (1 not run)") == 3  # on each test set
    assert "RT alone (tiny LM), tuned on both" not in shown


def test_the_seeds_of_language_models_are_told_where_they_are_fewer(inputs: Inputs) -> None:
    assert finding.facts(inputs, ())[1] == "2 seeds"
    grid = inputs.params.grid.model_copy(update={"cheap_seeds": (0, 1, 2)})
    more = replace(inputs, params=inputs.params.model_copy(update={"grid": grid}))
    assert finding.facts(more, ())[1] == "3 seeds (2 of language models)"


def test_a_page_without_a_language_model_says_so(inputs: Inputs) -> None:
    nothing = {"recipes": (), "icl_models": (), "other_models": ()}
    params = inputs.params.model_copy(update={"grid": inputs.params.grid.model_copy(update=nothing)})
    with_model, without = (build_page(one, load_paper()).warnings for one in (inputs, replace(inputs, params=params)))
    assert any("The language model is a tiny model" in warning for warning in with_model)
    assert "No language model was run: nothing below is a result of TALLRec itself." in without
    assert not any("tiny model" in warning for warning in without)
