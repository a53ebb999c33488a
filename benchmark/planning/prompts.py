"""The lengths of prompts before a run: some rows of this configuration, rendered and cut into tokens.

Without the tokenizer words and signs are counted, without rows a length is assumed; both are said to be estimated.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.config.params import Params
from benchmark.methods import language_models
from benchmark.planning.rows import Rows
from benchmark.schema import Labelled, Sample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

N_ROWS = 128
"""Rows of a domain that are rendered."""
PIECE = re.compile(r"\w{1,6}|[^\w\s]|\n")
"""Of about one token of a language model."""
ASSUMED_TOKENS, ASSUMED_SHARED = 230, 75
"""Of a prompt and of what all prompts begin with, as MovieLens has them, where no row is at hand."""


@dataclass(frozen=True)
class Prompted:
    """Token ids of some prompts."""

    ids: Sequence[list[int]]

    @cached_property
    def mean(self) -> float:
        """Tokens of a prompt."""
        return sum(map(len, self.ids)) / len(self.ids)

    @cached_property
    def longest(self) -> int:
        """95th percentile of the tokens of a prompt, and an answer."""
        return sorted(map(len, self.ids))[int(0.95 * (len(self.ids) - 1))] + 3

    def computed(self, rows_a_batch: int, *, shares_beginning: bool = True, of_all: bool = False) -> float:
        """Tokens a row that are computed in batches of rows of about one length: padded, without what is shared.

        Args:
            rows_a_batch: at least 1.
            shares_beginning: whether what the rows of a batch begin with is computed once.
            of_all: whether once for all batches, as in scoring.
        """
        from tallrec.token_sequences import n_shared

        ordered = sorted(self.ids, key=len, reverse=True)
        batches = [ordered[first : first + rows_a_batch] for first in range(0, len(ordered), rows_a_batch)]
        total = 0
        for batch in batches:
            alike = min(n_shared(min(batch), max(batch)), len(batch[-1]) - 1)
            shared = alike if shares_beginning and len(batch) > 1 else 0
            total += len(batch) * (len(batch[0]) - shared) + (0 if of_all else shared)
        return total / len(ordered)


class Prompts:
    """The prompts of a configuration, each kind rendered once."""

    def __init__(
        self,
        params: Params,
        rows: Mapping[str, Rows | None],
        tokenizer: "PreTrainedTokenizerBase | None",
        n_tokens: int | None = None,
    ) -> None:
        """Of the rows of each domain, cut by the tokenizer of the model; `n_tokens` overrides what is found."""
        self.params, self.rows, self.tokenizer, self.n_tokens = params, rows, tokenizer, n_tokens
        self._known: dict[tuple[str, str, int], Prompted] = {}

    @property
    def are_measured(self) -> bool:
        """Whether rows of every domain were rendered and cut by the tokenizer of the model."""
        is_known = self.tokenizer is not None and all(self.rows[domain] for domain in self.params.grid.domains)
        return self.n_tokens is not None or is_known

    def of(self, domain: str, style: str = "released", n_demonstrations: int = 0) -> Prompted:
        """The prompts of a domain in a style."""
        key = (domain, style, n_demonstrations)
        if key not in self._known:
            self._known[key] = Prompted(self._ids(*key))
        return self._known[key]

    def _ids(self, domain: str, style: str, n_demonstrations: int) -> list[list[int]]:
        rows = self.rows[domain]
        if self.n_tokens is not None or rows is None:
            n_tokens, shared = (self.n_tokens, 0) if self.n_tokens is not None else (ASSUMED_TOKENS, ASSUMED_SHARED)
            shared += n_demonstrations * n_tokens
            return [[*range(shared), *[-row - 1] * (n_tokens * (1 + n_demonstrations) - shared)] for row in range(16)]
        every = max(1, len(rows.test) // N_ROWS)
        samples, shown = rows.test[::every][:N_ROWS], rows.train[:n_demonstrations]
        if self.tokenizer is None:
            return [self._counted(style, sample, rows, shown) for sample in samples]
        from tallrec.scoring.samples import encode_samples

        scoring = language_models.scoring(self.params, style)
        return encode_samples(self.tokenizer, samples, rows.items, scoring, shown).prompts

    def _counted(self, style: str, sample: Sample, rows: Rows, shown: Sequence[Labelled]) -> list[int]:
        from tallrec.prompts.rendering import render

        stray = self.params.fidelity.prompt == "released"
        text = render(style, sample, rows.items, stray_comment=stray, demonstrations=shown)
        return [hash(piece) for piece in PIECE.findall(text)]
