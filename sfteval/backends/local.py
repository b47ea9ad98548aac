"""A model on this machine as a `Backend`: identity at once, weights at the first request.

Comes in: a resolved reference. Goes out: responses, made by `sfteval.engine.Engine`. Importing this needs no torch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sfteval.backends.identity import identify
from sfteval.backends.tokenization import HubTokenization
from sfteval.backends.weights import WeightsPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.backends.references import ModelReference
    from sfteval.engine import Engine, EngineStats
    from sfteval.protocols import OnBatch, Tokenization
    from sfteval.records import ModelIdentity, Request


class LocalBackend:
    """A full checkpoint, an adapter on its base, or a GGUF file, in fp32.

    Attributes:
        identity: What the model is, by content.
        reference: Where it lies.
        weights: The pool that its weights are in.
        text: Its tokenization.
        template: The chat template in use, None if there is none.
        stats: What the engine computed for the last `respond`, None before it.
    """

    def __init__(
        self,
        reference: ModelReference,
        *,
        template: str | None = None,
        weights: WeightsPool | None = None,
        token_budget: int | None = None,
    ) -> None:
        """Read the tokenizer and hash the files; no weights are loaded.

        Args:
            reference: A resolved model.
            template: Chat template for a model that has none (the candidate's, for a base).
            weights: Pool to share loaded weights through; its owner closes it. A private one if left out.
            token_budget: Tokens per forward pass, the engine's choice if left out.
        """
        self.reference = reference
        self._private = weights is None
        self.weights = weights or WeightsPool()
        self._token_budget = token_budget
        self._engine: Engine | None = None
        self.stats: EngineStats | None = None
        self._engine_model: Any = None
        tokenization = HubTokenization(reference, template=template)
        self.text: Tokenization = tokenization
        self.template = tokenization.template
        self._end_of_turn, self._special = tokenization.end_of_turn, tokenization.special
        self.identity = _with_stops(identify(reference, template=template), tokenization.borrowed_stops)

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Answer every request once, in batches. Raises ModelError if the weights cannot be loaded."""
        if not requests:
            return
        with self.weights.using(self.reference, self.identity) as model:
            self.stats = self.engine_on(model).run(requests, on_batch)

    def close(self) -> None:
        """Free the weights (those in a shared pool stay until the pool is closed)."""
        self._engine = self._engine_model = None
        if self._private:
            self.weights.close()

    def engine_on(self, model: Any) -> Engine:
        """Return the engine that answers with `model`, which the pool has yielded for this reference."""
        from sfteval.engine import Engine, ModelLimits

        if self._engine is None or self._engine_model is not model:
            text = self.text
            limits = ModelLimits(text.vocabulary, text.max_length, self._end_of_turn, special=self._special)
            self._engine = Engine(model, limits=limits, decode=self.text.decode, token_budget=self._token_budget)
            self._engine_model = model
        return self._engine


def _with_stops(identity: ModelIdentity, borrowed: frozenset[int]) -> ModelIdentity:
    """Let the identity say where a borrowed template makes the model stop: answers depend on it."""
    if not borrowed:
        return identity
    stops = ",".join(str(stop) for stop in sorted(borrowed))
    return replace(identity, numerics=f"{identity.numerics}/stops:{stops}")
