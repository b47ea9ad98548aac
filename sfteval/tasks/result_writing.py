"""A run's lm-eval samples in lm-eval's own files, for its own tools.

Comes in: samples and metrics. Goes out: `results_DATE.json` and one `samples_TASK_DATE.jsonl` per task. What a run does
not keep (the document, each option's log-likelihood) is not in them; prompts, answers and scores are.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sfteval.records import Manifest, MetricInfo, Sample

FILTER = "none"


def write_results(samples: Sequence[Sample], manifest: Manifest, folder: Path) -> list[Path]:
    """Write lm-eval's files.

    Args:
        samples: Of lm-eval tasks, of one suite or several.
        manifest: The run's.
        folder: Is created.

    Returns:
        The files, results first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    date = manifest.started.replace(":", "-")
    by_task = _by_task(samples)
    tasks = sorted(by_task)
    metrics = {task: _metrics(mine[0].suite, mine[0].task, manifest.metrics) for task, mine in by_task.items()}
    document = {
        "results": {task: _means(by_task[task], metrics[task]) | {"alias": task} for task in tasks},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {task: _config(task, metrics[task]) for task in tasks},
        "versions": {task: next(iter(metrics[task].values())).version for task in tasks},
        "n-shot": {},
        "higher_is_better": {t: {n: info.higher_is_better for n, info in metrics[t].items()} for t in tasks},
        "n-samples": {task: {"original": len(by_task[task]), "effective": len(by_task[task])} for task in tasks},
        "config": {"model": "sfteval", "model_args": {"pretrained": manifest.model.reference}},
        "date": 0.0,
        "lm_eval_version": manifest.versions.get("lm-eval", "unknown"),
        "model_name": manifest.model.reference,
        "total_evaluation_time_seconds": str(manifest.seconds),
        "sfteval_run": manifest.run_id,
    }
    files = [folder / f"results_{date}.json"]
    files[0].write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    for task in tasks:
        files.append(folder / f"samples_{task}_{date}.jsonl")
        rows = (json.dumps(_row(i, sample), ensure_ascii=False) for i, sample in enumerate(by_task[task]))
        files[-1].write_text("".join(f"{row}\n" for row in rows), encoding="utf-8", errors="backslashreplace")
    return files


def _by_task(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Return samples by task; a task that several suites ask (0-shot and 5-shot) is a task of each."""
    places = {(sample.suite, sample.task) for sample in samples}
    suites = Counter(task for _, task in places)
    names = {(suite, task): task if suites[task] == 1 else f"{suite}-{task}" for suite, task in places}
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(names[sample.suite, sample.task], []).append(sample)
    return found


def _metrics(suite: str, task: str, metrics: Mapping[str, MetricInfo]) -> dict[str, MetricInfo]:
    prefix = f"{suite}/{task}/"
    return {name.removeprefix(prefix): info for name, info in metrics.items() if name.startswith(prefix)}


def _means(samples: Sequence[Sample], metrics: Mapping[str, MetricInfo]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in metrics:
        values = [sample.scores[name] for sample in samples if name in sample.scores]
        if values:
            mean = math.fsum(values) / len(values)
            spread = math.fsum((value - mean) ** 2 for value in values)
            error = math.sqrt(spread / (len(values) - 1) / len(values)) if len(values) > 1 else "N/A"
            means |= {f"{name},{FILTER}": mean, f"{name}_stderr,{FILTER}": error}
    return means


def _config(task: str, metrics: Mapping[str, MetricInfo]) -> dict[str, Any]:
    listed = [{"metric": n, "aggregation": "mean", "higher_is_better": i.higher_is_better} for n, i in metrics.items()]
    return {"task": task, "metric_list": listed}


def _row(number: int, sample: Sample) -> dict[str, Any]:
    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()

    return {
        "doc_id": number,
        "doc": {"id": sample.sample_id},
        "target": "",
        "arguments": {"gen_args_0": {"arg_0": sample.prompt}},
        "resps": [[sample.output]],
        "filtered_resps": [sample.output],
        "filter": FILTER,
        "metrics": list(sample.scores),
        "doc_hash": hashed(sample.key),
        "prompt_hash": hashed(sample.prompt),
        "target_hash": hashed(""),
        **sample.scores,
    }
