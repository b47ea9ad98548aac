"""`model="sfteval"` against `model="hf"` in lm-eval itself, on the tiny base."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

TINY = Path(__file__).parents[3] / "fixtures" / "tiny_base"
TASKS = ["animals", "sums", "prose", "cloze"]


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Any:
    """Run lm-eval with a model; returns its whole result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval import evaluator
        from lm_eval.tasks import TaskManager

        import sfteval.lmeval  # noqa: F401

    def run(model: str, tasks: list[str], arguments: str = "", **options: Any) -> dict[str, Any]:
        monkeypatch.chdir(folder / "tasks")
        manager = TaskManager(include_path=str(folder / "tasks"), include_defaults=False)
        logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result: dict[str, Any] = evaluator.simple_evaluate(
                model,
                model_args=f"pretrained={TINY},dtype=float32{arguments}",
                tasks=tasks,
                task_manager=manager,
                bootstrap_iters=0,
                device="cpu",
                **options,
            )
        return result

    monkeypatch.setattr(evaluator, "add_env_info", lambda results: None)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(folder / "hf"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hf")
    return run


def answers(result: dict[str, Any]) -> dict[str, list[Any]]:
    return {task: [row["resps"] for row in rows] for task, rows in result["samples"].items()}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for task, metrics in theirs["results"].items():
        for name, value in metrics.items():
            if isinstance(value, float):
                assert ours["results"][task][name] == pytest.approx(value, rel=1e-4), (task, name)
    left, right = answers(ours), answers(theirs)
    assert left.keys() == right.keys()
    for task in left:
        assert len(left[task]) == len(right[task])
        for mine, other in zip(left[task], right[task], strict=True):
            assert flat(mine) == [pytest.approx(v, rel=1e-4) if isinstance(v, float) else v for v in flat(other)]


def flat(value: Any) -> list[Any]:
    return [each for part in value for each in flat(part)] if isinstance(value, (list, tuple)) else [value]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_fewshot": 2},
        {"apply_chat_template": True, "num_fewshot": 2, "fewshot_as_multiturn": True},
        {"apply_chat_template": True, "system_instruction": "You are brief."},
        {"gen_kwargs": "max_gen_toks=5,repetition_penalty=1.3", "limit": 6},
    ],
    ids=["plain", "few-shot", "multi-turn", "system", "settings"],
)
def test_equal_to_hf(evaluate: Any, options: dict[str, Any]) -> None:
    assert_same(evaluate("sfteval", TASKS, **options), evaluate("hf", TASKS, **options))


def test_model_arguments_reach_the_engine(evaluate: Any) -> None:
    arguments = ",max_length=24,add_bos_token=True,prefix_token_id=5"
    ours, theirs = (evaluate(name, ["animals", "prose"], arguments) for name in ("sfteval", "hf"))
    assert_same(ours, theirs)
    assert answers(ours) != answers(evaluate("sfteval", ["animals", "prose"]))


def lora(folder: Path) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(TINY)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(folder / "lora")
    return folder / "lora"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_adapters_and_a_cache_that_knows_the_model(evaluate: Any, tmp_path: Path) -> None:
    """lm-eval's cache gives the base's answers to the adapter under `hf`; never under `sfteval`."""
    adapter = f",peft={lora(tmp_path)}"
    base, adapted = evaluate("sfteval", ["animals"]), evaluate("sfteval", ["animals"], adapter)
    assert_same(adapted, evaluate("hf", ["animals"], adapter))
    assert answers(base) != answers(adapted)
    cached = {name: str(tmp_path / f"{name}-cache") for name in ("sfteval", "hf")}
    for name, cache in cached.items():
        evaluate(name, ["animals"], use_cache=cache)
    assert answers(evaluate("hf", ["animals"], adapter, use_cache=cached["hf"])) == answers(evaluate("hf", ["animals"]))
    for _ in range(2):
        again = evaluate("sfteval", ["animals"], adapter, use_cache=cached["sfteval"])
        assert flat(list(answers(again).values())) == flat(list(answers(adapted).values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (",parallelize=True", "found True; expected one device"),
        (",softmax_dtype=float32", "model_args softmax_dtype: found 'float32'"),
        (",think_end_token=7", "found a token id; expected the token's text"),
        (",peft=.", "found no adapter_model.safetensors; expected adapter weights in safetensors"),
    ],
)
def test_arguments_that_would_change_answers(evaluate: Any, arguments: str, message: str) -> None:
    from sfteval.errors import InputError

    with pytest.raises(InputError, match=message):
        evaluate("sfteval", ["cloze"], arguments)


def test_unknown_generation_settings(evaluate: Any) -> None:
    from sfteval.errors import InputError

    with pytest.raises(InputError, match="gen_kwargs: found num_beams; expected settings that the engine knows"):
        evaluate("sfteval", ["sums"], gen_kwargs="num_beams=4", limit=2)


@pytest.mark.slow  # lm-eval's command line reads its whole library of tasks first
def test_the_command_line_passes_through(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sfteval", "lm-eval", "run", "--model_args", f"pretrained={TINY},dtype=float32"]
    command += ["--tasks", "animals", "--include_path", ".", "--limit", "4", "--output_path", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--log_samples"], cwd=folder / "tasks", capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = (tmp_path / "out").rglob("results_*.json")
    document = json.loads(results.read_text())
    assert document["config"]["model"] == "sfteval"
    assert document["n-samples"]["animals"]["effective"] == 4
    assert "animals" in done.stdout
    shown = subprocess.run(
        [sys.executable, "-m", "sfteval", "lm-eval", "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "usage: lm-eval run" in shown.stdout
