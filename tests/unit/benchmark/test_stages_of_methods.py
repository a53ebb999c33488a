"""Stages `controls` and `baselines`, and the loop over cells they share, on the toy domain."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import files
from benchmark.controls import CONTROLS
from benchmark.errors import SchemaError
from benchmark.grid import baseline_cells, control_cells
from benchmark.params import BaselineParams, FidelityParams, GridParams, Params, TrainingParams
from benchmark.provenance import run_file
from benchmark.running import run_cells
from benchmark.schema import Cell, FewShotTask, Prediction
from benchmark.stages import baselines, controls

PARAMS = Params.model_construct(
    grid=GridParams.model_construct(n_shots=(4, 8), seeds=(0, 1), controls=tuple(CONTROLS)),
    fidelity=FidelityParams.model_construct(draw="shared"),
    baselines=BaselineParams(
        training=TrainingParams(
            learning_rate=0.01,
            weight_decay=0.0,
            batch_size=256,
            n_updates=6,
            eval_every=3,
            history_length=10,
            n_threads=1,
        ),
        models={"gru4rec": {"hidden_size": 8, "n_layers": 1}},
    ),
)
"""The sections that the two stages read."""


@pytest.fixture
def domain(repository: Path, write_domain: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> str:
    """The toy domain in the place of `movie`."""
    for stage in (baselines, controls):
        monkeypatch.setattr(stage, "load_config", lambda: PARAMS)
    write_domain("movie")
    return "movie"


def predicted() -> int:
    return len(list(Path("predictions").rglob("scores.parquet")))


def test_stage_controls_writes_every_cell_of_the_grid(domain: str, toy_task: FewShotTask) -> None:
    assert controls.main(["--domain", domain]) == 0
    cells = list(control_cells(PARAMS, domain, len(toy_task.train)))
    assert len(cells) == predicted() == 3 * (2 * 2 + 1) + 2 + 2
    for cell in cells:
        scores = files.read_scores("predictions", cell)
        assert scores is not None
        assert scores.keys() == {sample.sample_id for sample in toy_task.test}
        assert json.loads(run_file(cell).read_text())["n_train"] == cell.n_shots


def test_the_full_training_set_is_not_a_draw(domain: str, toy_task: FewShotTask) -> None:
    controls.main(["--domain", domain])
    cell = Cell("control", "item_mean", domain, domain, len(toy_task.train), 0)
    expected = {p.sample_id: p.score for p in CONTROLS["item_mean"].predict(toy_task)}
    assert files.read_scores("predictions", cell) == expected


def test_stage_baselines_writes_every_cell_and_tells_of_the_training(
    domain: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert baselines.main(["--baseline", "gru4rec", "--domain", domain]) == 0
    cells = list(baseline_cells(PARAMS, "gru4rec", domain))
    assert len(cells) == predicted() == 4
    record = json.loads(run_file(cells[0]).read_text())
    assert (record["n_train"], record["n_valid"], record["n_test"], record["n_updates"]) == (4, 8, 8, 6)
    assert record["settings"]["model"] == PARAMS.baselines.models["gru4rec"]
    assert caplog.messages[-1].startswith("gru4rec movie-movie k8 seed1: 8 samples scored (4 of 4 cells")


def test_a_baseline_that_is_not_there_ends_with_one_line(domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert baselines.main(["--baseline", "gru5rec", "--domain", domain]) == 2
    assert capsys.readouterr().err == "error: baselines.models.gru5rec: missing\n"
    assert not Path("predictions").exists()


def test_a_domain_that_is_not_prepared_ends_with_one_line(domain: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert controls.main(["--domain", "book"]) == 2
    assert "data/prepared/book/train.parquet: not there" in capsys.readouterr().err


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
