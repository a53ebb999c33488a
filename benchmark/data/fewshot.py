"""Few-shot draws: which training rows a method may see. Written once, shared by all methods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from benchmark.errors import ConfigError
from benchmark.seeding import derive_seed


@dataclass(frozen=True, slots=True)
class Draw:
    """Sample ids of one draw, in the order they are seen."""

    llm: tuple[str, ...]
    """For tuned and in-context language models."""
    conventional: tuple[str, ...]
    """For controls and conventional baselines; the same ids unless the draw is the released one."""


def draw(
    train_ids: Sequence[str],
    n_shots: int,
    seed: int,
    domain: str,
    how: Literal["shared", "released"] = "shared",
) -> Draw:
    """`n_shots` different ids of the training split. Of `shared` draws of one seed, a larger one begins with a smaller.

    Args:
        train_ids: sample ids of the training split; for `released` in file order, for `shared` in any order.
        n_shots: K.
        seed: one of `grid.seeds`.
        domain: enters the shared draw, so that domains do not draw the same positions.
        how: `fidelity.draw`.

    Raises:
        ConfigError: the training split has fewer rows than `n_shots`.

    Source:
        `released` follows TALLRec's scripts: the LLM takes the first K rows of a `datasets` shuffle and
        shuffles them with the same seed again; the baselines take a pandas `sample`. One seed gives the two
        sides different rows.
    """
    if n_shots > len(train_ids):
        raise ConfigError(
            f"params.yaml: grid.n_shots (or icl.n_demonstrations): {n_shots} is more than the "
            f"{len(train_ids)} training rows of {domain}"
        )
    if how == "released":
        return Draw(_datasets_shuffle(train_ids, n_shots, seed), _pandas_sample(train_ids, n_shots, seed))
    pool = sorted(train_ids)
    rng = np.random.default_rng(derive_seed("fewshot", domain, seed))  # without K: larger draws hold the smaller
    order: list[int] = rng.permutation(len(pool))[:n_shots].tolist()
    ids = tuple(pool[index] for index in order)
    return Draw(ids, ids)


def _datasets_shuffle(train_ids: Sequence[str], n_shots: int, seed: int) -> tuple[str, ...]:
    first = np.random.default_rng(seed).permutation(len(train_ids))[:n_shots]
    order: list[int] = first[np.random.default_rng(seed).permutation(n_shots)].tolist()
    return tuple(train_ids[index] for index in order)


def _pandas_sample(train_ids: Sequence[str], n_shots: int, seed: int) -> tuple[str, ...]:
    # The legacy generator on purpose: it is what pandas makes of an integer random_state.
    order: list[int] = np.random.RandomState(seed).choice(len(train_ids), size=n_shots, replace=False).tolist()
    return tuple(train_ids[index] for index in order)
