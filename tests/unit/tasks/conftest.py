"""A folder of tiny tasks with data made here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_lm_eval import CHOICE, CLOZE, CODED, CODED_PY, GENERATE, GROUP, ROLLING, write_rows, yaml_file

from sfteval.tasks import names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A suite's folder with `tasks/` in it."""
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    train = [
        {"id": f"t{i}", "question": f"Where is t{i}?", "choices": ["here", f"t{i}"], "gold": i % 2} for i in range(12)
    ]
    write_rows(tasks / "train.jsonl", train)
    for name in ("animals", "plants"):
        rows = [
            {
                "id": f"{name}-{i}",
                "question": f"Which {name} {i}?",
                "choices": [f"{name}{i}", "rock", "it is"],
                "gold": i % 3,
            }
            for i in range(20)
        ]
        write_rows(tasks / f"{name}.jsonl", rows)
        extra = ("mcc", "matthews_corrcoef") if name == "animals" else ("acc_bytes", "mean")
        text = CHOICE.format(name=name, data=f"{name}.jsonl", tag="living", extra=extra[0], extra_aggregation=extra[1])
        yaml_file(tasks, name, text)
    for name, count in (("sums", 15), ("sums_train", 9)):
        rows = [
            {"question": f"{i}+{i * 7 % 5}?", "left": i, "right": i * 7 % 5, "answer": f"{i + i * 7 % 5}"}
            for i in range(count)
        ]
        write_rows(tasks / f"{name}.jsonl", rows)
    write_rows(tasks / "prose.jsonl", [{"page": f"Page {i} says ö and {'more ' * i}end"} for i in range(8)])
    texts = {"sums": GENERATE, "prose": ROLLING, "cloze": CLOZE, "coded": CODED, "everything": GROUP}
    for name, text in texts.items():
        yaml_file(tasks, name, text)
    (tasks / "coded.py").write_text(CODED_PY)
    return tmp_path


@pytest.fixture(scope="session")
def _index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, _index_folder: Path) -> None:
    monkeypatch.setenv("SFTEVAL_CACHE", str(_index_folder))


@pytest.fixture(autouse=True)
def _graders_of_this_test_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfteval.tasks.grading._GRADERS", {})


@pytest.fixture
def no_shipped_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if lm-eval's own index is touched."""

    def touched() -> None:
        raise AssertionError("lm-eval's own tasks were indexed")

    monkeypatch.setattr(names, "shipped_entries", touched)
