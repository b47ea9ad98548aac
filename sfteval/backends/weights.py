"""Loaded weights, shared: a base and any number of adapters on it are one model in memory, the adapter switched.

Comes in: references with their identities. Goes out, inside a `with`: the model that answers for one of them. An
adapter shares its base only if the base with the adapter switched off, and every adapter that was there before, compute
the same logits as before, bit for bit; where they do not (trained biases, PiSSA's residual, a resized embedding), it
gets weights of its own. So does one that PEFT cannot hold beside the others (another method, virtual tokens).
"""

from __future__ import annotations

import gc
import threading
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfteval.engine.figures import BASE_VOICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sfteval.backends.references import ModelReference
    from sfteval.records import ModelIdentity


@dataclass(slots=True)
class Held:
    """A base in memory, and the adapters on it.

    Attributes:
        base: The base.
        adapted: The PEFT model around it, None before the first adapter.
        adapters: PEFT's name of each adapter by its content.
        mixes: Whether a batch may mix these voices, as far as it was tried.
    """

    base: Any
    adapted: Any = None
    adapters: dict[str, str] = field(default_factory=dict)
    mixes: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def voice(self, identity: ModelIdentity) -> str:
        """Return PEFT's name of a model's adapter, `BASE_VOICE` for the base."""
        return self.adapters[identity.adapter] if identity.adapter else BASE_VOICE

    @contextmanager
    def speaking(self, voice: str) -> Iterator[Any]:
        """Yield the model with one adapter in force, or the base with all of them switched off."""
        if voice != BASE_VOICE:
            if self.adapted.active_adapter != voice:
                self.adapted.set_adapter(voice, inference_mode=True)
            yield self.adapted
        elif self.adapted is None:
            yield self.base
        else:
            with switched_off(self.base, self.adapted):
                yield self.base


class WeightsPool:
    """Models in memory, by the content of their weights. Making one imports no torch.

    Attributes:
        loads: How many times base weights were read from disk.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._held: dict[tuple[str, str], Held] = {}
        self._lock = threading.RLock()
        self.loads = 0

    @contextmanager
    def using(self, reference: ModelReference, identity: ModelIdentity) -> Iterator[Any]:
        """Yield the model that answers for `reference`; nothing else may use the pool meanwhile.

        Raises:
            ModelError: The weights cannot be loaded.
        """
        with self._lock:
            held = self._find(reference, identity)
            with held.speaking(held.voice(identity)) as model:
                yield model

    @contextmanager
    def together(self, models: Sequence[tuple[ModelReference, ModelIdentity]]) -> Iterator[Held | None]:
        """Yield what holds all of `models` at once, None where they do not share weights; as `using` otherwise."""
        with self._lock:
            if len({identity.weights for _, identity in models}) > 1:
                yield None
                return
            for model in models:
                self._find(*model)
            found = [self._find(*model) for model in models]  # again, since one may have driven out another
            yield found[0] if all(one is found[0] for one in found) and found[0].adapted is not None else None

    def close(self) -> None:
        """Free all weights."""
        with self._lock:
            self._held.clear()
        gc.collect()

    def _find(self, reference: ModelReference, identity: ModelIdentity) -> Held:
        return (self._with_adapter if identity.adapter else self._shared)(reference, identity)

    def _shared(self, reference: ModelReference, identity: ModelIdentity) -> Held:
        key = (identity.weights, "")
        if key not in self._held:
            self._held[key] = self._load(reference)
        return self._held[key]

    def _load(self, reference: ModelReference) -> Held:
        from sfteval.backends.loading import load_base

        loaded = Held(load_base(reference.base or reference))
        self.loads += 1
        return loaded

    def _with_adapter(self, reference: ModelReference, identity: ModelIdentity) -> Held:
        own = (identity.weights, identity.adapter)
        held = self._held.get(own) or self._shared(reference, identity)
        if held.adapters and identity.adapter not in held.adapters and not self._joined(held, reference, identity):
            held = self._held[own] = self._load(reference)
        if identity.adapter not in held.adapters and not self._attached(held, reference, identity):
            # The base is no longer what it was: these weights now belong to the adapter alone.
            self._held[own] = held
        return held

    def _joined(self, held: Held, reference: ModelReference, identity: ModelIdentity) -> bool:
        from sfteval.backends.loading import fits_beside

        return fits_beside(held.adapted, reference) and self._attached(held, reference, identity)

    def _attached(self, held: Held, reference: ModelReference, identity: ModelIdentity) -> bool:
        """Put an adapter on; where that changes what was there, or fails, nobody else may compute with `held`."""
        same = False
        try:
            same = _attach(held, reference, identity)
        finally:
            if not same:
                self._held = {key: other for key, other in self._held.items() if other is not held}
        return same


def _attach(held: Held, reference: ModelReference, identity: ModelIdentity) -> bool:
    """Put the adapter on; True if the base, with it switched off, and the other adapters still compute the same."""
    import torch

    from sfteval.backends.loading import attach, attach_beside, resize_for

    others = (BASE_VOICE, *held.adapters.values())
    before = _computed(held, others)
    resized = resize_for(held.base, reference)
    if held.adapted is None:
        held.adapted, name = attach(held.base, reference), _name(0)
    else:
        name = _name(len(held.adapters))
        attach_beside(held.adapted, reference, name)
    held.adapters[identity.adapter] = name
    return not resized and all(map(torch.equal, before, _computed(held, others)))


def _name(number: int) -> str:
    """Return PEFT's name of the n-th adapter on one base."""
    return f"adapter{number}" if number else "default"


def _computed(held: Held, voices: Sequence[str]) -> list[Any]:
    """Return the logits of a few tokens of each voice."""
    from sfteval.backends.loading import probe

    found = []
    for voice in voices:
        with held.speaking(voice) as model:
            found.append(probe(model))
    return found


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
