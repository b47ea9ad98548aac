"""A small project for pytester: one suite with 40 samples, and scripted models that answer it well or badly."""

from __future__ import annotations

import json

# pytester forgets what a run inside the process imports: C extensions cannot be imported twice, and the rest costs
# each run seconds (sfteval itself is imported anew, so that no registry outlives its test)
import duckdb  # noqa: F401
import filelock  # noqa: F401
import hypothesis.core  # noqa: F401
import jsonschema  # noqa: F401
import numpy as np  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pydantic  # noqa: F401
import pytest
import rich.live
import rich.markdown
import rich.progress  # noqa: F401
import ruamel.yaml  # noqa: F401
import scipy.special
import scipy.stats  # noqa: F401
import vl_convert  # noqa: F401
import yaml  # noqa: F401

QUESTIONS = 40


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a pytester with suites/ and the models good.yaml, worse.yaml, base.yaml."""
    suites = pytester.mkdir("suites")
    rows = [{"id": f"q{i}", "messages": [{"role": "user", "content": f"question {i}:"}]} for i in range(QUESTIONS)]
    (suites / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (suites / "answers.suite.yaml").write_text(
        """
suite: answers
skill: format
samples: q.jsonl
checks:
  polite: {contains: [please]}
  brief: {max_words: 3}
gates:
  - {check: polite, no_regression: {against: base, margin: 0.2}}
  - {check: polite, no_regression: {against: previous, margin: 0.2}}
  - {check: brief, at_least: 0.9}
"""
    )
    (suites / "families.yaml").write_text("family: {name: format, no_regression: {against: base, margin: 0.25}}\n")
    scripted(pytester, "good", "yes please")
    scripted(pytester, "base", "yes, please")
    scripted(pytester, "worse", "no", {"question 1": "yes please"})
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\n")
    return pytester


def scripted(
    pytester: pytest.Pytester, name: str, default: str, replies: dict[str, str] | None = None, more: str = ""
) -> None:
    """Write a scripted model."""
    rules = [{"contains": question, "reply": reply} for question, reply in (replies or {}).items()]
    text = f"name: {name}\ndefault: {json.dumps(default)}\nreplies: {json.dumps(rules)}\n{more}\n"
    (pytester.path / f"{name}.yaml").write_text(text)


def gate(project: pytest.Pytester, *arguments: str, candidate: str | None = "good", base: str | None = "base"):
    """Run `pytest suites/` in the project."""
    roles = [*(["--candidate", f"scripted:{candidate}.yaml"] if candidate else [])]
    roles += ["--base", f"scripted:{base}.yaml"] if base else []
    return project.runpytest("suites", *roles, *arguments)


def gate_in_a_process(project: pytest.Pytester, *arguments: str):
    """Run `pytest suites/` as a process of its own: needed where lm-eval is imported."""
    roles = ["--candidate", "scripted:good.yaml", "--base", "scripted:base.yaml", "--previous", "none"]
    return project.runpytest_subprocess("suites", *roles, *arguments)


def facts(project: pytest.Pytester, *, task: str = "tiny_facts", metric: str = "acc") -> None:
    """Add an lm-eval suite with local data."""
    suites = project.path / "suites"
    (suites / "facts.suite.yaml").write_text(
        f"suite: facts\nskill: forgetting\nlm_eval: {{tasks: [{task}], include_path: tasks/}}\n"
        f"gates:\n  - {{check: {metric}, no_regression: {{against: base, margin: 0.9}}}}\n"
    )
    tasks = project.mkdir("suites/tasks")
    (tasks / "tiny_facts.yaml").write_text(
        "task: tiny_facts\ndataset_path: json\ndataset_kwargs: {data_files: {test: tiny_facts.jsonl}}\n"
        "output_type: multiple_choice\ntest_split: test\ndoc_to_text: '{{q}}'\ndoc_to_choice: '{{c}}'\n"
        "doc_to_target: 0\n"
    )
    rows = [{"q": f"q {i}", "c": ["x", "y"]} for i in range(8)]
    (tasks / "tiny_facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
