"""The run store: a journal while a run is being made, Parquet and a manifest once it is whole.

Comes in: responses and samples. Goes out: `Run` records, and responses that need not be computed again. Rank 2;
imports neither torch nor, before a Parquet file is touched, pyarrow. The format is described in `layout` (files),
`journal` (lines), `columns` (Parquet), `encoding` (text) and `history` (trainings).
"""

from sfteval.store.history import HISTORY_FORMAT, TrainingHistory, read_history
from sfteval.store.noise import read_noise, write_noise
from sfteval.store.promotions import Promotion
from sfteval.store.queries import RunQueries
from sfteval.store.references import is_ahead
from sfteval.store.runs import RunStore
from sfteval.store.writer import RunWriter

__all__ = [
    "HISTORY_FORMAT",
    "Promotion",
    "RunQueries",
    "RunStore",
    "RunWriter",
    "TrainingHistory",
    "is_ahead",
    "read_history",
    "read_noise",
    "write_noise",
]
