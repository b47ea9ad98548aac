"""A job whose logits were NaN or infinite in; its true answer, or a failure that names the first broken layer, out.

A packed batch can spread one request's NaN to its neighbours, so each suspect is computed again alone.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sfteval.engine.intake import ScoreJob, failed
from sfteval.engine.plain import padded_logits
from sfteval.engine.reads import Reads, Totals
from sfteval.engine.scoring import scored

if TYPE_CHECKING:
    from sfteval.engine.trie import Tokens
    from sfteval.records import Response

CONFIRMED_ENOUGH = 8


class Suspects:
    """Answers requests whose logits were not finite, each alone.

    After CONFIRMED_ENOUGH broken ones, weights that are not finite are looked for; if a layer that every token passes
    has some, the rest fail unrepeated.
    """

    def __init__(self, model: Any, pad: int) -> None:
        self._model, self._pad = model, pad
        self._broken = 0
        self._layer = ""

    def answer(self, job: ScoreJob) -> Response:
        """Score one job alone; the failure `nan_logits` names the first layer whose output is not finite."""
        if self._broken >= CONFIRMED_ENOUGH and self._hopeless:
            return self._failure(job.key)
        logits = self._logits(job.tokens)
        totals = Totals([len(job.targets)])
        nodes = np.arange(len(job.tokens) - len(job.targets), len(job.tokens), dtype=np.int64)
        rows = logits[torch.from_numpy(nodes).to(logits.device)]
        totals.add(Reads.of([nodes], [job.targets]), iter([(slice(0, len(nodes)), rows.float())]))
        if totals.finite[0]:
            return scored(job, float(totals.loglikelihood[0]), bool(totals.greedy[0]))
        self._broken += 1
        return self._failure(job.key)

    @cached_property
    def _hopeless(self) -> bool:
        embedding = self._model.get_input_embeddings().weight
        weights = [weight for weight in self._model.parameters() if weight is not embedding]
        return not all(bool(torch.isfinite(weight).all()) for weight in weights)

    def check(self, key: str, tokens: Tokens) -> Response:
        """Return the failure of a generation whose next-token logits are not finite."""
        if not self._layer:
            self._logits(tokens)
        return self._failure(key)

    def _logits(self, tokens: Tokens) -> torch.Tensor:
        watch = FirstNonFinite()
        with watch.on(self._model):
            logits = padded_logits(self._model, [tokens], self._pad)[0]
        self._layer = watch.name or self._layer
        return logits

    def _failure(self, key: str) -> Response:
        where = f"; the first layer with such values is {self._layer}" if self._layer else ""
        return failed(key, "nan_logits", f"found logits that are not finite; expected finite numbers{where}")


class FirstNonFinite:
    """Watches a forward pass; `name` is the first module, in order of completion, whose output is not finite."""

    def __init__(self) -> None:
        self.name = ""

    def on(self, model: torch.nn.Module) -> _Hooks:
        """Return a context in which every module's output is watched."""
        return _Hooks(self, model)

    def see(self, name: str, output: Any) -> None:
        """Look at one module's output."""
        first = output[0] if isinstance(output, (tuple, list)) and output else output
        if self.name or not isinstance(first, torch.Tensor) or not first.is_floating_point():
            return
        # −inf is what masks are made of; only NaN and +inf are faults.
        if bool((torch.isnan(first) | torch.isposinf(first)).any()):
            self.name = name


class _Hooks:
    def __init__(self, watch: FirstNonFinite, model: torch.nn.Module) -> None:
        self._watch, self._model = watch, model
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> None:
        for name, module in self._model.named_modules():
            if name:
                self._handles.append(module.register_forward_hook(self._hook(name)))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        return lambda _module, _inputs, output: self._watch.see(name, output)
