"""The pre-flight that needs weights: each defect planted and named, the clean twin silent."""

from __future__ import annotations

import gc

import pytest
import torch
from test_packing import rows

from sfteval.errors import TrainingError
from sfteval.train import trial
from sfteval.train.batches import collate
from sfteval.train.heads import label_nll
from sfteval.train.masks import Encoded
from sfteval.train.trial import check_first_loss, check_stops, doubts, own_loss, try_model


@pytest.fixture
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)


def attempt(model, packing=None):
    return try_model(model, rows(), 0, packing=packing, backward=torch.Tensor.backward)


def test_a_sound_model_may_pack_and_keeps_no_trace(model):
    model.train()
    torch.manual_seed(4)
    before = torch.get_rng_state()
    found = attempt(model)
    assert (found.packed, found.why_not) == (True, "")
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(value.grad is None for value in model.parameters())


def test_what_was_compared_is_told(model):
    found = attempt(model)
    assert set(found.losses) == {"head", "accumulation", "packing"}
    for ours, theirs in found.losses.values():
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert set(attempt(model, packing=False).losses) == {"head", "accumulation"}


def test_a_few_rows_are_held_at_a_time(model):
    """Rows that are read from disk one by one must not all end up in memory."""
    alive = []

    class OnDisk:
        def __iter__(self):
            for index in range(200, 0, -1):
                yield Encoded((1, 2, *range(14, 14 + index)), (-100, 2, *range(14, 14 + index)), (), "prefixes")
                if index == 1:
                    alive.append(sum(type(one) is Encoded for one in gc.get_objects()))

    gc.collect()
    before = sum(type(one) is Encoded for one in gc.get_objects())
    shortest = trial._shortest(OnDisk())
    assert [len(row.ids) for row in shortest] == [3, 4, 5, 6]
    assert alive[0] - before <= 6


def test_a_fused_head_that_computes_something_else(model, monkeypatch):
    monkeypatch.setattr(trial, "label_nll", lambda m, micro: label_nll(m, micro) * 1.01)
    with pytest.raises(TrainingError, match=r"^pre-flight: the loss at labelled positions is .* the fused head does"):
        attempt(model)


def test_accumulation_that_averages_micro_batches(model, monkeypatch):
    """Row 11 of the field's faults: each micro-batch's mean, then the mean of those."""

    def averaged(m, micros, weight, backward):
        losses = [label_nll(m, micro) / (micro["labels"][:, 1:] != -100).sum() / len(micros) for micro in micros]
        for loss in losses:
            backward(loss)
        return sum(loss.detach() for loss in losses)

    monkeypatch.setattr(trial, "accumulate", averaged)
    with pytest.raises(TrainingError, match=r"^pre-flight: gradient accumulation changes the loss: .* in 4 of one$"):
        attempt(model)


def test_accumulation_that_forgets_a_gradient(model):
    seen = []

    def backward(loss):
        seen.append(loss)
        loss.backward()
        if len(seen) == 3:
            model.model.norm.weight.grad.zero_()

    with pytest.raises(TrainingError, match=r"^pre-flight: gradient accumulation changes the update of model.norm"):
        try_model(model, rows(), 0, packing=None, backward=backward)


def leaky(self, call, query, key, value):
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=call.scale)
    return attended.transpose(1, 2)


def test_packed_rows_that_see_each_other(model, monkeypatch):
    """Row 12: refused when it was asked for, left alone when it was not."""
    monkeypatch.setattr("sfteval.train.packing.RowByRow.attend", leaky)
    with pytest.raises(TrainingError) as caught:
        attempt(model, packing=True)
    assert str(caught.value).startswith("pre-flight: packing is refused: packed rows would see each other")
    assert str(caught.value).endswith("set optimizer.packing: false")
    found = attempt(model)
    assert not found.packed
    assert found.why_not.startswith("a pack's loss is ")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("method", ["PrefixTuningConfig", "PromptTuningConfig"])
def test_methods_with_tokens_of_their_own_are_not_packed(model, method):
    import peft

    adapted = peft.get_peft_model(model, getattr(peft, method)(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(TrainingError, match=r"^pre-flight: packing is refused"):
        attempt(adapted, packing=True)
    found = attempt(adapted)
    assert (found.packed, found.why_not) == (False, "the method puts tokens of its own before every sequence")
    assert attempt(adapted, packing=False).why_not == "packing is off"


class Template:
    stop_ids = (2,)

    def decode(self, ids):
        return f"<{ids}>"


def test_generation_that_runs_on(model):
    settings = model.generation_config
    settings.eos_token_id = [2]
    check_stops(model, Template(), settings, [14, 15, 16])
    settings.eos_token_id = [5]
    with pytest.raises(TrainingError) as caught:
        check_stops(model, Template(), settings, [14, 15, 16])
    assert str(caught.value) == (
        "pre-flight: generation does not stop at the end-of-turn token '<[2]>' (it stops at [5])"
    )


def test_the_first_loss_is_the_models_own(model):
    micros = [collate(rows(), 0)]
    own = own_loss(model, micros)
    shown = label_nll(model, micros[0]).item() / sum(int((m["labels"][:, 1:] != -100).sum()) for m in micros)
    check_first_loss(shown, own, dropout=False)
    with pytest.raises(TrainingError, match=r"^step 1: the loss is .*; the model's own loss on the same labels is "):
        check_first_loss(shown / 2, own, dropout=True)


def test_doubts():
    assert doubts(300, 3, 1.0) == doubts(2000, 100, 1.0) == []
    assert doubts(150, 100.5, 1.0) == [
        "150 rows, each seen 100.5 times: the model will learn them by heart; add rows",
    ]
    assert doubts(99, 6, 0.01) == [
        "99 rows, each seen 6 times: the model will learn them by heart; add rows",
        "the model's loss on the first step's rows is 0.01 nats per label before training: there is nothing left to "
        "learn from rows like these",
    ]
