"""The fused LoRA layer against PEFT's own: outputs, gradients, and every case that must stay PEFT's."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from sfteval.train.lora_fusion import fuse_lora


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(6, 10), torch.nn.Linear(10, 4, bias=False)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


@pytest.fixture
def pair():
    """PEFT's model and the same one fused, the second matrices away from zero."""

    def make(**options):
        torch.manual_seed(0)
        plain = get_peft_model(Net(), LoraConfig(r=3, lora_alpha=5, target_modules=["a", "b"], **options))
        for name, value in plain.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value)
        fused = copy.deepcopy(plain)
        return plain, fused, fuse_lora(fused)

    return make


def results(model, x):
    x = x.clone().requires_grad_()
    out = model(x)
    (out**2).sum().backward()
    grads = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad and value.grad is not None]
    return out.detach(), {"x": x.grad} | grads, frozen


@pytest.mark.parametrize("rslora", [False, True])
def test_outputs_and_gradients_are_pefts(pair, rslora):
    plain, fused, count = pair(use_rslora=rslora)
    assert count == 2
    x = torch.randn(2, 7, 6)
    (out, grads, _), (own, own_grads, frozen) = results(plain, x), results(fused, x)
    torch.testing.assert_close(own, out, rtol=1e-5, atol=1e-5)
    assert own_grads.keys() == grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(own_grads[name], grad, rtol=1e-5, atol=1e-5)
    assert frozen == []
    assert list(fused.state_dict()) == list(plain.state_dict())


def test_it_is_the_gradient_of_what_it_computes(pair):
    _, fused, _ = pair()
    layer = fused.double().base_model.model.a
    first, second = (part["default"].weight for part in (layer.lora_A, layer.lora_B))
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)

    def value(x, first_value, second_value):
        return torch.func.functional_call(
            layer, {"lora_A.default.weight": first_value, "lora_B.default.weight": second_value}, (x,)
        )

    assert torch.autograd.gradcheck(value, (x, first, second))


@pytest.mark.parametrize(
    ("options", "fused_layers"),
    [({"lora_dropout": 0.1}, 0), ({"use_dora": True}, 0), ({}, 2)],
)
def test_layers_that_do_more_stay_pefts(pair, options, fused_layers):
    assert pair(**options)[2] == fused_layers


def test_off_merged_and_second_adapters_are_pefts(pair):
    plain, fused, _ = pair()
    x = torch.randn(3, 6)
    with plain.disable_adapter(), fused.disable_adapter():
        torch.testing.assert_close(fused(x), plain(x), rtol=0, atol=0)
    for model in (plain, fused):
        model.merge_adapter()
    torch.testing.assert_close(fused(x), plain(x), rtol=0, atol=0)
    for model in (plain, fused):
        model.unmerge_adapter()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(fused(x), plain(x), rtol=0, atol=0)


def test_a_base_that_is_trained_too_is_left_alone():
    model = get_peft_model(Net(), LoraConfig(r=2, target_modules=["a"]))
    model.base_model.model.a.base_layer.weight.requires_grad_(True)
    assert fuse_lora(model) == 0
