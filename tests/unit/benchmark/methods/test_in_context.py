"""Stage `icl` with an instruct model of its own, through its chat template."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files
from benchmark.artifacts.provenance import run_file
from benchmark.config.overlays import merged
from benchmark.methods.configuration import load_config
from benchmark.methods.language_model_cells import icl_cells
from benchmark.schema import FewShotTask, Sample
from benchmark.stages import others
from tallrec.scoring.samples import Scoring, score_samples

REPOSITORY = Path(__file__).parents[4]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
OVERLAY = """
grid:
  domains: [movie]
  train_domains: [movie]
  seeds: [0]
  icl_models: []
  other_models: [chatty]
  prompts: [gpt, paper]
icl:
  n_demonstrations: [0, 4]
  models:
    chatty:
      kind: local
      model: {folder}
      revision: null
"""


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Any, tokenizer: Any) -> Path:
    """The tiny model as an instruct model."""
    folder = tmp_path / "chatty"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.mark.parametrize("prompt", ["gpt", "paper"])
def test_an_instruct_model_is_asked_in_its_own_way(
    prompt: str,
    folder: Path,
    repository: Path,
    write_domain: Callable[[str], None],
    toy_task: FewShotTask,
    toy_further: tuple[Sample, ...],
    scoring: Scoring,
    tiny_model: Any,
) -> None:
    from transformers import AutoTokenizer

    write_domain("movie")
    Path("params.yaml").write_text(merged((REPOSITORY / "params.yaml").read_text(), OVERLAY.format(folder=folder)))
    params = load_config()
    assert others.main(["--model", "chatty", "--prompt", prompt]) == 0
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == TEMPLATE
    cells = list(icl_cells(params, "chatty", prompt, "movie"))
    # Of the two styles, icl.extended_prompts has one.
    test_sets = {"movie": toy_task.test} | ({"movie-extended": toy_further} if prompt == "gpt" else {})
    assert [(cell.test_domain, cell.n_shots) for cell in cells] == [(name, n) for name in test_sets for n in (0, 4)]
    for cell in cells:
        samples = test_sets[cell.test_domain]
        shown = toy_task.train[: cell.n_shots]
        style = replace(scoring, style=prompt)

        def local(
            tokenizer: Any, samples: Any = samples, shown: Any = shown, style: Scoring = style
        ) -> dict[str, float]:
            found = score_samples(tiny_model, tokenizer, samples, toy_task.items, style, demonstrations=shown)
            return {prediction.sample_id: prediction.score for prediction in found}

        scores = files.read_scores("predictions", cell)
        assert scores == pytest.approx(local(tokenizer), abs=1e-6)
        tokenizer.chat_template = None
        # The template counts for a style made for chat, and for no other.
        assert (scores == pytest.approx(local(tokenizer), abs=1e-6)) is (prompt == "paper")
        tokenizer.chat_template = TEMPLATE
    settings = json.loads(run_file(cells[0]).read_text())["settings"]
    assert settings["model"] == {"kind": "local", "model": str(folder), "revision": None}
    assert settings["llm"]["dtype"] == "float32"


def test_a_model_that_is_not_there_is_named(folder: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text(merged((REPOSITORY / "params.yaml").read_text(), OVERLAY.format(folder=folder)))
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()
    assert others.main(["--model", "chatty", "--prompt", "gpt"]) == 2
    assert capsys.readouterr().err.startswith("error: icl.models.chatty.model: cannot load")
