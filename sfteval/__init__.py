"""sfteval: a pytest-style harness that gates releases of fine-tuned language models.

Importing it is cheap: no torch, no transformers. What users write in their own tests is here by name, and is imported
when it is first used: `check` (a check of one's own), `expect` (assertions on a reply), `samples` (a test per sample).
"""

from importlib import import_module
from typing import Any

from sfteval._version import __version__

_HOMES = {"check": "sfteval.checks.own", "expect": "sfteval.expectations", "samples": "sfteval.model_fixtures"}

__all__ = ["__version__", "check", "expect", "samples"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)
