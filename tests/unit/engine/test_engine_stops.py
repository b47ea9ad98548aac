"""Stop strings: found across token boundaries, at the earliest place, in long outputs too."""

from __future__ import annotations

import random

import pytest

from sfteval.engine.stops import StopFinder

WORDS = ["a", "bc", "", "def", "\n", "Que", "stion:", " ", "b", "c"]


def decode(ids) -> str:
    return "".join(WORDS[i] for i in ids)


def run(stops, ids, min_tokens=0):
    finder, said = StopFinder(stops, decode, min_tokens), []
    for token in ids:
        said.append(token)
        if (text := finder.cut(said)) is not None:
            return text, len(said)
    return None


def test_a_string_is_found_when_its_last_piece_arrives():
    assert run(["\nQuestion:"], [0, 4, 5, 6, 0]) == ("a", 4)


def test_the_earliest_of_several_wins():
    assert run(["ef", "cd"], [0, 1, 3]) == ("ab", 3)


def test_no_stop_strings_never_stop():
    assert run([], [0, 1, 2]) is None


def test_within_min_tokens_nothing_counts_but_what_ends_later_does():
    assert run(["bc"], [1, 0, 8, 9], min_tokens=2) == ("bca", 4)
    assert run(["bc"], [0, 8, 9], min_tokens=2) == ("a", 3)


@pytest.mark.parametrize("seed", range(40))
def test_long_outputs_equal_a_search_of_the_whole_text(seed):
    rng = random.Random(seed)
    ids = [rng.choice([0, 1, 2, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9]) for _ in range(150)]
    stops = ["def\nQuestion:", "abcabc", "cbdefa"]
    expected = None
    for n in range(1, len(ids) + 1):
        text = decode(ids[:n])
        places = [text.find(stop) for stop in stops if stop in text]
        if places:
            expected = text[: min(places)], n
            break
    assert run(stops, ids) == expected


def test_a_stop_string_of_many_tokens_before_a_long_token():
    """Byte by byte, ten emoji are forty tokens; one token of many spaces makes the end of the text look long."""
    smile = "\U0001f600".encode()
    pieces = [bytes([byte]) for byte in smile] + [b" " * 128, b"a"]

    def decode_bytes(ids):
        return b"".join(pieces[i] for i in ids).decode("utf-8", "replace")

    finder = StopFinder(["\U0001f600" * 10 + " "], decode_bytes, 0)
    said = [5, *[0, 1, 2, 3] * 10]
    assert finder.cut(said) is None
    assert finder.cut([*said, 4]) == "a"
