"""What a person asked for: options first, then `[tool.sfteval]` in pyproject.toml, then defaults.

Comes in: option values (None where not given) and the project's root. Goes out: `Settings`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfteval.errors import Fault, InputError

NO_PREVIOUS = "none"
DEFAULT_PREVIOUS = "promoted"
_KEYS = ("candidate", "base", "previous", "runs_dir", "accepted")
ACCEPTED = "suites/accepted.yaml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Model references by role, and where runs live.

    Attributes:
        candidate: Model reference or run id.
        base: Model reference or run id; None takes the candidate's own base (an adapter's, or the model it was
            trained from).
        previous: Run id, "promoted", "latest" or "none".
        runs_dir: Folder of the run store.
        run_ids: Runs to write, by role, when several processes share them (pytest-xdist).
        absent: Baselines that are declared not to be there; gates against them are not judged.
        root: The project's root, which gates' files are shown from.
        accepted: The project's file of accepted regressions and quarantined samples; it need not exist.
    """

    candidate: str | None = None
    base: str | None = None
    previous: str = DEFAULT_PREVIOUS
    runs_dir: Path = Path("runs")
    run_ids: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    accepted: Path = Path(ACCEPTED)
    root: Path | None = None


def no_candidate() -> Fault:
    """Return what to tell a person who named no candidate."""
    do = (
        "Give --candidate MODEL (a hub id, a checkpoint or adapter folder, a .gguf file, a run id), or set "
        "`candidate` under [tool.sfteval] in pyproject.toml. To see it all work first: sfteval demo"
    )
    return Fault("pytest suites/", "no candidate", "the model that wants to ship", do)


def resolve_settings(
    options: Mapping[str, str | None], root: Path, run_ids: Mapping[str, str] | None = None
) -> Settings:
    """Join options and the project's file.

    Args:
        options: By key (`candidate`, `base`, `previous`, `runs_dir`); None where not given. Paths are relative to
            the working directory.
        root: The project's root; paths in its pyproject.toml are relative to it.
        run_ids: Runs to write, by role.

    Raises:
        InputError: the table has unknown keys, values that are not strings, or cannot be read.
    """
    table = _project_table(root / "pyproject.toml")
    given = {key: value for key, value in options.items() if value}
    runs_dir = Path(given["runs_dir"]) if "runs_dir" in given else root / table.get("runs_dir", "runs")
    return Settings(
        candidate=given.get("candidate") or _rooted(table.get("candidate"), root),
        base=given.get("base") or _rooted(table.get("base"), root),
        previous=given.get("previous") or table.get("previous") or DEFAULT_PREVIOUS,
        runs_dir=runs_dir,
        run_ids=run_ids or {},
        accepted=root / table.get("accepted", ACCEPTED),
        root=root,
    )


def _rooted(reference: str | None, root: Path) -> str | None:
    """Return a path that exists under the root as a full path; other references (hub ids, run ids) as they are."""
    if reference is None:
        return None
    return str(root / reference) if (root / reference).exists() else reference


def _project_table(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("sfteval", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(Fault(str(path), str(error), "a readable TOML file")) from None
    known = {key.replace("_", "-"): key for key in _KEYS} | {key: key for key in _KEYS}
    faults = [_fault(path, key, value, known) for key, value in table.items() if not _fits(key, value, known)]
    if faults:
        raise InputError(faults)
    return {known[key]: value for key, value in table.items()}


def _fits(key: str, value: Any, known: Mapping[str, str]) -> bool:
    return key in known and isinstance(value, str)


def _fault(path: Path, key: str, value: Any, known: Mapping[str, str]) -> Fault:
    where = f"{path} [tool.sfteval] {key}"
    if key in known:
        return Fault(where, f"a {type(value).__name__}", "a string")
    near = difflib.get_close_matches(key, known, n=1)
    return Fault(where, "an unknown key", "one of " + ", ".join(_KEYS), f"Did you mean {near[0]!r}?" if near else "")
