"""What a checkpoint's `training.json` tells the diagnosis: template, merge, losses, samples that leaked, answers.

Comes in: a model's identity. Goes out: facts, empty or None where the manifest is gone, damaged or silent. A manifest
comes with a checkpoint and may be anybody's: nothing in it is trusted to have its shape.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sfteval.keys import file_key
from sfteval.records import MergeDifference, MergeFacts
from sfteval.train.data_config import Source
from sfteval.train.manifest import read_manifest
from sfteval.train.rows import Faults, iter_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from sfteval.records import ModelIdentity

MOST_ROWS = 500_000
"""Training rows that are looked through for recited answers."""


class Origin:
    """How one model came to be; of a merged one, what its adapter was trained on."""

    def __init__(self, model: ModelIdentity) -> None:
        self._model = model
        own = read_manifest(model.training) or {}
        self._merged = _mapping(own, "merged")
        self._training = (read_manifest(str(self._merged.get("training", ""))) or {}) if self._merged else own

    @property
    def template(self) -> str:
        """sha256 of the chat template that it was trained with."""
        return str(_mapping(self._training, "data").get("template_sha256", ""))

    @property
    def misfit(self) -> bool:
        """Whether it was trained with another chat template than it is evaluated with."""
        return bool(self.template and self._model.template) and self.template != self._model.template

    @property
    def stops(self) -> tuple[int, ...]:
        """Ids that it was trained to end its turns with."""
        ids = _mapping(self._training, "data").get("stop_ids", [])
        return tuple(each for each in ids if type(each) is int) if isinstance(ids, list) else ()

    @property
    def held_out(self) -> tuple[float, float] | None:
        """Held-out loss before and after training."""
        loss = _mapping(self._training, "holdout_loss")
        before, after = _number(loss.get("before")), _number(loss.get("after"))
        return None if before is None or after is None else (before, after)

    def merge(self, reference: ModelIdentity | None) -> MergeFacts | None:
        """Return what is known of the merge that made this model, None where none did."""
        if not self._merged:
            return None
        weights, adapter = self._merged.get("weights"), _mapping(self._merged, "identity")
        was = (adapter.get("weights"), adapter.get("adapter"))
        return MergeFacts(
            difference=_difference(_mapping(self._merged, "difference")),
            measured=weights == self._model.weights if isinstance(weights, str) else None,
            of_reference=reference is not None and bool(reference.adapter) and was == _key(reference),
        )

    def leaked(self, suite: str, task: str) -> frozenset[str]:
        """Return the ids of a suite's samples that training rows held, as the audit listed them."""
        audit = _mapping(_mapping(self._training, "data"), "audit")
        found = _mapping(audit, "overlap").get("found", [])
        entries = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        against = f"{suite}/{task}" if task else suite
        return frozenset(str(each.get("sample", "")) for each in entries if each.get("against") == against)

    def recited(self, outputs: Collection[str]) -> frozenset[str]:
        """Return those of `outputs` (stripped) that stand as an answer in the training files, if these are unchanged.

        Reads row by row and keeps only what is found.
        """
        found: set[str] = set()
        for answer in self._answers() if outputs else ():
            if answer in outputs:
                found.add(answer)
        return frozenset(found)

    def _answers(self) -> Iterator[str]:
        """Yield the assistant's texts of the first `MOST_ROWS` rows, in any format that training reads."""
        left = MOST_ROWS
        for source in self._sources():
            for row in iter_rows(source, Faults(), streaming=True):
                if not left:
                    return
                left -= 1
                yield from (answer.strip() for answer in row.answers)

    def _sources(self) -> Iterator[Source]:
        """Yield the local files that still are what was trained on."""
        files = _mapping(self._training, "data").get("files", [])
        known = {str(entry.get("path", "")): entry.get("sha256") for entry in files}
        listed = _mapping(_mapping(self._training, "config"), "data").get("train", [])
        for entry in listed if isinstance(listed, list) else []:
            try:
                source = Source.model_validate(entry)
            except ValidationError:
                continue
            path = source.path
            if path and Path(path).is_file() and _unchanged(Path(path), known.get(path)):
                yield source


def _unchanged(path: Path, sha256: Any) -> bool:
    try:
        return bool(file_key(path) == sha256)
    except OSError:
        return False


def _key(model: ModelIdentity) -> tuple[str, str]:
    return model.weights, model.adapter


def _difference(entry: Mapping[str, Any]) -> MergeDifference | None:
    numbers = [_number(entry.get(name)) for name in MergeDifference.__dataclass_fields__]
    inputs, tokens, largest, spread, agreement = numbers
    if inputs is None or tokens is None or largest is None or spread is None or agreement is None:
        return None
    return MergeDifference(int(inputs), int(tokens), largest, spread, agreement)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _mapping(entries: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entries.get(name)
    return value if isinstance(value, dict) else {}
