"""A small finished run in a folder of its own: what `evaluate` and `report` read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.methods.configuration import load_config
from benchmark.methods.grid import cells
from benchmark.schema import Interaction, Item, Labelled, Prediction, Sample
from benchmark.seeding import derive_seed
from benchmark.verdicts.paper import load_paper

REPOSITORY = Path(__file__).parents[3]
N_TRAIN = {"movie": 100, "book": 100}
N_TEST = 60
GRID = {
    "domains": ("movie", "book"),
    "n_shots": (4, 16),
    "seeds": (0, 1),
    "controls": ("random", "liked_share", "item_mean"),
    "baselines": ("gru4rec",),
    "recipes": ("tallrec", "rt"),
    "train_domains": ("movie", "book", "both"),
    "icl_models": ("alpaca",),
    "prompts": ("released",),
}


@pytest.fixture
def grid() -> dict[str, Any]:
    """A small grid."""
    return GRID


@pytest.fixture
def params(grid: dict[str, Any]) -> Params:
    """The committed configuration with this grid."""
    committed = load_config(REPOSITORY / "params.yaml")
    return committed.model_copy(
        update={
            "grid": committed.grid.model_copy(update=grid),
            "icl": committed.icl.model_copy(update={"n_demonstrations": (0,)}),
        }
    )


def liked(sample_id: str) -> bool:
    """The answer of a test sample."""
    return derive_seed("answer", sample_id) % 2 == 0


@pytest.fixture
def once(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[], object]], None]:
    """Fills the working directory as a function would, which runs the first time alone: later tests get copies."""

    def fill(name: str, make: Callable[[], object]) -> None:
        key = f"{name} of {params!r}"
        if key in _MADE:
            shutil.copytree(_MADE[key], Path.cwd(), dirs_exist_ok=True)
            return
        make()
        _MADE[key] = tmp_path_factory.mktemp(name)
        shutil.copytree(Path.cwd(), _MADE[key], dirs_exist_ok=True)

    return fill


_MADE: dict[str, Path] = {}


@pytest.fixture
def finished_run(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch, once: Callable[[str, Callable[[], object]], None]
) -> Path:
    """A folder with the inputs of every cell.

    The movie domain has 6 users, and as many others in a further test set; book has one user a row.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("benchmark.stages.evaluate.load_config", lambda: params)
    monkeypatch.setattr("benchmark.report.inputs.load_config", lambda: params)
    once("finished", lambda: _write_run(params))
    return tmp_path


def _write_run(params: Params) -> None:
    for domain in params.grid.domains:
        for test_set in params.test_sets(domain):
            ids = [f"{test_set}-{row:03d}" for row in range(N_TEST)]
            users = [f"{test_set}-u{row // 10 if domain == 'movie' else row}" for row in range(N_TEST)]
            samples = [
                Sample(sample_id, user, (Interaction("i1", liked=True),), "i2")
                for sample_id, user in zip(ids, users, strict=True)
            ]
            files.write_samples(paths.test_file(test_set), samples)
            files.write_labels(paths.labels_file(test_set), {sample_id: liked(sample_id) for sample_id in ids})
        folder = paths.prepared_folder(domain)
        items = {f"i{n}": Item(f"i{n}", domain, f"{n} (1995)", f'"{n} (1995)"') for n in (1, 2)}
        files.write_items(folder / "items.parquet", items)
        for split in ("train", "valid"):
            rows = [_other_row(f"{domain}-{split}-{row}", f"i{row}") for row in range(max(20, *params.grid.n_shots))]
            files.write_labelled(folder / f"{split}.parquet", rows)
        for n_shots in params.grid.n_shots:
            for seed in params.grid.every_seed:
                drawn = [f"{domain}-train-{row}" for row in range(n_shots)]
                draw = {"ids": {"llm": drawn, "conventional": drawn}}
                files.write_json(paths.draw_folder(domain, n_shots, seed) / "draw.json", draw)
        split = {"users": 6, "like_rate": 0.5}
        splits = {"train": {"rows": N_TRAIN[domain]} | split, "test": {"rows": N_TEST} | split}
        further = {"extended": {"rows": N_TEST} | split} if params.domains[domain].has_extended else {}
        files.write_json(folder / "stats.json", {"splits": splits, "notes": {"broken_lines": 3}} | further)
    for cell in cells(params, N_TRAIN):
        predictions = [
            Prediction(sample_id, (noise(cell, sample_id) + liked(sample_id) * (cell.family == "tuned")) / 2.5)
            for sample_id in (f"{cell.test_domain}-{row:03d}" for row in range(N_TEST))
        ]
        files.write_predictions("predictions", cell, predictions)


@pytest.fixture
def on_the_papers_rows(finished_run: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small run, once `evaluate` is done, as if on the paper's test rows and model, with stand-ins on book."""
    formats = {"movie": "ml-100k", "book": "released-csv"}
    domains = {
        name: params.domains[name].model_copy(update={"source": "official", "format": data_format})
        for name, data_format in formats.items()
    }
    llm = params.llm.model_copy(update={"model": "huggyllama/llama-7b"})
    real = params.model_copy(update={"domains": domains, "llm": llm})
    monkeypatch.setattr("benchmark.report.inputs.load_config", lambda: real)
    for domain, n_rows in load_paper().test_rows.items():
        path = paths.prepared_folder(domain) / "stats.json"
        stats = files.read_json(path)
        stats["splits"]["test"]["rows"] = n_rows
        stats["notes"]["stand_in"] = {"train.json": "train.sample.json"} if domain == "book" else None
        files.write_json(path, stats)
    return finished_run


def noise(cell: object, sample_id: str) -> float:
    """A number in [0, 1.5)."""
    return 1.5 * derive_seed(str(cell), sample_id) / 2**32


def _other_row(sample_id: str, target: str) -> Labelled:
    """A training or validation row, of a user of its own."""
    return Labelled(Sample(sample_id, f"user of {sample_id}", (), target), liked(sample_id))
