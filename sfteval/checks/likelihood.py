"""Reference answers by log-likelihood: the right option is the likeliest; how many bits the reference costs per byte.

Comes in: scores of assistant turns after the sample's own chat prompt, exactly as the model would have to write them.
Goes out: 1 or 0 for a choice; bits per byte of UTF-8, which models with different tokenizers share. Nothing is
generated: where all checks of a suite are of these kinds the models only score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.kinds import CheckFault, CheckKind, Flag, Params, kind
from sfteval.checks.reference import accepted_texts
from sfteval.checks.responses import UNASKED, loglikelihood
from sfteval.records import Inquiry, Message, MetricInfo, ReplyAsk, Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sfteval.records import Ask

Text = Annotated[str, StringConstraints(min_length=1)]
Options = Annotated[tuple[Text, ...], Field(min_length=2)]
OPTIONS = "options"
"""Name in a row's `vars` under which its options stand."""


class Choice(Params):
    """The reference is the likeliest of the options, each scored as the assistant's answer.

    Options stand here or in the row's `vars.options`; `per: byte` divides a log-likelihood by the option's bytes
    first. Options that tie share the point. The end of the turn counts only with `ends: true`.
    """

    choice: Flag | Options
    per: Literal["answer", "byte"] = "answer"
    ends: bool = False

    def needs_reference(self) -> bool:
        """Return True: it names the right option."""
        return True

    def row_problem(self, row: Mapping[str, Any]) -> CheckFault | None:
        """Return what is wrong with a row's options, or with a reference that is none of them."""
        options = self.options(row.get("vars", {}))
        if len(options) < 2 or len(set(options)) < len(options):
            where = "here or " if self.choice is True else ""
            expected = f"two or more different texts {where}under vars.{OPTIONS}"
            return CheckFault(("vars",), "no options to choose from" if not options else "unfit options", expected)
        if row.get("reference") not in options:
            return CheckFault(("reference",), f"{row.get('reference')!r}", f"one of the options {', '.join(options)}")
        return None

    def options(self, variables: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the options of a row, () when there are none to be read."""
        if self.choice is not True:
            return self.choice
        written = variables.get(OPTIONS)
        usable = isinstance(written, list | tuple) and all(isinstance(one, str) and one for one in written)
        return tuple(written) if usable else ()  # type: ignore[arg-type]

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the score of each option."""
        return tuple(ReplyAsk(answer.messages, option, self.ends) for option in self.options(answer.vars))

    def reads_answer(self) -> bool:
        """Return False: options are scored, nothing is generated."""
        return False


class BitsPerByte(Params):
    """Bits per UTF-8 byte that the reference costs as the assistant's answer; lower is better.

    Of several references the cheapest. The end of the turn counts only with `ends: true`.
    """

    bits_per_byte: Flag
    ends: bool = False

    def needs_reference(self) -> bool:
        """Return True."""
        return True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference holds texts."""
        texts = accepted_texts(reference)
        return None if texts and all(texts) else "a text that is not empty, or a list of them"

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the score of each reference."""
        return tuple(ReplyAsk(answer.messages, text, self.ends) for text in accepted_texts(answer.reference))

    def reads_answer(self) -> bool:
        """Return False: the reference is scored, nothing is generated."""
        return False


def bits_per_byte(answer: Answer, ask: ReplyAsk) -> float | None:
    """Return the bits that a reply costs per byte of it, None when it was not scored."""
    value = loglikelihood(answer, ask)
    return None if value is None else -value / (math.log(2) * len(ask.reply.encode()))


def judge_choice(params: Choice, answer: Answer) -> Outcome:
    """Take the likeliest option."""
    options = params.options(answer.vars)
    values = [loglikelihood(answer, ReplyAsk(answer.messages, option, params.ends)) for option in options]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(options):
        return unjudged(UNASKED)
    if any(math.isnan(value) for value in known):
        return unjudged("a log-likelihood is not a number")
    sizes = [len(option.encode()) if params.per == "byte" else 1 for option in options]
    scores = {option: value / size for option, value, size in zip(options, known, sizes, strict=True)}
    best = [option for option in options if scores[option] == max(scores.values())]
    shown = ", ".join(f"{option!r} {score:.3f}" for option, score in sorted(scores.items(), key=lambda one: -one[1]))
    return Outcome((answer.reference in best) / len(best), f"{shown} (nats), expected {answer.reference!r}")


def judge_bits(params: BitsPerByte, answer: Answer) -> Outcome:
    """Take the cheapest reference."""
    texts = accepted_texts(answer.reference)
    found = [bits_per_byte(answer, ReplyAsk(answer.messages, text, params.ends)) for text in texts]
    known = [bits for bits in found if bits is not None]
    if not known or len(known) < len(texts):
        return unjudged(UNASKED)
    best = min(range(len(known)), key=known.__getitem__)
    return Outcome(known[best], f"{known[best]:.4f} bits per byte of {texts[best][:80]!r}")


_ASKED = (Message(role="user", content="Which is a colour?"),)


def scored(values: Sequence[tuple[str, float]], reference: Any, variables: Mapping[str, Any]) -> Answer:
    """Return an answer to a question about colours with log-likelihoods (nats), for examples."""
    responses = {Inquiry(ReplyAsk(_ASKED, text)): (Response("", loglikelihood=value),) for text, value in values}
    return Answer("", messages=_ASKED, reference=reference, vars=variables, responses=responses)


_OPTIONS = {OPTIONS: ["red", "seven"]}

KINDS: tuple[CheckKind, ...] = (
    kind(
        Choice,
        judge_choice,
        {"choice": True},
        passing=scored([("red", -1.0), ("seven", -6.0)], "red", _OPTIONS),
        failing=scored([("red", -6.0), ("seven", -1.0)], "red", _OPTIONS),
    ),
    kind(
        BitsPerByte,
        judge_bits,
        {"bits_per_byte": True},
        passing=scored([("red", -3 * math.log(2))], "red", {}),
        failing=scored([("red", -3 * math.log(2) * 8)], "red", {}),
        metric=MetricInfo(lower=None, upper=None, higher_is_better=False),
    ),
)
