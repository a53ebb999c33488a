"""Seconds and AUC of the cells of a K: recommenders of this repository beside torch-rechub, same rows, one thread.

The rows are those of `make look`: the released movie selection, the draw of each seed, its validation rows, the test
set. Ours trains all draws of a model and both of its heads in one run, as stage `baselines` does, and each head bears
half of the time; torch-rechub trains DIN, its model of a target and a history that learns from likes and dislikes, one
draw after the other, by its own CTRTrainer, which validates at every epoch. Its SASRec and GRU4Rec retrieve items from
pairs without dislikes, and are no models of these rows. Times are of the processor; for DIN with reading the rows.

Usage: TALLREC_BENCH_MIRROR=... PYTHONPATH=FOLDER_WITH_TORCH_RECHUB python tests/benchmarks/race_recommenders.py
"""

import argparse
import contextlib
import io
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score

from benchmark.artifacts import files, paths
from benchmark.data.samples_export import export_samples
from benchmark.data.tasks import few_shot_task
from benchmark.methods.baselines import train_baseline
from benchmark.methods.configuration import load_config, merge_presets
from benchmark.schema import Prediction
from benchmark.stages import draw, prepare, raw

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/pipeline/outside"))


def auc(labels: Mapping[str, bool], predictions: Sequence[Prediction]) -> float:
    return float(roc_auc_score([labels[p.sample_id] for p in predictions], [p.score for p in predictions]))


def show(name: str, seconds: float, n_cells: int, aucs: Sequence[float]) -> None:
    shown = f"{100 * statistics.fmean(aucs):.1f} (sd {100 * statistics.stdev(aucs):.1f})"
    print(f"| {name} | {n_cells} | {seconds:.1f} | {seconds / n_cells:.2f} | {shown} |", flush=True)


def race(n_shots: int) -> None:
    from din_of_torch_rechub import scores_of

    params = load_config()
    seeds = params.grid.seeds
    labels = files.read_labels(paths.labels_file("movie"))
    tasks = [few_shot_task("movie", "movie", n_shots, seed) for seed in seeds]
    values = params.baselines.model_copy(
        update={"training": params.baselines.training.model_copy(update={"n_threads": 1})}
    )
    print("| model | cells | processor seconds | a cell | AUC x100, mean over seeds |\n|---|---:|---:|---:|---|")
    for model in params.grid.baselines:
        start = time.process_time()
        found = train_baseline(model, values, tasks, domain="movie")
        seconds = time.process_time() - start
        for row, of_seeds in found.items():
            show(f"{row}, ours", seconds / len(found), len(seeds), [auc(labels, one) for one in of_seeds])
    for n_epochs, patience, how in ((20, 5, "20 epochs, patience 5"), (100, 100, "100 epochs")):
        aucs: list[float] = []
        seconds = 0.0
        for seed in seeds:
            folder = Path(f"exported{seed}")
            export_samples("movie", folder, params, n_shots, seed)
            start = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                scores = scores_of(folder, seed=seed, n_epochs=n_epochs, patience=patience)
            seconds += time.process_time() - start
            samples = files.read_samples(paths.test_file("movie"))
            aucs.append(auc(labels, [Prediction(s.sample_id, x) for s, x in zip(samples, scores, strict=True)]))
        show(f"DIN, torch-rechub, {how}", seconds, len(seeds), aucs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-shots", type=int, default=64)
    n_shots = parser.parse_args().n_shots
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copy(ROOT / "params.yaml", folder)
        merge_presets(["look"], Path("params.yaml"), write=True)
        for stage in (raw, prepare):
            assert stage.main(["--domain", "movie"]) == 0
        assert draw.main([]) == 0
        race(n_shots)


if __name__ == "__main__":
    main()
