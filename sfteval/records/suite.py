"""What the author of a suite wrote: the declarative language as frozen pydantic models.

Comes in: parsed YAML (through `sfteval.spec`, which adds file, line and column to every fault).
Goes out: `Suite` and `Families`, strict at every depth. `Suite.model_json_schema()` is the published schema.

Check parameters stay mappings here: the table of checks validates them (`sfteval.checks`), handed to `spec` from above.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[a-z0-9_-]+$"
Text = Annotated[str, StringConstraints(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=80)]
TagValues = str | Annotated[tuple[str, ...], Field(min_length=1)]
TagField = Annotated[str, StringConstraints(pattern=r"^tags\.[A-Za-z0-9_-]+$", max_length=80)]
Baseline = Literal["base", "previous"]
Proof = Literal["required", "none"]


PROMPT = "{prompt}"
"""What a suite's `template` puts the user's message in place of."""


def author_fault(found: str, expected: str) -> PydanticCustomError:
    """Return what a validator raises to say in plain words what it found and expected."""
    context = {"found": found, "expected": expected}
    return PydanticCustomError("author_fault", "found {found}; expected {expected}", context)


class Strict(BaseModel):
    """A frozen model that refuses unknown fields and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Message(Strict):
    """One chat turn."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Annotated[str, StringConstraints(min_length=1)]


class SampleRow(Strict):
    """One prompt with what is needed to judge its answer. The last message is never the assistant's.

    `turns` are what the user says next, each after the model's own answer to what came before.
    """

    id: Annotated[str, StringConstraints(min_length=1)]
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    turns: tuple[Text, ...] = ()
    reference: Any = None
    vars: dict[str, Any] = {}
    cluster: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="after")
    def _ends_with_question(self) -> SampleRow:
        if self.messages[-1].role == "assistant":
            msg = "the last message is the assistant's; a sample ends with what the model must answer"
            raise ValueError(msg)
        return self


class TrainingSamples(Strict):
    """Training conversations as samples, each with a held-out one beside it; `pairs` at most, drawn by content.

    Rows are `messages` that end with the assistant's, or messages with a `reference`.
    """

    train: Annotated[str, StringConstraints(min_length=1)]
    heldout: Annotated[str, StringConstraints(min_length=1)] | None = None
    pairs: Annotated[int, Field(ge=1)] = 200
    seed: int = 0


class TextSamples(Strict):
    """The pieces of a text file as samples, of `chunk_bytes` at most each; the first `limit` of them."""

    text: Annotated[str, StringConstraints(min_length=1)]
    chunk_bytes: Annotated[int, Field(ge=100)] = 2000
    limit: Annotated[int, Field(ge=1)] | None = None


class ExampleRow(Strict):
    """One solved conversation: it ends with the assistant's answer, or `reference` is the answer's text.

    The other fields are those of sample rows, so that a file of samples can serve; they are not read.
    """

    id: Text | None = None
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    reference: Any = None
    vars: dict[str, Any] = {}
    cluster: str | None = None
    tags: dict[str, str] = {}
    turns: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _is_solved(self) -> ExampleRow:
        if self.messages[-1].role != "assistant" and not (isinstance(self.reference, str) and self.reference):
            found = "an example without an answer"
            raise author_fault(found, "a last message of the assistant, or a text under reference")
        return self

    @property
    def question(self) -> tuple[Message, ...]:
        """The conversation without its answer."""
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def answer(self) -> Message:
        """The answer."""
        last = self.messages[-1]
        return last if last.role == "assistant" else Message(role="assistant", content=self.reference)

    def solves(self, row: SampleRow) -> bool:
        """Return whether this is the sample itself: the same id, or the same question."""
        return row.id == self.id or row.messages == self.question


class FewShot(Strict):
    """Solved examples before each conversation, drawn for each sample by (suite, sample id, seed)."""

    examples: Annotated[str | Annotated[tuple[ExampleRow, ...], Field(min_length=1)], Field(alias="from")]
    n: Annotated[int, Field(ge=1, le=100)]
    seed: int = 0


class Requires(Strict):
    """What a suite cannot do without, and what becomes of its gates when it is missing."""

    packages: tuple[Text, ...] = ()
    extras: tuple[Text, ...] = ()
    env: tuple[Text, ...] = ()
    files: tuple[Text, ...] = ()
    missing: Literal["skip", "fail"] = "fail"


class Generation(Strict):
    """How answers are generated. Temperature 0 is greedy; `seed` matters only above 0."""

    max_tokens: Annotated[int, Field(ge=1)] = 256
    min_tokens: Annotated[int, Field(ge=0)] = 0
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    stop: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    seed: int = 0


class LmEvalBlock(Strict):
    """lm-eval tasks as samples. `limit` takes the first documents; `include_path` holds task YAML files.

    `apply_chat_template` makes turns of the few-shot examples; `system_instruction` stands before each prompt.
    """

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    num_fewshot: Annotated[int, Field(ge=0)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    include_path: str | None = None
    apply_chat_template: bool = False
    system_instruction: Annotated[str, StringConstraints(min_length=1)] | None = None
    fewshot_draw: Literal["per_document", "lm_eval"] = "per_document"
    seed: int = 1234


def _holds_prompt(template: str) -> str:
    if template.count(PROMPT) != 1:
        raise author_fault(f"{template.count(PROMPT)} times {PROMPT}", f"a text that holds {PROMPT} once")
    return template


Template = Annotated[str, AfterValidator(_holds_prompt)]


class Matrix(Strict):
    """One suite over several systems, templates, temperatures: a suite with gates of its own for each combination."""

    system: Annotated[dict[Name, Text | None], Field(min_length=1)] | None = None
    template: Annotated[dict[Name, Template | None], Field(min_length=1)] | None = None
    temperature: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)] | None = None


class NoRegression(Strict):
    """No drop larger than `margin` against the baseline (0: FAIL means that a drop is proven at all)."""

    against: Baseline
    margin: Annotated[float, Field(ge=0)] = 0.0


class Improves(Strict):
    """A gain larger than `by` against the baseline is proven."""

    against: Baseline
    by: Annotated[float, Field(ge=0)] = 0.0


class Slices(Strict):
    """The parts of a suite whose figures are shown beside the whole, by a tag of the samples: `tags.language`."""

    by: Annotated[tuple[TagField, ...], Field(min_length=1)]


class GateSpec(Strict):
    """One gate: a check and exactly one demand on it. `proof` defaults to required for `improves`, else to none.

    `slice` limits it to the samples with these tags: `{tags.language: de}`.
    """

    check: Name
    slice: dict[TagField, str] = {}
    name: Name | None = None
    at_least: float | None = None
    at_most: float | None = None
    improves: Improves | None = None
    no_regression: NoRegression | None = None
    proof: Proof | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05

    @model_validator(mode="after")
    def _one_demand(self) -> GateSpec:
        demands = ("at_least", "at_most", "improves", "no_regression")
        if sum(getattr(self, demand) is not None for demand in demands) != 1:
            msg = f"exactly one of {', '.join(demands)} is needed"
            raise ValueError(msg)
        return self


class Suite(Strict):
    """One suite file: samples with checks, or lm-eval tasks, and the gates on them."""

    suite: Name
    extends: Text | None = None
    description: str = ""
    skill: Name = "general"
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    requires: Requires | None = None
    samples: str | Annotated[tuple[SampleRow, ...], Field(min_length=1)] | TrainingSamples | TextSamples | None = None
    only: dict[TagField, TagValues] = {}
    skip: dict[TagField, TagValues] = {}
    system: str | None = None
    template: Template | None = None
    few_shot: FewShot | None = None
    matrix: Matrix | None = None
    generate: Generation = Generation()
    n: Annotated[int, Field(ge=1, le=1000)] = 1
    checks: dict[Name, dict[str, Any]] = {}
    lm_eval: LmEvalBlock | None = None
    gates: Annotated[tuple[GateSpec, ...], Field(min_length=1)]
    max_errored: Annotated[float, Field(ge=0, le=1)] = 0.0
    early_exit: bool = False
    sequential: bool = False
    slices: Slices | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Suite:
        if (self.samples is None) == (self.lm_eval is None):
            msg = "a suite has either samples (with checks) or an lm_eval block"
            raise ValueError(msg)
        if self.lm_eval is None and not self.checks:
            msg = "a suite with samples needs checks"
            raise ValueError(msg)
        if self.lm_eval is not None and self.checks:
            msg = "an lm_eval suite brings its own metrics; checks are not allowed"
            raise ValueError(msg)
        if self.n > 1 and self.lm_eval is not None:
            msg = "n repeats the prompts of samples; an lm_eval suite has none"
            raise ValueError(msg)
        if self.early_exit and self.lm_eval is not None:
            msg = "early_exit ends answers that checks have settled; an lm_eval suite has no checks"
            raise ValueError(msg)
        return self


class Family(Strict):
    """A gate on the weighted mean over all single `no_regression` gates of one skill against one baseline.

    Its members are the gates of every suite whose `skill` equals `name`.
    """

    name: Name
    no_regression: NoRegression
    proof: Proof = "required"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


class Families(Strict):
    """`families.yaml`: the family gates of a folder of suites."""

    family: Family | Annotated[tuple[Family, ...], Field(min_length=1)]
