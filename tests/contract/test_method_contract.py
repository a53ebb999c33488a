"""What every method keeps to, whatever it is. A new method is one more entry of `CASES`."""

import functools
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import benchmark
from benchmark.config.baselines import BaselineParams, TextEncoderParams, TrainingParams
from benchmark.config.reading import read_yaml
from benchmark.methods import language_models
from benchmark.methods.baselines import train_baseline
from benchmark.methods.controls import CONTROLS
from benchmark.schema import FewShotTask, Interaction, Item, Method, Prediction, Sample, check_predictions

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from tallrec.scoring.samples import Scoring

ROOT = Path(__file__).parents[2]

# Steps twenty times as large as the released ones: the toy task is to be learned, not to be left near chance.
TRAINING = TrainingParams(
    learning_rate=0.02,
    weight_decay=0.001,
    weight_decay_grid=(),
    batch_size=256,
    n_updates=20,
    eval_every=5,
    history_length=10,
    item_size=15,
    n_threads=1,
)
GRU = {"hidden_size": 16, "n_layers": 2}
ROBUST = {"alpha": 0.4, "beta": 1.0, "gamma": 0.5}
BASELINES: Mapping[str, Mapping[str, Any]] = {
    "gru4rec": GRU,
    "caser": {"heights": (2, 3), "n_filters": 8, "dropout": 0.1},
    "sasrec": {"n_heads": 4, "dropout": 0.1},
    "dros": {**GRU, **ROBUST},
    "mf": {},
    "gru_bert": GRU,
    "dros_bert": {**GRU, **ROBUST},
}
ROWS = (*BASELINES, "gru4rec-tied", "gru4rec-shared", "gru4rec-searched")
"""Every model with the released head, and one with everything else that gives a row."""
ITEM_NAMES = [*(f"{kind}-{n}" for kind in ("good", "bad") for n in range(10)), "a-new-item", "unseen"]
TEXTS = {name: np.random.default_rng(n).normal(size=8).astype(np.float32) for n, name in enumerate(ITEM_NAMES)}
"""Stand for the vectors of a text encoder, which `tests/unit/baselines/test_text_encoder.py` runs."""


@dataclass(frozen=True)
class ContractCase:
    """A method and what it promises."""

    name: str
    build: Callable[[], Method]
    learns: bool
    """From training labels: it has to fit separable rows and follow flipped labels; others ignore them."""
    is_random: bool
    """Hashes sample_id, the stated exception to the rule that names don't matter."""
    tolerance: float
    """Absolute, for company and order; 0 is bit for bit. Matrix products round differently with the batch."""
    shows_labels: bool = False
    """Puts training labels into its input without learning from them: it promises no direction."""
    takes_updates: bool = False
    """Learns by gradient steps, and has to report how many."""

    def __str__(self) -> str:
        return self.name


LABEL_READERS = {"item_mean", "item_mean_liked_share", "item_bias", "user_item_bias"}
"""Controls that read training labels; `item_popularity` reads the training rows without them."""


@functools.cache
def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    from tallrec.prompts.rendering import templates
    from tallrec.tiny.tokenizer import train_tokenizer

    titles = [f'"{quality}-{number}"' for quality in ("Good", "Bad") for number in range(10)]
    return train_tokenizer([*templates(["movie"]), *titles * 3], 500)


def tiny_model() -> "LlamaForCausalLM":
    """A random LLaMA; its matrices are five times as large as usual, or every prompt would get the same logits."""
    import torch

    from tallrec.tiny.pretraining import new_model
    from tallrec.tiny.shape import TinyModel

    torch.set_num_threads(1)
    model = new_model(tiny_tokenizer(), TinyModel(500, 32, 64, n_layers=2, n_heads=2, max_positions=2048), seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(5)
    return model.eval()


def scoring() -> "Scoring":
    """By logits: an untuned model gives both answers so little probability that the released scores hardly differ."""
    from tallrec.scoring.samples import Scoring

    return Scoring("released", stray_comment=True, rule="logit_difference", max_length=512, batch_tokens=2048)


def in_context(task: FewShotTask) -> Sequence[Prediction]:
    """The untuned model; the training rows are shown in the prompt."""
    return language_models.scoring_method(tiny_model(), tiny_tokenizer(), scoring())(task)


def zero_shot(task: FewShotTask) -> Sequence[Prediction]:
    """The untuned model, which sees no training row."""
    return in_context(replace(task, train=()))


def with_demonstrations(task: FewShotTask) -> Sequence[Prediction]:
    """The untuned model with four training rows in the prompt."""
    return in_context(replace(task, train=task.train[:4]))


ADAPTERS: "dict[tuple[object, ...], PeftModel]" = {}
"""By what stage `tune` sees, which is all but the test samples: an adapter serves every check of the same rows."""


def tuned(task: FewShotTask) -> Sequence[Prediction]:
    """New LoRA weights, tuned on the task; as in the stages, what is scored sees no training row."""
    key = (task.train, task.valid, task.seed)
    if key not in ADAPTERS:
        ADAPTERS[key] = tuned_adapter(replace(task, test=()))
    return language_models.scoring_method(ADAPTERS[key], tiny_tokenizer(), scoring())(replace(task, train=()))


def tuned_adapter(task: FewShotTask) -> "PeftModel":
    from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
    from tallrec.training.schedule import Schedule
    from tallrec.training.tuning import rec_tune

    lora = Lora(8, 16, 0.0, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
    schedule = Schedule(
        n_updates=40,
        batch_size=16,
        micro_batch_size=16,
        learning_rate=0.01,
        warmup_updates=0,
        seed=task.seed,
        eval_every=10,
        patience=4,
        keep_best=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        start, scratch = Path(folder) / "start", Path(folder) / "scratch"
        write_fresh_start(start)
        adapted = trainable_adapter(tiny_model(), start, lora, seed=task.seed)
        rec_tune(adapted, tiny_tokenizer(), task, schedule, scoring(), scratch, loss="answer", max_valid_samples=None)
    return adapted


LANGUAGE_MODELS: Mapping[str, Method] = {
    "icl-zero-shot": zero_shot,
    "icl-demonstrations": with_demonstrations,
    "tuned": tuned,
}
"""How each family of language models is put together by its stages."""


def one_task_at_a_time(row: str) -> Method:
    """The row of a baseline, trained anew for each task that it is asked about."""
    model = row.split("-", maxsplit=1)[0]
    return lambda task: train_baseline(model, baseline_params(row), [task], texts=TEXTS)[row][0]


CASES = [
    *(
        ContractCase(name, lambda control=control: control.predict, name in LABEL_READERS, control.is_random, 0.0)
        for name, control in CONTROLS.items()
    ),
    *(
        ContractCase(
            name,
            lambda name=name: one_task_at_a_time(name),
            learns=True,
            is_random=False,
            tolerance=1e-6,
            takes_updates=True,
        )
        for name in ROWS
    ),
    *(
        ContractCase(
            name,
            lambda method=method: method,
            learns=name == "tuned",
            is_random=False,
            # float32 through two layers, in batches of other shapes; scores differ by hundredths and more.
            tolerance=1e-4,
            shows_labels=name == "icl-demonstrations",
        )
        for name, method in LANGUAGE_MODELS.items()
    ),
]


def baseline_params(row: str) -> BaselineParams:
    """What gives the row, and no more."""
    model, _, kind = row.partition("-")
    grid = (0.0001, 0.01) if kind == "searched" else ()
    return BaselineParams(
        heads=(kind if kind in ("tied", "shared") else "per_item",),
        last_update=False,
        training=TRAINING.model_copy(update={"weight_decay_grid": grid}),
        n_updates={},
        text_encoder=TextEncoderParams(model=None, revision=None, max_length=8, batch_size=8, n_threads=1),
        models={model: dict(BASELINES[model])},
    )


PREDICTIONS: dict[tuple[str, str], Sequence[Prediction]] = {}
"""By the name of the case and the task as it is written out: several checks look at the same predictions."""


def predictions_of(case: ContractCase, task: FewShotTask) -> Sequence[Prediction]:
    key = (case.name, repr(task))
    if key not in PREDICTIONS:
        predictions = case.build()(task)
        check_predictions(predictions, task)
        PREDICTIONS[key] = predictions
    return PREDICTIONS[key]


def scores_of(case: ContractCase, task: FewShotTask) -> dict[str, float]:
    return {prediction.sample_id: prediction.score for prediction in predictions_of(case, task)}


def targets_auc(task: FewShotTask, scores: Mapping[str, float]) -> float:
    """AUC against what the toy world holds: good items are liked."""
    liked = [sample.target_item_id.startswith("good") for sample in task.test]
    return float(roc_auc_score(liked, [scores[sample.sample_id] for sample in task.test]))


every_case = pytest.mark.parametrize("case", CASES, ids=str)
learning_case = pytest.mark.parametrize("case", [case for case in CASES if case.learns], ids=str)
other_case = pytest.mark.parametrize(
    "case", [case for case in CASES if not (case.learns or case.shows_labels)], ids=str
)


def test_every_registered_method_has_a_case() -> None:
    names = [case.name for case in CASES]
    registered = [*CONTROLS, *read_yaml(ROOT / "params.yaml")["baselines"]["models"], *LANGUAGE_MODELS]
    assert sorted(set(names) - {"gru4rec-tied", "gru4rec-shared", "gru4rec-searched"}) == sorted(registered)
    assert len(names) == len(set(names))
    assert {case.name for case in CASES if case.is_random} == {"random"}
    assert {case.name for case in CASES if case.learns} == {*LABEL_READERS, *ROWS, "tuned"}


@every_case
def test_each_test_sample_gets_one_finite_score(case: ContractCase, toy_task: FewShotTask) -> None:
    assert scores_of(case, toy_task).keys() == {sample.sample_id for sample in toy_task.test}


@every_case
def test_the_same_seed_gives_the_same_scores_bit_for_bit(case: ContractCase, toy_task: FewShotTask) -> None:
    first = scores_of(case, toy_task)
    ADAPTERS.clear()
    del PREDICTIONS[case.name, repr(toy_task)]
    assert scores_of(case, toy_task) == first


@every_case
def test_the_order_of_the_test_samples_changes_no_score(case: ContractCase, toy_task: FewShotTask) -> None:
    backwards = scores_of(case, replace(toy_task, test=toy_task.test[::-1]))
    assert backwards == pytest.approx(scores_of(case, toy_task), abs=case.tolerance, rel=0)


@every_case
def test_a_sample_alone_gets_the_score_it_gets_in_company(case: ContractCase, toy_task: FewShotTask) -> None:
    # Company brings an item that nobody else knows, and that comes first by name.
    newcomer = Sample("newcomer", "user-0", (Interaction("a-new-item", True),), "a-new-item")
    new_item = Item("a-new-item", "movie", "A New Item", '"A New Item"')
    items = {**toy_task.items, "a-new-item": new_item}
    together = scores_of(case, replace(toy_task, test=(newcomer, *toy_task.test), items=items))
    for sample in toy_task.test[1:5:3]:
        alone = scores_of(case, replace(toy_task, test=(sample,)))
        expected = {sample.sample_id: together[sample.sample_id]}
        assert alone == pytest.approx(expected, abs=case.tolerance, rel=0)


@every_case
def test_the_name_of_a_sample_changes_no_score(case: ContractCase, toy_task: FewShotTask) -> None:
    renamed = tuple(replace(sample, sample_id=f"z{n}") for n, sample in enumerate(toy_task.test))
    before = list(scores_of(case, toy_task).values())
    after = list(scores_of(case, replace(toy_task, test=renamed)).values())
    if case.is_random:
        assert after != before
    else:
        assert after == before


@learning_case
def test_a_learning_method_fits_separable_training_rows(case: ContractCase, toy_task: FewShotTask) -> None:
    seen = replace(toy_task, test=tuple(row.sample for row in toy_task.train))
    assert len(seen.test) == 16
    assert targets_auc(seen, scores_of(case, seen)) > 0.95


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_updates], ids=str)
def test_a_trained_method_reports_its_updates(case: ContractCase, toy_task: FewShotTask) -> None:
    for prediction in predictions_of(case, toy_task):
        assert prediction.details["n_updates"] == TRAINING.n_updates
        assert 0 < prediction.details["best_update"] <= TRAINING.n_updates


@learning_case
def test_flipped_training_labels_turn_the_ranking(
    case: ContractCase, toy_task: FewShotTask, flipped: Callable[[FewShotTask], FewShotTask]
) -> None:
    assert targets_auc(toy_task, scores_of(case, toy_task)) > 0.9
    assert targets_auc(toy_task, scores_of(case, flipped(toy_task))) < 0.1


@other_case
def test_a_method_that_does_not_learn_ignores_training_labels(
    case: ContractCase, toy_task: FewShotTask, flipped: Callable[[FewShotTask], FewShotTask]
) -> None:
    assert scores_of(case, flipped(toy_task)) == scores_of(case, toy_task)


@pytest.mark.parametrize("case", [case for case in CASES if case.shows_labels], ids=str)
def test_labels_that_are_shown_change_the_scores(
    case: ContractCase, toy_task: FewShotTask, flipped: Callable[[FewShotTask], FewShotTask]
) -> None:
    before, after = scores_of(case, toy_task), scores_of(case, flipped(toy_task))
    assert max(abs(before[name] - after[name]) for name in before) > 10 * case.tolerance


@every_case
def test_unusual_samples_get_a_score(case: ContractCase, toy_task: FewShotTask) -> None:
    long_title = "A very long title " * 200
    unseen = Item("unseen", "movie", long_title, f'"{long_title}"')
    history = toy_task.test[0].history
    unusual = (
        Sample("empty-history", "user-0", (), "good-0"),
        Sample("unseen-target", "user-0", history, "unseen"),
        Sample("unseen-in-history", "user-0", (Interaction("unseen", True),), "good-0"),
        Sample("unseen-user-with-a-long-history", "nobody", history * 20, "good-0"),
    )
    task = replace(toy_task, test=unusual, items={**toy_task.items, "unseen": unseen})
    assert len(scores_of(case, task)) == 4


def test_importing_the_harness_imports_no_deep_learning() -> None:
    modules = [module.name for module in pkgutil.walk_packages(benchmark.__path__, "benchmark.")]
    stages = {"benchmark.stages.controls", "benchmark.stages.baselines", "benchmark.stages.evaluate"}
    assert stages < set(modules)
    imports = "; ".join(f"import {module}" for module in modules)
    found = "print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {imports}; {found}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
