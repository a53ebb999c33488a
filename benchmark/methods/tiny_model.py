"""Section `base` of `params.yaml` -> the shape of the tiny LLaMA."""

from typing import TYPE_CHECKING

from benchmark.config.params import Params

if TYPE_CHECKING:
    from tallrec.tiny.shape import TinyModel


def tiny_shape(params: Params) -> "TinyModel":
    """Shape of the tiny LLaMA."""
    from tallrec.tiny.shape import TinyModel

    base = params.base
    return TinyModel(
        vocabulary_size=base.vocabulary_size,
        hidden_size=base.hidden_size,
        intermediate_size=base.intermediate_size,
        n_layers=base.n_layers,
        n_heads=base.n_heads,
        max_positions=base.max_positions,
    )
