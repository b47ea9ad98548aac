"""Slots: what is held stays, and memory follows what is needed."""

from __future__ import annotations

import torch

from sfteval.engine.slots import Slots


def filled(rows: int, length: int) -> Slots:
    slots = Slots()
    slots.reserve(rows, length)
    for row in range(rows):
        slots.write(row, 0, torch.full((2, length, 4), float(row)), torch.full((2, length, 3), float(row)))
        slots.occupy(length)
    return slots


def held(slots: Slots, row: int) -> tuple[float, int]:
    keys, values = slots._layers[0]
    length = int(slots.lengths[row])
    assert (keys[row, :, :length] == keys[row, 0, 0, 0]).all()
    assert (values[row, :, :length] == keys[row, 0, 0, 0]).all()
    return float(keys[row, 0, 0, 0]), length


def test_growing_keeps_what_is_held():
    slots = filled(3, 10)
    slots.reserve(20, 100)
    assert [held(slots, row) for row in range(3)] == [(0.0, 10), (1.0, 10), (2.0, 10)]
    assert slots._layers[0][0].shape == (24, 2, 128, 4)


def test_the_last_row_moves_into_a_free_slot():
    slots = filled(3, 10)
    slots.release(0)
    assert slots.count == 2
    assert [held(slots, row) for row in range(2)] == [(2.0, 10), (1.0, 10)]


def test_a_wiped_slot_holds_no_nan():
    slots = filled(2, 10)
    slots._layers[0][0][1] = float("nan")
    slots.release(1, wipe=True)
    assert not slots._layers[0][0].isnan().any()


def test_long_rows_give_their_room_back_to_many_short_ones():
    slots = filled(2, 1000)
    slots.release(1)
    slots.release(0)
    slots.reserve(60, 30)
    assert slots._layers[0][0].shape == (64, 2, 64, 4)


def test_few_long_rows_give_the_room_of_many_back():
    slots = filled(60, 30)
    for row in reversed(range(4, 60)):
        slots.release(row)
    slots.reserve(4, 1000)
    assert slots._layers[0][0].shape == (8, 2, 1024, 4)
    assert held(slots, 3) == (3.0, 30)
