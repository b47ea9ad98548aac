"""lm-eval's tasks as items, and its metrics back to scores.

Comes in: a suite's `lm_eval:` block. Goes out: `LoadedTask`s with `Item`s, and scores for their responses. lm_eval is
imported only below this folder and only when a task is loaded or graded: importing `sfteval.tasks`, listing names
(`known_names`) and finding unknown ones (`unknown_names`) import neither lm_eval nor torch.

Task YAML of an `include_path` may name Python functions (`!function`), which lm-eval imports and runs from the folder
of the YAML file: an include folder is code.
"""

from sfteval.tasks.grading import TaskDocument, TaskSource, grade, shown
from sfteval.tasks.load import LoadedTask, load_tasks
from sfteval.tasks.names import known_names, unknown_names

__all__ = [
    "LoadedTask",
    "TaskDocument",
    "TaskSource",
    "grade",
    "known_names",
    "load_tasks",
    "shown",
    "unknown_names",
]
