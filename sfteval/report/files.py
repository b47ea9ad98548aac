"""Files of a release: verdicts as JSON, and a plain HTML page until the dashboard exists.

Model text is data: jinja2 escapes everything, the page holds no script, and its policy allows none.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfteval.errors import DiskError
from sfteval.report.rows import points, score
from sfteval.report.terminal import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_verdicts(path: str | Path, rows: Sequence[Mapping[str, Any]], status: int) -> Path:
    """Write `{"exit_code", "verdict", "gates": [...]}`."""
    word = {0: "PASS", 1: "FAIL", 20: "INCONCLUSIVE"}.get(status, "BROKE")
    return _write(Path(path), json.dumps({"exit_code": status, "verdict": word, "gates": list(rows)}, indent=1))


def write_summary(path: str | Path, text: str) -> Path:
    """Write the Markdown of a release."""
    return _write(Path(path), text)


def write_page(folder: str | Path, rows: Sequence[Mapping[str, Any]], status: int) -> Path:
    """Write `index.html` for one release and return its path."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters.update(points=points, score=score)
    template = resources.files("sfteval.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    words = WORDS.get(status, f"pytest ended with {status}")
    return _write(Path(folder) / "index.html", environment.from_string(template).render(rows=rows, words=words))


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise DiskError(path, error.strerror or str(error), "a place that can be written") from None
    return path
