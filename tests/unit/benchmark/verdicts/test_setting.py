"""The paper's own setting: every value that decides a published number, and each that is another one here."""

import functools
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmark.config.overlays import merged, preset_text
from benchmark.config.params import Params
from benchmark.config.reading import parse_yaml
from benchmark.methods.configuration import parse_config
from benchmark.schema import Cell
from benchmark.verdicts.paper import load_paper
from benchmark.verdicts.setting import has_the_papers_model, other_values

ROOT = Path(__file__).parents[4]
TALLREC = Cell("tuned", "tallrec-movie", "movie", "movie", 16, 0)
ENCODER = "baselines.text_encoder"


def baseline(method: str, domain: str = "movie") -> Cell:
    return Cell("baseline", method, domain, domain, 16, 0)


@functools.cache
def content_of(preset: str) -> dict[str, Any]:
    """The committed configuration with a preset merged into it."""
    return parse_yaml(merged((ROOT / "params.yaml").read_text(), preset_text(preset)), Path("params.yaml"))


def configured(preset: str, changes: dict[str, Any] | None = None) -> Params:
    """The same with other values."""
    return parse_config(_changed(content_of(preset), changes or {}), Path("params.yaml"))


def _changed(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    new = {key: _changed(content[key], value) if isinstance(value, dict) else value for key, value in changes.items()}
    return content | new


def test_the_preset_of_the_paper_has_every_value_that_decides_a_published_number() -> None:
    """What it lacked would be another value, since it is compared with the preset alone."""
    params = configured("paper")
    assert {other_values(number.group, params) for number in load_paper().numbers} == {()}
    assert has_the_papers_model(params, load_paper())


@pytest.mark.parametrize(
    ("change", "cell", "said"),
    [
        ("tune: {n_updates: 20, n_epochs: null}", TALLREC, ("tune.n_updates: 20, the paper's null",
                                                            "tune.n_epochs: null, the paper's 200")),
        ("fidelity: {loss: answer}", TALLREC, ("fidelity.loss: answer, the paper's all_tokens",)),
        ("fidelity: {loss: answer}", baseline("sasrec"), ()),
        ("lora: {rank: 16}", TALLREC, ("lora.rank: 16, the paper's 8",)),
        ("baselines: {models: {gru_bert: {hidden_size: 64}}}", baseline("gru_bert"),
         ("baselines.models.gru_bert.hidden_size: 64, the paper's 1024",)),
        ("baselines: {models: {gru_bert: {hidden_size: 64}}}", baseline("dros_bert"), ()),
        ("baselines: {training: {learning_rate: 0.01}}", baseline("caser"),
         ("baselines.training.learning_rate: 0.01, the paper's 0.001",)),
        ("baselines: {n_updates: {caser: {book: 200}}}", baseline("caser", "book"),
         ("baselines.n_updates.caser.book: 200, the paper's 500",)),
        ("baselines: {n_updates: {caser: {book: 200}}}", baseline("sasrec", "book"), ()),
        ("grid: {weights_seed: 0}", baseline("sasrec"), ("grid.weights_seed: 0, the paper's null",)),
        # Cells and rows of others, and what rounds: no reservation.
        ("grid: {n_shots: [16], seeds: [7], cheap_seeds: null}", TALLREC, ()),
        ("domains: {movie: {extended_rows_per_user: 0}}", TALLREC, ()),
        ("baselines: {training: {weight_decay_grid: [], n_threads: 1}}", baseline("sasrec"), ()),
        ("llm: {dtype: float32}", TALLREC, ()),
        ("tune: {micro_batch_size: 1}", TALLREC, ()),
    ],
)  # fmt: skip
def test_each_value_that_decides_a_cell_and_is_another_one_is_told(
    change: str, cell: Cell, said: tuple[str, ...]
) -> None:
    assert sorted(other_values(cell, configured("paper", YAML(typ="safe").load(change)))) == sorted(said)


def test_another_encoder_is_told_of_the_models_that_read_text() -> None:
    params = configured("real-cpu")
    told = {method: " ".join(other_values(baseline(method), params)) for method in ("gru_bert", "dros_bert", "sasrec")}
    assert {method for method, why in told.items() if f"{ENCODER}.model" in why} == {"gru_bert", "dros_bert"}
    assert f"{ENCODER}.n_threads" not in told["gru_bert"]


def test_the_draw_of_a_plain_run_is_not_the_papers() -> None:
    params = configured("real-cpu")
    assert other_values(baseline("sasrec"), params) == ("fidelity.draw: shared, the paper's released",)


def test_a_folder_without_a_pipeline_is_judged_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    assert other_values(TALLREC, configured("paper")) == ()
