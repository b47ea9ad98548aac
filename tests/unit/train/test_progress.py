"""The progress line: figures on a terminal, nothing when piped."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from sfteval.train.trained import CurvePoint


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_figures_on_a_terminal_and_nothing_when_piped(terminal, shown):
    from sfteval.train.progress import ProgressBar

    out = io.StringIO()
    curve = [CurvePoint(1, 2.345, 1e-4, 500, 100)]
    bar = ProgressBar(curve, "careful", Console(file=out, force_terminal=terminal, width=140))
    state = SimpleNamespace(max_steps=2, global_step=0)
    bar.on_train_begin(None, state, None)
    bar.on_step_end(None, state, None)
    bar.close()
    text = out.getvalue()
    assert ("careful" in text and "1/2" in text and "loss 2.345  rate 1.0e-04" in text and "tokens/s" in text) is shown
    assert bool(text) is shown


def test_a_resumed_training_goes_on_where_it_was():
    from sfteval.train.progress import ProgressBar

    bar = ProgressBar([CurvePoint(5, 2.0, 1e-4, 500, 100)], "careful", Console(file=io.StringIO(), force_terminal=True))
    bar.on_train_begin(None, SimpleNamespace(max_steps=6, global_step=4), None)
    bar.on_step_end(None, SimpleNamespace(max_steps=6, global_step=5), None)
    bar.close()
    assert (bar.bar.tasks[0].completed, bar.bar.tasks[0].total) == (5, 6)
