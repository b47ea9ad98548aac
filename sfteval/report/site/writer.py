"""The site's folder: pages, the shared scripts and styles, data parts, exports.

Comes in: a `Site`, and each run's samples as columns. Goes out: files under one folder, in a layout that pages know:

    index.html, release-RUN.html, forgetting.html, samples.html, compare.html, training-N.html
    assets/         site.css, site.js, pages' scripts, vega.js (Vega, Vega-Lite and Vega-Embed from vl-convert)
    data/           `SFT.data(name, value)` scripts: charts per page, runs, metrics, samples/RUN/SUITE/PART
    export/         CSV, Parquet, JSON; SVG and PNG of the newest release's and the dashboard's charts
"""

from __future__ import annotations

import json
import shutil
from importlib import resources
from typing import TYPE_CHECKING, Any

from sfteval.errors import DiskError, Fault, InputError, reason_of
from sfteval.report.charts import png, svg

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sfteval.report.charts import Spec
    from sfteval.report.site.model import Site

MARK = "sfteval-site.json"


class SiteWriter:
    """Writes one site; a context manager that replaces an earlier site only when the new one is whole."""

    def __init__(self, out: Path) -> None:
        """Prepare to write to `out`.

        Raises:
            InputError: `out` holds something that is not a site.
        """
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
            do = "Name a new folder with --out; nothing was removed"
            raise InputError(Fault(str(out), "something that is no site of sfteval", "an empty or new folder", do))
        self._out = out
        self._draft = out.with_name(f".{out.name}.new")
        self._parts: dict[str, dict[str, list[int]]] = {}

    def __enter__(self) -> SiteWriter:
        """Begin an empty draft with the assets."""
        with _writing(self._out):
            shutil.rmtree(self._draft, ignore_errors=True)
            for name in ("assets", "data", "export"):
                (self._draft / name).mkdir(parents=True)
        self._put_assets()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Put the site in place, or leave what was there."""
        if kind is not None:
            shutil.rmtree(self._draft, ignore_errors=True)
            return
        self.put_text(MARK, json.dumps({"site": 1}))
        with _writing(self._out):
            if self._out.exists():
                shutil.rmtree(self._out)
            self._draft.rename(self._out)

    def put_samples(self, run: str, parts: Iterable[tuple[str, int, str]]) -> None:
        """Write a run's samples: suite, number of samples and JSON columns of each part."""
        for suite, count, columns in parts:
            sizes = self._parts.setdefault(run, {}).setdefault(suite, [])
            self._put_part(f"samples/{run}/{suite}/{len(sizes)}", columns)
            sizes.append(count)

    def put_pages(self, site: Site) -> Path:
        """Write every page with its charts, and return where the first one will be."""
        from sfteval.report.site.pages import put_pages

        put_pages(site, self)
        self.put_data("parts", self._parts)
        return self._out / "index.html"

    def put_data(self, name: str, value: Any) -> None:
        """Write a data part; it loads as a script, since pages from `file://` may not fetch."""
        self._put_part(name, json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")))

    def put_text(self, name: str, text: str) -> None:
        """Write a text file of the site."""
        path = self._draft / name
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")

    def put_pictures(self, name: str, spec: Spec) -> None:
        """Write a chart as export/NAME.svg and .png."""
        self.put_text(f"export/{name}.svg", svg(spec))
        path = self.export(f"{name}.png")
        with _writing(path):
            path.write_bytes(png(spec))

    def export(self, name: str) -> Path:
        """Return where an export goes while the site is a draft."""
        return self._draft / "export" / name

    def _put_part(self, name: str, text: str) -> None:
        self.put_text(f"data/{name}.js", f"SFT.data({json.dumps(name)},{text});\n")

    def _put_assets(self) -> None:
        import vl_convert

        for asset in resources.files("sfteval.report.site").joinpath("assets").iterdir():
            self.put_text(f"assets/{asset.name}", asset.read_text(encoding="utf-8"))
        bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the stub misses the default
        self.put_text("assets/vega.js", bundle)


class _writing:
    """Turns the operating system's refusals into one message."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            found = reason_of(error)
            raise DiskError(self._path, found, "a place that can be written", "Free it or name another") from None
