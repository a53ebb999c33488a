"""p-values of many comparisons at once: how often the largest of them is as extreme by chance (max-T).

Comparisons of one table share users and methods, so they are far from independent; a correction that does not know that
(Holm, Bonferroni) asks for more than is needed.

Source:
    Westfall and Young 1993, single-step max-T; here with normal draws of the correlation that the influences have.
"""

from collections.abc import Sequence

import numpy as np
import scipy.special  # pyright: ignore[reportMissingTypeStubs]

from benchmark.statistics.auc import Floats

N_DRAWS = 20_000
"""Draws of the largest comparison: a p-value of 0.05 is known within 0.003."""


def adjusted(p_values: Sequence[float], covariance: Floats, seed: int) -> list[float]:
    """Two-sided p-values, each the chance that any of the comparisons is as extreme where no difference exists.

    Args:
        p_values: of each comparison by itself.
        covariance: shape (n, n), of the differences; the diagonal is their squared standard errors.
        seed: of the draws.
    """
    if not p_values:
        return []
    errors = np.sqrt(np.diag(covariance))
    scale = np.divide(1, errors, out=np.zeros_like(errors), where=errors > 0)
    correlation = covariance * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(correlation)
    # The symmetric root: influences that were rounded in a file give the same draws, whatever the eigenvectors are.
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    normal = np.random.default_rng(seed).standard_normal((N_DRAWS, len(p_values)))
    largest = np.sort(np.abs(normal @ root).max(axis=1))
    # A p-value of a t distribution, as the z that has the same one.
    z = -np.asarray(scipy.special.ndtri(np.asarray(p_values) / 2))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    n_beyond = (N_DRAWS - np.searchsorted(largest, z, side="left")).tolist()
    # Draws end where p-values of a single comparison go on; there Bonferroni holds, which is never too small.
    n = len(p_values)
    return [min(1.0, n * p, max(p, (1 + beyond) / (1 + N_DRAWS))) for beyond, p in zip(n_beyond, p_values, strict=True)]
