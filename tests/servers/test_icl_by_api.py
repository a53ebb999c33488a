"""Stage `icl` with a model behind an address: scores, records, and what a second or a killed run asks."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import files
from benchmark.config import load_config
from benchmark.grid import icl_cells
from benchmark.overlays import merged
from benchmark.params import Params
from benchmark.provenance import run_file
from benchmark.schema import FewShotTask
from benchmark.stages import icl
from tallrec.scoring import Scoring, score_samples

REPOSITORY = Path(__file__).parents[2]
ARGUMENTS = ["--model", "tiny-server", "--prompt", "released"]
OVERLAY = """
grid:
  domains: [movie, book]
  seeds: [0, 1]
  icl_models: [tiny-server]
icl:
  n_demonstrations: [0, 4]
  models:
    tiny-server:
      kind: api
      address: {address}
      model: tiny
      key_variable: {key_variable}
      endpoint: completions
      read: {read}
      n_top_logprobs: 500
      missing_answer: smallest_of_top
      parameters: {{max_tokens: 1, temperature: 0}}
      max_concurrency: {max_concurrency}
      timeout_seconds: 20.0
      n_retries: 2
      dollars_per_million_input_tokens: 2.0
      dollars_per_million_output_tokens: 8.0
"""
N_ROWS = 8
"""Test samples of the toy domain. Both domains are it, so that the one has only prompts of the other."""


def configured(address: str, *, read: str = "logprobs", key_variable: str = "null", max_concurrency: int = 4) -> Params:
    """Write `params.yaml` for a server; its content."""
    overlay = OVERLAY.format(address=address, read=read, key_variable=key_variable, max_concurrency=max_concurrency)
    Path("params.yaml").write_text(merged((REPOSITORY / "params.yaml").read_text(), overlay))
    return load_config()


def cells_of(params: Params) -> list[Any]:
    return [cell for domain in ("movie", "book") for cell in icl_cells(params, "tiny-server", "released", domain)]


def record_of(cell: Any) -> dict[str, Any]:
    return json.loads(run_file(cell).read_text())


@pytest.fixture(autouse=True)
def domains(repository: Path, write_domain: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both domains as stages `prepare` and `draw` leave them, in a folder with its own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(repository / "cache"))
    for domain in ("movie", "book"):
        write_domain(domain)
    return repository


def test_the_stage_writes_the_scores_of_the_same_weights(
    tiny_server: Any, toy_task: FewShotTask, scoring: Scoring, tiny_model: Any, tokenizer: Any
) -> None:
    params = configured(tiny_server.address)
    assert icl.main(ARGUMENTS) == 0
    cells = cells_of(params)
    assert [(cell.n_shots, cell.seed) for cell in cells] == [(0, 0), (4, 0), (4, 1)] * 2
    for cell in cells:
        shown = toy_task.train[cell.seed : cell.seed + cell.n_shots]
        local = score_samples(tiny_model, tokenizer, toy_task.test, toy_task.items, scoring, demonstrations=shown)
        expected = {prediction.sample_id: prediction.score for prediction in local}
        assert files.read_scores("predictions", cell) == pytest.approx(expected, abs=1e-6)


def test_the_record_of_a_cell_counts_requests_tokens_and_dollars(tiny_server: Any) -> None:
    params = configured(tiny_server.address)
    assert icl.main(ARGUMENTS) == 0
    first, *_, again = (record_of(cell) for cell in cells_of(params) if cell.n_shots == 0)
    assert (first["n_requests"], first["n_from_cache"], first["n_retries"]) == (N_ROWS, 0, 0)
    assert first["n_output_tokens"] == N_ROWS
    assert first["n_input_tokens"] > 50 * N_ROWS
    assert first["dollars"] == pytest.approx((2 * first["n_input_tokens"] + 8 * N_ROWS) / 1e6)
    assert first["dollars_of_this_run"] == first["dollars"]
    # The other domain asks the same questions.
    assert (again["n_requests"], again["n_from_cache"]) == (0, N_ROWS)
    assert (again["dollars"], again["dollars_of_this_run"]) == (first["dollars"], 0.0)
    assert first["settings"]["model"]["address"] == tiny_server.address
    assert (first["share_refused"], first["share_unparsable"]) == (0.0, 0.0)


def test_a_second_run_asks_nothing_and_writes_the_same(tiny_server: Any) -> None:
    params = configured(tiny_server.address)
    assert icl.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == len(tiny_server.counts()) == 3 * N_ROWS
    folders = [files.cell_folder("predictions", cell) for cell in cells_of(params)]
    before = [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())]
    assert icl.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == 3 * N_ROWS
    assert [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())] == before
    # Another reading of the same answers costs nothing either.
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("scoring: double_softmax", "scoring: logit_difference"))
    assert icl.main(ARGUMENTS) == 0
    assert sum(tiny_server.counts().values()) == 3 * N_ROWS
