"""An exported adapter: plain PEFT gives its scores, and its card says what records and results say and no more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.cli import app
from benchmark.config.params import Params, Population
from benchmark.errors import MissingArtifactError
from benchmark.methods.configuration import load_config
from benchmark.report.cards.adapter import export_adapter
from benchmark.schema import Cell
from benchmark.stages import base, controls, draw, evaluate, instruct, prepare, raw, score, tune
from benchmark.statistics.results import read_rows

REPOSITORY = Path(__file__).parents[5]
STAGES = (base, controls, draw, evaluate, instruct, prepare, raw, score, tune)
POPULATIONS = {"ml-100k": Population(n_users=60, ratings_per_user=(18, 20))}
CHANGES: dict[str, dict[str, Any]] = {
    "world": {"n_items": 30, "n_other_items": 10, "reviews_per_item": 1, "instructions": 20},
    "grid": {
        **{"domains": ("movie",), "n_shots": (4,), "seeds": (0, 1), "recipes": ("rt",), "train_domains": ("movie",)},
        **{"icl_models": (), "baselines": (), "controls": ("liked_share",)},
    },
    "base": {"vocabulary_size": 500, "hidden_size": 32, "intermediate_size": 32, "n_layers": 1, "n_updates": 3},
    "instruct": {"n_updates": 3},
    "tune": {"n_updates": 4, "eval_every": 2, "max_valid_samples": 10, "warmup_updates": 0},
    "probe": {"variants": (), "inputs": ()},
}
CELL = Cell("tuned", "rt-movie", "movie", "movie", 4, 1)


def toy_params() -> Params:
    """The committed configuration, as small as it gets."""
    params = load_config(REPOSITORY / "params.yaml")
    movie = params.domains["movie"].model_copy(update={"n_samples": 400})
    world = {"populations": {**params.world.populations, **POPULATIONS}}
    changes = {**CHANGES, "world": CHANGES["world"] | world}
    sections = {name: getattr(params, name).model_copy(update=values) for name, values in changes.items()}
    return params.model_copy(update={**sections, "domains": {**params.domains, "movie": movie}})


PARAMS = toy_params()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The adapter of seed 1, in a folder where it was tuned, scored and evaluated."""
    folder = tmp_path_factory.mktemp("cards")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        for stage in STAGES:
            monkeypatch.setattr(stage, "load_config", lambda: PARAMS)
        for stage, arguments in (
            (base, []),
            (instruct, []),
            (raw, ["--domain", "movie"]),
            (prepare, ["--domain", "movie"]),
            (draw, []),
            (controls, ["--domain", "movie"]),
        ):
            assert stage.main(arguments) == 0
        variant = ["--recipe", "rt", "--train-domain", "movie"]
        for seed in ("0", "1"):
            assert tune.main([*variant, "--n-shots", "4", "--seed", seed]) == 0
        assert score.main(variant) == 0
        assert evaluate.main(["--partial"]) == 0
        export_adapter("rt-movie", 4, 1, Path("out"), PARAMS, benchmark="owner/tallrec-bench")
        yield folder / "out"


def test_plain_peft_gives_the_same_scores(exported: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tallrec.prompts.rendering import answer_texts, render

    tokenizer = AutoTokenizer.from_pretrained("models/base")
    model = AutoModelForCausalLM.from_pretrained("models/base", dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(exported)).eval()
    items = files.read_items(paths.prepared_folder("movie") / "items.parquet")
    expected = files.read_scores("predictions", CELL)
    other = files.read_scores("predictions", Cell("tuned", "rt-movie", "movie", "movie", 4, 0))
    assert expected is not None
    samples = files.read_samples(paths.test_file("movie"))
    assert len(samples) == len(expected) == 40
    for sample in samples:
        prompt = render("released", sample, items, stray_comment=True)
        yes, no = (tokenizer(prompt + answer_texts("released")[a])["input_ids"] for a in (True, False))
        n = next(place for place, (a, b) in enumerate(zip(yes, no, strict=False)) if a != b)
        with torch.inference_mode():
            found = model(torch.tensor([yes[:n]])).logits[0, -1].double().softmax(-1)[[yes[n], no[n]]].softmax(-1)
        assert float(found[0]) == pytest.approx(expected[sample.sample_id], abs=1e-6)
    assert other != expected  # of the other seed


def test_the_card_has_the_numbers_of_the_results(exported: Path) -> None:
    from huggingface_hub import ModelCard

    card: Any = ModelCard((exported / "README.md").read_text())
    rows = {row.cell: row for row in read_rows(Path("results/metrics.csv"))}
    row = rows[CELL]
    assert row.auc is not None
    (found,) = [r for r in card.data.eval_results if (r.metric_type, r.dataset_name[-5:]) == ("roc_auc", "movie")]
    assert found.metric_value == pytest.approx(row.auc)
    assert f"[{100 * (row.auc_low or 0):.1f}, {100 * (row.auc_high or 0):.1f}]" in found.metric_name
    assert card.data.base_model is None  # the pipeline made it
    assert card.data.to_dict()["library_name"] == "peft"
    (line,) = [
        line for line in card.text.splitlines() if "| the generated world of the pipeline, domain movie |" in line
    ]
    rule = rows[Cell("control", "liked_share", "movie", "movie", 0, 0)].auc or 0
    shown = [part.strip() for part in line.strip("|").split("|")]
    assert shown[1:4] == ["40", str(row.n_users), f"{100 * row.auc:.1f}"]
    assert shown[-1] == f"`liked_share` {100 * rule:.1f}"
    record = json.loads(run_file(CELL, "runs/tune").read_text())
    chosen = f"the checkpoint of update {record['best_step']} chosen on 10 validation rows"
    assert f"{record['n_steps']} updates, {chosen}" in card.text
    assert "None" not in card.text  # the folder is no repository
    is_below = row.auc < rule
    assert f"It lies {'below' if is_below else 'not below'} `liked_share`" in card.text
    assert ("No validation of its tuning was better than chance" in card.text) is record["is_at_chance"]
    assert "numbers say nothing about real users" in card.text
    assert "4 rows, of 2 that the benchmark means" in card.text


def test_the_card_passes_on_no_row_of_the_data_and_no_path(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    items = files.read_items(paths.prepared_folder("movie") / "items.parquet")
    assert not [item.text for item in items.values() if item.text in text]
    assert "First (1990)" in text
    assert str(exported.parent) not in text + (exported / "adapter_config.json").read_text()
    written = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()}
    assert written == {
        *("README.md", "adapter_config.json", "adapter_model.safetensors", ".eval_results/tallrec-bench.yaml")
    }


def test_results_are_entries_of_the_hubs_form(exported: Path) -> None:
    from huggingface_hub import parse_eval_result_entries

    content = YAML(typ="safe").load((exported / ".eval_results/tallrec-bench.yaml").read_text())
    entries = parse_eval_result_entries(content)
    rows = {row.cell: row for row in read_rows(Path("results/metrics.csv"))}
    assert [entry.task_id for entry in entries] == ["movie", "movie-extended"]
    assert {entry.dataset_id for entry in entries} == {"owner/tallrec-bench"}
    assert entries[0].value == pytest.approx(100 * (rows[CELL].auc or 0), abs=0.005)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(entries[0].date))


@pytest.mark.parametrize(
    ("variant", "n_shots", "seed", "problem"),
    [
        ("rt-moive", 4, 0, "variant: 'rt-moive' is not one of rt-movie, did you mean 'rt-movie'?"),
        ("rt-movie", 16, 0, "--n-shots: '16' is not one of 4"),
        ("rt-movie", 4, 7, "--seed: '7' is not one of 0, 1"),
    ],
)
def test_what_the_grid_has_not_is_one_line(
    exported: Path, variant: str, n_shots: int, seed: int, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.methods.configuration.load_config", lambda _: PARAMS)
    arguments = ["export", "adapter", variant, "--n-shots", str(n_shots), "--seed", str(seed), "--out", "other"]
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert problem in done.stderr
    assert not exported.with_name("other").exists()


def test_the_command_that_would_upload_is_printed_and_nothing_more(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.methods.configuration.load_config", lambda _: PARAMS)
    done = CliRunner().invoke(app, ["export", "adapter", "rt-movie", "--n-shots", "4", "--out", "again"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "hf upload OWNER/again again\n"
    assert not (exported.with_name("again") / ".eval_results").exists()  # no data set of the Hub is this benchmark


def test_a_base_model_of_the_hub_is_named_at_its_commit(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = files.read_json(paths.BASE_MODEL / "origin.json") | {"model": "owner/base", "revision": "0" * 40}
    real = files.read_json
    monkeypatch.setattr(
        "benchmark.artifacts.files.read_json", lambda path: origin if path.name == "origin.json" else real(path)
    )
    llm = PARAMS.llm.model_copy(update={"model": "owner/base", "revision": "0" * 40})
    export_adapter("rt-movie", 4, 1, Path("hub"), PARAMS.model_copy(update={"llm": llm}))
    config = real(Path("hub/adapter_config.json"))
    assert (config["base_model_name_or_path"], config["revision"]) == ("owner/base", "0" * 40)
    card = Path("hub/README.md").read_text()
    assert "base_model: owner/base" in card
    assert f"at commit `{'0' * 40}`" in card
    assert "It is not the model of the paper" in card
    assert f'from_pretrained("owner/base", revision="{"0" * 40}")' in card
    assert exported.exists()


def test_a_cell_that_was_not_evaluated_is_one_line(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exported.exists()
    monkeypatch.setattr("benchmark.report.cards.adapter.read_rows", lambda _: [])
    with pytest.raises(MissingArtifactError, match="no result of rt-movie movie-movie k4 seed1; `dvc repro evaluate`"):
        export_adapter("rt-movie", 4, 1, Path("other"), PARAMS)
