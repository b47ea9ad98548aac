"""What stands around a sample's own messages: few-shot examples and the suite's template.

Comes in: a sample, the suite. Goes out: the sample as it is asked. Examples are drawn by (suite, sample id, seed): each
is ranked by a hash of these and its own words, and the first n are taken. So the order of the file, other samples and
examples that are not drawn change no prompt; the sample itself is never among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfteval.keys import content_key
from sfteval.records import PROMPT, ExampleRow, FewShot, Message
from sfteval.spec.samples import sources
from sfteval.spec.validation import validate
from sfteval.yamlfile import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.errors import Fault
    from sfteval.records import SampleRow, Suite
    from sfteval.spec.paths import Fence
    from sfteval.yamlfile import FieldPath, Located

FROM: FieldPath = ("few_shot", "from")


def load_examples(document: Located, fence: Fence, faults: list[Fault]) -> tuple[ExampleRow, ...]:
    """Return the examples of `few_shot`, () without any; append a fault for each that cannot be used."""
    block = document.data.get("few_shot")
    if not isinstance(block, dict) or not isinstance(block.get("from"), str | list):
        return ()
    found: list[ExampleRow] = []
    for place, path in sources(document, FROM, fence, faults):
        example = validate(ExampleRow, place, path, faults)
        if example is None:
            continue
        for index, message in enumerate(example.messages):
            if message.role == "system":
                where = (*path, "messages", index)
                text = f"a system message in {dotted(where)}"
                faults.append(place.fault(where, text, "none: examples follow the suite's own"))
        found.append(example)
    return tuple(found)


def example_faults(few_shot: FewShot, rows: Sequence[SampleRow], document: Located) -> Iterator[Fault]:
    """Yield a fault when some sample has fewer examples beside it than are wanted."""
    for row in rows:
        others = sum(not example.solves(row) for example in few_shot.examples if isinstance(example, ExampleRow))
        if others < few_shot.n:
            found = f"{few_shot.n} in few_shot.n, and {others} examples beside the sample {row.id!r}"
            yield document.fault(("few_shot", "n"), found, "at most as many as there are")
            return


def asked_row(row: SampleRow, suite: Suite, name: str) -> SampleRow:
    """Return a sample with the suite's template and examples around its messages.

    Args:
        row: As the author wrote it.
        suite: The suite, `few_shot` with its examples.
        name: The suite's name as written: variants of a matrix draw the same examples.
    """
    head = row.messages[:1] if row.messages[0].role == "system" else ()
    own = _filled(row.messages[len(head) :], suite.template)
    shown = [(*_filled(each.question, suite.template), each.answer) for each in _drawn(row, suite.few_shot, name)]
    return row.model_copy(update={"messages": (*head, *(message for each in shown for message in each), *own)})


def _drawn(row: SampleRow, few_shot: FewShot | None, name: str) -> list[ExampleRow]:
    if few_shot is None:
        return []
    others = [each for each in few_shot.examples if isinstance(each, ExampleRow) and not each.solves(row)]
    others.sort(key=lambda each: content_key(name, row.id, few_shot.seed, [*each.question, each.answer]))
    return others[: few_shot.n]


def _filled(messages: tuple[Message, ...], template: str | None) -> tuple[Message, ...]:
    """Put the last message into the template."""
    if template is None:
        return messages
    last = messages[-1]
    return (*messages[:-1], Message(role=last.role, content=template.replace(PROMPT, last.content)))
