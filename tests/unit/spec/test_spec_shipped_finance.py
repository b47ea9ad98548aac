"""The references of the numeric finance samples are what code computes, and the numbers are those of the prompt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.spec.finance_formulas import FORMULAS, bond_price, macaulay

PATH = Path(__file__).parents[3] / "suites" / "finance" / "finance_numbers.jsonl"
ROWS = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]
TOLERANCE = 0.003
"""What the suite accepts, relative to the reference; a reference is rounded by no more than that."""


def inputs(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row["vars"].items() if name != "formula"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_reference_is_computed_from_the_prompts_numbers(row: dict[str, Any]) -> None:
    value = FORMULAS[row["vars"]["formula"]](**inputs(row))
    assert abs(row["reference"] - value) <= TOLERANCE * abs(value) + 1e-9
    written = re.findall(r"\d[\d,]*(?:\.\d+)?", row["messages"][-1]["content"])
    numbers = {float(each.rstrip(",").replace(",", "")) for each in written}
    assert {name: value for name, value in inputs(row).items() if abs(value) not in numbers} == {}


def test_every_formula_is_asked_for() -> None:
    assert {row["vars"]["formula"] for row in ROWS} == set(FORMULAS)


@pytest.mark.parametrize(("coupon", "bond_yield", "years"), [(4, 4, 2), (5, 6, 3), (2, 8, 2)])
def test_duration_is_the_slope_of_the_price(coupon: float, bond_yield: float, years: int) -> None:
    """Modified duration equals the price's relative derivative, taken numerically."""
    step = 1e-4
    up, down = (bond_price(100, coupon, bond_yield + side * step, years) for side in (1, -1))
    slope = (down - up) / (2 * step / 100) / bond_price(100, coupon, bond_yield, years)
    modified = FORMULAS["modified_duration"](macaulay(coupon, bond_yield, years), bond_yield)
    assert abs(slope - modified) < 1e-6
