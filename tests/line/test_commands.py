"""The commands, from files to exit codes, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys

from .conftest import ROWS, command


def evaluate(project, model: str) -> dict:
    done = command("eval", "--candidate", f"scripted:{model}.yaml", "--suites", "suites", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_eval_stores_a_run_and_reuses_what_is_stored(project) -> None:
    first, second = evaluate(project, "good"), evaluate(project, "good")
    assert (first["computed"], first["reused"]) == (ROWS, 0)
    assert (second["computed"], second["reused"]) == (0, ROWS)
    assert first["run_id"] != second["run_id"]
    polite = next(m for m in first["metrics"] if m["check"] == "polite")
    assert polite == {"suite": "answers", "task": "", "check": "polite", "n": ROWS, "mean": 1.0, "errored": 0}
    assert first["metrics"] == second["metrics"]


def test_compare_proves_a_drop_and_lists_flips(project) -> None:
    good, worse = evaluate(project, "good")["run_id"], evaluate(project, "worse")["run_id"]
    done = command("compare", good, worse, "--json", cwd=project)
    assert done.returncode == 1
    polite = next(row for row in json.loads(done.stdout) if row["check"] == "polite")
    wanted = {"suite", "check", "slice", "n", "reference", "candidate", "difference", "low", "high", "margin"}
    assert wanted | {"verdict", "detectable", "missing"} <= set(polite)
    assert polite["verdict"] == "FAIL"
    assert polite["n"] == ROWS
    assert polite["worse"] == 49
    table = command("compare", good, worse, cwd=project)
    assert "answers/q0: [user] question 0:" in table.stdout
    assert "before (1)" in table.stdout
    assert "candidate (0)" in table.stdout
    assert command("compare", good, good, cwd=project).returncode == 0


def test_compare_shows_slices(project) -> None:
    rows = [json.loads(line) for line in (project / "suites" / "q.jsonl").read_text().splitlines()]
    tagged = [row | {"tags": {"language": "de" if i % 3 else "en"}} for i, row in enumerate(rows)]
    (project / "suites" / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tagged))
    good, worse = evaluate(project, "good")["run_id"], evaluate(project, "worse")["run_id"]
    found = json.loads(command("compare", good, worse, "--by", "language", "--json", cwd=project).stdout)
    polite = next(row for row in found if row["check"] == "polite")
    assert [(part["slice"], part["n"]) for part in polite["slices"]] == [("language=de", 40), ("language=en", 20)]
    assert "language=de: 0." in command("compare", good, worse, "--by", "language", cwd=project).stdout


def test_runs_can_be_listed_shown_promoted_and_removed(project) -> None:
    good, worse = evaluate(project, "good")["run_id"], evaluate(project, "worse")["run_id"]
    promoted = command("runs", "promote", good, "--because", "first release", "--who", "ada", cwd=project)
    assert promoted.stdout == f"promoted {good} (by ada)\n"
    listed = json.loads(command("runs", "list", "--json", cwd=project).stdout)
    assert [(r["run_id"], r["promoted"]) for r in listed["runs"]] == [(good, True), (worse, False)]
    assert json.loads(command("runs", "show", "promoted", "--json", cwd=project).stdout)["manifest"]["run_id"] == good
    refused = command("runs", "rm", good, cwd=project)
    assert refused.returncode == 2
    assert "promoted" in refused.stderr
    assert command("runs", "rm", worse, cwd=project).stdout == f"removed {worse}\n"
    assert [r["run_id"] for r in json.loads(command("runs", "list", "--json", cwd=project).stdout)["runs"]] == [good]


def test_a_run_that_is_not_there(project) -> None:
    evaluate(project, "good")
    done = command("runs", "show", "20200101-000000-x-abcdef", cwd=project)
    assert done.returncode == 2
    assert "20200101-000000-x-abcdef" in done.stderr
    assert "Traceback" not in done.stderr


def test_mistakes_end_in_one_message(project) -> None:
    suite = project / "suites" / "answers.suite.yaml"
    suite.write_text(suite.read_text() + "gate: []\n")
    done = command("eval", "--candidate", "scripted:good.yaml", "--suites", "suites", cwd=project)
    assert done.returncode == 2
    assert "suites/answers.suite.yaml:9:1: found" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "runs").exists()


def test_no_suites_at_all(project) -> None:
    (project / "empty").mkdir()
    done = command("eval", "--candidate", "scripted:good.yaml", "--suites", "empty", cwd=project)
    assert done.returncode == 2
    assert "found no suite files" in done.stderr


def test_init_writes_a_project_that_collects_and_never_overwrites(tmp_path) -> None:
    first = command("init", "mine", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    config = tmp_path / "mine" / "finance.yaml"
    config.write_text("mine\n")
    second = command("init", "mine", cwd=tmp_path)
    assert "kept    mine/finance.yaml" in second.stdout
    assert config.read_text() == "mine\n"
    assert any((tmp_path / "mine" / "suites").rglob("*.suite.yaml"))


def test_doctor_schema_and_checks(tmp_path) -> None:
    findings = json.loads(command("doctor", "--json", cwd=tmp_path).stdout)
    assert {"torch", "device", "run store"} <= {f["what"] for f in findings}
    schema = json.loads(command("schema", cwd=tmp_path).stdout)
    assert "gates" in json.dumps(schema)
    listed = json.loads(command("checks", "--json", cwd=tmp_path).stdout)
    assert {"json", "json_schema", "regex", "max_words"} <= {c["name"] for c in listed}
    wrong = command("checks", "json_shema", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "Did you mean 'json_schema'?" in wrong.stderr


def test_a_truncated_run_is_refused(project) -> None:
    good = evaluate(project, "good")["run_id"]
    samples = project / "runs" / good / "samples.parquet"
    samples.write_bytes(samples.read_bytes()[:-20])
    done = command("compare", good, good, cwd=project)
    assert done.returncode == 2
    assert "samples.parquet" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_of_a_newer_format_is_refused(project) -> None:
    good = evaluate(project, "good")["run_id"]
    manifest = project / "runs" / good / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content | {"format": 99}))
    done = command("runs", "show", good, cwd=project)
    assert done.returncode == 2
    assert "99" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_the_run_resumable(project) -> None:
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); import signal; "
    limit += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from sfteval.cli import main; main()"
    arguments = ["eval", "--candidate", "scripted:slow.yaml", "--suites", "suites", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", limit, *arguments], cwd=project, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "stays resumable" in done.stderr
    assert "Traceback" not in done.stderr
    resumed = json.loads(command(*arguments, cwd=project).stdout)
    assert resumed["resumed"] is True
    assert resumed["reused"] > 0
    assert resumed["computed"] + resumed["reused"] == ROWS


def test_plan_counts_without_weights(tmp_path) -> None:
    fields = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    heads = {"num_attention_heads": 2, "vocab_size": 128, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(fields | heads))
    done = command(
        "plan", "config.json", "--method", "lora", "--rank", "8", "--targets", "q_proj,v_proj", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["methods"]["lora"]["trainable_parameters"] == 2 * 2 * 8 * (32 + 32)
