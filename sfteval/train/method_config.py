"""The training methods as a person writes them: one model per method, chosen by `method.name`.

Comes in: the config's `method` (a mapping, or the bare name for all defaults) and `peft`. Goes out: frozen records.
Every field has an effect or the method refuses it. Imports no torch.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sfteval.errors import Fault, InputError
from sfteval.records import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

Text = Annotated[str, StringConstraints(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Targets = Literal["all-linear"] | Annotated[tuple[Text, ...], Field(min_length=1)]
LoraInit = Literal["default", "gaussian", "orthogonal"]


class Full(Strict):
    """Every weight is trained."""

    name: Literal["full"] = "full"


class LowRank(Strict):
    """What `lora` and `qlora` share. `targets`: module names, or every linear layer but the head."""

    rank: Count = 8
    alpha: Positive = 16.0
    dropout: Share = 0.0
    targets: Targets = "all-linear"
    rslora: bool = False
    dora: bool = False
    init: LoraInit = "default"


class Lora(LowRank):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685).

    `rslora` scales by alpha/√rank (arXiv:2312.03732), `dora` trains magnitudes apart (arXiv:2402.09353), `init` is how
    the two matrices start. Starts that change the base's weights (PiSSA, OLoRA) are not offered: such an adapter does
    not belong to the base that is on disk.
    """

    name: Literal["lora"] = "lora"


class Qlora(LowRank):
    """LoRA on a base in 4 bits (Dettmers et al. 2023, arXiv:2305.14314); planned for only, training refuses it."""

    name: Literal["qlora"]
    quant: Literal["nf4", "fp4"] = "nf4"
    double_quant: bool = True


class Prefix(Strict):
    """Trained keys and values before every prompt (Li & Liang 2021, arXiv:2101.00190).

    `projection` trains an MLP of that width which makes them; 0 trains them directly, from what the model itself
    computes for `text` (for tokens drawn from the vocabulary, if it is empty).
    """

    name: Literal["prefix"]
    tokens: Count = 20
    projection: Annotated[int, Field(ge=0)] = 0
    text: str = ""

    @model_validator(mode="after")
    def _text_has_an_effect(self) -> Self:
        if self.text and self.projection:
            raise ValueError("either 'text' or 'projection': a projection starts at zero")
        return self


class Prompt(Strict):
    """Trained embeddings before every prompt (Lester et al. 2021, arXiv:2104.08691).

    They start as the embeddings of `text`, repeated or cut; of tokens drawn from the vocabulary, if it is empty.
    """

    name: Literal["prompt"]
    tokens: Count = 20
    text: str = ""


class Adapter(Strict):
    """Bottleneck adapters: a narrow layer added to what a block puts out, or (parallel) computed beside it.

    `houlsby` after attention and MLP (arXiv:1902.00751), `pfeiffer` after the MLP (arXiv:2005.00247), `parallel` beside
    the MLP (arXiv:2110.04366). `width` is the bottleneck's size, `scale` multiplies what it adds.
    """

    name: Literal["adapter"]
    style: Literal["houlsby", "pfeiffer", "parallel"] = "pfeiffer"
    width: Count = 64
    activation: Literal["relu", "gelu", "silu"] = "relu"
    dropout: Share = 0.0
    scale: Positive = 1.0


class Peft(Strict):
    """Any other method of PEFT; what it is stands under `peft`."""

    name: Literal["peft"]


class PeftOptions(Strict):
    """A PEFT method by its type, such as IA3, with the fields of PEFT's own configuration of it."""

    model_config = ConfigDict(**(Strict.model_config | {"extra": "allow"}))

    type: Text


class NewTokens(Strict):
    """Tokens to add to the vocabulary, for `full` and `lora`.

    `train: rows` trains their rows of the embedding (and of an untied head), `embeddings` the whole of both.
    """

    tokens: Annotated[tuple[Text, ...], Field(min_length=1)]
    train: Literal["rows", "embeddings"] = "rows"


def spelled_out(value: Any) -> Any:
    """Return `{name: lora}` for `lora`, anything else as it is."""
    return {"name": value} if isinstance(value, str) else value


Method = Lora | Full | Qlora | Prefix | Prompt | Adapter | Peft
MethodField = Annotated[Method, Field(discriminator="name")]
METHOD_TABLE: dict[str, Method] = {
    "full": Full(),
    "lora": Lora(),
    "qlora": Qlora(name="qlora"),
    "prefix": Prefix(name="prefix"),
    "prompt": Prompt(name="prompt"),
    "adapter": Adapter(name="adapter"),
    "adapter-houlsby": Adapter(name="adapter", style="houlsby"),
    "adapter-parallel": Adapter(name="adapter", style="parallel"),
}
"""Every method at its defaults, for tables that show them side by side."""


def make_method(fields: Mapping[str, Any]) -> Method:
    """Return the method of a mapping such as `{name: lora, rank: 4}`.

    Raises:
        InputError: Fields that the method does not have, or values it does not take.
    """
    name = str(fields.get("name"))
    kinds = {method.name: type(method) for method in METHOD_TABLE.values()}
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, n=1)
        do = f"Did you mean {near[0]!r}?" if near else ""
        raise InputError(Fault("method", repr(name), f"one of {', '.join(sorted(kinds))}", do))
    kind = kinds[name]
    try:
        made: Method = kind.model_validate_json(json.dumps(dict(fields)))
    except ValidationError as error:
        own = ", ".join(sorted(set(kind.model_fields) - {"name"})) or "none"
        raise InputError(
            [
                Fault(
                    f"method.{detail['loc'][0]}" if detail["loc"] else "method",
                    repr(detail["input"]),
                    f"a field of {name}: {own}" if detail["type"] == "extra_forbidden" else detail["msg"],
                )
                for detail in error.errors()
            ]
        ) from None
    return made
