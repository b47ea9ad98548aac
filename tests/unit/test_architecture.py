"""The shape of the house: ranks, fences, no cycles, cheap imports."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "sfteval"
RANKS = {
    "errors": 0,
    "records": 0,
    "keys": 0,
    "protocols": 0,
    "shipped": 0,
    "_version": 0,
    "__init__": 0,
    "stats": 1,
    "yamlfile": 1,
    "quiet": 1,
    "engine": 1,
    "peft_ext": 1,
    "spec": 2,
    "plan": 2,
    "requests": 2,
    "backends": 2,
    "checks": 2,
    "tasks": 2,
    "store": 2,
    "compare": 2,
    "gate": 2,
    "waivers": 2,
    "diagnose": 2,
    "report": 2,
    "train": 2,
    "pipeline": 3,
    "plugin": 4,
    "model_fixtures": 4,
    "expectations": 4,
    "lmeval": 4,
    "hooks": 4,
    "cli": 4,
    "demo": 4,
    "scaffold": 4,
    "__main__": 4,
}
FENCES = {
    "torch": {"engine", "backends", "train", "lmeval", "peft_ext"},
    "transformers": {"engine", "backends", "train"},
    "trl": {"train"},
    "peft": {"train", "backends", "peft_ext"},
    "lm_eval": {"tasks", "lmeval"},
    "pytest": {"plugin", "model_fixtures"},
    "scipy": {"stats"},
    "httpx2": {"backends"},
}


def part_of(path: Path) -> str:
    """Return the rank table's name for a module: its top-level part."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    """Return every module that a file imports, also inside functions and under TYPE_CHECKING."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def internal(path: Path) -> set[str]:
    """Return the parts of the package that a file imports."""
    names = {name.split(".")[1] for name in imports_of(path) if name.startswith("sfteval.")}
    return {name for name in names if name in RANKS}


MODULES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_a_rank() -> None:
    assert {part_of(path) for path in MODULES} <= set(RANKS)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down_in_rank(path: Path) -> None:
    part = part_of(path)
    for other in internal(path) - {part}:
        same_layer = RANKS[other] == RANKS[part] and RANKS[part] in (0, 4)
        assert RANKS[other] < RANKS[part] or same_layer, f"{part} (rank {RANKS[part]}) imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_third_parties_stay_behind_their_fences(path: Path) -> None:
    for name in imports_of(path):
        allowed = FENCES.get(name.split(".")[0])
        assert allowed is None or part_of(path) in allowed, f"{path} imports {name}"


def test_no_cycles_between_modules() -> None:
    """Depth-first search over run-time imports of single modules."""
    graph = {module_name(path): run_time_imports(path) for path in MODULES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join([*trail, name])
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            visit(other, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def module_name(path: Path) -> str:
    parts = ("sfteval", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def run_time_imports(path: Path) -> set[str]:
    """Return modules imported at import time (not in functions, not under TYPE_CHECKING)."""
    names = {module_name(p) for p in MODULES}
    found: set[str] = set()
    for node in top_level(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & names
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & names
            found |= submodules or ({node.module} & names)
    return found - {module_name(path)}


def top_level(tree: ast.AST) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.stmt):
            found.append(node)
        found += top_level(node)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "import sfteval",
        "import sfteval.cli",
        "import sfteval.plugin",
        "import sfteval.pipeline.planning",
        "import sfteval.backends",
    ],
)
def test_cheap_imports_bring_no_heavy_library(command: str) -> None:
    heavy = "torch transformers peft trl lm_eval datasets scipy pandas"
    script = f"{command}; import sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


BENCHMARKS = sorted((PACKAGE.parent / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_benchmarks_import_from_here_exists(path: Path) -> None:
    """No other check runs them whole, and imports inside functions fail only after minutes of work."""
    for name in imports_of(path):
        if name.startswith("sfteval."):
            pkgutil.resolve_name(name)
