"""Where each artifact lies, from the raw files to the metrics."""

from pathlib import Path

from benchmark.schema import EXTENDED, Cell, domain_of

PARAMS_YAML = Path("params.yaml")
PIPELINES = (Path("dvc.yaml"), Path("tallrec/dvc.yaml"))
"""Where stages are defined, each with its lock beside it; those of the second file run if the first one needs them."""
MIRROR_VARIABLE = "TALLREC_BENCH_MIRROR"
"""Environment variable that names the mirror of the raw files."""
SPLITS = ("train", "valid", "test")
METRICS_CSV = Path("results/metrics.csv")
METRICS_JSON = Path("results/metrics.json")
PROBES_CSV = Path("results/probes.csv")
COST_CSV = Path("results/cost.csv")
COST_JSON = Path("results/cost.json")
BASE_MODEL = Path("models/base")
STARTS = Path("models/start")
"""What is tuned or asked, by the names of recipes and in-context models: `tallrec/` and `alpaca/` hold the instruction
adapter, `rt/` and `base/` say that there is none yet."""
DEMONSTRATIONS = Path("data/demonstrations")
EFFICIENCY = Path("runs/efficiency")
"""What stage `efficiency` measured, a file a configuration: among the records, of which none has to be there."""
MEMORISED = Path("runs/memorised")
"""What stage `memorised` found, a file a domain: among the records too."""
KEPT_RUNS = Path("docs/results")
"""Runs that git holds, a folder each, which `tallrec-bench keep` and `submit` write."""
ENTRY_JSON = "entry.json"
"""In such a folder: where the run comes from."""
LOOK = Path("scratch/look")
"""Where `tallrec-bench look` runs."""

CELL_FOLDERS = {
    "control": "{train_domain}-{domain}/{test_set}/{method}",
    "baseline": "{train_domain}-{domain}/{model}/{test_set}/{method}",
    "icl": "{method}/{train_domain}-{domain}/{test_set}",
    "tuned": "{method}/{train_domain}-{domain}/{test_set}",
    "external": "{method}/{test_domain}",
}
"""Folder of a cell inside its family. The first part is the matrix item of the stage that writes it, so that each
stage owns one folder; of `external`, each cell."""


def run_folder() -> Path:
    """Where the run lies that a command speaks of: here, or where nothing was run here, that of `look`."""
    return LOOK if not METRICS_CSV.exists() and (LOOK / METRICS_CSV).exists() else Path()


def raw_folder(domain: str) -> Path:
    """Where stage `raw` puts the files of a domain."""
    return Path("data/raw") / domain


def prepared_folder(domain: str) -> Path:
    """Where stage `prepare` puts items, samples and statistics of a domain; the test labels are not among them."""
    return Path("data/prepared") / domain


def test_file(test_domain: str) -> Path:
    """The samples of a test set, without their labels."""
    return prepared_folder(domain_of(test_domain)) / f"{_test_set(test_domain)}.parquet"


def labels_file(test_domain: str) -> Path:
    """The labels of a test set, which `evaluate`, `variance` and `export released` alone read."""
    return Path("data/labels") / domain_of(test_domain) / f"{_test_set(test_domain)}.parquet"


def _test_set(test_domain: str) -> str:
    return "extended" if test_domain.endswith(EXTENDED) else "test"


def ceiling_file(domain: str) -> Path:
    """The Bayes AUC of the test set of an embedded domain; other domains have no such file."""
    return labels_file(domain).with_name("ceiling.json")


def texts_file(domain: str) -> Path:
    """The vectors of the item texts of a domain."""
    return Path("data/texts") / domain / "vectors.parquet"


def fewshot_folder(train_domain: str) -> Path:
    """The draws of a training domain, and beside them what all of them share: validation rows and items."""
    return Path("data/fewshot") / train_domain


def draw_folder(train_domain: str, n_shots: int, seed: int) -> Path:
    """One few-shot draw: its id lists and its rows."""
    return fewshot_folder(train_domain) / f"k{n_shots}" / f"seed{seed}"


def demonstrations_folder(domain: str, n_shots: int, seed: int) -> Path:
    """One draw of demonstrations, as `draw_folder`; apart, so that another K is none of their business."""
    return DEMONSTRATIONS / domain / f"k{n_shots}" / f"seed{seed}"


def cell_folder(root: str | Path, cell: Cell) -> Path:
    """Folder of a cell below `root`, e.g. `predictions` or `runs`."""
    inner = CELL_FOLDERS[cell.family].format(
        method=cell.method,
        model=cell.method.split("-")[0],
        train_domain=cell.train_domain,
        test_domain=cell.test_domain,
        domain=domain_of(cell.test_domain),
        test_set=_test_set(cell.test_domain) if cell.test_domain.endswith(EXTENDED) else ".",
    )
    return Path(root) / cell.family / inner / f"k{cell.n_shots}" / f"seed{cell.seed}"


def unavailable_file(root: str | Path, method: str) -> Path:
    """Where stage `others` says, below `predictions` or `runs`, why an in-context model could not be had."""
    return Path(root) / "icl" / method / "unavailable.json"


def adapter_folder(variant: str, n_shots: int, seed: int) -> Path:
    """The rec-tuning adapter of one cell."""
    return Path("models/tuned") / variant / f"k{n_shots}" / f"seed{seed}"


def probe_folder(name: str) -> Path:
    """Predictions on changed inputs, by probe: of a variant, e.g. `tallrec-movie`, or of a baseline on a domain."""
    return Path("predictions/probe") / name


def efficiency_file(configuration: str) -> Path:
    """What was measured of one configuration of `efficiency.configurations`."""
    return EFFICIENCY / f"{configuration}.json"


def memorised_file(domain: str) -> Path:
    """What the model of section `llm` knew by heart of the raw files of a domain."""
    return MEMORISED / f"{domain}.json"
