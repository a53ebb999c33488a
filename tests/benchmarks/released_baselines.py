"""Time of one cell: the procedure of the released baseline scripts against `baselines.training.fit`, on one core.

The procedure (SAI990323/TALLRec at 30b8a5e, written anew): one cell at a time; the rows of a batch are parsed from
text at every update; every 5 updates valid.csv and test.csv are read and parsed again, all rows go through an output
layer of the whole catalogue, and AUC and the accuracy at 13 thresholds are computed. Ours trains all cells in one run.

Both run the same cells (the released draw of each K and seed) in this process, on one thread, on the real files. The
weights start from different random numbers, so AUCs agree within seed noise, which is printed beside them. Times are of
the processor, so other work on the machine counts less; those of the whole grid are of the clock.

The procedure takes minutes a cell on book. With --reference-updates it stops after so many updates, and the time of
all of them is extrapolated, which the output says; there is no AUC of it then.

Usage: TALLREC_BENCH_MIRROR=... python tests/benchmarks/released_baselines.py movie --models gru4rec caser sasrec
       TALLREC_BENCH_MIRROR=... python tests/benchmarks/released_baselines.py movie book --alone --threads 2
"""

import argparse
import ast
import csv
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from baselines import caser, dros, gru4rec, sasrec
from baselines.training import Training, fit
from benchmark.config.overlays import merged, preset_text
from benchmark.data.domains import DomainData, format_module
from benchmark.data.fewshot import draw
from benchmark.methods.configuration import load_config
from benchmark.schema import FewShotTask

LENGTH, SIZE = 10, 64
THRESHOLDS = (0.00005, 0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
CATALOGUE = {"movie": 1683, "book": 271_381}
MODELS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "gru4rec": (gru4rec.model, {"hidden_size": SIZE, "n_layers": 4}),
    "caser": (caser.model, {"heights": (2, 3, 4), "n_filters": 16, "dropout": 0.1}),
    "sasrec": (sasrec.model, {"n_heads": 4, "dropout": 0.1}),
    "dros": (dros.model, {"hidden_size": SIZE, "n_layers": 4, "alpha": 0.4, "beta": 1.0, "gamma": 0.5}),
}


class Reference(nn.Module):
    """A model of plain torch layers with an output for every item of the catalogue."""

    def __init__(self, n_items: int, state_size: int) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items + 1, SIZE - 1)
        nn.init.normal_(self.items.weight, 0, 0.01)
        self.output = nn.Linear(state_size, n_items)

    def steps(self, history: Tensor, liked: Tensor) -> Tensor:
        """(n, LENGTH, SIZE)."""
        return torch.cat([self.items(history), liked.unsqueeze(-1)], dim=-1)


class Gru(Reference):
    """Packed sequences through four layers."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items, SIZE)
        self.gru = nn.GRU(SIZE, SIZE, 4, batch_first=True)

    def forward(self, history: Tensor, liked: Tensor) -> Tensor:
        steps, lengths = self.steps(history, liked), [LENGTH] * len(history)
        packed = nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        return self.output(self.gru(packed)[1][-1])


class Caser(Reference):
    """Convolutions over the history as an image."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items, 3 * 16 + SIZE)
        self.horizontal = nn.ModuleList(nn.Conv2d(1, 16, (height, SIZE)) for height in (2, 3, 4))
        self.vertical = nn.Conv2d(1, 1, (LENGTH, 1))
        self.dropout = nn.Dropout(0.1)

    def forward(self, history: Tensor, liked: Tensor) -> Tensor:
        image = self.steps(history, liked).unsqueeze(1)
        found = [layer(image).relu().squeeze(3).amax(2) for layer in self.horizontal]
        return self.output(self.dropout(torch.cat([*found, self.vertical(image).relu().flatten(1)], dim=1)))


class SasRec(Reference):
    """One block of attention at every position, of which the last is read."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items, SIZE)
        self.positions = nn.Embedding(LENGTH, SIZE)
        self.block = nn.TransformerEncoderLayer(SIZE, 4, SIZE, 0.1, batch_first=True)
        self.norm = nn.LayerNorm(SIZE)

    def forward(self, history: Tensor, liked: Tensor) -> Tensor:
        steps = self.steps(history, liked) + self.positions.weight
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        return self.output(self.norm(self.block(steps, src_mask=mask, is_causal=True))[:, -1])


REFERENCES: Mapping[str, Callable[[int], Reference]] = {"gru4rec": Gru, "caser": Caser, "sasrec": SasRec, "dros": Gru}


def parsed(table: pd.DataFrame) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """History, flags, targets and labels, parsed row by row and joined row by row, as the scripts do."""
    history, liked = np.empty((0, LENGTH), int), np.empty((0, LENGTH), int)
    targets, labels = [], []
    columns = ("history_item_id", "history_rating", "item_id", "rating")
    for items, flags, target, label in zip(*(table[name] for name in columns), strict=True):
        padded = [np.array(ast.literal_eval(text), dtype=int) for text in (items, flags)]
        padded = [np.pad(row, (0, LENGTH - len(row)), constant_values=row[-1]) for row in padded]
        history = np.concatenate((history, padded[0].reshape(1, -1)))
        liked = np.concatenate((liked, padded[1].reshape(1, -1)))
        targets.append(target)
        labels.append(label)
    return torch.from_numpy(history), torch.from_numpy(liked).float(), torch.tensor(targets), labels


def at_target(model: Reference, history: Tensor, liked: Tensor, targets: Tensor) -> Tensor:
    """Logits of the whole catalogue, read at the target."""
    return model(history, liked).gather(1, targets.view(-1, 1)).squeeze(1)


@torch.no_grad()
def evaluated(model: Reference, path: Path) -> float:
    """AUC of a split, read again from its file; the accuracies are computed as in the scripts, and not used here."""
    model.eval()
    history, liked, targets, labels = parsed(pd.read_csv(path))
    scores = at_target(model, history, liked, targets).sigmoid()
    for threshold in THRESHOLDS:
        _ = ((scores > threshold).float() == torch.tensor(labels)).float().mean().item()
    return float(roc_auc_score(labels, scores))


def released_cell(
    build: Callable[[int], Reference], folder: Path, domain: str, n_shots: int, seed: int, n: int
) -> float:
    """Test AUC at the best validation AUC of one cell of `n` updates."""
    torch.manual_seed(seed)
    rows = pd.read_csv(folder / "train.csv").sample(n=n_shots, random_state=seed)
    model = build(CATALOGUE[domain])
    optimizer = torch.optim.Adam(model.parameters(), 0.001, weight_decay=0.001)
    best = (-1.0, 0.0)
    for update in range(1, n + 1):
        model.train()
        history, liked, targets, labels = parsed(rows.sample(n=min(256, n_shots)))
        scores = at_target(model, history, liked, targets).sigmoid()
        optimizer.zero_grad()
        nn.functional.mse_loss(scores, torch.tensor(labels).float()).backward()
        optimizer.step()
        if update % 5 == 0:
            best = max(best, (evaluated(model, folder / "valid.csv"), evaluated(model, folder / "test.csv")))
    return best[1]


def read(domain: str, mirror: Path) -> DomainData:
    """The real rows; of books those that the released scripts ran on."""
    if domain == "book":
        released = format_module("released-csv")
        section = {"format": "released-csv", "source": "official", "noun": "book", "history_length": 10}
        return released.read(mirror / "tallrec-book", released.Params(**section, liked_above=5.0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(merged(Path("params.yaml").read_text(), preset_text("real-cpu")))
        section = load_config(path).domains["movie"]
    return format_module("ml-100k").read(mirror / "ml-100k", section)


def write_csv(data: DomainData, folder: Path) -> None:
    """The splits in the layout of the released files."""
    for split, rows in data.splits.items():
        with (folder / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["user", "history_item_id", "history_rating", "item_id", "rating"])
            for row in rows:
                history = [int(event.item_id.rsplit("-", 1)[-1]) for event in row.sample.history]
                flags = [int(event.liked) for event in row.sample.history]
                target = int(row.sample.target_item_id.rsplit("-", 1)[-1])
                writer.writerow([row.sample.user_id, history, flags, target, int(row.liked)])


def main() -> None:
    """Run both and print the ratio of their times a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", nargs="+", choices=CATALOGUE)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--shots", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--reference-seeds", nargs="+", type=int, default=[0], help="the procedure runs these alone")
    parser.add_argument("--reference-shots", nargs="+", type=int, help="as --shots, if the procedure runs fewer")
    parser.add_argument("--reference-updates", type=int, help="stop the procedure here and extrapolate its time")
    parser.add_argument("--alone", action="store_true", help="without the procedure: the grid as the stage runs it")
    parser.add_argument("--threads", type=int, default=1, help="of ours")
    arguments = parser.parse_args()
    start = time.perf_counter()
    for domain in arguments.domains:
        compare(domain, arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.perf_counter() - start:.0f} s by the clock in all, peak resident memory {peak:.2f} GiB")


def compare(domain: str, arguments: argparse.Namespace) -> None:
    """Run both on one domain."""
    torch.set_num_threads(1)
    data = read(domain, Path(os.environ["TALLREC_BENCH_MIRROR"]))
    by_id = {row.sample.sample_id: row for row in data.splits["train"]}
    test = {row.sample.sample_id: row.liked for row in data.splits["test"]}
    keys = [(n_shots, seed) for n_shots in arguments.shots for seed in arguments.seeds]
    tasks = [
        FewShotTask(
            tuple(by_id[i] for i in draw(list(by_id), n_shots, seed, domain, "released").conventional),
            data.splits["valid"],
            tuple(row.sample for row in data.splits["test"]),
            data.items,
            seed,
        )
        for n_shots, seed in keys
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_csv(data, Path(folder))
        for name in arguments.models:
            build, values = MODELS[name]
            n_updates = 500 if (name, domain) == ("caser", "book") else 100
            training = Training(0.001, 256, n_updates, 5, LENGTH, SIZE - 1, n_threads=arguments.threads)
            clock, start = time.perf_counter(), time.process_time()
            fitted = fit(partial(build, **values), tasks, training, weight_decays=[0.001])
            ours, clock = (time.process_time() - start) / len(tasks), time.perf_counter() - clock
            print(f"{domain} {name}: ours {ours:.3f} s a cell, {clock:.1f} s by the clock for {len(tasks)}", flush=True)
            aucs: dict[int, list[float]] = {}
            for (n_shots, _), (one,) in zip(keys, fitted, strict=True):
                labels = [test[prediction.sample_id] for prediction in one.predictions]
                auc = float(roc_auc_score(labels, [prediction.score for prediction in one.predictions]))
                aucs.setdefault(n_shots, []).append(auc)
            for n_shots, of_k in aucs.items():
                spread = statistics.stdev(of_k) if len(of_k) > 1 else float("nan")
                print(f"  K={n_shots}: AUC of ours {statistics.fmean(of_k):.4f}, sd over seeds {spread:.4f}")
            n_done = min(arguments.reference_updates or n_updates, n_updates)
            if arguments.alone:
                continue
            times: list[float] = []
            for n_shots in arguments.reference_shots or arguments.shots:
                start = time.process_time()
                released = statistics.fmean(
                    released_cell(REFERENCES[name], Path(folder), domain, n_shots, seed, n_done)
                    for seed in arguments.reference_seeds
                )
                seconds = (time.process_time() - start) / len(arguments.reference_seeds)
                how = f"AUC {released:.4f}"
                if n_done < n_updates:
                    how = f"{seconds:.1f} s, extrapolated from {n_done} of {n_updates} updates"
                times.append(seconds * n_updates / n_done)
                print(f"  K={n_shots}: released {times[-1]:.2f} s a cell ({how})", flush=True)
            theirs = statistics.fmean(times)
            print(f"  released {theirs:.2f} s a cell, ours {ours:.3f}: {theirs / ours:.1f} times", flush=True)


if __name__ == "__main__":
    main()
