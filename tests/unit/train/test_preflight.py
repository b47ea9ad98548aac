"""Planted defects of mask and collator: each is named; the clean twin is silent."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from sfteval.errors import TrainingError
from sfteval.train.batches import collate
from sfteval.train.masks import IGNORED, encode
from sfteval.train.preflight import check_labels
from sfteval.train.rows import Row, Turn
from sfteval.train.template import chat_template

END = 2
TURNS = (Turn("user", "Hi"), Turn("assistant", "Yo"), Turn("user", "Ok?"), Turn("assistant", "Ja"))
ROW = Row("key", "rows.jsonl:1", TURNS)


@pytest.fixture
def template(make_tokenizer):
    return chat_template(make_tokenizer(pad_token="<|im_end|>"), "m")


def check(template, *, mode="assistant", labels=None, collator=None):
    row = encode(TURNS, template, mode)
    changed = row if labels is None else replace(row, labels=tuple(labels(row)))
    other = encode((Turn("user", "A much longer question"), Turn("assistant", "Yes")), template, mode)
    rows = [ROW, Row("other", "rows.jsonl:2", (Turn("user", "A much longer question"), Turn("assistant", "Yes")))]
    check_labels(rows, [changed, other], collator or partial(collate, pad_id=END), template, mode)


@pytest.mark.parametrize("mode", ["assistant", "last_assistant", "all"])
def test_clean_rows_pass(template, mode):
    check(template, mode=mode)


def test_end_of_turn_masked_because_it_is_the_pad_token(template):
    def masking(rows):
        batch = collate(rows, END)
        batch["labels"][batch["input_ids"] == END] = IGNORED
        return batch

    with pytest.raises(TrainingError) as caught:
        check(template, collator=masking)
    assert str(caught.value) == (
        "rows.jsonl:1: the end-of-turn token is not trained after 'Yo': the model would never stop"
    )


def test_mask_all_zero(template):
    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: no label is trained \(mask all zero\)"):
        check(template, labels=lambda row: [IGNORED] * len(row.ids))


def test_mask_dropped(template):
    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: the end-of-turn token is not trained after"):
        check(template, labels=lambda row: row.ids)


def test_wrong_turns_trained(template):
    last = encode(TURNS, template, "last_assistant").labels
    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: the labels cover 1 turns; expected 2$"):
        check(template, labels=lambda row: last)


def test_user_text_trained_instead(template):
    def swapped(row):
        (start, end), (second, _) = row.spans
        labels = [IGNORED] * len(row.ids)
        labels[start:end] = row.ids[start:end]
        user = row.ids.index(END, end)
        labels[user - 3 : user + 1] = row.ids[user - 3 : user + 1]
        assert user < second
        return labels

    with pytest.raises(
        TrainingError, match=r"^rows.jsonl:1: the wrong text is trained: 'Ok\?'; expected the assistant's 'Ja'$"
    ):
        check(template, labels=swapped)


def test_mask_off_by_one_early(template):
    def early(row):
        labels = list(row.labels)
        start = row.spans[0][0]
        labels[start - 1] = row.ids[start - 1]
        return labels

    with pytest.raises(TrainingError) as caught:
        check(template, labels=early)
    assert str(caught.value) == (
        "rows.jsonl:1: the mask of message 1 does not start where the generation prompt ends, but after 'ssistant'"
    )


def test_mask_off_by_one_late(template):
    def late(row):
        return [IGNORED if place == row.spans[0][0] else label for place, label in enumerate(row.labels)]

    with pytest.raises(
        TrainingError, match=r"^rows.jsonl:1: the wrong text is trained: 'o'; expected the assistant's 'Yo'$"
    ):
        check(template, labels=late)


def test_labels_shifted_against_ids(template):
    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: labels differ from the token ids at their own places$"):
        check(template, labels=lambda row: [*row.labels[1:], IGNORED])


def test_all_must_be_all(template):
    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: loss_on: all, but only part of the row's \d+ tokens"):
        check(template, mode="all", labels=lambda row: [IGNORED, *row.ids[1:]])


def test_a_collator_that_cuts(template):
    def cutting(rows):
        return {name: value[:, :40] for name, value in collate(rows, END).items()}

    with pytest.raises(TrainingError, match=r"^rows.jsonl:1: the collator changed the row's token ids$"):
        check(template, collator=cutting)
