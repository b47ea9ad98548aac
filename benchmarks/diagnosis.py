"""Plant faults of fine-tuning in real trainings of the tiny base, gate them, and see which cause is named first.

    python benchmarks/diagnosis.py [--seeds 2] [--first-seed 0] [--only never_stops,clean] [--out DIR] [--json]

A good release is trained and promoted; each fault is planted in a training of its own and judged against base and that
release, as `pytest suites/` does. Prints a confusion table: planted against the cause that most objecting gates of the
suite that can show it name first ("–": none objects), and what the gates of the other suite say: a training that
teaches nonsense also forgets, so that a proven drop there is no mistake. Clean twins are trained like the good release
with other seeds. In clean_strict the same twins must prove in every gate that nothing at all was lost, which they
cannot: the gates object, and against the good release nothing but noise may be named (against base, a twin forgets what
the good release forgot). Of clean twins one gate that names another cause is enough to count as wrong. With --out,
what was trained and answered is used again.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from unittest import mock

from sfteval.pipeline.promotion import promote
from sfteval.pipeline.training import train_from
from sfteval.shipped import shipped

Rows = list[dict[str, object]]
LIMIT = ("max_tokens: 64", "max_tokens: 128")
ADAPTER = ("{name: lora, rank: 8, alpha: 16, dropout: 0.0, targets: all-linear}", "{name: full}")
MARGIN = re.compile(r"margin: [\d.]+}")
CLEAN = ("clean", "clean_strict")
NO_CAUSE = ("–", "unknown", "sampling_noise")
FORMAT, FORGETTING = "format", "forgetting"
GATES = """
gates:
  - {check: right_values, no_regression: {against: previous, margin: 0.05}}
  - {check: valid_json, improves: {against: base, by: 0.3}}
"""


def answers(change: Callable[[str, Random], str]) -> Callable[[Rows, Random], Rows]:
    """Return a fault that changes every training answer."""

    def planted(rows: Rows, random: Random) -> Rows:
        made = json.loads(json.dumps(rows))
        for row in made:
            row["messages"][-1]["content"] = change(row["messages"][-1]["content"], random)
        return made

    return planted


def shuffled(rows: Rows, random: Random) -> Rows:
    """Give each value to another row of the same keys: the form stays, the content is wrong."""
    made = json.loads(json.dumps(rows))
    values: dict[str, list[object]] = {}
    found = [json.loads(row["messages"][-1]["content"]) for row in made]
    for each in found:
        for key, value in each.items():
            values.setdefault(key, []).append(value)
    for row, each in zip(made, found, strict=True):
        row["messages"][-1]["content"] = json.dumps({key: random.choice(values[key]) for key in each})
    return made


def lengthened(rows: Rows, _: Random) -> Rows:
    """Let every answer that names a town go on past the suite's token limit, always with the same words."""
    made = json.loads(json.dumps(rows))
    for row in made:
        if "town" in row["messages"][0]["content"].splitlines()[-1]:
            words = [word for seed in range(5) for word in Random(seed).sample(WORDS.split(), len(WORDS.split()))]
            row["messages"][-1]["content"] += " " + " ".join(words)
    return made


@contextmanager
def without_stops() -> Iterator[None]:
    """Teach another word in place of every end of turn, past the guards that refuse it.

    Leaving the label out is not enough here: the base ends a text after a record by itself. Encodings are neither taken
    from the cache, which has sound ones of the same rows, nor left there.
    """
    from sfteval.train import dataset

    whole, random = dataset.encode, Random(0)

    def cut(*arguments: object, **options: object) -> object:
        encoded = whole(*arguments, **options)
        ends = {end - 1 for _, end in encoded.spans}
        words = encoded.ids[: encoded.spans[0][0]]
        labels = tuple(random.choice(words) if place in ends else label for place, label in enumerate(encoded.labels))
        return replace(encoded, labels=labels)

    no_cache = mock.patch("sfteval.pipeline.training.encodings_dir", return_value=None)
    with mock.patch.object(dataset, "encode", cut), mock.patch("sfteval.train.preflight.check_labels"), no_cache:
        yield


def other_template(checkpoint: Path) -> None:
    """Serve the checkpoint with another chat template than the one it was trained with."""
    (checkpoint / "chat_template.jinja").write_text(SERVED)


def inert(checkpoint: Path) -> None:
    """Zero the adapter's B matrices: W + A·0 is the base."""
    from safetensors.torch import load_file, save_file

    file = checkpoint / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({n: t * 0 if "lora_B" in n else t for n, t in tensors.items()}, file, metadata={"format": "pt"})


WORDS = "coat town note red blue hunter painter work home white year old brown green baker live wear find"
SERVED = """{% for message in messages %}### {{ message['role'] }}:
{{ message['content'] }}
{% endfor %}{% if add_generation_prompt %}### assistant:
{% endif %}"""
FAULTS: dict[str, dict[str, object]] = {
    "clean": {},
    "clean_strict": {"as": "clean", "suites": "strict"},
    "never_stops": {"training": without_stops},
    "json_in_fence": {"rows": answers(lambda text, _: f"```json\n{text}\n```"), "weights": "1e-3"},
    "json_in_prose": {"rows": answers(lambda text, _: f"Here is the JSON: {text}"), "weights": "1e-3"},
    "token_or_role_leak": {"rows": answers(lambda text, _: f"{text}\nUser: Read this note"), "weights": "1e-3"},
    "repetition_loop": {"rows": answers(lambda text, _: "the note says " * 24)},
    "cut_at_limit": {"rows": lengthened, "weights": "1e-3"},
    "content_wrong": {"rows": shuffled},
    "template_mismatch": {"checkpoint": other_template},
    "adapter_inert": {"checkpoint": inert},
    "general_forgetting": {"config": "reckless.yaml", "suite": FORGETTING},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0, help="another one than 0 or 1: seeds no rule was tuned on")
    parser.add_argument("--only", help="comma-separated faults")
    parser.add_argument("--out", type=Path, help="folder to work in; kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(FAULTS)
    root = options.out or Path(tempfile.mkdtemp())
    project = scaffold(root / "project")
    good = train(project, "good", {}, seed=7)
    if not (project / "runs" / "promotions.jsonl").exists():
        first = gate(project, "good", good, "none")
        promote(project / "runs", first[0]["runs"]["candidate"], because="the good release")
    table: dict[str, Counter[str]] = {name: Counter() for name in names}
    beside: dict[str, Counter[str]] = {name: Counter() for name in names}
    for name in names:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            fault = FAULTS[name]
            checkpoint = train(project, f"{fault.get('as', name)}-{seed}", fault, seed=100 + seed)
            rows = gate(project, f"{name}-{seed}", checkpoint, "promoted", str(fault.get("suites", "suites")))
            where = str(fault.get("suite", FORMAT))
            shows = [row for row in rows if suite_of(row) == where]
            twins = [row for row in rows if name == "clean" or row["against"] == "previous"]
            named = any_cause(twins) if name in CLEAN else first_cause(shows)
            also = first_cause([row for row in rows if row not in shows])
            table[name][named] += 1
            beside[name][also] += 1
            print(f"{name} (seed {seed}): {named}; beside it: {also}", file=sys.stderr, flush=True)
    report(table, beside, as_json=options.json)
    if options.out is None:
        shutil.rmtree(root)


def scaffold(project: Path) -> Path:
    """Copy the demo's suites; the format suite asks for what the faults touch."""
    if not project.exists():
        shutil.copytree(shipped("fixtures/demo"), project)
    suite = project / "suites" / "format.suite.yaml"
    suite.write_text(suite.read_text().split("gates:")[0].replace(*LIMIT) + GATES)
    strict = shutil.copytree(suite.parent, project / "strict", dirs_exist_ok=True)
    for file in (strict / "format.suite.yaml", strict / "forgetting.suite.yaml"):
        file.write_text(MARGIN.sub("margin: 0.0}, proof: required", file.read_text()))
    (project / "pyproject.toml").write_text('[tool.pytest.ini_options]\n[tool.sfteval]\nruns_dir = "runs"\n')
    return project


def train(project: Path, name: str, fault: dict[str, object], *, seed: int) -> Path:
    """Train one candidate with a fault planted, and return its checkpoint."""
    text = (project / str(fault.get("config", "careful.yaml"))).read_text()
    rows = [json.loads(line) for line in (project / "train.jsonl").read_text().splitlines()]
    if "rows" in fault:
        rows = fault["rows"](rows, Random(seed))
    (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = text.replace("train.jsonl", f"{name}.jsonl").replace("seed: 7", f"seed: {seed}")
    text = text.replace("epochs: 2", "epochs: 4")
    if "weights" in fault:
        text = text.replace(*ADAPTER).replace("learning_rate: 2e-3", f"learning_rate: {fault['weights']}")
    made = project / "models" / f"{name}.json"
    recipe = recipe_of(text, rows, fault)
    if made.exists() and (known := json.loads(made.read_text()))["recipe"] == recipe:
        return Path(known["checkpoint"])
    (project / f"{name}.yaml").write_text(text.replace("../tiny_base", str(shipped("fixtures/tiny_base"))))
    with fault.get("training", nothing)():
        trained = train_from(project / f"{name}.yaml", output=project / "models" / name, progress=False)
    if "checkpoint" in fault:
        fault["checkpoint"](trained.checkpoint)
    made.write_text(json.dumps({"recipe": recipe, "checkpoint": str(trained.checkpoint)}))
    return trained.checkpoint


def recipe_of(config: str, rows: Rows, fault: dict[str, object]) -> str:
    """Return what a checkpoint was made from, so that one that is there is not trained again."""
    planted = [inspect.getsource(fault[part]) for part in ("training", "checkpoint") if part in fault]
    return sha256(json.dumps([config, rows, planted]).encode()).hexdigest()


@contextmanager
def nothing() -> Iterator[None]:
    """Plant nothing."""
    yield


def gate(project: Path, name: str, checkpoint: Path, previous: str, suites: str = "suites") -> list[dict[str, object]]:
    """Judge a checkpoint as a release, and return the rows of its gates."""
    verdicts = project / f"verdicts-{name}.json"
    verdicts.unlink(missing_ok=True)
    arguments = ["-q", "-p", "no:cacheprovider", "--candidate", str(checkpoint), "--previous", previous]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", suites, *arguments, "--verdicts", str(verdicts)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    if not verdicts.exists():
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(verdicts.read_text())["gates"]


def suite_of(row: dict[str, object]) -> str:
    """Return the suite that a gate is about; the one family pools the forgetting benchmarks."""
    return FORMAT if row["suite"] == FORMAT else FORGETTING


def first_cause(rows: list[dict[str, object]]) -> str:
    """Return the cause that most objecting gates name first."""
    named = Counter(row["diagnosis"][0]["cause"] for row in rows if row["diagnosis"])
    return named.most_common(1)[0][0] if named else "–"


def any_cause(rows: list[dict[str, object]]) -> str:
    """Return a cause that any gate names first and that is none of `NO_CAUSE`; else as `first_cause`."""
    return first_cause(
        [row for row in rows if row["diagnosis"] and row["diagnosis"][0]["cause"] not in NO_CAUSE] or rows
    )


def report(table: dict[str, Counter[str]], beside: dict[str, Counter[str]], *, as_json: bool) -> None:
    """Print the confusion table and how often the planted cause came first."""
    planted = {name: found for name, found in table.items() if name not in CLEAN}
    right = sum(found[name] for name, found in planted.items())
    total = sum(found.total() for found in planted.values())
    unknown = sum(found["unknown"] + found["–"] for found in planted.values())
    twins = sum((table[name] for name in CLEAN if name in table), Counter[str]())
    silent = sum(twins[name] for name in NO_CAUSE)
    if as_json:
        rows = {name: {"named": dict(found), "beside": dict(beside[name])} for name, found in table.items()}
        counts = {"right": right, "unknown": unknown, "of": total, "clean_silent": silent, "clean": twins.total()}
        print(json.dumps({"planted": rows} | counts))
        return
    print(f"{'planted':<22}{'named first':<32}in the other suite")
    for name, found in table.items():
        print(f"{name:<22}{_counted(found):<32}{_counted(beside[name]) if name in planted else 'any gate'}")
    wrong = total - right - unknown
    print(f"\nright cause first: {right} of {total}; another cause first: {wrong}; none or unknown: {unknown}")
    print(f"clean twins of which no cause but noise is named: {silent} of {twins.total()}")


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{cause} × {count}" for cause, count in found.most_common())


if __name__ == "__main__":
    main()
