"""Records to store: one model, its samples, responses and manifests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sfteval.keys import model_fingerprint
from sfteval.records import FinishReason, Manifest, MetricInfo, ModelIdentity, Response, Run, Sample, Status
from sfteval.store import RunStore, RunWriter


@dataclass(frozen=True)
class Maker:
    """Makes records; `model` is the model that all of them are of."""

    model: ModelIdentity

    def response(self, number: int, **changes: Any) -> Response:
        fields: dict[str, Any] = {
            "key": f"r{number}",
            "text": f"answer {number}",
            "finish_reason": FinishReason.STOP,
            "prompt_tokens": 7,
            "output_tokens": 3,
        }
        return Response(**(fields | changes))

    def sample(self, number: int, **changes: Any) -> Sample:
        fields: dict[str, Any] = {
            "key": f"k{number}",
            "suite": "facts",
            "task": "",
            "sample_id": f"s{number}",
            "repeat": 0,
            "cluster": f"s{number}",
            "status": Status.SCORED,
            "scores": {"exact": 0.1 * number},
            "evidence": {"exact": "found 4"},
            "prompt_key": "p",
            "prompt": "2+2?",
            "output": f"answer {number}",
            "finish_reason": FinishReason.END_TURN,
            "prompt_tokens": 7,
            "output_tokens": 3,
            "tags": {"lang": "en"},
            "response_keys": (f"r{number}",),
        }
        return Sample(**(fields | changes))

    def manifest(self, run_id: str, **changes: Any) -> Manifest:
        fields: dict[str, Any] = {
            "run_id": run_id,
            "fingerprint": model_fingerprint(self.model),
            "model": self.model,
            "plan": "plan-1",
            "suites": {"facts": "f1"},
            "metrics": {},
            "counts": {"scored": 2},
            "versions": {"sfteval": "0"},
            "hardware": {"cpu": "x", "threads": 2},
            "started": "2026-01-01T00:00:00+00:00",
            "finished": "2026-01-01T00:01:00+00:00",
            "seconds": 60.5,
        }
        return Manifest(**(fields | changes))

    def fill(self, writer: RunWriter, **changes: Any) -> Run:
        """Make a run whole: two responses, two samples."""
        with writer:
            writer.record([self.response(1), self.response(2)])
            writer.put_samples("facts", [self.sample(1), self.sample(2)], {"exact": MetricInfo()})
            return writer.finish(self.manifest(writer.run_id, **changes))

    def whole(self, store: RunStore, run_id: str | None = None, **changes: Any) -> str:
        """Store a whole run and return its id."""
        return self.fill(store.begin(self.model, "plan-1", run_id=run_id), **changes).manifest.run_id

    def other(self, **changes: Any) -> Maker:
        """Return a maker for another model."""
        return Maker(replace(self.model, **changes))


@pytest.fixture
def make() -> Maker:
    return Maker(ModelIdentity("org/Tiny-Model", "w1", "", "t1", "c1", "float32/engine-1"))


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a Python program in a process of its own; all are gone at the end of the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: str) -> subprocess.Popen[str]:
        script = tmp_path / f"program{len(processes)}.py"
        script.write_text(PREAMBLE + program)
        pipe = subprocess.PIPE
        processes.append(
            subprocess.Popen([sys.executable, str(script), *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


PREAMBLE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from conftest import Maker
from sfteval.errors import StoreError
from sfteval.records import MetricInfo, ModelIdentity
from sfteval.store import RunStore
make = Maker(ModelIdentity("org/Tiny-Model", "w1", "", "t1", "c1", "float32/engine-1"))
"""
