"""The `data` part of a training config: sources, mask, length, budgets.

Each field has an effect or is refused where it can have none. Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from sfteval.records import Strict

LossOn = Literal["assistant", "last_assistant", "all"]
Format = Literal["messages", "prompt_completion", "alpaca", "sharegpt"]
Role = Literal["system", "user", "assistant", "tool"]
Text = Annotated[str, StringConstraints(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

HUB_ONLY = ("name", "split", "revision")
CONTENT_FIELDS = {
    "messages": ("messages", "tools"),
    "prompt_completion": ("prompt", "completion", "tools"),
    "alpaca": ("instruction", "input", "output", "system", "history"),
    "sharegpt": ("conversations", "system", "tools"),
}
"""Fields of a row, by format."""


def _refused(found: str, expected: str) -> PydanticCustomError:
    return PydanticCustomError(
        "author_fault", "found {found}; expected {expected}", {"found": found, "expected": expected}
    )


class Source(Strict):
    """Training rows from one place: a local file, or a data set of the hub.

    Attributes:
        path: A .jsonl, .json or .parquet file (.jsonl.gz too).
        hub: A data set's id, with `name` (its configuration), `split` ("train") and `revision`.
        format: What a row looks like, see `CONTENT_FIELDS`.
        weight: How often each row is drawn per epoch: 0.5 a seeded half, 2.0 twice.
        fields: Our field to the column that holds it, where a data set has other names: {messages: dialogue}.
        roles: The data set's role names to ours, beyond ShareGPT's: {kunde: user}.
        ignore: Columns (and fields of ShareGPT turns) that are known and not used; any other unknown one is a fault.
    """

    path: Text | None = None
    hub: Text | None = None
    name: Text | None = None
    split: Text | None = None
    revision: Text | None = None
    format: Format = "messages"
    weight: Positive = 1.0
    fields: dict[Text, Text] = Field(default_factory=dict)
    roles: dict[Text, Role] = Field(default_factory=dict)
    ignore: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.hub is None):
            raise _refused("path and hub" if self.path else "neither path nor hub", "one of path, hub")
        for field in HUB_ONLY:
            if self.path and getattr(self, field) is not None:
                raise _refused(f"{field!r} beside a path", f"{field!r} only for a data set of the hub")
        for field in self.fields:
            if field not in CONTENT_FIELDS[self.format]:
                known = ", ".join(CONTENT_FIELDS[self.format])
                raise _refused(f"{field!r} in fields", f"one of {known} (format: {self.format})")
        return self

    @property
    def place(self) -> str:
        """What to call it in messages."""
        return self.path or f"hub:{self.hub}" + (f"/{self.name}" if self.name else "") + f"[{self.split or 'train'}]"


class Budget(Strict):
    """What a training puts up with before it refuses to start; all but `unchecked` as a share of the rows read.

    Attributes:
        cut: Conversations longer than `max_length`: they lose the turns that do not fit.
        dropped: Rows that are broken or cannot be masked for certain: they are left out.
        overlap: Rows that hold a sample of a suite or benchmark: they stay in.
        duplicates: Rows that repeat another one exactly.
        near_duplicates: Rows that nearly repeat another one.
        unchecked: How many suites or tasks may stay uncompared because their data is not here; None: any number, each
            with a warning.
    """

    cut: Share = 0.0
    dropped: Share = 0.0
    overlap: Share = 0.0
    duplicates: Share = 1.0
    near_duplicates: Share = 1.0
    unchecked: Annotated[int, Field(ge=0)] | None = None


class Data(Strict):
    """What is trained on.

    Attributes:
        train: Where the rows come from.
        holdout: Share of rows kept out by the hash of their content.
        max_length: Tokens of a conversation.
        loss_on: Which tokens are learned.
        prompt_weight: Weight in the loss of every token that `loss_on` leaves out (1 is the weight of those it names).
        streaming: Keep rows and token ids on disk and not in memory; the training is the same.
        against: Suites, folders of suites and benchmark files (JSONL) that no row may overlap with. None: `suites/`
            beside the config, if there is one.
        budget: What is put up with.
    """

    train: Annotated[tuple[Source, ...], Field(min_length=1)]
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_length: Annotated[int, Field(ge=2)] = 1024
    loss_on: LossOn = "assistant"
    prompt_weight: Annotated[float, Field(ge=0, lt=1)] = 0.0
    streaming: bool = False
    against: tuple[Text, ...] | None = None
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _weight_has_an_effect(self) -> Data:
        if self.prompt_weight and self.loss_on == "all":
            raise _refused(
                "prompt_weight with loss_on: all", "loss_on: assistant or last_assistant, or no prompt_weight"
            )
        for index, source in enumerate(self.train):
            if self.streaming and source.path and source.path.endswith(".json"):
                raise _refused(
                    f"streaming with train[{index}] {source.path!r}", ".jsonl, .jsonl.gz, .parquet or a hub data set"
                )
        return self
