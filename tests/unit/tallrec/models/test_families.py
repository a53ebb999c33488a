"""Every family of causal LMs by `llm.model` alone: tiny random models with tokenizers built as the family builds them.

Each is loaded from a folder, tuned, stored, loaded again and scored. What a family has of its own could be lost on the
way: spaces and line feeds beside an answer, a begin of text or none, no token to pad with, scaled embeddings, windows
shorter than a prompt, capped logits, fused projections.
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GemmaTokenizer,
    GPT2Tokenizer,
    LlamaTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Tokenizer,
)

from benchmark.errors import ConfigError
from benchmark.schema import FewShotTask
from tallrec.models.adapters import Lora, load_adapter, save_adapter, trainable_adapter
from tallrec.models.loading import load_base
from tallrec.models.loading_settings import Loading
from tallrec.models.origin import file_digests, write_origin
from tallrec.prompts.answer_tokens import encode_questions
from tallrec.prompts.chat import question_of
from tallrec.prompts.rendering import style_names, templates
from tallrec.scoring.logits import last_logits
from tallrec.scoring.samples import Scoring, score_samples
from tallrec.tiny.tokenizer import train_tokenizer
from tallrec.training.rows import IGNORED, encode_row
from tallrec.training.schedule import Schedule
from tallrec.training.tuning import rec_tune

N_TOKENS = 600
BYTES = [f"<0x{value:02X}>" for value in range(256)]
LESSONS = [
    *templates(["movie", "book"]),
    *(
        f'"{kind}-{number}"\nAnswer: {answer}'
        for kind in ("Good", "Bad")
        for number in range(10)
        for answer in ("Yes", "No")
    ),
]

Learned = tuple[dict[str, int], Any]
"""Vocabulary and merges."""


def learn(special: Sequence[str], before: Any, *, normalizer: Any = None, alphabet: Sequence[str] = ()) -> Learned:
    """Pairs of bytes or characters; a line feed is never a part of a lesson, so that it is left to the bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = before
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKENS, special_tokens=list(special), initial_alphabet=list(alphabet), show_progress=False
    )
    texts = LESSONS if alphabet else [line for text in LESSONS for line in text.split("\n")]
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    return learned["vocab"], [tuple(merge) for merge in learned["merges"]]


@functools.cache
def of_llama() -> PreTrainedTokenizerBase:
    """Pieces with a space at their front, bytes for the rest, a begin of text, nothing to pad with."""
    vocabulary, merges = learn(["<unk>", "<s>", "</s>", *BYTES], pre_tokenizers.Metaspace())
    return LlamaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)


@functools.cache
def of_gemma() -> PreTrainedTokenizerBase:
    """Pieces too, but a text gets no space in front."""
    vocabulary, merges = learn(
        ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *BYTES],
        pre_tokenizers.Split("▁", "merged_with_next"),
        normalizer=normalizers.Replace(" ", "▁"),
    )
    return GemmaTokenizer(vocab=vocabulary, merges=merges, add_bos_token=True)


@functools.cache
def of_llama3() -> PreTrainedTokenizerBase:
    """Bytes, a begin of text, nothing to pad with."""
    tokenizer = train_tokenizer(LESSONS, N_TOKENS)
    tokenizer.pad_token = None
    return tokenizer


@functools.cache
def of_qwen() -> PreTrainedTokenizerBase:
    """Bytes, no begin of text; a colon and the line feed after it are one token."""
    before = Qwen2Tokenizer().backend_tokenizer.pre_tokenizer
    return Qwen2Tokenizer(*learn(["<|endoftext|>"], before, alphabet=pre_tokenizers.ByteLevel.alphabet()))


@functools.cache
def of_gpt2() -> PreTrainedTokenizerBase:
    """Bytes, no begin of text, nothing to pad with; Phi-1 and Phi-2 have it."""
    before = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return GPT2Tokenizer(*learn(["<|endoftext|>"], before, alphabet=pre_tokenizers.ByteLevel.alphabet()))


@dataclass(frozen=True)
class Family:
    """A tokenizer and an architecture."""

    tokenizer: Callable[[], PreTrainedTokenizerBase]
    model_type: str
    shape: dict[str, Any] = field(default_factory=dict[str, Any])
    target_modules: tuple[str, ...] = ("q_proj", "v_proj")


LLAMA3_ROTATION = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}
FAMILIES = {
    "LLaMA-1": Family(of_llama, "llama"),
    "LLaMA-3": Family(of_llama3, "llama", {"num_key_value_heads": 2, "rope_parameters": LLAMA3_ROTATION}),
    "Mistral": Family(of_llama, "mistral", {"num_key_value_heads": 2, "sliding_window": 16}),
    "Qwen2": Family(of_qwen, "qwen2", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "Qwen3": Family(of_qwen, "qwen3", {"num_key_value_heads": 2, "head_dim": 16}),
    "Gemma": Family(of_gemma, "gemma", {"num_key_value_heads": 1, "head_dim": 16}),
    "Gemma-2": Family(
        of_gemma,
        "gemma2",
        {
            "num_key_value_heads": 2,
            "head_dim": 8,
            "sliding_window": 16,
            "query_pre_attn_scalar": 8,
            "final_logit_softcapping": 3.0,
        },
    ),
    "Gemma-3": Family(of_gemma, "gemma3_text", {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16}),
    "Phi-2": Family(of_gpt2, "phi"),
    "Phi-3": Family(of_llama, "phi3", {"sliding_window": 16}, target_modules=("qkv_proj",)),
    "Phi-4": Family(of_llama3, "phi3", {"num_key_value_heads": 2}, target_modules=("qkv_proj",)),
}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


def new_model(family: Family) -> PreTrainedModel:
    """A random model, the same one each time; its matrices are large enough to tell prompts apart."""
    tokenizer = family.tokenizer()
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family.model_type, **{**shape, **family.shape}))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4)
    return model.eval()


@pytest.fixture
def base(family: Family, tmp_path: Path) -> Path:
    """What stage `base` leaves for a model in a folder: a reference to it."""
    weights, reference = tmp_path / "weights", tmp_path / "base"
    new_model(family).save_pretrained(weights)
    family.tokenizer().save_pretrained(weights)
    reference.mkdir()
    write_origin(reference, str(weights), None, file_digests(weights))
    return reference


def loaded(base: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    return load_base(base, Loading("float32", "none", 1))


def asked(tokenizer: PreTrainedTokenizerBase, style: str, task: FewShotTask) -> list[Any]:
    return [question_of(tokenizer, style, sample, task.items, stray_comment=True) for sample in task.test]


@pytest.mark.parametrize("style", style_names())
def test_the_answer_tokens_are_words_that_follow_the_prompt(base: Path, toy_task: FewShotTask, style: str) -> None:
    _, tokenizer = loaded(base)
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token in ("<s>", "<bos>") else []
    questions = asked(tokenizer, style, toy_task)
    prompts, tokens = encode_questions(tokenizer, questions)
    assert [str(tokenizer.decode([token])).strip() for token in (tokens.yes, tokens.no)] == ["Yes", "No"]
    for question, prompt in zip(questions, prompts, strict=True):
        text = str(tokenizer.decode(prompt, skip_special_tokens=True))
        assert text.strip() == question.text.strip()
        assert [token for token in prompt if token in tokenizer.all_special_ids] == begin


@pytest.mark.parametrize("style", style_names())
def test_the_tokens_trained_on_are_those_scored(base: Path, toy_task: FewShotTask, style: str) -> None:
    _, tokenizer = loaded(base)
    question = asked(tokenizer, style, toy_task)[0]
    (prompt,), tokens = encode_questions(tokenizer, [question])
    for liked, token in ((True, tokens.yes), (False, tokens.no)):
        row = encode_row(
            tokenizer,
            question.text,
            question.answers[liked],
            loss="answer",
            max_length=1024,
            add_special_tokens=question.add_special_tokens,
        )
        assert row["input_ids"][: len(prompt)] == prompt
        learned = [label for label in row["labels"] if label != IGNORED]
        assert learned[0] == token
        assert learned[-1] == tokenizer.eos_token_id
        assert len(row["labels"]) - len(learned) == len(prompt)


def test_a_tuned_model_scores_what_plain_transformers_computes(
    base: Path, family: Family, toy_task: FewShotTask, fresh_start: Path, scoring: Scoring, tmp_path: Path
) -> None:
    # By logits: a random model gives the answers so little probability that the released scores hardly differ.
    by_logits = replace(scoring, rule="logit_difference")

    def scores(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[float]:
        return [p.score for p in score_samples(model, tokenizer, toy_task.test, toy_task.items, by_logits)]

    model, tokenizer = loaded(base)
    untuned = scores(model, tokenizer)
    adapted = trainable_adapter(model, fresh_start, Lora(4, 8, 0.0, family.target_modules), seed=0)
    schedule = Schedule(6, 16, 16, 0.02, 0, 0, eval_every=3, keep_best=True, patience=9)
    tuned = rec_tune(
        adapted, tokenizer, toy_task, schedule, by_logits, tmp_path / "scratch", loss="answer", max_valid_samples=None
    )
    losses = [entry["loss"] for entry in tuned.log if "loss" in entry]
    assert losses[-1] < losses[0]
    before = scores(adapted, tokenizer)
    save_adapter(adapted, tmp_path / "adapter")

    model, tokenizer = loaded(base)
    assert scores(model, tokenizer) == untuned
    restored = load_adapter(model, tmp_path / "adapter")
    assert scores(restored, tokenizer) == before
    assert max(abs(one - other) for one, other in zip(before, untuned, strict=True)) > 0.01

    prompts, _ = encode_questions(tokenizer, asked(tokenizer, "released", toy_task))
    with torch.no_grad():
        expected = torch.stack([restored(input_ids=torch.tensor([ids])).logits[0, -1] for ids in prompts])
    torch.testing.assert_close(last_logits(restored, prompts, 2048), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["Phi-3", "LLaMA-1"])
@pytest.mark.parametrize("wanted", [("q_proj", "k_proj_"), ("qkv_proj", "q_proj")])
def test_layers_that_the_family_does_not_have_are_named(name: str, wanted: tuple[str, ...], fresh_start: Path) -> None:
    model = new_model(FAMILIES[name])
    with pytest.raises(ConfigError, match=r"lora\.target_modules: .* is no layer of .*ForCausalLM; it has "):
        trainable_adapter(model, fresh_start, Lora(4, 8, 0.0, wanted), seed=0)
