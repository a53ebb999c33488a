"""A model that knows the export alone: logistic regression on the item and the likes of a history.

Usage: python logistic.py EXPORTED_FOLDER SCORES.csv
"""

import csv
import json
import sys
from pathlib import Path

from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def features(row: dict) -> dict[str, float]:
    likes = row["history_liked"]
    return {f"item {row['item_id']}": 1.0, "share of likes": sum(likes) / len(likes) if likes else 0.5}


def main(folder: Path, out: Path) -> None:
    train, test = read(folder / "train.jsonl"), read(folder / "test.jsonl")
    names = DictVectorizer()
    model = LogisticRegression()
    model.fit(names.fit_transform(map(features, train)), [row["liked"] for row in train])
    scores = model.decision_function(names.transform(map(features, test)))
    with out.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sample_id", "user_id", "item_id", "digest", "score"])
        for row, score in zip(test, scores, strict=True):
            writer.writerow([row["sample_id"], row["user_id"], row["item_id"], row["digest"], score])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
