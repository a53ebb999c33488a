"""The table of the papers after TALLRec, and the sentences about it, where a domain holds their rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.report.inputs import Inputs, read_inputs
from benchmark.report.page import build_page, render_html, render_markdown
from benchmark.report.tables.published import _reached, follow_up_findings, follow_ups_table
from benchmark.schema import Cell
from benchmark.stages import evaluate
from benchmark.verdicts.follow_ups import load_follow_ups
from benchmark.verdicts.paper import load_paper

N_TRAIN = 100


@pytest.fixture
def grid(grid: dict[str, Any]) -> dict[str, Any]:
    return grid | {"controls": ("random", "item_bias", "user_item_bias"), "train_domains": ("movie", "book")}


@pytest.fixture
def inputs(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """The small run, as if its movies were the rows of the papers after TALLRec."""
    assert finished_run.exists()
    assert evaluate.main([]) == 0
    movie = params.domains["movie"].model_copy(update={"format": "ml-1m", "source": "official"})
    there = params.model_copy(update={"domains": {**params.domains, "movie": movie}})
    monkeypatch.setattr("benchmark.report.inputs.load_config", lambda: there)
    path = paths.prepared_folder("movie") / "stats.json"
    stats = files.read_json(path)
    stats["splits"]["test"]["rows"] = load_follow_ups().test_rows
    files.write_json(path, stats)
    return read_inputs()


def test_each_published_value_stands_beside_ours(inputs: Inputs) -> None:
    table, known = follow_ups_table(inputs, "movie"), load_follow_ups()
    published = [row for row in table.rows if row.group != "Run here"]
    assert len(published) == len(known.numbers) + 1, "one row has all runs of TALLRec"
    rule = inputs.estimates.estimate(Cell("control", "user_item_bias", "movie", "movie", N_TRAIN, 0))
    assert rule is not None
    of_collm = next(row for row in published if row.name == "CoLLM-MF")
    assert [entry.text for entry in of_collm.entries] == [
        *("73.0", "68.8", f"{100 * (rule.value - 0.7295):+.1f}"),
        *(of_collm.entries[3].text, "+2.0 / +0.6", "Vicuna-7B", "CoLLM, TKDE 2025, arXiv 2310.19488, Table 5"),
    ]
    every_run = next(row for row in table.rows if row.name == "all runs of TALLRec").entries
    assert (every_run[0].text, every_run[0].detail) == ("70.6", "68.7 to 72.7 · sd 1.2")
    assert every_run[5].text == "Llama3-8B, Qwen2-1.5B, Vicuna-7B"
    ours = [row.name for row in table.rows if row.group == "Run here"]
    assert ours == ["random", "item_bias", "user_item_bias", "icl-alpaca-released"], "at K = all rows, or without any"


def test_sentences_say_which_values_a_rule_reaches(inputs: Inputs) -> None:
    spread, auc, uauc = follow_up_findings(inputs, "movie")
    assert spread == "On movie, 7 published runs of TALLRec differ by 4.0 points of AUC and 4.4 of UAUC."
    rule = inputs.estimates.estimate(Cell("control", "user_item_bias", "movie", "movie", N_TRAIN, 0))
    assert rule is not None
    n_reached = sum(number.auc <= rule.value for number in load_follow_ups().numbers)
    assert 0 < n_reached < 7
    assert f"reaches 0 of 7 runs of TALLRec and {n_reached} of all 27 published values" in auc
    assert "published as better it reaches none, and stays below CoLLM-MF (collm), CoLLM-DIN (collm), " in auc
    assert "have UAUC " in uauc
    known = load_follow_ups()
    said = _reached(known, 0.7390, 0.02, "auc")
    assert "AUC 73.9 ± 2.0. That reaches 7 of 7 runs of TALLRec and 20 of all 27 published values" in said
    assert "it reaches CoLLM-MF (collm), CoLLM-DIN (collm), CoRA-MF (cora), and stays below BinLLM (binllm), " in said
    assert auc.endswith(".")


def test_the_page_has_table_sentences_and_ledger_of_these_rows(inputs: Inputs) -> None:
    page = build_page(inputs, load_paper())
    assert {claim.of for claim in page.claims} == {"paper", "ours", "field"}
    html = render_html(page)
    assert 'data-table="follow_ups_movie"' in html
    assert "What we ask of the papers after it" in html
    assert "7 published runs of TALLRec differ" in html
    assert "7 published runs of TALLRec differ" in render_markdown(page)
    assert not any(said.startswith("On movie, the best rule") for said in page.findings)


def test_another_test_set_is_compared_with_nothing_published(inputs: Inputs) -> None:
    splits = {**inputs.stats["movie"]["splits"], "test": {**inputs.stats["movie"]["splits"]["test"], "rows": 7330}}
    stats = {**inputs.stats, "movie": {**inputs.stats["movie"], "splits": splits}}
    page = build_page(replace(inputs, stats=stats), load_paper())
    assert not page.follow_ups
    assert {claim.of for claim in page.claims} == {"paper", "ours"}
