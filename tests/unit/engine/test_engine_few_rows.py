"""Linear layers for few rows: the same product, whatever the rows and the bias; nothing left behind."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from engine_cases import make

from sfteval.engine.attention import Call
from sfteval.engine.few_rows import MOST_ROWS, FewRows, Filled, swapped


@pytest.mark.parametrize("rows", range(1, MOST_ROWS + 3))
@pytest.mark.parametrize("biased", [False, True])
def test_the_product_is_the_linear_layers_own(rows: int, biased: bool) -> None:
    torch.manual_seed(rows)
    for width in (24, 40):
        layer = torch.nn.Linear(24, width, bias=biased)
        for given in (torch.randn(rows, 1, 24), torch.randn(1, rows, 24), torch.randn(24, rows).t()):
            with torch.no_grad():
                found = swapped(given, layer.weight, layer.bias)
                torch.testing.assert_close(found, layer(given), rtol=1e-5, atol=1e-6)
            assert found.shape == (*given.shape[:-1], width)
            assert found.is_contiguous() or width > 24


def test_layers_multiply_the_other_way_round_only_inside_and_only_for_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("llama")
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    hooked = layers[0]
    vars(hooked)["forward"] = own = hooked.forward
    seen: list[int] = []
    monkeypatch.setattr("sfteval.engine.few_rows.swapped", lambda given, *_: seen.append(len(given)) or given)
    few = FewRows(model)
    for rows, quick in ((1, False), (2, True), (3, False), (40, True), (MOST_ROWS, True), (MOST_ROWS + 1, False)):
        with suppress(ZeroDivisionError), few.quick(rows):
            assert ["forward" in vars(layer) for layer in layers[1:]] == [quick] * (len(layers) - 1)
            assert vars(hooked)["forward"] == own
            if quick:
                layers[1](torch.zeros(rows, layers[1].in_features))
            raise ZeroDivisionError
        assert all("forward" not in vars(layer) for layer in layers[1:])
    assert seen == [2, 40, MOST_ROWS]


@pytest.mark.parametrize(
    ("rows", "spare"), [(1, 0), (2, 0), (3, 1), (9, 7), (16, 0), (17, 7), (41, 7), (64, 0), (65, 0), (2048, 0)]
)
def test_a_step_is_filled_up_to_a_number_that_multiplies_quickly(rows: int, spare: int) -> None:
    assert FewRows(make("llama")).spare(rows) == spare
    assert FewRows(make("llama").to(torch.bfloat16)).spare(rows) == 0


def test_spare_rows_never_reach_the_plan_and_come_back_as_zeros() -> None:
    class Echo:
        def attend(self, call: Call, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            assert len(query) == len(key) == len(value) == 3
            return query.transpose(1, 2)

    query, key = torch.randn(8, 4, 1, 16), torch.randn(8, 2, 1, 16)
    seen = Filled(Echo(), 3).attend(Call(0, None, None, None), query, key, key)
    assert torch.equal(seen[:3], query[:3].transpose(1, 2))
    assert seen.shape == (8, 1, 4, 16)
    assert not seen[3:].any()


def test_other_layers_and_numbers_are_left_alone() -> None:
    class Counted(torch.nn.Linear):
        pass

    model = torch.nn.Sequential(Counted(4, 4), torch.nn.Linear(4, 4, dtype=torch.bfloat16), torch.nn.Linear(4, 4))
    with FewRows(model).quick(4):
        assert ["forward" in vars(layer) for layer in model] == [False, False, True]
