"""Runs that cannot be read, names of runs, promotions, removal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sfteval.errors import BaselineMissingError, InputError, StoreError
from sfteval.keys import model_fingerprint
from sfteval.records import RUN_FORMAT, MetricInfo
from sfteval.store import Promotion, RunStore
from sfteval.store.migrations import MIGRATIONS, Stored, migrate

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(store: RunStore, run_id: str) -> str:
    """Return the reason why a run is not loaded; `problems` gives the same and `manifests` leaves nothing out."""
    with pytest.raises(StoreError) as caught:
        store.load(run_id)
    assert str(store.root / run_id) in caught.value.fault.where
    return caught.value.fault.found


def test_a_truncated_parquet_file(store: RunStore, make) -> None:
    run_id = make.whole(store)
    path = store.root / run_id / "samples.parquet"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError) as caught:
        store.load(run_id)
    assert str(caught.value) == (
        f"{path}: found a truncated file of {size - 10} bytes; expected {size} bytes, as the manifest says. Restore "
        f"the file, or remove the run (sfteval runs rm {run_id}) and evaluate again"
    )
    assert store.problems() == [caught.value.fault]


def test_a_parquet_file_with_flipped_bits(store: RunStore, make) -> None:
    run_id = make.whole(store)
    path = store.root / run_id / "samples.parquet"
    data = path.read_bytes()
    for position in range(4, len(data), 97):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert refused(store, run_id).startswith("a damaged or exchanged file (sha256 ")
    path.write_bytes(data)
    assert store.load(run_id).samples == (make.sample(1), make.sample(2))


def test_a_damaged_part_is_one_message(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as writer:
        writer.put_samples("facts", [make.sample(1)], {"exact": MetricInfo()})
        path = writer.path / "work" / "part-facts.parquet"
        data = path.read_bytes()
        path.write_bytes(data[:-10])
        with pytest.raises(
            StoreError, match=r"part-facts\.parquet: found a truncated .* Remove this file and run again"
        ):
            writer.samples("facts")
        path.write_bytes(data.replace(b'"lower"', b'"lower:'))
        with pytest.raises(StoreError, match=r"part-facts\.parquet: found (metrics that do not fit|a truncated)"):
            writer.finish(make.manifest(writer.run_id))


def test_a_missing_or_exchanged_parquet_file(store: RunStore, make) -> None:
    one, two = make.whole(store, run_id="run-1"), make.whole(store, run_id="run-2")
    (store.root / two / "samples.parquet").replace(store.root / one / "samples.parquet")
    assert refused(store, one).startswith("a damaged or exchanged file (sha256 ")
    assert refused(store, two) == "no file"
    (store.root / one / "responses.parquet").write_bytes(b"")
    assert store.responses(model_fingerprint(make.model))["r1"] == make.response(1), "run-2's are still whole"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"{", "no JSON ("),
        (b"\xff\xfe\x00", "no JSON ("),
        (b"[" * 100_000, "no JSON ("),
        (b"[]", "no object with an integer `format`"),
        (b'{"format": "1"}', "no object with an integer `format`"),
        (b'{"format": 1}', "no size and sha256 of samples.parquet"),
    ],
)
def test_an_unreadable_manifest(store: RunStore, make, text: bytes, found: str) -> None:
    run_id = make.whole(store)
    (store.root / run_id / "manifest.json").write_bytes(text)
    assert refused(store, run_id).startswith(found)
    assert store.manifests() == []
    assert len(store.problems()) == 1


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"plan": 3, "counts": []}, "a wrong type in plan, counts"),
        ({"finished": "yesterday"}, "fields that do not fit (Invalid isoformat string: 'yesterday')"),
        ({"run_id": "x"}, "the manifest of run x"),
        ({"surprise": 1}, "fields that do not fit (Manifest.__init__() got an unexpected keyword argument 'surprise')"),
        ({"metrics": {"a": 1}}, "fields that do not fit ("),
        ({"files": {}}, "no size and sha256 of samples.parquet"),
    ],
)
def test_a_manifest_that_somebody_edited(store: RunStore, make, changes: dict[str, object], found: str) -> None:
    run_id = make.whole(store)
    edit(store.root / run_id / "manifest.json", **changes)
    assert refused(store, run_id).startswith(found)


def test_a_newer_format_is_refused_with_both_numbers(store: RunStore, make) -> None:
    run_id = make.whole(store)
    edit(store.root / run_id / "manifest.json", format=RUN_FORMAT + 6)
    with pytest.raises(StoreError, match=r"found run format 7; expected format 1 or older\. Upgrade sfteval"):
        store.load(run_id)
    assert store.manifests() == []
    assert [fault.found for fault in store.problems()] == ["run format 7"]


def test_an_incomplete_run_of_a_newer_format_is_not_resumed(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1", run_id="shared") as writer:
        writer.record([make.response(1)])
    edit(writer.path / "run.json", format=7)
    with store.begin(make.model, "plan-1") as other:
        assert not other.resumed
    with pytest.raises(StoreError, match="found run format 7"):
        store.begin(make.model, "plan-1", run_id="shared")
    assert store.responses(model_fingerprint(make.model)) == {}


def test_migrations_run_one_step_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MIGRATIONS == {}
    monkeypatch.setattr("sfteval.store.migrations.RUN_FORMAT", 3)
    monkeypatch.setattr("sfteval.store.documents.RUN_FORMAT", 3)
    steps: list[int] = []

    def step(stored: Stored) -> Stored:
        steps.append(stored.manifest["format"])
        return stored

    monkeypatch.setitem(MIGRATIONS, 1, step)
    with pytest.raises(StoreError, match="found run format 1; expected format 3; no migration from 2"):
        migrate(Stored({"format": 1}), Path("m"))
    monkeypatch.setitem(MIGRATIONS, 2, step)
    steps.clear()
    assert migrate(Stored({"format": 1}, {"samples": 5}), Path("m")) == Stored({"format": 3}, {"samples": 5})
    assert steps == [1, 2]


def test_an_incomplete_run_is_not_loaded(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as writer:
        assert refused(store, writer.run_id) == "a run that a live process is writing"
    assert refused(store, writer.run_id) == "an incomplete run (no manifest.json)"
    assert [fault.do for fault in store.problems()] == [
        f"Run the same command again to resume it, or remove it with: sfteval runs rm {writer.run_id}"
    ]


def test_a_run_without_header_and_folders_that_are_no_runs(store: RunStore, make) -> None:
    run_id = make.whole(store)
    (store.root / "checkpoint-1").mkdir()
    (store.root / "checkpoint-1" / "manifest.json").write_text("{}")
    (store.root / "link").symlink_to(store.root / run_id)
    assert store.problems() == []
    (store.root / run_id / "run.json").unlink()
    assert [fault.found for fault in store.problems()] == ["No such file or directory (ENOENT)"]


def test_responses_are_one_models_and_open_only_its_files(store: RunStore, make) -> None:
    make.whole(store)
    other = make.other(weights="w2")
    other_id = other.whole(store)
    with store.begin(make.model, "plan-2") as writer:
        writer.record([make.response(3)])
        (store.root / other_id / "responses.parquet").unlink()
        assert store.responses(model_fingerprint(make.model)) == {f"r{n}": make.response(n) for n in (1, 2, 3)}
    assert store.responses(model_fingerprint(other.model)) == {}


def test_latest_is_the_run_that_finished_last_whatever_its_name(store: RunStore, make) -> None:
    make.whole(store, run_id="run-z", finished="2026-01-01T10:00:00+00:00")
    make.whole(store, run_id="run-b", finished="2026-01-01T12:30:00+01:00")
    make.whole(store, run_id="run-a", finished="2026-01-01T11:30:00")
    with store.begin(make.model, "plan-1"):
        assert store.resolve("latest") == "run-b"
    assert [manifest.run_id for manifest in store.manifests()] == ["run-z", "run-a", "run-b"]


def test_a_clock_ahead_is_reported(store: RunStore, make) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    make.whole(store, run_id="run-1", finished=ahead)
    make.whole(store, run_id="run-2")
    assert store.resolve("latest") == "run-1"
    (fault,) = store.problems()
    assert fault.found == f"a run finished at {ahead}"
    assert "`latest` names this run" in fault.do


def test_names_of_runs(store: RunStore, make) -> None:
    for run_id in ("20260101-tiny-aaaaaa", "20260102-tiny-bbbbbb", "20260102-tiny-cccccc"):
        make.whole(store, run_id=run_id)
    assert store.resolve("20260101-tiny-aaaaaa") == "20260101-tiny-aaaaaa"
    assert store.resolve("20260101") == "20260101-tiny-aaaaaa"
    assert store.resolve("20260102-tiny-b") == "20260102-tiny-bbbbbb"
    with pytest.raises(InputError) as caught:
        store.resolve("20260102")
    assert str(caught.value) == (
        f"{store.root}: found 2 runs that begin with '20260102'; expected one. "
        "Say which: 20260102-tiny-bbbbbb, 20260102-tiny-cccccc"
    )


@pytest.mark.parametrize(
    ("reference", "do"),
    [
        ("20260101-tiny-aaaaab", "Did you mean 20260101-tiny-aaaaaa"),
        ("tiny-bb", "Did you mean 20260102-tiny-bbbbbb?"),
        ("../20260101-tiny-aaaaaa", "Did you mean 20260101-tiny-aaaaaa"),
        ("zzz", "List the runs with: sfteval runs list"),
        ("", "List the runs with: sfteval runs list"),
    ],
)
def test_an_unknown_run_has_near_misses(store: RunStore, make, reference: str, do: str) -> None:
    for run_id in ("20260101-tiny-aaaaaa", "20260102-tiny-bbbbbb"):
        make.whole(store, run_id=run_id)
    with pytest.raises(InputError) as caught:
        store.resolve(reference)
    (fault,) = caught.value.faults
    assert fault.found == f"no run {reference!r}"
    assert fault.do.startswith(do)
    if reference == "20260101-tiny-aaaaab":
        with pytest.raises(StoreError, match=r"found no run '20260101-tiny-aaaaab'; .* Did you mean"):
            store.load(reference)


def test_an_empty_store_has_no_latest_and_nothing_promoted(store: RunStore) -> None:
    with pytest.raises(BaselineMissingError, match="found no complete run; expected one for `latest`"):
        store.resolve("latest")
    with pytest.raises(BaselineMissingError, match=r"Promote a run with .* or say `--previous none`"):
        store.resolve("promoted")


def test_promotions_are_a_history(store: RunStore, make) -> None:
    for run_id in ("run-1", "run-2"):
        make.whole(store, run_id=run_id)
    first = store.promote("run-1", who="ann", because="first release", now=NOW)
    second = store.promote("run-2", who="bob", because="better", now=NOW + timedelta(days=7))
    fingerprint = model_fingerprint(make.model)
    assert first == Promotion(
        "run-1", "org/Tiny-Model", fingerprint, "ann", "first release", "2026-05-01T12:00:00+00:00"
    )
    assert store.promotions() == [first, second]
    assert RunStore(store.root).promoted() == second
    assert store.resolve("promoted") == "run-2"


PROMOTER = """
from datetime import UTC, datetime
for number in range(5):
    RunStore(Path(sys.argv[1])).promote("run-1", who=sys.argv[2], because="x", now=datetime.now(UTC))
"""


def test_promotions_at_once_are_all_kept(store: RunStore, make, launch) -> None:
    make.whole(store, run_id="run-1")
    children = [launch(PROMOTER, str(store.root), who) for who in ("ann", "bob")]
    assert [child.communicate(timeout=60) for child in children] == [("", "")] * 2
    assert sorted(promotion.who for promotion in store.promotions()) == ["ann"] * 5 + ["bob"] * 5


def test_only_whole_runs_are_promoted_with_a_name_and_a_reason(store: RunStore, make) -> None:
    make.whole(store, run_id="run-1")
    with store.begin(make.model, "plan-1", run_id="run-2"):
        pass
    with pytest.raises(StoreError, match="found an incomplete run"):
        store.promote("run-2", who="ann", because="x", now=NOW)
    with pytest.raises(InputError) as caught:
        store.promote("run-1", who=" ", because="", now=NOW)
    assert [fault.found for fault in caught.value.faults] == ["no `who`", "no `because`"]
    assert store.promoted() is None


@pytest.mark.parametrize("line", ["{", "{}", "[]", ""])
def test_a_broken_history_is_never_nothing_promoted(store: RunStore, make, line: str) -> None:
    make.whole(store, run_id="run-1")
    store.promote("run-1", who="ann", because="x", now=NOW)
    path = store.root / "promotions.jsonl"
    path.write_text(path.read_text() + line + "\n")
    for call in (store.promoted, lambda: store.resolve("promoted"), lambda: store.remove("run-1")):
        with pytest.raises(StoreError, match=r"promotions\.jsonl:2: found a broken line"):
            call()
    before = path.read_text()
    with pytest.raises(StoreError, match="found a broken line"):
        store.promote("run-1", who="ann", because="x", now=NOW)
    assert path.read_text() == before


def test_removal(store: RunStore, make) -> None:
    for run_id in ("run-1", "run-2"):
        make.whole(store, run_id=run_id)
    with store.begin(make.model, "plan-1", run_id="run-3"):
        pass
    store.promote("run-1", who="ann", because="x", now=NOW)
    store.promote("run-2", who="ann", because="y", now=NOW)
    with pytest.raises(StoreError, match=r"found the promoted run; .* use --force"):
        store.remove("run-2")
    for run_id in ("run-1", "run-3"):
        store.remove(run_id)
    with pytest.raises(StoreError, match="found no run 'run-1'"):
        store.remove("run-1")
    store.remove("run-2", force=True)
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "promotions.jsonl"]
    with pytest.raises(BaselineMissingError, match="found no run run-2, which ann promoted on 2026-05-01T12:00:00"):
        store.resolve("promoted")


@pytest.mark.parametrize(
    ("reference", "slug"),
    [
        ("org/Some-Model_1.5B", "some-model-1-5b"),
        ("./runs/checkpoint-500/", "checkpoint-500"),
        ("models/careful-run/checkpoint", "careful-run"),
        ("m/model.Q4_1.gguf", "model-q4-1"),
        ("openai:gpt/x@http://localhost:8000/v1", "x"),
        ("…", "model"),
        ("a" * 40, "a" * 24),
    ],
)
def test_a_run_is_named_after_its_model(store: RunStore, make, reference: str, slug: str) -> None:
    with store.begin(make.other(reference=reference).model, "plan-1") as writer:
        assert writer.run_id.split("-", 2)[2][:-7] == slug


@pytest.mark.slow
def test_100_000_samples_load(store: RunStore, make) -> None:
    rows = [make.sample(number) for number in range(100_000)]
    with store.begin(make.model, "plan-1") as writer:
        writer.put_samples("facts", rows, {})
        writer.finish(make.manifest(writer.run_id))
    run = store.load(writer.run_id)
    assert run.samples == tuple(rows)
