"""Scores and their clusters: several samples of one prompt count as one independent unit.

In: one score per sample and, optionally, one cluster name per sample. Out: checked arrays, and one mean and
size per cluster.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Clusters = Sequence[Hashable] | NDArray[Any]


@dataclass(frozen=True)
class Units:
    """The independent units of a sample.

    Attributes:
        means: mean score of each cluster, shape (clusters,).
        sizes: samples in each cluster, shape (clusters,).
    """

    means: Floats
    sizes: Floats

    @property
    def mean(self) -> float:
        """Mean over samples, which is the mean over clusters weighted by their sizes."""
        return float(self.means @ self.sizes / self.sizes.sum())


def as_scores(scores: ArrayLike, name: str, lower: float | None, upper: float | None) -> Floats:
    """Return the scores as a float array, or say what is wrong with them.

    Args:
        scores: one score per sample, shape (n,).
        name: what to call them in a message.
        lower: smallest possible score, None when there is none.
        upper: largest possible score, None when there is none.

    Raises:
        ValueError: not one-dimensional, empty, not finite, outside the bounds, or only one bound given.
    """
    array = np.asarray(scores, dtype=float)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name}: expected a non-empty list of scores, found shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {np.count_nonzero(~np.isfinite(array))} scores are not finite numbers")
    if lower is None or upper is None:
        if lower is not upper:
            raise ValueError("give both bounds of the scores, or neither")
    elif not lower < upper:
        raise ValueError(f"the lower bound {lower} is not below the upper bound {upper}")
    elif array.min() < lower or array.max() > upper:
        raise ValueError(f"{name}: scores reach from {array.min()} to {array.max()}, outside [{lower}, {upper}]")
    return array


def paired_scores(
    candidate: ArrayLike, reference: ArrayLike, lower: float | None, upper: float | None
) -> tuple[Floats, Floats]:
    """Return both models' scores as arrays of one length; `as_scores` says what else is refused."""
    new = as_scores(candidate, "candidate", lower, upper)
    old = as_scores(reference, "reference", lower, upper)
    if len(new) != len(old):
        raise ValueError(f"paired scores differ in number: candidate {len(new)}, reference {len(old)}")
    return new, old


def check_alpha(alpha: float) -> None:
    """Raise ValueError unless alpha is a one-sided error rate in (0, 0.5]."""
    if not 0 < alpha <= 0.5:
        raise ValueError(f"alpha must lie in (0, 0.5], found {alpha}")


def group(scores: Floats, clusters: Clusters | None) -> Units:
    """Average the scores of each cluster; without clusters every sample is its own.

    Raises:
        ValueError: as many cluster names as scores are needed.
    """
    if clusters is None:
        return Units(scores, np.ones_like(scores))
    if len(clusters) != len(scores):
        raise ValueError(f"{len(clusters)} cluster names for {len(scores)} scores")
    codes = cluster_codes(clusters)
    sizes = np.bincount(codes).astype(float)
    return Units(np.bincount(codes, weights=scores) / sizes, sizes)


def cluster_codes(clusters: Clusters) -> NDArray[np.intp]:
    """Return a number from 0 up for each sample's cluster."""
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind in "iu":
        return np.unique(clusters, return_inverse=True)[1]
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in clusters], dtype=np.intp)
