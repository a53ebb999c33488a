"""Servers that others wrote, on loopback, with the weights of the tiny model: llama.cpp's, that of transformers, vLLM.

llama.cpp is built when it is installed (`pip install -c constraints.txt -e '.[dev,servers]'`, minutes of two cores),
so that these tests are not among the fast ones: `pytest -m slow tests/servers/test_real_servers.py`. vLLM wants an
environment of its own, whose Python TALLREC_BENCH_VLLM names (`docs/api-models.md`).
"""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ServerError
from benchmark.schema import FewShotTask, Interaction, Prediction, Sample
from tallrec.api.bodies import Reply
from tallrec.api.exact import score_samples_exactly
from tallrec.api.model import ApiModel
from tallrec.api.rules import score_of_text
from tallrec.api.samples import ApiScoring, score_samples_by_api
from tallrec.prompts.rendering import conversation, render
from tallrec.scoring.samples import Scoring, score_samples

pytestmark = pytest.mark.slow

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
TOLERANCE = 5e-6
"""Between logits of two implementations in single precision, llama.cpp's keys and values included (types 0)."""
START_SECONDS = 600.0
"""vLLM takes minutes of a busy core; the others seconds."""
N_PROMPTS = 200
VLLM = "TALLREC_BENCH_VLLM"
OF_VLLM = {
    **{"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"},
    **{"OMP_NUM_THREADS": "1", "VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_CPU_OMP_THREADS_BIND": "0"},
}
N_TEXT_TOKENS = 6


@contextmanager
def running(
    command: list[str], log: Path, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server that listens on a free port, which the command gets as its last arguments; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", *command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    address = f"http://127.0.0.1:{port}/v1"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


def _listens(port: int) -> bool:
    """Both servers load the model before they listen."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_gguf(path: Path, model: Any, tokenizer: Any) -> None:
    """The weights and the tokenizer in llama.cpp's format, in single precision."""
    import gguf
    import numpy as np

    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)

    backend = tokenizer.backend_tokenizer
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([backend.id_to_token(n) for n in range(config.vocab_size)])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if n in special else gguf.TokenType.NORMAL for n in range(config.vocab_size)]
    )
    merges = json.loads(backend.to_str())["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)

    names = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    weights = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        for theirs, ours in names.items():
            weight = weights[f"model.layers.{layer}.{theirs}.weight"]
            if ours in ("attn_q", "attn_k"):
                # transformers rotates the two halves of a head, llama.cpp each pair of neighbours.
                heads = weight.reshape(config.num_attention_heads, 2, config.head_dim // 2, config.hidden_size)
                weight = np.ascontiguousarray(heads.swapaxes(1, 2).reshape(weight.shape))
            writer.add_tensor(f"blk.{layer}.{ours}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def llama_cpp(tmp_path: Path, tiny_model: Any, tokenizer: Any) -> Iterator[str]:
    pytest.importorskip("llama_cpp", reason="the extra `servers` is not installed")
    path = tmp_path / "tiny.gguf"
    write_gguf(path, tiny_model, tokenizer)
    chosen = {"model": path, "logits_all": True, "n_ctx": 2048, "n_threads": 1, "type_k": 0, "type_v": 0}
    options = [part for name, value in chosen.items() for part in (f"--{name}", str(value))]
    with running(["llama_cpp.server", *options], tmp_path / "log") as address:
        yield address


@pytest.fixture
def transformers_serve(tmp_path: Path, tiny_model: Any, tokenizer: Any) -> Iterator[str]:
    pytest.importorskip("fastapi", reason="the extra `servers` is not installed")
    folder = tmp_path / "tiny"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    with running(["transformers.cli.transformers", "serve", str(folder)], tmp_path / "log") as address:
        yield address


def api_model(address: str, endpoint: str, n_top_logprobs: int | None, model: str = "tiny") -> ApiModel:
    return ApiModel(
        address=address,
        model=model,
        key_variable=None,
        endpoint=endpoint,
        n_top_logprobs=n_top_logprobs,
        parameters={"temperature": 0, "max_tokens": 1 if n_top_logprobs else N_TEXT_TOKENS},
        max_concurrency=4,
        timeout_seconds=60.0,
        n_retries=1,
    )


def scores(predictions: list[Prediction]) -> dict[str, float]:
    return {prediction.sample_id: prediction.score for prediction in predictions}


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
def test_llama_cpp_gives_the_scores_of_the_same_weights(
    endpoint: str,
    rule: str,
    llama_cpp: str,
    toy_task: FewShotTask,
    scoring: Scoring,
    tiny_model: Any,
    tokenizer: Any,
    cache_file: Path,
) -> None:
    style = "gpt" if endpoint == "chat" else "released"
    if endpoint == "chat":
        tokenizer.chat_template = CHAT_TEMPLATE
    local = score_samples(
        tiny_model, tokenizer, toy_task.test, toy_task.items, replace(scoring, style=style, rule=rule)
    )
    tokenizer.chat_template = None
    asked = ApiScoring(style, stray_comment=True, rule=rule, missing_answer="smallest_of_top")
    model = api_model(llama_cpp, endpoint, n_top_logprobs=400)
    found, traffic = score_samples_by_api(model, toy_task.test, toy_task.items, asked, cache_file)
    assert traffic.n_input_tokens == sum(p.details["n_prompt_tokens"] for p in local)
    assert scores(found) == pytest.approx(scores(local), abs=TOLERANCE)
    assert [p.details["n_missing"] for p in found] == [0.0] * len(found)


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_transformers_serve_gives_the_text_of_the_same_weights(
    endpoint: str,
    transformers_serve: str,
    toy_task: FewShotTask,
    tiny_model: Any,
    tokenizer: Any,
    cache_file: Path,
    tmp_path: Path,
) -> None:
    import torch

    def local(sample: Any) -> Prediction:
        if endpoint == "chat":
            messages = conversation("gpt", sample, toy_task.items, stray_comment=True)
            text = tokenizer.apply_chat_template(
                messages, chat_template=CHAT_TEMPLATE, tokenize=False, add_generation_prompt=True
            )
        else:
            text = render("gpt", sample, toy_task.items, stray_comment=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=endpoint != "chat")["input_ids"]
        with torch.inference_mode():
            new = tiny_model.generate(ids, do_sample=False, max_new_tokens=N_TEXT_TOKENS)[0, ids.shape[1] :]
        return score_of_text(sample.sample_id, Reply(tokenizer.decode(new), None, False, None, None))

    asked = ApiScoring("gpt", stray_comment=True, rule="double_softmax", missing_answer="smallest_of_top")
    model = api_model(transformers_serve, endpoint, n_top_logprobs=None, model=str(tmp_path / "tiny"))
    found, traffic = score_samples_by_api(model, toy_task.test, toy_task.items, asked, cache_file)
    assert found == [local(sample) for sample in toy_task.test]
    assert traffic.n_requests == len(toy_task.test)
    with pytest.raises(ServerError, match="no log-probabilities; `read: text` does without"):
        score_samples_by_api(replace(model, n_top_logprobs=5), toy_task.test, toy_task.items, asked, cache_file)


@pytest.mark.parametrize("rule", ["double_softmax", "logit_difference"])
def test_vllm_gives_the_exact_scores_of_the_same_weights(
    rule: str,
    toy_task: FewShotTask,
    scoring: Scoring,
    new_tiny_model: Callable[..., Any],
    tokenizer: Any,
    cache_file: Path,
    tmp_path: Path,
) -> None:
    python = os.environ.get(VLLM)
    if not python:
        pytest.skip(f"{VLLM} names no Python with vLLM")
    model = new_tiny_model(128)  # heads of 64, which its attention on a CPU has
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    chance, names = random.Random(0), sorted(toy_task.items)
    samples = [
        Sample(
            f"s{number}",
            "u",
            tuple(Interaction(name, chance.random() < 0.5) for name in chance.sample(names, chance.randint(1, 10))),
            chance.choice(names),
        )
        for number in range(N_PROMPTS)
    ]
    local = score_samples(model, tokenizer, samples, toy_task.items, replace(scoring, rule=rule))
    served = ["vllm.entrypoints.openai.api_server", "--model", str(tmp_path / "tiny"), "--served-model-name", "tiny"]
    options = ["--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | OF_VLLM
    with running([*served, *options], tmp_path / "log", python, environment) as address:
        asked = ApiScoring("released", stray_comment=True, rule=rule)
        exact = replace(api_model(address, "generative_scoring", None), parameters={})
        found, _ = score_samples_exactly(exact, samples, toy_task.items, asked, cache_file)
    assert scores(found) == pytest.approx(scores(local), abs=2e-5)
    masses = [p.details["answer_mass"] for p in local]
    assert [p.details["answer_mass"] for p in found] == pytest.approx(masses, abs=1e-6)
