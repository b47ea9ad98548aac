"""The trie's layout, exactly, and its laws on random sequences."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import family
from hypothesis import given, settings
from hypothesis import strategies as st

from sfteval.engine import packing, trie

SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=12)


def arrays(sequences):
    return [np.asarray(sequence, dtype=np.int64) for sequence in sequences]


def tokens_on(tree: trie.Trie, path: trie.Path, carried=()) -> list[int]:
    length = sum(segment.length for segment in path)
    known = list(carried)
    return [int(tree.tokens[n]) if n >= 0 else known[n + len(known)] for n in trie.nodes(path, 0, length)]


def test_shared_prefixes_become_one_run_and_duplicates_none():
    tree = trie.build(arrays([[5, 6, 7], [5, 6, 8, 9], [5, 6, 7], [4]]))
    assert tree.tokens.tolist() == [4, 5, 6, 7, 8, 9]
    assert tree.depths.tolist() == [0, 0, 1, 2, 2, 3]
    assert [(run.depth, run.node, run.length) for run in tree.runs] == [(0, 0, 1), (0, 1, 3), (2, 4, 2)]
    assert tree.order == (3, 0, 2, 1)
    assert tree.ends == (3, 5, 3, 0)


def test_ids_sort_as_numbers_and_not_as_text():
    assert trie.build(arrays([[300], [20], [70000]])).tokens.tolist() == [20, 300, 70000]


def test_a_sequence_that_is_carried_whole_computes_its_last_token_again():
    tree = trie.build(arrays([[1, 2, 3], [1, 2, 3, 4]]), np.asarray([1, 2, 3, 9]))
    assert tree.tokens.tolist() == [3, 4]
    assert tree.depths.tolist() == [2, 3]


@given(SEQUENCES, st.lists(st.integers(0, 3), max_size=8))
@settings(max_examples=150, deadline=None)
def test_every_sequence_is_its_path_and_nothing_is_there_twice(sequences, carried):
    tree = trie.build(arrays(sequences), np.asarray(carried, dtype=np.int64))
    for sequence, path in zip(sequences, tree.paths, strict=True):
        assert tokens_on(tree, path, carried) == sequence
    if not carried:
        prefixes = {tuple(sequence[:n]) for sequence in sequences for n in range(1, len(sequence) + 1)}
        assert len(tree.tokens) == len(prefixes)


@pytest.mark.parametrize("budget", [1, 3, 17, 64, 10_000])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [4, 256])
def test_every_query_sees_its_path_and_nothing_else(seed, budget, limit, monkeypatch):
    monkeypatch.setattr(packing, "GROUP_TOKENS", limit)
    tree = trie.build(arrays(family(seed)))
    start, carried = 0, []
    while start < len(tree.tokens):
        step = packing.plan(tree, start, budget, len(carried))
        keys = carried + list(range(step.start, step.stop))
        for group in step.groups:
            columns = np.concatenate([np.arange(low, high) for low, high in group.keys])
            assert group.visible.shape == (group.count, len(columns))
            for row in range(group.count):
                node = step.start + group.first + row
                seen = [keys[c] for c in columns[group.visible[row]]]
                own = tree.above(node)
                depth = sum(segment.length for segment in own)
                assert seen == [*trie.nodes(own, 0, depth).tolist(), node]
                assert group.query_depths[row] == depth
        assert sum(group.count for group in step.groups) == step.stop - step.start
        carried = [keys[c] for low, high in step.keep for c in range(low, high)]
        start = step.stop
