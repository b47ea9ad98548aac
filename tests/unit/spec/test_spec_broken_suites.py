"""Every broken suite file gets exactly the message that stands beside it."""

from functools import partial
from pathlib import Path

import pytest

from sfteval.checks import CHECK_TABLE
from sfteval.errors import InputError
from sfteval.spec import load_families, load_suite

ROOT = Path(__file__).parents[3]
BROKEN = ROOT / "fixtures" / "broken_suites"
FILES = sorted(BROKEN.glob("*.yaml"))


def message(path: Path) -> str:
    forgetting = load_suite(ROOT / "suites" / "forgetting" / "general.suite.yaml", root=ROOT, checks=CHECK_TABLE)
    load = partial(load_suite, checks=CHECK_TABLE)
    if path.name.endswith(".families.yaml"):
        load = partial(load_families, suites=[forgetting])
    with pytest.raises(InputError) as caught:
        load(path, root=BROKEN)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".yaml"))
def test_message(path: Path) -> None:
    expected = BROKEN / (path.name.split(".")[0] + ".expected.txt")
    assert message(path) + "\n" == expected.read_text(encoding="utf-8")


def test_every_file_has_its_partner() -> None:
    assert len(FILES) >= 60
    suites = {path.name.split(".")[0] for path in FILES}
    assert suites == {path.name.removesuffix(".expected.txt") for path in BROKEN.glob("*.txt")}
