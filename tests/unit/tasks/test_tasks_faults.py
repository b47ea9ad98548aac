"""What a person can get wrong ends in one message that says where, what, and what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_lm_eval import block, write_rows, yaml_file

from sfteval.errors import TaskError
from sfteval.tasks import known_names, load_tasks, unknown_names
from sfteval.tasks import quiet as quiet_module


def message(folder: Path, *tasks: str, **fields: object) -> str:
    with pytest.raises(TaskError) as error:
        load_tasks("s", block(*tasks, **fields), folder=folder)
    return str(error.value)


def edit(folder: Path, task: str, old: str, new: str) -> Path:
    path = folder / "tasks" / f"{task}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_all_unknown_names_at_once_with_near_misses(folder: Path) -> None:
    assert message(folder, "anmals", "plants", "arc_eazy", "zzqqxx").splitlines() == [
        "suite s: lm_eval.tasks: found 'anmals'; expected a task, group or tag of lm-eval. Did you mean animals?",
        "suite s: lm_eval.tasks: found 'arc_eazy'; expected a task, group or tag of lm-eval. "
        "Did you mean arc_easy or arc_eu_easy or arc_ca_easy?",
        "suite s: lm_eval.tasks: found 'zzqqxx'; expected a task, group or tag of lm-eval. "
        "List the names that exist with: lm_eval ls tasks",
    ]


def test_an_unknown_name_mentions_files_that_could_not_be_read(folder: Path) -> None:
    path = yaml_file(folder / "tasks", "broken", "task: [unclosed\n")
    assert f"Not readable in the include folder: {path} (ParserError" in message(folder, "brokn")


def test_a_missing_include_folder(folder: Path) -> None:
    assert message(folder, "animals", include_path="tusks") == (
        f"suite s: lm_eval.include_path: found no folder at {folder}/tusks; expected a folder with task YAML files. "
        "Paths resolve from the suite file's folder."
    )


def test_tasks_of_the_include_folder_never_index_lm_evals_own(folder: Path, no_shipped_index: None) -> None:
    names = ("animals", "local_group", "living", "sums", "prose", "cloze", "coded")
    yaml_file(folder / "tasks", "local_group", "group: local_group\ntask: [animals, living]\n")
    assert len(load_tasks("s", block(*names), folder=folder)) == 7


def test_known_names_hold_both(folder: Path) -> None:
    names = known_names([folder / "tasks"])
    assert {"animals", "everything", "inner", "living", "arc_easy", "mmlu", "gsm8k"} - names == {"inner"}


def test_known_names_and_unknown_names_import_neither_lm_eval_nor_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import sfteval.tasks as tasks; from sfteval.records import LmEvalBlock;"
        "block = LmEvalBlock(tasks=('nope_nope', 'arc_easy'));"
        "assert len(tasks.unknown_names('s', block, folder=Path('.'))) == 1; assert tasks.known_names([]);"
        "print([m for m in ('torch', 'lm_eval', 'datasets', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_loading_tasks_imports_no_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import sfteval.tasks as tasks; from sfteval.records import LmEvalBlock;"
        f"block = LmEvalBlock(tasks=('animals', 'sums'), include_path='tasks');"
        f"assert len(tasks.load_tasks('s', block, folder=Path({str(folder)!r}))) == 2; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def test_a_missing_data_file_names_what_is_there(folder: Path) -> None:
    path = edit(folder, "animals", "test: animals.jsonl", "test: animlas.jsonl")
    assert message(folder, "animals") == (
        f"{path}: task animals: dataset_kwargs.data_files: found 'animlas.jsonl', no file at "
        f"{folder}/tasks/animlas.jsonl; expected a data file. There is: animals.jsonl, plants.jsonl, prose.jsonl, "
        "sums.jsonl, sums_train.jsonl."
    )


@pytest.mark.parametrize("name", ["../secret.jsonl", "/etc/secret.jsonl", "../*.jsonl"])
def test_a_data_file_outside_the_include_folder_is_refused(folder: Path, name: str) -> None:
    write_rows(folder / "secret.jsonl", [{"question": "q"}])
    path = edit(folder, "animals", "test: animals.jsonl", f"test: '{name}'")
    assert message(folder, "animals") == (
        f"{path}: task animals: dataset_kwargs.data_files: found {name!r}, which is outside {folder}/tasks; expected a "
        "path inside the include folder. Put the data beside the task (a symbolic link will do); paths resolve from "
        "the YAML file's folder."
    )


def test_a_broken_row_is_named_by_line_and_column(folder: Path) -> None:
    path = folder / "tasks/animals.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], '{"id": "x", oops}', *lines[3:]]))
    found = "Expecting property name enclosed in double quotes"
    assert message(folder, "animals") == f"{path}:4:13: found {found}; expected one JSON object per line"


def test_rows_with_different_fields_are_explained(folder: Path) -> None:
    write_rows(folder / "tasks/train.jsonl", [{"question": "q", "other": 1}])
    assert "All rows, of all splits, must have the same fields." in message(folder, "animals")


def test_local_data_leaves_nothing_in_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hf")
    before = sorted(folder.rglob("*"))
    assert load_tasks("s", block("animals", "sums", "coded"), folder=folder)
    assert [p for p in sorted(folder.rglob("*")) if p not in before and "__pycache__" not in p.parts] == []


def test_csv_text_glob_and_folder_data(folder: Path) -> None:
    (folder / "tasks/rows.csv").write_text("page\nalpha\nbeta\n")
    (folder / "tasks/lines.txt").write_text("gamma\ndelta\n")
    edit(folder, "prose", "dataset_path: json", "dataset_path: csv")
    edit(folder, "prose", "prose.jsonl", "'*.csv'")
    (loaded,) = load_tasks("s", block("prose"), folder=folder)
    assert [item.asks[0].text for item in loaded.items] == ["alpha", "beta"]
    edit(folder, "prose", "dataset_path: csv", "dataset_path: text")
    edit(folder, "prose", "'*.csv'", "[lines.txt]")
    edit(folder, "prose", "{{page}}", "{{text}}")
    (loaded,) = load_tasks("s", block("prose"), folder=folder)
    assert [item.asks[0].text for item in loaded.items] == ["gamma", "delta"]
    (folder / "tasks/pile").mkdir()
    write_rows(folder / "tasks/pile/train.jsonl", [{"text": "epsilon"}])
    edit(folder, "prose", "dataset_path: text", "dataset_path: ./pile")
    edit(folder, "prose", "dataset_kwargs: {data_files: [lines.txt]}", "")
    (loaded,) = load_tasks("s", block("prose"), folder=folder)
    assert [item.asks[0].text for item in loaded.items] == ["epsilon"]


def test_hub_data_without_a_hub_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    quiet_module.hub_answers.cache_clear()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hf")
    offline = constants.HF_HUB_OFFLINE
    text = message(folder, "arc_easy", include_path=None)
    quiet_module.hub_answers.cache_clear()
    assert "arc_easy.yaml: task arc_easy: found no data for arc_easy (" in text
    assert "expected its data set from the hub or the local cache. No hub answers here" in text
    assert "`dataset_kwargs: {data_files: {test: FILE.jsonl}}`" in text
    assert (constants.HF_HUB_OFFLINE, len(text.splitlines())) == (offline, 1)


def test_code_that_fails_beside_the_yaml_is_one_message(folder: Path) -> None:
    (folder / "tasks/coded.py").write_text("raise RuntimeError('no such luck')\n")
    assert message(folder, "coded") == (
        f"{folder}/tasks/coded.yaml: task coded: found RuntimeError: no such luck; "
        "expected a task that lm-eval can load"
    )


def test_a_prompt_that_cannot_be_made_is_one_message(folder: Path) -> None:
    path = folder / "tasks/coded.py"
    path.write_text(path.read_text().replace("{doc['left']} and", "{8 // (doc['left'] - 4)} and"))
    assert message(folder, "coded").startswith("suite s: task coded: found ZeroDivisionError: ") or message(
        folder, "coded"
    ).startswith(f"{folder}/tasks/coded.yaml: task coded: found ZeroDivisionError: ")


def test_a_task_that_runs_the_models_code_is_refused(folder: Path) -> None:
    path = folder / "tasks/sums.yaml"
    path.write_text(path.read_text() + "\nunsafe_code: true\n")
    assert message(folder, "sums") == (
        f"{path}: task sums: found a task that runs the model's code; expected a task that only reads it. "
        "Nothing here isolates it; leave this task out."
    )


def test_a_task_without_a_metric_per_document_is_refused(folder: Path) -> None:
    edit(folder, "prose", "  - {metric: byte_perplexity", "  # - {metric: byte_perplexity")
    edit(folder, "prose", "  - {metric: bits_per_byte", "  # - {metric: bits_per_byte")
    assert message(folder, "prose") == (
        "suite s: lm_eval.tasks: prose: found no metric with a value per document (prose: metric word_perplexity is "
        "left out: it is made over all documents at once (weighted_perplexity), not as a mean of scores per document); "
        "expected at least one"
    )


def test_the_index_is_stored_once_and_rebuilt_when_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sfteval.tasks import names

    small = tmp_path / "shipped"
    small.mkdir()
    yaml_file(small, "one", "task: one\ntag: [t]\n")
    monkeypatch.setattr(names, "shipped_folder", lambda: small)
    monkeypatch.setenv("SFTEVAL_CACHE", str(tmp_path / "cache"))
    build = names.shipped_entries.__wrapped__
    first = build()
    assert "once" in capsys.readouterr().err
    assert build() == first == names.scan(small).entries
    assert capsys.readouterr().err == ""
    (stored,) = (tmp_path / "cache").iterdir()
    assert json.loads(stored.read_text())["names"] == {"one": ["task", "one.yaml", []], "t": ["tag", None, ["one"]]}
    stored.write_text(stored.read_text()[:40])
    assert build() == first
    assert json.loads(stored.read_text())["names"]
    assert unknown_names("s", block("one", include_path=None), folder=tmp_path) is not None


def test_a_package_that_a_tasks_code_needs_is_named(folder: Path) -> None:
    (folder / "tasks/coded.py").write_text("import no_such_package\n")
    assert message(folder, "coded").endswith("can load. It needs: pip install no_such_package")


def test_broken_yaml_names_line_and_column(folder: Path) -> None:
    path = edit(folder, "sums", "output_type: generate_until", "output_type: [generate_until")
    assert message(folder, "sums") == (
        f"{path}:8:12: found did not find expected ',' or ']'; expected YAML that lm-eval can read"
    )


def test_two_files_with_one_name_are_a_warning(folder: Path) -> None:
    second = yaml_file(folder / "tasks", "zz", "task: plants\n")
    (loaded,) = load_tasks("s", block("plants"), folder=folder)
    assert loaded.warnings[0] == (
        f"plants: defined by {folder}/tasks/plants.yaml, and again by {second}, which has no effect, as in lm-eval"
    )


def test_an_empty_data_file(folder: Path) -> None:
    (folder / "tasks/prose.jsonl").write_text("")
    assert "prose.yaml: task prose" in message(folder, "prose")


def test_more_examples_than_there_are(folder: Path) -> None:
    assert "suite s: task animals: found ValueError: Sample larger than population" in message(
        folder, "animals", num_fewshot=13
    )


def test_a_metric_that_nobody_knows_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evaluate", None)  # where lm-eval looks next, on the network
    edit(folder, "sums", "{metric: bleu, aggregation: bleu", "{metric: no_such_metric_at_all, aggregation: mean")
    (loaded,) = load_tasks("s", block("sums", limit=1), folder=folder)
    assert list(loaded.metrics) == ["exact_match", "exact_match-flexible-extract"]
    assert loaded.warnings == (
        "sums: metric no_such_metric_at_all is left out: lm-eval finds no function of that name, here or in the "
        "evaluate library",
    )
