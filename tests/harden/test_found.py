"""What hostile inputs have found: one input for each way in which a reader ended in a traceback or lost a row."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pytest

from benchmark.config.overlays import merged
from benchmark.config.reading import parse_yaml
from benchmark.data.domains import movielens, rating_columns, released_csv, released_json
from benchmark.data.sources import read_manifest
from benchmark.errors import BenchmarkError, ConfigError, DataError, SchemaError
from benchmark.methods.configuration import parse_config
from benchmark.statistics.results import COLUMNS, read_rows
from benchmark.verdicts.claim_params import read_claims
from benchmark.verdicts.paper import load_paper
from tallrec.api.bodies import body_of, reply_of
from tallrec.api.cache import key_of, opened
from tallrec.api.client import _retry_after_seconds, ask
from tallrec.api.model import ApiModel
from tallrec.prompts.instructions import read_instructions

ROOT = Path(__file__).parents[2]
PARAMS = Path("params.yaml")
SECTIONS = parse_yaml((ROOT / PARAMS).read_text(), PARAMS)


def refused(read: Callable[[], object], kind: type[BenchmarkError], problem: str) -> None:
    with pytest.raises(kind, match=problem) as caught:
        read()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("line", ["1\t1\t3\t88000002899999999999999999999", "\t1\t3\t880000028", "1\t1\t3\t-5"])
def test_a_time_beyond_the_calendar_and_a_user_without_a_name(tmp_path: Path, line: str):
    (tmp_path / "u.item").write_text("1|One|x\n")
    (tmp_path / "u.data").write_text(f"1\t1\t3\t88\n{line}\n")
    titles = {"1": "One"}
    refused(lambda: movielens._read_ratings(tmp_path / "u.data", titles), DataError, "line 2: expected user, item")


@pytest.mark.parametrize(
    "row",
    ['1,"[\x80]","[1]",2,1', f"1,{'[' * 5000},[1],2,1", f'1,"{"[" * 200_000}"', '1,"[9' + "9" * 5000 + ']","[1]",2,1'],
)
def test_released_csv_rows_with_other_letters_or_depth(tmp_path: Path, row: str):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.csv").write_text(
            f"user,history_item_id,history_rating,item_id,rating\n{row}\n", "latin-1"
        )
    keys = {"format": "released-csv", "source": "official", "noun": "book", "history_length": 10, "liked_above": 5.0}
    refused(lambda: released_csv.read(tmp_path, released_csv.Params(**keys)), DataError, r"train\.csv: line 2: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 100_000, "not JSON"),
        ('[{"input": "\\ud800", "output": "Yes."}]', "row 0: not a released prompt: .*surrogates not allowed"),
        ('[{"input": 5, "output": "Yes."}]', "row 0: not a released prompt"),
    ],
)
def test_released_json_that_is_too_deep_or_half_a_letter(tmp_path: Path, content: str, problem: str):
    (tmp_path / "train.json").write_text(content)
    refused(lambda: list(released_json._read_prompts(tmp_path / "train.json")), DataError, problem)


@pytest.mark.parametrize("content", ["", "[", "[]", '{"train.json": 5}', '{"train.json": {"sha256": ""}}'])
def test_a_manifest_of_another_kind(tmp_path: Path, content: str):
    (tmp_path / "manifest.json").write_text(content)
    refused(lambda: read_manifest(tmp_path), SchemaError, r"manifest\.json")


def test_a_misshapen_line_that_is_no_utf8_prints_no_traceback(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "ratings.csv"
    path.write_bytes(b"userId,movieId,rating,timestamp\n1,1,4,10\n1,\xff1,4,10,7\n")
    refused(lambda: rating_columns.read_ratings(path, "csv", {"1": "T"}, 3.0), DataError, "Expected 4 columns, got 5")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("n_threads", [1, 4])
def test_misshapen_lines_have_numbers_on_several_threads(tmp_path: Path, n_threads: int):
    path, former = tmp_path / "ratings.csv", pyarrow.cpu_count()
    path.write_text("userId,movieId,rating,timestamp\n1,1,4.0,10\n1,2\n2,1,4.0,11\n1\n")
    pyarrow.set_cpu_count(n_threads)
    try:
        _, count = rating_columns.read_ratings(path, "csv", {"1": "T"}, 3.0)
    finally:
        pyarrow.set_cpu_count(former)
    assert str(count) == "left out 2 broken_line (first: line 3) of 4 lines"


@pytest.mark.parametrize("text", ["a: {b: ,[1-: ]}\n", "{{a: b}: c}\n", "? {a: 1}\n: b\n"])
def test_a_key_of_yaml_that_is_a_mapping(text: str):
    refused(lambda: parse_yaml(text, PARAMS), ConfigError, r"params\.yaml: ")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"instruction": "a", "output": "b", "instances": []}], "row 1: 'instances'"),  # was lost without a word
        ([{"instruction": "a", "output": "b", "instances": 5}], "row 1: 'instances'"),
        ([{"instruction": "a", "output": "b", "instances": ["input"]}], "row 1: 'instances'"),
        ([{"instruction": "\ud800", "input": "", "output": "b"}], "row 1: 'instruction'"),
        (5, "expected a list of rows, got int"),
    ],
)
def test_instructions_of_another_shape(tmp_path: Path, rows: Any, problem: str):
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    refused(lambda: read_instructions(str(tmp_path / "rows.json")), DataError, problem)


def test_a_line_separator_inside_a_text_does_not_break_a_line_of_jsonl(tmp_path: Path):
    row = {"instruction": "a\u2028b", "input": "\x85", "output": "c"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_instructions(str(tmp_path / "rows.jsonl")) == [row]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("llm", "model", "x" * 5000),
        ("llm", "model", "a\0b"),
        ("grid", "domains", ["x" * 5000]),
        ("probe", "inputs", ["a", "b", 5]),
        ("score", "batch_tokens", float("nan")),
    ],
)
def test_values_that_no_path_and_no_number_can_have(section: str, key: str, value: Any):
    content = SECTIONS | {section: SECTIONS[section] | {key: value}}
    refused(lambda: parse_config(content, PARAMS), ConfigError, rf"params\.yaml: {section}\.{key}")


def test_a_place_that_is_missing_in_a_list_is_named():
    movie = SECTIONS["domains"]["movie"] | {"split": [0.8]}
    content = SECTIONS | {"domains": SECTIONS["domains"] | {"movie": movie}}
    refused(lambda: parse_config(content, PARAMS), ConfigError, r"params\.yaml: domains\.movie\.split")


@pytest.mark.parametrize("text", ["a: " + "[" * 3000, "a: " + "{b: " * 2000])
def test_brackets_without_end_take_no_time(text: str):
    refused(lambda: parse_yaml(text, PARAMS), ConfigError, "more than 500 brackets are open")
    refused(lambda: merged("a: {b: 1}\n", text), ConfigError, "more than 500 brackets are open")


def test_a_preset_that_holds_itself():
    refused(lambda: merged("a: {b: 1}\n", "a: &a {b: *a}\n"), ConfigError, "line 1: expected no alias")


@pytest.mark.parametrize("content", ["sources: {}\n", "- a\n", "numbers: 5\n", "\ud7ff: {}\n"])
def test_published_numbers_without_their_sections(tmp_path: Path, content: str):
    (tmp_path / "paper.yaml").write_text(content)
    refused(lambda: load_paper(tmp_path / "paper.yaml"), ConfigError, r"paper\.yaml: ")


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ("5", r"claims\.0: expected a mapping, got int"),
        ("{id: a, kind: []}", r"a\.kind: \[\] is not one of"),
        (
            "{id: a, sentence: s, where: w, of: ours, kind: within, left: {family: icl}, right: {family: icl}}",
            "allowance: missing",
        ),
        ("{id: a, sentence: s, where: w, kind: above_chance, groups: {family: icl, tran: same}}", "tran: unknown key"),
        ("{id: a, sentence: s, where: w, of: ours, kind: fits_in_memory, limit_gb: .nan}", "limit_gb"),
    ],
)
def test_claims_of_another_shape(tmp_path: Path, claim: str, problem: str):
    (tmp_path / "claims.yaml").write_text(f"claims:\n- {claim}\n")
    refused(lambda: read_claims(tmp_path / "claims.yaml"), ConfigError, problem)


@pytest.mark.parametrize("number", ["9" * 400, "1e999x"])
def test_metrics_with_numbers_out_of_range(tmp_path: Path, number: str):
    row = f"tuned,rt-movie,movie,movie,4,0,0.5,0.4,0.6,,10,{number},ok"
    (tmp_path / "metrics.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")
    refused(lambda: read_rows(tmp_path / "metrics.csv"), SchemaError, r"metrics\.csv: line 2: ")
    (tmp_path / "metrics.csv").write_bytes(b"\xff")
    refused(lambda: read_rows(tmp_path / "metrics.csv"), SchemaError, "not UTF-8")


@pytest.mark.parametrize("logprob", ["NaN", "5", "1" + "0" * 400, "1e999"])
def test_a_log_probability_that_is_none(logprob: str):
    body = f'{{"choices": [{{"text": "Yes", "logprobs": {{"top_logprobs": [{{"Yes": {logprob}}}]}}}}]}}'
    with pytest.raises(ValueError, match=r"log-probability|too large"):
        reply_of(body_of(body.encode()))


def test_an_answer_that_is_too_deep():
    with pytest.raises(ValueError, match="nested too deeply"):
        body_of(b"[" * 100_000)


def test_a_wait_beyond_the_calendar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tallrec.api.client.APIStatusError", SimpleNamespace)
    headers = {"retry-after": f"Wed, {'9' * 30} Oct 2037 07:28:00 GMT"}
    assert _retry_after_seconds(SimpleNamespace(response=SimpleNamespace(headers=headers))) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [b"no zlib", "text", None])
def test_an_answer_in_the_cache_that_cannot_be_read(tmp_path: Path, kept: Any):
    model = ApiModel("http://127.0.0.1:9/v1", "m", None, "completions", None, {}, 1, 1.0, 0)
    path, key = tmp_path / "answers.sqlite3", key_of(model.question("p"))
    with opened(path) as cache:
        cache.put(key, {}, {"no": "answer"})
    if kept is not None:
        with sqlite3.connect(path) as rows:
            rows.execute("UPDATE answers SET body = ?", (kept,))

    def read() -> None:
        with opened(path) as cache:
            ask(model, ["p"], cache)

    refused(read, DataError, f"the cache of answers: entry {key}: ")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layers_to_transform": [[]]}, r"layers_to_transform is \[\[\]\], expected None"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa', expected True"),  # changes the base model
        ({"use_dora": True}, "use_dora is True, expected False"),
        ({"base_model_name_or_path": 5}, "base_model_name_or_path is 5, expected text or null"),
        ({"target_modules": [1, "q_proj"]}, "target_modules is"),
        ([], "an object, got list"),
        ("cut", "not an adapter of this model"),
        ("nan", "not finite"),
    ],
)
def test_an_adapter_of_another_kind(
    change: Any, problem: str, new_tiny_model: Callable[[], Any], lora: Any, tmp_path: Path, fresh_start: Path
):
    from safetensors.torch import load_file, save_file

    from tallrec.models.adapters import WEIGHTS, load_adapter, refuse_other_adapter, save_adapter, trainable_adapter

    folder = tmp_path / "adapter"
    save_adapter(trainable_adapter(new_tiny_model(), fresh_start, lora, seed=0), folder)
    config, weights = folder / "adapter_config.json", folder / WEIGHTS
    if isinstance(change, dict):
        config.write_text(json.dumps(json.loads(config.read_text()) | change))
    elif isinstance(change, list):
        config.write_text("[]")
    elif change == "cut":
        weights.write_bytes(weights.read_bytes()[:-8])
    else:
        save_file({key: tensor + float("nan") for key, tensor in load_file(weights).items()}, weights)

    def read() -> None:
        refuse_other_adapter(folder, lora)
        load_adapter(new_tiny_model(), folder)

    refused(read, DataError, problem)
    shutil.rmtree(folder)
