"""Two answers side by side: what is marked, and that model text is never markup."""

from __future__ import annotations

import io

from rich.console import Console

from sfteval.report.differences import LONGEST, marked, side_by_side, visible


def test_words_that_differ_are_marked() -> None:
    left, right = marked("the cat sat", "the dog sat")
    assert (left.plain, right.plain) == ("the cat sat", "the dog sat")
    assert [left.plain[span.start : span.end] for span in left.spans if "red" in str(span.style)] == ["cat"]
    assert [right.plain[span.start : span.end] for span in right.spans if "green" in str(span.style)] == ["dog"]


def test_model_text_is_data() -> None:
    flip = {
        "suite": "s",
        "task": "",
        "sample_id": "[bold]x",
        "prompt": "p[/]",
        "reference_output": "[red]a[/red]\x1b[2J",
        "candidate_output": "b",
        "reference_score": 1.0,
        "candidate_score": 0.0,
    }
    stream = io.StringIO()
    Console(file=stream, width=80).print(side_by_side(flip, "before"))
    out = stream.getvalue()
    assert "[red]a[/red]\\u001b[2J" in out
    assert "s/[bold]x: p[/]" in out
    assert "before (1)" in out
    assert "\x1b" not in out


def test_long_texts_are_cut_in_the_middle() -> None:
    assert len(visible("a" * 5000 + "b" * 5000)) == LONGEST + 3
