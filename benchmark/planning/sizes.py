"""Rows of the splits and prompts, as far as they are known before a run."""

from dataclasses import dataclass
from typing import Any

from benchmark.config.params import Params
from benchmark.data.domains import format_module
from benchmark.planning.model import tokenizer
from benchmark.planning.prompts import Prompts
from benchmark.planning.rows import rows_of
from benchmark.schema import EXTENDED

RELEASED_SPLIT = (0.8, 0.1, 0.1)
"""Of the released files, which are split already."""
RELEASED_BOOK_ROWS = (2427, 2427)
"""Validation and test rows of the released book data, for a format whose size no file foretells."""
FURTHER_USERS = 835
"""Users of MovieLens-100K who are in none of the 10,000 released rows; each has 20 ratings or more."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows and prompts, as far as they are known before a run."""

    n_valid: dict[str, int]
    n_test: dict[str, int]
    """By test set, no more than `evaluate.max_test_samples`."""
    prompts: Prompts
    assumed: tuple[str, ...]
    """Domains whose rows are not known yet."""

    def tokens_of(self, domain: str | None = None) -> int:
        """Tokens of a long prompt of `domain`, or of the domain with the longest."""
        domains = self.n_valid if domain is None else (domain,)
        return max(self.prompts.of(name).longest for name in domains)


def sizes(params: Params, n_tokens: int | None = None, *, tokenizes: bool = True) -> Sizes:
    """Rows of the splits and the prompts of what is asked.

    Args:
        params: the configuration.
        n_tokens: overrides the length of a prompt, in every domain.
        tokenizes: whether the tokenizer is loaded, if it is here.
    """
    known = {domain: rows_of(params, domain) for domain in params.grid.domains}
    n_valid: dict[str, int] = {}
    n_test: dict[str, int] = {}
    for domain, rows in known.items():
        n_rows_valid, n_test[domain] = (len(rows.valid), len(rows.test)) if rows else _foretold_rows(params, domain)
        if params.domains[domain].has_extended:
            n_test[domain + EXTENDED] = rows.n_extended if rows else _extended_rows(params, domain)
        n_valid[domain] = min(n_rows_valid, params.tune.max_valid_samples or n_rows_valid)
    most = params.evaluate.max_test_samples
    n_test = {name: min(n_rows, most or n_rows) for name, n_rows in n_test.items()}
    is_asked = params.grid.recipes or params.grid.icl_models or params.grid.other_models
    found = tokenizer(params) if tokenizes and is_asked and n_tokens is None else None
    prompts = Prompts(params, known, found, n_tokens)
    return Sizes(n_valid, n_test, prompts, tuple(domain for domain, rows in known.items() if rows is None))


def _foretold_rows(params: Params, domain: str) -> tuple[int, int]:
    """Validation and test rows in proportion to the training rows that the format foretells, or as released."""
    section = params.domains[domain]
    n_train_of = getattr(format_module(section.format), "max_n_shots", None)
    n_train = n_train_of(section) if n_train_of else None
    if n_train is None:
        return RELEASED_BOOK_ROWS
    train, valid, test = getattr(section, "split", RELEASED_SPLIT)
    return round(n_train * valid / train), round(n_train * test / train)


def _extended_rows(params: Params, domain: str) -> int:
    """Rows of the further test set, of about as many users as there will be beyond the splits."""
    section: Any = params.domains[domain]
    return FURTHER_USERS * section.extended_rows_per_user
