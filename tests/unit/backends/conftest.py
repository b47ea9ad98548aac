import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import tiny


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SFTEVAL_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """One tiny base and one LoRA adapter beside it; read only."""
    home = tmp_path_factory.mktemp("models")
    tiny.llama(home / "base")
    tiny.adapter(home / "lora", home / "base", tiny.lora(), named="../base")
    return home


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    """A copy of the tiny models that a test may break, as the working directory."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"
