"""DIN as torch-rechub trains it, knowing the export alone.

Usage: python din_of_torch_rechub.py EXPORTED_FOLDER SCORES.parquet
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader
from torch_rechub.basic.features import SequenceFeature, SparseFeature
from torch_rechub.models.ranking import DIN
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import TorchDataset

LENGTH, WIDTH, EPOCHS = 10, 16, 20


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def scores_of(folder: Path, *, seed: int = 0, n_epochs: int = EPOCHS, patience: int = 5) -> list[float]:
    """The score of each row of `test.jsonl`, in its order, by a DIN that is trained on the folder."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    train, valid, test, items = (read(folder / f"{name}.jsonl") for name in ("train", "valid", "test", "items"))
    number = {item["item_id"]: n for n, item in enumerate(items, start=1)}  # 0 pads

    def inputs(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        liked = [
            [number[i] for i, is_liked in zip(r["history"], r["history_liked"], strict=True) if is_liked] for r in rows
        ]
        shares = [round(10 * float(np.mean(r["history_liked"] or [0.5]))) for r in rows]
        padded = [[0] * (LENGTH - len(one[-LENGTH:])) + one[-LENGTH:] for one in liked]
        return {
            "item": np.array([number[row["item_id"]] for row in rows]),
            "history": np.array(padded),
            "share": np.array(shares),
        }

    def loader(rows: list[dict[str, Any]], *, is_shuffled: bool) -> DataLoader[Any]:
        liked = np.array([row.get("liked", False) for row in rows], dtype=np.float32)  # none of test rows is known
        return DataLoader(TorchDataset(inputs(rows), liked), batch_size=32 if is_shuffled else 256, shuffle=is_shuffled)

    n = len(items) + 1
    model = DIN(
        features=[SparseFeature("share", 11, WIDTH)],
        history_features=[SequenceFeature("history", n, WIDTH, pooling="concat", shared_with="item", padding_idx=0)],
        target_features=[SparseFeature("item", n, WIDTH)],
        mlp_params={"dims": [32, 16]},
        attention_mlp_params={"dims": [16]},
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = CTRTrainer(
            model, optimizer_params={"lr": 1e-2}, n_epoch=n_epochs, earlystop_patience=patience, model_path=scratch
        )
        trainer.fit(loader(train, is_shuffled=True), loader(valid, is_shuffled=False))
    return trainer.predict(model, loader(test, is_shuffled=False))


def main(folder: Path, out: Path) -> None:
    rows = [
        {**{name: row[name] for name in ("sample_id", "user_id", "item_id")}, "score": score}
        for row, score in zip(read(folder / "test.jsonl"), scores_of(folder), strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
