"""Trunks: which prompts form a family, and that what they share is held once."""

from __future__ import annotations

import numpy as np
import torch
from engine_cases import answer, decode, make

from sfteval.engine import ModelLimits, packing, trunks
from sfteval.engine.intake import GenerateJob
from sfteval.engine.rows import Row
from sfteval.engine.slots import Slots
from sfteval.records import Generate, Generation


def rows(*prompts: tuple[int, ...]) -> list[Row]:
    settings = Generation(max_tokens=2)
    return [
        Row.of(GenerateJob(Generate("k", prompt, settings), np.asarray(prompt), 0), decode, ModelLimits(97, 64))
        for prompt in prompts
    ]


def test_families_are_found_and_end_before_their_shortest_prompt(monkeypatch):
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", 3)
    found = rows((1, 2, 3, 4, 5), (7, 8, 9), (1, 2, 3, 4), (1, 2, 3, 4, 6, 6), (7, 8), (5, 5, 5, 5))
    trunks.find_trunks(found)
    assert [row.trunk.length if row.trunk else 0 for row in found] == [3, 0, 3, 3, 0, 0]
    assert found[0].trunk is found[2].trunk is found[3].trunk
    assert [row.own for row in found] == [2, 3, 1, 3, 2, 4]
    assert trunks.held_tokens({row.trunk for row in found}) == 3


def test_equal_prompts_share_all_but_the_last_token(monkeypatch):
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", 3)
    found = rows((1, 2, 3, 4), (1, 2, 3, 4))
    trunks.find_trunks(found)
    assert [row.trunk.length for row in found] == [3, 3]


def test_ranges_are_split_by_count():
    assert packing.split(((2, 5), (9, 12)), 4) == (((2, 5), (9, 10)), ((10, 12),))
    assert packing.split(((2, 5),), 0) == ((), ((2, 5),))
    assert packing.split(((2, 5),), 3) == (((2, 5),), ())


def test_slots_hold_only_what_lies_below_the_trunk(monkeypatch):
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", 8)
    reserved: list[int] = []
    true = Slots.reserve
    monkeypatch.setattr(Slots, "reserve", lambda self, n, length: (reserved.append(length), true(self, n, length)))
    shared = tuple(range(20, 60))
    answer(make("llama"), [Generate(f"{i}", (*shared, i), Generation(max_tokens=3)) for i in range(6)])
    assert max(reserved) == 1 + 2


def test_a_neighbours_nan_does_not_stay_in_the_trunk(monkeypatch):
    monkeypatch.setattr(trunks, "TRUNK_TOKENS", 4)
    model = make("llama")
    shared = (21, 22, 23, 24, 25)
    good = [Generate(f"{i}", (*shared, i), Generation(max_tokens=4)) for i in (1, 2, 60)]
    clean, _ = answer(model, good)
    said = {letter for one in clean.values() for letter in one.text}
    unsaid = next(token for token in range(30, 56) if decode([token]) not in said)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.clone())
    with torch.no_grad():
        model.model.embed_tokens.weight[unsaid] = float("nan")
    got, stats = answer(model, [*good, Generate("bad", (*shared, unsaid), Generation(max_tokens=4))])
    assert got["bad"].failure.kind == "nan_logits"
    assert {key: got[key] for key in clean} == clean
    assert stats.failures == 1
