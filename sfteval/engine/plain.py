"""Score jobs in, responses out, without the tree: rows sorted by length, padded on the right, through `model(...)`.

For architectures where a packed tree would be wrong. The outermost model is called, so that PEFT's virtual tokens
(their logits come first) and forward hooks are in force. Right padding is invisible to causal models, so no
mask is passed, as in lm-eval's `HFLM`. Sequences that are a prefix of another are still read from the longer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sfteval.engine import trie
from sfteval.engine.intake import ScoreJob, failed
from sfteval.engine.memory import Budget, ran_out
from sfteval.engine.reads import Reads, Totals
from sfteval.engine.scoring import scored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.engine.figures import Tally
    from sfteval.engine.trie import Tokens
    from sfteval.records import Response

ROW_CHUNK = 256
# The whole batch's logits are held, since the body and head cannot be told apart: 512 MB in fp32.
BATCH_LOGITS = 2**27


def input_device(model: Any) -> torch.device:
    """Return the device that token ids must be on."""
    device: torch.device = model.get_input_embeddings().weight.device
    return device


def padded_logits(model: Any, rows: Sequence[Tokens], pad: int) -> torch.Tensor:
    """Return the logits of right-padded rows, [rows, longest, vocabulary], virtual tokens' logits removed."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad, dtype=np.int64)
    for place, row in zip(ids, rows, strict=True):
        place[: len(row)] = row
    logits: torch.Tensor = model(input_ids=torch.from_numpy(ids).to(input_device(model)), use_cache=False).logits
    return logits[:, -longest:]


def forget_lengths(model: Any, pad: int) -> None:
    """Make dynamic RoPE forget longer rows seen before: it keeps their scaling until a row fits the trained length."""
    padded_logits(model, [np.asarray([pad])], pad)


class PlainScorer:
    """Scores jobs in padded batches, longest first.

    Args:
        model: The outermost model.
        pad: Id that fills rows up.
        same_length: Rows of one batch must be equally long (position scaling that depends on the batch's longest row).
        budget: Padded tokens per batch.
        tally: Where work is counted.
        suspect: Called with a job whose logits were not finite; answers it alone.
    """

    def __init__(
        self,
        model: Any,
        pad: int,
        same_length: bool,
        budget: Budget,
        tally: Tally,
        suspect: Callable[[ScoreJob], Response],
    ) -> None:
        self._model, self._pad, self._same_length = model, pad, same_length
        self._budget, self._tally, self._suspect = budget, tally, suspect
        self._width = max(1, int(model.get_input_embeddings().weight.shape[0]))

    def score(self, jobs: Sequence[ScoreJob], emit: Callable[[Sequence[Response]], None]) -> None:
        """Answer every job."""
        self._tally.tokens_distinct += len(trie.build([job.tokens for job in jobs]).tokens)
        waiting = self._covered(jobs)
        waiting.sort(key=lambda row: -len(row[0]))
        while waiting:
            size = self._batch_size([len(tokens) for tokens, _ in waiting])
            batch = waiting[:size]
            try:
                answers = self._batch([tokens for tokens, _ in batch], [[jobs[j] for j in of] for _, of in batch])
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                if size > 1 and self._budget.halve():
                    continue
                message = "memory ran out on one sequence alone; use a smaller model or a larger machine"
                answers = [failed(jobs[j].key, "out_of_memory", message) for _, of in batch for j in of]
            emit(answers)
            del waiting[:size]

    def _covered(self, jobs: Sequence[ScoreJob]) -> list[tuple[Tokens, list[int]]]:
        """Return the longest sequences with the jobs that read from them."""
        rows: list[tuple[Tokens, list[int]]] = []
        order = sorted(range(len(jobs)), key=lambda j: trie.sort_key(jobs[j].tokens))
        for j in reversed(order):
            tokens = jobs[j].tokens
            # Under length-dependent positions a prefix is not computed as it would be alone.
            if (
                rows
                and trie.shared(rows[-1][0], tokens) == len(tokens)
                and (not self._same_length or len(rows[-1][0]) == len(tokens))
            ):
                rows[-1][1].append(j)
            else:
                rows.append((tokens, [j]))
        return rows

    def _batch_size(self, lengths: Sequence[int]) -> int:
        size = max(1, min(self._budget.tokens, BATCH_LOGITS // self._width) // lengths[0])
        if self._same_length:
            size = min(size, sum(length == lengths[0] for length in lengths))
        return size

    def _batch(self, rows: Sequence[Tokens], jobs: Sequence[Sequence[ScoreJob]]) -> list[Response]:
        if self._same_length:
            forget_lengths(self._model, self._pad)
        logits = padded_logits(self._model, rows, self._pad)
        width = logits.shape[1]
        flat = [(job, row) for row, members in enumerate(jobs) for job in members]
        nodes = [
            np.arange(len(job.tokens) - len(job.targets), len(job.tokens), dtype=np.int64) + row * width
            for job, row in flat
        ]
        reads = Reads.of(nodes, [job.targets for job, _ in flat])
        totals = Totals([len(job.targets) for job, _ in flat])
        totals.add(reads, _chunks(logits.reshape(-1, logits.shape[-1]), np.unique(reads.nodes)))
        self._tally.tokens_forwarded += len(rows) * width
        self._tally.rows_projected += len(rows) * width
        self._tally.batches += 1
        return [
            scored(job, float(totals.loglikelihood[i]), bool(totals.greedy[i]))
            if totals.finite[i]
            else self._suspect(job)
            for i, (job, _) in enumerate(flat)
        ]


def _chunks(logits: torch.Tensor, rows: Tokens) -> Iterator[tuple[slice, torch.Tensor]]:
    for start in range(0, len(rows), ROW_CHUNK):
        chunk = rows[start : start + ROW_CHUNK]
        yield slice(start, start + len(chunk)), logits[torch.from_numpy(chunk).to(logits.device)].float()
