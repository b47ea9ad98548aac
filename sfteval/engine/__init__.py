"""The engine: token ids in, log-likelihoods and generated text out; no token is computed twice. Rank 1.

`Engine(model, limits=…, decode=…).run(requests, on_batch)`. Importing this package imports no torch; naming `Engine`
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.engine.figures import EngineStats, ModelLimits

if TYPE_CHECKING:
    from sfteval.engine.run import Engine

__all__ = ["Engine", "EngineStats", "ModelLimits"]


def __getattr__(name: str) -> Any:
    """Import the engine, and torch with it, when it is first named."""
    if name == "Engine":
        from sfteval.engine.run import Engine

        return Engine
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
