"""Runs that end before their time, and runs that several processes write."""

from __future__ import annotations

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sfteval.errors import DiskError, InputError, StoreError
from sfteval.records import BackendFailure, MetricInfo, Response
from sfteval.store import RunStore


def test_nothing_is_created_before_something_is_written(store: RunStore) -> None:
    assert store.manifests() == []
    assert store.problems() == []
    assert store.promotions() == []
    assert store.promoted() is None
    assert store.responses("f") == {}
    assert not store.root.exists()


def test_a_whole_run_is_three_files_and_its_header(store: RunStore, make) -> None:
    writer = store.begin(make.model, "plan-1")
    assert not writer.resumed
    assert re.fullmatch(r"\d{8}-\d{6}-tiny-model-[0-9a-f]{6}", writer.run_id)
    assert writer.path == store.root / writer.run_id
    run = make.fill(writer)
    names = sorted(path.name for path in writer.path.iterdir())
    assert names == ["manifest.json", "responses.parquet", "run.json", "samples.parquet"]
    assert run.samples == (make.sample(1), make.sample(2))
    assert run.manifest.metrics == {"facts/exact": MetricInfo()}
    assert store.load(writer.run_id) == run
    assert store.problems() == []


def test_failures_are_never_stored_as_answers(store: RunStore, make) -> None:
    failed = Response("r9", failure=BackendFailure("oom", "no memory"))
    with store.begin(make.model, "plan-1") as writer:
        writer.record([make.response(1), failed])
        writer.record([failed])
        assert writer.known() == {"r1": make.response(1)}


def test_resume_takes_the_newest_run_that_is_free_and_of_the_same_work(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as first:
        first.record([make.response(1)])
        with store.begin(make.model, "plan-1") as second:
            assert not second.resumed
            assert second.run_id != first.run_id
            second.record([make.response(2)])
    for model, plan in (
        (make.model, "plan-2"),
        (make.other(weights="w2").model, "plan-1"),
        (make.other(template="c2").model, "plan-1"),
    ):
        with store.begin(model, plan) as writer:
            assert not writer.resumed
    with store.begin(make.other(reference="./same-bytes").model, "plan-1") as again:
        assert again.resumed
        assert again.run_id == second.run_id
        assert again.known() == {"r2": make.response(2)}
        again.record([make.response(3)])
        assert set(again.known()) == {"r2", "r3"}


def test_a_whole_run_is_not_resumed(store: RunStore, make) -> None:
    whole = make.whole(store)
    with store.begin(make.model, "plan-1") as writer:
        assert not writer.resumed
        assert writer.run_id != whole


KILLED = """
writer = RunStore(Path(sys.argv[1])).begin(make.model, "plan-1")
lease = writer.lease("facts", wait=False)
assert lease.__enter__()
for batch in range(1000):
    writer.record([make.response(batch * 2), make.response(batch * 2 + 1)])
    print(writer.run_id, batch, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("torn", [0, 1, 10, 100])
def test_kill_9_loses_at_most_the_batch_in_flight(store: RunStore, make, launch, torn: int) -> None:
    child = launch(KILLED, str(store.root))
    for batch in range(3):
        run_id, number = child.stdout.readline().split()
        assert int(number) == batch
        if batch < 2:
            child.stdin.write("\n")
            child.stdin.flush()
    with store.begin(make.model, "plan-1") as other:
        assert other.run_id != run_id, "a run that a live process holds is not resumed"
    store.remove(other.run_id)
    with pytest.raises(StoreError, match=r"found a run that a live process writes; expected one at rest"):
        store.remove(run_id)
    assert [fault.found for fault in store.problems()] == ["a run that a live process is writing"]

    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    (journal,) = (store.root / run_id / "work").glob("journal-*.jsonl")
    with journal.open("r+b") as file:
        file.truncate(journal.stat().st_size - torn)

    lost = 1 if torn else 0
    with store.begin(make.model, "plan-1") as writer:
        assert (writer.run_id, writer.resumed) == (run_id, True)
        assert writer.known() == {f"r{n}": make.response(n) for n in range(6 - lost)}
        with writer.lease("facts", wait=False) as mine:
            assert mine, "the dead holder's lease is free"
        make.fill(writer)
    assert store.problems() == []
    assert set(store.responses(store.load(run_id).manifest.fingerprint)) == {f"r{n}" for n in range(6 - lost)}


def test_a_damaged_line_is_dropped_and_reported_a_torn_tail_only_dropped(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as writer:
        writer.record([make.response(number) for number in range(4)])
    (journal,) = (writer.path / "work").glob("journal-*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines) + b'{"sha256":"0')
    assert len(store.problems()) == 1
    lines[1] = lines[1].replace(b"answer", b"Answer")
    journal.write_bytes(b"".join(lines) + b'{"sha256":"0')
    assert [fault.found for fault in store.problems()] == [
        "an incomplete run (no manifest.json)",
        "1 damaged journal lines",
    ]
    with store.begin(make.model, "plan-1") as again:
        assert set(again.known()) == {"r0", "r2", "r3"}


WHOLE = """
store = RunStore(Path(sys.argv[1]))
writer = store.begin(make.model, "plan-1")
print(writer.run_id, flush=True)
sys.stdin.readline()
with writer:
    for batch in range(20):
        writer.record([make.response(batch)])
    writer.put_samples("facts", [make.sample(n) for n in range(int(sys.argv[2]))], {"exact": MetricInfo()})
    writer.finish(make.manifest(writer.run_id))
"""


def test_two_processes_write_runs_at_once(store: RunStore, make, launch) -> None:
    children = [launch(WHOLE, str(store.root), str(size)) for size in (3, 4)]
    ids = [child.stdout.readline().strip() for child in children]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.wait() for child in children] == [0, 0]
    assert ids[0] != ids[1]
    for run_id, size in zip(ids, (3, 4), strict=True):
        assert store.load(run_id).samples == tuple(make.sample(n) for n in range(size))
    assert store.problems() == []


def test_many_beginnings_at_once_are_many_runs(store: RunStore, launch) -> None:
    program = """
store = RunStore(Path(sys.argv[1]))
writers = [store.begin(make.model, "plan-1") for _ in range(5)]
print(*(writer.run_id for writer in writers), flush=True)
sys.stdin.readline()
"""
    children = [launch(program, str(store.root)) for _ in range(3)]
    ids = [run_id for child in children for run_id in child.stdout.readline().split()]
    assert len(set(ids)) == 15


WORKER = """
import time
with RunStore(Path(sys.argv[1])).begin(make.model, "plan-1", run_id="shared") as writer:
    print("ready", flush=True)
    sys.stdin.readline()
    for suite in ("facts", "json", "words"):
        if writer.done(suite):
            continue
        with writer.lease(suite, wait=True) as mine:
            assert mine
            if not writer.done(suite):
                time.sleep(0.05)
                writer.record([make.response(1, key=suite)])
                writer.put_samples(suite, [make.sample(1, suite=suite)], {})
                print("computed", suite, flush=True)
    assert set(writer.known()) == {"facts", "json", "words"}
    run = writer.finish(make.manifest("shared", suites={"facts": "1", "json": "2", "words": "3"}))
    assert [sample.suite for sample in run.samples] == ["facts", "json", "words"]
"""


def test_workers_share_a_run_and_compute_each_suite_once(store: RunStore, launch) -> None:
    children = [launch(WORKER, str(store.root)) for _ in range(3)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 3
    output = ""
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        out, error = child.communicate(timeout=60)
        assert (child.returncode, error) == (0, "")
        output += out
    assert sorted(output.split("\n")) == ["", "computed facts", "computed json", "computed words"]
    assert [sample.suite for sample in store.load("shared").samples] == ["facts", "json", "words"]


def test_workers_that_finish_at_the_same_moment_all_succeed(store: RunStore, make) -> None:
    """Found by stress: a held lease of a done suite, and lock folders that vanish while another writer waits."""
    suites = ("facts", "json")

    def work(start: threading.Barrier, run_id: str) -> int:
        with RunStore(store.root).begin(make.model, "plan-1", run_id=run_id) as writer:
            start.wait(timeout=60)
            for suite in suites:
                with writer.lease(suite, wait=True):
                    if not writer.done(suite):
                        writer.record([make.response(1, key=suite)])
                        writer.put_samples(suite, [make.sample(1, suite=suite)], {})
            assert set(writer.known()) == set(suites)
            return len(writer.finish(make.manifest(run_id, suites=dict.fromkeys(suites, ""))).samples)

    with ThreadPoolExecutor(4) as pool:
        for number in range(8):
            start = threading.Barrier(4)
            assert list(pool.map(work, [start] * 4, [f"run-{number}"] * 4)) == [2] * 4
    assert len(store.manifests()) == 8


def test_a_lease_is_one_workers_only(store: RunStore, make) -> None:
    with (
        store.begin(make.model, "plan-1", run_id="shared") as one,
        store.begin(make.model, "plan-1", run_id="shared") as two,
    ):
        assert (one.resumed, two.resumed) == (False, True)
        with one.lease("facts", wait=False) as mine, two.lease("facts", wait=False) as theirs:
            assert (mine, theirs) == (True, False)
            with pytest.raises(StoreError, match="found suite facts being worked on by a live process"):
                two.finish(make.manifest("shared", suites={}))
            one.put_samples("facts", [make.sample(1)], {})
        with two.lease("facts", wait=False) as theirs:
            assert theirs


def test_a_late_writer_finds_a_finished_run(store: RunStore, make) -> None:
    late = store.begin(make.model, "plan-1", run_id="shared")
    make.whole(store, run_id="shared")
    with late, store.begin(make.model, "plan-1", run_id="shared") as later:
        for writer in (late, later):
            assert writer.resumed is (writer is later)
            assert writer.done("facts")
            assert not writer.done("json")
            assert writer.samples("facts") == (make.sample(1), make.sample(2))
            assert writer.metrics("facts") == {"exact": MetricInfo()}
            assert set(writer.known()) == {"r1", "r2"}
            with writer.lease("facts", wait=True) as waited, writer.lease("facts", wait=False) as mine:
                assert (waited, mine) == (True, False)
            with pytest.raises(StoreError, match="found a run that is finished or let go"):
                writer.record([make.response(3)])
            assert writer.finish(make.manifest("shared", counts={})).manifest.counts == {"scored": 2}
    assert not (store.root / "shared" / "work").exists()


def test_a_run_id_of_other_work_is_refused(store: RunStore, make) -> None:
    make.whole(store, run_id="shared")
    with pytest.raises(StoreError, match="found a run of another model, template or plan"):
        store.begin(make.model, "plan-2", run_id="shared")


@pytest.mark.parametrize("run_id", ["../x", "/x", ".hidden", "a/b", "", "latest", "promoted", "a\n", "x" * 129])
def test_run_ids_cannot_leave_the_store(store: RunStore, make, tmp_path: Path, run_id: str) -> None:
    before = set(tmp_path.rglob("*"))
    if run_id:
        with pytest.raises(InputError, match=r"found .*; expected letters, digits"):
            store.begin(make.model, "plan-1", run_id=run_id)
    with pytest.raises(InputError, match=r"^run id: found"):
        store.load(run_id)
    with pytest.raises(InputError, match=r"^run id: found"):
        store.remove(run_id)
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suite", ["../x", "A", "a/b", "", "a\n", "x" * 81])
def test_suite_names_cannot_leave_the_run(store: RunStore, make, suite: str) -> None:
    with store.begin(make.model, "plan-1") as writer:
        with pytest.raises(InputError, match=r"^suite name: found"):
            writer.put_samples(suite, [], {})
        with pytest.raises(InputError, match=r"^suite name: found"):
            writer.done(suite)
        with pytest.raises(InputError, match=r"^suite name: found"), writer.lease(suite, wait=False):
            pass


def test_finish_wants_every_suite_and_its_own_manifest(store: RunStore, make) -> None:
    with store.begin(make.model, "plan-1") as writer:
        writer.put_samples("facts", [make.sample(1)], {})
        with pytest.raises(StoreError, match="found no samples of suite json; expected every suite of the plan done"):
            writer.finish(make.manifest(writer.run_id, suites={"facts": "1", "json": "2"}))
        for wrong in ({"run_id": "x"}, {"plan": "x"}, {"fingerprint": "x"}, {"format": 2}, {"finished": "today"}):
            with pytest.raises(ValueError, match=r"the manifest is of|isoformat"):
                writer.finish(make.manifest(**({"run_id": writer.run_id} | wrong)))
        with pytest.raises(ValueError, match="a sample of suite 'facts' among those of 'json'"):
            writer.put_samples("json", [make.sample(1)], {})
    with store.begin(make.model, "plan-1") as again:
        assert again.resumed
        assert again.samples("facts") == (make.sample(1),)


def test_what_killed_processes_left_half_made_is_swept(store: RunStore, make) -> None:
    run_id = make.whole(store)
    for leftover in (".new-1", ".removed-1", f"{run_id}/work"):
        (store.root / leftover).mkdir()
        (store.root / leftover / "file").touch()
    with store.begin(make.model, "plan-1") as writer:
        assert {path.name for path in store.root.iterdir()} == {run_id, writer.run_id, ".lock"}
    assert not (store.root / run_id / "work").exists()


def half_written(descriptor: int, data: bytes) -> int:
    if len(data) < 100:
        raise OSError(28, "No space left on device")
    return WRITE(descriptor, bytes(data)[:50])


def not_synced(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


WRITE = os.write
DISKS = {"write": (half_written, "No space left on device (ENOSPC)"), "fsync": (not_synced, "Input/output error (EIO)")}


@pytest.mark.parametrize("call", DISKS)
def test_a_journal_survives_a_failing_disk(store: RunStore, make, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    failure, found = DISKS[call]
    with store.begin(make.model, "plan-1") as writer:
        writer.record([make.response(1)])
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failure)
            with pytest.raises(StoreError) as caught:
                writer.record([make.response(2), make.response(3)])
        assert str(caught.value) == (
            f"{writer.path / 'work'}: found {found}; expected a disk that takes the write. "
            "Free or mend the disk and run the same command again: the run stays resumable, what was stored is kept"
        )
        assert isinstance(caught.value, DiskError)
        assert caught.value.exit_code == 2
        (journal,) = (writer.path / "work").glob("journal-*.jsonl")
        assert journal.read_bytes().count(b"\n") == 1
        assert journal.read_bytes().endswith(b"}\n")
        writer.record([make.response(4)])
        assert set(writer.known()) == {"r1", "r4"}


def test_an_interrupt_in_a_batch_harms_no_other_batch(store: RunStore, make, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int, data: bytes) -> int:
        WRITE(descriptor, bytes(data)[:50])
        raise KeyboardInterrupt

    with store.begin(make.model, "plan-1") as writer:
        writer.record([make.response(1)])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                writer.record([make.response(2)])
        writer.record([make.response(3)])
        assert set(writer.known()) == {"r1", "r3"}
    assert len(store.problems()) == 1


@pytest.mark.parametrize("name", ["samples.parquet", "responses.parquet", "manifest.json"])
def test_a_finish_that_fails_leaves_the_run_resumable(
    store: RunStore, make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with store.begin(make.model, "plan-1") as writer, monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(StoreError, match=rf"{name}: found No space left on device \(ENOSPC\)"):
            make.fill(writer)
    assert [fault.found for fault in store.problems()] == ["an incomplete run (no manifest.json)"]
    assert list(store.root.rglob(f".{name}*")) == []
    with store.begin(make.model, "plan-1") as again:
        assert (again.run_id, again.done("facts")) == (writer.run_id, True)
        run = again.finish(make.manifest(again.run_id))
    assert store.load(again.run_id) == run
    assert run.samples == (make.sample(1), make.sample(2))


LIMITED = """
import resource
writer = RunStore(Path(sys.argv[1])).begin(make.model, "plan-1")
writer.record([make.response(1)])
writer.put_samples("facts", [make.sample(1)], {})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for attempt in (
    lambda: writer.record([make.response(2, text="x" * 5000)]),
    lambda: writer.put_samples("facts", [make.sample(2, output="".join(map(chr, range(4000))))], {}),
    lambda: writer.finish(make.manifest(writer.run_id)),
):
    try:
        attempt()
    except StoreError as error:
        print(error)
"""


def test_a_real_file_size_limit_leaves_the_run_resumable(store: RunStore, make, launch) -> None:
    output, error = launch(LIMITED, str(store.root)).communicate(timeout=60)
    assert error == ""
    assert [re.search(r"found (.*?);", line)[1] for line in output.splitlines()] == ["File too large (EFBIG)"] * 3
    with store.begin(make.model, "plan-1") as writer:
        assert writer.resumed
        assert writer.known() == {"r1": make.response(1)}
        assert writer.samples("facts") == (make.sample(1),)
        leftovers = [path.name for path in writer.path.rglob(".*")]
        assert leftovers == []
        writer.finish(make.manifest(writer.run_id))
    assert len(store.manifests()) == 1


def test_a_root_that_cannot_be_made_is_one_message(tmp_path: Path, make) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"\(ENOTDIR\); expected a disk that takes the write\. Name a folder"):
        RunStore(tmp_path / "file" / "runs").begin(make.model, "plan-1")


def test_importing_the_store_is_cheap(launch) -> None:
    program = "print(sorted({'pyarrow', 'torch', 'numpy'} & set(sys.modules)))"
    assert launch(program).communicate(timeout=60) == ("[]\n", "")
