"""Plant faults of fine-tuning in real trainings of the tiny base, gate them, and see which cause is named first.

    python benchmarks/diagnosis.py [--seeds 2] [--only never_stops,clean] [--out DIR] [--json]

A good release is trained and promoted; each fault is planted in a training of its own and judged against base and that
release, as `pytest suites/` does. Prints a confusion table: planted against the cause that most objecting gates name
first ("–": no gate objects). Clean twins are trained like the good release with other seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from unittest import mock

from sfteval.pipeline.promotion import promote
from sfteval.pipeline.training import train_from
from sfteval.shipped import shipped

Rows = list[dict[str, object]]
LIMIT = ("max_tokens: 64", "max_tokens: 128")
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


@contextmanager
def without_stops() -> Iterator[None]:
    """Teach another word in place of every end of turn, past the guards that refuse it.

    Leaving the label out is not enough here: the base ends a text after a record by itself.
    """
    from sfteval.train import dataset

    whole, random = dataset.encode, Random(0)

    def cut(*arguments: object, **options: object) -> object:
        encoded = whole(*arguments, **options)
        ends = {end - 1 for _, end in encoded.spans}
        words = encoded.ids[: encoded.spans[0][0]]
        labels = tuple(random.choice(words) if place in ends else label for place, label in enumerate(encoded.labels))
        return replace(encoded, labels=labels)

    with mock.patch.object(dataset, "encode", cut), mock.patch("sfteval.train.preflight.check_labels"):
        yield


def other_template(checkpoint: Path) -> None:
    """Serve the checkpoint with another chat template than the one it was trained with."""
    file = checkpoint / "chat_template.jinja"
    file.write_text(
        file.read_text().replace("'<|im_start|>' + message['role'] + '\n'", "'## ' + message['role'] + '\n'")
    )


def inert(checkpoint: Path) -> None:
    """Zero the adapter's B matrices: W + A·0 is the base."""
    from safetensors.torch import load_file, save_file

    file = checkpoint / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({n: t * 0 if "lora_B" in n else t for n, t in tensors.items()}, file, metadata={"format": "pt"})


WORDS = "coat town note red blue hunter painter work home white year old brown green baker live wear find"
FAULTS: dict[str, dict[str, object]] = {
    "clean": {},
    "never_stops": {"training": without_stops},
    "json_in_fence": {"rows": answers(lambda text, _: f"```json\n{text}\n```")},
    "json_in_prose": {"rows": answers(lambda text, _: f"Here is the JSON: {text}")},
    "token_or_role_leak": {"rows": answers(lambda text, _: f"{text}\nUser: Read this note")},
    "repetition_loop": {"rows": answers(lambda text, _: "the note says " * 24)},
    "cut_at_limit": {"rows": answers(lambda text, random: text + " " + _long(random)), "half": True},
    "content_wrong": {"rows": shuffled},
    "template_mismatch": {"checkpoint": other_template},
    "adapter_inert": {"checkpoint": inert},
    "general_forgetting": {"config": "reckless.yaml"},
}


def _long(random: Random) -> str:
    return " ".join(random.choice(WORDS.split()) for _ in range(90))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", help="comma-separated faults")
    parser.add_argument("--out", type=Path, help="folder to work in; kept")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(FAULTS)
    root = options.out or Path(tempfile.mkdtemp())
    project = scaffold(root / "project")
    good = train(project, "good", {}, seed=7)
    first = gate(project, good, "none")
    promote(project / "runs", first[0]["runs"]["candidate"], because="the good release")
    table: dict[str, Counter[str]] = {name: Counter() for name in names}
    for name in names:
        for seed in range(options.seeds):
            checkpoint = train(project, f"{name}-{seed}", FAULTS[name], seed=100 + seed)
            named = first_cause(gate(project, checkpoint, "promoted"))
            table[name][named] += 1
            print(f"{name} (seed {seed}): {named}", file=sys.stderr, flush=True)
    report(table, as_json=options.json)
    if options.out is None:
        shutil.rmtree(root)


def scaffold(project: Path) -> Path:
    """Copy the demo's suites; the format suite asks for what the faults touch."""
    source = shipped("fixtures/demo")
    shutil.copytree(source, project)
    suite = project / "suites" / "format.suite.yaml"
    suite.write_text(suite.read_text().split("gates:")[0].replace(*LIMIT) + GATES)
    (project / "pyproject.toml").write_text('[tool.pytest.ini_options]\n[tool.sfteval]\nruns_dir = "runs"\n')
    return project


def train(project: Path, name: str, fault: dict[str, object], *, seed: int) -> Path:
    """Train one candidate with a fault planted, and return its checkpoint."""
    text = (project / str(fault.get("config", "careful.yaml"))).read_text()
    rows = [json.loads(line) for line in (project / "train.jsonl").read_text().splitlines()]
    if "rows" in fault:
        changed = fault["rows"](rows, Random(seed))
        rows = (
            [c if i % 2 else r for i, (r, c) in enumerate(zip(rows, changed, strict=True))]
            if "half" in fault
            else changed
        )
    (project / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = text.replace("train.jsonl", f"{name}.jsonl").replace("seed: 7", f"seed: {seed}")
    text = text.replace("../tiny_base", str(shipped("fixtures/tiny_base"))).replace("epochs: 2", "epochs: 4")
    (project / f"{name}.yaml").write_text(text)
    with fault.get("training", nothing)():
        trained = train_from(project / f"{name}.yaml", output=project / "models" / name, progress=False)
    if "checkpoint" in fault:
        fault["checkpoint"](trained.checkpoint)
    return trained.checkpoint


@contextmanager
def nothing() -> Iterator[None]:
    """Plant nothing."""
    yield


def gate(project: Path, checkpoint: Path, previous: str) -> list[dict[str, object]]:
    """Judge a checkpoint as a release, and return the rows of its gates."""
    verdicts = project / "verdicts.json"
    verdicts.unlink(missing_ok=True)
    arguments = ["-q", "-p", "no:cacheprovider", "--candidate", str(checkpoint), "--previous", previous]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "suites", *arguments, "--verdicts", str(verdicts)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    if not verdicts.exists():
        raise SystemExit(done.stdout + done.stderr)
    return json.loads(verdicts.read_text())["gates"]


def first_cause(rows: list[dict[str, object]]) -> str:
    """Return the cause that most objecting gates name first."""
    named = Counter(row["diagnosis"][0]["cause"] for row in rows if row["diagnosis"])
    return named.most_common(1)[0][0] if named else "–"


def report(table: dict[str, Counter[str]], *, as_json: bool) -> None:
    """Print the confusion table and how often the planted cause came first."""
    planted = {name: found for name, found in table.items() if name != "clean"}
    right = sum(found[name] for name, found in planted.items())
    total = sum(sum(found.values()) for found in planted.values())
    clean = table.get("clean", Counter())
    silent = clean["–"]
    if as_json:
        rows = {name: dict(found) for name, found in table.items()}
        print(json.dumps({"named": rows, "right": right, "of": total, "clean_silent": silent, "clean": clean.total()}))
        return
    for name, found in table.items():
        print(f"{name:<22}{', '.join(f'{cause} × {count}' for cause, count in found.most_common())}")
    print(f"\nright cause first: {right} of {total}; clean twins without a cause: {silent} of {clean.total()}")


if __name__ == "__main__":
    main()
