"""Several models asked at once: the same answers as one by one, whatever can share a batch."""

import pytest
import tiny
from test_local import answers

from sfteval.backends import Question, Script, ScriptedBackend, WeightsPool, open_backend, respond_together
from sfteval.engine import generating, voices
from sfteval.records import Generate, Generation, Score

NAMES = ("base", "lora", "second")


def asked(name):
    scores = [Score(f"{name}-s{i}", (5, 9, i), (44, 8)) for i in range(3)]
    prompts = [(5, 9, 200, 31), (77, 12), (5, 9, 200, 8, 1)]
    return [*scores, *(Generate(f"{name}-g{i}", p, Generation(max_tokens=4 + i)) for i, p in enumerate(prompts))]


def together(names, pool=None):
    """Ask the models at once, counting the decoding steps."""
    pool = pool or WeightsPool()
    got = {name: [] for name in names}
    respond_together(
        [Question(open_backend(name, weights=pool), asked(name), got[name].extend) for name in names],
    )
    assert pool.loads == 1
    return {name: {one.key: one for one in responses} for name, responses in got.items()}


@pytest.fixture
def steps(monkeypatch):
    """The voices of every pass that shared its model."""
    seen = []
    true = voices.Voices._named

    def named(self, layer, args, given):
        seen.append(tuple(self.names))
        return true(self, layer, args, given)

    monkeypatch.setattr(voices.Voices, "_named", named)
    return seen


def test_models_on_one_base_generate_in_one_batch(home, steps):
    tiny.adapter(home / "second", home / "base", tiny.lora(r=2), seed=5)
    apart = {name: answers(open_backend(name), asked(name)) for name in NAMES}
    assert len({tuple(one.text for one in each.values()) for each in apart.values()}) == 3
    assert together(NAMES) == apart
    # Nine rows, filled up to sixteen, which multiply more quickly.
    assert any(len(names) == 16 and set(names) == {"__base__", "default", "adapter1"} for names in steps)


@pytest.mark.parametrize("kind", ["dora", "head"])
def test_adapters_that_peft_cannot_mix_are_switched(home, steps, kind):
    options = {"use_dora": True} if kind == "dora" else {"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}
    tiny.adapter(home / "second", home / "base", tiny.lora(**options), seed=5)
    apart = {name: answers(open_backend(name), asked(name)) for name in ("base", "second")}
    assert together(("base", "second")) == apart
    assert steps == []


def test_mixing_that_changes_logits_is_given_up_with_one_warning(home, monkeypatch):
    apart = {name: answers(open_backend(name), asked(name)) for name in ("base", "lora")}
    monkeypatch.setattr(voices.Voices, "_named", lambda self, layer, args, given: (args, given))
    pool = WeightsPool()
    with pytest.warns(RuntimeWarning, match="a batch that mixes adapters changes logits by"):
        assert together(("base", "lora"), pool) == apart
    # Known by now: a second warning would be an error here.
    assert together(("base", "lora"), pool) == apart


def test_models_that_share_nothing_answer_one_after_the_other(home, steps):
    tiny.llama(home / "other", seed=7)
    pool = WeightsPool()
    backends = {name: open_backend(name, weights=pool) for name in ("base", "other")}
    backends["scripted"] = ScriptedBackend(Script(default="yes"))
    got = {name: [] for name in backends}
    respond_together([Question(backend, asked(name), got[name].extend) for name, backend in backends.items()])
    for name in ("base", "other"):
        assert {one.key: one for one in got[name]} == answers(open_backend(name), asked(name))
    assert [one.text for one in got["scripted"] if one.text is not None] == ["yes"] * 3
    assert steps == []


def test_rows_join_as_others_leave(home, steps, monkeypatch):
    monkeypatch.setattr(generating, "MAX_ROWS", 2)
    apart = {name: answers(open_backend(name), asked(name)) for name in ("base", "lora")}
    assert together(("base", "lora")) == apart
    assert max(map(len, steps[4:])) <= 4
