"""The pre-flight that needs weights: does the model compute what the loop believes it computes?

Comes in: the model as it will be trained, a few of its shortest rows. Goes out: whether rows may be packed, the loss
that step 1 must show, or a `TrainingError` that names the defect. Everything runs in evaluation mode, draws no random
number and leaves no gradient; it costs a few forward passes.
"""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sfteval.engine.attention import UnsupportedModelError
from sfteval.errors import TrainingError
from sfteval.train.batches import collate, label_weight
from sfteval.train.heads import label_nll, whole_head_nll
from sfteval.train.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.train.batches import Micro
    from sfteval.train.masks import Encoded
    from sfteval.train.template import ChatTemplate

ROWS = 4
CLOSE = 1e-4
# Gradients are sums in another order; the largest entry of all sets the scale.
GRADIENTS_CLOSE = 1e-3
KNOWN_BY_HEART = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """What the trial found.

    Attributes:
        packed: Whether packs compute what rows do.
        why_not: Why they do not.
        losses: Pairs that had to be equal, by what was compared: ours and the model's own head, one micro-batch and
            four, a pack and its rows.
    """

    packed: bool
    why_not: str
    losses: dict[str, tuple[float, float]]


def try_model(
    model: Any, rows: Sequence[Encoded], pad: int, *, packing: bool | None, backward: Callable[[torch.Tensor], None]
) -> Trial:
    """Check head, accumulation and packing on the shortest rows.

    Args:
        model: As it will be trained.
        rows: All training rows.
        pad: Id that fills short rows.
        packing: True insists on it, False forbids it, None takes it where it is exact.
        backward: How the loop starts a backward pass.

    Raises:
        TrainingError: The named defect.
    """
    shortest = _shortest(rows)
    with _quietly(model):
        singles = [_to(model, collate([row], pad)) for row in shortest]
        together = _to(model, collate(shortest, pad))
        losses = {"head": _check_head(model, together)}
        losses["accumulation"] = _check_accumulation(model, [together], singles, backward)
        return _packing(model, _to(model, pack(shortest)), singles, packing, losses)


def _shortest(rows: Sequence[Encoded]) -> list[Encoded]:
    """Return the shortest rows that differ; a few are held at a time, since rows may be more than memory takes."""
    found: list[Encoded] = []
    for row in rows:
        if (len(found) < ROWS or len(row.ids) < len(found[-1].ids)) and row not in found:
            found = sorted([*found, row], key=lambda one: len(one.ids))[:ROWS]
    return found


def _check_head(model: Any, micro: Micro) -> tuple[float, float]:
    ours, own = (float(nll(model, micro).detach()) for nll in (label_nll, whole_head_nll))
    if not _close(ours, own, CLOSE):
        raise TrainingError(
            f"pre-flight: the loss at labelled positions is {ours:.6g}, the model's own over all positions {own:.6g}: "
            "the fused head does not compute what the model's head does"
        )
    return ours, own


def _check_accumulation(
    model: Any, whole: Sequence[Micro], parts: Sequence[Micro], backward: Callable[[torch.Tensor], None]
) -> tuple[float, float]:
    first, second = (_gradients(model, micros, backward) for micros in (whole, parts))
    if not _close(first[0], second[0], CLOSE):
        raise TrainingError(
            f"pre-flight: gradient accumulation changes the loss: {first[0]:.6g} in one micro-batch of {len(parts)} "
            f"rows, {second[0]:.6g} in {len(parts)} of one"
        )
    scale = max((float(grad.abs().max()) for grad in first[1].values()), default=0.0)
    for name, grad in first[1].items():
        apart = float((grad - second[1][name]).abs().max()) if name in second[1] else float("inf")
        if not apart <= GRADIENTS_CLOSE * scale:
            raise TrainingError(
                f"pre-flight: gradient accumulation changes the update of {name}: gradients differ by {apart:.3g}, "
                f"the largest of all is {scale:.3g}"
            )
    return first[0], second[0]


def accumulate(
    model: Any,
    micros: Sequence[Micro],
    weight: float,
    backward: Callable[[torch.Tensor], None],
    forward: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> torch.Tensor:
    """Run forward and backward for the micro-batches of one step; return their part of its mean loss.

    Args:
        model: What is trained.
        micros: Micro-batches on the model's device.
        weight: Summed weight of the whole step's labels, in all processes.
        backward: Starts a backward pass.
        forward: Makes the context of a forward pass: autocast, if there is any.
    """
    total = torch.zeros((), device=next(model.parameters()).device)
    for micro in micros:
        with forward():
            loss = label_nll(model, micro) / (weight or 1.0)
        backward(loss)
        total += loss.detach()
    return total


def _gradients(
    model: Any, micros: Sequence[Micro], backward: Callable[[torch.Tensor], None]
) -> tuple[float, dict[str, torch.Tensor]]:
    loss = accumulate(model, micros, sum(map(label_weight, micros)), backward)
    grads = {name: value.grad for name, value in model.named_parameters() if value.grad is not None}
    for value in model.parameters():
        value.grad = None
    return float(loss), grads


@torch.no_grad()
def _packing(
    model: Any,
    packed: Micro,
    singles: Sequence[Micro],
    wanted: bool | None,
    losses: dict[str, tuple[float, float]],
) -> Trial:
    if wanted is False:
        return Trial(False, "packing is off", losses)
    why, pair = _why_no_packs(model, packed, singles)
    if why and wanted:
        raise TrainingError(
            f"pre-flight: packing is refused: packed rows would see each other or be cut off from the method's own "
            f"tokens ({why}); set optimizer.packing: false"
        )
    return Trial(not why, why, losses | ({"packing": pair} if pair else {}))


def _why_no_packs(model: Any, packed: Micro, singles: Sequence[Micro]) -> tuple[str, tuple[float, float] | None]:
    """Return what keeps packs from computing what their rows do, "" if nothing does; then the two losses too."""
    if any(getattr(config, "is_prompt_learning", False) for config in getattr(model, "peft_config", {}).values()):
        return "the method puts tokens of its own before every sequence", None
    alone = sum(float(label_nll(model, micro)) for micro in singles)
    try:
        together = float(label_nll(model, packed))
    except UnsupportedModelError as error:
        return str(error), None
    if _close(together, alone, CLOSE):
        return "", (together, alone)
    return f"a pack's loss is {together:.6g}, its rows' sum {alone:.6g}", None


@torch.no_grad()
def own_loss(model: Any, micros: Sequence[Micro]) -> float:
    """Return the mean loss of a step's labels from the model's whole logits: what step 1 must show, without dropout."""
    with _quietly(model):
        moved = [_to(model, micro) for micro in micros]
        return sum(float(whole_head_nll(model, micro)) for micro in moved) / (sum(map(label_weight, moved)) or 1.0)


def check_first_loss(shown: float, own: float, *, dropout: bool, rounded: bool = False) -> None:
    """Compare step 1 with the model's own loss on the same rows, which is in float32.

    Raises:
        TrainingError: They differ by more than rounding (to bfloat16, if `rounded`), or, with dropout, by more than it
            explains.
    """
    if not _close(shown, own, 0.25 if dropout else 2e-2 if rounded else 1e-3):
        raise TrainingError(
            f"step 1: the loss is {shown:.6g}; the model's own loss on the same labels is {own:.6g}: labels, scaling "
            "or the model are not what was checked"
        )


@torch.no_grad()
def check_stops(model: Any, template: ChatTemplate, generation: Any, prompt: Sequence[int]) -> None:
    """Check that generation from the saved tokenizer and settings ends at every end-of-turn token that is trained.

    Raises:
        TrainingError: It would run on.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    with tempfile.TemporaryDirectory(prefix="sfteval-trial-") as folder, _quietly(model):
        generation.save_pretrained(folder)
        saved = GenerationConfig.from_pretrained(folder)
        saved.update(max_new_tokens=3, max_length=None, do_sample=False)
        ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)
        for stop in template.stop_ids:
            forced = LogitsProcessorList([_Always(stop)])
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=saved, logits_processor=forced
            )
            made = out.shape[1] - (ids.shape[1] if out.shape[1] > ids.shape[1] else 0)
            if made != 1:
                raise TrainingError(
                    f"pre-flight: generation does not stop at the end-of-turn token {template.decode([stop])!r} "
                    f"(it stops at {saved.eos_token_id})"
                )


class _Always:
    """A logits processor under which one token is certain."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = torch.full_like(scores, float("-inf"))
        scores[:, self.token] = 0.0
        return scores


def doubts(rows: int, seen: float, own: float) -> list[str]:
    """Return what is probably a mistake: little data seen too often, data that the model knows already.

    Args:
        rows: Different rows that are trained on.
        seen: How often each is, on average: epochs, and a source's weight.
        own: The model's loss on the first step's rows.
    """
    found = []
    if seen > 5 and rows < 20 * seen:
        found.append(f"{rows} rows, each seen {seen:.4g} times: the model will learn them by heart; add rows")
    if own < KNOWN_BY_HEART:
        found.append(
            f"the model's loss on the first step's rows is {own:.3g} nats per label before training: there is nothing "
            "left to learn from rows like these"
        )
    return found


@contextmanager
def _quietly(model: Any) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _to(model: Any, micro: Micro) -> Micro:
    device = next(model.parameters()).device
    return {name: value.to(device) for name, value in micro.items()}


def _close(first: float, second: float, tolerance: float) -> bool:
    return abs(first - second) <= tolerance * max(1.0, abs(second))
