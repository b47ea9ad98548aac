"""`SuiteCallback` in somebody else's script: no trace, the stop, the best checkpoint, resuming, failing closed."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from watched_world import fresh

from sfteval.errors import BaselineMissingError, InputError, StoreError, TrainingError
from sfteval.hooks import SuiteCallback
from sfteval.store import RunStore, read_history

# Peft asks transformers 5 a question by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


def losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def tensors(trainer):
    return {name: value.detach().clone() for name, value in trainer.model.named_parameters()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def events(tmp_path, name="training", kind="look"):
    return [e for e in read_history(tmp_path / "runs" / "trainings" / f"{name}.jsonl") if e["event"] == kind]


def timeless(look):
    return {name: value for name, value in look.items() if name not in ("seconds", "curve")}


@pytest.fixture
def hook(suites, tmp_path):
    def make(**options):
        return SuiteCallback(suites, runs_dir=tmp_path / "runs", **({"every": 2} | options))

    return make


@pytest.mark.parametrize("adapter", [True, False])
def test_losses_and_weights_are_bit_equal_with_and_without(run, hook, adapter, tmp_path):
    plain = run(adapter=adapter)
    watched = run(hook(keep="last", action="log"), adapter=adapter)
    assert losses(watched) == losses(plain)
    assert same(tensors(watched), tensors(plain))
    assert [look["step"] for look in events(tmp_path)] == [2, 4, 6]


def test_nothing_of_the_script_is_touched(suites, tokenizer, tmp_path):
    """Random states, modes, frozen parts, gradients, padding side, caches: one look from the inside of a loop."""
    from sfteval.hooks import evaluate_now

    model = fresh(adapter=True).train()
    model.base_model.model.model.layers[0].eval()
    next(p for p in model.parameters() if p.requires_grad).requires_grad_(False)
    model.config.use_cache = False
    ids = torch.tensor([tokenizer("one two three")["input_ids"]])
    model(input_ids=ids, labels=ids).loss.backward()
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)

    def picture():
        return (
            random.getstate(),
            tuple(map(str, np.random.get_state())),
            torch.get_rng_state().tolist(),
            [module.training for module in model.modules()],
            [
                (p.requires_grad, p._version, id(p.grad), None if p.grad is None else p.grad.sum().item())
                for p in model.parameters()
            ],
            (model.config.use_cache, model.config._attn_implementation),
            (tokenizer.padding_side, tokenizer.model_max_length, tokenizer.chat_template),
        )

    before = picture()
    options = {"suites": suites, "runs_dir": tmp_path / "runs", "keep": "last"}
    assert evaluate_now(model, tokenizer, 0, **options) is None
    decision = evaluate_now(model, tokenizer, 1)
    assert picture() == before
    assert (decision.look.step, decision.stop, decision.why) == (1, False, "")


def test_a_plain_loop_is_stopped_and_gets_its_best_weights_back(suites, tokenizer, shouting, tmp_path):
    """The loop of docs/hooks.md."""
    from sfteval.hooks import evaluate_now, finish

    model = fresh()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    options = {"runs_dir": tmp_path / "runs", "output": tmp_path / "out"}
    evaluate_now(model, tokenizer, 0, suites=suites, **options)
    kept = None
    for step in range(1, 6):
        ids = torch.tensor([shouting[step]["input_ids"]])
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == 3:
            with torch.no_grad():
                model.lm_head.weight.mul_(-1)  # what no optimiser should do
        decision = evaluate_now(model, tokenizer, step)
        if decision.look.best:
            kept = step, {name: value.clone() for name, value in model.state_dict().items()}
        if decision.stop:
            break
    assert step == 3
    assert decision.why.startswith("step 3: ")
    end = finish(model, step)
    assert end["kept"] == kept[0]
    assert all(torch.equal(value, kept[1][name]) for name, value in model.state_dict().items())
    with pytest.raises(InputError, match=r"^finish: found a model that was never looked at"):
        finish(model, step)


def test_writing_to_the_weights_during_a_look_is_an_error():
    from sfteval.backends.undisturbed import undisturbed

    model = torch.nn.Linear(2, 2)
    with (
        pytest.raises(
            TrainingError, match=r"^an evaluation during training wrote to the model's weights or gradients$"
        ),
        undisturbed(model),
        torch.no_grad(),
    ):
        model.bias += 1


def test_an_adapters_base_is_the_model_without_it(run, hook, tmp_path):
    run(hook(keep="last", action="log"))
    run(hook(keep="last", action="log", name="second"), learning_rate=1e-3)
    first, second = RunStore(tmp_path / "runs").manifests()
    assert first.fingerprint == second.fingerprint
    assert first.counts["computed"] > 0 == second.counts["computed"]
    look = events(tmp_path)[0]
    facts = look["gates"][0]
    assert facts["gate"].endswith("facts.suite.yaml::tiny_facts-acc-no_regression-against-base")
    assert facts["base"] > 0.9


def test_a_broken_budget_stops_the_run_and_the_best_checkpoint_is_restored(run, hook, tmp_path, suites):
    rate = {"learning_rate": 0.05, "lr_scheduler_type": "constant", "max_steps": 12}
    trainer = run(hook(every=1), adapter=False, out="stopped", **rate)
    looks = events(tmp_path)
    (end,) = events(tmp_path, kind="end")
    assert trainer.state.global_step == looks[-1]["step"] < 12
    states = [look["gates"][0]["state"] for look in looks]
    assert states[-1] == "broken"
    assert "broken" not in states[:-1]
    assert end["kept"] is None
    assert end["warnings"] == [
        "no checkpoint is inside every forgetting budget: these are the weights of the last step, unfit to ship"
    ]
    assert end["why"].startswith(f"step {looks[-1]['step']}: ")
    assert "is proven broken: a drop of at least" in end["why"]


def test_the_best_checkpoint_inside_the_budget_is_the_one_that_is_left(run, hook, tmp_path):
    options = {"learning_rate": 4e-3, "lr_scheduler_type": "constant"}
    watched = run(hook(every=1, action="log"), adapter=True, **options)
    looks = events(tmp_path)
    (end,) = events(tmp_path, kind="end")
    allowed = [look for look in looks if look["inside"]]
    best = max(allowed, key=lambda look: (look["target"], -look["step"]))
    assert end["kept"] == best["step"]
    left = [path.name for path in (tmp_path / "out/sfteval-best").iterdir()]
    assert left == [f"step-{end['kept']}.safetensors"]  # no checkpoint points to another one
    short = run(adapter=True, max_steps=best["step"], out="short", **options)
    assert same(tensors(watched), tensors(short))
    held = {row["gate"].rpartition("::")[2]: row for row in end["held_out"]}
    assert held["tiny_facts-acc-no_regression-against-base"]["n"] + looks[0]["gates"][0]["n"] == 60


def test_a_resumed_training_goes_on_as_if_nothing_had_happened(run, hook, tmp_path):
    """Counters, patience, best step, weights: six steps in one go, and four, death, two more."""
    options = {"save_strategy": "steps", "save_steps": 2, "lr_scheduler_type": "constant"}
    whole = run(hook(every=1, patience=50), out="whole", **options)
    in_one = events(tmp_path)
    (end,) = events(tmp_path, kind="end")
    again = run(
        hook(every=1, patience=50, name="resumed"), out="whole", resume=tmp_path / "whole/checkpoint-4", **options
    )
    assert same(tensors(whole), tensors(again))
    assert [timeless(look) for look in events(tmp_path, "resumed")] == [timeless(look) for look in in_one[4:]]
    (other,) = events(tmp_path, "resumed", kind="end")
    assert (other["kept"], other["looks"], other["held_out"]) == (end["kept"], end["looks"], end["held_out"])


def test_a_restored_checkpoint_that_is_not_the_one_chosen_is_found_out(run, hook, monkeypatch):
    """Row 14 of the field's faults: the best checkpoint on the record is not the one that is shipped."""
    monkeypatch.setattr("sfteval.train.kept.KeptWeights.restore", lambda self, model, step: None)
    with pytest.raises(TrainingError, match=r"^the restored checkpoint of step \d+ scores .*; it was chosen with"):
        run(hook(every=1, action="log"), learning_rate=0.05, lr_scheduler_type="constant", warmup_steps=2)


def test_weights_that_are_gone_or_anothers_cannot_be_restored(tmp_path):
    from sfteval.errors import StoreError
    from sfteval.train.kept import KeptWeights

    kept = KeptWeights(tmp_path)
    with pytest.raises(StoreError, match=r"found no file; expected the weights of step 3"):
        kept.restore(torch.nn.Linear(2, 2), 3)
    kept.save(torch.nn.Linear(2, 2), 3)
    with pytest.raises(StoreError, match=r"found tensors of another model; expected the 1 trained tensors of this one"):
        kept.restore(torch.nn.Linear(2, 2, bias=False), 3)
    kept.save(torch.nn.Linear(2, 2), 4)
    kept.forget({4})
    assert [path.name for path in kept.folder.iterdir()] == ["step-4.safetensors"]


def test_patience_ends_a_training_that_gains_nothing(run, hook, tmp_path):
    trainer = run(hook(every=1, patience=2), learning_rate=1e-9)
    assert trainer.state.global_step == 3
    (end,) = events(tmp_path, kind="end")
    assert end["why"] == "step 3: no better checkpoint inside every budget in 2 looks"
    assert end["kept"] == 1


def test_a_training_whose_best_weights_are_lost_is_not_resumed(run, hook, tmp_path):
    """It could not go back to them at its end: that is said at once, and not then."""
    options = {"save_strategy": "steps", "save_steps": 2}
    run(hook(every=1, action="log"), **options)
    for path in (tmp_path / "out/sfteval-best").iterdir():
        path.unlink()
    watched = hook(every=1, action="log", name="resumed")
    with pytest.raises(
        StoreError, match=r"step-\d.safetensors: found no file; expected the weights of step \d, the best"
    ):
        run(watched, resume=tmp_path / "out/checkpoint-4", **options)
    assert watched.watch.schedule == ()


def test_a_full_model_whose_base_is_lost_cannot_be_resumed(run, hook, tmp_path):
    run(hook(), adapter=False, save_strategy="steps", save_steps=2)
    for path in (tmp_path / "runs").iterdir():
        if path.is_dir() and path.name != "trainings":
            RunStore(tmp_path / "runs").remove(path.name)
    with pytest.raises(BaselineMissingError, match=r"^base: step 2 of a training whose run of base"):
        run(hook(), adapter=False, resume=tmp_path / "out/checkpoint-2")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda s: (s / "facts.suite.yaml").write_text("suite: facts\n"), "facts.suite.yaml:1:1: found no 'gates'"),
        (lambda s: (s / "facts.suite.yaml").unlink() or (s / "shouts.suite.yaml").unlink(), "found no suite files"),
    ],
)
def test_a_broken_suite_is_refused_when_the_hook_is_made(hook, suites, break_it, message):
    break_it(suites)
    with pytest.raises(InputError) as caught:
        hook()
    assert message in str(caught.value)


@pytest.mark.parametrize(("state", "place"), [("", "2"), ("live", "step-2")])
def test_answers_that_fail_stop_the_run(run, hook, monkeypatch, state, place):
    """Base's before step 1, the live model's at the look: never graded as wrong answers, never passed over."""
    from sfteval.backends.living import LivingBackend
    from sfteval.records import BackendFailure, Response

    honest = LivingBackend.respond

    def respond(self, requests, on_batch):
        if self.identity.adapter == state:
            on_batch([Response(r.key, failure=BackendFailure("memory", "out of it")) for r in requests])
        else:
            honest(self, requests, on_batch)

    monkeypatch.setattr(LivingBackend, "respond", respond)
    watched = hook()
    with pytest.raises(TrainingError) as caught:
        run(watched)
    assert str(caught.value).startswith(place)
    assert "tiny_facts-acc-no_regression-against-base cannot be compared with base: " in str(caught.value)
    assert "errored on the candidate (cap 0%); first: 'facts-" in str(caught.value)
    assert watched.watch.state()["done"] == 0
    assert (watched.watch.schedule == ()) == (state == "")


def test_a_prompt_that_cannot_be_rendered_stops_the_run_before_step_1(run, hook, suites):
    text = (suites / "shouts.suite.yaml").read_text()
    (suites / "shouts.suite.yaml").write_text(text.replace("Say 3.", "Say <|im_end|>."))
    watched = hook()
    with pytest.raises(InputError, match=r"^message 1 \(user\): found the control token <\|im_end\|> in the content"):
        run(watched)
    assert watched.watch.schedule == ()


def test_trackers_of_the_trainer_are_sent_every_look(run, hook, monkeypatch):
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    sent = []

    class Spy(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **given):
            sent.append((state.global_step, logs))

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Spy)
    run(hook(keep="last", action="log"), report_to=["tensorboard"])
    looks = {step: logs for step, logs in sent if "sfteval/seconds" in logs}
    assert sorted(looks) == [2, 4, 6]
    assert set(looks[2]) == {"sfteval/inside_every_budget", "sfteval/seconds", "sfteval/target"} | {
        f"sfteval/{gate}/{field}"
        for gate in ("facts/tiny_facts-acc-no_regression-against-base", "shouts/loud-improves-against-base")
        for field in ("base", "now", "difference", "low", "high")
    }


def test_a_tracker_that_nobody_knows_stops_the_run_before_step_1(run, hook):
    watched = hook(report_to=["tensorbord"])
    with pytest.raises(InputError, match=r"^hooks.report_to: found tensorbord \(tensorbord is not supported, only "):
        run(watched)
    assert watched.watch.schedule == ()


def test_the_history_holds_the_trainings_own_curve(run, hook, tmp_path):
    trainer = run(hook(keep="last", action="log"))
    curve = [point["loss"] for look in events(tmp_path) for point in look["curve"]]
    assert curve == losses(trainer)[:5]
    (begin,) = events(tmp_path, kind="begin")
    assert begin["schedule"] == [2, 4, 6]
    assert begin["alpha"] == pytest.approx(0.05 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evry": 3}, "SuiteCallback: evry: found 3; expected one of every, share, action"),
        ({"share": 2.0}, "SuiteCallback: share: found 2.0; expected Input should be less than 1"),
        ({"target": "shout/loud"}, "hooks.target: found 'shout/loud'; expected SUITE/CHECK"),
        ({"target": "shouts/quiet"}, "hooks.target: found 'shouts/quiet'; expected one of facts/tiny_facts/acc"),
    ],
)
def test_options_that_do_not_exist_are_refused(hook, options, message):
    with pytest.raises(InputError) as caught:
        hook(**options)
    assert str(caught.value).startswith(message)
