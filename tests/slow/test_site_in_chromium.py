"""The pages in a real browser: no console errors, nothing fetched, hostile text runs nothing, axe finds nothing.

Needs Chromium (Debian's package) beside Playwright; skipped with a reason where there is none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")
HOSTILE = [
    '<script>window.broken = 1</script> "please"',
    "<img src=x onerror='window.broken = 1'> please",
    "<svg onload='window.broken = 1'><a href='javascript:window.broken=1'>please</a></svg>",
    "{{ constructor.constructor('window.broken = 1')() }} ${window.broken = 1} no",
    "</pre></article><h1>broken</h1> no",
    "\u202egnirts\u202c \u2066no\u2069 \x00",
    "x" * 1_000_000,
]
KEPT = "e => { e.querySelectorAll('del').forEach(part => part.remove()); return e.textContent; }"
AXE = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "preload": False,
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the pages of a store with base, a release that ships, and one that does not."""
    root = tmp_path_factory.mktemp("site")
    suites = root / "suites"
    suites.mkdir()
    rows = [
        {"id": f"q{i}", "messages": [{"role": "user", "content": f"Question {i}: {HOSTILE[i % 6]}"}]}
        | {"tags": {"language": "de" if i % 2 else "en"}}
        for i in range(42)
    ]
    for name, skill in (("facts", "forgetting"), ("polite", "format")):
        (suites / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (suites / f"{name}.suite.yaml").write_text(
            f"suite: {name}\nskill: {skill}\nsamples: {name}.jsonl\nslices: {{by: [tags.language]}}\n"
            "checks:\n  polite: {contains: [please]}\n  brief: {max_words: 90}\n"
            "gates:\n  - {check: polite, no_regression: {against: base, margin: 0.1}}\n"
            "  - {check: polite, no_regression: {against: previous, margin: 0.1}}\n  - {check: brief, at_least: 0.1}\n"
        )
    (suites / "families.yaml").write_text("family: {name: forgetting, no_regression: {against: base, margin: 0.1}}\n")
    replies = [{"contains": f"Question {i}:", "reply": HOSTILE[i % 7]} for i in range(42)]
    for name, default in (("base", "yes please"), ("good", "oh please, yes"), ("worse", "no")):
        model: dict[str, Any] = {"name": name, "default": default, "replies": replies if name == "worse" else []}
        (root / f"{name}.yaml").write_text(json.dumps(model))
    for name, previous in (("good", "none"), ("worse", "latest")):
        subprocess.run(
            f"{sys.executable} -m pytest -q -p sfteval -p no:cacheprovider suites --candidate scripted:{name}.yaml"
            f" --base scripted:base.yaml --previous {previous} --report site".split(),
            cwd=root,
            check=False,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            timeout=300,
        )
    return root / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, site: Path) -> Iterator[Any]:
    """Yield a page that records console errors and requests beyond the site's own files."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    own = (f"file://{site}/", "data:", "blob:")
    tab.on("request", lambda request: None if request.url.startswith(own) else tab.problems.append(request.url))
    tab.site = f"file://{site}"
    yield tab
    context.close()
    assert tab.problems == []


def names(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


def test_every_page_opens_and_runs_nothing_of_the_models_text(page: Any, site: Path) -> None:
    assert len(names(site)) == 6
    for name in names(site):
        page.goto(f"{page.site}/{name}")
        page.wait_for_load_state("load")
        if page.locator(".vega").count():
            page.locator(".vega svg").first.wait_for()
        assert page.locator(".vega svg").count() == page.locator(".vega").count(), name
        assert page.evaluate("window.broken") is None, name
        assert page.locator("h1").count() == 1, name


def test_every_hostile_answer_is_shown_as_it_is(page: Any) -> None:
    page.goto(f"{page.site}/samples.html#suite=polite")
    page.locator("#sample h2").wait_for()
    for number, text in enumerate(HOSTILE):
        page.evaluate(f"location.hash = 'suite=polite&id=q{number}'")
        page.wait_for_function(f"document.querySelector('#sample h2')?.textContent === 'q{number}'")
        shown = page.locator("#sample section").last.locator("pre")
        kept = shown.evaluate(KEPT)
        assert kept == text
    assert page.evaluate("window.broken") is None


def test_from_a_red_gate_to_the_samples_behind_it_in_two_clicks(page: Any) -> None:
    page.goto(f"{page.site}/forgetting.html")
    page.locator("td.worse a").first.click()
    page.locator("#sample h2").wait_for()
    assert page.locator("#filters [name=flip]").input_value() == "worse"
    listed = page.locator("#list [role=option]")
    worse = listed.count()
    assert 0 < worse < 42
    assert page.locator("#count").inner_text() == f"{worse} of 42 samples"
    listed.nth(1).click()
    assert page.locator("#list [aria-selected=true]").inner_text() == listed.nth(1).inner_text()


def test_filters_keyboard_and_links(page: Any) -> None:
    page.goto(f"{page.site}/samples.html#suite=facts")
    page.locator("#sample h2").wait_for()
    assert page.locator("#count").inner_text() == "42 of 42 samples"
    page.select_option("#filters [name=tag]", "language=de")
    assert page.locator("#count").inner_text() == "21 of 42 samples"
    page.fill("#filters [name=text]", "question 13:")
    assert page.locator("#count").inner_text() == "1 of 42 samples"
    page.fill("#filters [name=text]", "")
    page.locator("#list").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("#sample h2").inner_text() == "q3"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "text"
    link = page.url
    page.goto("about:blank")
    page.problems.clear()
    page.goto(link)
    page.locator("#sample h2").wait_for()
    assert page.locator("#sample h2").inner_text() == "q3"
    assert page.locator("#filters [name=tag]").input_value() == "language=de"


def test_compare_counts_samples(page: Any) -> None:
    page.goto(f"{page.site}/compare.html")
    while page.locator("#chosen input:checked").count():
        page.locator("#chosen input:checked").first.uncheck()
    for name in ("base.yaml", "worse.yaml"):
        page.locator(f"#chosen label:has-text('{name}') input").first.check()
    row = page.locator("#table tbody tr:has-text('facts'):has-text('polite')")
    row.locator("button").click()
    row.locator("td div").wait_for()
    assert "0 up, 24 down of 42 on both sides" in row.inner_text()


def test_dark_mode_by_system_and_by_button(browser: Any, site: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    tab = context.new_page()
    tab.goto(f"file://{site}/index.html")
    back = "getComputedStyle(document.body).backgroundColor"
    assert tab.evaluate(back) == "rgb(15, 19, 24)"
    tab.locator("#theme").click()
    assert tab.evaluate(back) == "rgb(255, 255, 255)"
    tab.goto(f"file://{site}/forgetting.html")
    assert tab.evaluate(back) == "rgb(255, 255, 255)"
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark"), (2560, "light")])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(
    browser: Any, site: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    for name in names(site):
        tab.goto(f"file://{site}/{name}")
        if tab.locator(".vega").count():
            tab.locator(".vega svg").first.wait_for()
        if name == "samples.html":
            tab.locator("#sample h2").wait_for()
        found = Axe().run(tab, options=AXE).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == [], name
        assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    context.close()


def test_a_chart_can_be_saved(page: Any, tmp_path: Path) -> None:
    page.goto(f"{page.site}/index.html")
    page.locator(".vega svg").first.wait_for()
    for kind, begin in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with page.expect_download() as waiting:
            page.locator(f"button[aria-label='Save as {kind}']").first.click()
        target = tmp_path / f"chart.{kind}"
        waiting.value.save_as(target)
        assert target.read_bytes().startswith(begin)
