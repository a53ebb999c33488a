"""The toy domain: 12 users, 20 items, and labels that follow from the target alone; and a tiny random LLaMA.

torch and transformers are imported by the fixtures that need them, so that all other tests start at once.
"""

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from benchmark.artifacts import files, paths
from benchmark.schema import FewShotTask, Interaction, Item, Labelled, Sample

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from tallrec.models.adapters import Lora
    from tallrec.scoring.samples import Scoring

# Else every `dvc` of a test starts one that looks for a newer version, which tells of itself where nothing listens.
os.environ["DVC_TEST"] = "true"

# A busy machine stretches an example; no property is about time.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

N_USERS = 12
GOOD = tuple(f"good-{i}" for i in range(10))
BAD = tuple(f"bad-{i}" for i in range(10))
HISTORIES = ((True, False), (False, True), (True, False, True), (False, True, False))
"""Liked flags, oldest first. The shares of liked items stay near one half, so that no user is lenient."""


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of garbage collections, of which each training asks for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def toy_items() -> dict[str, Item]:
    return {name: Item(name, "movie", name.title(), f'"{name.title()}"') for name in (*GOOD, *BAD)}


@pytest.fixture
def toy_task(toy_items: dict[str, Item]) -> FewShotTask:
    """16 separable training rows of 8 users; 8 validation rows and 8 test samples of 2 users each.

    Good items are liked and bad ones are not, by everybody. Every target of validation and test is a training
    target, so a method that learns one number an item ranks them all.
    """
    train = tuple(_row("train", n, user=n // 2) for n in range(16))
    valid = tuple(_row("valid", n, user=8 + n // 4) for n in range(8))
    test = tuple(_row("test", n, user=10 + n // 4).sample for n in range(8))
    return FewShotTask(train, valid, test, toy_items, seed=7)


@pytest.fixture
def toy_further() -> tuple[Sample, ...]:
    """A further test set: 4 samples of 2 users who are in no split, with histories that the others have not."""
    return tuple(replace(_row("further", n, user=11).sample, user_id=f"further-{n // 2}") for n in range(8, 12))


@pytest.fixture
def flipped() -> Callable[[FewShotTask], FewShotTask]:
    """The same task with every training and validation label the other way round."""

    def flip(rows: tuple[Labelled, ...]) -> tuple[Labelled, ...]:
        return tuple(replace(row, liked=not row.liked) for row in rows)

    return lambda task: replace(task, train=flip(task.train), valid=flip(task.valid))


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    """A byte-level tokenizer that knows the words of the prompts and of the toy titles, so that prompts are short."""
    from tallrec.prompts.rendering import templates
    from tallrec.tiny.tokenizer import train_tokenizer

    titles = [f'"{name.title()}"' for name in (*GOOD, *BAD)]
    return train_tokenizer([*templates(["movie", "book"]), *titles * 3], 500)


@pytest.fixture
def new_tiny_model(tokenizer: "PreTrainedTokenizerFast") -> "Callable[..., LlamaForCausalLM]":
    """Makes a random LLaMA of 2 layers, the same one each time.

    Its matrices are five times as large as the usual ones: left near zero, every prompt would get the same logits.
    """
    import torch

    from tallrec.tiny.pretraining import new_model
    from tallrec.tiny.shape import TinyModel

    def make(hidden_size: int = 16) -> "LlamaForCausalLM":
        torch.set_num_threads(1)
        model = new_model(tokenizer, TinyModel(500, hidden_size, 2 * hidden_size, 2, 2, 2048), seed=0)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter.mul_(5)
        return model.eval()

    return make


@pytest.fixture
def tiny_model(new_tiny_model: "Callable[..., LlamaForCausalLM]") -> "LlamaForCausalLM":
    return new_tiny_model()


@pytest.fixture
def scoring() -> "Scoring":
    from tallrec.scoring.samples import Scoring

    return Scoring(style="released", stray_comment=True, rule="double_softmax", max_length=512, batch_tokens=2048)


@pytest.fixture
def lora() -> "Lora":
    from tallrec.models.adapters import Lora

    return Lora(rank=4, alpha=8, dropout=0.0, target_modules=("q_proj", "v_proj"))


@pytest.fixture
def fresh_start(tmp_path: Path) -> Path:
    """A folder that says: start from new LoRA weights."""
    from tallrec.models.adapters import write_fresh_start

    write_fresh_start(tmp_path / "fresh")
    return tmp_path / "fresh"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as working directory, as stages expect the repository root to be."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write_domain(toy_task: FewShotTask, toy_further: tuple[Sample, ...]) -> Callable[[str], None]:
    """Writes the toy domain as stages `prepare` and `draw` do, with draws of 4 and 8 rows for seeds 0 and 1.

    The conventional side sees the rows of the LLM side the other way round.
    """

    def write(domain: str) -> None:
        prepared, draws = paths.prepared_folder(domain), paths.fewshot_folder(domain)
        for folder in (prepared, draws):
            files.write_items(folder / "items.parquet", toy_task.items)
            files.write_labelled(folder / "valid.parquet", toy_task.valid)
        files.write_labelled(prepared / "train.parquet", toy_task.train)
        files.write_samples(prepared / "test.parquet", toy_task.test)
        files.write_samples(prepared / "extended.parquet", toy_further)
        for n_shots in (4, 8):
            for seed in (0, 1):
                ids = [row.sample.sample_id for row in toy_task.train[seed : seed + n_shots]]
                content = {"domain": domain, "ids": {"llm": ids, "conventional": ids[::-1]}}
                for folder in (paths.draw_folder, paths.demonstrations_folder):
                    files.write_json(folder(domain, n_shots, seed) / "draw.json", content)
                    files.write_labelled(folder(domain, n_shots, seed) / "rows.parquet", toy_task.train)

    return write


def _row(split: str, n: int, user: int) -> Labelled:
    """Row `n` of a split: even rows ask for a good item, odd ones for a bad one; the history holds others."""
    assert user < N_USERS
    liked = n % 2 == 0
    target = (GOOD if liked else BAD)[n // 2]
    flags = HISTORIES[n // 2 % len(HISTORIES)]
    others = [(*GOOD, *BAD)[(3 * n + 7 * step + 1) % 20] for step in range(len(flags))]
    history = tuple(
        Interaction(GOOD[9] if item_id == target else item_id, flag)
        for item_id, flag in zip(others, flags, strict=True)
    )
    return Labelled(Sample(f"toy-{split}-{n}", f"user-{user}", history, target), liked)
