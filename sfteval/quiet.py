"""Noise of transformers and peft that tells a person nothing: bars, notes, and warnings meant for each other.

Comes in: `transformers.utils.logging`, handed in so that this module imports nothing heavy. Goes out: a `with` block
in which the libraries say nothing; what matters comes back as an error of ours. Rank 1: models are loaded by
`backends` and `train` alike.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# transformers 5.23 deprecates a property that peft 0.21 still reads.
DEPRECATED = "`is_gradient_checkpointing` is deprecated"


@contextmanager
def library_noise_off(logging: Any, *, stderr: bool = False) -> Iterator[None]:
    """Hide bars, notes and that deprecation; everything is as before afterwards.

    Args:
        logging: The module `transformers.utils.logging`.
        stderr: Hide all of stderr too: the bar of the GGUF conversion obeys no setting.
    """
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()) if stderr else nullcontext(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=DEPRECATED, category=FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
