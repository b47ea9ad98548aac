"""Files that a suite names: where they resolve from, and the fence around them.

Comes in: a path as written. Goes out: the path to open, or the reason why not. Paths resolve from the suite's folder;
after following every symlink they must lie inside the collected root or inside the suite's folder, so that a suite
from elsewhere cannot read `/etc` or a neighbour's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from sfteval.yamlfile import did_you_mean


@dataclass(frozen=True, slots=True)
class Fence:
    """The folders that files of one suite may come from."""

    folder: Path
    root: Path

    def problem(self, written: str, field: str, *, want_folder: bool = False) -> tuple[str, str, str] | None:
        """Return (found, expected, do) for a path that cannot be used, None when it can.

        Args:
            written: The path as written.
            field: Where it is written, such as `checks.valid.json_schema`.
            want_folder: It must be a folder; otherwise a file.
        """
        kind = "folder" if want_folder else "file"
        if not written or "\0" in written or "\\" in written:
            return f"{written!r} in {field}", f"a {kind} name with forward slashes", ""
        if PurePosixPath(written).is_absolute() or PureWindowsPath(written).is_absolute():
            return f"the absolute path {written!r} in {field}", "a path relative to the suite file", ""
        target = (self.folder / written).resolve()
        if not any(target.is_relative_to(allowed.resolve()) for allowed in (self.root, self.folder)):
            do = "Move the file there, or collect from a folder that holds both."
            return f"{written!r} in {field}, which leads out of the suites", "a path inside the collected root", do
        if not (target.is_dir() if want_folder else target.is_file()):
            expected = f"a {kind} (paths resolve from the suite's folder)"
            return f"no {kind} {written!r} in {field}", expected, self._near(written)
        return None

    def path(self, written: str) -> Path:
        """Return the path to open; only after `problem` has returned None."""
        return self.folder / written

    def _near(self, written: str) -> str:
        parent = (self.folder / written).parent
        if not parent.is_dir():
            return ""
        prefix = PurePosixPath(written).parent
        names = [str(prefix / entry.name) for entry in parent.iterdir()]
        return did_you_mean(written, names)


def shown_path(path: Path, root: Path) -> str:
    """Return the path relative to `root` in posix form; unchanged when it lies elsewhere."""
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        return path.as_posix()
