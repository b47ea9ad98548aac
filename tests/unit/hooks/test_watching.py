"""What is asked, when, at which error rate; each option has an effect."""

from __future__ import annotations

import json
import math

import pytest

from sfteval.errors import InputError
from sfteval.pipeline.watching import SuiteWatch
from sfteval.pipeline.watching.looking import at_their_best, closing_warnings
from sfteval.pipeline.watching.progress import Progress
from sfteval.pipeline.watching.questions import questions, split_items
from sfteval.pipeline.watching.schedule import look_cost, looks
from sfteval.records import GateLook, Item, Look, Sample, Status
from sfteval.train.hook_config import Hooks, hooks_of


def items(count, cluster=None):
    return [Item(f"k{i}", "s", "", f"i{i}", (), cluster=cluster(i) if cluster else "") for i in range(count)]


def test_the_last_step_is_always_looked_at():
    assert looks(10, 4, 0.05, 1.0, 1.0) == (4, 8, 10)
    assert looks(8, 4, 0.05, 1.0, 1.0) == (4, 8)
    assert looks(3, 100, 0.05, 1.0, 1.0) == (3,)


def test_the_share_decides_how_often():
    """A look of 3,000 forward tokens against steps of 1,000 trained ones (3 each): 5 % is a look in 19 steps."""
    every = looks(100, None, 0.05, 3000.0, 1000.0)
    assert every == (19, 38, 57, 76, 95, 100)
    assert pytest.approx(0.05) == 3000 / (3000 + 19 * 3000)
    assert looks(100, None, 0.5, 3000.0, 1000.0)[:3] == (1, 2, 3)


def test_what_a_look_costs():
    sample = Sample("k", "s", "", "i", 0, "i", Status.SCORED, {}, {}, "", "", "", prompt_tokens=100, output_tokens=20)
    assert look_cost([sample, sample]) == 2 * (100 + 3 * 20)


def test_samples_that_choose_and_samples_that_judge():
    chosen, judging = split_items(items(400), 0.25, None)
    assert chosen | judging == {f"k{i}" for i in range(400)}
    assert not chosen & judging
    assert 70 < len(chosen) < 130
    assert split_items(items(500), 0.25, None)[0] >= chosen  # adding samples moves none
    fewer, same = split_items(items(400), 0.25, 30)
    assert (len(fewer), same) == (30, judging)
    assert fewer < chosen


def test_clusters_stay_together():
    chosen, _ = split_items(items(400, lambda i: f"c{i // 4}"), 0.5, None)
    assert all(len({f"k{4 * c + i}" in chosen for i in range(4)}) == 1 for c in range(100))


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match=r"^s: found 1 samples, none of which (judges|chooses); expected samples"):
        split_items(items(1), 0.5, None)


def test_the_gates_against_base_are_the_questions(suites):
    asked = questions(Hooks(suites=(str(suites),)))
    assert [gate.id for gate in asked.budgets] == ["tiny_facts-acc-no_regression-against-base"]
    assert [gate.id for gate in asked.targets] == ["loud-improves-against-base"]
    named = questions(Hooks(suites=(str(suites),), target="facts/tiny_facts/acc"))
    assert [(gate.suite, gate.task, gate.check, gate.demand) for gate in named.targets] == [
        ("facts", "tiny_facts", "acc", "improves")
    ]
    few = questions(Hooks(suites=(str(suites),), samples=5))
    assert {len(few.validation), len(asked.validation)} == {10, len(asked.validation)}
    assert few.planned.plan.fingerprint != asked.planned.plan.fingerprint
    assert len(few.planned.plan.items) == len(few.validation | few.held_out)


def test_suites_without_a_question_are_refused(suites):
    (suites / "facts.suite.yaml").unlink()
    text = (suites / "shouts.suite.yaml").read_text()
    (suites / "shouts.suite.yaml").write_text(text.replace("improves: {against: base, by: 0.5}", "at_least: 0.1"))
    with pytest.raises(InputError, match=r"found no gate against base; expected a no_regression gate against base"):
        questions(Hooks(suites=(str(suites),)))


def test_the_error_rate_of_all_looks_together(suites):
    watch = SuiteWatch(Hooks(suites=(str(suites),), alpha=0.1))
    watch.schedule = (1, 2, 3, 4, 5)
    assert watch.level == pytest.approx(0.1 / 5)
    watch.schedule = ()
    spent = 0.0
    for _ in range(2000):
        spent += watch.level
        watch._progress.done += 1
    assert spent == pytest.approx(0.1, rel=1e-3)
    assert spent < 0.1
    assert watch.level == pytest.approx(0.1 * 6 / (math.pi * 2001) ** 2)


def figure(gate, state, base=0.5):
    return GateLook(gate.node, gate.demand, gate.threshold, 20, base, 0.1, -0.4, -0.5, -0.3, state)


BROKEN = "is proven broken: a drop of at least 0.3 from base (allowed: 0.05; 20 samples)"


@pytest.mark.parametrize(
    ("action", "since", "stop", "why"),
    [
        ("log", 1, False, BROKEN),
        ("log", 2, True, "no better checkpoint inside every budget in 2 looks"),
        ("stop", 0, True, BROKEN),
        ("stop", 2, True, BROKEN),
    ],
)
def test_patience_ends_a_training_whose_broken_budgets_are_only_logged(suites, action, since, stop, why):
    watch = SuiteWatch(Hooks(suites=(str(suites),), action=action, patience=2))
    watch._progress.since_best = since
    look = Look(7, (figure(watch.asked.budgets[0], "broken"),), None, False, False, 0.0)
    decision = watch._decided(look)
    assert decision.stop is stop
    assert decision.why.startswith("step 7: ")
    assert decision.why.endswith(why)


def test_a_target_that_base_has_reached_already_is_told(suites):
    asked = questions(Hooks(suites=(str(suites),)))
    budget, target = figure(asked.budgets[0], "inside", 1.0), asked.targets[0]
    assert at_their_best(asked, (budget, figure(target, "open", 0.5))) == []
    (said,) = at_their_best(asked, (budget, figure(target, "open", 0.75)))
    assert said == f"{target.node}: base scores 0.75 of at most 1 already: a gain of 0.5 cannot be"
    named = questions(Hooks(suites=(str(suites),), target="shouts/loud"))
    (said,) = at_their_best(named, (budget, figure(named.targets[0], "open", 1.0)))
    assert said.endswith("base scores 1 of at most 1 already: nothing is left to gain")


@pytest.mark.parametrize(
    ("seconds", "looks", "every", "told"), [(100, 20, None, 1), (100, 9, None, 0), (100, 20, 3, 0)]
)
def test_looks_that_took_more_than_their_share_are_told(suites, seconds, looks, every, told):
    hooks = Hooks(suites=(str(suites),), every=every)
    said = closing_warnings(hooks, Progress(looks_seconds=looks, training_seconds=seconds), 3, [])
    assert said == ["looks took 20% of the time, more than hooks.share (5%); lower hooks.samples"] * told


def test_options_as_keywords_and_as_yaml_are_the_same(tmp_path):
    given = {"every": 3, "share": 0.1, "action": "log", "keep": "last", "patience": 2, "report_to": ["wandb"]}
    made = hooks_of(tmp_path / "a", given | {"runs_dir": tmp_path})
    yaml = dict(given.items()) | {"suites": [str(tmp_path / "a")], "runs_dir": str(tmp_path)}
    assert made == Hooks.model_validate_json(json.dumps(yaml))
