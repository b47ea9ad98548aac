"""Fixtures for ordinary pytest tests: `candidate`, `base`, `previous`, and a test per sample. Rank 4, no logic.

Each model is opened once a session, and its weights are loaded at the first question. The prompts of tests that are
parametrised by `sfteval.samples` are known at collection: the first question to a model answers them all in batches.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sfteval.errors import SftevalError
from sfteval.pipeline.settings import resolve_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sfteval.pipeline.live import LiveModel
    from sfteval.pipeline.settings import Settings
    from sfteval.pipeline.talk import Talk
    from sfteval.records import SampleRow

SAMPLES_MARK = "sfteval_samples"
TALK: pytest.StashKey[Talk] = pytest.StashKey()


def samples(
    source: str | Path | Sequence[dict[str, Any]], *, system: str | None = None, **generation: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a test once per sample: the test's parameter `sample` is the row, with `sample.messages` to ask.

    Args:
        source: A JSONL file beside the test (`{id, messages, reference?, vars?, tags?}` rows), or the rows.
        system: System message put before conversations that have none.
        **generation: Settings with which `candidate.chat(sample.messages)` is expected to be called; these calls are
            answered in batches.

    Raises:
        InputError: with every fault of the rows.
    """
    from sfteval.pipeline.talk import read_samples

    folder = Path(inspect.stack()[1].filename).parent
    rows = read_samples(source, folder, system)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        marked = pytest.mark.sfteval_samples(generation=generation)(test)
        decorated: Callable[..., Any] = pytest.mark.parametrize("sample", rows, ids=[row.id for row in rows])(marked)
        return decorated

    return decorate


@pytest.fixture(scope="session")
def candidate(request: pytest.FixtureRequest) -> Iterator[LiveModel]:
    """Return the model that wants to ship (`--candidate`)."""
    yield from _model(request, "candidate")


@pytest.fixture(scope="session")
def base(request: pytest.FixtureRequest) -> Iterator[LiveModel]:
    """Return the model before SFT (`--base`, or the candidate's own)."""
    yield from _model(request, "base")


@pytest.fixture(scope="session")
def previous(request: pytest.FixtureRequest) -> Iterator[LiveModel]:
    """Return the model of the last release (`--previous`); the test is skipped when there is none by declaration."""
    yield from _model(request, "previous")


def _model(request: pytest.FixtureRequest, role: str) -> Iterator[LiveModel]:
    from sfteval.pipeline.talk import Talk, prefetch

    config = request.config
    if TALK not in config.stash:
        config.stash[TALK] = Talk(session_settings(config))
    try:
        model = config.stash[TALK].model(role)
    except SftevalError as error:
        failure = pytest.fail.Exception(str(error), pytrace=False)
        failure.sfteval_error = error  # type: ignore[attr-defined]
        raise failure from None
    if model is None:
        pytest.skip("there is no previous release (--previous none)")
    asked = [item for item in request.session.items if role in getattr(item, "fixturenames", ())]
    prefetch(model, [pair for item in asked if (pair := _sample_of(item)) is not None])
    yield model
    model.close()


def session_settings(config: pytest.Config) -> Settings:
    """Return options, `[tool.sfteval]` and defaults of a pytest session."""
    options = {key: config.getoption(key) for key in ("candidate", "base", "previous", "runs_dir")}
    shared = getattr(config, "workerinput", {}).get("sfteval_run_ids")
    return resolve_settings(options, config.rootpath, shared)


def _sample_of(item: pytest.Item) -> tuple[SampleRow, dict[str, Any]] | None:
    """Return the sample and the settings of a test that `samples` made."""
    mark, spec = item.get_closest_marker(SAMPLES_MARK), getattr(item, "callspec", None)
    return None if mark is None or spec is None else (spec.params["sample"], mark.kwargs["generation"])
