"""What must be true of the batches before step 1.

Comes in: rows and the very tensors that the trainer will see. Goes out: nothing, or a `TrainingError` that names the
defect and the row. It trusts neither the mask engine nor the collator: it decodes the labels again and compares them
with what the author wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sfteval.errors import TrainingError
from sfteval.train.masks import IGNORED, lost_part, normal_text, prompt_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.train.batches import Micro, StepBatches
    from sfteval.train.data_config import LossOn
    from sfteval.train.masks import Encoded
    from sfteval.train.rows import Row
    from sfteval.train.template import ChatTemplate

CHUNK = 32
Run = tuple[int, list[int]]


def check_labels(
    rows: Sequence[Row],
    encoded: Sequence[Encoded],
    collator: Callable[[Sequence[Encoded]], Micro],
    template: ChatTemplate,
    loss_on: LossOn,
) -> None:
    """Check every row after the collator.

    Raises:
        TrainingError: A row without labels, labels on text that is not the assistant's (or not all of it), a mask that
            does not start where the generation prompt ends, or a turn whose end-of-turn token is not trained.
    """
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        batch = collator(encoded[part])
        counted = _counted(batch).tolist()
        columns = zip(rows[part], encoded[part], batch["input_ids"].tolist(), counted, strict=True)
        for row, item, ids, labels in columns:
            if ids[: len(item.ids)] != list(item.ids):
                raise TrainingError(f"{row.where}: the collator changed the row's token ids")
            _check_row(row, ids[: len(item.ids)], labels, template, loss_on)


def check_packs(batches: StepBatches) -> None:
    """Take every pack apart again: each row's ids as they were, its labels too, but for the first token's.

    Raises:
        TrainingError: A pack lost, moved or changed something.
    """
    for index, step in enumerate(batches.steps):
        for rows, micro in zip(step, batches[index]["micro"], strict=True):
            lengths = micro["lengths"].tolist()
            if lengths != [len(batches.rows[row].ids) for row in rows]:
                raise TrainingError(f"step {index + 1}: a pack's row lengths are {lengths}: rows are cut or lost")
            ids, labels = (torch.split(micro[name][0], lengths) for name in ("input_ids", "labels"))
            for row, its_ids, its_labels in zip(rows, ids, labels, strict=True):
                item = batches.rows[row]
                if its_ids.tolist() != list(item.ids):
                    raise TrainingError(f"step {index + 1}: packing changed a row's token ids")
                if its_labels.tolist() != [IGNORED, *item.labels[1:]]:
                    raise TrainingError(f"step {index + 1}: packing changed a row's labels")


def _counted(batch: Micro) -> torch.Tensor:
    """Return the labels that count fully: with a prompt weight, prompts have labels that count a little."""
    labels = batch["labels"]
    return labels.where(batch["weights"] == 1.0, IGNORED) if "weights" in batch else labels


def _check_row(row: Row, ids: list[int], labels: list[int], template: ChatTemplate, loss_on: LossOn) -> None:
    runs = _runs(labels)
    if not runs:
        raise TrainingError(f"{row.where}: no label is trained (mask all zero): nothing would be learned from this row")
    if any(labels[start : start + len(run)] != ids[start : start + len(run)] for start, run in runs):
        raise TrainingError(f"{row.where}: labels differ from the token ids at their own places")
    if loss_on == "all":
        if [len(run) for _, run in runs] != [len(ids)]:
            raise TrainingError(f"{row.where}: loss_on: all, but only part of the row's {len(ids)} tokens is trained")
        return
    _check_turns(row, ids, runs, template, loss_on)


def _check_turns(row: Row, ids: list[int], runs: list[Run], template: ChatTemplate, loss_on: LossOn) -> None:
    places = [index for index, turn in enumerate(row.turns) if turn.role == "assistant"]
    places = places if loss_on == "assistant" else places[-1:]
    for _, run in runs:
        if run[-1] not in template.stop_ids:
            tail = template.decode(run)[-40:]
            raise TrainingError(
                f"{row.where}: the end-of-turn token is not trained after {tail!r}: the model would never stop"
            )
    if len(runs) != len(places):
        raise TrainingError(f"{row.where}: the labels cover {len(runs)} turns; expected {len(places)}")
    for (start, run), place in zip(runs, places, strict=True):
        answer, spoken = row.turns[place].content, template.decode(run[:-1])
        turn = row.turns[place]
        if lost_part(turn, spoken) if turn.more else not normal_text(spoken).endswith(normal_text(answer)):
            raise TrainingError(
                f"{row.where}: the wrong text is trained: {spoken!r}; expected the assistant's {answer!r}"
            )
        if not _starts_at_prompt(row, ids[:start], place, template):
            raise TrainingError(
                f"{row.where}: the mask of message {place} does not start where the generation prompt ends, "
                f"but after {template.decode(ids[max(0, start - 8) : start])!r}"
            )


def _starts_at_prompt(row: Row, before: list[int], place: int, template: ChatTemplate) -> bool:
    if before == template.encode(template.render(row.messages[:place], prompt=True, tools=row.tool_list)):
        return True
    # Templates that are not prefix-stable: only the generation prompt itself can be compared, as token ids.
    prompt = template.encode(prompt_text(row.turns[:place], template, row.tool_list))
    return before[-len(prompt) :] == prompt


def _runs(labels: list[int]) -> list[Run]:
    """Return each unbroken run of trained labels with its place."""
    runs: list[Run] = []
    for place, label in enumerate(labels):
        if label == IGNORED:
            continue
        if place and labels[place - 1] != IGNORED:
            runs[-1][1].append(label)
        else:
            runs.append((place, [label]))
    return runs
