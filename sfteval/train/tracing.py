"""The memory of one optimiser step, by running it on tensors that have shapes and no storage.

Comes in: a model on the meta device and the shape of a micro-batch. Goes out: how many bytes were alive at once. It is
the trainer's own loss, forward and backward, under `FakeTensorMode` (device cpu, so that attention and matrix products
take the same paths as in the real step); each storage is counted from when it is made until it is freed.
"""

from __future__ import annotations

import warnings
import weakref
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from sfteval.engine.attention import attending, attention_configs
from sfteval.train import heads
from sfteval.train.masks import IGNORED
from sfteval.train.packing import RowByRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INDEXING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
    torch.ops.aten._unsafe_index_put.default,
}


class Shape(NamedTuple):
    """A micro-batch: rows, padded length, and labels that count in the loss; `lengths` of the rows if it is a pack."""

    rows: int
    length: int
    labels: int
    lengths: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """Bytes on top of weights and optimiser states.

    Attributes:
        start: Most alive without parameter gradients (activations, at the turn from forward to backward).
        early: Parameter gradients that were alive at that moment.
        gradients: All parameter gradients.
        end: Most alive beyond `gradients` in the last tenth of the step.
    """

    start: int
    early: int
    gradients: int
    end: int

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        return max(self.start + self.early, self.gradients + self.end)


def trace_step(model: Any, shape: Shape) -> Trace:
    """Run forward and backward without storage.

    Args:
        model: A causal language model on the meta device; changed in place.
        shape: The micro-batch.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    _without_storage(model, fake)
    model.train()
    heads.take_as_plain(model)
    with warnings.catch_warnings(), fake, _Ledger(shape.labels) as ledger:
        warnings.simplefilter("ignore")
        ledger.leave_out([*model.parameters(), *model.buffers()])
        _step(model, shape)
        kept = {value.grad.untyped_storage()._cdata: value for value in model.parameters() if value.grad is not None}
        trace: Trace = ledger.close(set(kept))
    model.zero_grad()
    return trace


def _step(model: Any, shape: Shape) -> None:
    """Run the trainer's own loss and its backward."""
    ids = torch.zeros((shape.rows, shape.length), dtype=torch.long)
    micro = {"input_ids": ids, "labels": torch.full_like(ids, IGNORED)}
    attention = attending(attention_configs(model), RowByRow(shape.lengths)) if shape.lengths else nullcontext()
    if shape.lengths:
        micro["position_ids"] = torch.zeros_like(ids)
    with attention:
        torch.autograd.backward(heads.label_nll(model, micro))


def _without_storage(model: Any, fake: FakeTensorMode) -> None:
    """Replace meta parameters and buffers by fake ones on the cpu; tied ones stay tied."""
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def replaced(value: torch.Tensor) -> torch.Tensor:
        if id(value) not in made:
            tensor: torch.Tensor = FakeTensor(fake, value.detach().to("meta"), torch.device("cpu"))
            if isinstance(value, torch.nn.Parameter):
                tensor = torch.nn.Parameter(tensor, requires_grad=value.requires_grad)
            made[id(value)] = (value, tensor)
        return made[id(value)][1]

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            tensors.update({name: replaced(value) for name, value in tensors.items() if value is not None})
    for name, tokens in getattr(model, "prompt_tokens", {}).items():
        model.prompt_tokens[name] = replaced(tokens)


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own hook
    """Writes down each storage's birth and death."""

    def __init__(self, labels: int) -> None:
        """Choose `labels` positions wherever a mask chooses."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._labels = labels
        self._alive: set[int] = set()
        self._births = 0
        self._events: list[tuple[int, int, int]] = []
        self._names: dict[int, int] = {}
        self._open = True

    def leave_out(self, tensors: Sequence[torch.Tensor]) -> None:
        """Count these never, also where an operation returns a view of them."""
        self._alive |= {tensor.untyped_storage()._cdata for tensor in tensors}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation, note what it made."""
        if function in INDEXING:
            args = (args[0], self._counted(args[1]), *args[2:])
        result = function(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._note, result)
        return result

    def _counted(self, indices: Any) -> Any:
        """Replace a mask, whose number of hits has no answer here, by as many places as there are labels."""
        if len(indices) == 1 and indices[0] is not None and indices[0].dtype == torch.bool:
            return [torch.zeros(self._labels, dtype=torch.long) for _ in range(indices[0].dim())]
        return indices

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive.add(key)
        self._births += 1
        self._names[key] = self._births
        self._events.append((self._births, storage.nbytes(), key))
        weakref.finalize(storage, self._freed(), self._births, storage.nbytes(), key)

    def _freed(self) -> Callable[[int, int, int], None]:
        def freed(birth: int, size: int, key: int) -> None:
            if self._open:
                self._alive.discard(key)
                self._events.append((birth, -size, key))

        return freed

    def close(self, gradients: set[int]) -> Trace:
        """Return the sums, `gradients` being the storages that parameters kept."""
        self._open = False
        kept = {self._names[key] for key in gradients if key in self._names}
        live = held = start = early = end = 0
        last = len(self._events) * 9 // 10
        total = sum(size for birth, size, _ in self._events if birth in kept and size > 0)
        for index, (birth, size, _) in enumerate(self._events):
            if birth in kept:
                held += size
            else:
                live += size
            if live > start:
                start, early = live, held
            if index >= last:
                end = max(end, live + held - total)
        return Trace(start, early, total, end)
