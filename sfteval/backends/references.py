"""Model references: one string to a checked place on disk.

Comes in: a hub id, a folder (full checkpoint, PEFT adapter, or a training output), a `.gguf` file,
`scripted:FILE.yaml`, or the short name of a pulled model. Goes out: a `ModelReference` whose files are all there and
whole, or a `ModelError`. Needs no torch and reads no weights.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sfteval.backends import hub
from sfteval.backends.gguf_header import read_gguf
from sfteval.backends.pulling import SOURCES, pulled, pulled_folder, short_name
from sfteval.backends.served import FORM, PREFIX, parse_served
from sfteval.backends.weight_files import adapter_weights, full_weights, read_json
from sfteval.errors import Fault, ModelError

SCRIPTED = "scripted:"
KINDS = f"a hub id, a model folder, an adapter folder, a .gguf file, {FORM}, or scripted:FILE.yaml"
SHORT_NAMES = tuple(SOURCES)
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
MANIFESTS = ("training.json", "sfteval.json")


class Kind(StrEnum):
    """What a reference turned out to be."""

    FULL = "full"
    ADAPTER = "adapter"
    GGUF = "gguf"
    SCRIPTED = "scripted"
    SERVED = "served"


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model on disk.

    Attributes:
        reference: The string that a person gave.
        kind: What it is.
        path: Folder of the checkpoint or adapter, or the `.gguf` or `.yaml` file.
        weights: Weight files, sorted (of the adapter, for an adapter).
        base: The base model of an adapter.
        training: Path of the training manifest beside the checkpoint, "" if there is none.
        hub_id: The hub id it was fetched by, "" for local files.
    """

    reference: str
    kind: Kind
    path: Path
    weights: tuple[Path, ...] = ()
    base: ModelReference | None = None
    training: str = ""
    hub_id: str = ""

    @property
    def tokenizer(self) -> Path:
        """Folder (or `.gguf` file) that holds the tokenizer: the adapter's own if it has one, else its base's."""
        if self.base is not None and not _has_vocabulary(self.path):
            return self.base.tokenizer
        return self.path

    @property
    def parent(self) -> str | None:
        """Reference of the model that this one was made from: an adapter's base, or what its manifest names."""
        if self.base is not None:
            return self.base.hub_id or str(self.base.path)
        return _manifest_parent(self.training)


def resolve(reference: str, *, relative_to: Path | None = None) -> ModelReference:
    """Find and check what `reference` names.

    Args:
        reference: The string as given; relative paths start at `relative_to`.
        relative_to: Folder, the working directory if left out.

    Raises:
        ModelError: Nothing is there, or what is there is not a whole model.
    """
    if not reference.strip():
        raise ModelError(Fault("model reference", "an empty text", KINDS))
    if reference.startswith(PREFIX):
        parse_served(reference)
        return ModelReference(reference, Kind.SERVED, Path())
    root = relative_to or Path.cwd()
    if reference.startswith(SCRIPTED):
        return _scripted(reference, root)
    path = root / Path(reference).expanduser()
    if path.exists():
        return _local(reference, path)
    if reference in SHORT_NAMES:
        return _local(reference, pulled_folder(reference))
    if not _may_be_hub_id(reference, path):
        raise ModelError(_absent(reference, path))
    return _from_hub(reference, path)


def checkpoint_of(path: Path) -> Path:
    """Return the folder that holds the weights: `path/checkpoint` for a training output, else `path` itself."""
    inner = path / "checkpoint"
    return inner if (path / MANIFESTS[0]).is_file() and inner.is_dir() else path


def _scripted(reference: str, root: Path) -> ModelReference:
    path = root / Path(reference.removeprefix(SCRIPTED)).expanduser()
    if not path.is_file():
        raise ModelError(_absent(reference, path))
    return ModelReference(reference, Kind.SCRIPTED, path)


def _local(reference: str, path: Path, hub_id: str = "") -> ModelReference:
    if path.is_file():
        return _gguf(reference, path)
    folder = checkpoint_of(path)
    if (folder / "adapter_config.json").is_file():
        return _adapter(reference, folder, hub_id)
    weights = full_weights(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(
            Fault(str(folder), "weights without config.json", "config.json", "Save the model there again.")
        )
    read_json(folder / "config.json")
    if not _has_vocabulary(folder):
        advice = "Save the tokenizer there: tokenizer.save_pretrained(folder)."
        raise ModelError(Fault(str(folder), "a model without a tokenizer", " or ".join(VOCABULARIES[:3]), advice))
    return ModelReference(reference, Kind.FULL, folder, weights, None, _training(folder), hub_id)


def _gguf(reference: str, path: Path) -> ModelReference:
    if path.suffix != ".gguf":
        advice = f"Name its folder, {path.parent}." if path.suffix == ".safetensors" else ""
        raise ModelError(Fault(reference, f"a {path.suffix or 'plain'} file", KINDS, advice))
    read_gguf(path)
    return ModelReference(reference, Kind.GGUF, path, (path,), None, _training(path.parent))


def _adapter(reference: str, folder: Path, hub_id: str) -> ModelReference:
    config = folder / "adapter_config.json"
    content = read_json(config)
    if not isinstance(content.get("peft_type"), str):
        raise ModelError(
            Fault(str(config), "no peft_type", "a PEFT adapter's configuration", "Save the adapter again.")
        )
    weights = adapter_weights(folder)
    base = _base_of(folder, content.get("base_model_name_or_path"))
    if base.kind not in {Kind.FULL, Kind.GGUF}:
        advice = "Merge the inner adapter into its base first."
        raise ModelError(Fault(str(config), f"a base that is {base.kind} ({base.path})", "a full model", advice))
    return ModelReference(reference, Kind.ADAPTER, folder, weights, base, _training(folder), hub_id)


def _base_of(folder: Path, named: object) -> ModelReference:
    """Resolve an adapter's base: beside the adapter first, then from the working directory, then by the manifest."""
    names = [name for name in (named, _manifest_parent(_training(folder))) if isinstance(name, str) and name]
    faults: list[Fault] = []
    for name in dict.fromkeys(names):
        beside = folder / Path(name).expanduser()
        try:
            return resolve(name, relative_to=folder if beside.exists() else None)
        except ModelError as error:
            faults.extend(error.faults)
    where = f"{folder / 'adapter_config.json'} (base_model_name_or_path)"
    found = f"{names[0]!r}, which cannot be used: {faults[0]}" if faults else "no base model"
    advice = "Put the base there, or write its path or hub id into base_model_name_or_path."
    raise ModelError(Fault(where, found, "the model that the adapter was trained on", advice))


def _manifest_parent(manifest: str) -> str | None:
    """Return what a training manifest names as `parent`: an existing place first, else the reference that was given."""
    parent = read_json(Path(manifest)).get("parent") if manifest else None
    entries = parent if isinstance(parent, dict) else {"reference": parent}
    named = [entries.get(field) for field in ("adapter", "path", "reference")]
    names = [name for name in named if isinstance(name, str) and name]
    places = (Path(manifest).parent / name for name in names)
    return next((str(place) for place in places if place.exists()), names[-1] if names else None)


def _training(folder: Path) -> str:
    homes = (folder, folder.parent) if folder.name == "checkpoint" else (folder,)
    found = (home / name for home in homes for name in MANIFESTS)
    return next((str(path) for path in found if path.is_file()), "")


def _has_vocabulary(folder: Path) -> bool:
    return any((folder / name).is_file() for name in VOCABULARIES)


def _may_be_hub_id(reference: str, path: Path) -> bool:
    """Tell `owner/name` from a mistyped path: a path's parent folder exists."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", reference) or reference.endswith((".gguf", ".yaml")):
        return False
    return "/" not in reference or not path.parent.is_dir()


def _from_hub(reference: str, path: Path) -> ModelReference:
    copy = pulled(reference)
    try:
        folder = hub.fetch(reference)
    except hub.UnknownError as error:
        fault = Fault(reference, f"no such model on the hub ({error})", KINDS, _near(reference, path))
        raise ModelError(fault) from error
    except hub.OfflineError as error:
        if copy is not None:
            hub.say_once(f"no hub answers for {reference}; using the pulled copy in {copy}")
            return _local(reference, copy)
        found = f"no such folder here, and no hub answers ({error})"
        short = short_name(reference)
        advice = f"Run: sfteval pull {short}" if short else _near(reference, path)
        raise ModelError(Fault(reference, found, KINDS, advice)) from error
    return _local(reference, folder, hub_id=reference)


def _absent(reference: str, path: Path) -> Fault:
    return Fault(reference, f"nothing at {path}", KINDS, _near(reference, path))


def _near(reference: str, path: Path) -> str:
    """Suggest what a person may have meant: a sibling of the path, or a short name."""
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    name = difflib.get_close_matches(path.name, [*siblings, *SHORT_NAMES], 1)
    if name:
        prefix = reference[: len(reference) - len(path.name)]
        return f"Did you mean {name[0] if name[0] in SHORT_NAMES else prefix + name[0]}?"
    return "Check the spelling, or give a path that exists."
