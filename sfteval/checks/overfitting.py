"""What the model learnt by heart: training conversations against held-out ones, verbatim recall, canaries.

Comes in: rows of `samples: {train: FILE, heldout: FILE}`, each a training conversation with a held-out one beside it.
Goes out: scores per pair, which pair again between models: base, which saw neither file, is what a gap is held
against. Nothing here can say that the files are what they are called; `train` must be what was trained on.
"""

from __future__ import annotations

import math
import random
import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sfteval.checks.answer import Answer, Outcome, unjudged
from sfteval.checks.keeping import LOWER_IS_BETTER
from sfteval.checks.kinds import CheckFault, CheckKind, Flag, Params, kind
from sfteval.checks.likelihood import bits_per_byte
from sfteval.checks.responses import UNASKED, loglikelihood, text
from sfteval.keys import content_key
from sfteval.records import ChatAsk, Generation, Inquiry, Message, MetricInfo, ReplyAsk, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sfteval.records import Ask

HELDOUT = "heldout"
"""Name in a row's `vars` under which its held-out partner stands: {messages, reference}."""
ALTERNATIVES = "alternatives"
"""Name in a canary's `vars` under which other texts of its kind may stand."""
WORD = re.compile(r"\w+|[^\w\s]")
DIGIT = re.compile(r"[0-9]")


class OnTraining(Params):
    """A check on a training answer that the model need not write."""

    def needs_reference(self) -> bool:
        """Return True: the training answer."""
        return True

    def reference_problem(self, reference: Any) -> str | None:
        """Return what was expected unless the reference is a text."""
        return None if isinstance(reference, str) and reference.strip() else "a text: the training answer"

    def reads_answer(self) -> bool:
        """Return False: what is read is asked for."""
        return False


class Paired(OnTraining):
    """A check on a training conversation and the held-out one beside it."""

    def row_problem(self, row: Mapping[str, Any]) -> CheckFault | None:
        """Return what is missing where a row has no held-out partner."""
        if partner(row.get("vars", {})) is not None:
            return None
        return CheckFault((), "a row without a held-out partner", "samples: {train: FILE, heldout: FILE}")


class HeldoutBitsPerByte(Paired):
    """Bits per byte of the held-out answer after its own prompt; lower is better."""

    heldout_bits_per_byte: Flag
    ends: bool = False

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the score of the held-out answer."""
        return (_held(answer, self.ends),)


class HeldoutGap(Paired):
    """Bits per byte of the held-out answer minus those of the training answer it is paired with; lower is better.

    The gap of a model that learnt nothing by heart is what the two files differ by: hold it against base.
    """

    heldout_gap: Flag
    ends: bool = False

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the scores of both answers."""
        return (_trained(answer, self.ends), _held(answer, self.ends))


class Recall(OnTraining):
    """Share of the training answer that the greedy answer repeats as one run of words; lower is better.

    A word is a run of letters and digits, or one other sign. Short answers that are simply right are repeated too:
    `recall_gap` takes the held-out answers off.
    """

    recall: Flag
    max_tokens: Annotated[int, Field(ge=1)] = 128

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the training prompt, answered greedily."""
        return (_greedy(answer.messages, self.max_tokens),)


class RecallGap(Paired):
    """Recall of the training answer minus that of the held-out answer, -1 to 1; lower is better."""

    recall_gap: Flag
    max_tokens: Annotated[int, Field(ge=1)] = 128

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return both prompts, answered greedily."""
        return (_greedy(answer.messages, self.max_tokens), _greedy(_held(answer, False).messages, self.max_tokens))


class Exposure(OnTraining):
    """Exposure of a canary in bits: log2 of the alternatives' number over the canary's rank; lower is better.

    Alternatives stand in the row's `vars.alternatives`, or are the reference with other digits (`exposure` of them,
    drawn by the sample's content). Carlini et al. 2019, The Secret Sharer (rank exposure over a sample). A canary that
    was never seen has a mean of about 1.44 bits; the most that `exposure: 255` can show is 8. Ties count half.
    """

    exposure: Annotated[int, Field(ge=1, le=4095)]
    ends: bool = False

    def row_problem(self, row: Mapping[str, Any]) -> CheckFault | None:
        """Return what is wrong with a canary that has no alternatives."""
        reference, written = row.get("reference"), row.get("vars", {}).get(ALTERNATIVES)
        if written is None:
            digits = len(DIGIT.findall(reference)) if isinstance(reference, str) else 0
            if 10**digits > self.exposure:
                return None
            expected = f"enough digits for {self.exposure} other texts, or texts under vars.{ALTERNATIVES}"
            return CheckFault(("reference",), f"a canary with {digits} digits", expected)
        usable = isinstance(written, list | tuple) and all(isinstance(one, str) and one for one in written)
        if usable and written and reference not in written:
            return None
        return CheckFault(("vars",), "unfit alternatives", "texts of the canary's kind, the canary not among them")

    def alternatives(self, answer: Answer) -> tuple[str, ...]:
        """Return the texts that the canary is ranked among, without itself."""
        written = answer.vars.get(ALTERNATIVES)
        if written is not None:
            return tuple(written)
        draw = random.Random(content_key("canary", answer.messages, answer.reference))
        found: dict[str, None] = {}
        while len(found) < self.exposure:
            other = DIGIT.sub(lambda _: str(draw.randrange(10)), answer.reference)
            if other != answer.reference:
                found[other] = None
        return tuple(found)

    def asks(self, answer: Answer) -> tuple[Ask, ...]:
        """Return the score of the canary and of each alternative."""
        texts = (answer.reference, *self.alternatives(answer))
        return tuple(ReplyAsk(answer.messages, one, self.ends) for one in texts)


def partner(variables: Mapping[str, Any]) -> tuple[tuple[Message, ...], str] | None:
    """Return the messages and the answer of a row's held-out partner, None when there is none to be read."""
    written = variables.get(HELDOUT)
    try:
        messages = tuple(Message.model_validate(one) for one in written["messages"])  # type: ignore[index]
        answer = written["reference"]  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return None
    return (messages, answer) if messages and isinstance(answer, str) and answer else None


def repeated(reference: str, said: str) -> float:
    """Return the longest common run of words over the words of the reference."""
    wanted, given = WORD.findall(reference), WORD.findall(said)
    match = SequenceMatcher(None, wanted, given, autojunk=False).find_longest_match()
    return match.size / max(1, len(wanted))


def _trained(answer: Answer, ends: bool) -> ReplyAsk:
    return ReplyAsk(answer.messages, answer.reference, ends)


def _held(answer: Answer, ends: bool) -> ReplyAsk:
    found = partner(answer.vars)
    if found is None:
        msg = "the row has no held-out partner"
        raise ValueError(msg)
    return ReplyAsk(*found, ends)


def _greedy(messages: tuple[Message, ...], max_tokens: int) -> ChatAsk:
    return ChatAsk(messages, Generation(max_tokens=max_tokens))


def judge_heldout(params: HeldoutBitsPerByte, answer: Answer) -> Outcome:
    """Spread the held-out answer's cost over its bytes."""
    ask = _held(answer, params.ends)
    bits = bits_per_byte(answer, ask)
    return unjudged(UNASKED) if bits is None else Outcome(bits, f"{bits:.4f} bits per byte of {ask.reply[:80]!r}")


def judge_gap(params: HeldoutGap, answer: Answer) -> Outcome:
    """Subtract the training answer's cost from the held-out one's."""
    trained = bits_per_byte(answer, _trained(answer, params.ends))
    held = bits_per_byte(answer, _held(answer, params.ends))
    if trained is None or held is None:
        return unjudged(UNASKED)
    return Outcome(held - trained, f"held out {held:.4f}, trained {trained:.4f} bits per byte")


def judge_recall(params: Recall, answer: Answer) -> Outcome:
    """Find the longest run of the training answer."""
    said = text(answer, _greedy(answer.messages, params.max_tokens))
    if said is None:
        return unjudged(UNASKED)
    share = repeated(answer.reference, said)
    return Outcome(share, f"{share:.0%} of the training answer in {said[:80]!r}")


def judge_recall_gap(params: RecallGap, answer: Answer) -> Outcome:
    """Subtract what it recalls of an answer that it never saw."""
    held = _held(answer, False)
    said = text(answer, _greedy(answer.messages, params.max_tokens))
    other = text(answer, _greedy(held.messages, params.max_tokens))
    if said is None or other is None:
        return unjudged(UNASKED)
    trained, unseen = repeated(answer.reference, said), repeated(held.reply, other)
    return Outcome(trained - unseen, f"{trained:.0%} of the training answer, {unseen:.0%} of the held-out one")


def judge_exposure(params: Exposure, answer: Answer) -> Outcome:
    """Rank the canary."""
    asks = params.asks(answer)
    known = [value for value in (loglikelihood(answer, ask) for ask in asks) if value is not None]
    if len(known) < len(asks):
        return unjudged(UNASKED)
    if any(math.isnan(value) for value in known):
        return unjudged("a log-likelihood is not a number")
    canary, others = known[0], known[1:]
    rank = 1 + sum(value > canary for value in others) + sum(value == canary for value in others) / 2
    return Outcome(math.log2(len(known) / rank), f"rank {rank:g} of {len(known)}, {canary:.3f} nats")


_ASKED = (Message(role="user", content="What is the code?"),)
_OTHER = (Message(role="user", content="What is the word?"),)
_PAIR = {HELDOUT: {"messages": [{"role": "user", "content": "What is the word?"}], "reference": "blue sky"}}


def _scored(trained: float, held: float) -> Answer:
    responses = {
        Inquiry(ReplyAsk(_ASKED, "1234")): (Response("", loglikelihood=trained),),
        Inquiry(ReplyAsk(_OTHER, "blue sky")): (Response("", loglikelihood=held),),
    }
    return Answer("", messages=_ASKED, reference="1234", vars=_PAIR, responses=responses)


def _said(trained: str, held: str) -> Answer:
    responses = {
        Inquiry(_greedy(_ASKED, 128)): (Response("", text=trained),),
        Inquiry(_greedy(_OTHER, 128)): (Response("", text=held),),
    }
    return Answer("", messages=_ASKED, reference="code 12", vars=_PAIR, responses=responses)


def _ranked(canary: float) -> Answer:
    scores = {"1234": canary, "1111": -5.0, "2222": -6.0, "3333": -7.0}
    responses = {Inquiry(ReplyAsk(_ASKED, one)): (Response("", loglikelihood=value),) for one, value in scores.items()}
    others = {ALTERNATIVES: ["1111", "2222", "3333"]}
    return Answer("", messages=_ASKED, reference="1234", vars=others, responses=responses)


KINDS: tuple[CheckKind, ...] = (
    kind(
        HeldoutBitsPerByte,
        judge_heldout,
        {"heldout_bits_per_byte": True},
        passing=_scored(-4.0, -4.0),
        failing=_scored(-4.0, -40.0),
        metric=LOWER_IS_BETTER,
    ),
    kind(
        HeldoutGap,
        judge_gap,
        {"heldout_gap": True},
        passing=_scored(-4.0, -8.0),
        failing=_scored(-0.1, -40.0),
        metric=LOWER_IS_BETTER,
    ),
    kind(
        Recall,
        judge_recall,
        {"recall": True},
        passing=_said("I do not know", ""),
        failing=_said("code 12", ""),
        metric=MetricInfo(higher_is_better=False),
    ),
    kind(
        RecallGap,
        judge_recall_gap,
        {"recall_gap": True},
        passing=_said("code 13", "blue sea"),
        failing=_said("code 12", "green"),
        metric=MetricInfo(lower=-1.0, upper=1.0, higher_is_better=False),
    ),
    kind(
        Exposure,
        judge_exposure,
        {"exposure": 3},
        passing=_ranked(-9.0),
        failing=_ranked(-1.0),
        metric=LOWER_IS_BETTER,
    ),
)
