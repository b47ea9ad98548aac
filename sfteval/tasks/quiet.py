"""What lm-eval and datasets do to a process while they load tasks, kept inside one `with` block.

`quiet()` silences their loggers and progress bars and puts python's and numpy's global random states back;
`without_hub()` spares half a minute of retries (23 s measured) when no hub answers and nobody asked for offline mode.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOGGERS = ("lm_eval", "datasets", "huggingface_hub", "evaluate", "httpx", "fsspec")
_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_PROBE_SECONDS = 5.0


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Let the loggers of lm-eval and of what it loads say nothing."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def templates_kept() -> Iterator[None]:
    """Compile each Jinja template once: lm-eval compiles it for every document (20 of 25 s for 5-shot GSM8K)."""
    from lm_eval import utils

    theirs = utils.env.from_string
    utils.env.from_string = lambda source: _compiled(theirs, source)
    try:
        yield
    finally:
        vars(utils.env).pop("from_string", None)


@lru_cache(maxsize=512)
def _compiled(compile_template: Callable[[str], Any], source: str) -> Any:
    return compile_template(source)


@contextlib.contextmanager
def quiet(*, keep_map_cache: bool) -> Iterator[None]:
    """Silence lm-eval and datasets; restore levels, progress bars, random states and the map cache's switch.

    Without the map cache, what a task's `process_docs` draws at random is drawn anew from the seed that the caller
    sets, instead of coming from whatever an earlier process left in the user's cache.
    """
    import datasets
    import numpy as np

    python_state, numpy_state = random.getstate(), np.random.get_state()
    bars, caching = datasets.are_progress_bars_disabled(), datasets.is_caching_enabled()
    datasets.disable_progress_bars()
    if not keep_map_cache:
        datasets.disable_caching()
    try:
        with silenced(), templates_kept():
            yield
    finally:
        if not bars:
            datasets.enable_progress_bars()
        if caching:
            datasets.enable_caching()
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def without_hub() -> Iterator[None]:
    """Switch huggingface_hub and datasets to offline (cached data only) while no hub answers."""
    if any(os.environ.get(name) for name in _OFFLINE_VARIABLES) or hub_answers():
        yield
        return
    import datasets.config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


@cache
def hub_answers() -> bool:
    """Ask the hub once per process whether it is there (the environment's proxies are used); any answer counts."""
    import ssl
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
    except urllib.error.URLError as error:
        # A certificate that this python does not know is an answer; huggingface_hub brings its own certificates.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError):
        return False
    return True
