"""Models behind one interface: a reference in, a `Backend` out. Importing this imports neither torch nor transformers.

`resolve` finds and checks the files, `identify` hashes them, `open_backend` gives a model that answers requests,
`WeightsPool` lets an adapter and its base share one model in memory, `pull` fetches a small real model without a hub,
`respond_together` asks several models at once, `ScriptedBackend` is a fake for tests.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfteval.backends.identity import identify
    from sfteval.backends.living import LivingBackend, LivingModel
    from sfteval.backends.loading import load_base
    from sfteval.backends.opening import LoadedBackend, open_backend
    from sfteval.backends.pulling import pull, pulled
    from sfteval.backends.recorded import RecordedAnswer, RecordedBackend
    from sfteval.backends.references import Kind, ModelReference, checkpoint_of, resolve
    from sfteval.backends.script import Script
    from sfteval.backends.scripted import ScriptedBackend
    from sfteval.backends.together import Question, respond_together
    from sfteval.backends.tokenizer_files import load_tokenizer
    from sfteval.backends.weights import WeightsPool

_HOMES = {
    "Kind": "references",
    "LivingBackend": "living",
    "LivingModel": "living",
    "LoadedBackend": "opening",
    "ModelReference": "references",
    "Question": "together",
    "RecordedAnswer": "recorded",
    "RecordedBackend": "recorded",
    "Script": "script",
    "ScriptedBackend": "scripted",
    "WeightsPool": "weights",
    "checkpoint_of": "references",
    "identify": "identity",
    "load_base": "loading",
    "load_tokenizer": "tokenizer_files",
    "open_backend": "opening",
    "pull": "pulling",
    "pulled": "pulling",
    "resolve": "references",
    "respond_together": "together",
}

__all__ = [
    "Kind",
    "LivingBackend",
    "LivingModel",
    "LoadedBackend",
    "ModelReference",
    "Question",
    "RecordedAnswer",
    "RecordedBackend",
    "Script",
    "ScriptedBackend",
    "WeightsPool",
    "checkpoint_of",
    "identify",
    "load_base",
    "load_tokenizer",
    "open_backend",
    "pull",
    "pulled",
    "resolve",
    "respond_together",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
