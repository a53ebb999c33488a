"""Lengths of prompts before a run."""

from pathlib import Path

import pytest

from benchmark.config.params import Params
from benchmark.data.sources import SourceFile, fetch
from benchmark.planning.prompts import ASSUMED_TOKENS, Prompted, Prompts
from benchmark.planning.rows import Rows, rows_of
from benchmark.planning.sizes import sizes


def test_what_a_batch_shares_is_computed_once_and_its_rows_are_padded() -> None:
    prompts = Prompted([[1, 2, 3, 4], [1, 2, 5], [1, 2, 6, 7, 8, 9], [1, 2, 6, 7]])
    # By length 6 and 4, of which 2 are shared; then 4 and 3, of which 2 are.
    assert prompts.computed(2) == ((4 + 4 + 2) + (2 + 2 + 2)) / 4
    assert prompts.computed(2, of_all=True) == (4 + 4 + 2 + 2) / 4
    assert prompts.computed(2, shares_beginning=False) == (6 + 6 + 4 + 4) / 4
    assert prompts.computed(1) == prompts.mean == 17 / 4


def test_the_last_token_of_a_prompt_is_never_shared() -> None:
    assert Prompted([[1, 2, 3]] * 4).computed(4, of_all=True) == 1


def test_prompts_are_those_of_the_rows_of_this_configuration(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = sizes(params)
    assert not found.assumed, "the embedded world needs no file"
    assert found.n_test["movie"] == 300
    shorter = params.domains["movie"].model_copy(update={"history_length": 3})
    few = sizes(params.model_copy(update={"domains": {**params.domains, "movie": shorter}}))
    assert few.tokens_of("movie") < found.tokens_of("movie") - 20
    assert few.tokens_of("book") == found.tokens_of("book")
    demonstrated = found.prompts.of("movie", "released", 2)
    assert demonstrated.mean > 1.8 * found.prompts.of("movie").mean
    assert not found.prompts.are_measured, "the tokenizer is not made yet"


def test_rows_that_are_nowhere_are_said_to_be_assumed(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TALLREC_BENCH_MIRROR", raising=False)
    movie = params.domains["movie"].model_copy(update={"source": "official", "n_samples": 10_000})
    found = sizes(params.model_copy(update={"domains": {**params.domains, "movie": movie}}))
    assert (found.assumed, found.prompts.are_measured) == (("movie",), False)
    assert {name: found.n_test[name] for name in ("movie", "movie-extended")} == {"movie": 1000, "movie-extended": 3340}
    assert found.prompts.of("movie").mean == ASSUMED_TOKENS


def test_rows_of_a_mirror_are_read_without_a_download(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLREC_BENCH_MIRROR", str(tmp_path))
    monkeypatch.setattr("benchmark.data.sources._from_address", lambda *_: pytest.fail("the network was asked"))
    monkeypatch.setattr(
        "benchmark.planning.rows.raw_files", lambda _: (SourceFile("ml-100k/u.data", "https://x.invalid", None),)
    )
    movie = params.domains["movie"].model_copy(update={"source": "official"})
    params = params.model_copy(update={"domains": {**params.domains, "movie": movie}})
    assert rows_of(params, "movie") is None


def test_what_readers_remark_is_left_to_the_stages(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TALLREC_BENCH_MIRROR", str(tmp_path))
    Path("a.sample.json").write_text("[]")
    file = SourceFile("a.json", "https://x.invalid", None, stand_in="a.sample.json")
    monkeypatch.setattr("benchmark.planning.rows.raw_files", lambda _: (file,))
    movie = params.domains["movie"].model_copy(update={"source": "official"})
    params = params.model_copy(update={"domains": {**params.domains, "movie": movie}})
    assert rows_of(params, "movie") is None
    assert caplog.messages == []
    Path("raw").mkdir()
    fetch([file], Path("raw"), tmp_path)
    assert caplog.messages == ["a.json is not in the mirror: a.sample.json stands in for it, and the report says so"]


@pytest.mark.parametrize(("n_tokens", "n_demonstrations", "expected"), [(24, 0, 24), (24, 2, 72)])
def test_a_length_that_is_given_is_that_of_all(
    params: Params, n_tokens: int, n_demonstrations: int, expected: int
) -> None:
    rows: dict[str, Rows | None] = dict.fromkeys(params.grid.domains)
    prompts = Prompts(params, rows, None, n_tokens)
    assert prompts.are_measured
    assert prompts.of("movie", "released", n_demonstrations).mean == expected
