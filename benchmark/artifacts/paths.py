"""Where each artifact lies, from the raw files to the metrics."""

from pathlib import Path

from benchmark.schema import Cell

PARAMS_YAML = Path("params.yaml")
MIRROR_VARIABLE = "TALLREC_BENCH_MIRROR"
"""Environment variable that names the mirror of the raw files."""
SPLITS = ("train", "valid", "test")
METRICS_CSV = Path("results/metrics.csv")
METRICS_JSON = Path("results/metrics.json")
PROBES_CSV = Path("results/probes.csv")
COST_CSV = Path("results/cost.csv")
COST_JSON = Path("results/cost.json")
EFFICIENCY_JSON = Path("results/efficiency.json")
BASE_MODEL = Path("models/base")

CELL_FOLDERS = {
    "control": "{train_domain}-{test_domain}/{method}",
    "baseline": "{train_domain}-{test_domain}/{model}/{method}",
    "icl": "{method}/{train_domain}-{test_domain}",
    "tuned": "{method}/{train_domain}-{test_domain}",
}
"""Folder of a cell inside its family. The first part is the matrix item of the stage that writes it, so that each
stage owns one folder."""


def raw_folder(domain: str) -> Path:
    """Where stage `raw` puts the files of a domain."""
    return Path("data/raw") / domain


def prepared_folder(domain: str) -> Path:
    """Where stage `prepare` puts items, samples and statistics of a domain; the test labels are not among them."""
    return Path("data/prepared") / domain


def labels_file(domain: str) -> Path:
    """The test labels of a domain, which `evaluate` alone reads."""
    return Path("data/labels") / domain / "test.parquet"


def ceiling_file(domain: str) -> Path:
    """The Bayes AUC of an embedded domain; other domains have no such file."""
    return labels_file(domain).with_name("ceiling.json")


def texts_file(domain: str) -> Path:
    """The vectors of the item texts of a domain."""
    return Path("data/texts") / domain / "vectors.parquet"


def draw_file(domain: str, n_shots: int, seed: int) -> Path:
    """The id list of one few-shot draw."""
    return Path("data/fewshot") / domain / f"k{n_shots}" / f"seed{seed}.json"


def cell_folder(root: str | Path, cell: Cell) -> Path:
    """Folder of a cell below `root`, e.g. `predictions` or `runs`."""
    keys = {"method": cell.method, "train_domain": cell.train_domain, "test_domain": cell.test_domain}
    keys["model"] = cell.method.split("-")[0]
    inner = CELL_FOLDERS[cell.family].format(**keys)
    return Path(root) / cell.family / inner / f"k{cell.n_shots}" / f"seed{cell.seed}"


def adapter_folder(variant: str, n_shots: int, seed: int) -> Path:
    """The rec-tuning adapter of one cell."""
    return Path("models/tuned") / variant / f"k{n_shots}" / f"seed{seed}"


def probe_folder(name: str) -> Path:
    """Predictions on changed inputs, by probe: of a variant, e.g. `tallrec-movie`, or of a baseline on a domain."""
    return Path("predictions/probe") / name
