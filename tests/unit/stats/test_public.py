"""The package's face: its names, and an import that stays cheap."""

import subprocess
import sys

import numpy as np
import pytest

import sfteval.stats
from sfteval.stats import drop_pvalue, paired_difference


def test_public_names() -> None:
    assert sfteval.stats.__all__ == [
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
    assert all(hasattr(sfteval.stats, name) for name in sfteval.stats.__all__)


def test_import_does_not_load_scipy() -> None:
    code = "import sys, sfteval.stats; print(sorted(m for m in sys.modules if m.split('.')[0] == 'scipy'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_fifty_gates_of_100000_pairs_take_little_memory() -> None:
    import tracemalloc

    rng = np.random.default_rng(1)
    gates = [(rng.random(100_000), rng.random(100_000)) for _ in range(25)]
    gates += [(rng.random(100_000) < 0.7, rng.random(100_000) < 0.7 + k / 1000) for k in range(25)]
    paired_difference([1, 0], [0, 0])
    for candidate, reference in gates:
        paired_difference(candidate, reference)
        drop_pvalue(candidate, reference, margin=0.01)
    tracemalloc.start()
    paired_difference(*gates[0])
    assert tracemalloc.get_traced_memory()[1] < 1e9 / 50
    tracemalloc.stop()
