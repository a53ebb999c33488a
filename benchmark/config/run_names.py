"""What a run, its model and its methods are called on a page: nothing that ran here goes by a name of the paper."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from benchmark.config.overlays import PRESETS, leaves, preset_names, preset_text
from benchmark.config.params import LlmParams, Params
from benchmark.config.reading import parse_yaml

SIZES = ("look", "smoke", "real-cpu", "paper", "follow-ups")
"""Presets that say what a run is about; others change a part of it."""
PARTS = ("short", "few-shot", "in-depth", "ledger", "data/embedded", "data/ml-1m", "data/ml-32m")
"""Of these others, those that are named where all their values hold, and the size has others."""
DATA = {
    "ml-100k": "MovieLens-100K",
    "ml-1m": "MovieLens-1M",
    "ml-32m": "MovieLens-32M",
    "bookcrossing": "BookCrossing",
    "released-csv": "BookCrossing",
    "released-json": "BookCrossing",
}
"""Data set by format; another format goes by its own name."""
PAPERS_MODEL = "LLaMA-7B"
SPELLED = {"smollm2": "SmolLM2"}
"""Words of file names that have capitals elsewhere than at the front."""
RECIPES = {"tallrec": "TALLRec", "rt": "RT alone"}


def model_name(llm: LlmParams) -> str:
    """A short name, e.g. `tiny LM`, `Gemma 3 270M` of a GGUF file, `Qwen3-0.6B-Base` of the Hub."""
    if llm.model == "tiny":
        return "tiny LM"
    path = PurePosixPath(llm.model)
    if path.suffix != ".gguf":
        return PAPERS_MODEL if path.name.lower() == PAPERS_MODEL.lower() else path.name
    words = re.sub(r"[-.](i?q\d\w*|bf16|f16|f32)$", "", path.stem.lower()).split("-")
    sized = (word.upper() if re.fullmatch(r"[\d.]+[mb]", word) else word.capitalize() for word in words)
    return " ".join(SPELLED.get(word, shown) for word, shown in zip(words, sized, strict=True))


def data_names(params: Params) -> str:
    """The data sets of the grid, each once."""
    sections = [params.domains[domain] for domain in params.grid.domains]
    names = ["embedded world" if one.source == "embedded" else DATA.get(one.format, one.format) for one in sections]
    return " and ".join(dict.fromkeys(names))


def asks_language_model(params: Params) -> bool:
    """Whether the grid has a cell that a language model fills."""
    return bool(params.grid.recipes or params.grid.icl_models or params.grid.other_models)


def method_name(params: Params, method: str, domain: str = "") -> str:
    """A method as tables call it: a tuned one names its model, and what it was tuned on unless that is `domain`."""
    return method_of(model_name(params.llm), method, domain)


def method_of(model: str, method: str, domain: str = "") -> str:
    """The same, of a model by its short name."""
    recipe, _, tuned_on = method.partition("-")
    if recipe not in RECIPES or not tuned_on:
        return method
    return f"{RECIPES[recipe]} ({model})" + ("" if tuned_on == domain else f", tuned on {tuned_on}")


def presets_of(params: Params) -> str:
    """The presets that come nearest to a configuration, and how many of their values it changes."""
    held = dict(leaves(params.model_dump(mode="json", serialize_as_any=True)))
    of = {name: dict(leaves(parse_yaml(preset_text(name), PRESETS / name))) for name in preset_names()}
    models = [name for name in of if name.startswith("llm/") and of[name].get("llm.model") == held["llm.model"]]
    models = models if asks_language_model(params) else []
    unused = tuple(f"domains.{domain}." for domain in params.domains if domain not in params.grid.domains)
    used = {key: value for key, value in held.items() if not key.startswith(unused)}
    parts = [name for name in of if name in PARTS and all(used.get(key) == value for key, value in of[name].items())]
    expected = {size: _joined(of[name] for name in (size, *models[:1], *parts)) for size in SIZES}
    best = min(SIZES, key=lambda size: len(_changed(expected[size], held)) / len(expected[size]))
    if best == "smoke":  # it is the tiny model on generated data
        models = [name for name in models if name != "llm/tiny"]
    parts = [name for name in parts if any(of[best].get(key) != value for key, value in of[name].items())]
    n_changed = len(_changed(expected[best], held))
    names = " ".join((best, *models[:1], *parts))
    return names + (f", {n_changed} value{'s' if n_changed > 1 else ''} changed" if n_changed else "")


def _joined(parts: Iterable[Mapping[str, object]]) -> dict[str, object]:
    return {key: value for part in parts for key, value in part.items()}


def _changed(expected: Mapping[str, object], held: Mapping[str, object]) -> list[str]:
    return [key for key, value in expected.items() if key in held and held[key] != value]
