from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from tallrec.tiny.pretraining import new_model, pretrain
from tallrec.tiny.shape import TinyModel
from tallrec.tiny.tokenizer import train_tokenizer
from tallrec.training.schedule import Schedule

SHAPE = TinyModel(500, hidden_size=16, intermediate_size=32, n_layers=1, n_heads=2, max_positions=128)
TEXTS = ["The movie is good.", "The book is bad."] * 20


def test_weights_depend_on_the_seed_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    one, same, other = (new_model(tokenizer, SHAPE, seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pretraining_learns_to_continue_the_texts(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(TEXTS, 400)
    schedule = Schedule(60, 8, 8, learning_rate=0.02, warmup_updates=3, seed=0)
    model = pretrain(tokenizer, TEXTS, SHAPE, schedule, sequence_length=16, scratch=tmp_path / "scratch").eval()

    def loss(text: str) -> float:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        return float(model(input_ids=ids, labels=ids).loss.detach())

    assert loss("The movie is good.") < 1.5  # an untrained model is near log(400), which is 6
    assert loss("good is movie The.") > 3
