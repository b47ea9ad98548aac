"""Many gates, one error rate. In: p-values. Out: p-values adjusted for the family they belong to."""

from collections.abc import Sequence
from math import isnan


def holm(pvalues: Sequence[float], *, total: int | None = None) -> list[float]:
    """Adjust p-values by Holm's step-down procedure.

    Rejecting every hypothesis whose adjusted p-value is at most alpha keeps the probability of any false
    rejection at alpha, whatever the dependence between them (Holm 1979, Scandinavian Journal of Statistics
    6, 65-70).

    Args:
        pvalues: p-values of the gates that were evaluated.
        total: gates in the plan; those not evaluated count with a p-value of 1. None: all were evaluated.

    Returns:
        Adjusted p-values in the order given, each at least its p-value and at most 1.

    Raises:
        ValueError: a p-value outside [0, 1], NaN among them, or ``total`` below their number.
    """
    gates = len(pvalues) if total is None else total
    if gates < len(pvalues):
        raise ValueError(f"{len(pvalues)} p-values for a plan of {gates} gates")
    for pvalue in pvalues:
        if isnan(pvalue) or not 0 <= pvalue <= 1:
            raise ValueError(f"not a p-value: {pvalue}")
    adjusted, largest = [1.0] * len(pvalues), 0.0
    for rank, index in enumerate(sorted(range(len(pvalues)), key=pvalues.__getitem__)):
        largest = max(largest, min(1.0, (gates - rank) * pvalues[index]))
        adjusted[index] = largest
    return adjusted
