"""`params.yaml` as committed is valid, and each way to break it gives one line that names the key."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.params import Params
from benchmark.config.reading import parse_yaml
from benchmark.errors import ConfigError
from benchmark.methods.configuration import load_config, parse_config
from benchmark.methods.grid import cells, is_seeded
from benchmark.methods.rules import prompt_names

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "params.yaml").read_text()
PRESET_FILES = sorted((ROOT / "benchmark" / "config" / "presets").rglob("*.yaml"))
LEAF = re.compile(r"^\s*(- )?[\w.-]+:\s+\S")


COMMITTED = parse_yaml(TEXT, Path("params.yaml"))


def content() -> dict[str, Any]:
    return copy.deepcopy(COMMITTED)


def keys(section: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in section.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from keys(value, (*above, name))


KEYS = list(keys(content()))
# A user may name domains as they like, and a baseline that is not in the grid needs no section.
FREE = {
    ("domains", "movie"),
    ("domains", "book"),
    ("domains", "ml-1m"),
    ("baselines", "n_updates", "caser"),
    ("baselines", "n_updates", "caser", "book"),
    *(("baselines", "models", name) for name in ("caser", "sasrec", "dros", "gru_bert", "dros_bert", "mf")),
}
NAMED = [key for key in KEYS if key not in FREE]


def section_of(params: dict[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    for part in key[:-1]:
        params = params[part]
    return params


def refused(params: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(params, Path("params.yaml"))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("params.yaml: ")
    return message


def test_committed_params_are_valid():
    assert isinstance(load_config(ROOT / "params.yaml"), Params)


def test_every_section_of_the_type_is_enumerated():
    assert {key[0] for key in KEYS} == set(Params.model_fields)
    assert len(KEYS) > 100


@pytest.mark.parametrize("key", NAMED, ids=".".join)
def test_a_missing_key_is_named(key: tuple[str, ...]):
    params = content()
    del section_of(params, key)[key[-1]]
    message = refused(params)
    # A missing domain or baseline model is noticed where the grid names it.
    assert key[-1] in message


# A domain that no grid names may have any name.
@pytest.mark.parametrize("key", [key for key in KEYS if key != ("domains", "ml-1m")], ids=".".join)
def test_a_renamed_key_is_refused(key: tuple[str, ...]):
    params = content()
    section = section_of(params, key)
    section[f"{key[-1]}x"] = section.pop(key[-1])
    assert key[-1] in refused(params)


@pytest.mark.parametrize(
    "key", [k for k in KEYS if not isinstance(section_of(content(), k)[k[-1]], dict)], ids=".".join
)
def test_a_value_of_the_wrong_type_is_refused(key: tuple[str, ...]):
    params = content()
    section_of(params, key)[key[-1]] = {"a": "mapping"}
    assert ".".join(key) in refused(params)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("grid.domains", ["movies"], "did you mean 'movie'?"),
        ("grid.baselines", ["gru4recc"], "did you mean 'gru4rec'?"),
        ("grid.controls", ["liked_sare"], "did you mean 'liked_share'?"),
        ("grid.prompts", ["releasd"], "did you mean 'released'?"),
        ("grid.train_domains", ["movie", "movie"], "stands twice"),
        ("grid.n_shots", [16, 1000000], "grid.n_shots: 1000000 is more than the"),
        ("grid.n_shots", [], "grid.n_shots"),
        ("grid.seeds", [-1], "grid.seeds.0"),
        ("grid.cheap_seeds", [-1], "grid.cheap_seeds.0"),
        ("grid.cheap_seeds", [0], "grid.cheap_seeds: expected null, or [0, 1, ...] as in grid.seeds, got [0]"),
        ("grid.cheap_seeds", [1, 0, 2], "grid.cheap_seeds: expected null, or [0, 1, ...] as in grid.seeds"),
        ("grid.cheap_seeds", [], "grid.cheap_seeds: expected null, or [0, 1, ...] as in grid.seeds, got []"),
        ("grid.cheap_seeds", [0, 1, 1], "grid.cheap_seeds: a value stands twice in [0, 1, 1]"),
        ("domains.movie.format", "ml-100", "did you mean 'ml-100k'?"),
        ("domains.movie.liked_above", float("nan"), "domains.movie.liked_above"),
        ("domains.movie.liked_above", 5.0, "domains.movie.liked_above: ratings go from 1 to 5, so all would be of one"),
        ("domains.movie.liked_above", 0.5, "expected 1 or more and below 5"),
        ("domains.book.liked_above", 10.0, "domains.book.liked_above: ratings go from 0 to 10"),
        ("domains.movie.n_samples", True, "domains.movie.n_samples"),
        ("domains.movie.n_samples", "4000", "domains.movie.n_samples"),
        ("llm.model", "no such model", "neither 'tiny', nor a GGUF file, nor a folder, nor a Hub id"),
        ("llm.model", "Qwen/Qwen2.5-0.5B", "llm.revision: expected the commit of Qwen/Qwen2.5-0.5B"),
        ("llm.model", "Qwen/Qwen2.5-0.5B", "got null: run `tallrec-bench pin`; or name a folder that is there"),
        (
            "instruct.data",
            "hub:owner/rows",
            "instruct.data: expected the commit of owner/rows as 40 hex digits, got null",
        ),
        ("instruct.data", "hub:owner/rows@main", "got 'main': run `tallrec-bench pin`"),
        ("llm.revision", "main", "llm.revision: only a Hub model has one"),
        ("baselines.models.gru4rec.n_layers", 2.5, "expected int above 0, got 2.5"),
        ("baselines.models.gru4rec.n_layers", 0, "expected int above 0, got 0"),
        ("baselines.models.caser.dropout", 1.0, "expected float from 0 to below 1, got 1.0"),
        ("baselines.models.caser.heights", [], "expected tuple[int, ...] of numbers above 0, got []"),
        ("baselines.models.dros.beta", 0.0, "expected float above 0, got 0.0"),
        ("baselines.models.caser.heights", [2, 11], "heights: 11 is more than baselines.training.history_length = 10"),
        ("baselines.training.item_size", 64, "sasrec.n_heads: 4 does not divide baselines.training.item_size + 1 = 65"),
        ("baselines.models.nothing", {}, "there is no file baselines/nothing.py"),
        ("baselines.n_updates.nothing", {}, "'nothing' is not one of"),
        ("baselines.heads", ["per_itm"], "expected 'per_item', 'tied' or 'shared'"),
        ("grid.baselines", ["gru_bert"], "null, and 'gru_bert' of grid.baselines reads item texts"),
        ("baselines.text_encoder.model", "owner/bert", "expected the commit of owner/bert as 40 hex digits"),
        ("probe.inputs", ["title_remove"], "did you mean 'title_removed'?"),
        ("probe.variants", ["tallrec-film"], "probe.variants: 'tallrec-film' is not one of"),
        ("grid.icl_models", ["bse"], "did you mean 'base'?"),
        ("icl.extended_prompts", ["gtp"], "icl.extended_prompts: 'gtp' is not one of"),
        ("domains.movie.extended_rows_per_user", -1, "domains.movie.extended_rows_per_user"),
        ("grid.weights_seed", -1, "grid.weights_seed"),
        ("evaluate.max_test_samples", 0, "evaluate.max_test_samples"),
        ("llm.max_length", 10**6, "llm.max_length: more than base.max_positions"),
        ("tune.eval_every", 10**6, "tune.eval_every: no validation within the 20 updates of a cell"),
        ("tune.n_epochs", 2, "tune.n_epochs: expected null beside tune.n_updates = 20, got 2"),
        ("tune.n_updates", None, "tune.n_updates: expected a number above 0, or null beside tune.n_epochs"),
        ("fidelity.draw", "share", "fidelity.draw"),
        ("evaluate.confidence", 1.0, "evaluate.confidence"),
    ],
)
def test_a_wrong_value_is_explained(key: str, value: object, expected: str):
    params = content()
    parts = tuple(key.split("."))
    section_of(params, parts)[parts[-1]] = value
    assert expected in refused(params)


LOCAL = {"kind": "local", "model": "owner/chat", "revision": "0" * 40}
API = {
    "kind": "api",
    "address": "http://localhost:8000/v1",
    "model": "m",
    "key_variable": "SOME_KEY",
    "endpoint": "chat",
    "read": "logprobs",
    "n_top_logprobs": 5,
    "missing_answer": "remainder",
    "parameters": {"temperature": 0, "stop": ["."]},
    "max_concurrency": 4,
    "timeout_seconds": 60,
    "extended_test_set": True,
    "n_retries": 3,
    "dollars_per_million_input_tokens": None,
    "dollars_per_million_output_tokens": 0.5,
}


EXACT = {
    **{key: API[key] for key in ("address", "model", "key_variable", "max_concurrency", "timeout_seconds")},
    **{"kind": "exact", "endpoint": "score", "extended_test_set": True, "n_retries": 3},
}


@pytest.mark.parametrize("model", [LOCAL, API, EXACT], ids=["local", "api", "exact"])
def test_more_models_may_be_asked_in_context(model: dict[str, Any]):
    params = content()
    params["icl"]["models"] = {"mine": model}
    params["grid"]["other_models"] = ["mine"]
    assert parse_config(params, Path("params.yaml")).icl.models["mine"].model_dump(mode="json") == model


@pytest.mark.parametrize(
    ("model", "change", "expected"),
    [
        (API, {"endpoint": "chats"}, "icl.models.mine.endpoint: expected 'completions' or 'chat', got 'chats'"),
        (EXACT, {"endpoint": "chat"}, "icl.models.mine.endpoint: expected 'generative_scoring' or 'score', got 'chat'"),
        (EXACT, {"n_top_logprobs": 5}, "icl.models.mine.n_top_logprobs: unknown key"),
        (EXACT, {"address": "localhost:8000"}, "icl.models.mine.address: expected http(s)://HOST/PATH"),
        (API, {"n_top_logprob": 5}, "icl.models.mine.n_top_logprob: unknown key"),
        (API, {"kind": "apis"}, "icl.models.mine: "),
        (API, {"max_concurrency": 0}, "icl.models.mine.max_concurrency: "),
        (API, {"address": "localhost:8000"}, "icl.models.mine.address: expected http(s)://HOST/PATH"),
        (API, {"parameters": {"model": "other"}}, "icl.models.mine.parameters.model: set by the other keys"),
        (LOCAL, {"revision": "main"}, "icl.models.mine.revision: expected the commit of owner/chat as 40 hex digits"),
        (LOCAL, {"model": "no model"}, "icl.models.mine.model: 'no model' is neither a folder, nor a Hub id"),
    ],
)
def test_a_wrong_model_to_ask_is_explained(model: dict[str, Any], change: dict[str, Any], expected: str):
    params = content()
    params["icl"]["models"] = {"mine": model | change}
    assert expected in refused(params)


def test_a_model_to_ask_may_not_take_the_name_of_one_that_is_there():
    params = content()
    params["icl"]["models"] = {"alpaca": LOCAL}
    assert "icl.models.alpaca: 'alpaca' is the model of section llm" in refused(params)


@pytest.mark.parametrize(
    "change",
    [
        {"key_variable": "sk-secret"},
        {"address": "https://sk-secret@host/v1"},
        {"address": "https://host/v1?key=sk-secret"},
        {"parameters": {"api_key": "sk-secret"}},
        {"parameters": {"extra_headers": {"Authorization": "Bearer sk-secret"}}},
    ],
)
def test_a_key_in_the_configuration_is_refused_and_not_repeated(change: dict[str, Any]):
    params = content()
    params["icl"]["models"] = {"mine": API | change}
    assert "sk-secret" not in refused(params)


def test_processes_divide_the_rows_of_every_update():
    params = content()
    params["tune"] |= {"n_processes": 3, "batch_size": 24}
    params["grid"] |= {"n_shots": [12, 16], "train_domains": ["movie"]}
    assert "tune.n_processes: 3 does not divide the 16 rows of an update" in refused(params)
    params["grid"] |= {"n_shots": [12, 36]}
    assert parse_config(params, Path("params.yaml")).tune.n_processes == 3


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tune": {"n_processes": 1}}, "one process has none to share weights with"),
        ({"llm": {"quantization": "8bit"}}, "8bit weights cannot be split; expected llm.quantization none"),
        (
            {"llm": {"model": "owner/name", "revision": "0" * 40, "weights": "random"}},
            "random weights are made whole; expected llm.weights pretrained",
        ),
    ],
)
def test_weights_that_cannot_be_shared_are_refused(changes: dict[str, Any], problem: str):
    params = content()
    params["tune"] |= {"n_processes": 2, "sharded": True}
    assert parse_config(params, Path("params.yaml")).tune.sharded
    for section, values in changes.items():
        params[section] |= values
    assert f"tune.sharded: {problem}" in refused(params)


EXTERNAL = {"name": "fm", "path": "fm.csv", "test_domain": "movie", "n_shots": 64, "seed": 0, "trained": True}
UNTRAINED = EXTERNAL | {"n_shots": 0, "trained": False}


def test_scores_from_elsewhere_are_cells_like_others():
    params = content()
    params["external"] = [EXTERNAL, EXTERNAL | {"seed": 1}, UNTRAINED, EXTERNAL | {"test_domain": "movie-extended"}]
    parsed = parse_config(params, Path("params.yaml"))
    cells_of = [cell for cell in cells(parsed, {"movie": 100, "book": 100}) if cell.family == "external"]
    assert [(c.test_domain, c.n_shots, c.seed) for c in cells_of] == [
        *(("movie", 64, 0), ("movie", 64, 1), ("movie", 0, 0), ("movie-extended", 64, 0))
    ]
    assert [is_seeded(parsed, cell) for cell in cells_of] == [True, True, False, True]


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([EXTERNAL | {"test_domain": "music"}], "external.0.test_domain: 'music' is not one of movie, movie-extended"),
        ([EXTERNAL | {"name": "tallrec-movie"}], "external.0.name: 'tallrec-movie' would look like a method of this"),
        ([EXTERNAL | {"name": "sasrec"}], "external.0.name: 'sasrec' would look like"),
        ([EXTERNAL, EXTERNAL | {"path": "other.csv"}], "external.0: fm movie-movie k64 seed0 stands twice"),
        ([UNTRAINED, UNTRAINED | {"seed": 1}], "external.1.seed: 'fm' has two, and no seed changes"),
        ([EXTERNAL | {"n_shots": -1}], "external.0.n_shots"),
        ([EXTERNAL | {"K": 64}], "external.0.K"),
    ],
)
def test_a_wrong_entry_of_scores_from_elsewhere_is_explained(entries: list[dict[str, Any]], problem: str):
    params = content()
    params["external"] = entries
    assert problem in refused(params)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("icl.n_demonstrations", [0, 0], "icl.n_demonstrations: a value stands twice in [0, 0]"),
        ("icl.n_demonstrations", [], "icl.n_demonstrations"),
        (
            "icl",
            {"n_demonstrations": [2], "demonstrated_prompts": ["released"]},
            "icl.n_demonstrations: without 0 the prompt 'paper', which is none of icl.demonstrated_prompts",
        ),
        ("baselines.heads", ["shared", "shared"], "baselines.heads: a value stands twice"),
        ("probe.inputs", ["no_history", "no_history"], "probe.inputs: a value stands twice"),
        ("probe.inputs", [], "probe.inputs: empty, so that nothing of probe.variants is probed"),
        ("base.n_heads", 3, "base.n_heads: 3 does not divide base.hidden_size = 128"),
        ("world.populations.ml-100k.ratings_per_user", [40, 20], "expected the fewest, then the most, got [40, 20]"),
        ("baselines.text_encoder", {"model": "package:a/b", "revision": "0" * 40, "n_threads": 1}, "expected null for"),
    ],
)
def test_values_with_which_a_stage_would_end_or_one_result_count_twice_are_refused(key: str, value: Any, problem: str):
    params = content()
    *sections, last = key.split(".")
    section = params
    for name in sections:
        section = section[name]
    section[last] = value if not isinstance(value, dict) else section[last] | value
    assert problem in refused(params)


def test_both_needs_two_domains():
    params = content()
    params["grid"] |= {"domains": ["movie"], "train_domains": ["both"]}
    assert "needs two domains" in refused(params)


def test_a_domain_may_not_be_called_both():
    params = content()
    params["domains"]["both"] = params["domains"]["movie"]
    assert "domains.both" in refused(params)


def test_a_domain_may_not_be_called_like_a_further_test_set():
    params = content()
    params["domains"]["movie-extended"] = params["domains"]["movie"]
    assert "domains.movie-extended: '-extended' ends the name of the further test set of a domain" in refused(params)
    params["domains"]["extended"] = params["domains"].pop("movie-extended")
    parse_config(params, Path("params.yaml"))


def test_a_domain_may_have_no_dot():
    params = content()
    params["domains"]["ml-1.0"] = params["domains"]["movie"]
    assert "domains.ml-1.0: expected no '.'" in refused(params)
    params["domains"]["ml 1"] = params["domains"].pop("ml-1.0")
    assert refused(params).endswith("domains.ml 1: expected a name of a-z, 0-9, '_' and '-'")


def test_rows_without_titles_are_refused_for_language_models():
    params = content()
    params["domains"]["book"] = {
        "format": "released-csv",
        "source": "official",
        "noun": "book",
        "history_length": 10,
        "liked_above": 5.0,
    }
    assert "domains.book.format: released-csv has no titles" in refused(params)
    params["grid"] |= {"recipes": [], "icl_models": []}
    assert "probe.variants: they are of tuned models, and grid.recipes" in refused(params)
    params["probe"] |= {"variants": []}
    assert "efficiency.configurations: they measure rec-tuning, and grid.recipes is empty" in refused(params)
    params["efficiency"] |= {"configurations": []}
    parse_config(params, Path("params.yaml"))


def test_lines_are_asked_about_in_one_format_alone():
    params = content()
    params["memory"] |= {"domains": ["movie"]}
    parse_config(params, Path("params.yaml"))
    params["memory"] |= {"domains": ["book"]}
    assert "memory.domains: 'book' has the format bookcrossing, expected ml-100k" in refused(params)
    params["memory"] |= {"domains": ["movies"]}
    assert "memory.domains: 'movies' is not one of" in refused(params)
    params["memory"] |= {"domains": ["movie", "movie"]}
    assert "memory.domains: a value stands twice" in refused(params)


def test_a_hub_model_with_its_commit_is_accepted():
    params = content()
    params["llm"] |= {"model": "Qwen/Qwen2.5-0.5B", "revision": "0" * 40}
    parse_config(params, Path("params.yaml"))


def test_a_local_folder_is_accepted(tmp_path: Path):
    params = content()
    params["llm"] |= {"model": str(tmp_path), "revision": None}
    parse_config(params, Path("params.yaml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2]", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2", "not valid YAML"),
        ("", "mapping"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, expected: str):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load_config(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file; run from the repository root"):
        load_config(tmp_path / "params.yaml")


def test_small_numbers_may_be_written_with_an_exponent(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"(\n  training:\n    learning_rate: )\S+", r"\g<1>1e-3", TEXT))
    assert "1e-3" in path.read_text()
    assert load_config(path).baselines.training.learning_rate == 0.001


def test_prompt_names_are_the_styles_but_those_of_probes():
    from tallrec.prompts.rendering import style_names

    assert prompt_names() == [name for name in style_names() if name != "released_dislike"]
    assert len(prompt_names()) == 4


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *PRESET_FILES], ids=lambda path: path.stem)
def test_every_value_says_where_it_is_from(path: Path):
    leaves = [line for line in path.read_text().splitlines() if LEAF.match(line) and not re.search(r":\s+#", line)]
    assert leaves
    unexplained = [line for line in leaves if not re.search(r"# (paper|released|ours): \S", line)]
    assert not unexplained
