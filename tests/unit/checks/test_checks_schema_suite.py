"""The published JSON-Schema-Test-Suite (required tests of draft 7 and 2020-12) and SchemaStore's instances."""

import pytest

from benchmarks.schema_suites import ARCHIVE, DRAFTS, STORE, judge_draft, judge_store

NEEDS_A_SERVER = {"refRemote", "dynamicRef", "vocabulary"}
"""Files whose schemas refer to documents on the suite's test server, which nothing here fetches."""

NOT_AS_PUBLISHED = {"es6importsorterrc", "web-manifest", "webjob-publish-settings"}
"""Two schemas say draft 4 and use `const`, which draft 4 does not know; in the third a `date-time` has no offset."""


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.is_file(), reason="shared data absent")
@pytest.mark.parametrize("draft", DRAFTS)
def test_required_tests(draft: str) -> None:
    found = judge_draft(draft)
    assert found["wrong"] == []
    assert found["equal"] == found["tests"] == (904 if draft == "draft7" else 1250)
    assert {stem for stem, *_ in found["refused"]} <= NEEDS_A_SERVER
    assert len(found["refused"]) == (11 if draft == "draft7" else 22)


@pytest.mark.slow
@pytest.mark.skipif(not STORE.is_file(), reason="shared data absent")
def test_instances_of_schemastore() -> None:
    found = judge_store()
    assert found["schemas"] == 299
    assert {name for name, *_ in found["wrong"]} == NOT_AS_PUBLISHED
    assert found["valid"] == [542, 545]
    assert found["invalid"] == [167, 167]
    assert len(found["refused"]) == 39
    assert all("to another document" in reason for _, reason in found["refused"])
