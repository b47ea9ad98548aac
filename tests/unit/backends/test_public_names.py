import pytest

import sfteval.backends


def test_every_public_name_is_there():
    assert sorted(sfteval.backends.__all__) == sorted(sfteval.backends._HOMES)
    for name in sfteval.backends.__all__:
        assert getattr(sfteval.backends, name).__module__ == f"sfteval.backends.{sfteval.backends._HOMES[name]}"


def test_unknown_names():
    with pytest.raises(AttributeError, match="has no attribute 'openbackend'"):
        sfteval.backends.openbackend  # noqa: B018
