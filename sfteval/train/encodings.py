"""Token ids and labels on disk: a data set is rendered and tokenised once.

Comes in: rows in order, and what decides their encoding (data, template, tokenizer, mask, the mask engine's code). Goes
out: what the mask engine made of each row, a refusal with its reason too.

One file per data set, `KEY.jsonl` in the cache folder: a line per row in the order in which rows are asked for, as
`CRC32 JSON`. A line that is torn, changed or belongs to another row ends what is believed: the rest is encoded anew. A
new file is written beside and renamed, so that readers and processes that write at once never see half of one. Rows are
read one by one; nothing is held in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import zlib
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sfteval.keys import content_key, file_key
from sfteval.train import masks
from sfteval.train import template as templates
from sfteval.train.masks import Encoded, MaskError, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sfteval.train.data_config import Data
    from sfteval.train.rows import Row
    from sfteval.train.template import ChatTemplate

    Encode = Callable[[], Encoded]

# Data sets whose encodings are kept; the ones that were not used for longest go.
KEPT = 32


@contextmanager
def encodings(folder: Path | None, data: Data, template: ChatTemplate) -> Iterator[Callable[[Row, Encode], Encoded]]:
    """Yield what returns a row's encoding, from the cache in `folder` or by the function that makes it.

    Nothing is kept without a folder, when an error ends the reading, and where the encoding depends on more than can be
    hashed: a template that writes today's date, a tokenizer that is not one of `tokenizers`.
    """
    key = _key(data, template) if folder is not None else None
    if folder is None or key is None:
        yield lambda row, encode: encode()
        return
    cache, whole = _Cache(folder, key), False
    try:
        yield cache.encoded
        whole = True
    finally:
        cache.close(whole=whole)


class _Cache:
    """The encodings of one data set; `close` it with whether all rows were seen."""

    def __init__(self, folder: Path, key: str) -> None:
        """Open what an earlier run left, if it did."""
        self.path = folder / f"{key}.jsonl"
        self._known: IO[bytes] | None = None
        self._draft: IO[bytes] | None = None
        self._sound, self._writable = 0, True
        with contextlib.suppress(OSError):
            self._known = self.path.open("rb")
            self.path.touch()

    def encoded(self, row: Row, encode: Encode) -> Encoded:
        """Return the row's encoding, from disk or by `encode`. Raises MaskError if that is what `encode` does."""
        value = self._next(row)
        if value is None:
            value = _made(row, encode)
            self._keep(value)
        if "refused" in value:
            raise MaskError(*value["refused"])
        return _read(value)

    def close(self, *, whole: bool) -> None:
        """Put a new file in its place if it is `whole`; a cache that cannot be written costs only time."""
        if self._known is not None:
            self._known.close()
            self._known = None
        if self._draft is None:
            return
        draft = Path(self._draft.name)
        try:
            self._draft.close()
            if whole:
                draft.replace(self.path)
                _forget(self.path.parent)
        except OSError:
            pass
        draft.unlink(missing_ok=True)

    def _next(self, row: Row) -> dict[str, Any] | None:
        if self._known is None:
            return None
        try:
            line = self._known.readline()
        except OSError:
            line = b""
        value = _parsed(line)
        if value is None or value["key"] != row.key:
            self._known.close()
            self._known = None
            return None
        self._sound += len(line)
        return value

    def _keep(self, value: dict[str, Any]) -> None:
        if not self._writable:
            return
        try:
            if self._draft is None:
                self._draft = self._begun()
            text = json.dumps(value).encode()
            self._draft.write(b"%08x %s\n" % (zlib.crc32(text), text))
        except OSError:
            self.close(whole=False)
            self._draft, self._writable = None, False

    def _begun(self) -> IO[bytes]:
        """Return a new file that begins with what could be believed of the old one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = tempfile.NamedTemporaryFile(dir=self.path.parent, suffix=".tmp", delete=False)  # noqa: SIM115
        if self._sound:
            with self.path.open("rb") as old:
                while self._sound > draft.tell() and (piece := old.read(min(1 << 20, self._sound - draft.tell()))):
                    draft.write(piece)
        return draft


def _key(data: Data, template: ChatTemplate) -> str | None:
    """Return the hash of everything that decides the encodings, None if it cannot be known."""
    backend = getattr(template.tokenizer, "backend_tokenizer", None)
    if backend is None or "strftime_now" in template.tokenizer.chat_template:
        return None
    try:
        sources = [
            [
                file_key(Path(source.path)) if source.path else source.place,
                source.model_dump_json(exclude={"path", "weight"}),
            ]
            for source in data.train
        ]
    except OSError:
        return None
    code = [file_key(Path(str(module.__file__))) for module in (masks, templates)]
    tokenizer = hashlib.sha256(backend.to_str().encode()).hexdigest()
    names = content_key(template.tokenizer.special_tokens_map, template.stop_ids, template.specials)
    return content_key(
        sources,
        [template.fingerprint, tokenizer, names],
        [data.loss_on, data.prompt_weight, data.max_length],
        [code, version("transformers"), version("tokenizers")],
    )


def _made(row: Row, encode: Encode) -> dict[str, Any]:
    try:
        item = encode()
    except MaskError as error:
        return {"key": row.key, "refused": [str(error), error.kind]}
    return {
        "key": row.key,
        "ids": item.ids,
        "spans": item.spans,
        "learned": item.learned,
        "source": item.source,
        "weight": item.prompt_weight,
    }


def _read(value: dict[str, Any]) -> Encoded:
    ids = tuple(value["ids"])
    spans, learned = (tuple((start, end) for start, end in value[name]) for name in ("spans", "learned"))
    weight = value["weight"]
    return Encoded(ids, labels_of(ids, learned, weight), spans, value["source"], learned, weight)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return a line's value; None if it is not, byte for byte, what was written."""
    code, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or code != b"%08x" % zlib.crc32(text):
        return None
    value: dict[str, Any] = json.loads(text)
    return value


def _forget(folder: Path) -> None:
    """Remove the encodings that were not used for longest; another process may be doing the same."""
    with contextlib.suppress(OSError):
        files = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in files[: max(0, len(files) - KEPT)]:
            path.unlink(missing_ok=True)
