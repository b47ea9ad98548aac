"""The journal: responses while a run runs, one checksummed JSON line each.

Comes in: batches of responses. Goes out: the same responses after any kind of death. A line is
`{"sha256":"<16 hex>","response":{…}}`, the checksum over the bytes of the inner object. Each writer has its own files,
so that two never share an end; after a failed write the writer begins a new one. Hence a torn line can only be a
file's last, and is dropped; a broken line elsewhere is damage, is dropped too (the response is computed again), and
is counted for `RunStore.problems`.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfteval.records import FinishReason, Response
from sfteval.store.disk import sync_folder, write_all, writing
from sfteval.store.encoding import decode_text, encode_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sfteval.store.layout import RunFiles

_HEAD, _MIDDLE, _TAIL = b'{"sha256":"', b'","response":', b"}\n"
_DIGITS = 16
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
_BODY = len(_HEAD) + _DIGITS + len(_MIDDLE)


class Journal:
    """One writer's journal. Creates its file with the first response."""

    def __init__(self, files: RunFiles, writer: str) -> None:
        self._files = files
        self._writer = writer
        self._volume = 0
        self._descriptor: int | None = None
        self._end = 0
        self._turn = threading.Lock()

    def append(self, responses: Sequence[Response]) -> None:
        """Store `responses` on the disk before returning. Raises StoreError; earlier batches stay valid."""
        data = b"".join(map(encode_line, responses))
        if not data:
            return
        with self._turn, writing(self._files.work):
            descriptor = self._open() if self._descriptor is None else self._descriptor
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            except BaseException:  # an interrupt, too, may leave half a line behind
                with suppress(OSError):
                    os.ftruncate(descriptor, self._end)
                self._close()
                raise
            self._end += len(data)

    def close(self) -> None:
        """Close the file; a later `append` begins a new one."""
        with self._turn:
            self._close()

    def _open(self) -> int:
        path = self._files.journal(self._writer, self._volume)
        self._descriptor = os.open(path, _FLAGS, 0o666)
        self._volume += 1
        self._end = 0
        sync_folder(path.parent)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal still holds: responses by key, and how many lines in its middle are damaged."""

    responses: dict[str, Response]
    damaged: int = 0


def read_journals(paths: Sequence[Path]) -> Recovered:
    """Return the responses of all journals; files that vanish meanwhile (the run was finished) count as empty."""
    responses: dict[str, Response] = {}
    damaged = 0
    for path in paths:
        with suppress(FileNotFoundError):
            damaged += _read_into(responses, path)
    return Recovered(responses, damaged)


def _read_into(responses: dict[str, Response], path: Path) -> int:
    damaged = broken = 0
    with path.open("rb") as file:
        for line in file:
            response = decode_line(line)
            if response is None:
                broken += 1
                continue
            damaged += broken
            broken = 0
            responses[response.key] = response
    return damaged


def encode_line(response: Response) -> bytes:
    """Return the journal line of an answer."""
    fields: dict[str, Any] = {
        "key": encode_text(response.key),
        "text": None if response.text is None else encode_text(response.text),
        "loglikelihood": None if response.loglikelihood is None else float(response.loglikelihood),
        "is_greedy": None if response.is_greedy is None else bool(response.is_greedy),
        "finish_reason": response.finish_reason,
        "prompt_tokens": response.prompt_tokens,
        "output_tokens": response.output_tokens,
        "truncated": response.truncated,
    }
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return _HEAD + _checksum(body) + _MIDDLE + body + _TAIL


def decode_line(line: bytes) -> Response | None:
    """Return the response of a journal line, None for a line that is torn or damaged."""
    body = line[_BODY : -len(_TAIL)]
    if line != _HEAD + _checksum(body) + _MIDDLE + body + _TAIL:
        return None
    fields = json.loads(body)
    fields["key"] = decode_text(fields["key"])
    fields["text"] = None if fields["text"] is None else decode_text(fields["text"])
    fields["finish_reason"] = None if fields["finish_reason"] is None else FinishReason(fields["finish_reason"])
    return Response(**fields)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:_DIGITS].encode()
