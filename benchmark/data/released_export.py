"""Prepared data in the released JSON form, for the released scripts and their descendants."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmark.artifacts import files, paths
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.data.domains.released_json import Prompt, render_input
from benchmark.schema import Item, Labelled

_INSTRUCTION = (
    "Given the user's preference and unpreference, identify whether the user will like the target {noun} "
    'by answering "Yes." or "No.".'
)


def export(domain: str, split: str, out: Path, params: Params) -> None:
    """Write a split of a prepared domain to `out` as rows of instruction, input and output, or not at all.

    With the released movie selection the three files are the released ones, byte for byte.

    Args:
        domain: a key of `domains`.
        split: `train`, `valid` or `test`.
        out: the JSON file to write.
        params: the configuration the domain was prepared with.

    Raises:
        ConfigError: there is no such domain.
        MissingArtifactError: stage `prepare` did not write the domain.
    """
    refuse_unknown("domains", domain, params.domains)
    folder = paths.prepared_folder(domain)
    items = files.read_items(folder / "items.parquet")
    if split == "test":
        labels = files.read_labels(paths.labels_file(domain))
        samples = files.read_samples(folder / "test.parquet")
        rows = tuple(Labelled(sample, labels[sample.sample_id]) for sample in samples)
    else:
        rows = files.read_labelled(folder / f"{split}.parquet")
    content = [_row(row, items, params.domains[domain].noun) for row in rows]
    files.write_bytes(out, json.dumps(content, indent=4).encode("ascii"))


def _row(row: Labelled, items: Mapping[str, Item], noun: str) -> dict[str, str]:
    history = row.sample.history
    prompt = Prompt(
        liked=tuple(items[event.item_id].mention for event in history if event.liked),
        disliked=tuple(items[event.item_id].mention for event in history if not event.liked),
        target=items[row.sample.target_item_id].text,
        answer=row.liked,
    )
    return {
        "instruction": _INSTRUCTION.format(noun=noun),
        "input": render_input(prompt, noun),
        "output": "Yes." if prompt.answer else "No.",
    }
