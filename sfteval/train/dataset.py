"""From files to what the trainer takes: the data half of a training, without weights.

Comes in: config and tokenizer. Goes out: `Prepared`. Every row that cannot be masked for certain, and every row that
is too long, is reported; none is cut or dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfteval.errors import Fault, InputError, TrainingError
from sfteval.train.masks import Encoded, MaskError, encode
from sfteval.train.rows import SHOWN, Row, read_rows
from sfteval.train.split import Split, split_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sfteval.train.config import TrainingConfig
    from sfteval.train.template import ChatTemplate


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows and their encodings, index by index; `train` with repetitions by weight."""

    split: Split
    train: tuple[Encoded, ...]
    held_out: tuple[Encoded, ...]
    template: ChatTemplate


def prepare(config: TrainingConfig, template: ChatTemplate) -> Prepared:
    """Read, split and encode.

    Raises:
        InputError: Broken rows, or rows that cannot be masked.
        TrainingError: Rows longer than `max_length`, or nothing left to train on.
    """
    sources = read_rows(config.data.train)
    weights = [source.weight for source in config.data.train]
    split = split_rows(sources, weights, config.data.holdout, config.seed)
    encoded = _encode_all((row for rows in sources for row in rows), template, config)
    _refuse_long(sources, encoded, config.data.max_length)
    if not split.train:
        raise TrainingError("no rows to train on: all are held out or drawn zero times; add rows or lower data.holdout")
    train = tuple(encoded[row.key] for row in split.train)
    return Prepared(split, train, tuple(encoded[row.key] for row in split.held_out), template)


def _encode_all(rows: Iterable[Row], template: ChatTemplate, config: TrainingConfig) -> dict[str, Encoded]:
    encoded: dict[str, Encoded] = {}
    faults: list[Fault] = []
    for row in rows:
        if row.key in encoded:
            continue
        try:
            encoded[row.key] = encode(
                row.turns,
                template,
                config.data.loss_on,
                tools=row.tool_list,
                prompt_weight=config.data.prompt_weight,
            )
        except MaskError as error:
            faults.append(Fault(row.where, str(error), "a conversation that can be masked for certain"))
    if len(faults) > SHOWN:
        rest = len(faults) - SHOWN
        faults = [*faults[:SHOWN], Fault("data.train", f"{rest} more rows like these", "none")]
    if faults:
        raise InputError(faults)
    return encoded


def _refuse_long(sources: list[list[Row]], encoded: dict[str, Encoded], limit: int) -> None:
    cut = [row for rows in sources for row in rows if len(encoded[row.key].ids) > limit]
    if not cut:
        return
    lost = {row.key: sum(label >= 0 for label in encoded[row.key].labels[limit:]) for row in cut}
    lines = [f"  {row.where}: {len(encoded[row.key].ids)} tokens, {lost[row.key]} labels lost" for row in cut[:SHOWN]]
    if len(cut) > SHOWN:
        lines.append(f"  and {len(cut) - SHOWN} more")
    raise TrainingError(
        f"{len(cut)} rows are longer than data.max_length {limit}; cutting them would lose "
        f"{sum(lost[row.key] for row in cut)} labels (allowed: 0). Raise max_length or shorten them:\n"
        + "\n".join(lines)
    )
