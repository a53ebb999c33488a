from pathlib import Path

import pytest

from benchmark.config.baselines import BaselineParams, TextEncoderParams, TrainingParams
from benchmark.errors import ConfigError
from benchmark.methods.baseline_values import KEYWORD_TYPES
from benchmark.methods.baselines import (
    BASELINES_FOLDER,
    baseline_keywords,
    baseline_rows,
    reads_text,
    train_baseline,
)
from benchmark.schema import FewShotTask

TRAINING = TrainingParams(
    learning_rate=0.5,
    weight_decay=0.25,
    weight_decay_grid=(),
    batch_size=2,
    n_updates=3,
    eval_every=4,
    history_length=5,
    item_size=15,
    n_threads=1,
)


def test_keywords_are_those_after_the_star() -> None:
    assert baseline_keywords("gru4rec") == {"hidden_size": "int", "n_layers": "int"}


def test_a_missing_file_names_the_key_and_the_file() -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.gru5rec: there is no file baselines/gru5rec\.py"):
        baseline_keywords("gru5rec")


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.training: .* no function `model`"):
        baseline_keywords("training")


def test_every_file_of_a_model_takes_keywords_with_types() -> None:
    folder = Path(BASELINES_FOLDER)
    models = [path.stem for path in folder.glob("*.py") if "\ndef model(" in path.read_text()]
    assert {*models} >= {"caser", "dros", "dros_bert", "gru4rec", "gru_bert", "sasrec"}
    for name in models:
        assert set(baseline_keywords(name).values()) <= {*KEYWORD_TYPES}
        assert baseline_keywords(name) or name == "mf"  # which has nothing to set


def baselines(**changes: object) -> BaselineParams:
    values = {
        "heads": ("per_item",),
        "last_update": False,
        "training": TRAINING,
        "n_updates": {},
        "text_encoder": TextEncoderParams(model=None, revision=None, max_length=8, batch_size=8, n_threads=1),
        "models": {"gru4rec": {"hidden_size": 8, "n_layers": 1}},
    }
    return BaselineParams.model_validate(values | changes)


def test_a_row_is_named_after_its_head_or_its_search() -> None:
    search = TRAINING.model_copy(update={"weight_decay_grid": (0.1,)})
    params = baselines(heads=("per_item", "tied", "shared"), training=search)
    assert baseline_rows("gru4rec", params) == [*("gru4rec", "gru4rec-tied", "gru4rec-shared", "gru4rec-searched")]
    assert baseline_rows("gru4rec", baselines()) == ["gru4rec"]
    assert baseline_rows("gru4rec", baselines(heads=("shared",), training=search)) == ["gru4rec-shared"]


def test_every_head_may_have_a_row_that_no_validation_row_chose(toy_task: FewShotTask) -> None:
    search = TRAINING.model_copy(update={"weight_decay_grid": (0.1,)})
    params = baselines(heads=("per_item", "shared"), training=search, last_update=True)
    names = ["gru4rec", "gru4rec-shared", "gru4rec-searched", "gru4rec-last", "gru4rec-shared-last"]
    assert baseline_rows("gru4rec", params) == names
    assert sorted(train_baseline("gru4rec", params, [toy_task])) == sorted(names)


def test_a_model_with_a_robust_term_has_the_released_head_alone() -> None:
    params = baselines(heads=("per_item", "tied", "shared"))
    assert baseline_rows("dros", params) == ["dros"]
    assert baseline_rows("dros_bert", params) == ["dros_bert"]


def test_two_models_read_text() -> None:
    names = ("gru4rec", "caser", "sasrec", "dros", "gru_bert", "dros_bert")
    assert [name for name in names if reads_text(name)] == ["gru_bert", "dros_bert"]


def test_what_is_trained_are_the_rows(toy_task: FewShotTask) -> None:
    search = TRAINING.model_copy(update={"weight_decay_grid": (0.1,)})
    params = baselines(heads=("shared", "per_item"), training=search)
    found = train_baseline("gru4rec", params, [toy_task])
    assert sorted(found) == sorted(baseline_rows("gru4rec", params))
    decays = {row: predictions[0][0].details["weight_decay"] for row, predictions in found.items()}
    assert decays == pytest.approx({"gru4rec": 0.25, "gru4rec-shared": 0.25, "gru4rec-searched": 0.1})


def test_a_domain_may_have_its_own_number_of_updates(toy_task: FewShotTask) -> None:
    params = baselines(n_updates={"gru4rec": {"book": 2}})
    done = {
        domain: train_baseline("gru4rec", params, [toy_task], domain=domain)["gru4rec"][0][0].details
        for domain in ("movie", "book")
    }
    assert {domain: details["n_updates"] for domain, details in done.items()} == {"movie": 3, "book": 2}


def test_a_baseline_without_a_section_is_refused(toy_task: FewShotTask) -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.gru4rec: missing"):
        train_baseline("gru4rec", baselines(models={}), [toy_task])
