from functools import partial
from pathlib import Path

import pytest

from benchmark import methods
from benchmark.controls import CONTROLS
from benchmark.errors import ConfigError
from benchmark.params import BaselineParams, TrainingParams

TRAINING = TrainingParams(
    learning_rate=0.5,
    weight_decay=0.25,
    batch_size=2,
    n_updates=3,
    eval_every=4,
    history_length=5,
    n_threads=1,
)


def test_a_control_is_built_by_name() -> None:
    assert methods.build_control("liked_share") is CONTROLS["liked_share"].predict


def test_an_unknown_control_names_the_key_and_the_choice() -> None:
    with pytest.raises(ConfigError, match=r"grid\.controls: unknown name 'liked'.*liked_share"):
        methods.build_control("liked")


def test_keywords_are_those_after_the_star() -> None:
    assert methods.baseline_keywords("gru4rec") == {"hidden_size": "int", "n_layers": "int"}


def test_a_missing_file_names_the_key_and_the_file() -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.gru5rec: there is no file baselines/gru5rec\.py"):
        methods.baseline_keywords("gru5rec")


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.training: .* no function `predict`"):
        methods.baseline_keywords("training")


def test_every_file_of_a_model_takes_keywords_with_types() -> None:
    folder = Path(methods.BASELINES_FOLDER)
    models = [path.stem for path in folder.glob("*.py") if "\ndef predict(" in path.read_text()]
    assert "gru4rec" in models
    for name in models:
        assert set(methods.baseline_keywords(name).values()) <= {"int", "float", "bool", "str"}
        assert methods.baseline_keywords(name)


def test_a_baseline_gets_its_values_from_the_configuration() -> None:
    params = BaselineParams(training=TRAINING, models={"gru4rec": {"hidden_size": 8, "n_layers": 1}})
    method = methods.build_baseline("gru4rec", params)
    assert isinstance(method, partial)
    assert {name: method.keywords[name] for name in ("hidden_size", "n_layers")} == {
        "hidden_size": 8,
        "n_layers": 1,
    }
    training = method.keywords["training"]
    assert {name: getattr(training, name) for name in TrainingParams.model_fields} == TRAINING.model_dump()


def test_a_baseline_without_a_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"baselines\.models\.gru4rec: missing"):
        methods.build_baseline("gru4rec", BaselineParams(training=TRAINING, models={}))
