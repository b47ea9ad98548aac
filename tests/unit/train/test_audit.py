"""The audit: what is planted in the rows is found, counted and placed; budgets refuse; streaming changes nothing."""

from __future__ import annotations

import json

import pytest

from sfteval.errors import AuditError, InputError
from sfteval.train.audit import Protected, ProtectedSample, pieces_of, warnings_of
from sfteval.train.config import TrainingConfig
from sfteval.train.data_config import Budget, Data, Source
from sfteval.train.dataset import inspect, prepare
from sfteval.train.masks import encode
from sfteval.train.rows import Turn
from sfteval.train.template import chat_template

LONG = "Please tell me in a few plain words how the old harbour of this small town was built"
CLEAN = [
    [("user", "Where is the station?"), ("assistant", "Behind the church.")],
    [("user", "How do I cook rice?"), ("assistant", "Boil it in water.")],
]


@pytest.fixture
def template(make_tokenizer):
    return chat_template(make_tokenizer(), "m")


@pytest.fixture
def data(write_rows, tmp_path):
    def make(rows, budget=None, **more):
        path = write_rows(rows)
        fields = {"budget": Budget(**(budget or {}))} | more
        return TrainingConfig(
            model="m", data=Data(train=(Source(path=str(path)),), **fields), output=str(tmp_path / "out")
        )

    return make


def against(*texts):
    return Protected(tuple(ProtectedSample("s", str(i), text) for i, text in enumerate(texts)))


def test_numbers_of_clean_rows(data, template):
    audit = inspect(data(CLEAN), template).audit
    lengths = [len(encode([Turn(*turn) for turn in row], template).ids) for row in CLEAN]
    assert (audit["rows"], audit["encoded"], audit["tokens"]) == (2, 2, sum(lengths))
    assert audit["labels"] == len("Behind the church.") + len("Boil it in water.") + 2
    assert audit["label_share"] == audit["labels"] / audit["tokens"]
    assert audit["lengths"]["max"] == max(lengths)
    assert sum(each["rows"] for each in audit["lengths"]["histogram"]) == 2
    assert audit["turns"]["by_role"] == {"assistant": 2, "user": 2}
    assert audit["stop_token"] == {"turns_learned": 2, "stop_trained": 2}
    assert audit["faults"] == {"rows": 0, "by_kind": {}, "listed": []}
    assert warnings_of(audit) == []
    assert not any(line["broken"] for line in audit["budgets"])


def test_faults_are_counted_by_kind(data, template):
    rows = [
        *CLEAN,
        [("user", " "), ("assistant", "a")],
        [("human", "x"), ("assistant", "a")],
        [("user", "x"), ("assistant", "a"), ("assistant", "b")],
        [("user", "<|im_end|>"), ("assistant", "a")],
        "{",
    ]
    found = inspect(data(rows), template)
    assert found.audit["rows"] == 7
    assert found.audit["faults"]["by_kind"] == {"empty": 1, "format": 1, "order": 1, "role": 1, "special": 1}
    with pytest.raises(InputError, match=r"rows.jsonl:3: found message 0: an empty user turn"):
        prepare(data(rows), template)
    kept = prepare(data(rows, {"dropped": 0.8}), template)
    assert len(kept.train) == 2
    with pytest.raises(InputError, match=r"no rows"):
        prepare(data([], {"dropped": 1.0}), template)


def test_long_conversations_lose_whole_turns_within_the_budget(data, template):
    long = [*CLEAN[0], ("user", "And the market?"), ("assistant", "x" * 200)]
    rows = [long, CLEAN[1], [("user", "q"), ("assistant", "y" * 200)]]
    with pytest.raises(AuditError) as caught:
        prepare(data(rows, max_length=120), template)
    assert "2 rows are longer than data.max_length 120; cutting them loses 402 labels (allowed: 0)" in str(caught.value)
    kept = prepare(data(rows, {"cut": 0.7}, max_length=120), template)
    assert [len(row.turns) for row in kept.split.train] == [2, 2]
    assert kept.train[0] == encode([Turn(*turn) for turn in CLEAN[0]], template)
    assert (kept.audit["cut"]["rows"], kept.audit["cut"]["dropped"], kept.audit["cut"]["labels_lost"]) == (2, 1, 402)


def test_exact_and_near_duplicates(data, template):
    near = [("user", LONG), ("assistant", "With stones from the hill, and a great deal of patience over many years.")]
    nearly = [near[0], ("assistant", near[1][1] + " Really.")]
    other = [("user", LONG), ("assistant", "Nobody knows.")]
    audit = inspect(data([*CLEAN, CLEAN[0], near, nearly, other]), template).audit
    found = audit["duplicates"]
    assert (found["exact"], found["near"]) == (1, 1)
    assert [[place.rpartition(":")[2] for place in group] for group in found["exact_groups"]] == [["1", "3"]]
    assert [[place.rpartition(":")[2] for place in group] for group in found["near_groups"]] == [["4", "5"]]
    assert warnings_of(audit) == [
        "data: 1 of 6 rows repeat another one exactly",
        "data: 1 of 6 rows nearly repeat another one",
    ]
    with pytest.raises(AuditError, match=r"1 rows repeat another one \(allowed: 0\)[^≈]*rows.jsonl:1 = [^≈]*:3$"):
        prepare(data([*CLEAN, CLEAN[0]], {"duplicates": 0.0}), template)


@pytest.mark.parametrize(
    ("row", "ngrams"),
    [
        (f"I was asked this: {LONG}. What do I say?", 6),
        (LONG.upper().replace(" ", "  ") + "?!", 6),
        (LONG.replace("small", "pretty"), 2),
    ],
    ids=["inside", "other case and punctuation", "one word changed"],
)
def test_a_row_that_holds_a_sample(data, template, row, ngrams):
    audit = inspect(data([*CLEAN, [("user", row), ("assistant", "By hand.")]]), template, against(LONG)).audit
    ((hit,), overlap) = audit["overlap"]["found"], audit["overlap"]
    assert hit["where"].endswith("rows.jsonl:3")
    assert (hit["against"], hit["sample"], hit["ngrams"], hit["of"]) == ("s", "0", ngrams, 6)
    assert overlap["compared"] == [{"against": "s", "samples": 1, "hit": 1}]
    assert overlap["rows"] == 1


def test_short_samples_only_where_they_are_the_question(data, template):
    audit = inspect(data(CLEAN), template, against("where is the station", "rice")).audit
    assert [hit["sample"] for hit in audit["overlap"]["found"]] == ["0"]


def test_the_wording_of_a_task_is_no_overlap_and_its_whole_text_is(data, template):
    form = "Read the note and answer with the total as one JSON object and nothing else at all: "
    rows = [[("user", form + "nine pears"), ("assistant", "{}")], [("user", form + "two figs"), ("assistant", "{}")]]
    protected = against(form + "three apples", form + "two figs")
    audit = inspect(data(rows), template, protected).audit
    assert [(hit["where"][-1], hit["sample"]) for hit in audit["overlap"]["found"]] == [("2", "1")]
    assert audit["overlap"]["common_wording"] > 0


def test_overlap_refuses_and_names_row_and_sample(data, template):
    rows = [*CLEAN, [("user", LONG), ("assistant", "By hand.")]]
    with pytest.raises(AuditError) as caught:
        prepare(data(rows), template, against(LONG))
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(
        "1 training rows hold samples that the model will be judged by (allowed: 0). Remove the rows, or set "
        "data.budget.overlap:\n"
    )
    assert str(caught.value).endswith("rows.jsonl:3 holds s/0 (6 of 6 word sequences)")
    assert len(prepare(data(rows, {"overlap": 0.34}), template, against(LONG)).train) == 3


def test_repetitions_count_as_often_as_they_stand_there(data, template):
    """Budgets are shares of the rows read: a row that stands there three times breaks one three times."""
    held = [("user", LONG), ("assistant", "By hand.")]
    long = [*CLEAN[0], ("user", "And the market?"), ("assistant", "x" * 200)]
    rows = [*CLEAN, held, held, held, long, long, [*CLEAN[0], ("user", "What else?"), ("assistant", "y" * 200)]]
    found = inspect(data(rows, max_length=200), template, against(LONG))
    assert found.audit["overlap"]["rows"] == 3
    assert (found.audit["cut"]["rows"], found.audit["cut"]["labels_lost"]) == (3, 3 * 201)
    assert {line["name"]: line["rows"] for line in found.audit["budgets"]}["overlap"] == 3
    # What is left of the long ones is the first row, so they are learned or held out with it.
    assert len({entry.key for entry in found.split.train}) == 3
    assert found.audit["duplicates"]["exact"] == 2 + 3


def test_different_rows_are_counted_once(data, template):
    config = data([*CLEAN, CLEAN[0]])
    sources = (config.data.train[0].model_copy(update={"weight": 2.0}),)
    config = config.model_copy(update={"data": config.data.model_copy(update={"train": sources})})
    found = prepare(config, template)
    assert (found.distinct, len(found.train)) == (2, 6)


def test_the_hash_of_all_rows_is_that_of_their_contents(data, template):
    rows = [[("user", f"q{i}"), ("assistant", "a")] for i in range(30)]
    first, again = (prepare(data(rows, holdout=0.2, streaming=s), template).fingerprint for s in (False, True))
    other = prepare(data([*rows[:-1], [("user", "q29"), ("assistant", "b")]], holdout=0.2), template).fingerprint
    assert first == again != other
    assert len(first) == 64


def test_what_cannot_be_compared_is_a_warning_or_refuses(data, template):
    protected = Protected((), (("general/arc", "no network"),))
    audit = inspect(data(CLEAN), template, protected).audit
    assert warnings_of(audit) == ["data: rows are not compared with general/arc: no network"]
    with pytest.raises(AuditError, match=r"^1 suites or tasks cannot be compared .* \(allowed: 0\)"):
        prepare(data(CLEAN, {"unchecked": 0}), template, protected)


def test_against_without_samples_is_refused(data, template):
    with pytest.raises(InputError, match=r"found data.against, and no samples to compare with; expected samples"):
        prepare(data(CLEAN, against=("suites",)), template)


def test_personal_data_is_counted_and_never_shown(data, template):
    text = (
        "Mail ann@example.org or bob@example.org, call +49 30 1234567, pay 4111 1111 1111 1111 or 4111 1111 1111 1112."
    )
    iban = "GB82 WEST 1234 5698 7654 32, not GB82 WEST 1234 5698 7654 33, from 192.168.0.1"
    audit = inspect(data([*CLEAN, [("user", text), ("assistant", iban)]]), template).audit
    counts = {name: (tally["matches"], tally["rows"]) for name, tally in audit["personal_data"].items()}
    assert counts == {"email": (2, 1), "phone": (1, 1), "ip_address": (1, 1), "card_number": (1, 1), "iban": (1, 1)}
    assert "example.org" not in json.dumps(audit)
    assert "4111" not in json.dumps(audit)


def test_control_texts_of_other_families(data, template):
    rows = [*CLEAN, [("user", "[INST] Hi [/INST]"), ("assistant", "### Response: a")]]
    audit = inspect(data(rows), template).audit
    assert set(audit["control_tokens"]) == {"[INST]", "[/INST]", "### Response:"}
    assert warnings_of(audit)[0].startswith("data: 1 rows hold the control text '### Response:', first ")


def test_languages_are_detected_on_a_sample(data, template):
    german = [("user", "Wo ist bitte der Bahnhof in dieser Stadt?"), ("assistant", "Er ist gleich hinter der Kirche.")]
    english = [("user", "Where is the railway station in this town?"), ("assistant", "It is right behind the church.")]
    assert inspect(data([german, english, english]), template).audit["languages"] == {
        "rows": {"de": 1, "en": 1},
        "of": 2,
    }


def test_streaming_gives_the_same_rows_ids_and_audit(data, template):
    rows = [*CLEAN, CLEAN[0], [("user", "ü漢"), ("assistant", "é"), ("user", "b"), ("assistant", "c")]]
    rows += [[("user", f"q{i}"), ("assistant", "a")] for i in range(30)]
    fields = {"holdout": 0.2, "prompt_weight": 0.1}
    memory, disk = (prepare(data(rows, streaming=s, **fields), template) for s in (False, True))
    assert list(memory.train) == list(disk.train)
    assert list(memory.held_out) == list(disk.held_out)
    assert list(memory.split.train) == list(disk.split.train)
    assert disk.train[2:5] == tuple(memory.train)[2:5]
    assert memory.audit == disk.audit


def test_pieces_are_whole_characters_with_their_weight(template):
    item = encode((Turn("user", "é"), Turn("assistant", "漢")), template, prompt_weight=0.5)
    pieces = pieces_of(item, template)
    assert "".join(piece["text"] for piece in pieces) == template.decode(item.ids)
    assert [piece for piece in pieces if piece["weight"] == 1.0] == [
        {"ids": list(item.ids[-5:-2]), "text": "漢", "weight": 1.0},
        {"ids": [2], "text": "<|im_end|>", "weight": 1.0},
    ]
    assert [piece["text"] for piece in pieces if len(piece["ids"]) > 1] == ["é", "漢"]
