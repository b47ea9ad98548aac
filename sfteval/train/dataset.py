"""From sources to what the trainer takes: the data half of a training, without weights.

Comes in: config and tokenizer. Goes out: `Inspected` (rows, encodings, audit), and from it `Prepared`, or the reason
why the data is refused. Each row is read once, encoded once and audited in the same pass.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sfteval.errors import Fault, InputError, TrainingError
from sfteval.train.audit import Auditor, Protected, budget_lines, pieces_of, require
from sfteval.train.encodings import encodings
from sfteval.train.masks import Encoded, MaskError, encode
from sfteval.train.rows import Faults, Row, RowFault, iter_rows, make_row
from sfteval.train.split import Split, split_rows
from sfteval.train.store import DiskStore, MemoryStore, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.train.config import TrainingConfig
    from sfteval.train.data_config import Source
    from sfteval.train.store import Store
    from sfteval.train.template import ChatTemplate

    Watch = Callable[[str, int, int | None], None]

WATCHED = 500


class Entry(NamedTuple):
    """A row of a source: the hash of its content and its number in the store."""

    key: str
    number: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows and their encodings, index by index; `train` with repetitions by weight. `audit` is plain data.

    `distinct` counts the rows of `train`, each once; `fingerprint` is the hash of the rows' contents, in order.
    """

    split: Split[Row]
    train: Sequence[Encoded]
    held_out: Sequence[Encoded]
    template: ChatTemplate
    audit: dict[str, Any]
    distinct: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Inspected:
    """Everything that could be read, and the audit of all of it; nothing is refused yet."""

    store: Store
    split: Split[Entry]
    template: ChatTemplate
    audit: dict[str, Any]
    faults: Faults

    def shown(self, count: int) -> list[dict[str, Any]]:
        """Return the tokens of the first rows that would be trained on, each with its weight in the loss."""
        numbers = list(dict.fromkeys(entry.number for entry in self.split.train))[:count]
        return [
            {"where": self.store.row(n).where, "pieces": pieces_of(self.store.item(n), self.template)} for n in numbers
        ]


def prepare(
    config: TrainingConfig,
    template: ChatTemplate,
    protected: Protected | None = None,
    watch: Watch | None = None,
    *,
    cache: Path | None = None,
) -> Prepared:
    """Read, encode, audit, split; refuse what the config's budget does not allow.

    Args:
        config: The training.
        template: The model's chat template.
        protected: What no row may overlap with.
        watch: Called with (what, rows done, None) while it runs.
        cache: Where encodings are kept, so that the same rows are tokenised once; None keeps none.

    Raises:
        InputError: Broken rows or rows that cannot be masked, more than the budget allows.
        AuditError: Another budget is broken.
        TrainingError: Nothing left to train on.
    """
    found = inspect(config, template, protected, watch, cache=cache)
    dropped = any(line["broken"] for line in found.audit["budgets"] if line["name"] == "dropped")
    if dropped or found.faults.kinds["source"]:
        raise InputError(found.faults.listed())
    require(found.audit)
    if not found.split.train:
        raise TrainingError("no rows to train on: all are held out or drawn zero times; add rows or lower data.holdout")
    train, held_out = ([entry.number for entry in part] for part in (found.split.train, found.split.held_out))
    store, split = found.store, found.split
    rows = Split(View(store.row, train), View(store.row, held_out), split.duplicates, split.counts)
    keys = hashlib.sha256()
    for entry in (*split.train, None, *split.held_out):
        keys.update((entry.key if entry else "").encode() + b"\n")
    views = View(store.item, train), View(store.item, held_out)
    return Prepared(rows, *views, template, found.audit, len(set(train)), keys.hexdigest())


def inspect(
    config: TrainingConfig,
    template: ChatTemplate,
    protected: Protected | None = None,
    watch: Watch | None = None,
    *,
    cache: Path | None = None,
) -> Inspected:
    """Read, encode, audit and split everything that can be; see `prepare`.

    Raises:
        InputError: `data.against` is given and nothing was handed in for it.
    """
    data = config.data
    if data.against and protected is None:
        found = "data.against, and no samples to compare with"
        raise InputError(Fault(str(config.file or "config"), found, "samples of the suites", "Use: sfteval train"))
    store: Store = DiskStore(Path(config.output)) if data.streaming else MemoryStore()
    reader = _Reader(config, template, store, Auditor(template, data.max_length, protected or Protected()), watch)
    with encodings(cache, data, template) as reader.encoded:
        sources = [reader.read(source) for source in data.train]
    split = split_rows(sources, [source.weight for source in data.train], data.holdout, config.seed)
    audit = reader.auditor.report(store.row, reader.records, reader.faults)
    audit |= {
        "sources": [
            {"place": source.place, "format": source.format, "weight": source.weight} | counts
            for source, counts in zip(data.train, split.counts, strict=True)
        ],
        "held_out": len(split.held_out),
        "draws": len(split.train),
    }
    audit["budgets"] = budget_lines(audit, data.budget)
    return Inspected(store, split, template, audit, reader.faults)


class _Reader:
    """Reads sources into the store; equal rows are kept once."""

    def __init__(
        self, config: TrainingConfig, template: ChatTemplate, store: Store, auditor: Auditor, watch: Watch | None
    ) -> None:
        self.data, self.template, self.store, self.auditor = config.data, template, store, auditor
        self.watch = watch or (lambda what, done, total: None)
        self.faults, self.good = Faults(), 0
        self.entries: dict[str, Entry] = {}
        self.cut: dict[str, tuple[int, int]] = {}
        self.encoded: Callable[[Row, Callable[[], Encoded]], Encoded] = lambda row, encode: encode()

    @property
    def records(self) -> int:
        """Rows read, broken ones included."""
        return self.good + self.faults.records

    def read(self, source: Source) -> list[Entry]:
        entries = []
        for row in iter_rows(source, self.faults, streaming=self.data.streaming):
            entry = self._take(row)
            if entry is not None:
                entries.append(entry)
            if self.records % WATCHED == 0:
                self.watch("rows audited", self.records, None)
        self.watch("rows audited", self.records, self.records)
        return entries

    def _take(self, row: Row) -> Entry | None:
        entry = self.entries.get(row.key)
        if entry is not None:
            self.good += 1
            self.auditor.again(entry.number, row)
            if row.key in self.cut:
                self.auditor.too_long(row, *self.cut[row.key], dropped=False)
            return entry
        try:
            item = self._encode(row)
        except MaskError as error:
            fault = Fault(row.where, str(error), "a conversation that can be masked for certain")
            self.faults.add([RowFault(error.kind, fault)])
            return None
        self.good += 1
        return self._keep(row, item)

    def _keep(self, row: Row, item: Encoded) -> Entry | None:
        if len(item.ids) <= self.data.max_length:
            return self._added(row, item)
        fitting = self._shortened(row, item)
        length, lost = len(item.ids), item.trained - (fitting[1].trained if fitting else 0)
        self.auditor.too_long(row, length, lost, dropped=fitting is None)
        if fitting is None:
            return None
        # Known by what is left of it: two rows that are cut to the same one stay on one side of the split.
        entry = self.entries.get(fitting[0].key)
        if entry is not None:
            self.auditor.again(entry.number, fitting[0])
        self.entries[row.key], self.cut[row.key] = entry or self._added(*fitting), (length, lost)
        return self.entries[row.key]

    def _added(self, row: Row, item: Encoded) -> Entry:
        entry = self.entries[row.key] = Entry(row.key, self.store.add(row, item))
        self.auditor.see(row, item)
        return entry

    def _shortened(self, row: Row, item: Encoded) -> tuple[Row, Encoded] | None:
        """Return the longest beginning of a conversation that ends with an answer and fits; None if none does."""
        answers = [index for index, turn in enumerate(row.turns) if turn.role == "assistant"]
        for index, (_, end) in reversed(list(zip(answers, item.spans, strict=True))):
            if end > self.data.max_length or index == len(row.turns) - 1:
                continue
            short = make_row(row.where, row.turns[: index + 1], row.tools)
            try:
                encoded = self._encode(short)
            except MaskError:
                continue
            if len(encoded.ids) <= self.data.max_length:
                return short, encoded
        return None

    def _encode(self, row: Row) -> Encoded:
        def anew() -> Encoded:
            data = self.data
            return encode(row.turns, self.template, data.loss_on, tools=row.tool_list, prompt_weight=data.prompt_weight)

        return self.encoded(row, anew)
