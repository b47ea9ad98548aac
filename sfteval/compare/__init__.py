"""Two runs, one gate: what can be compared, and by how much they differ.

Comes in: a `Gate` and runs. Goes out: a `Comparison`; "not comparable" is a value with a reason.
"""

from sfteval.compare.drawn import DRAWS
from sfteval.compare.figures import Comparer, compare

__all__ = ["DRAWS", "Comparer", "compare"]
