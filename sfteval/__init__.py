"""sfteval: a pytest-style harness that gates releases of fine-tuned language models.

Importing it is cheap: no torch, no transformers.
"""

from sfteval._version import __version__

__all__ = ["__version__"]
