"""A transformers causal LM in; its body and its vocabulary head, called apart, out.

The body (`get_decoder()`) runs packed token ids; the head is the model's own `forward` with the body replaced by a
replay of chosen hidden rows, so that soft caps and logit scales are whatever the model says. `probe` proves
that it is so.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from sfteval.engine.attention import Plan, UnsupportedModelError, attending, attention_configs
from sfteval.engine.few_rows import FewRows, Filled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.engine.voices import Voices

# Rows per projection: enough for the full GEMM rate, few enough that a large vocabulary's logits stay small.
ROW_CHUNK = 256
CHUNK_LOGITS = 2**24


def active_adapters(model: Any) -> tuple[str, ...]:
    """Return the names of a PEFT model's active adapters; none inside `disable_adapter()`, none without PEFT."""
    if not hasattr(model, "peft_config") or getattr(model, "_adapters_disabled", False):
        return ()
    return tuple(model.active_adapters)


def has_virtual_tokens(model: Any) -> bool:
    """Say whether an active PEFT adapter puts virtual tokens before the prompt (prefix, prompt and P-tuning)."""
    return any(getattr(model.peft_config[name], "is_prompt_learning", False) for name in active_adapters(model))


def causal_model(model: Any) -> Any:
    """Return the transformers model inside a PEFT wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


class Wiring:
    """A causal LM split into body and head.

    Args:
        model: Causal LM in eval mode, PEFT wrapper or not.
        voices: Tells the rows' adapters apart, where several models share a batch.

    Raises:
        UnsupportedModelError: The body cannot be told from the head.
    """

    def __init__(self, model: torch.nn.Module, voices: Voices | None = None) -> None:
        self.voices = voices
        self.causal = causal_model(model)
        self.body: Any = self.causal.get_decoder() if hasattr(self.causal, "get_decoder") else None
        if self.body is None or self.body is self.causal:
            msg = f"{type(self.causal).__name__} does not name its decoder"
            raise UnsupportedModelError(msg)
        if "position_ids" not in inspect.signature(self.body.forward).parameters:
            msg = f"{type(self.body).__name__} takes no position ids"
            raise UnsupportedModelError(msg)
        self.device: torch.device = self.causal.get_input_embeddings().weight.device
        self._width = max(1, int(self.causal.get_input_embeddings().weight.shape[0]))
        self._configs = attention_configs(self.causal)
        self._few_rows = FewRows(self.causal)
        self._output: type[Any] | None = None

    def hidden(
        self, tokens: torch.Tensor, positions: torch.Tensor, plan: Plan, names: Sequence[str] = ()
    ) -> torch.Tensor:
        """Return the body's last hidden states, [batch, tokens, width].

        Args:
            tokens: Ids, [batch, tokens].
            positions: Position ids of the same shape.
            plan: Who attends to what.
            names: Each row's adapter, where the wiring has voices.
        """
        rows, names = len(tokens), list(names)
        spare = self._few_rows.spare(rows) if tokens.shape[1] == 1 else 0
        if spare:
            tokens, positions = (torch.cat([held, held[:1].expand(spare, 1)]) for held in (tokens, positions))
            plan, names = Filled(plan, rows), names + names[:1] * spare
        if self.voices is not None:
            self.voices.names = names
        with attending(self._configs, plan), self._few_rows.quick(tokens.numel()):
            out = self.body(input_ids=tokens.to(self.device), position_ids=positions.to(self.device), use_cache=False)
        self._output = type(out)
        return out[0][:rows]  # type: ignore[no-any-return]

    def logits(self, rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield float32 logits of hidden rows [rows, width], a chunk at a time, with the chunk's place."""
        size = max(16, min(ROW_CHUNK, CHUNK_LOGITS // self._width))
        for start in range(0, len(rows), size):
            wanted = rows[start : start + size]
            chunk = pad(wanted, (0, 0, 0, self._few_rows.spare(len(wanted))))
            with self._replaying(chunk[None]), self._few_rows.quick(len(chunk)):
                ids = torch.zeros((1, len(chunk)), dtype=torch.long, device=self.device)
                logits = self.causal(input_ids=ids, use_cache=False).logits[0, : len(wanted)]
            yield slice(start, start + len(wanted)), logits.float().contiguous()

    @contextmanager
    def _replaying(self, hidden: torch.Tensor) -> Iterator[None]:
        assert self._output is not None
        output = self._output(last_hidden_state=hidden)
        before = self.body.__dict__.get("forward")
        self.body.forward = lambda *_args, **_kwargs: output
        try:
            yield
        finally:
            if before is None:
                del self.body.forward
            else:
                self.body.forward = before
