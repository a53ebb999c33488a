"""Rows of the splits and length of a prompt, as far as they are known before a run."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmark.artifacts import files, paths
from benchmark.config.params import Params
from benchmark.data.domains import format_module
from benchmark.methods.pinning import is_gguf
from benchmark.schema import EXTENDED

RELEASED_SPLIT = (0.8, 0.1, 0.1)
"""Of the released files, which are split already."""
RELEASED_BOOK_ROWS = (2427, 2427)
"""Validation and test rows of the released book data, for a format whose size no file foretells."""
FURTHER_USERS = 835
"""Users of MovieLens-100K who are in none of the 10,000 released rows; each has 20 ratings or more."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and prompt lengths, as far as they are known before a run."""

    n_valid: dict[str, int]
    n_test: dict[str, int]
    """By test set, no more than `evaluate.max_test_samples`."""
    n_tokens: dict[str, int]
    """Of a prompt of each domain; the longest of a batch."""
    tokens_are_measured: bool
    """False: a domain is not prepared, and `llm.max_length` bounds its prompts."""
    assumed: tuple[str, ...]
    """Domains whose rows are not known yet."""

    def tokens_of(self, domain: str | None = None) -> int:
        """Tokens of a prompt of `domain`, or of the domain with the longest."""
        return max(self.n_tokens.values()) if domain is None else self.n_tokens[domain]


def sizes(params: Params, n_tokens: int | None = None) -> Sizes:
    """Rows of the splits and the length of a prompt.

    Args:
        params: the configuration.
        n_tokens: overrides the length of a prompt, in every domain.
    """
    n_valid: dict[str, int] = {}
    n_test: dict[str, int] = {}
    assumed: list[str] = []
    for domain in params.grid.domains:
        rows = _rows(params, domain)
        if rows is None:
            assumed.append(domain)
        n_rows_valid, n_test[domain] = rows or RELEASED_BOOK_ROWS
        if params.domains[domain].has_extended:
            n_test[domain + EXTENDED] = _extended_rows(params, domain)
        n_valid[domain] = min(n_rows_valid, params.tune.max_valid_samples or n_rows_valid)
    most = params.evaluate.max_test_samples
    n_test = {name: min(n_rows, most or n_rows) for name, n_rows in n_test.items()}
    known = {domain: n_tokens or _measured_tokens(params, domain) for domain in params.grid.domains}
    lengths = {domain: length or params.llm.max_length for domain, length in known.items()}
    return Sizes(n_valid, n_test, lengths, all(known.values()), tuple(assumed))


def _rows(params: Params, domain: str) -> tuple[int, int] | None:
    """Validation and test rows as prepared, else in proportion to the training rows that the format foretells."""
    stats_file = paths.prepared_folder(domain) / "stats.json"
    if stats_file.exists():
        splits = files.read_json(stats_file)["splits"]
        return splits["valid"]["rows"], splits["test"]["rows"]
    section = params.domains[domain]
    n_train_of = getattr(format_module(section.format), "max_n_shots", None)
    n_train = n_train_of(section) if n_train_of else None
    if n_train is None:
        return None
    train, valid, test = getattr(section, "split", RELEASED_SPLIT)
    return round(n_train * valid / train), round(n_train * test / train)


def _extended_rows(params: Params, domain: str) -> int:
    """Rows of the further test set as prepared, else of about as many users as there will be beyond the splits."""
    stats_file = paths.prepared_folder(domain) / "stats.json"
    if stats_file.exists():
        found = files.read_json(stats_file).get("extended")
        return found["rows"] if found else 0
    section: Any = params.domains[domain]
    n_users = FURTHER_USERS
    if section.source == "embedded":
        population = params.world.populations[section.format]
        rows_a_user = fmean(population.ratings_per_user) - section.history_length
        n_users = max(population.n_users - round(section.n_samples / rows_a_user), 0)
    return n_users * section.extended_rows_per_user


def _measured_tokens(params: Params, domain: str) -> int | None:
    """95th percentile of prompt lengths in a domain's test samples, if the tokenizer is on this machine."""
    import transformers

    from tallrec.prompts.rendering import render

    is_here = params.llm.model == "tiny" or is_gguf(params.llm.model)
    source = str(paths.BASE_MODEL) if is_here else params.llm.model
    try:
        kind: Any = transformers.AutoTokenizer
        tokenizer: Any = kind.from_pretrained(source, revision=params.llm.revision, trust_remote_code=False)
    except (OSError, ValueError):
        return None
    folder = paths.prepared_folder(domain)
    if not (folder / "test.parquet").exists():
        return None
    samples, items = files.read_samples(folder / "test.parquet")[:200], files.read_items(folder / "items.parquet")
    lengths = sorted(len(tokenizer(render("released", s, items, stray_comment=True))["input_ids"]) for s in samples)
    return min(lengths[int(0.95 * (len(lengths) - 1))] + 3, params.llm.max_length)
