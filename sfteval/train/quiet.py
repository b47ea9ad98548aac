"""Noise of the libraries under us that tells a person nothing: bars over shards, and warnings meant for each other."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def library_noise_off() -> Iterator[None]:
    """Hide transformers' bars and notes, and its deprecation of a property that peft 0.21 still reads."""
    from transformers.utils import logging

    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning
            )
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
