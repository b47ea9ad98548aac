"""The history of a training: what is read back after kills and resumes."""

from __future__ import annotations

import json

import pytest

from sfteval.errors import StoreError
from sfteval.store import HISTORY_FORMAT, TrainingHistory, read_history


def begun(tmp_path, name="a training/of mine"):
    history = TrainingHistory(tmp_path, name)
    history.add("begin", {"format": HISTORY_FORMAT})
    return history


def steps(history):
    return [(event["event"], event.get("step")) for event in read_history(history.path)]


def test_a_name_cannot_leave_the_folder(tmp_path):
    assert begun(tmp_path).path == tmp_path / "trainings" / "a-training-of-mine.jsonl"
    assert TrainingHistory(tmp_path, "../../..").path == tmp_path / "trainings" / "training.jsonl"


def test_looks_after_the_step_that_a_training_went_back_to_are_void(tmp_path):
    history = begun(tmp_path)
    for step in (2, 4, 6):
        history.add("look", {"step": step})
    history.add("resumed", {"step": 4})
    history.add("look", {"step": 6})
    assert steps(history) == [("begin", None), ("look", 2), ("look", 4), ("resumed", 4), ("look", 6)]


def test_a_new_training_of_the_same_name_hides_the_old_one(tmp_path):
    history = begun(tmp_path)
    history.add("look", {"step": 2})
    history.add("begin", {"format": HISTORY_FORMAT})
    assert steps(history) == [("begin", None)]


def test_a_torn_line_is_left_out_and_the_next_one_stands_alone(tmp_path):
    history = begun(tmp_path)
    with history.path.open("a") as file:
        file.write('{"event": "look", "st')
    history.add("look", {"step": 4})
    assert steps(history) == [("begin", None), ("look", 4)]


def test_a_newer_format_is_refused(tmp_path):
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"event": "begin", "format": HISTORY_FORMAT + 1}) + "\n")
    with pytest.raises(StoreError, match=r"found a history of format 2; expected at most 1"):
        read_history(path)
    with pytest.raises(StoreError, match=r"found No such file or directory \(ENOENT\)"):
        read_history(tmp_path / "none.jsonl")
