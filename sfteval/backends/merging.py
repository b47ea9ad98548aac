"""An adapter folded into its base's weights, and proof that nothing changed but the files.

Comes in: an adapter's reference and token ids of real inputs. Goes out: a full checkpoint, written whole or not at all,
and the difference between its logits, read back from disk, and the adapter's. Needs torch.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from sfteval.backends.identity import identify
from sfteval.backends.loading import attach, load_base, load_full, resize_for, save_plain
from sfteval.backends.references import Kind, ModelReference, resolve
from sfteval.backends.tokenizer_files import load_tokenizer
from sfteval.backends.weight_files import read_json
from sfteval.errors import DiskError, Fault, InputError, ModelError, reason_of
from sfteval.records import MERGE_TOLERANCE, MergeDifference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Methods whose update is a sum with the weights; anything else would change what the model computes.
MERGEABLE = ("LORA",)


def check_mergeable(reference: ModelReference) -> None:
    """Refuse what cannot be folded into weights.

    Raises:
        ModelError: No adapter, or one whose update is no sum with the weights.
    """
    if reference.kind is not Kind.ADAPTER:
        raise ModelError(Fault(reference.reference, f"a {reference.kind} model", "a LoRA adapter to merge"))
    kind = read_json(reference.path / "adapter_config.json").get("peft_type")
    if kind not in MERGEABLE:
        do = "Serve it as an adapter; merged, it would be another model"
        raise ModelError(Fault(reference.reference, f"a {kind} adapter", "LoRA, which is a sum with the weights", do))


def merge_adapter(reference: ModelReference, out: Path, inputs: Sequence[Sequence[int]]) -> MergeDifference:
    """Write the merged checkpoint to `out` with the measured difference in its `training.json`.

    Args:
        reference: A LoRA adapter with its base.
        out: A folder that does not exist yet.
        inputs: Token ids of real texts, at least one.

    Raises:
        ModelError: It cannot be merged, or the merged checkpoint computes something else; nothing is left behind.
        InputError: The folder exists.
        DiskError: It cannot be written.
    """
    check_mergeable(reference)
    if out.exists():
        raise InputError(Fault("--out", f"{out}, which exists already", "a new folder"))
    assert reference.base is not None
    base = load_base(reference.base)
    resize_for(base, reference)
    adapted = attach(base, reference)
    before = [_logits(adapted, ids) for ids in inputs]
    merged = adapted.merge_and_unload(safe_merge=True)
    partial = out.parent / f".partial-{out.name}-{secrets.token_hex(3)}"
    try:
        _write(merged, reference, partial)
        del base, adapted, merged
        difference = _difference(before, load_full(partial), inputs)
        _refuse_difference(reference, difference)
        weights = identify(resolve(str(partial))).weights
        (partial / "training.json").write_text(_manifest(reference, difference, weights), encoding="utf-8")
        partial.rename(out)
    except (OSError, SafetensorError) as error:
        raise DiskError(out, reason_of(error), "room for the merged checkpoint") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return difference


def _write(model: Any, reference: ModelReference, folder: Path) -> None:
    folder.mkdir(parents=True)
    save_plain(model, folder)
    load_tokenizer(reference.tokenizer).save_pretrained(folder)
    own = reference.path / "generation_config.json"
    if own.is_file():
        shutil.copyfile(own, folder / own.name)


@torch.inference_mode()
def _logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    given = torch.tensor([list(ids)], device=next(model.parameters()).device)
    logits: torch.Tensor = model(input_ids=given, use_cache=False).logits[0].float().cpu()
    return logits


def _difference(before: Sequence[torch.Tensor], merged: Any, inputs: Sequence[Sequence[int]]) -> MergeDifference:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    after = [_logits(merged.to(device), ids) for ids in inputs]
    pairs = list(zip(before, after, strict=True))
    tokens = sum(len(one) for one in before)
    same = sum(int((one.argmax(-1) == other.argmax(-1)).sum()) for one, other in pairs)
    return MergeDifference(
        inputs=len(pairs),
        tokens=tokens,
        max_abs_logit_difference=max(float((one - other).abs().max()) for one, other in pairs),
        logit_spread=max(float(one.max() - one.min()) for one in before),
        argmax_agreement=same / tokens,
    )


def _refuse_difference(reference: ModelReference, found: MergeDifference) -> None:
    if not found.same:
        told = f"a merged model whose logits differ by {found.max_abs_logit_difference:.3g} (spread "
        told += f"{found.logit_spread:.3g}, {found.argmax_agreement:.2%} of tokens alike)"
        raise ModelError(
            Fault(reference.reference, told, f"at most {MERGE_TOLERANCE:g} of the spread", "Serve the adapter")
        )


def _manifest(reference: ModelReference, difference: MergeDifference, weights: str) -> str:
    base = reference.base
    assert base is not None
    entries = {
        "format": 1,
        "parent": {"reference": base.hub_id or base.reference, "path": str(base.path), "adapter": ""},
        "merged": {
            "adapter": str(reference.path),
            "identity": asdict(identify(reference)),
            "training": reference.training,
            "difference": asdict(difference),
            "weights": weights,
        },
    }
    return json.dumps(entries, indent=2, sort_keys=True, allow_nan=False) + "\n"
