"""The libraries' noise goes, ours stays, and everything is as before afterwards."""

from __future__ import annotations

import sys
import warnings

import pytest
from transformers.utils import logging

from sfteval.quiet import library_noise_off


@pytest.fixture(autouse=True)
def loud():
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    yield
    logging.set_verbosity(before[0])
    (logging.enable_progress_bar if before[1] else logging.disable_progress_bar)()


def state():
    return logging.get_verbosity(), logging.is_progress_bar_enabled()


def test_notes_and_bars_are_off_inside_and_back_after_a_failure():
    inside = []

    def fail():
        with library_noise_off(logging):
            inside.append(state())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert inside == [(logging.ERROR, False)]
    assert state() == (logging.INFO, True)


def test_bars_that_were_off_stay_off():
    logging.disable_progress_bar()
    with library_noise_off(logging):
        pass
    assert state() == (logging.INFO, False)


def test_one_deprecation_is_hidden_and_no_other():
    with library_noise_off(logging):
        warnings.warn("`is_gradient_checkpointing` is deprecated, use another", FutureWarning, stacklevel=1)
        with pytest.raises(FutureWarning, match="`is_sharp` is deprecated"):
            warnings.warn("`is_sharp` is deprecated", FutureWarning, stacklevel=1)


@pytest.mark.parametrize(("stderr", "shown"), [(False, "a bar"), (True, "")])
def test_stderr_is_hidden_on_demand_only(capsys, stderr, shown):
    with library_noise_off(logging, stderr=stderr):
        sys.stderr.write("a bar")
    assert capsys.readouterr().err == shown
