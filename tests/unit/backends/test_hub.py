import pytest
from huggingface_hub.errors import GatedRepoError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from sfteval.backends import hub


def raised(kind, text):
    """An error as the hub's client raises it, without the response that its constructor wants."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error


@pytest.fixture
def client(monkeypatch):
    def serve(outcome):
        def snapshot_download(model_id, *, allow_patterns):
            assert model_id == "owner/name"
            assert "*.safetensors" in allow_patterns
            assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in allow_patterns)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)

    return serve


def test_fetch(client, tmp_path):
    client(str(tmp_path))
    assert hub.fetch("owner/name") == tmp_path


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (raised(RepositoryNotFoundError, "404 Client Error.\nmore"), hub.UnknownError, "404 Client Error."),
        (raised(GatedRepoError, "403"), hub.UnknownError, "it is gated: accept its licence on the hub and log in"),
        (HFValidationError("bad id"), hub.UnknownError, "bad id"),
        (LocalEntryNotFoundError("\nGot: ConnectError\nmore"), hub.OfflineError, "Got: ConnectError"),
        (ConnectionError(), hub.OfflineError, "ConnectionError"),
    ],
)
def test_errors(client, error, kind, message):
    client(error)
    with pytest.raises(kind) as caught:
        hub.fetch("owner/name")
    assert str(caught.value) == message
