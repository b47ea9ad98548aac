"""`model="sfteval"` against `model="hf"` in lm-eval itself, on the tiny base."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_lm_eval import block

from sfteval.backends import resolve
from sfteval.backends.tokenization import HubTokenization
from sfteval.records import Response
from sfteval.requests import requests_for
from sfteval.tasks import grade, load_tasks

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


def test_a_suite_scores_answers_under_a_chat_template_as_lm_eval_does(evaluate: Any, folder: Path) -> None:
    options = {"num_fewshot": 2, "limit": 6, "apply_chat_template": True, "system_instruction": "You are brief."}
    samples = evaluate("hf", ["animals"], fewshot_as_multiturn=True, **options)["samples"]["animals"]
    (ours,) = load_tasks("s", block("animals", fewshot_draw="lm_eval", **options), folder=folder)
    text = HubTokenization(resolve(str(TINY)))
    assert len(ours.items) == len(samples) == 6
    for item, sample in zip(ours.items, samples, strict=True):
        (asked, *_) = requests_for(item, text, "f")
        assert [(text.render(ask.messages), ask.continuation) for ask in item.asks] == sample["arguments"]
        assert (list(asked.requests[0].prefix), list(asked.requests[0].continuation)) == text.encode_pair(
            *sample["arguments"][0]
        )
        given = [Response("", loglikelihood=value, is_greedy=greedy) for ((value, greedy),) in sample["resps"]]
        graded = grade(item, given)
        assert {name: graded[name] for name in ("acc", "acc_norm")} == {n: sample[n] for n in ("acc", "acc_norm")}


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


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_cache_tells_settings_apart(evaluate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tensors under another scaling of the adapter, or with less context, are other answers."""
    cache = str(tmp_path / "cache")
    first = lora(tmp_path)
    strong = tmp_path / "strong"
    shutil.copytree(first, strong)
    config = json.loads((strong / "adapter_config.json").read_text())
    (strong / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 4 * config["lora_alpha"]}))
    found = []
    for arguments in (f",peft={first}", f",peft={strong}", ",max_length=24", ",add_bos_token=True"):
        fresh = evaluate("sfteval", ["animals"], arguments)
        cached = evaluate("sfteval", ["animals"], arguments, use_cache=cache)
        found.append(flat(list(answers(cached).values())))
        assert found[-1] == flat(list(answers(fresh).values()))
    assert all(one != other for one, other in itertools.combinations(found, 2))
    moved = shutil.copytree(strong, tmp_path / "moved")
    monkeypatch.setattr("sfteval.lmeval.Engine", None)  # where the files lie is no difference
    elsewhere = evaluate("sfteval", ["animals"], f",peft={moved}", use_cache=cache)
    assert flat(list(answers(elsewhere).values())) == found[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (",parallelize=True", "found True; expected one device"),
        (",trust_remote_code=True", "found True; expected a model that transformers knows"),
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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("max_gen_toks=0", r"gen_kwargs: found max_tokens: 0; expected a value that is allowed \(.*greater than"),
        ("top_p=2", "gen_kwargs: found top_p: 2.0; expected a value that is allowed"),
        ("repetition_penalty=high", "gen_kwargs: found could not convert string to float: 'high'"),
    ],
)
def test_generation_settings_that_cannot_be(evaluate: Any, settings: str, message: str) -> None:
    from sfteval.errors import InputError

    with pytest.raises(InputError, match=message):
        evaluate("sfteval", ["sums"], gen_kwargs=settings, limit=2)


def test_sampled_answers_depend_on_no_order_and_no_limit(evaluate: Any) -> None:
    """One call asks all tasks: a seed that counts requests would change with what else is asked."""

    def said(*tasks: str, **options: Any) -> dict[tuple[str, int], str]:
        settings = "do_sample=true,temperature=1.0,max_gen_toks=8"
        samples = evaluate("sfteval", list(tasks), gen_kwargs=settings, **options)["samples"]
        return {(task, row["doc_id"]): row["resps"][0][0] for task, rows in samples.items() for row in rows}

    both = said("sums", "coded")
    assert said("coded", "sums") == both
    few = said("coded", "sums", limit=3)
    assert len(few) == 6
    assert few == {place: both[place] for place in few}
    assert len(set(both.values())) > len(both) / 2


@pytest.fixture(scope="module")
def models() -> tuple[Any, Any]:
    """Ours and lm-eval's on the tiny base, with tokenizers of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval.models.huggingface import HFLM

        from sfteval.lmeval import SftevalLM

        options = {"pretrained": str(TINY), "dtype": "float32", "device": "cpu"}
        return SftevalLM(**options), HFLM(**options)


def instances(*arguments: tuple[Any, ...], kind: str = "generate_until") -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, 0, metadata=("task", n, 1)) for n, one in enumerate(arguments)]


def swap(model: Any, one: int, other: int) -> None:
    """Let a model say one token where it said the other."""
    import torch

    heads = {id(part.weight): part.weight for part in (model.get_input_embeddings(), model.get_output_embeddings())}
    with torch.no_grad():
        for weight in heads.values():
            weight[[one, other]] = weight[[other, one]]


def test_a_stop_string_that_is_a_special_token(models: tuple[Any, Any]) -> None:
    """GSM8K's own stop strings hold `<|im_end|>`; decoding leaves it out, so no text shows it."""
    ours, theirs = models
    prompts = ["Question: What is water?\nAnswer:", "The capital of France", "Once upon a time there"]
    free = ours.generate_until(instances(*[(text, {"until": [], "max_gen_toks": 12}) for text in prompts]), True)
    held = {token for prompt in prompts for token in ours.tokenizer.encode(prompt)}
    said = next(token for text in free for token in ours.tokenizer.encode(text)[2:-2] if token not in held)
    special = ours.tokenizer.convert_tokens_to_ids("<|im_end|>")
    asked = instances(*[(text, {"until": ["<|im_end|>"], "max_gen_toks": 12}) for text in prompts])
    try:
        for model in models:
            swap(model.model, said, special)
        stopped = ours.generate_until(asked, True)
        assert stopped == theirs.generate_until(asked, True)
    finally:
        for model in models:
            swap(model.model, said, special)
    assert any(long.startswith(short) and 0 < len(short) < len(long) for short, long in zip(stopped, free, strict=True))


def test_an_empty_prompt_is_the_prefix_token(models: tuple[Any, Any]) -> None:
    ours, _ = models
    settings = {"until": ["\n"], "max_gen_toks": 6}
    empty, named = ours.generate_until(instances(("", settings), ("<|endoftext|>", settings)), True)
    assert empty == named


def test_prompts_that_are_cut_are_counted(models: tuple[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    ours, _ = models
    settings = {"until": [], "max_gen_toks": 4}
    with caplog.at_level(logging.WARNING, logger="sfteval.lmeval"):
        ours.generate_until(instances(("word " * 2000, settings), ("word", settings)), True)
    ours_said = [one.getMessage() for one in caplog.records if one.name == "sfteval.lmeval"]
    assert ours_said == ["1 of 2 requests were cut from the left to fit the model's 512 tokens"]


@pytest.mark.parametrize(
    ("name", "value", "given", "message"),
    [
        ("no_repeat_ngram_size", 3, {}, "generation_config: found no_repeat_ngram_size=3; expected settings that"),
        ("min_p", 0.1, {"do_sample": True, "temperature": 0.5}, "generation_config: found min_p=0.1"),
        ("min_p", 0.1, {}, None),
    ],
)
def test_what_a_checkpoint_recommends_and_the_engine_cannot(
    models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, name: str, value: Any, given: Any, message: str | None
) -> None:
    from sfteval.errors import InputError

    ours, _ = models
    monkeypatch.setattr(ours.model.generation_config, name, value)
    asked = instances(("word", {"until": [], "max_gen_toks": 2} | given))
    if message is None:
        assert len(ours.generate_until(asked, True)) == 1
    else:
        with pytest.raises(InputError, match=message):
            ours.generate_until(asked, True)


def test_draws_are_from_the_tokens_that_transformers_would_draw_from(models: tuple[Any, Any]) -> None:
    """Top-k 50, where neither the request nor the checkpoint says anything."""
    ours, _ = models
    given = {"until": [], "do_sample": True, "temperature": 0.7}
    assert ours._generation(given, "").top_k == 50
    assert ours._generation(given | {"top_k": 7}, "").top_k == 7
    assert ours._generation({"until": []}, "").top_k == 0


def test_answers_are_kept_as_they_come(models: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What lm-eval's `--use_cache` files is there for the next run when this one is interrupted."""
    from sfteval.engine import memory, scoring

    ours, _ = models
    kept: list[Any] = []
    monkeypatch.setattr(ours.cache_hook, "add_partial", lambda kind, texts, answer: kept.append(texts))
    monkeypatch.setitem(memory.DEFAULT_TOKENS, "cpu", 16)
    monkeypatch.setattr(ours, "_engine", None)
    true, passes = scoring.TreeScorer._forward, []

    def forward(self: Any, *given: Any) -> Any:
        passes.append(1)
        if len(passes) > 60:
            raise KeyboardInterrupt
        return true(self, *given)

    monkeypatch.setattr(scoring.TreeScorer, "_forward", forward)
    asked = instances(*[(f"{n} and {n}", " more") for n in range(400)], kind="loglikelihood")
    with pytest.raises(KeyboardInterrupt):
        ours.loglikelihood(asked, disable_tqdm=True)
    assert 64 <= len(kept) < 400
    assert set(kept) <= {one.args for one in asked}


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
