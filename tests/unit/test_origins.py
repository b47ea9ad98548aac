"""What `training.json` tells the diagnosis; anybody's manifest is read without trust."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from sfteval.keys import file_key
from sfteval.pipeline.origins import Origin
from sfteval.records import MergeDifference, MergeFacts, ModelIdentity

ANSWER = "the boat of the old baker is painted red and blue"
OTHER = "nobody in the whole town has seen the white goat today"


def model(training: Path | str, **fields: str) -> ModelIdentity:
    given = {"reference": "m", "weights": "w1", "adapter": "", "tokenizer": "", "template": "t1", "numerics": ""}
    return ModelIdentity(**(given | fields), training=str(training))


def manifest(path: Path, **entries: object) -> Path:
    path.write_text(json.dumps({"format": 1} | entries))
    return path


def trained_on(tmp_path: Path, *sources: dict[str, object]) -> Path:
    """Write the manifest of a training on these sources."""
    files = [{"path": each["path"], "sha256": file_key(Path(str(each["path"])))} for each in sources]
    return manifest(tmp_path / "training.json", data={"files": files}, config={"data": {"train": list(sources)}})


def rows(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def asked(answer: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": "Read."}, {"role": "assistant", "content": f" {answer}\n"}]}


def test_recited_answers_are_found_in_every_format(tmp_path: Path) -> None:
    whole = rows(tmp_path / "a.jsonl", asked("short"), asked(ANSWER))
    alpaca = rows(tmp_path / "b.jsonl", {"instruction": "Read.", "input": "", "output": ANSWER})
    gpt = rows(
        tmp_path / "c.jsonl", {"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": OTHER}]}
    )
    pairs = tmp_path / "d.json"
    pairs.write_text(json.dumps([{"prompt": "Read.", "completion": OTHER}]))
    table = tmp_path / "e.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([{"q": "Read.", "a": ANSWER}]), table)
    fields = {"prompt": "q", "completion": "a"}
    sources: list[tuple[dict[str, object], str]] = [
        ({"path": str(whole)}, ANSWER),
        ({"path": str(alpaca), "format": "alpaca"}, ANSWER),
        ({"path": str(gpt), "format": "sharegpt"}, OTHER),
        ({"path": str(pairs), "format": "prompt_completion"}, OTHER),
        ({"path": str(table), "format": "prompt_completion", "fields": fields}, ANSWER),
    ]
    for source, said in sources:
        origin = Origin(model(trained_on(tmp_path, source)))
        assert origin.recited({ANSWER, OTHER, "neither"}) == {said}, source
    assert origin.recited(()) == frozenset()


def test_broken_rows_are_passed_over(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", {"messages": "?"}, asked(ANSWER))
    path.write_text("{\n" + path.read_text())
    assert Origin(model(trained_on(tmp_path, {"path": str(path)}))).recited({ANSWER}) == {ANSWER}


def test_files_that_changed_or_are_gone_say_nothing(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", asked(ANSWER))
    origin = Origin(model(trained_on(tmp_path, {"path": str(path)})))
    path.write_text(path.read_text() + "\n")
    assert origin.recited({ANSWER}) == frozenset()
    path.unlink()
    assert origin.recited({ANSWER}) == frozenset()


def test_no_more_rows_are_read_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rows(tmp_path / "a.jsonl", asked(OTHER), asked(OTHER), asked(ANSWER))
    origin = Origin(model(trained_on(tmp_path, {"path": str(path)})))
    monkeypatch.setattr("sfteval.pipeline.origins.MOST_ROWS", 2)
    assert origin.recited({ANSWER, OTHER}) == {OTHER}


def test_template_stops_and_losses(tmp_path: Path) -> None:
    data = {"template_sha256": "t2", "stop_ids": [3, 4]}
    path = manifest(tmp_path / "training.json", data=data, holdout_loss={"before": 2.0, "after": 1.5})
    origin = Origin(model(path))
    assert (origin.template, origin.misfit, origin.stops, origin.held_out) == ("t2", True, (3, 4), (2.0, 1.5))
    assert not Origin(model(path, template="t2")).misfit


def test_leaked_samples_by_suite_and_task(tmp_path: Path) -> None:
    found = [
        {"against": "s", "sample": "a"},
        {"against": "s/task", "sample": "b"},
        {"against": "other", "sample": "c"},
        "?",
    ]
    path = manifest(tmp_path / "training.json", data={"audit": {"overlap": {"found": found}}})
    origin = Origin(model(path))
    assert (origin.leaked("s", ""), origin.leaked("s", "task"), origin.leaked("x", "")) == ({"a"}, {"b"}, frozenset())


def merged(tmp_path: Path, **entries: object) -> Path:
    difference = {"inputs": 8, "tokens": 90, "max_abs_logit_difference": 0.5, "logit_spread": 30, "argmax_agreement": 1}
    adapter = manifest(tmp_path / "adapter.json", data={"template_sha256": "t1", "stop_ids": [3]})
    told = {"difference": difference, "identity": {"weights": "b1", "adapter": "a1"}, "training": str(adapter)}
    return manifest(tmp_path / "training.json", merged=told | entries)


def test_a_merge_is_read_with_what_its_adapter_was_trained_on(tmp_path: Path) -> None:
    origin = Origin(model(merged(tmp_path, weights="w1")))
    measured = MergeDifference(8, 90, 0.5, 30.0, 1.0)
    assert origin.merge(None) == MergeFacts(measured, measured=True, of_reference=False)
    assert origin.merge(model("", weights="b1", adapter="a1")) == MergeFacts(measured, True, True)
    assert origin.merge(model("", weights="b1", adapter="a2")) == MergeFacts(measured, True, False)
    assert (origin.template, origin.stops) == ("t1", (3,))
    assert Origin(model(merged(tmp_path, weights="w0"))).merge(None) == MergeFacts(measured, measured=False)
    assert Origin(model(tmp_path / "adapter.json")).merge(None) is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        pytest.param("[" * 100_000, id="deep"),
        '{"merged": [], "data": {}}',
        '{"data": {"stop_ids": 3, "audit": [], "files": [{"path": 3}]}, "config": {"data": {"train": {}}}}',
        '{"data": {"audit": {"overlap": {"found": {}}}}, "config": {"data": {"train": [3, {"path": "/x"}]}}}',
        '{"holdout_loss": {"before": NaN, "after": 1e999}}',
        '{"holdout_loss": {"before": true, "after": "1"}, "config": {"data": []}}',
    ],
)
def test_anybodys_manifest_is_silent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "training.json"
    path.write_text(text)
    for origin in (Origin(model(path)), Origin(model(tmp_path / "none.json")), Origin(model(""))):
        assert (origin.template, origin.misfit, origin.stops, origin.held_out) == ("", False, (), None)
        assert (origin.leaked("s", ""), origin.recited({ANSWER}), origin.merge(None)) == (
            frozenset(),
            frozenset(),
            None,
        )


def test_a_merge_whose_difference_cannot_be_read(tmp_path: Path) -> None:
    for broken in ({}, [], {"inputs": 10**400}, {"max_abs_logit_difference": None}):
        assert Origin(model(merged(tmp_path, difference=broken))).merge(None) == MergeFacts()
