"""Base models on disk: what is refused, what comes back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from benchmark.errors import DataError, MissingArtifactError
from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.models.architecture import config_of, random_model
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import file_digests, write_origin
from tallrec.scoring.logits import last_logits

FULL = Loading(dtype="float32", quantization="none", n_threads=1)
PROMPTS = [[0, 5, 6, 7], [0, 8], [0, 9, 10, 11, 12, 13]]


def test_a_base_model_comes_back(saved_base: Path, new_tiny_model: Callable[..., LlamaForCausalLM]) -> None:
    model, tokenizer = load_base(saved_base, FULL)
    assert not model.training
    assert tokenizer.eos_token == "</s>"
    assert torch.equal(last_logits(model, PROMPTS, 100), last_logits(new_tiny_model(64), PROMPTS, 100))


def test_a_reference_to_another_folder_is_followed(saved_base: Path, tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    write_origin(tmp_path / "reference", str(saved_base), None, file_digests(saved_base))
    model, _ = load_base(tmp_path / "reference", FULL)
    assert model.config.hidden_size == 64


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja"])
def test_a_model_whose_folder_has_changed_is_refused(saved_base: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "reference").mkdir()
    write_origin(tmp_path / "reference", str(saved_base), None, file_digests(saved_base))
    with (saved_base / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(
        DataError,
        match=rf"^llm\.model: .*{name}: not as stage `base` has read it; `dvc repro -f -s tallrec/dvc\.yaml:base`",
    ):
        load_base(tmp_path / "reference", FULL)


def test_a_folder_without_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MissingArtifactError, match=r"origin\.json: not there; `dvc repro tallrec/dvc\.yaml:base` makes it"
    ):
        load_base(tmp_path, FULL)


def test_weights_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_origin(tmp_path, str(tmp_path / "empty"), None, {})
    with pytest.raises(DataError, match=r"^llm\.model: cannot load '.*empty'") as caught:
        load_base(tmp_path, FULL)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(saved_base: Path) -> None:
    torch.save(load_file(saved_base / "model.safetensors"), saved_base / "pytorch_model.bin")
    (saved_base / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"^llm\.model: cannot load"):
        load_base(saved_base, FULL)


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantized_models_score_and_take_an_adapter(
    saved_base: Path, fresh_start: Path, lora: Lora, quantization: str
) -> None:
    model, _ = load_base(saved_base, Loading("float32", quantization, n_threads=1))
    kinds = {type(module).__name__ for module in model.modules()}
    assert kinds & {"Linear8bitLt", "Linear4bit"}
    assert torch.isfinite(last_logits(model, PROMPTS, 100)).all()
    adapted = trainable_adapter(model, fresh_start, lora, seed=0)
    assert torch.isfinite(last_logits(adapted, PROMPTS, 100)).all()


@pytest.mark.parametrize("weights", ["stored", "random"])
def test_a_4bit_model_is_never_packed_anew_for_a_processor(
    saved_base: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    def pack(*_: object, **__: object) -> None:
        raise AssertionError("from here on the model would give other logits than before")

    # As on a processor with AVX512-BF16, whichever one this test runs on.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    monkeypatch.setattr("bitsandbytes.nn.modules._convert_weight_packed_for_cpu", pack)
    loading = Loading("float32", "4bit", 1)
    if weights == "stored":
        model, _ = load_base(saved_base, loading)
    else:
        model = random_model(config_of(str(saved_base)), loading, seed=0, device="cpu")
    first = last_logits(model, PROMPTS, 100)
    assert torch.equal(last_logits(model, PROMPTS, 100), first)


def test_a_4bit_model_scores_an_adapter_alone_as_after_another(
    saved_base: Path, lora: Lora, fresh_start: Path, tmp_path: Path
) -> None:
    loading = Loading("float32", "4bit", 1)
    for number in (0, 1):
        adapted = trainable_adapter(load_base(saved_base, loading)[0], fresh_start, lora, seed=number)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.1 + number)
        save_adapter(adapted, tmp_path / f"adapter{number}")

    def scored(*numbers: int) -> list[torch.Tensor]:
        model, _ = load_base(saved_base, loading)
        found: list[torch.Tensor] = []
        for number in numbers:
            adapted = load_adapter(model, tmp_path / f"adapter{number}")
            found.append(last_logits(adapted, PROMPTS, 100))
            model = adapted.unload()
        return found

    first, second = scored(0, 1)
    assert torch.equal(second, scored(1)[0])
    assert not torch.equal(first, second)
