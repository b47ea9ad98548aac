"""The loss and its guards on a random Llama."""

from __future__ import annotations

import pytest
import torch

from sfteval.errors import TrainingError
from sfteval.train.batches import StepBatches, collate
from sfteval.train.config import Optimizer
from sfteval.train.heads import label_nll
from sfteval.train.loop import mean_nll
from sfteval.train.masks import IGNORED, Encoded
from sfteval.train.movement import Movement, check_gradients


@pytest.fixture
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)


@pytest.fixture
def tokenizer(tiny_base):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_base)


def rows(count=8):
    generator = torch.Generator().manual_seed(1)
    made = []
    for index in range(count):
        ids = torch.randint(14, 250, (6 + 3 * index,), generator=generator).tolist()
        labels = [IGNORED if place < 3 or place % 4 == 3 else token for place, token in enumerate(ids)]
        made.append(Encoded(tuple(ids), tuple(labels), ((3, len(ids)),), "prefixes"))
    return made


def test_labelled_positions_alone_give_the_loss_of_the_whole_head(model):
    batch = collate(rows(), 0)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    whole = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]), batch["labels"][:, 1:].reshape(-1), reduction="sum"
    )
    assert label_nll(model, batch).item() == pytest.approx(whole.item(), rel=1e-6)
    assert model(input_ids=batch["input_ids"]).logits.shape == (8, 27, 270)


def test_padding_changes_no_loss(model):
    made = rows()
    alone = sum(label_nll(model, collate([row], 0)).item() for row in made)
    assert label_nll(model, collate(made, 2)).item() == pytest.approx(alone, rel=1e-5)


def test_weights_of_labels_are_weights_of_their_losses(model):
    made = [Encoded(row.ids, row.ids, (), "prefixes", ((2, 4),), 0.5) for row in rows()]
    batch = collate(made, 0)
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), batch["labels"][:, 1:], reduction="none", ignore_index=IGNORED
    )
    expected = 0.5 * each.sum() + 0.5 * each[:, 1:3].sum()
    assert label_nll(model, batch).item() == pytest.approx(expected.item(), rel=1e-5)
    full = [Encoded(row.ids, row.ids, (), "prefixes") for row in rows()]
    assert mean_nll(model, [batch]) == pytest.approx(
        expected.item() / (0.5 * (sum(map(len, (r.ids for r in full))) - 8) + 8)
    )


def test_labels_outside_the_mask_do_not_matter(model):
    batch = collate(rows(), 0)
    before = label_nll(model, batch).item()
    batch["labels"][:, 0] = 7
    assert label_nll(model, batch).item() == before


def trained(tiny_base, tokenizer, tmp_path, steps, schedule="constant", warmup=0.0):
    from transformers import AutoModelForCausalLM

    from sfteval.train.loop import build_trainer

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    settings = Optimizer(learning_rate=1e-3, schedule=schedule, warmup=warmup)
    batches = StepBatches(rows(), steps, 0)
    trainer = build_trainer(model, tokenizer, batches, settings=settings, seed=0, scratch=tmp_path)
    trainer.train()
    return trainer


def test_accumulation_does_not_change_loss_or_update(tiny_base, tokenizer, tmp_path):
    whole = trained(tiny_base, tokenizer, tmp_path, [[[0, 1, 2, 7]]] * 3)
    parts = trained(tiny_base, tokenizer, tmp_path, [[[0], [1], [2], [7]]] * 3)
    assert [p.labels for p in whole.curve] == [p.labels for p in parts.curve] == [30, 30, 30]
    assert [p.tokens for p in whole.curve] == [p.tokens for p in parts.curve] == [54, 54, 54]
    assert [p.loss for p in whole.curve] == pytest.approx([p.loss for p in parts.curve], rel=1e-5)
    for first, second in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-3, atol=2e-5)


def test_the_same_seed_gives_the_same_bits(tiny_base, tokenizer, tmp_path):
    steps = [[[0, 1]], [[2, 3], [4]], [[5]]]
    first, second = (trained(tiny_base, tokenizer, tmp_path, steps) for _ in range(2))
    assert first.curve == second.curve
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0, 0.5, 1, 1, 1, 1]),
        ("linear", [0, 0.5, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0, 0.5, 1, 0.8535533905932737, 0.5, 0.14644660940672627]),
    ],
)
def test_schedules(tiny_base, tokenizer, tmp_path, schedule, rates):
    trainer = trained(tiny_base, tokenizer, tmp_path, [[[0]]] * 6, schedule, warmup=0.34)
    assert [point.rate / 1e-3 for point in trainer.curve] == pytest.approx(rates)


def test_nothing_is_written_or_sent_while_training(tiny_base, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", lambda *a, **k: pytest.fail("telemetry"))
    monkeypatch.delenv("CI", raising=False)
    trained(tiny_base, tokenizer, tmp_path, [[[0]]])
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops(tiny_base, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("sfteval.train.trial.label_nll", lambda model, micro: label_nll(model, micro) * float("nan"))
    with pytest.raises(TrainingError, match=r"^step 1: the loss is nan; lower the learning rate or look at the rows$"):
        trained(tiny_base, tokenizer, tmp_path, [[[0]]])


def test_gradients_are_checked_before_the_first_update(tiny_base, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("sfteval.train.trial.label_nll", lambda model, micro: label_nll(model, micro) * 0)
    with pytest.raises(TrainingError, match=r"^every gradient is zero at step 1: nothing would be learned$"):
        trained(tiny_base, tokenizer, tmp_path, [[[0]]])


def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))


def test_gradient_faults_are_named():
    net = small()
    net[1](torch.ones(1, 3)).sum().backward()
    with pytest.raises(TrainingError) as caught:
        check_gradients(net)
    assert str(caught.value) == "trainable parameters get no gradient at step 1: 0.weight, 0.bias"
    net[0].requires_grad_(False)
    check_gradients(net)
    net[0].weight.grad = torch.ones(3, 3)
    with pytest.raises(TrainingError, match=r"^frozen parameters get a gradient: 0.weight$"):
        check_gradients(net)
    net[0].weight.grad = None
    net[1].bias.grad = torch.tensor([float("inf")])
    with pytest.raises(TrainingError, match=r"^gradients that are not finite at step 1: 1.bias$"):
        check_gradients(net)


def test_a_model_with_nothing_to_train_is_refused():
    with pytest.raises(TrainingError, match=r"^no parameter is trainable$"):
        Movement(small().requires_grad_(False))


def test_movement_faults_are_named():
    net = small()
    net[0].requires_grad_(False)
    movement = Movement(net)
    with pytest.raises(TrainingError, match=r"^trainable parameters never moved in 2 steps: 1.weight, 1.bias$"):
        movement.check(net, 2)
    movement.check(net, 1)
    with torch.no_grad():
        net[1].weight += 1e-7
        net[1].bias += 1
    movement.check(net, 2)
    with torch.no_grad():
        net[0].weight[0, 0] += 1
    with pytest.raises(TrainingError, match=r"^frozen parameters changed during training: 0.weight$"):
        movement.check(net, 2)
