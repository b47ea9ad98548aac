"""What the files hold: text of any content, exact floats, every field."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfteval.records import RUN_FORMAT, FinishReason, MetricInfo, Response, Sample, Status
from sfteval.store import RunStore
from sfteval.store.columns import RESPONSES, SAMPLES, read_records, read_table, write_rows
from sfteval.store.encoding import decode_text, encode_text
from sfteval.store.journal import decode_line, encode_line

HOSTILE = [
    "\ud800",
    "a\udfffb",
    "\ud83d\ude00",
    "😀",
    "\x00",
    "\U0010ffff",
    "\U0010ffffd800",
    "\U0010ffffffff",
    "\r\n\u2028\x1b[31m",
    "é" * 1_000_000,
    "",
]
anything = st.text(st.characters(), max_size=8) | st.sampled_from(HOSTILE[:9])
examples = settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
floats = st.floats(allow_nan=False)


def test_surrogates_are_escaped_and_all_else_is_stored_as_it_is() -> None:
    assert encode_text("a\ud800b") == "a\U0010ffffd800b"
    assert encode_text("\U0010ffff") == "\U0010ffffffff"
    assert encode_text("é\x00😀") == "é\x00😀"


@examples
@given(anything)
def test_any_text_round_trips_as_valid_unicode(text: str) -> None:
    encoded = encode_text(text)
    encoded.encode("utf-8")
    assert decode_text(encoded) == text


@examples
@given(st.builds(Response, anything, st.none() | anything, st.none() | floats, st.none() | st.booleans()))
def test_a_journal_line_round_trips(response: Response) -> None:
    line = encode_line(response)
    assert line.count(b"\n") == 1
    assert decode_line(line) == response
    json.loads(line)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_output_survives_journal_and_parquet(store: RunStore, make, text: str) -> None:
    response = make.response(1, text=text)
    sample = make.sample(1, output=text, evidence={"exact": text}, error=text, tags={text: text})
    with store.begin(make.model, "plan-1") as writer:
        writer.record([response])
        assert writer.known() == {"r1": response}
        writer.put_samples("facts", [sample], {})
        run = writer.finish(make.manifest(writer.run_id))
    assert store.load(run.manifest.run_id).samples == (sample,)
    assert store.responses(run.manifest.fingerprint) == {"r1": response}


maps = st.dictionaries(anything, anything, max_size=3)
samples = st.builds(
    Sample,
    key=anything,
    suite=st.just("facts"),
    task=anything,
    sample_id=anything,
    repeat=st.integers(0, 9),
    cluster=anything,
    status=st.sampled_from(Status),
    scores=st.dictionaries(anything, floats, max_size=3),
    evidence=maps,
    prompt_key=anything,
    prompt=anything,
    output=anything,
    finish_reason=st.none() | st.sampled_from(FinishReason),
    prompt_tokens=st.integers(0, 2**40),
    error=st.none() | anything,
    tags=maps,
    response_keys=st.lists(anything, max_size=3).map(tuple),
)


@examples
@given(rows=st.lists(samples, max_size=5))
def test_samples_round_trip_exactly(tmp_path_factory: pytest.TempPathFactory, rows: list[Sample]) -> None:
    path = tmp_path_factory.mktemp("rows") / "samples.parquet"
    with path.open("wb") as file:
        write_rows(file, SAMPLES, rows, {})
    assert read_records(read_table(path, ""), SAMPLES, path, "") == rows


def test_row_groups_split_by_rows_and_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make) -> None:
    monkeypatch.setattr("sfteval.store.columns._GROUP_ROWS", 3)
    monkeypatch.setattr("sfteval.store.columns._GROUP_CHARACTERS", 100)
    rows = [make.response(number) for number in range(7)] + [make.response(8, text="x" * 100), make.response(9)]
    path = tmp_path / "responses.parquet"
    with path.open("wb") as file:
        write_rows(file, RESPONSES, rows, {})
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [3, 3, 2, 1]
    assert read_records(read_table(path, ""), RESPONSES, path, "") == rows


def test_floats_are_exact_to_the_bit(store: RunStore, make) -> None:
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3]
    scores = {f"s{number}": value for number, value in enumerate(values)}
    responses = [make.response(n, text=None, loglikelihood=v) for n, v in enumerate([*values, -math.inf])]
    with store.begin(make.model, "plan-1") as writer:
        writer.record(responses)
        stored = [writer.known()[f"r{number}"].loglikelihood for number in range(6)]
        writer.put_samples("facts", [make.sample(1, scores=scores)], {})
        run = writer.finish(make.manifest(writer.run_id))
    loaded = store.load(run.manifest.run_id).samples[0].scores
    assert [loaded[name].hex() for name in scores] == [value.hex() for value in values]
    assert [value.hex() for value in stored if value is not None] == [v.hex() for v in [*values, -math.inf]]
    again = store.responses(run.manifest.fingerprint)
    assert [again[f"r{number}"] for number in range(6)] == responses


def test_every_field_of_the_records_has_a_column_in_its_place() -> None:
    assert list(SAMPLES.columns) == [field.name for field in fields(Sample)]
    assert list(RESPONSES.columns) == [field.name for field in fields(Response) if field.name != "failure"]
    assert fields(Response)[-1].name == "failure"
    journal = json.loads(encode_line(Response("k")))["response"]
    assert list(journal) == list(RESPONSES.columns)


def test_parquet_is_plain_columns_for_other_readers(store: RunStore, make) -> None:
    run_id = make.whole(store)
    table = pq.read_table(store.root / run_id / "samples.parquet")
    types = {field.name: field.type for field in table.schema}
    assert (types["scores"].key_type, types["scores"].item_type) == (pa.string(), pa.float64())
    assert types["evidence"] == types["tags"] == pa.map_(pa.string(), pa.string())
    assert types["response_keys"].value_type == pa.string()
    assert table.column("status").to_pylist() == ["scored", "scored"]
    assert table.column("finish_reason").to_pylist() == ["end_turn", "end_turn"]
    assert table.schema.metadata[b"sfteval.format"] == str(RUN_FORMAT).encode()
    assert table.schema.metadata[b"sfteval.run_id"] == run_id.encode()


def test_metrics_of_the_suites_complete_the_manifest(store: RunStore, make) -> None:
    words = MetricInfo(0.0, None, higher_is_better=False, version="2")
    with store.begin(make.model, "plan-1") as writer:
        writer.put_samples("facts", [make.sample(1)], {"exact": MetricInfo(), "facts/words": words})
        assert writer.metrics("facts") == {"exact": MetricInfo(), "facts/words": words}
        stated = {"facts/exact": MetricInfo(version="9")}
        run = writer.finish(make.manifest(writer.run_id, metrics=stated, extra={"note": [1, {"a": None}]}))
    assert run.manifest.metrics == {"facts/exact": MetricInfo(version="9"), "facts/words": words}
    assert run.manifest.extra == {"note": [1, {"a": None}]}
    assert store.load(writer.run_id) == run


def test_a_suite_without_samples_is_done(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as writer:
        writer.put_samples("facts", [], {})
        assert writer.done("facts")
        assert writer.samples("facts") == ()
        writer.finish(make.manifest(writer.run_id))
    assert store.load(writer.run_id).samples == ()
