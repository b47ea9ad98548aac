"""What people copy: every command of the examples is parsed by the program that it calls; files load where they can."""

from __future__ import annotations

import re
import shlex
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from sfteval.cli import app

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(EXAMPLES.rglob("*.md"))]
OURS = {"candidate", "base", "previous", "runs-dir", "verdicts", "report", "summary", "promote-on-pass", "junitxml"}
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_of(text: str) -> Iterator[str]:
    """Yield the command lines of a page's fences, comments and prompts cut off."""
    for fence in FENCE.findall(text):
        for line in fence.replace("\\\n", " ").splitlines():
            for part in line.removeprefix("$ ").split(" && "):
                if part.startswith(("sfteval ", "pytest ")) and "…" not in part and "MODEL [" not in part:
                    yield part.split("  #")[0].split(" #")[0].strip()


def scripts_of(node: Any) -> Iterator[str]:
    """Yield every command of a CI file."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "run" and isinstance(value, str):
                yield from value.splitlines()
            elif key == "script":
                yield from value
            else:
                yield from scripts_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from scripts_of(value)


LINES = sorted(
    {line for page in PAGES for line in commands_of(page.read_text(encoding="utf-8"))}
    | {line for file in EXAMPLES.glob("*.yml") for line in scripts_of(yaml.safe_load(file.read_text()))}
)


def parse(words: list[str]) -> None:
    """Let the command line's own parser read a command, without running it."""
    group = typer.main.get_command(app)
    context = group.context_class(group, info_name="sfteval")
    while hasattr(group, "commands"):
        name, *words = words
        assert name in group.commands, f"no command {name!r}"
        group = group.commands[name]
        context = group.context_class(group, info_name=name, parent=context)
    group.parse_args(context, list(words))


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("sfteval ")])
def test_a_command_of_ours_is_understood(line: str) -> None:
    words = shlex.split(re.sub(r"\$\(.*?\)", "x", line))[1:]
    if words[:2] == ["lm-eval", "run"]:
        return  # lm-eval's own parser reads the rest
    parse(words)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("pytest ")])
def test_an_option_of_pytest_is_one(line: str) -> None:
    options = {word.removeprefix("--").split("=")[0] for word in shlex.split(line) if word.startswith("--")}
    assert options <= OURS, line


def test_there_are_commands_to_test() -> None:
    assert sum(line.startswith("sfteval ") for line in LINES) >= 10
    assert sum(line.startswith("pytest ") for line in LINES) >= 4


def test_ordinary_tests_run_against_a_model(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".yaml",
        m='name: m\ndefault: A bond measure.\nreplies: [{contains: JSON, reply: \'{"currency": "EUR"}\'}]\n'
        'prefer: [{contains: "European Central", continuation: " Bank"}]\n',
    )
    pytester.makepyfile(test_answers=(EXAMPLES / "test_answers.py").read_text())
    result = pytester.runpytest("test_answers.py", "--candidate", "scripted:m.yaml", "--base", "scripted:m.yaml")
    result.assert_outcomes(passed=3)


def test_the_axolotl_plugin_adds_the_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Axolotl cannot be installed beside this torch; its base class is stood in for, the YAML names the plugin."""
    settings = yaml.safe_load((EXAMPLES / "axolotl.yaml").read_text())
    assert settings["plugins"] == ["axolotl_plugin.SuitePlugin"]
    module = types.ModuleType("axolotl.integrations.base")
    module.BasePlugin = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "axolotl", types.ModuleType("axolotl"))
    monkeypatch.setitem(sys.modules, "axolotl.integrations", types.ModuleType("axolotl.integrations"))
    monkeypatch.setitem(sys.modules, "axolotl.integrations.base", module)
    suites = tmp_path / "suites"
    suites.mkdir()
    (suites / "s.suite.yaml").write_text(
        "suite: s\nskill: forgetting\nsamples:\n"
        + "".join(f"  - {{id: a{i}, messages: [{{role: user, content: hi {i}}}]}}\n" for i in range(20))
        + "checks: {short: {max_words: 9}}\ngates: [{check: short, no_regression: {against: base, margin: 0.1}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile((EXAMPLES / "axolotl_plugin.py").read_text(), "axolotl_plugin.py", "exec"), names)
    (callback,) = names["SuitePlugin"]().add_callbacks_post_trainer(None, None)
    assert type(callback).__name__ == "SuiteCallback"


def test_the_reference_of_checks_is_that_of_the_code() -> None:
    from sfteval.pipeline.listing import describe_checks
    from sfteval.report.checks_page import checks_page

    written = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert written == checks_page(describe_checks()), "make it again: sfteval checks --markdown > docs/checks.md"
