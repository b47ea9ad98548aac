"""Loaded weights, shared: a base and an adapter on it are one model in memory, the adapter switched.

Comes in: references with their identities. Goes out, inside a `with`: the model that answers for one of them. An
adapter shares its base only if the base with the adapter switched off computes the same logits as before, bit for
bit; where it does not (trained biases, PiSSA's residual, a resized embedding), it gets weights of its own. So does
each further adapter on the same base.
"""

from __future__ import annotations

import gc
import threading
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sfteval.backends.references import ModelReference
    from sfteval.records import ModelIdentity


@dataclass(slots=True)
class _Loaded:
    """A base in memory and the adapter on it, if any."""

    base: Any
    adapted: Any = None
    adapter: str = ""


class WeightsPool:
    """Models in memory, by the content of their weights. Making one imports no torch.

    Attributes:
        loads: How many times base weights were read from disk.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._held: dict[tuple[str, str], _Loaded] = {}
        self._lock = threading.RLock()
        self.loads = 0

    @contextmanager
    def using(self, reference: ModelReference, identity: ModelIdentity) -> Iterator[Any]:
        """Yield the model that answers for `reference`; nothing else may use the pool meanwhile.

        Raises:
            ModelError: The weights cannot be loaded.
        """
        with self._lock:
            if not identity.adapter:
                held = self._shared(reference, identity)
                with _off(held):
                    yield held.base
            else:
                yield self._with_adapter(reference, identity).adapted

    def close(self) -> None:
        """Free all weights."""
        with self._lock:
            self._held.clear()
        gc.collect()

    def _shared(self, reference: ModelReference, identity: ModelIdentity) -> _Loaded:
        key = (identity.weights, "")
        if key not in self._held:
            self._held[key] = self._load(reference)
        return self._held[key]

    def _load(self, reference: ModelReference) -> _Loaded:
        from sfteval.backends.loading import load_base

        loaded = _Loaded(load_base(reference.base or reference))
        self.loads += 1
        return loaded

    def _with_adapter(self, reference: ModelReference, identity: ModelIdentity) -> _Loaded:
        own = (identity.weights, identity.adapter)
        if own in self._held:
            return self._held[own]
        held = self._shared(reference, identity)
        if held.adapter == identity.adapter:
            return held
        if held.adapted is not None:
            self._held[own] = held = self._load(reference)
        shares = None
        try:
            shares = _attach(held, reference, identity)
        finally:
            if shares is None:  # half attached: nobody may compute with these weights
                self._forget(held)
        if not shares and self._held.get((identity.weights, "")) is held:
            # The base is no longer what it was: these weights now belong to the adapter alone.
            self._held[own] = self._held.pop((identity.weights, ""))
        return held

    def _forget(self, held: _Loaded) -> None:
        self._held = {key: other for key, other in self._held.items() if other is not held}


def _attach(held: _Loaded, reference: ModelReference, identity: ModelIdentity) -> bool:
    """Put the adapter on; True if the base, with it switched off, still computes the same."""
    import torch

    from sfteval.backends.loading import attach, probe, resize_for

    before = probe(held.base)
    resized = resize_for(held.base, reference)
    held.adapted, held.adapter = attach(held.base, reference), identity.adapter
    with _off(held):
        return not resized and torch.equal(before, probe(held.base))


@contextmanager
def _off(held: _Loaded) -> Iterator[None]:
    """Switch the adapter off, if there is one."""
    if held.adapted is None:
        yield
        return
    with switched_off(held.base, held.adapted):
        yield


@contextmanager
def switched_off(base: Any, adapted: Any) -> Iterator[None]:
    """Let `base` compute without the adapter that `adapted` put on it; it then looks like a plain model too."""
    with ExitStack() as stack:
        with warnings.catch_warnings():
            # Peft warns that trained biases stay; `_attach` compares the logits and does not share then.
            warnings.simplefilter("ignore")
            stack.enter_context(adapted.disable_adapter())
        # Peft leaves its configuration on the base, and whoever sees that takes the base for an adapted model.
        mark = vars(base).pop("peft_config", None)
        try:
            yield
        finally:
            if mark is not None:
                base.peft_config = mark
