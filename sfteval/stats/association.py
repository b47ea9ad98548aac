"""Whether one thing goes with another in unpaired samples.

Comes in: the four counts of a table. Goes out: a p-value. Reference: Fisher, "The logic of inductive inference", 1935.
"""

from __future__ import annotations

from math import comb


def fisher_more(hit: int, missed: int, other_hit: int, other_missed: int) -> float:
    """Return Fisher's exact one-sided p-value for "the first group is hit more often than the other".

    Args:
        hit: Hit samples of the first group.
        missed: Its other samples.
        other_hit: Hit samples of the other group.
        other_missed: Its other samples.

    Returns:
        Probability of at least `hit` hits in the first group, given all margins; 1.0 where a group is empty.
    """
    first, hits = hit + missed, hit + other_hit
    misses = missed + other_missed
    tables = sum(comb(hits, k) * comb(misses, first - k) for k in range(hit, min(first, hits) + 1))
    return tables / comb(hits + misses, first)
