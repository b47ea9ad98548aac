"""Statistics: numbers in, numbers out.

In: arrays of scores, clusters, error rates. Out: estimates with one-sided bounds, p-values that invert
them, sample sizes. Knows nothing of suites, models or verdicts. scipy is loaded on the first use of a
distribution, not on import.
"""

from sfteval.stats.association import fisher_more
from sfteval.stats.binary import PairedBinaryTest, mcnemar_midp, mcnemar_midp_drop, score_bounds, tango_score
from sfteval.stats.changes import Changes
from sfteval.stats.family import Family, Stratum, stratified_changes, stratified_difference, stratified_drop_pvalue
from sfteval.stats.finite import SETTLED, FiniteEstimate, finite_mean, finite_pvalue, proportional_blocks
from sfteval.stats.multiplicity import holm
from sfteval.stats.paired import Paired, PairedEstimate, drop_pvalue, gain_pvalue, paired_changes, paired_difference
from sfteval.stats.power import samples_needed, samples_to_pass, smallest_detectable_drop
from sfteval.stats.single import MeanEstimate, mean_bounds

__all__ = [
    "SETTLED",
    "Changes",
    "Family",
    "FiniteEstimate",
    "MeanEstimate",
    "Paired",
    "PairedBinaryTest",
    "PairedEstimate",
    "Stratum",
    "drop_pvalue",
    "finite_mean",
    "finite_pvalue",
    "fisher_more",
    "gain_pvalue",
    "holm",
    "mcnemar_midp",
    "mcnemar_midp_drop",
    "mean_bounds",
    "paired_changes",
    "paired_difference",
    "proportional_blocks",
    "samples_needed",
    "samples_to_pass",
    "score_bounds",
    "smallest_detectable_drop",
    "stratified_changes",
    "stratified_difference",
    "stratified_drop_pvalue",
    "tango_score",
]
