"""A prepared domain as JSON lines: what it takes to train a model elsewhere and to score the test samples with it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.artifacts import files, paths
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.data.external_scores import REQUIRED, WITNESSES
from benchmark.data.tasks import few_shot_task
from benchmark.errors import refuse_other_folder
from benchmark.schema import EXTENDED, Labelled, Sample

ITEMS = "items.jsonl"

README = """# Samples of `{domain}`

One JSON object a line. `history` holds the items that the user rated before, oldest first, and `history_liked` whether
they liked each.

- `train.jsonl`: {train}. `valid.jsonl`: for the choice of a checkpoint. Both have `liked`.
- `{tests}`: to be scored. The answers stay with the benchmark.
- `items.jsonl`: the title of every item.

Scores come back as a file of `{required}` (CSV, Parquet or JSON lines), one row a sample in any order, higher for a
more likely like. Repeat `{witnesses}` or some of them from the samples: a file whose ids were
shuffled contradicts itself then. An entry of `external` in params.yaml makes it a row of every table:

```yaml
external:
  - name: my-model              # ours: of the row
    path: scores.csv            # ours: the file
    test_domain: {domain}
    n_shots: {n_shots}
    seed: {seed}
    trained: true               # ours: another seed would give other scores
```
"""


def export_samples(domain: str, folder: Path, params: Params, n_shots: int, seed: int) -> None:
    """Write training rows, validation rows, test samples and items of a domain into `folder`, whole or not at all.

    Args:
        domain: a key of `domains`.
        folder: replaced.
        params: the configuration that the domain was prepared with.
        n_shots: rows of the few-shot draw to train on, one of `grid.n_shots`; 0: all training rows.
        seed: of the draw.

    Raises:
        ConfigError: there is no such domain or draw, or `folder` holds something else.
        MissingArtifactError: stage `prepare`, or `draw` for a draw, did not write what is needed.
    """
    grid = params.grid
    refuse_unknown("grid.domains", domain, grid.domains)
    refuse_unknown("grid.n_shots", str(n_shots), ["0", *map(str, grid.n_shots)])
    refuse_unknown("grid.seeds", str(seed), [*map(str, grid.every_seed)])
    prepared = paths.prepared_folder(domain)
    train, valid = (files.read_labelled(prepared / f"{split}.parquet") for split in ("train", "valid"))
    if n_shots:
        task = few_shot_task(domain, domain, n_shots, seed)
        train, valid = task.train, task.valid
    items = files.read_items(prepared / "items.parquet").values()
    tests = {("extended" if name.endswith(EXTENDED) else "test"): name for name in params.test_sets(domain)}
    told = f"the {n_shots} rows of draw {seed}" if n_shots else f"all {len(train)} training rows"
    readme = README.format(
        **{"domain": domain, "train": told, "n_shots": n_shots or len(train), "seed": seed},
        tests="`, `".join(f"{name}.jsonl" for name in tests),
        required="`, `".join(REQUIRED),
        witnesses="`, `".join(WITNESSES),
    )
    refuse_other_folder(folder, "README.md", ITEMS)
    with files.replacing_folder(folder) as temporary:
        for split, rows in (("train", train), ("valid", valid)):
            _write_lines(temporary / f"{split}.jsonl", map(_labelled, rows))
        for name, test_set in tests.items():
            samples = files.read_samples(paths.test_file(test_set))
            _write_lines(temporary / f"{name}.jsonl", map(_asked, samples))
        _write_lines(temporary / ITEMS, ({"item_id": i.item_id, "title": i.text} for i in items))
        files.write_bytes(temporary / "README.md", readme.encode())


def _asked(sample: Sample) -> dict[str, Any]:
    return {
        "sample_id": sample.sample_id,
        **{name: of(sample) for name, of in WITNESSES.items()},
        "history": [event.item_id for event in sample.history],
        "history_liked": [event.liked for event in sample.history],
    }


def _labelled(row: Labelled) -> dict[str, Any]:
    return {**_asked(row.sample), "liked": row.liked}


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    files.write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
