"""What in a run is not as in the paper: the language model, and each value that decides a score and is another one."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.artifacts.paths import PIPELINES
from benchmark.config.deciding import OF_MACHINE, deciding_keys, differing
from benchmark.config.overlays import PRESETS, preset_text
from benchmark.config.params import Params
from benchmark.config.pipeline import pipeline_stages
from benchmark.config.reading import parse_yaml
from benchmark.schema import Cell
from benchmark.verdicts.paper import Paper

TEXT_MODELS = ("gru_bert", "dros_bert")
GENERATED = ("world", "base")
"""Sections of generated data and of the model that the pipeline makes."""
OF_OTHER_ROWS = (".extended_rows_per_user", "training.weight_decay_grid")
"""Ends of keys of rows that nothing published is of: another test set, a searched decay."""


def has_the_papers_model(params: Params, paper: Paper) -> bool:
    """Whether the language model is exactly one that `paper.yaml` names, with its pretrained weights."""
    return params.llm.model in paper.language_models and params.llm.weights == "pretrained"


def other_values(cell: Cell, params: Params) -> tuple[str, ...]:
    """Every value that decides a cell and is not that of preset `paper`, as `key: ours, the paper's theirs`.

    Args:
        cell: of a published number.
        params: the configuration.
    """
    here = params.model_dump(mode="json", serialize_as_any=True)
    paper = _preset()
    found = [leaf for key in deciding_keys(cell, _stages(_repository())) for leaf in differing(here, paper, key)]
    return tuple(
        f"{key}: {_said(ours)}, the paper's {_said(theirs)}" for key, ours, theirs in found if _decides(key, cell)
    )


def _decides(key: str, cell: Cell) -> bool:
    """Whether a leaf has a part in a cell, of all that its stages read."""
    if key in OF_MACHINE or key.split(".", maxsplit=1)[0] in GENERATED or key.endswith(OF_OTHER_ROWS):
        return False
    if key.startswith("baselines.text_encoder."):
        return cell.method in TEXT_MODELS
    of_updates = "baselines.n_updates."
    return not key.startswith(of_updates) or key.startswith(f"{of_updates}{cell.method}.{cell.train_domain}")


def _said(value: object) -> str:
    return "null" if value is None else str(value)


@functools.cache
def _preset() -> Mapping[str, Any]:
    return parse_yaml(preset_text("paper"), PRESETS / "paper.yaml")


@functools.cache
def _stages(repository: Path) -> Mapping[str, Any]:
    return pipeline_stages(repository)


def _repository() -> Path:
    """The folder of the pipeline: here, above (a look has a folder of its own), or where this code lies."""
    above = (Path.cwd(), *Path.cwd().parents)
    return next((folder for folder in above if (folder / PIPELINES[0]).exists()), Path(__file__).parents[2])
