"""Packs and the chunked head compute what rows and the whole head do, gradients included."""

from __future__ import annotations

import pytest
import torch

from sfteval.engine.attention import UnsupportedModelError
from sfteval.train.batches import StepBatches, collate, plan_steps
from sfteval.train.heads import _chunked, label_nll, whole_head_nll
from sfteval.train.masks import IGNORED, Encoded
from sfteval.train.packing import LENGTHS, RowByRow, pack


def rows(count=6, weight=0.0):
    generator = torch.Generator().manual_seed(1)
    made = []
    for index in range(count):
        ids = torch.randint(14, 250, (6 + 5 * index,), generator=generator).tolist()
        labels = [token if weight or place >= 3 else IGNORED for place, token in enumerate(ids)]
        made.append(Encoded(tuple(ids), tuple(labels), ((3, len(ids)),), "prefixes"))
    return made


@pytest.fixture
def model(tiny_base):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)


def gradients(model, loss):
    loss.backward()
    found = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    return found


def test_a_pack_is_its_rows_end_to_end():
    short, long = rows(2)
    packed = pack([short, long])
    assert packed["input_ids"].tolist() == [[*short.ids, *long.ids]]
    assert packed["labels"].tolist() == [[*short.labels, IGNORED, *long.labels[1:]]]
    assert packed["position_ids"].tolist() == [[*range(6), *range(11)]]
    assert packed[LENGTHS].tolist() == [6, 11]


def test_a_packs_loss_and_gradients_are_those_of_its_rows(model):
    made = rows()
    alone = sum(label_nll(model, collate([row], 0)) for row in made)
    expected = gradients(model, alone)
    together = label_nll(model, pack(made))
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)
    for name, grad in gradients(model, together).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-4, atol=1e-4)


def test_no_row_of_a_pack_sees_another(model):
    first, second, third = rows(3)
    other = Encoded(tuple(reversed(first.ids)), first.labels, first.spans, first.source)
    with torch.no_grad():
        one, two = (
            model(**inputs).logits[0, 6:] for inputs in _inputs(model, [first, second, third], [other, second, third])
        )
    assert torch.equal(one, two)


def _inputs(model, *packs):
    from sfteval.train.packing import packed_attention

    for made in packs:
        with packed_attention(model, pack(made)) as inputs:
            yield inputs


@pytest.mark.parametrize("trained_head", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_chunked_head_gives_the_loss_and_gradients_of_the_whole_one(trained_head, weighted):
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 50, bias=True).requires_grad_(trained_head)
    hidden = torch.randn(600, 16, requires_grad=True)
    labels = torch.randint(0, 50, (600,))
    weights = torch.rand(600) if weighted else None
    each = torch.nn.functional.cross_entropy(head(hidden), labels, reduction="none")
    whole = (each * weights).sum() if weighted else each.sum()
    wanted = [hidden, *head.parameters()] if trained_head else [hidden]
    expected = torch.autograd.grad(whole * 3, wanted)
    ours = _chunked(hidden, head, labels, weights)
    torch.testing.assert_close(ours, whole, rtol=1e-6, atol=0)
    for mine, theirs in zip(torch.autograd.grad(ours * 3, wanted), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_head_with_a_cap_keeps_its_own_arithmetic(model):
    """Logits that are more than one linear layer are found out, and the loss is that of the model."""

    def cap(module, arguments, output):
        output.logits = 3.0 * torch.tanh(output.logits / 3.0)
        return output

    model.register_forward_hook(cap)
    batch = collate(rows(), 0)
    assert label_nll(model, batch).item() == pytest.approx(whole_head_nll(model, batch).item(), rel=1e-6)


def test_what_cannot_be_packed_is_refused():
    from sfteval.engine.attention import Call

    plan = RowByRow((3, 2))
    query = torch.randn(1, 2, 5, 4)
    with pytest.raises(UnsupportedModelError, match=r"^positions that belong to no row \(virtual tokens\)$"):
        plan.attend(Call(0, None, None, None), query, torch.randn(1, 2, 7, 4), torch.randn(1, 2, 7, 4))
    for call in (Call(0, None, 2, None), Call(0, None, None, 30.0)):
        with pytest.raises(UnsupportedModelError, match=r"^attention with a window or a cap on its scores$"):
            plan.attend(call, query, query, query)
    assert plan.attend(Call(0, None, 3, None), query, query, query).shape == (1, 5, 2, 4)


def test_packing_moves_no_row_to_another_step():
    made = [Encoded(tuple(range(14, 14 + n)), tuple(range(14, 14 + n)), ((0, n),), "markers") for n in range(5, 45)]
    lengths = [len(row.ids) for row in made]
    steps = plan_steps(lengths, 300, 1, seed=1)
    batches = StepBatches(made, steps, 0)
    before = [sorted(row for micro in step for row in micro) for step in batches.steps]
    batches.lay_out(lengths, packed=True)
    assert [sorted(row for micro in step for row in micro) for step in batches.steps] == before
    assert sum(micro["input_ids"].numel() for index in range(len(batches)) for micro in batches[index]["micro"]) == sum(
        lengths
    )
    batches.start = 2
    assert torch.equal(
        batches[0]["micro"][0]["input_ids"], pack([made[row] for row in batches.steps[2][0]])["input_ids"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["labels"].fill_(20), "step 1: packing changed a row's labels"),
        (lambda m: m["input_ids"].fill_(20), "step 1: packing changed a row's token ids"),
        (lambda m: m[LENGTHS].sub_(1), "step 1: a pack's row lengths are [15, 10, 5]: rows are cut or lost"),
    ],
)
def test_a_pack_that_is_not_its_rows_is_found_out(monkeypatch, change, message):
    from sfteval.errors import TrainingError
    from sfteval.train.preflight import check_packs

    batches = StepBatches(rows(3), [[[0, 1, 2]]], 0)
    batches.lay_out([6, 11, 16], packed=True)
    check_packs(batches)

    def changed(made):
        micro = pack(made)
        change(micro)
        return micro

    monkeypatch.setattr("sfteval.train.batches.pack", changed)
    with pytest.raises(TrainingError) as caught:
        check_packs(batches)
    assert str(caught.value) == message
