"""One training in several processes (`accelerate launch`): who writes, what is shared.

Comes in: the environment that the launcher set. Goes out: the result of the first process's work in every process, its
errors too, and gradients summed over all. Each process computes its share of every optimiser step's micro-batches; the
step's loss is divided by the labels of all of them, so that the result is that of one process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

from sfteval.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import torch

T = TypeVar("T")


def join_processes() -> None:
    """Connect to the other processes, if the launcher started any."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())


def world() -> tuple[int, int]:
    """Return this process's number and how many there are."""
    import torch

    if not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def in_the_first(work: Callable[[], T]) -> T:
    """Do `work` in the first process and return its result in all; its error is raised in all."""
    rank, count = world()
    if count == 1:
        return work()
    import torch

    box: list[Any] = [None, None]
    failure: Exception | None = None
    if rank == 0:
        try:
            box[0] = work()
        except Exception as error:  # noqa: BLE001  # raised below, once the others know
            failure, box[1] = error, str(error)
    torch.distributed.broadcast_object_list(box, src=0)
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise TrainingError(f"the first process stopped: {box[1]}")
    result: T = box[0]
    return result


def share_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Sum every trained tensor's gradient over all processes; one that a process has none of counts as zero."""
    import torch

    for value in parameters:
        if value.requires_grad:
            if value.grad is None:
                value.grad = torch.zeros_like(value)
            torch.distributed.all_reduce(value.grad)


def share_sum(value: torch.Tensor) -> torch.Tensor:
    """Return a number summed over all processes."""
    if world()[1] > 1:
        import torch

        torch.distributed.all_reduce(value)
    return value
