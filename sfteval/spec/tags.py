"""`only` and `skip`: which samples of a file a suite takes, by tag.

Comes in: rows and the located suite. Goes out: the rows that are kept, and faults for tags and values that no row has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.yamlfile import did_you_mean, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sfteval.errors import Fault
    from sfteval.records import SampleRow, Suite
    from sfteval.records.suite import TagValues
    from sfteval.yamlfile import Located


def kept_rows(suite: Suite, rows: Sequence[SampleRow], document: Located, faults: list[Fault]) -> list[SampleRow]:
    """Return the rows that have a value of every tag under `only` and of no tag under `skip`."""
    before = len(faults)
    faults.extend(_faults(suite, rows, document))
    kept = [row for row in rows if all(_has(row, tag, values) for tag, values in suite.only.items())]
    kept = [row for row in kept if not any(_has(row, tag, values) for tag, values in suite.skip.items())]
    if rows and not kept and len(faults) == before:
        field = "only" if suite.only else "skip"
        found = f"none of {len(rows)} samples left by only and skip"
        faults.append(document.fault((field,), found, "at least 1 sample", key=True))
    return kept


def _has(row: SampleRow, tag: str, values: TagValues) -> bool:
    return row.tags.get(tag.removeprefix("tags.")) in _listed(values)


def _listed(values: TagValues) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values


def _faults(suite: Suite, rows: Sequence[SampleRow], document: Located) -> Iterator[Fault]:
    known: dict[str, set[str]] = {}
    for row in rows:
        for tag, value in row.tags.items():
            known.setdefault(f"tags.{tag}", set()).add(value)
    fields: Mapping[str, Mapping[str, TagValues]] = {"only": suite.only, "skip": suite.skip}
    for field, wanted in fields.items():
        for tag, values in wanted.items():
            if tag not in known:
                expected = "a tag that samples have"
                yield document.fault((field, tag), f"{tag!r} in {field}", expected, did_you_mean(tag, known), key=True)
                continue
            for value in _listed(values):
                if value not in known[tag]:
                    found, near = f"{value!r} in {field}.{tag}", did_you_mean(value, known[tag])
                    yield document.fault((field, tag), found, f"a value that samples have: {one_of(known[tag])}", near)
