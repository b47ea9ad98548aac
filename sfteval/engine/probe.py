"""A model and some real token ids in; whether the prefix tree is right for it, and the reason if not, out.

Structure first (what can be read from the configuration and from which layers call attention), then parity: a small
tree, packed and carried over in two passes, against the model called on each sequence alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sfteval.engine import packing, trie
from sfteval.engine.attention import UnsupportedModelError
from sfteval.engine.plain import padded_logits
from sfteval.engine.tree_attention import Carried, TreePass
from sfteval.engine.wiring import Wiring, causal_model, has_virtual_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sfteval.engine.trie import Tokens

PROBE_TOKENS = 48
# Largest difference of two logits, relative to their spread.
TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4}
TOLERANCE_HALF = 0.08
PROBE_ERRORS = (RuntimeError, TypeError, ValueError, AttributeError, LookupError)
ATTENTION_LAYERS = frozenset({"full_attention", "sliding_attention"})
# RoPE scalings that look at the longest position of the batch (transformers `dynamic_rope_update`).
LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probe found.

    Attributes:
        wiring: The split model; None if the tree must not be used.
        kv_bytes: Bytes of keys and values per token, all layers.
        joinable: Attention over two parts of the keys may be joined (no sliding window, no cap).
        reason: Why not; "" if it may.
        same_length: Plain batches must hold rows of one length only.
    """

    wiring: Wiring | None
    reason: str = ""
    kv_bytes: int = 0
    joinable: bool = False
    same_length: bool = False


def probe(model: torch.nn.Module, sample: Sequence[Tokens], longest: int) -> Verdict:
    """Decide how to run a model.

    Args:
        model: The outermost model.
        sample: Token ids of some real requests, at least one.
        longest: Longest sequence that will be asked for.
    """
    config = causal_model(model).config
    if rope := length_dependent_rope(config, longest):
        return Verdict(None, f"its {rope} position scaling depends on the longest row of a batch", same_length=True)
    if getattr(config, "use_bidirectional_attention", False) or not getattr(config, "is_causal", True):
        # Padding would be seen too.
        return Verdict(None, "its attention is not causal", same_length=True)
    try:
        _structure(model, config)
        wiring = Wiring(model)
        plan, kv_bytes = _parity(model, wiring, _family(sample, min(PROBE_TOKENS, longest)))
        _complete(config, plan.windows)
    except UnsupportedModelError as error:
        return Verdict(None, str(error))
    except PROBE_ERRORS as error:
        # Whatever a model does not bear is a reason not to pack it; if it is broken, the plain way says so.
        return Verdict(None, f"packing it raised {type(error).__name__}: {error}")
    joinable = not plan.capped and all(window is None for window in plan.windows.values())
    return Verdict(wiring, kv_bytes=kv_bytes, joinable=joinable)


def _structure(model: torch.nn.Module, config: Any) -> None:
    if has_virtual_tokens(model):
        msg = "its adapter puts virtual tokens before the prompt"
        raise UnsupportedModelError(msg)
    kinds = set(getattr(config, "layer_types", None) or ()) - ATTENTION_LAYERS
    if kinds:
        msg = f"it has {', '.join(sorted(kinds))} layers"
        raise UnsupportedModelError(msg)


def _complete(config: Any, windows: dict[int, int | None]) -> None:
    """Check that every layer came to the engine's attention, sliding ones with their window."""
    count = config.num_hidden_layers
    if set(windows) != set(range(count)):
        msg = f"only {len(windows)} of its {count} layers use transformers' attention interface"
        raise UnsupportedModelError(msg)
    kinds = getattr(config, "layer_types", None)
    sliding = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    for layer, window in windows.items():
        expected = kinds[layer] == "sliding_attention" if kinds else sliding
        if expected and window is None:
            msg = f"layer {layer} does not say how wide its sliding window is"
            raise UnsupportedModelError(msg)


def length_dependent_rope(config: Any, longest: int) -> str:
    """Return the RoPE scaling that would make one row's positions depend on another's length, or "" if none would."""
    parameters = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    for rope in nested:
        kind = rope.get("rope_type", "default")
        trained: Any = rope.get("original_max_position_embeddings") or getattr(config, "max_position_embeddings", 0)
        if kind in LENGTH_DEPENDENT_ROPE and longest > trained:
            return str(kind)
    return ""


def _family(sample: Sequence[Tokens], most: int) -> list[Tokens]:
    """Return a few branching sequences of at most `most` tokens, made of the sample's ids."""
    pool = np.concatenate([np.asarray(tokens) for tokens in sample])[: 4 * most]
    trunk = pool[:most]
    third, half = len(trunk) // 3, len(trunk) // 2
    other = pool[::-1][:most]
    return [
        trunk,
        np.concatenate([trunk[:half], other[: len(trunk) - half]]),
        np.concatenate([trunk[:third], other[third:]]),
        other,
    ]


def _parity(model: torch.nn.Module, wiring: Wiring, family: Sequence[Tokens]) -> tuple[TreePass, int]:
    tree = trie.build(family)
    rows, plan, kv_bytes = _packed_rows(wiring, tree)
    packed = torch.cat([logits for _, logits in wiring.logits(rows)])
    for sequence, path in zip(family, tree.paths, strict=True):
        alone = padded_logits(model, [sequence], 0)[0].float()
        mine = packed[torch.from_numpy(trie.nodes(path, 0, len(sequence))).to(packed.device)]
        if mine.shape != alone.shape:
            msg = f"packed logits have shape {tuple(mine.shape)}, the model's own {tuple(alone.shape)}"
            raise UnsupportedModelError(msg)
        finite = torch.isfinite(alone) & torch.isfinite(mine)
        spread = (alone[finite].max() - alone[finite].min()).item() if bool(finite.any()) else 1.0
        worst = (alone - mine)[finite].abs().max().item() / max(spread, 1e-9) if bool(finite.any()) else 0.0
        tolerance = TOLERANCE.get(next(model.parameters()).dtype, TOLERANCE_HALF)
        if not worst <= tolerance:
            msg = f"packed and plain logits differ by {worst:.1e} of their spread"
            raise UnsupportedModelError(msg)
    return plan, kv_bytes


def _packed_rows(wiring: Wiring, tree: trie.Trie) -> tuple[torch.Tensor, TreePass, int]:
    """Run the tree in two passes; return its hidden rows, the last pass, and key and value bytes per token."""
    parts: list[torch.Tensor] = []
    carried, start, budget = Carried(), 0, max(1, -(-len(tree.tokens) // 2))
    while True:
        step = packing.plan(tree, start, budget, carried.tokens, export=True)
        plan = TreePass(step, carried)
        nodes = slice(step.start, step.stop)
        tokens, depths = torch.from_numpy(tree.tokens[nodes])[None], torch.from_numpy(tree.depths[nodes])[None]
        parts.append(wiring.hidden(tokens, depths, plan)[0])
        carried, start = plan.kept, step.stop
        if start == len(tree.tokens):
            break
    held = [tensor for pair in carried.layers.values() for tensor in pair]
    kv_bytes = sum(tensor.numel() * tensor.element_size() for tensor in held) // max(1, carried.tokens)
    return torch.cat(parts), plan, kv_bytes
