"""Sequences of tokens, compared; of characters too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmark.errors import DataError, reason_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def n_shared(first: Sequence[object], second: Sequence[object]) -> int:
    """How many tokens, or characters, two sequences begin with alike."""
    shortest = min(len(first), len(second))
    return next((place for place in range(shortest) if first[place] != second[place]), shortest)


def tokens_of(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], **options: Any) -> Any:
    """What the tokenizer makes of texts, `input_ids` first of all.

    Args:
        tokenizer: of any kind.
        texts: to be encoded.
        options: of the tokenizer.

    Raises:
        DataError: it raises an error, as those do that have no token for a letter.
        NotImplementedError: it does not have an option.
    """
    try:
        return tokenizer(list(texts), **options)
    except NotImplementedError:
        raise
    except Exception as error:  # of Rust or Python, of any kind
        raise DataError(f"tokenizer: it does not take a text: {reason_of(error)}") from error
