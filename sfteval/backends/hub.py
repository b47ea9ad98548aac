"""The one place that talks to a model hub.

Comes in: a hub id. Goes out: a local folder with the model's safetensors, tokenizer and configuration, or
`OfflineError` (no hub answers and nothing is cached) or `UnknownError` (the hub knows no such model).
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

log = logging.getLogger("sfteval")

WANTED = ["*.safetensors", "*.json", "*.jinja", "*.model", "vocab.txt", "merges.txt"]


class OfflineError(Exception):
    """No hub answers, and the model is not in the hub's cache."""


class UnknownError(Exception):
    """The hub answers and has no such model, or does not give it to this user."""


def fetch(model_id: str) -> Path:
    """Return the folder of a hub model, downloading what is missing.

    Raises:
        OfflineError: No hub answers and nothing is cached.
        UnknownError: The hub answers, and refuses.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(model_id, allow_patterns=WANTED))
    except GatedRepoError as error:
        msg = "it is gated: accept its licence on the hub and log in"
        raise UnknownError(msg) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UnknownError(_first_line(error)) from error
    except OSError as error:
        # LocalEntryNotFoundError (offline, nothing cached) is an OSError, as are all transport errors.
        raise OfflineError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@functools.cache
def say_once(message: str) -> None:
    """Log a warning, once per process."""
    log.warning(message)
