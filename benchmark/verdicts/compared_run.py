"""What the regression gate compares with: the metrics of a file or a git revision, and the predictions behind them."""

import subprocess
from pathlib import Path
from typing import Any

from benchmark.artifacts.paths import METRICS_CSV
from benchmark.errors import MissingArtifactError
from benchmark.statistics.results import MetricRow, parse_rows, read_rows


def reference_rows(against: str) -> list[MetricRow]:
    """The metrics to compare with.

    Args:
        against: a file; else a revision of this git repository, whose `results/metrics.csv` is read; else
            `REVISION:PATH`.

    Raises:
        MissingArtifactError: there is no such file or revision, or the revision has no such file.
        SchemaError: it is no table of metrics.
    """
    path = Path(against)
    if path.is_file():
        return read_rows(path)
    blob = against if ":" in against else f"{against}:{METRICS_CSV.as_posix()}"
    shown = subprocess.run(["git", "show", blob], capture_output=True, text=True, check=False)
    if shown.returncode:
        reason = (shown.stderr.strip().splitlines() or ["unknown"])[0].removeprefix("fatal: ")
        raise MissingArtifactError(f"--against {against}: neither a file nor a git revision with metrics ({reason})")
    return parse_rows(shown.stdout, blob)


def fetch_predictions(revision: str, folder: Path) -> bool:
    """Copy the predictions of a revision from the DVC cache to `folder`, a new one; False if they are not all there.

    A revision with a path, `REVISION:PATH`, is a table alone.
    """
    if ":" in revision:
        return False
    import dvc.api  # pyright: ignore[reportMissingTypeStubs]
    import dvc.exceptions  # pyright: ignore[reportMissingTypeStubs]

    api: Any = dvc.api
    try:
        api.DVCFileSystem(rev=revision).get("predictions", str(folder), recursive=True)
    except (dvc.exceptions.DvcException, OSError):
        return False
    return True
