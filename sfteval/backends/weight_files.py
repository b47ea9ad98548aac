"""Weight files on disk: which belong to a checkpoint, and whether each is whole, without reading the tensors.

Comes in: a folder. Goes out: its safetensors files (sorted), or a `ModelError` that says what is missing or cut off.
The layout is that of https://github.com/huggingface/safetensors: 8 bytes little-endian header length, a JSON header
with `data_offsets` per tensor, the data.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sfteval.errors import Fault, ModelError

if TYPE_CHECKING:
    from pathlib import Path

FULL = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
LONGEST_HEADER = 100_000_000


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ModelError when it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(Fault(str(path), f"an unreadable file ({error})", "a JSON object")) from error
    except json.JSONDecodeError as error:
        fault = Fault(
            str(path), f"broken JSON ({error.msg})", "a JSON object", "Save it again.", error.lineno, error.colno
        )
        raise ModelError(fault) from error
    if not isinstance(content, dict):
        raise ModelError(Fault(str(path), f"a JSON {type(content).__name__}", "a JSON object", "Save it again."))
    return content


def full_weights(folder: Path) -> tuple[Path, ...]:
    """Return the safetensors files of a full checkpoint, sorted by name, each checked for completeness."""
    if (folder / FULL).is_file():
        files: tuple[Path, ...] = (folder / FULL,)
    elif (folder / INDEX).is_file():
        files = _shards(folder / INDEX)
    else:
        raise ModelError(_no_weights(folder, f"{FULL} or {INDEX} with its shards"))
    for file in files:
        tensor_shapes(file)
    return files


def adapter_weights(folder: Path) -> tuple[Path, ...]:
    """Return the adapter's safetensors file, checked for completeness."""
    file = folder / ADAPTER
    if not file.is_file():
        raise ModelError(_no_weights(folder, ADAPTER))
    tensor_shapes(file)
    return (file,)


def tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a safetensors file.

    Raises:
        ModelError: The header cannot be read, or the file is shorter or longer than its header says.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise ModelError(_cut(file, size, 8 + length))
        try:
            header = json.loads(stream.read(length))
            tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
            end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
            shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in tensors.items()}
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            fault = Fault(str(file), "a broken safetensors header", "a safetensors file", "Save or copy it again.")
            raise ModelError(fault) from error
    if size != 8 + length + end:
        raise ModelError(_cut(file, size, 8 + length + end))
    return shapes


def _shards(index: Path) -> tuple[Path, ...]:
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise ModelError(Fault(str(index), "no weight_map", "tensor names mapped to shard files", "Save it again."))
    files = tuple(index.parent / name for name in sorted({str(shard) for shard in mapping.values()}))
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        found = f"{len(files) - len(missing)} of {len(files)} shards; missing: {', '.join(missing)}"
        raise ModelError(Fault(str(index), found, "every shard that the index names", "Copy the missing files."))
    return files


def _no_weights(folder: Path, expected: str) -> Fault:
    pickled = sorted({file.name for pattern in PICKLED for file in folder.glob(pattern)} - {"training_args.bin"})
    if pickled:
        advice = "Weights are safetensors only: load it once with transformers or peft and save_pretrained it."
        return Fault(str(folder), ", ".join(pickled), expected, advice)
    steps = sorted((f for f in folder.glob("checkpoint*") if f.is_dir()), key=lambda f: (len(f.name), f.name))
    if steps:
        names = ", ".join(step.name for step in steps)
        return Fault(str(folder), f"no weights, but {names}", expected, f"Name one of them, such as {steps[-1]}.")
    return Fault(str(folder), "a folder without weights", expected, "Check the path, or save the model there.")


def _cut(file: Path, size: int, needed: int) -> Fault:
    state = "cut off" if size < needed else "too long"
    return Fault(str(file), f"{size} bytes ({state})", f"{needed} bytes, as its header says", "Save or copy it again.")
