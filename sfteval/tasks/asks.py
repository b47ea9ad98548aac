"""lm-eval instances to asks.

Comes in: the instances of one document. Goes out: one ask per instance, in order. Generation settings follow
`lm_eval/models/utils.py` (`normalize_gen_kwargs`): greedy unless sampling is asked for, 256 new tokens by default.
lm-eval also stops at the tokenizer's end-of-text string; backends end there by token, so it is not among the stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sfteval.errors import Fault, TaskError
from sfteval.records import Ask, ChatAsk, ChatScoreAsk, Generation, Message, RollingAsk, ScoreAsk, TextAsk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lm_eval.api.instance import Instance

_LENGTH_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_DEFAULT_LENGTH = 256
_OTHER_SETTINGS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "top_p": ("top_p", float),
    "top_k": ("top_k", int),
    "repetition_penalty": ("repetition_penalty", float),
    "min_new_tokens": ("min_tokens", int),
}
_HANDLED = {*_LENGTH_NAMES, *_OTHER_SETTINGS, "until", "do_sample", "temperature", "seed"}


def to_ask(instance: Instance, seed: int, where: str) -> Ask:
    """Return the ask of one instance.

    Raises:
        TaskError: A chat prompt whose answer must start with a given prefix; text that is no text.
    """
    make = _MAKERS.get(instance.request_type)
    if make is None:
        expected = f"one of {', '.join(_MAKERS)}"
        raise TaskError(Fault(where, f"requests of type {instance.request_type!r}", expected))
    return make(instance.args, seed, where)


def unsupported_settings(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of generation settings that have no effect here."""
    return sorted(name for name in settings if name not in _HANDLED)


def generation(settings: Mapping[str, Any], seed: int, where: str = "generation settings") -> Generation:
    """Return lm-eval's `generation_kwargs` as a `Generation`. Raises TaskError for a value that no setting can have."""
    try:
        return _generation(settings, seed)
    except ValidationError as error:
        wrong = error.errors()[0]
        found = f"{'.'.join(map(str, wrong['loc']))}: {wrong['input']!r}"
        raise TaskError(Fault(where, found, f"a value that is allowed ({wrong['msg']})")) from error
    except (ValueError, TypeError) as error:
        raise TaskError(Fault(where, str(error), "numbers where numbers belong")) from error


def _generation(settings: Mapping[str, Any], seed: int) -> Generation:
    until = settings.get("until") or []
    stops = [until] if isinstance(until, str) else list(until)
    length = next((settings[name] for name in _LENGTH_NAMES if settings.get(name) is not None), _DEFAULT_LENGTH)
    temperature = float(settings.get("temperature") or 0.0)
    others = {
        ours: convert(settings[theirs])
        for theirs, (ours, convert) in _OTHER_SETTINGS.items()
        if settings.get(theirs) is not None
    }
    return Generation(
        max_tokens=int(length),
        temperature=0.0 if settings.get("do_sample") is False else temperature,
        stop=tuple(dict.fromkeys(str(stop) for stop in stops if stop)),
        seed=seed,
        **others,
    )


def _score(arguments: tuple[Any, ...], seed: int, where: str) -> Ask:
    context, continuation = arguments[:2]
    if isinstance(context, str):
        return ScoreAsk(context, _text(continuation, where))
    return ChatScoreAsk(_messages(context, where), _text(continuation, where))


def _rolling(arguments: tuple[Any, ...], seed: int, where: str) -> Ask:
    return RollingAsk(_text(arguments[0], where))


def _generate(arguments: tuple[Any, ...], seed: int, where: str) -> Ask:
    context, settings = arguments[:2]
    if isinstance(context, str):
        return TextAsk(context, generation(settings, seed, f"{where}: generation_kwargs"))
    return ChatAsk(_messages(context, where), generation(settings, seed, f"{where}: generation_kwargs"))


def _messages(conversation: Any, where: str) -> tuple[Message, ...]:
    if not conversation.complete:
        found = "a chat prompt whose answer starts with the task's gen_prefix"
        do = "Set apply_chat_template: false for this task."
        raise TaskError(Fault(f"{where}: lm_eval.apply_chat_template", found, "a prompt that ends with the user", do))
    return tuple(Message(role=turn["role"], content=turn["content"]) for turn in conversation)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise TaskError(Fault(where, f"{type(value).__name__} {value!r}", "text to score (doc_to_target)"))
    return value


_MAKERS: Mapping[str, Callable[[tuple[Any, ...], int, str], Ask]] = {
    "loglikelihood": _score,
    "loglikelihood_rolling": _rolling,
    "generate_until": _generate,
}
