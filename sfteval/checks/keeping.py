"""What the model must keep: the cost of a text, and how far its answers have moved from base's.

Comes in: scores of plain text; answers that base samples, scored by both models. Goes out: bits per byte of UTF-8 (the
perplexity per byte is 2 to that power), and an unbiased estimate of KL(base ‖ model) in nats per answer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.kinds import CheckKind, Flag, Params, kind
from sfteval.checks.responses import UNASKED, loglikelihood
from sfteval.records import (
    BASE,
    ITSELF,
    ChatAsk,
    FinishReason,
    Generation,
    Inquiry,
    Message,
    MetricInfo,
    ReplyAsk,
    Response,
    RollingAsk,
)

if TYPE_CHECKING:
    from sfteval.records import Ask

LOWER_IS_BETTER = MetricInfo(lower=None, upper=None, higher_is_better=False)


class TextBitsPerByte(Params):
    """Bits per UTF-8 byte of the sample's own last message as plain text, without a template; lower is better.

    For `samples: {text: FILE}`: each piece is scored by itself, after the model's prefix token.
    """

    text_bits_per_byte: Flag

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the score of the text."""
        return (RollingAsk(answer.messages[-1].content),)

    def reads_answer(self) -> bool:
        """Return False: the text is scored, nothing is generated."""
        return False


class KlFromBase(Params):
    """Estimate of KL(base ‖ model) in nats per answer, from an answer that base samples; lower is better.

    Base answers the prompt at temperature 1 (`max_tokens` at most, `seed`); the score is the answer's log-likelihood
    under base minus that under the model. Its mean over prompts is an unbiased estimate of the divergence between the
    distributions of answers cut at `max_tokens`; a single score may be negative. The answer's end counts (`ends`).
    """

    kl_from_base: Flag
    max_tokens: Annotated[int, Field(ge=1)] = 64
    seed: int = 0
    ends: bool = True

    @property
    def _generation(self) -> Generation:
        return Generation(max_tokens=self.max_tokens, temperature=1.0, seed=self.seed)

    def question(self, answer: Answer) -> Inquiry:
        """Return what base is asked."""
        return Inquiry(ChatAsk(answer.messages, self._generation), BASE)

    def reply(self, answer: Answer) -> ReplyAsk | None:
        """Return what both models must score, None before base has answered."""
        responses = answer.responses.get(self.question(answer), ())
        if not responses or responses[0].text is None:
            return None
        # An answer cut at its limit may end inside a character.
        cut = responses[0].finish_reason is not FinishReason.END_TURN
        text = responses[0].text.rstrip("\ufffd") if cut else responses[0].text
        return ReplyAsk(answer.messages, text, ends=self.ends and not cut)

    def follow_ups(self, answer: Answer) -> tuple[Inquiry, ...]:
        """Return base's answer first, then its score under both models."""
        reply = self.reply(answer)
        if reply is None:
            return (self.question(answer),)
        return (Inquiry(reply, BASE), Inquiry(reply, ITSELF)) if reply.reply or reply.ends else ()

    def reads_answer(self) -> bool:
        """Return False: base answers, the model scores."""
        return False


def judge_text(params: TextBitsPerByte, answer: Answer) -> Outcome:
    """Spread the text's cost over its bytes."""
    (ask,) = params.asks(answer)
    value = loglikelihood(answer, ask)
    if value is None:
        return unjudged(UNASKED)
    size = len(answer.messages[-1].content.encode())
    bits = -value / math.log(2) / size
    return Outcome(bits, f"{bits:.4f} bits per byte over {size} bytes")


def judge_kl(params: KlFromBase, answer: Answer) -> Outcome:
    """Subtract the log-likelihoods."""
    reply = params.reply(answer)
    if reply is None:
        return unjudged(UNASKED)
    if not (reply.reply or reply.ends):
        return Outcome(0.0, "base answered nothing")
    base, model = loglikelihood(answer, reply, BASE), loglikelihood(answer, reply)
    if base is None or model is None:
        return unjudged(UNASKED)
    return Outcome(base - model, f"{base:.3f} under base, {model:.3f} here (nats) for {reply.reply[:80]!r}")


_ASKED = (Message(role="user", content="Name a colour."),)


def _scored(value: float) -> Answer:
    return Answer(
        "", messages=_ASKED, responses={Inquiry(RollingAsk("Name a colour.")): (Response("", loglikelihood=value),)}
    )


def _moved(model: float) -> Answer:
    question = Inquiry(ChatAsk(_ASKED, Generation(max_tokens=64, temperature=1.0)), BASE)
    reply = ReplyAsk(_ASKED, "Red", ends=True)
    said = Response("", text="Red", finish_reason=FinishReason.END_TURN)
    responses = {
        question: (said,),
        Inquiry(reply, BASE): (Response("", loglikelihood=-2.0),),
        Inquiry(reply): (Response("", loglikelihood=model),),
    }
    return Answer("", messages=_ASKED, responses=responses)


KINDS: tuple[CheckKind, ...] = (
    kind(
        TextBitsPerByte,
        judge_text,
        {"text_bits_per_byte": True},
        passing=_scored(-10.0),
        failing=_scored(-80.0),
        metric=LOWER_IS_BETTER,
    ),
    kind(
        KlFromBase,
        judge_kl,
        {"kl_from_base": True},
        passing=_moved(-2.0),
        failing=_moved(-9.0),
        metric=LOWER_IS_BETTER,
    ),
)
