"""Names of methods and how each is built; model code is imported only when a method is built."""

import ast
import importlib
from functools import partial
from pathlib import Path

from benchmark.controls import CONTROLS
from benchmark.errors import ConfigError
from benchmark.params import BaselineParams
from benchmark.schema import Method

__all__ = ["CONTROLS", "baseline_keywords", "build_baseline", "build_control"]

BASELINES_FOLDER = Path(__file__).parent.parent / "baselines"


def build_control(name: str) -> Method:
    """The control called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in CONTROLS:
        raise ConfigError(f"grid.controls: unknown name {name!r}, expected one of {', '.join(CONTROLS)}")
    return CONTROLS[name].predict


def build_baseline(name: str, params: BaselineParams) -> Method:
    """The baseline of `baselines/<name>.py` with its values from `params`. Imports torch.

    Raises:
        ConfigError: `params` has no section for it, or there is no such file.
    """
    if name not in params.models:
        raise ConfigError(f"baselines.models.{name}: missing")
    baseline_keywords(name)
    training = importlib.import_module("baselines.training").Training(**params.training.model_dump())
    return partial(importlib.import_module(f"baselines.{name}").predict, training=training, **params.models[name])


def baseline_keywords(name: str) -> dict[str, str]:
    """Keyword-only arguments of `baselines/<name>.py: predict` and their types, read without importing torch.

    Raises:
        ConfigError: there is no such file, or it has no function `predict`.
    """
    path = BASELINES_FOLDER / f"{name}.py"
    if not path.is_file():
        raise ConfigError(f"grid.baselines, baselines.models.{name}: there is no file baselines/{name}.py")
    functions = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    if "predict" not in functions:
        raise ConfigError(f"grid.baselines, baselines.models.{name}: baselines/{name}.py has no function `predict`")
    return {arg.arg: ast.unparse(arg.annotation) for arg in functions["predict"].args.kwonlyargs if arg.annotation}
