"""The training config: what a person writes in `CONFIG.yaml`, as frozen pydantic models.

Comes in: a path. Goes out: `TrainingConfig`, strict at every depth, every path in it absolute. All faults of the file
are reported at once, with line and column. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PrivateAttr

from sfteval.errors import InputError
from sfteval.keys import file_key
from sfteval.records import Strict
from sfteval.train.data_config import Data, Positive, Text
from sfteval.train.hook_config import Checkpoints, Hooks
from sfteval.train.method_config import Full, Lora, MethodField, NewTokens, Peft, PeftOptions, spelled_out
from sfteval.train.sweep_config import Sweep, sweep_fault
from sfteval.yamlfile import dotted, read_yaml, shown, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfteval.errors import Fault
    from sfteval.yamlfile import Located

Schedule = Literal["cosine", "linear", "constant"]

SUITES = "suites"


class Optimizer(Strict):
    """AdamW without weight decay; `batch_tokens` is the size of one optimiser step, `warmup` a share of all steps.

    `packing` lays a step's rows end to end: left out, wherever it computes the same; true insists, false forbids.
    `precision` of the forward pass: auto is bf16 where it is measured to be clearly faster, else fp32.
    """

    learning_rate: Positive = 2e-4
    epochs: Positive = 1.0
    batch_tokens: Annotated[int, Field(ge=1)] = 4096
    schedule: Schedule = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    packing: bool | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class TrainingConfig(Strict):
    """One training. Made by `load_config`, or in Python with absolute paths."""

    model: Text
    data: Data
    method: MethodField = Lora()
    peft: PeftOptions | None = None
    new_tokens: NewTokens | None = None
    sweep: Sweep | None = None
    optimizer: Optimizer = Optimizer()
    hooks: Hooks | None = None
    checkpoints: Checkpoints = Checkpoints()
    output: Text = "runs"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    _file: Path | None = PrivateAttr(default=None)
    _fingerprint: str = PrivateAttr(default="")

    @property
    def file(self) -> Path | None:
        """The file it was read from; None if it was made in Python."""
        return self._file

    @property
    def fingerprint(self) -> str:
        """sha256 of the file's bytes; "" if it was made in Python."""
        return self._fingerprint

    @property
    def name(self) -> str:
        """The file's stem: the first part of the checkpoint folder's name."""
        return self._file.stem if self._file else "training"


def load_config(path: Path) -> TrainingConfig:
    """Read a training config; paths in it resolve from the file's folder.

    Raises:
        InputError: Every fault of the file, with line, column and a near-miss suggestion.
    """
    path = path.absolute()
    document = read_yaml(path, str(path))
    if not isinstance(document.data, dict):
        raise InputError(document.fault((), shown(document.data), "a mapping of training fields"))
    faults: list[Fault] = []
    known = dict(document.data)
    known |= {"method": spelled_out(known["method"])} if "method" in known else {}
    config = validate(TrainingConfig, document, (), faults, known)
    if config is not None:
        faults += _missing_files(config, document, path.parent) + _method_faults(config, document)
    if faults or config is None:
        raise InputError(sorted(faults, key=lambda fault: (fault.line, fault.column)))
    config = _resolved(config, path.parent)
    config._file, config._fingerprint = path, file_key(path)
    return config


def _method_faults(config: TrainingConfig, document: Located) -> list[Fault]:
    """Return a fault where `peft`, `new_tokens` or `sweep` does not fit the method."""
    if isinstance(config.method, Peft) and config.peft is None:
        return [document.fault(("method",), "method peft without 'peft'", "peft: {type: IA3, …}")]
    if config.peft is not None and not isinstance(config.method, Peft):
        return [document.fault(("peft",), f"'peft' beside method {config.method.name}", "method: peft", key=True)]
    if config.new_tokens is not None and not isinstance(config.method, Full | Lora):
        found = f"'new_tokens' beside method {config.method.name}, which cannot learn them"
        return [document.fault(("new_tokens",), found, "method full or lora", key=True)]
    if config.new_tokens is not None and isinstance(config.method, Full) and config.new_tokens.train == "embeddings":
        found = "'train: embeddings' beside method full, which trains everything"
        return [document.fault(("new_tokens", "train"), found, "no such field", key=True)]
    fault = sweep_fault(config)
    return [document.fault(("sweep",), *fault, key=True)] if fault else []


def _missing_files(config: TrainingConfig, document: Located, folder: Path) -> list[Fault]:
    missing = []
    named = [("hooks", "suites", config.hooks.suites)] if config.hooks else []
    named += [("sweep", side, getattr(config.sweep, side)) for side in ("target", "forgetting")] if config.sweep else []
    for block, field, suites in named:
        for index, path in enumerate(suites):
            if not (folder / Path(path).expanduser()).exists():
                found = f"nothing at {path!r} in {dotted((block, field, index))}"
                expected = "a suite file or folder (paths resolve from the config's folder)"
                missing.append(document.fault((block, field, index), found, expected))
    for index, source in enumerate(config.data.train):
        if source.path and not (folder / Path(source.path).expanduser()).is_file():
            place = ("data", "train", index, "path")
            found = f"no file {source.path!r} in {dotted(place)}"
            missing.append(document.fault(place, found, "a data file (paths resolve from the config's folder)"))
    for index, path in enumerate(config.data.against or ()):
        if not (folder / Path(path).expanduser()).exists():
            where = ("data", "against", index)
            found = f"nothing at {path!r} in {dotted(where)}"
            missing.append(document.fault(where, found, "a suite, a folder of suites or a JSONL file"))
    return missing


def _resolved(config: TrainingConfig, folder: Path) -> TrainingConfig:
    def absolute(path: str) -> str:
        return str((folder / Path(path).expanduser()).resolve())

    data, local = config.data, (folder / Path(config.model).expanduser()).exists()
    sources = tuple(s.model_copy(update={"path": absolute(s.path)}) if s.path else s for s in data.train)
    against = data.against
    if against is None and any((folder / SUITES).rglob("*.suite.yaml")):
        against = (SUITES,)
    places = {"train": sources, "against": None if against is None else tuple(map(absolute, against))}
    return config.model_copy(
        update={
            "model": absolute(config.model) if local else config.model,
            "data": data.model_copy(update=places),
            "hooks": config.hooks and _resolved_hooks(config.hooks, absolute),
            "sweep": config.sweep and _resolved_sweep(config.sweep, absolute),
            "output": absolute(config.output),
        }
    )


def _resolved_sweep(sweep: Sweep, absolute: Callable[[str], str]) -> Sweep:
    sides = {side: tuple(map(absolute, getattr(sweep, side))) for side in ("target", "forgetting")}
    return sweep.model_copy(update=sides)


def _resolved_hooks(hooks: Hooks, absolute: Callable[[str], str]) -> Hooks:
    suites = tuple(absolute(path) for path in hooks.suites)
    return hooks.model_copy(update={"suites": suites, "runs_dir": hooks.runs_dir and absolute(hooks.runs_dir)})
