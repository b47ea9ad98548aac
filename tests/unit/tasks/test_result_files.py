"""lm-eval's own output as runs: read, compared, written, read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_lmeval_model import TASKS, evaluate  # noqa: F401  (a fixture)

from sfteval.errors import InputError
from sfteval.pipeline.commands import compare_runs, evaluate_model
from sfteval.pipeline.interchange import export_run, import_results, load_results
from sfteval.records import Status

TINY = Path(__file__).parents[3] / "fixtures" / "tiny_base"


@pytest.fixture
def written(evaluate: Any, tmp_path: Path) -> Any:  # noqa: F811
    """Return a function that runs lm-eval on the tiny base and writes its files as its command line does."""

    def write(name: str, *, model: str = "hf", arguments: str = "", **options: Any) -> Path:
        from lm_eval.loggers import EvaluationTracker

        result = evaluate(model, TASKS, arguments, **options)
        tracker = EvaluationTracker(output_path=str(tmp_path / name))
        samples = result.pop("samples")
        tracker.save_results_aggregated(results=result, samples=samples)
        for task, rows in samples.items():
            tracker.save_results_samples(task_name=task, samples=rows)
        return tmp_path / name

    return write


def test_samples_and_metrics(written: Any) -> None:
    run = load_results(written("out"), {})
    tasks = {sample.task for sample in run.samples}
    assert tasks == set(TASKS)
    assert {"lm-eval/animals/acc", "lm-eval/sums/exact_match", "lm-eval/prose/bits_per_byte"} <= set(
        run.manifest.metrics
    )
    assert run.manifest.metrics["lm-eval/animals/acc"].version == "2.0"
    assert not run.manifest.metrics["lm-eval/prose/bits_per_byte"].higher_is_better
    assert all(sample.status is Status.SCORED for sample in run.samples)
    first = next(sample for sample in run.samples if sample.task == "animals")
    assert (first.sample_id, first.output) == ("animals-0", first.output)
    assert first.prompt.startswith("Question: Which animals 0?")
    assert any("mcc is left out" in warning for warning in run.manifest.extra["warnings"])


def test_our_own_run_of_the_same_tasks_pairs_and_agrees(written: Any, folder: Path, tmp_path: Path) -> None:
    own = folder / "own"
    own.mkdir()
    shutil.copytree(folder / "tasks", own / "tasks")
    for task, check in (("animals", "acc"), ("sums", "exact_match"), ("prose", "bits_per_byte")):
        (own / f"{task}.suite.yaml").write_text(
            f"suite: own-{task}\nlm_eval: {{tasks: [{task}], include_path: tasks, num_fewshot: 0}}\n"
            f"gates:\n  - {{check: {check}, at_most: 99}}\n"
        )
    theirs = written("out", num_fewshot=0)
    ours = evaluate_model(str(TINY), [own], tmp_path / "runs").run
    rows = compare_runs(tmp_path / "runs", ours.manifest.run_id, [str(theirs)], 0.0)
    compared = {(row["task"], row["check"]): row for row in rows if row["verdict"] != "NOT_COMPARABLE"}
    assert {task for task, _ in compared} == {"animals", "sums", "prose"}
    for row in compared.values():
        assert row["missing"] == 0
        assert row["difference"] == pytest.approx(0.0, abs=1e-4)
    assert compared["animals", "acc"]["n"] == 20


def test_import_compare_export_and_back(written: Any, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = import_results(written("a"), runs)
    other = import_results(written("b", gen_kwargs="max_gen_toks=2"), runs)
    assert first["run_id"] != other["run_id"]
    rows = compare_runs(runs, first["run_id"], [other["run_id"]], 0.0)
    assert {(row["n"], row["difference"]) for row in rows if row["task"] == "animals"} == {(20, 0.0)}
    generated = [row for row in rows if row["task"] == "sums"]
    assert all(row["verdict"] == "NOT_COMPARABLE" and "missing or differ" in row["reasons"][0] for row in generated)
    files = export_run(runs, first["run_id"], tmp_path / "back")["files"]
    assert len(files) == 1 + len(TASKS)
    back = load_results(tmp_path / "back", {})
    original = load_results(tmp_path / "a", {})
    scores = [{(s.task, s.sample_id): dict(s.scores) for s in run.samples} for run in (back, original)]
    assert scores[0] == scores[1]
    assert back.manifest.metrics.keys() == original.manifest.metrics.keys()


def damaged(out: Path, what: str) -> Path:
    results = next(out.rglob("results_*.json"))
    samples = next(out.rglob("samples_animals_*.jsonl"))
    document = json.loads(results.read_text())
    if what == "mean":
        document["results"]["animals"]["acc,none"] += 0.05
        results.write_text(json.dumps(document))
    elif what == "cut":
        samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:-1]))
    elif what == "torn":
        samples.write_text(samples.read_text()[:-40])
    elif what == "gone":
        samples.unlink()
    elif what == "foreign":
        samples.write_text('{"text": "x"}\n')
    elif what == "empty":
        shutil.rmtree(out)
        out.mkdir()
    elif what == "list":
        results.write_text("[]")
    elif what == "other":
        results.write_text('{"loss": 1}')
    return out


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("mean", "samples of animals whose mean acc is"),
        ("cut", "found 19 samples of animals; expected 20, as the results say"),
        ("torn", "samples that cannot be read"),
        ("gone", "Run lm-eval with --output_path OUT --log_samples"),
        ("foreign", "found no 'doc_id'; expected a sample that lm-eval logged"),
        ("empty", r"found no results_\*\.json"),
        ("list", "found a list; expected lm-eval's results, a JSON object"),
        ("other", "found no 'results'"),
    ],
)
def test_files_that_cannot_be_trusted(written: Any, tmp_path: Path, what: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        import_results(damaged(written("out"), what), tmp_path / "runs")


def test_texts_may_hold_line_separators(written: Any) -> None:
    out = written("out")
    samples = next(out.rglob("samples_sums_*.jsonl"))
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    rows[0]["filtered_resps"] = ["one\u2028two\u0085three"]
    samples.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    found = [sample.output for sample in load_results(out, {}).samples if sample.task == "sums"]
    assert "one\u2028two\u0085three" in found


def test_one_task_of_two_suites_is_written_as_two(folder: Path, tmp_path: Path) -> None:
    """0-shot and 2-shot are two results; pooled, their mean would be nobody's."""
    own = folder / "own"
    shutil.copytree(folder / "tasks", own / "tasks")
    for suite, shots in (("zero", 0), ("two", 2)):
        block = f"{{tasks: [animals], include_path: tasks, num_fewshot: {shots}}}"
        text = f"suite: {suite}\nlm_eval: {block}\ngates:\n  - {{check: acc, at_least: 0}}\n"
        (own / f"{suite}.suite.yaml").write_text(text)
    run = evaluate_model(str(TINY), [own], tmp_path / "runs").run
    files = export_run(tmp_path / "runs", run.manifest.run_id, tmp_path / "out")["files"]
    document = json.loads(Path(files[0]).read_text())
    assert set(document["results"]) == {"zero-animals", "two-animals"}
    for suite in ("zero", "two"):
        scores = [sample.scores["acc"] for sample in run.samples if sample.suite == suite]
        assert document["results"][f"{suite}-animals"]["acc,none"] == pytest.approx(sum(scores) / 20)
        assert document["n-samples"][f"{suite}-animals"]["effective"] == 20
    back = load_results(tmp_path / "out", {})
    assert {sample.task for sample in back.samples} == {"zero-animals", "two-animals"}
