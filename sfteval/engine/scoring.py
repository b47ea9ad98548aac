"""Score jobs in, responses out, over the prefix tree: every distinct (prefix, token) goes through the body once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sfteval.engine import packing, trie
from sfteval.engine.intake import ScoreJob, failed
from sfteval.engine.memory import Budget, ran_out
from sfteval.engine.reads import Reads, Totals
from sfteval.engine.tree_attention import Carried, TreePass
from sfteval.records import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.engine.figures import Tally
    from sfteval.engine.wiring import Wiring


def scored(job: ScoreJob, loglikelihood: float, greedy: bool) -> Response:
    """Return the response of a scored job."""
    return Response(
        job.key,
        loglikelihood=loglikelihood,
        is_greedy=greedy,
        prompt_tokens=len(job.tokens) + 1 - len(job.targets),
        output_tokens=len(job.targets),
        truncated=job.truncated,
    )


class TreeScorer:
    """Scores jobs in depth-first order of their prefix trie.

    Args:
        wiring: The model.
        budget: Tokens per forward pass.
        tally: Where work is counted.
        suspect: Called with a job whose logits were not finite; answers it alone.
    """

    def __init__(self, wiring: Wiring, budget: Budget, tally: Tally, suspect: Callable[[ScoreJob], Response]) -> None:
        self._wiring, self._budget, self._tally, self._suspect = wiring, budget, tally, suspect

    def score(self, jobs: Sequence[ScoreJob], emit: Callable[[Sequence[Response]], None]) -> None:
        """Answer every job; where memory runs out at the smallest budget, the jobs concerned fail."""
        pending = list(jobs)
        while pending:
            pending = self._walk(pending, emit)

    def _walk(self, jobs: Sequence[ScoreJob], emit: Callable[[Sequence[Response]], None]) -> list[ScoreJob]:
        tree = trie.build([job.tokens for job in jobs])
        self._tally.tokens_distinct += len(tree.tokens)
        reads = Reads.of(
            [
                trie.nodes(path, len(job.tokens) - len(job.targets), len(job.tokens))
                for job, path in zip(jobs, tree.paths, strict=True)
            ],
            [job.targets for job in jobs],
        )
        totals = Totals([len(job.targets) for job in jobs])
        start, carried = 0, Carried()
        while start < len(tree.tokens):
            step = packing.plan(tree, start, self._budget.tokens, carried.tokens)
            mine = reads.between(step.start, step.stop)
            try:
                done, carried = self._forward(tree, step, carried, mine, totals)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                if not self._budget.halve():
                    return self._give_up(jobs, tree, step, totals, emit)
                continue
            emit([self._answer(jobs[job], job, totals) for job in done])
            start = step.stop
        return []

    def _forward(
        self, tree: trie.Trie, step: packing.Pass, carried: Carried, reads: Reads, totals: Totals
    ) -> tuple[list[int], Carried]:
        """Compute one pass; `totals` changes only when nothing can fail any more."""
        plan = TreePass(step, carried)
        nodes = slice(step.start, step.stop)
        tokens, depths = torch.from_numpy(tree.tokens[nodes])[None], torch.from_numpy(tree.depths[nodes])[None]
        hidden = self._wiring.hidden(tokens, depths, plan)[0]
        rows = np.unique(reads.nodes) - step.start
        wanted = hidden[torch.from_numpy(rows).to(hidden.device)]
        done = totals.add(reads, self._wiring.logits(wanted)) if len(rows) else []
        self._tally.tokens_forwarded += step.stop - step.start
        self._tally.rows_projected += len(rows)
        self._tally.batches += 1
        return done, plan.kept

    def _answer(self, job: ScoreJob, index: int, totals: Totals) -> Response:
        if not totals.finite[index]:
            return self._suspect(job)
        return scored(job, float(totals.loglikelihood[index]), bool(totals.greedy[index]))

    def _give_up(
        self,
        jobs: Sequence[ScoreJob],
        tree: trie.Trie,
        step: packing.Pass,
        totals: Totals,
        emit: Callable[[Sequence[Response]], None],
    ) -> list[ScoreJob]:
        """Fail the jobs that need this pass; return those that can still be answered."""
        needs = [
            any(s.node < step.stop and s.node + s.length > step.start for s in path) and totals.missing[j] > 0
            for j, path in enumerate(tree.paths)
        ]
        message = f"memory ran out at {self._budget.tokens} tokens per batch; use a smaller model or a larger machine"
        emit([failed(job.key, "out_of_memory", message) for job, lost in zip(jobs, needs, strict=True) if lost])
        return [job for j, job in enumerate(jobs) if totals.missing[j] > 0 and not needs[j]]
